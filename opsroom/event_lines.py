"""Events as JSON lines (docs/events.md, ``birddog events``): each with its measures and the rule by which it is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from birddog.units import NS, iso_from_ns
from opsroom.commands.common import say
from opsroom.track_file import TrackRows
from tracking.events.model import WAY_KINDS, Event, Rules
from tracking.events.tell import Columns, filled, rounded
from tracking.events.tracks import Tracks

#: Lines that are made at once.
LOT = 4096


def lines(events: Iterable[Event | Columns], rules: Rules, archive: str = "") -> Iterator[str]:
    """The lines, some at a time.

    Args:
        archive: the SHA-256 of the archive that lane stops and deviations rest on.
    """
    encoder, rule = msgspec.json.Encoder(), {}
    for kind in Rules.__struct_fields__:
        of = getattr(rules, kind)
        if isinstance(of, msgspec.Struct):
            said = msgspec.to_builtins(of)
            if kind in WAY_KINDS:
                said["archive_sha256"] = archive
            if kind not in ("stop", "gap", "lane_stop", "visit", "portal"):
                said |= {"grid_s": rules.grid_s, "hole_s": rules.hole_s}
            rule[kind] = msgspec.Raw(encoder.encode(said))
    lot: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, Columns):
            yield encoder.encode_lines(lot).decode()
            lot.clear()
            for many in documents(event, rule.get(event.kind)):
                yield encoder.encode_lines(many).decode()
            continue
        lot.append(document(event, rule.get(event.kind)))
        if len(lot) == LOT:
            yield encoder.encode_lines(lot).decode()
            lot.clear()
    if lot:
        yield encoder.encode_lines(lot).decode()


def document(event: Event, rule: object) -> dict[str, Any]:
    """One event as it is printed; lengths to the millimetre."""
    start, last = iso_from_ns(event.start_ns), iso_from_ns(event.last_ns)
    out: dict[str, Any] = {
        "kind": event.kind, "ids": event.ids, "start": start, "end": None if event.end_ns is None else last,
        "lat_deg": event.lat_deg, "lon_deg": event.lon_deg,
    }  # fmt: skip
    if event.place:
        out["place"] = event.place
    for name, value in event.measures.items():
        out[name] = round(value, 3) if type(value) is float and not value.is_integer() else value
    out["seen_until"], out["confidence"], out["rule"] = last, round(event.confidence, 3), rule
    return out


def documents(many: Columns, rule: object) -> Iterator[list[msgspec.Struct]]:
    """Events of columns, each as ``document`` says it, some at a time."""
    words = ["ids", "start", "end", "lat_deg", "lon_deg", *many.measures, "seen_until", "confidence"]
    line = msgspec.defstruct("Line", [*words, ("rule", Any, rule)], tag_field="kind", tag=many.kind, gc=False)
    measures = [
        ((rounded(values, 3) if values.dtype.kind == "f" else values), has) for values, has in many.measures.values()
    ]  # fmt: skip
    confidence = rounded(many.confidence, 3)
    for begin in range(0, len(many.ids), LOT):
        rows = slice(begin, begin + LOT)
        last = isos(many.last_ns[rows])
        columns = (
            [(name,) for name in many.ids[rows]], isos(many.start_ns[rows]), filled(last, many.ended[rows]),
            many.lat_deg[rows].tolist(), many.lon_deg[rows].tolist(),
            *(filled(values[rows].tolist(), None if has is None else has[rows]) for values, has in measures),
            last, confidence[rows].tolist(),
        )  # fmt: skip
        yield [line(*row) for row in zip(*columns, strict=True)]


def isos(time_ns: np.ndarray) -> list[str]:
    """``iso_from_ns`` of many."""
    ms = time_ns // 1_000_000
    day, ms = np.divmod(ms, 86_400_000)
    first, last = (int(day.min()), int(day.max())) if len(day) else (0, 0)
    if last - first > len(day):
        return [iso_from_ns(time) for time in time_ns.tolist()]
    text = np.empty((len(ms), 24), np.uint8)
    text[:] = np.frombuffer(b"2026-01-01T00:00:00.000Z", np.uint8)
    dates = "".join(iso_from_ns(d * 86_400 * NS)[:10] for d in range(first, last + 1))
    text[:, :10] = np.frombuffer(dates.encode(), np.uint8).reshape(-1, 10)[day - first]
    second, ms = np.divmod(ms, 1000)
    minute, second = np.divmod(second, 60)
    for at, value in ((11, minute // 60), (14, minute % 60), (17, second), (21, ms % 100)):
        text[:, at] += (value // 10).astype(np.uint8)
        text[:, at + 1] += (value % 10).astype(np.uint8)
    text[:, 20] += (ms // 100).astype(np.uint8)
    all_of_them = text.tobytes().decode()
    return [all_of_them[k : k + 24] for k in range(0, len(all_of_them), 24)]


def said(path: str, rows: TrackRows, fixes: Tracks, rules: Rules) -> None:
    """Say what of the file was not used, and which identity looks like two."""
    if len(fixes.same_time):
        say(f"{path}: {len(fixes.same_time)} rows left out: the same id and time as another row, first at line "
            f"{int(rows.line[fixes.same_time].min())}")
    vessel = rows.vessel[fixes.beyond_reach]
    for v in sorted(set(vessel.tolist())):
        first = int(rows.line[fixes.beyond_reach[vessel == v]].min())
        say(f"{path}:{first}: id {rows.ids[v]}: lat, lon: {int((vessel == v).sum())} rows left out from here on: out and back "
            f"faster than {rules.reach_mps:g} m/s (bad fixes)")
    for name, things in fixes.shared.items():
        n = ", ".join(f"{fixes.ids[k]} ({int(fixes.first[k + 1] - fixes.first[k])} rows)" for k in things)
        say(f"{path}: id {name}: {len(things)} things report under this identity, in turn and too far apart for one; "
            f"told as {n}")
