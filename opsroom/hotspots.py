"""Patterns of the picture, on request and outside the fold: places and hours at which something happens, never who
(docs/events.md).

Answered are whole weeks, the one that goes on up to its last whole hour (an exercise's, in which nobody is anybody: until now),
so that two questions do not tell together what one hides (docs/decisions/0026-patterns-asked-twice.md).

What happened are the picture's events of one kind; what was looked at are the measured steps of all tracks.  A thing that is
seen in several operations counts once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from birddog.units import NS, iso_from_ns
from opsroom.picture_view import View
from tracking.patterns import Happening, K, busier, exposure, fixed_m, patterns, teams, weeks

#: Kinds that are about a place; a person's own decision or a device's fault is none.
KINDS = (
    "stop", "encounter", "loiter", "gap", "cotravel", "split", "visit", "portal", "border", "lane_stop", "deviation",
    "dark_vessel", "parted", "door_opened", "arrived",
)  # fmt: skip
#: Steps that are looked at: the newest.
MOST_STEPS = 300_000
#: How far back, unless asked for otherwise: four weeks.
SINCE_NS = 28 * 86_400 * NS
_HOUR_NS = 3600 * NS


def period(since_ns: int, until_ns: int, now_ns: int, *, exercise: bool) -> tuple[int, int]:
    """What is answered where a period is asked for: its weeks, whole as far as they are over."""
    since_s, until_s = weeks(since_ns / NS, min(until_ns, now_ns) / NS)
    open_ns = now_ns if exercise else now_ns // _HOUR_NS * _HOUR_NS
    return since_s * NS, min(until_s * NS, open_ns)


def _whole(since_ns: int, until_ns: int) -> int:
    """From when on everything was looked at, where the oldest step of all is this: a whole week, day or hour."""
    for unit_ns, first_ns in ((7 * 24 * _HOUR_NS, 4 * 24 * _HOUR_NS), (24 * _HOUR_NS, 0), (_HOUR_NS, 0)):
        whole_ns = -(-(since_ns - first_ns) // unit_ns) * unit_ns + first_ns
        if whole_ns < until_ns:
            return whole_ns
    return since_ns


def seen(
    view: View, kind: str, since_ns: int, until_ns: int, *, cell_m: float, hub_m: float, n_teams: int, hour: int | None
) -> dict[str, Any]:  # fmt: skip
    """Patterns of one kind of event between two times, as plain values; ``why`` says why there are none."""
    names = {track.track_id: track.tag_id or track.track_id for _, track in view.tracks()}
    steps = view.points(since_ns=since_ns, limit=MOST_STEPS)
    measured = sorted({(names.get(p.track_id, p.track_id), p.time_ns, p.lat_deg, p.lon_deg) for p in steps
                       if p.origin != "coast" and p.time_ns < until_ns})  # fmt: skip
    first_ns = min((row[1] for row in measured), default=since_ns)
    if len(steps) >= MOST_STEPS:
        since_ns = max(since_ns, _whole(first_ns, until_ns))
        measured = [row for row in measured if row[1] >= since_ns]
    happened = {
        (names.get(name, name), e.start_ns / NS, e.lat_deg, e.lon_deg)
        for _, e in view.events() if e.kind == kind and not e.withdrawn and since_ns <= e.start_ns < until_ns
        for name in e.track_ids or ((e.device,) if e.device else ())
        if e.lat_deg is not None and e.lon_deg is not None
    }  # fmt: skip
    columns = list(zip(*measured, strict=True)) or [(), (), (), ()]
    looked = exposure(list(columns[0]), [t / NS for t in columns[1]], list(columns[2]), list(columns[3]))
    found = patterns([Happening(*row) for row in sorted(happened)], looked, cell_m=cell_m, hub_m=hub_m)
    why = ""
    if not happened:
        why = f"no {kind} since {iso_from_ns(since_ns)[:16]}Z"
    elif not found.cells:
        why = f"fewer than {K} different shipments had part in it at any place: what so few do is not shown"
    return {
        "kind": kind, "since": iso_from_ns(since_ns), "until": iso_from_ns(until_ns), "why": why, "steps": len(measured),
        "cut": len(steps) >= MOST_STEPS, **msgspec.to_builtins(found),
        "teams": msgspec.to_builtins(teams(found.cells, n_teams, 2.0 * fixed_m(cell_m), busier(found, hour))),
    }  # fmt: skip
