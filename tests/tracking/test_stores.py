"""A device that could not send for an hour: whatever the order in which its store comes in, the picture is that of arrival in
time, also of where it arrived and what it left, and no clock is told of.
"""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, FrameBody, Operation, Tick, Verdict, Zone
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.5, lon_deg=-1.0)
OFF, BACK, END = 900, 4500, 6600


def way() -> list[tuple[float, float]]:
    """Where it is at each second: at home, to yard A (a quarter of an hour there), to yard B, to its last place."""
    e = n = 0.0
    out, legs = [], [(300, 0.0, 0.0), (600, 12.0, 0.3), (900, 0.0, 0.0), (700, 14.0, 1.4), (500, 0.0, 0.0), (600, 11.0, 2.2)]
    for seconds, v, course in [*legs, (END, 0.0, 0.0)]:
        for _ in range(seconds):
            out.append((e, n))
            e, n = e + v * math.sin(course), n + v * math.cos(course)
    return out[: END + 1]


def yard(name: str, e: float, n: float) -> Zone:
    corners = ((-250, -250), (250, -250), (250, 250), (-250, 250), (-250, -250))
    points = tuple((lon, lat) for lat, lon in (HOME.geodetic(e + de, n + dn) for de, dn in corners))
    return Zone(name=name, points=points, dwell_s=60.0)


def arrivals(order: str, every_s: int, pace_s: float, seed: int) -> list[tuple[float, Fix]]:
    """(second, fix) as they come in; from OFF to BACK nothing does."""
    rng, where, live, store = random.Random(seed), way(), [], []
    for t in range(0, END, every_s):
        lat, lon = HOME.geodetic(where[t][0] + rng.gauss(0, 6), where[t][1] + rng.gauss(0, 6))
        fix = Fix(device="van", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=6.0)
        (store if OFF <= t < BACK and order != "in time" else live).append((t + rng.uniform(0.3, 1.5), fix))
    waiting = [fix for _, fix in store]
    batches = [waiting[k : k + 20] for k in range(0, len(waiting), 20)]
    if order == "newest first":
        waiting.reverse()
    elif order == "newest batch first":
        waiting = [fix for some in reversed(batches) for fix in some]
    elif order == "shuffled batches":
        rng.shuffle(batches)
        waiting = [fix for some in batches for fix in some]
    elif order == "one queue":  # what is made while it drains waits behind
        waiting += [fix for at, fix in live if at >= BACK]
        live = [(at, fix) for at, fix in live if at < BACK]
    for k, fix in enumerate(waiting):
        at = BACK + 2.0 + pace_s * k
        live.append((max(at, (fix.time_ns - T0) / NS + 1.0) if order == "one queue" else at, fix))
    return sorted(live, key=lambda row: row[0])


def told(journal, order: str, every_s: int, pace_s: float, seed: int, *, restart: bool = False):
    rows = arrivals(order, every_s, pace_s, seed)
    places = way()
    j = journal(restart=restart)
    j.add(0, Operation(operation="op", zones=(yard("A", *places[1200]), yard("B", *places[2700]), yard("C", *places[-1]))))
    j.add(0, Device(device="van", klass="van", interval_s=float(every_s)))
    j.add(0, Attachment(device="van", shipment="S", operation="op", from_ns=0))
    last_s = max(END, rows[-1][0]) + 30.0
    ours = Verdict(operation="op", shipment="S", basis="warrant")
    body = [(at, FrameBody(format="x", version=1, payload=b"", device="van", observations=(fix,), verdicts=(ours,)))
            for at, fix in rows]  # fmt: skip
    ticks = [(float(t), Tick()) for t in range(3, int(last_s), 5)]
    for at, one in sorted([*body, *ticks], key=lambda row: row[0]):
        j.add(at, one)
    return j, last_s


def visits(j) -> list[tuple[str, str, int, int | None]]:
    """(kind, text, start, end) of what was told of the yards and holds."""
    return sorted(
        ((e.kind, e.text, e.start_ns, e.end_ns) for e in j.happened("arrived", "left", "inside") if not e.withdrawn),
        key=lambda row: row[2],
    )


@pytest.mark.parametrize("order", ["in order", "newest first", "newest batch first", "shuffled batches"])
@pytest.mark.parametrize(("every_s", "pace_s"), [(10, 0.5), (10, 3.0), (30, 5.0), (60, 1.0)])
def test_a_store_in_any_order_is_as_in_time(order, every_s, pace_s, journal):
    for seed in (1, 2):
        want, _ = told(journal, "in time", every_s, pace_s, seed)
        got, at_s = told(journal, order, every_s, pace_s, seed)
        assert [kind for kind, *_ in visits(want)] == ["arrived", "left", "arrived", "left", "arrived"]
        assert visits(got) == visits(want)
        [a], [b] = want.now(at_s), got.now(at_s)
        same = ("lat_deg", "lon_deg", "p_ee", "p_en", "p_nn", "moved_ns", "hits", "refused", "updated_ns")
        assert [getattr(a, name) for name in same] == [getattr(b, name) for name in same]
        assert not got.happened("clock", "conflict", "jumped", "contradicted")
        assert len(got.happened("reacquired")) <= len(want.happened("reacquired")) + 4
        assert not [p for changes in got.changes for p in changes.points if p.alone]


@pytest.mark.parametrize(("every_s", "pace_s"), [(10, 5.0), (10, 7.0), (10, 9.0), (30, 21.0), (60, 42.0)])
def test_a_queue_that_drains_hardly_faster_than_it_grows_is_no_clock(every_s, pace_s, journal):
    for seed in (1, 2):
        got, at_s = told(journal, "one queue", every_s, pace_s, seed)
        assert not got.happened("clock", "conflict", "jumped", "contradicted")
        assert [kind for kind, *_ in visits(got)] == ["arrived", "left", "arrived", "left", "arrived"]
        [row] = got.now(at_s)
        assert row.moved_ns is not None and abs(row.moved_ns - T0 - 3600 * NS) <= 2 * every_s * NS


def test_put_down_and_taken_up_while_a_store_comes_in_it_tells_the_same(journal):
    told(journal, "shuffled batches", 60, 3.0, 3, restart=True)


def test_what_the_first_fix_after_the_gap_seemed_to_say_is_told_of_its_own_time(journal):
    """It had arrived at C a quarter of an hour before anything was heard of it again: the same event comes to say so."""
    for order in ("in order", "newest first"):
        got, _ = told(journal, order, 10, 0.5, 4)
        first, *_, last = [e for e in got.events("arrived") if e.text == "arrived C"]
        assert first.event_id == last.event_id and first.start_ns > last.start_ns + 300 * NS
        assert abs(last.start_ns - T0 - 3660 * NS) <= 60 * NS and last.end_ns is None and not last.withdrawn


def test_the_ring_is_small_again_when_the_store_is_in(journal):
    got, at_s = told(journal, "newest first", 10, 0.5, 5)
    live = got.fold.live(got.now(at_s)[0].track_id)
    assert live.state.ring.n < 100
