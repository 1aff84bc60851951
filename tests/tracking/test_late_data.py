"""Late data is exact and paid for: whatever the order of arrival, one picture; and the ring is not run again for each."""

from __future__ import annotations

import random

import msgspec
import pytest

from birddog.geo import LocalFrame
from birddog.model import Entry, Fix, FrameBody, Start, Tick, pack, unpack
from birddog.units import NS
from tracking import track_state
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)


def fixes(n: int, every_s: float, seed: int = 1) -> list[Fix]:
    rng, out = random.Random(seed), []
    for k in range(n):
        lat, lon = HOME.geodetic(9.0 * k * every_s + rng.gauss(0, 5), rng.gauss(0, 5))
        out.append(Fix(device="d", time_ns=T0 + round(k * every_s * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0))
    return out


def arriving(some: list[Fix], late_s: float, seed: int = 2) -> list[Entry]:
    """The fixes as entries in order of arrival, each up to so late, with a tick each 5 s and at the end."""
    rng = random.Random(seed)
    rows = [(fix.time_ns + round(rng.uniform(0.0, late_s) * NS), fix) for fix in some]
    end_ns = max(at for at, _ in rows) + 60 * NS
    rows += [(t, None) for t in range(T0, end_ns, 5 * NS)]
    rows.sort(key=lambda row: row[0])
    start = pack(Start(version="t", presets={}, exercise=True))
    out = [Entry(seq=1, kind="start", received_ns=T0, source="s", ident=b"0", body=start)]
    for at, fix in rows:
        body = Tick() if fix is None else FrameBody(format="x", version=1, payload=b"", device="d", observations=(fix,))
        seq, kind = len(out) + 1, "tick" if fix is None else "frame"
        out.append(Entry(seq=seq, kind=kind, received_ns=at, source="s", ident=b"%d" % seq, body=pack(body)))
    return out


def folded(entries: list[Entry], cut: int = 0) -> tuple[Fold, list]:
    """The fold and all that was given out; ``cut``: put down and taken up again after each so many entries."""
    fold, out = Fold(), []
    for i, entry in enumerate(entries):
        if cut and i % cut == 0:
            fold = Fold.restore(fold.snapshot())
        out.append(fold.apply(entry))
    return fold, out


@pytest.mark.parametrize(("n", "every_s", "late_s"), [(300, 0.1, 15.0), (200, 1.0, 60.0), (120, 10.0, 100.0)])
def test_any_order_of_arrival_gives_the_same(n, every_s, late_s):
    some, at_ns = fixes(n, every_s), T0 + round((n * every_s + 200) * NS)
    want, _ = folded(arriving(some, 0.0))
    got, told = folded(arriving(some, late_s))
    [a], [b] = want.believed(at_ns), got.believed(at_ns)
    same = ("lat_deg", "lon_deg", "ve_mps", "vn_mps", "p_ee", "p_en", "p_nn", "hits", "refused", "updated_ns")
    assert [getattr(a, name) for name in same] == [getattr(b, name) for name in same]
    # each fix has its step; one that another came in before has versions (tests/tracking/test_steps.py)
    points = [point.time_ns for changes in told for point in changes.points if point.origin == "fix"]
    assert sorted(set(points)) == [fix.time_ns for fix in some]
    assert len(points) < 12 * n


def test_asked_or_put_down_at_any_time_it_tells_the_same():
    """What is asked in between (``believed``) and where a run is cut play no part in what waits and when it is told."""
    entries = arriving(fixes(300, 0.1), 15.0)
    want = msgspec.msgpack.encode(folded(entries)[1])
    assert msgspec.msgpack.encode(folded(entries, 7)[1]) == want
    fold, out = Fold(), []
    for entry in entries:
        out.append(fold.apply(entry))
        fold.believed(entry.received_ns)
    assert msgspec.msgpack.encode(out) == want


@pytest.mark.parametrize("most", [track_state.RING_MOST, 96])
@pytest.mark.parametrize("seed", range(4))
def test_a_late_fix_like_nearly_all_is_what_the_long_way_makes_of_it(seed, most, monkeypatch):
    """To the last byte of all that is told, with fixes that are false and a place that is left for another; also where the ring
    is as long as it gets.
    """
    monkeypatch.setattr(track_state, "RING_MOST", most)
    some, rng, off = fixes(300, 1.0, seed), random.Random(seed), 0.0
    for k in range(len(some)):
        off = 0.2 if k == 200 and seed % 2 else off
        away = off + (0.03 if rng.random() < 0.04 else 0.0)
        some[k] = msgspec.structs.replace(some[k], lat_deg=some[k].lat_deg + away)
    entries = arriving(some, (4.0, 40.0)[seed // 2], seed)
    put, followed = [], []
    put_in, follow = track_state.LiveTrack.put_in, track_state.LiveTrack.follow
    with monkeypatch.context() as m:
        m.setattr(track_state.LiveTrack, "put_in", lambda *args: put.append(put_in(*args)) or put[-1])
        m.setattr(track_state.LiveTrack, "follow", lambda *args: followed.append(follow(*args)) or followed[-1])
        fold, got = folded(entries)
    assert sum(one is not None for one in put[len(put) // 2 :]) > len(put) / 4
    assert any(one is not None for one in followed)
    monkeypatch.setattr(track_state.LiveTrack, "put_in", lambda *_: None)
    long, want = folded(entries)
    assert msgspec.msgpack.encode(got) == msgspec.msgpack.encode(want)
    assert fold.snapshot() == long.snapshot()
    assert {event.kind for changes in got for event in changes.events} >= {"outlier"}


def test_the_ring_is_not_run_again_for_each(monkeypatch):
    """A device at 10 Hz, each fix up to 20 s late: some steps a message, not the two hundred that its disorder is long."""
    steps, real = [0], track_state.advance

    def counted(*args):
        steps[0] += 1
        return real(*args)

    monkeypatch.setattr(track_state, "advance", counted)
    entries = arriving(fixes(900, 0.1), 20.0)
    folded(entries)
    assert steps[0] < 12 * 900


def test_what_comes_in_disorder_waits_for_the_next_in_time(monkeypatch):
    """Once what may be run again at once is used up the ring is run again for those in time, and for few others."""
    entries, since = arriving(fixes(1500, 0.1), 20.0), track_state.LiveTrack.since
    runs: list[int] = []
    monkeypatch.setattr(track_state.LiveTrack, "since", lambda *args: runs.append(1) or since(*args))
    fold, newest_ns, in_time = Fold(), 0, 0
    for entry in entries:
        before = len(runs)
        fold.apply(entry)
        if entry.kind == "frame":
            time_ns = unpack(entry).observations[0].time_ns
            in_time, newest_ns = in_time + (time_ns > newest_ns), max(newest_ns, time_ns)
            if entry.seq < 500:
                in_time = 0
        if entry.seq < 500:
            del runs[before:]
    assert in_time > 60 and 0.8 * in_time < len(runs) < 1.5 * in_time


def test_one_late_fix_is_told_of_at_once():
    entries = arriving(fixes(100, 1.0), 0.0)
    fold, _ = folded(entries)
    [*_, last] = [entry for entry in entries if entry.kind == "frame"]
    late = Fix(device="d", time_ns=T0 + 50 * NS + NS // 2, lat_deg=HOME.geodetic(454.0, 0.0)[0],
               lon_deg=HOME.geodetic(454.0, 0.0)[1], sigma_m=5.0)  # fmt: skip
    body = FrameBody(format="x", version=1, payload=b"", device="d", observations=(late,))
    changes = fold.apply(Entry(seq=len(entries) + 1, kind="frame", received_ns=last.received_ns + 60 * NS, source="s",
                               ident=b"late", body=pack(body)))  # fmt: skip
    told = [point.time_ns for point in changes.points if point.origin == "fix"]
    assert told == [late.time_ns, *[T0 + t * NS for t in range(51, 100)]], "and the steps after it are told anew"


def test_a_jump_is_told_of_in_whatever_order_its_fixes_come():
    """It is the late one of three that makes them agree: those that came before it had been refused."""
    some = fixes(60, 10.0)
    some[30:] = [msgspec.structs.replace(fix, lat_deg=fix.lat_deg + 1.5) for fix in some[30:]]
    in_order = {event.kind for changes in folded(arriving(some, 0.0))[1] for event in changes.events}
    assert in_order >= {"reacquired", "jumped"}
    for seed in range(6):
        entries = arriving(some, 30.0, seed)
        _, told = folded(entries)
        events = [event for changes in told for event in changes.events]
        assert {"reacquired", "jumped"} <= {event.kind for event in events}, seed
        assert sum(event.kind == "reacquired" for event in events) == 1
        assert msgspec.msgpack.encode(folded(entries, 7)[1]) == msgspec.msgpack.encode(told)
