"""A scenario: one typed TOML file, and what must be enrolled so that its devices are known.

The file says who moves where (``[[route]]``, ``[[thing]]``), what each device is and hangs on (one table a kind
of device), what goes wrong with it (``faults``) and how it is registered (``[[operation]]``, ``[[attach]]``).
A key that does not exist is refused with file, line and the nearest right one (birddog.config).
Positions are metres east and north of ``origin``; times are seconds since the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path as FilePath
from typing import Any

from birddog import config, rules
from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.model import Attachment, Body, Device, Operation, Placement, WarrantAct
from birddog.units import NS, iso_from_ns
from birddog.warrant_json import json_of, warrant_of
from sim.scenario_check import Checker
from sim.tables import (
    FORMATS,
    REPORT_S,
    Ais,
    Camera,
    Portal,
    Route,
    Scenario,
    Sensor,
    ThingTable,
    WarrantTable,
    topics,
)
from sim.world import Halt, Mover, Path, Thing, World, stream


def names() -> list[str]:
    """The scenarios that come with the program."""
    folder = resources.files("sim").joinpath("scenarios")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load(name: str) -> Scenario:
    """A scenario by its name, or from a TOML file of one's own.

    Raises:
        UsageError, ConfigError: there is none, or it is wrong; file, line and key are named.
    """
    path = FilePath(name)
    if name.endswith(".toml"):
        if not path.is_file():
            raise UsageError("there is no such file", file=name)
        text, file = config.read(path), name
    elif name in names():
        text = resources.files("sim").joinpath("scenarios", f"{name}.toml").read_text(encoding="utf-8")
        file = f"{name}.toml"
    else:
        raise UsageError(f"no scenario {name!r}; there are: {', '.join(names())}, or give a .toml file")
    return loads(text, file=file)


def loads(text: str, *, file: str) -> Scenario:
    """``load`` from text; ``file`` leads the messages."""
    scenario = config.loads(text, Scenario, file=file)
    Checker(scenario, text, file).check()
    return scenario


def build(s: Scenario, seed: int) -> World:
    """The world of a scenario: the truth of a seed."""
    frame = LocalFrame(lat_deg=s.scenario.origin[0], lon_deg=s.scenario.origin[1])
    routes = {r.name: r for r in s.route}
    things: dict[str, Thing] = {}
    for row in s.thing:
        ride = things[row.aboard] if row.aboard else None
        things[row.name] = Thing(
            row.name, row.klass, _mover_maker(row, routes[row.route], seed), length_m=row.length_m, beam_m=row.beam_m,
            ride=ride, leaves_s=row.leaves_s if ride is not None else -math.inf,
        )  # fmt: skip
    return World(frame, things)


def _mover_maker(row: ThingTable, route: Route, seed: int) -> Callable[[tuple[float, float] | None], Mover]:
    def make(left: tuple[float, float] | None) -> Mover:
        points = list(route.points) if left is None else [left, *route.points]
        return Mover(
            Path(points, closed=route.closed and left is None), speed_mps=row.speed_mps, start_m=row.start_m,
            halts=tuple(Halt(h.at_m, h.for_s) for h in row.stops), klass=row.klass, rng=stream(seed, "thing", row.name),
        )  # fmt: skip

    return make


def registers(s: Scenario, start_ns: int) -> list[Body]:
    """What must be enrolled before the first message, in order: operations, devices, placements, attachments."""
    frame = LocalFrame(lat_deg=s.scenario.origin[0], lon_deg=s.scenario.origin[1])
    klass = {t.name: t.klass for t in s.thing}
    out: list[Body] = []
    for o in s.operation:
        ring = [frame.geodetic(*p)[::-1] for p in o.area]
        out.append(Operation(operation=o.id, name=o.name, area=tuple(ring + ring[:1])))
    receivers: set[str] = set()
    for d in s.devices():
        if isinstance(d, Camera):
            continue  # a scan names its sensor itself
        if isinstance(d, Ais) and d.receiver not in receivers:
            receivers.add(d.receiver)
            out.append(Device(device=d.receiver, name="AIS receiver", format="ais", basis="own_sensor", interval_s=10.0))
        out.append(Device(
            device=d.id, name=d.name, owner=d.owner, format=FORMATS[type(d)], basis=d.basis,
            interval_s=REPORT_S.get(type(d), d.interval_s), klass=klass.get(getattr(d, "on", ""), ""), topics=topics(d),
        ))  # fmt: skip
    placed: tuple[Portal | Sensor, ...] = (*s.portal, *s.sensor)
    for one in placed:
        lat, lon = frame.geodetic(*one.at)
        out.append(Placement(device=one.id, lat_deg=lat, lon_deg=lon, range_m=one.range_m, name=one.name, from_ns=0))
    for e in s.epc:
        out.append(Device(device=e.uri, name="", format="epc", basis="warrant", interval_s=3600.0, klass=klass[e.on]))
    for a in s.attach:
        out.append(Attachment(device=a.device, shipment=a.shipment, operation=a.operation, from_ns=start_ns - 60 * NS))
    for w in s.warrant:
        out += _acts(w, start_ns)
    return out


def _acts(w: WarrantTable, start_ns: int) -> list[WarrantAct]:
    """A warrant of an exercise: entered by one, approved by another, its device installed."""
    begins_ns, said = (start_ns // NS - 60) * NS, "exercise"  # whole seconds: as the JSON has them
    texts = ("authority", "applicant", "offence", "purpose", "object", "necessity", "proportionality", "collateral_intrusion",
             "confidential_information", "product_keeper", "product_reviewer", "retrieval_authority")
    warrant = dict.fromkeys(texts, said) | {
        "id": w.id, "device": w.device, "kind": "property_interference", "jurisdiction": None, "issued": iso_from_ns(begins_ns),
        "install_by": iso_from_ns(begins_ns), "use_from": iso_from_ns(begins_ns),
        "use_until": iso_from_ns(start_ns + int(w.until_s * NS)), "premises": [{"kind": "vehicle", "place": said}],
        "retrieval_premises": [{"kind": "public", "place": said}],
    }  # fmt: skip
    text = rules.text_of(w.rules)
    warrant_of(warrant, rules.pack_of(text))

    def act(action: Any, by: str, **words: Any) -> WarrantAct:
        return WarrantAct(warrant=w.id, action=action, by=by, operation=w.operation, **words)

    return [act("add", "officer", said=json_of(warrant), pack=text), act("approve", "duty lawyer"),
            act("install", "officer", device=w.device, at_ns=begins_ns)]
