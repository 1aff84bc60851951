"""What the fold's tests share: a journal that is folded as it is written; what looks see, and what a fold tells of it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import msgspec
import pytest

from birddog.geo import LocalFrame
from birddog.model import (
    ENTRY_BODIES,
    Body,
    Device,
    Entry,
    Event,
    Fix,
    FrameBody,
    Observation,
    Reject,
    Scan,
    Sighting,
    Start,
    Track,
    pack,
)
from birddog.units import NS
from tracking.fold import Changes, Fold

T0_S = 1_790_000_000
T0 = T0_S * NS
KINDS = {body: kind for kind, body in ENTRY_BODIES.items()}


class Journal:
    """Entries in order, at seconds after T0, and what the fold answered to each.

    Args:
        begun: whether it begins with a start; else the first body is one.
        exercise: of that start.
        presets: of that start.
        restart: a second fold is put down and taken up before every entry, and must answer as the first.
    """

    def __init__(self, *, begun: bool = True, exercise: bool = True, presets: dict | None = None, restart: bool = False):
        self.entries: list[Entry] = []
        self.changes: list[Changes] = []
        self.fold, self._again = Fold(), Fold() if restart else None
        if begun:
            self.add(0, Start(version="test", presets=presets or {}, exercise=exercise))

    @property
    def seq(self) -> int:
        """The number of the newest entry."""
        return len(self.entries)

    def add(self, at_s: float, body: Body) -> Changes:
        """Write an entry and fold it."""
        seq = self.seq + 1
        entry = Entry(seq=seq, kind=KINDS[type(body)], received_ns=T0 + round(at_s * NS), source="test", ident=seq.to_bytes(8),
                      body=pack(body))  # fmt: skip
        changes = self.fold.apply(entry)
        if self._again is not None:
            self._again = Fold.restore(self._again.snapshot())
            assert msgspec.msgpack.encode(self._again.apply(entry)) == msgspec.msgpack.encode(changes)
        self.entries.append(entry)
        self.changes.append(changes)
        return changes

    def take(self, bodies: Iterable[tuple[float, Body]]) -> Journal:
        """Write (t s, body) after (t s, body)."""
        for at_s, body in bodies:
            self.add(at_s, body)
        return self

    def say(self, at_s: float, *observations: Observation, fmt: str = "x", device: str = "",
            rejects: Iterable[Reject] = ()) -> Changes:  # fmt: skip
        """Write a device's message."""
        return self.add(at_s, FrameBody(format=fmt, version=1, payload=b"", device=device, observations=observations,
                                        rejects=tuple(rejects)))  # fmt: skip

    def events(self, *kinds: str) -> list[Event]:
        """The rows of events of some kinds, or of all, as they were told: one that began and ended is two."""
        return [event for changes in self.changes for event in changes.events if event.kind in kinds or not kinds]

    def happened(self, *kinds: str) -> list[Event]:
        """Each event of some kinds, or of all, once, as it was told last."""
        return list({event.event_id: event for event in self.events(*kinds)}.values())

    def rows(self) -> dict[str, Track]:
        """The newest row of each track."""
        return {row.track_id: row for changes in self.changes for row in changes.tracks}

    def now(self, at_s: float) -> list[Track]:
        """What is believed at a second."""
        return self.fold.believed(T0 + round(at_s * NS))


