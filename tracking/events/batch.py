"""All events of a file's tracks at once: the rules of ``engine.Events`` as arrays, with the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from birddog.units import NS
from tracking.events import gaps, grid, loiter, pairs, stops, tell
from tracking.events.model import ALL_KINDS, PLACE_KINDS, WAY_KINDS, Event, Rules
from tracking.events.places import AtPlaces, Places, one_by_one
from tracking.events.splits import At
from tracking.events.tracks import Tracks

if TYPE_CHECKING:
    from tracking.events.ways import Ways

_NEVER = 1 << 62


def events(
    fixes: Tracks, rules: Rules, kinds: tuple[str, ...] = ALL_KINDS, now_ns: int | None = None, places: Places | None = None,
    ways: Ways | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Every event of these kinds, by kind, vessel and time."""
    for found in told(fixes, rules, kinds, now_ns, places, ways):
        if isinstance(found, Event):
            yield found
        else:
            yield from found.events()


def told(
    fixes: Tracks, rules: Rules, kinds: tuple[str, ...] = ALL_KINDS, now_ns: int | None = None, places: Places | None = None,
    ways: Ways | None = None,
) -> Iterator[Event | tell.Columns]:  # fmt: skip
    """The same, those of which there are many as columns.

    Args:
        now_ns: until when nothing more had come; the time of the last fix of all unless given.
        places: ports, lines and borders; none: no visit, passage or crossing.
        ways: the ways that are used; none: no lane stop and no deviation.
    """
    if not len(fixes.time_ns):
        return
    now = int(fixes.time_ns.max()) if now_ns is None else now_ns
    if "stop" in kinds:
        yield _stops(fixes, rules, now)
    if "gap" in kinds:
        yield _gaps(fixes, rules, now)
    if not {"encounter", "loiter", "cotravel", "split"}.isdisjoint(kinds):
        lots = [grid.samples(lot, rules) for lot in fixes.lots()]
        if "encounter" in kinds:
            points = pairs.meetings(lots, rules)
            yield from _meetings(fixes, points, lots, rules, now)
        if "loiter" in kinds:
            for lot in lots:
                yield from _loitering(fixes, lot, rules, now)
        if not {"cotravel", "split"}.isdisjoint(kinds):
            yield from _company(fixes, lots, rules, kinds, now)
    if places:
        yield from _at_places(fixes, rules, kinds, places)
    if ways is not None and not set(WAY_KINDS).isdisjoint(kinds):
        yield from _on_ways(fixes, rules, kinds, ways, now)


def _stops(fixes: Tracks, rules: Rules, now: int) -> tell.Columns:
    hole = int(rules.stop.hole_s * NS)
    runs = stops.stops(fixes, rules.stop)
    begin, end = (np.array(rows, np.int64) for rows in ([run.first for run in runs], [run.last for run in runs]))
    first, last, broken = fixes.time_ns[begin], fixes.time_ns[end], np.array([run.broken for run in runs], bool)
    names = [fixes.ids[v] for v in fixes.vessel[begin].tolist()]
    return tell.stops(names, rules, first, last, runs, ended=broken | (now - last > hole))


def _on_ways(fixes: Tracks, rules: Rules, kinds: tuple[str, ...], ways: Ways, now: int) -> Iterator[Event]:
    """Lane stops, and behind all of them the deviations."""
    from tracking.events.ways import among
    from tracking.forecast import past as archive

    astray: list[int] = []
    lanes = ways.about_lanes(rules.lane_stop)
    for lot in fixes.lots():
        cells = archive.cell_of(lot.lat_deg, lot.lon_deg, ways.cell_m)
        if "lane_stop" in kinds:
            yield from _lane_stops(lot, among(cells, lanes), rules, ways, now)
        if "deviation" in kinds:
            astray += ways.left_by(lot, cells, rules)
    yield from _deviations(fixes, astray, rules, ways, now)


def _lane_stops(lot: Tracks, near: np.ndarray, rules: Rules, ways: Ways, now: int) -> Iterator[Event]:
    rule = rules.lane_stop
    hole = int(rule.hole_s * NS)
    for run in stops.stops(lot, rule.stop, near):
        first, last = int(lot.time_ns[run.first]), int(lot.time_ns[run.last])
        at = (float(lot.x[run.first]), float(lot.y[run.first]), float(lot.z[run.first]))
        event = tell.lane_stop(
            lot.ids[lot.vessel[run.first]], rules, ways, first, last, run.n, (run.x, run.y, run.z), at,
            ended=run.broken or now - last > hole,
        )  # fmt: skip
        if event is not None:
            yield event


def _at_places(fixes: Tracks, rules: Rules, kinds: tuple[str, ...], places: Places) -> Iterator[Event]:
    """Visits, passages and crossings: what is not near any place changes nothing."""
    for kind in PLACE_KINDS:
        if kind not in kinds:
            continue
        if kind == "border":
            for vessel, (near, rows) in places.near(fixes, rules).items():
                state, name = AtPlaces(), fixes.ids[vessel]
                for fix in one_by_one(fixes, rows):
                    for crossing in state.add(fix, near, rules):
                        yield tell.at_place(name, crossing)
        else:
            for vessel, one in places.visits(fixes, rules) if kind == "visit" else places.passages(fixes, rules):
                yield tell.at_place(fixes.ids[vessel], one)


def _deviations(fixes: Tracks, vessels: list[int], rules: Rules, ways: Ways, now: int) -> Iterator[Event]:
    from tracking.events.ways import Astray

    for vessel in vessels:
        begin, end = int(fixes.first[vessel]), int(fixes.first[vessel + 1])
        state, name = Astray(), fixes.ids[vessel]
        for fix in one_by_one(fixes, slice(begin, end)):
            state, found = state.add(fix, ways, rules)
            if found is not None:
                yield tell.at_place(name, found)
        found = state.found(rules, ended=now - int(fixes.time_ns[end - 1]) > rules.hole_ns)
        if found is not None:
            yield tell.at_place(name, found)


