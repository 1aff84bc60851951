"""The short ways through the fold end where the long ones do: an entry folded in one frame, a filter that runs in a row."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from birddog.geo import LocalFrame
from birddog.model import Alarm, Attachment, Device, Entry, Fix, FrameBody, Operation, Start, Tick, Verdict, pack
from birddog.units import NS
from tracking.fold import Fold
from tracking.track_state import LiveTrack
from tracking.usual import Usual

T0 = 1_790_000_000 * NS


def entries(seed: int, n: int, *, late_s: float = 0.0, away: float = 0.0, case: bool = False, delay_s: float = 0.0,
            step_s: tuple[float, ...] = (1.0, 5.0, 60.0), enrolled: bool = True,
            stands: bool = False, wrong: float = 0.0, jammed: bool = False,
            speeds: tuple[float, ...] = (0.0, 2.0, 25.0), courses: bool = True) -> list[Entry]:  # fmt: skip
    """Four devices that drive, turn and stand, state speeds and batteries now and then, late or far off now and then.

    ``jammed``: all the time; and each hangs at its place for a while now and then.
    """
    rng, rows = random.Random(seed), []
    bodies: list = [("start", Start(version="t", presets={}, exercise=not case))]
    if case:
        bodies.append(("operation", Operation(operation="op")))
    for d in range(4):
        if enrolled:
            bodies.append(("device", Device(device=f"d{d}", basis="warrant" if case else "own_sensor",
                                            klass=("van", "walker", "vessel", "")[d], interval_s=10.0)))  # fmt: skip
        if case:  # two of them on one shipment
            bodies.append(("attachment", Attachment(device=f"d{d}", shipment=f"s{d // 2}", operation="op", from_ns=T0)))
        home, t, e, north, speed, course = LocalFrame(lat_deg=10.0 + d, lon_deg=179.9 - d), 0.0, 0.0, 0.0, 10.0, 1.0
        hangs = (0.0, 0.0, 0.0)
        for _ in range(n // 4):
            dt = rng.choice(step_s)
            t, speed = t + dt, rng.choice(speeds) if rng.random() < 0.05 else speed
            course += rng.gauss(0.0, 0.2)
            e, north = e + speed * dt * math.sin(course), north + speed * dt * math.cos(course)
            off = rng.gauss(0.0, 20_000.0) if rng.random() < away else 0.0
            lat, lon = home.geodetic(e + off + rng.gauss(0.0, 5.0), north + rng.gauss(0.0, 5.0))
            says = 0.0 if stands and d % 2 else speed * wrong if wrong and d % 2 else speed
            said = {} if rng.random() < 0.5 and not wrong else {"speed_mps": says, "course_deg": math.degrees(course) % 360.0}
            if not courses:
                said.pop("course_deg", None)
            facts = {"battery_level": rng.randrange(100)} if rng.random() < 0.05 else {}
            if jammed:
                hangs = (lat, lon, t + 40.0) if rng.random() < 0.02 and t > hangs[2] else hangs
                lat, lon = hangs[:2] if t < hangs[2] else (lat, lon)
            fix = Fix(device=f"d{d}", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon,
                      sigma_m=rng.choice((None, 5.0)), attributes=facts, **said)  # fmt: skip
            if jammed and rng.random() < 0.2:
                rows.append((t, Alarm(device=f"d{d}", time_ns=T0 + round(t * NS), alarm="jamming")))
            rows.append((t + rng.random() * delay_s + (rng.random() * late_s if rng.random() < 0.3 else 0.0), fix))
    at = [(0.0, kind, body) for kind, body in bodies]
    for arrived_s, fix in sorted(rows, key=lambda row: row[0]):
        d = int(fix.device[1:])
        verdict = Verdict("op", f"s{d // 2}", "warrant", "admitted") if case else Verdict("open", "", "own_sensor", "admitted")
        at.append((arrived_s, "frame", FrameBody(format="x", version=1, payload=b"", observations=(fix,), verdicts=(verdict,))))
    return [Entry(seq=k, kind=kind, received_ns=T0 + round(s * NS), source="t", ident=k.to_bytes(8), body=pack(body))
            for k, (s, kind, body) in enumerate(at, 1)]  # fmt: skip


@pytest.mark.parametrize("how", [{}, {"late_s": 90.0}, {"away": 0.05}, {"case": True}, {"delay_s": 3.0}, {"delay_s": 90.0},
                                 {"case": True, "delay_s": 90.0}, {"step_s": (1.0,)},
                                 {"step_s": (1.0,), "delay_s": 30.0}, {"step_s": (0.3,), "delay_s": 25.0}, {"enrolled": False},
                                 {"step_s": (5.0, 300.0, 900.0)}, {"stands": True},
                                 {"stands": True, "late_s": 90.0}, {"wrong": 0.5, "step_s": (1.0, 5.0)},
                                 {"wrong": 3.6, "late_s": 90.0, "step_s": (5.0,)},
                                 {"jammed": True, "delay_s": 30.0, "step_s": (1.0,)},
                                 {"jammed": True, "delay_s": 20.0, "step_s": (0.1, 1.0), "seed": 2, "n": 900},
                                 {"speeds": (25.0, 250.0), "step_s": (5.0, 10.0)},
                                 {"courses": False, "wrong": 1.0, "speeds": (0.0, 0.7, 25.0), "step_s": (5.0,)},
                                 {"courses": False, "jammed": True, "late_s": 90.0, "step_s": (1.0, 5.0)},
                                 {"courses": False, "speeds": (0.0, 9.0, 340.0), "step_s": (5.0,), "late_s": 9.0}])  # fmt: skip
def test_an_entry_folded_in_one_frame_changes_what_the_long_way_changes(how, monkeypatch):
    """Every row, point, event and taken fix, and at the end the whole state, byte for byte."""
    some, short, long = entries(**{"seed": 7, "n": 600, **how}), Fold(), Fold()
    took = 0
    for entry in some:
        changes = short.apply(entry)
        with monkeypatch.context() as patch:
            patch.setattr(Usual, "take", lambda *_: None)
            assert changes == long.apply(entry)
        took += changes.points != [] and short.snapshot() == long.snapshot() if entry.seq % 50 == 0 else 0
    assert took > 0 and short.snapshot() == long.snapshot()


def test_nearly_all_entries_go_the_short_way(monkeypatch):
    """Or it would be of no use, and the test above would compare the long way with itself."""
    went = []
    take = Usual.take
    monkeypatch.setattr(Usual, "take", lambda self, *a: went.append(take(self, *a)) or went[-1])

    def short(n, **how):
        """How many of n entries went the short way, and how many of them waited."""
        went.clear()
        fold = Fold()
        for entry in entries(3, n, **how):
            fold.apply(entry)
        some = [changes for changes in went if changes is not None]
        return len(some), sum(1 for changes in some if changes.fixes and not changes.points)

    took, _ = short(400, step_s=(1.0, 5.0))
    assert took > 0.8 * 400
    _, waited = short(1200, step_s=(1.0,), delay_s=30.0)
    assert waited > 0.4 * 1200, "what is late and waits takes its place in as short a way"
    took, waited = short(2400, step_s=(0.1,), delay_s=20.0)
    assert waited > 0.7 * 2400, "also where its messages come in any order, so that nothing is learnt of its clock"
    assert took > 0.95 * 2400, "and so does what tells of those that waited"


def test_what_a_track_of_nobodys_begins_with_is_what_it_would_be_described_by(monkeypatch):
    """Else its next fix would go the long way, only to describe it."""
    fold = Fold()
    for entry in entries(3, 40, enrolled=False):
        fold.apply(entry)
        for live in fold._folds["open"].tracker.tracks.values() if "open" in fold._folds else ():
            begun, device = live.described, live.state.tag_id
            live.described = None
            fold._folds["open"]._describe(live, begun[2], device, begun[3])
            assert live.described == begun or device in fold._folds["open"]._state.facts
            live.described = begun


def test_a_filter_that_runs_in_a_row_is_the_one_of_a_fold_that_was_stored(monkeypatch):
    """A fold that is stored and restored after each entry runs every filter again from its ring; the changes are the same."""
    going, stored = Fold(), Fold()
    for entry in entries(5, 160, late_s=30.0, step_s=(1.0, 5.0)):
        changes = going.apply(entry)
        assert changes == stored.apply(entry)
        stored = Fold.restore(stored.snapshot())
    assert going.snapshot() == stored.snapshot()


def test_nor_does_it_matter_whether_a_filter_runs(monkeypatch):
    """With every measurement from Core to Core: the same to a part in a million, and the same words."""
    some, runs, cores = entries(9, 400, late_s=30.0, away=0.02), Fold(), Fold()
    for entry in some:
        a = runs.apply(entry)
        with monkeypatch.context() as patch:
            patch.setattr(LiveTrack, "follow", lambda *_: None)
            patch.setattr(Usual, "_begins", lambda *_: None)
            b = cores.apply(entry)
        assert [event.text for event in a.events] == [event.text for event in b.events]
        for one, other in zip((*a.tracks, *a.points), (*b.tracks, *b.points), strict=True):
            ours, theirs = msgspec.to_builtins(one), msgspec.to_builtins(other)
            assert ours.keys() == theirs.keys()
            for name, value in ours.items():
                if isinstance(value, float):
                    assert value == pytest.approx(theirs[name], rel=1e-6, abs=1e-6), name
                else:
                    assert value == theirs[name], name


def test_where_a_filter_is_shown_is_the_same_of_one_that_was_stored(journal):
    """To the last digit, anywhere: what Python and the kernel compute twice is computed alike."""
    rng = random.Random(1)
    for _ in range(1_500):
        lat, lon, rows = rng.uniform(-70.0, 70.0), rng.uniform(-180.0, 180.0), []
        for stored in (False, True):
            j = journal()
            j.say(10, Fix(device="d", time_ns=T0 + 10 * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0))
            j.fold = Fold.restore(j.fold.snapshot()) if stored else j.fold
            rows.append(j.add(28, Tick()).tracks)
        assert rows[0] == rows[1] != []


@pytest.mark.parametrize("klass", ["vessel", "van", ""])
def test_what_is_believed_at_many_times_at_once_is_what_it_is_at_each(klass, journal, monkeypatch):
    """To the last digit, and as the long way has it: on its way between two reports, overdue, and silent for days."""
    rng, n = random.Random(klass), 6
    for _ in range(6):
        j, home = journal(), LocalFrame(lat_deg=rng.uniform(-70, 70), lon_deg=rng.uniform(-180, 180))
        speed, course = 9.0, rng.uniform(0, 360)
        j.add(0, Device(device="d", basis="own_sensor", klass=klass, interval_s=1800.0))
        for k in range(n):
            far = 1800.0 * speed * max(0, k - 1)
            lat, lon = home.geodetic(far * math.sin(math.radians(course)), far * math.cos(math.radians(course)))
            says = {"speed_mps": speed if k else 0.0, "course_deg": course} if rng.random() < 0.5 else {}
            j.say(1800 * k, Fix(device="d", time_ns=T0 + 1800 * k * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0, **says))
        last = 1800 * (n - 1)
        waits = (0, 1, 59, 60, 600, 1799, 4000, 4500, 4501, 5000, 9000, 40_000, 86_400, 2e6)
        times = [T0 + round((last + s) * NS) for s in waits]
        at_once, each = j.fold.believed_all(times), [j.fold.believed(t) for t in times]
        with monkeypatch.context() as long:
            long.setattr(LiveTrack, "_as_it_runs", property(lambda self: False))
            assert at_once == each == j.fold.believed_all(times)
        assert len({row.lat_deg for [row] in at_once}) > 6