class World:
    """What sensors say about HOME, as (arrival, body); folded in order of arrival."""

    HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
    AREA = (-2000.0, 2000.0, -2000.0, 2000.0)

    @staticmethod
    def ring(e0: float, e1: float, n0: float, n1: float) -> tuple:
        """The footprint of an area."""
        corners = [World.HOME.geodetic(e, n) for e, n in ((e0, n0), (e1, n0), (e1, n1), (e0, n1), (e0, n0))]
        return tuple((lon, lat) for lat, lon in corners)

    def __init__(self, seed: int):
        self.rng, self.made = random.Random(seed), []
        self.looks: dict[tuple[float, str], list[tuple[float, float, float]]] = {}

    def sighting(self, t: float, e: float, n: float, sigma: float, sensor: str) -> Sighting:
        lat, lon = self.HOME.geodetic(e, n)
        return Sighting(device=sensor, time_ns=round((T0_S + t) * NS), lat_deg=lat, lon_deg=lon, r_ee=sigma**2, r_en=0.0,
                        r_nn=sigma**2)  # fmt: skip

    def see(self, t: float, e: float, n: float, sigma: float = 10.0, sensor: str = "radar") -> None:
        """A sighting with noise, of the look at t."""
        spot = (e + self.rng.gauss(0, sigma), n + self.rng.gauss(0, sigma), sigma)
        self.looks.setdefault((t, sensor), []).append(spot)

    def clutter(self, t: float, count: int = 2, sensor: str = "radar") -> None:
        for _ in range(count):
            self.see(t, self.rng.uniform(-2000, 2000), self.rng.uniform(-2000, 2000), sensor=sensor)

    def end(self, sensor: str = "radar", *, times=(), late=0.2, pd=0.9, clutter=0.125, area=AREA, flags=False) -> None:
        """All looks of a sensor as scans; of ``times`` also those that saw nothing."""
        for t in sorted({t for t, s in self.looks if s == sensor} | set(times)):
            spots = tuple(self.sighting(t, *spot, sensor) for spot in self.looks.get((t, sensor), []))
            self.made.append((t + late, Scan(
                scan_id=f"{sensor}@{t}", sensor=sensor, time_ns=round((T0_S + t) * NS), footprint=self.ring(*area), pd=pd,
                clutter_per_km2=clutter, sightings=spots,
            )))  # fmt: skip

    def fix(self, t: float, e: float, n: float, tag: str = "TAG", sigma: float = 8.0, late: float = 0.5) -> None:
        lat, lon = self.HOME.geodetic(e + self.rng.gauss(0, sigma), n + self.rng.gauss(0, sigma))
        said = Fix(device=tag, time_ns=round((T0_S + t) * NS), lat_deg=lat, lon_deg=lon, sigma_m=sigma)
        self.made.append((t + late, FrameBody(format="f", version=1, payload=b"", device=tag, observations=(said,))))


class Told:
    """A fold, with what it told."""

    def __init__(self, *devices: Device):
        self.fold, self.seq, self.changes = Fold(), 0, []
        self.add(0.0, "start", Start(version="x", presets={}, exercise=True))
        for device in devices:
            self.add(0.0, "device", device)

    def add(self, t: float, kind: str, body):
        self.seq += 1
        entry = Entry(
            seq=self.seq, kind=kind, received_ns=round((T0_S + t) * NS), source="s", ident=b"%d" % self.seq, body=pack(body)
        )
        self.changes.append(self.fold.apply(entry))
        return self.changes[-1]

    def take(self, made, until: float = math.inf) -> Told:
        for t, body in sorted(made, key=lambda pair: pair[0]):
            if t <= until:
                self.add(t, "scan" if isinstance(body, Scan) else "frame", body)
        return self

    def at(self, t: float) -> list[Track]:
        return self.fold.believed(round((T0_S + t) * NS))

    def events(self, kind: str) -> list:
        return [e for c in self.changes for e in c.events if e.kind == kind]

    @staticmethod
    def where(row: Track) -> tuple[float, float]:
        """(e, n) of a row, m."""
        return World.HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)

    @staticmethod
    def near(rows: list[Track], e: float, n: float, within: float = 40.0) -> list[Track]:
        """The rows about a place."""
        return [b for b in rows if math.hypot(Told.where(b)[0] - e, Told.where(b)[1] - n) < within]

    @staticmethod
    def follow(made, taus, *devices: Device) -> dict[float, list[Track]]:
        """What is believed at some times, each of what had come in by then."""
        told, out, waiting = Told(*devices), {}, sorted(made, key=lambda pair: pair[0])
        for tau in taus:
            while waiting and waiting[0][0] <= tau:
                told.take([waiting.pop(0)])
            out[tau] = told.at(tau)
        return out


@pytest.fixture
def journal() -> type[Journal]:
    """``journal()``: a journal to write; ``journal(begun=False).take(bodies)``: one of bodies with their start."""
    return Journal


@pytest.fixture(name="World")
def world() -> type[World]:
    """``World(seed)``: what sensors are made to say."""
    return World


@pytest.fixture(name="Told")
def told() -> type[Told]:
    """``Told(*devices).take(world.made)``: a fold of it, with what it told."""
    return Told