def _company(fixes: Tracks, lots: list[grid.Samples], rules: Rules, kinds: tuple[str, ...], now: int) -> Iterator[Event]:
    """Co-travel, and behind all of it the splits that it ended in."""
    splits: list[Event] = []
    for event in _pairs(fixes, lots, rules, now, parting="split" in kinds):
        if event.kind == "split":
            splits.append(event)
        elif "cotravel" in kinds:
            yield event
    yield from splits


def _gaps(fixes: Tracks, rules: Rules, now: int) -> tell.Columns:
    found = gaps.gaps(fixes, rules, now)
    t, before, after = fixes.time_ns, found.before, found.after
    d = [p[after] - p[before] for p in (fixes.x, fixes.y, fixes.z)]
    return tell.gaps(
        [fixes.ids[v] for v in fixes.vessel[before].tolist()], rules.gap, t[before], np.where(after < 0, now, t[after]),
        found.habit_ns, found.known, found.heard, ended=after >= 0, lat_deg=fixes.lat_deg[before],
        lon_deg=fixes.lon_deg[before], moved_m=np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]),
    )  # fmt: skip


def _loitering(fixes: Tracks, s: grid.Samples, rules: Rules, now: int) -> Iterator[Event]:
    for last, run in loiter.loitering(s, rules.loiter, rules.grid_s):
        vessel = int(s.vessel[last])
        final_ns = int(fixes.time_ns[fixes.first[vessel + 1] - 1])
        at_end = last + 1 == len(s.vessel) or s.vessel[last + 1] != vessel
        lasts = at_end and final_ns // rules.grid_ns == run.last_g and now - final_ns <= rules.hole_ns
        yield tell.loiter(fixes.ids[vessel], rules, run, ended=not lasts)


def _meetings(
    fixes: Tracks, points: pairs.Points, lots: list[grid.Samples], rules: Rules, now: int
) -> Iterator[Event]:  # fmt: skip
    """Every lot of points without one missing is an encounter where it is long enough."""
    settled, fold, one = _settled(fixes, rules, now), pairs.Meeting(rules.encounter, rules.grid_s), fixes.identity()
    for begin, end in points.lots(fold.farthest, fold.least):
        a, b = int(points.a[begin]), int(points.b[begin])
        if a in one and one[a] == one.get(b):
            continue
        run = points.run(begin, end)
        if rules.encounter.apart_s and not pairs.apart(_where(lots, a), _where(lots, b), run.first_g, rules):
            continue
        ended = min(settled[a], settled[b]) >= run.last_g + fold.farthest
        yield tell.encounter(fixes.ids[a], fixes.ids[b], rules, run, ended=ended)


def _where(lots: list[grid.Samples], vessel: int) -> At:
    """Where a vessel was at a point of the grid."""
    s = next(s for s in lots if len(s.vessel) and s.vessel[0] <= vessel <= s.vessel[-1])
    begin, end = (int(k) for k in np.searchsorted(s.vessel, (vessel, vessel + 1)))

    def at(g: int) -> grid.Sample | None:
        k = begin + int(np.searchsorted(s.g[begin:end], g))
        if k == end or s.g[k] != g:
            return None
        row = (s.g, s.x, s.y, s.z, s.speed_mps, s.before, s.seen, s.off_s)
        return grid.Sample(*(column[k].item() for column in row))

    return at


def _pairs(fixes: Tracks, lots: list[grid.Samples], rules: Rules, now: int, *, parting: bool) -> Iterator[Event]:
    """Every run of a pair's good points, and with ``parting`` every split that one ended in."""
    settled, fold, one = _settled(fixes, rules, now), pairs.Company(rules.cotravel, rules.grid_s), fixes.identity()
    points, last = pairs.company(lots, rules), (-1, -1)

    def parted(g: int) -> Iterator[Event]:
        if parting and fold.rest is not None:
            found = fold.part(_where(lots, last[0]), _where(lots, last[1]), g, rules)
            if found is not None:
                yield tell.split(fixes.ids[last[0]], fixes.ids[last[1]], rules, *found)

    for begin, end in points.lots(fold.farthest, fold.least):
        pair = int(points.a[begin]), int(points.b[begin])
        if pair[0] in one and one[pair[0]] == one.get(pair[1]):
            continue  # nothing travels with what bears its own name: they would be told apart by that alone
        if pair != last:
            yield from parted(_NEVER)
            fold.rest, last = None, pair
        a, b = (fixes.ids[v] for v in pair)
        for point in points.points(begin, end):
            yield from parted(point.g - 1)
            ended = fold.add(point)
            if ended is not None:
                yield tell.cotravel(a, b, rules, ended, ended=True)
        ended = fold.settle(min(settled[v] for v in pair))
        if ended is not None:
            yield tell.cotravel(a, b, rules, ended, ended=True)
        elif fold.lasting is not None:
            yield tell.cotravel(a, b, rules, fold.lasting, ended=False)
        rest = fold.rest
        fold.settle(_NEVER)
        fold.rest = rest
    yield from parted(_NEVER)


def _settled(fixes: Tracks, rules: Rules, now: int) -> list[int]:
    """Of each vessel the point of the grid up to which everything is known."""
    last = fixes.time_ns[np.maximum(fixes.first[1:] - 1, 0)]
    points: list[int] = np.where(now - last > rules.hole_ns, _NEVER, last // rules.grid_ns).tolist()
    return points
