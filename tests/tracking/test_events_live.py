"""Events behind the fold: told with the entry that decides them, the same rows however it was cut, corrected and noted."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from birddog.model import Attachment, Decision, Fix, Operation, Start, Tick, Zone
from birddog.units import NS
from tracking.events import batch
from tracking.events.live import LiveEvents
from tracking.events.model import KINDS
from tracking.events.tracks import tracks
from tracking.events.ways import learn
from tracking.forecast.past import build

T0 = 1_790_000_000 * NS
LAT, LON = 51.95, 4.05
M = 1.0 / 111_195.0


class Beside:
    """The live events of a journal that is being written: with ``restart`` put down and taken up at every entry."""

    def __init__(self, journal, *, restart=False, presets=None):
        self.journal, self.restart, self.live, self.rows = journal(presets=presets), restart, LiveEvents(), []
        self.fixes, self.used = [], None
        self._hear(self.journal.changes[-1])

    def _hear(self, changes):
        if self.restart:
            self.live = LiveEvents.restore(self.live.snapshot(), self.used)
        fold = self.journal.fold
        self.fixes += changes.fixes
        self.rows += self.live.apply(
            self.journal.seq, fold.now_ns, changes, fold.numbers, fold.presets.events, fold.directory
        )
        self.used = fold.directory.ways

    def add(self, at_s, body):
        self._hear(self.journal.add(at_s, body))

    def fix(self, at_s, device, e_m, n_m, *, made_s=None):
        made = T0 + round((at_s if made_s is None else made_s) * NS)
        place = {"lat_deg": float(LAT + n_m * M), "lon_deg": float(LON + e_m * M / 0.6163)}
        self._hear(self.journal.say(at_s, Fix(device=device, time_ns=made, sigma_m=5.0, **place)))

    def newest(self):
        return {row.event_id: row for row in self.rows}


def told(beside):
    def after_s(ns):
        return None if ns is None else (ns - T0) / NS

    return [(r.kind, r.track_ids, after_s(r.start_ns), after_s(r.end_ns)) for r in beside.rows]


def smuggler(journal, **asked):
    """A launch comes to a barge that lies still, lies beside it for ten minutes and falls silent, while others report."""
    b = Beside(journal, **asked)
    rng = np.random.default_rng(3)
    for s in range(0, 3000, 10):
        b.fix(s + 1.0, "barge", *rng.normal(0, 2, 2))
        b.fix(s + 2.0, "ferry", -3000 + 6.0 * s, 4000)
        if s < 2000:
            e_m = max(0.0, 900 - 3.0 * s) + 30 if s < 1000 else 30 + 3.0 * (s - 1000)
            b.fix(s + 3.0, "launch", e_m, 20)
    return b


def test_what_a_smuggler_does_is_told_with_the_fix_that_decides_it(journal):
    b = smuggler(journal)
    by_name = {track.tag_id: name for name, track in b.journal.rows().items()}
    launch, barge = by_name["launch"], by_name["barge"]
    (met,) = [row for row in b.newest().values() if row.kind == "encounter"]
    assert met.track_ids == tuple(sorted((launch, barge))) and met.confidence == 1.0 and met.end_ns is not None
    began = next(row for row in b.rows if row.kind == "encounter")
    # 300 s after the first point of the grid at which both are near and slow, and the next fix after it
    assert began.end_ns is None and began.event_id == met.event_id
    decided_ns = b.journal.entries[began.seq - 1].received_ns
    assert 300 * NS <= decided_ns - began.start_ns <= 325 * NS
    (gap,) = [row for row in b.newest().values() if row.kind == "gap"]
    assert gap.track_ids == (launch,) and gap.measures["switched_off"] is True and gap.measures["heard_near"] >= 5
    assert gap.rule["times"] == 5.0 and "switched off?" in gap.text
    silent_ns = b.journal.entries[gap.seq - 1].received_ns - gap.start_ns
    assert 360 * NS < silent_ns <= 370 * NS
    stops = {row.track_ids[0] for row in b.newest().values() if row.kind == "stop"}
    assert stops == {launch, barge}


def test_its_calm_twin_tells_of_none_of_it(journal):
    b = Beside(journal)
    rng = np.random.default_rng(3)
    for s in range(0, 3000, 10):
        b.fix(s + 1.0, "barge", *rng.normal(0, 2, 2))
        b.fix(s + 2.0, "ferry", -3000 + 6.0 * s, 4000)
        b.fix(s + 3.0, "launch", 900 - 3.0 * s, 300)
    assert {row.kind for row in b.rows} == {"stop"} and len(b.newest()) == 1  # the barge lies where it lies


def shared(journal, **asked):
    """One that lies still and one that sails far off, in turn under one identity, now in long lots, now one by one."""
    b, rng = Beside(journal, **asked), np.random.default_rng(3)
    for s in range(0, 1400, 10):
        if rng.random() < (0.2 if s // 100 % 2 else 0.8):
            b.fix(s + 1.0, "x", *rng.normal(0, 2, 2).tolist())
        else:
            b.fix(s + 1.0, "x", 90_000.0 + 6.0 * s, 4000.0)
        b.fix(s + 2.0, "near", 300.0, 100.0)
    return b


def test_two_under_one_identity_are_told_apart_and_neither_leaves(journal):
    b = shared(journal)
    (x,) = [name for name, track in b.journal.rows().items() if track.tag_id == "x"]
    rows = [row for row in b.newest().values() if x in row.track_ids]
    assert [(r.kind, r.end_ns, r.withdrawn, r.measures.get("thing", 1)) for r in rows] == [("stop", None, False, 1)]
    assert not any(row.kind == "encounter" for row in b.rows)
    restarted = shared(journal, restart=True)
    assert msgspec.msgpack.encode(b.rows) == msgspec.msgpack.encode(restarted.rows)


def test_what_another_thing_under_an_identity_does_says_so_under_its_track(journal):
    b = Beside(journal)
    for s in range(0, 2000, 10):
        b.fix(s + 1.0, "x", 6.0 * s, 4000.0)
        b.fix(s + 4.0, "x", 90_000.0, 0.0)
    (x,) = [name for name, track in b.journal.rows().items() if track.tag_id == "x"]
    (stop,) = b.newest().values()
    assert (stop.kind, stop.track_ids, stop.measures["thing"], stop.end_ns) == ("stop", (x,), 2, None)
    assert stop.text.endswith("another thing under this identity")


def test_a_switched_off_that_others_late_fixes_make_and_their_absence_takes_back(journal):
    b = Beside(journal)
    for s in range(0, 3000, 10):
        if s < 900:
            b.fix(s + 1.0, "launch", 0.0, 0.0)
        b.fix(s + 2.0, "far", 90_000.0, 0.0)
    assert not [row for row in b.rows if row.kind == "gap"]  # nobody else was heard there
    for k in range(6):
        b.fix(3001.0 + k, f"late{k}", 2000.0, 100.0 * k, made_s=1000.0 + 30 * k)
    (gap,) = [row for row in b.newest().values() if row.kind == "gap" and "switched off?" in row.text]
    assert gap.measures["heard_near"] >= 5 and b.journal.entries[gap.seq - 1].received_ns >= T0 + 3004 * NS


@pytest.mark.parametrize("rules", ["quick", "reference"])
def test_live_it_is_the_same_as_of_the_file_of_its_fixes(journal, rules):
    b = smuggler(journal, presets={"events": rules})
    b.add(40_000, Tick())
    engine = b.live._engines["open"]
    ids = sorted({f.track_id for f in b.fixes})
    columns = [np.array([getattr(f, name) for f in b.fixes]) for name in ("time_ns", "lat_deg", "lon_deg")]
    vessel = np.array([ids.index(f.track_id) for f in b.fixes])
    many = tracks(ids, vessel, *columns, engine.rules.reach_mps, engine.rules.thin_s)
    wanted = {
        (e.kind, e.ids, e.start_ns, e.end_ns) for e in batch.events(many, engine.rules, KINDS, b.journal.fold.now_ns)
        if e.kind != "gap" or e.measures["switched_off"]
    }  # fmt: skip
    assert {(r.kind, r.track_ids, r.start_ns, r.end_ns) for r in b.newest().values() if r.kind in KINDS} == wanted
    assert len(wanted) > 2 or rules == "reference"


def test_put_down_and_taken_up_at_every_entry_it_says_the_same_bytes(journal):
    straight, restarted = smuggler(journal), smuggler(journal, restart=True)
    assert msgspec.msgpack.encode(straight.rows) == msgspec.msgpack.encode(restarted.rows)


def test_a_fix_that_comes_late_corrects_and_the_row_keeps_what_had_been_said(journal):
    b = Beside(journal)
    for s in range(0, 1300, 20):
        if not 600 <= s < 700:
            b.fix(s, "van", 0 if s < 1200 else 25.0 * (s - 1180), 0)
    (said,) = [row for row in b.newest().values() if row.kind == "stop"]
    assert (said.start_ns, said.end_ns) == (T0, T0 + 1180 * NS)
    b.fix(1310, "van", 300, 0, made_s=640)
    b.fix(1312, "van", 300, 0, made_s=660)
    rows = [row for row in b.newest().values() if row.kind == "stop"]
    first = next(row for row in rows if row.event_id == said.event_id)
    assert (first.start_ns, first.end_ns) == (T0, T0 + 580 * NS)
    note = first.corrections[0]
    assert (note.what, note.fix_ns, note.end_ns, note.at_ns) == ("corrected", T0 + 640 * NS, said.end_ns, T0 + 1310 * NS)
    assert {(row.start_ns - T0) / NS for row in rows if not row.withdrawn} == {0, 700}


def test_a_fix_that_an_operator_calls_false_is_taken_out_and_undone_it_is_back(journal):
    b = Beside(journal)
    for s in range(0, 400, 20):
        b.fix(s, "van", 400.0 if s == 320 else 0.0, 0)
    (name,) = b.journal.rows()
    before = b.newest()
    b.add(401, Decision(action="false_fix", subject=name, by="x", device="van", time_ns=T0 + 320 * NS))
    (stop,) = [row for row in b.newest().values() if row.kind == "stop" and not row.withdrawn]
    assert stop.end_ns is None and stop.start_ns == T0 and stop.event_id in before
    b.add(402, Decision(action="undo", subject=f"D{b.journal.seq}", by="x"))
    (stop,) = [row for row in b.newest().values() if row.kind == "stop" and not row.withdrawn]
    assert stop.end_ns == T0 + 300 * NS


def test_each_operation_has_its_own_and_what_one_does_changes_nothing_in_another(journal):
    def run(other):
        b = Beside(journal)
        for name in ("A", "B"):
            b.add(0, Operation(operation=name))
            b.add(0, Attachment(device=f"tag-{name}", shipment="S", operation=name, from_ns=0))
        for s in range(0, 600, 20):
            b.fix(s, "tag-A", 0, 0)
            if other:
                b.fix(s + 1, "tag-B", 40, 0)
            else:
                b.add(s + 1, Tick())
        return b

    with_b, alone = run(True), run(False)
    of_a = [msgspec.msgpack.encode(row) for row in with_b.rows if row.operation == "A"]
    assert of_a == [msgspec.msgpack.encode(row) for row in alone.rows] and of_a
    assert {row.operation for row in with_b.rows} == {"A", "B"} and len({row.event_id for row in with_b.rows}) == 2


def test_other_rules_end_what_lasts_and_off_tells_nothing(journal):
    b = Beside(journal)
    for s in range(0, 600, 20):
        b.fix(s, "van", 0, 0)
    b.add(601, Start(version="t", presets={"events": "off"}, exercise=True))
    assert told(b)[-1] == ("stop", b.rows[0].track_ids, 0.0, 300.0)
    for s in range(620, 1300, 20):
        b.fix(s, "van", 0, 0)
    assert len(b.newest()) == 1


def test_too_late_is_said_once_an_hour_and_not_swallowed(journal):
    b = Beside(journal)
    for s in range(0, 9000, 60):
        b.fix(s, "van", 10.0 * s, 0)
    for s in (9001, 9002, 9003):
        b.fix(s, "van", 0, 0, made_s=s - 8995)
    (row,) = [row for row in b.rows if row.kind == "too_late"]
    assert row.start_ns == T0 + 6 * NS and row.end_ns == row.start_ns


def test_what_is_kept_does_not_grow_with_who_was_there_once(journal):
    b = Beside(journal)
    sizes = []
    for day in range(3):
        for k in range(30):
            b.fix(day * 200_000 + k, f"v{day}-{k}", 500.0 * k, 0)
        b.add(day * 200_000 + 199_000, Tick())
        sizes.append(len(b.live.snapshot()))
    assert sizes[2] < 1.2 * sizes[1]


def at(e_m, n_m):
    return float(LON + e_m * M / 0.6163), float(LAT + n_m * M)


def ring(west_m, south_m, east_m, north_m):
    corners = ((west_m, south_m), (east_m, south_m), (east_m, north_m), (west_m, north_m), (west_m, south_m))
    return tuple(at(*corner) for corner in corners)


ZONES = (
    Zone(name="Depot", points=ring(-300, -300, 300, 300), role="port"),
    Zone(name="Bridge", points=(at(2000, -500), at(2000, 500)), role="gate"),
    Zone(name="Land", points=ring(4000, -9000, 20_000, 9000), role="border"),
)


def ways():
    """Of an archive in which a dozen drove from west to east."""
    rows = [(v, -7200.0 * (v + 1) + 60 * k, *at(-3000 + 900 * k, 0)) for v in range(12) for k in range(20)]
    columns = [np.array(c) for c in zip(*((v, t, lat, lon) for v, t, lon, lat in rows), strict=True)]
    return learn(build([f"p{v}" for v in range(12)], *columns), cell_m=500.0, archive_sha256="a" * 64)


def van(journal, **asked):
    """A shipment waits in the depot, drives over the bridge, stands where nobody stops, crosses the border, leaves the road."""
    b = Beside(journal, **asked)
    b.add(0, Operation(operation="JAY", zones=ZONES))
    b.add(0, Attachment(device="tag", shipment="S1", operation="JAY", from_ns=T0))
    b.add(0, ways())
    e, n = -1500.0, 0.0
    for s in range(30, 3000, 15):
        b.fix(s, "tag", e, n)
        if 300 <= s < 900 or 1400 <= s < 2000:
            continue
        e, n = (e + 15 * 10.0, n) if s < 2400 else (e, n + 15 * 10.0)
        e = 0.0 if s < 300 and e > 0 else e
    b.add(3100, Operation(operation="JAY"))
    return b


def test_a_case_is_told_who_visits_its_ports_passes_its_lines_crosses_its_borders_and_leaves_the_used_ways(journal):
    b = van(journal)
    rows = {row.kind: row for row in b.newest().values()}
    assert set(rows) == {"visit", "portal", "border", "lane_stop", "deviation", "stop"}
    assert all(row.operation == "JAY" and row.event_id.endswith("-2") for row in rows.values())
    assert rows["visit"].measures["place"] == "Depot" and rows["visit"].end_ns is not None
    assert rows["portal"].text.startswith("passes Bridge to its right at 10.0 m/s")
    assert rows["border"].text.startswith("enters Land") and rows["border"].measures["entered"] is True
    assert rows["lane_stop"].measures["others_passed"] == 12 and rows["lane_stop"].rule["archive_sha256"] == "a" * 64
    assert rows["deviation"].rule["archive_sha256"] == "a" * 64 and rows["deviation"].measures["away_m"] > 1000.0
    # with the fix that decides it
    for kind in ("portal", "border"):
        assert b.journal.entries[rows[kind].seq - 1].received_ns == rows[kind].end_ns


def test_what_depends_on_an_archive_is_told_again_without_it(journal):
    whole = van(journal)
    again = van(journal, restart=True)
    assert msgspec.msgpack.encode(again.rows) == msgspec.msgpack.encode(whole.rows)


def test_places_that_are_watched_no_longer_are_visited_no_longer(journal):
    b = Beside(journal)
    b.add(0, Operation(operation="JAY", zones=ZONES))
    b.add(0, Attachment(device="tag", shipment="S1", operation="JAY", from_ns=T0))
    for s in range(30, 600, 15):
        b.fix(s, "tag", 0.0, 0.0)
    assert [row.end_ns for row in b.newest().values() if row.kind == "visit"] == [None]
    b.add(600, Operation(operation="JAY"))
    assert [row.end_ns for row in b.newest().values() if row.kind == "visit"] == [T0 + 585 * NS]


@pytest.mark.parametrize("restart", [False, True])
def test_what_lasts_in_a_case_that_is_closed_has_ended(journal, restart):
    """A barge of the case lies still when the case is closed; opened again, its stop is another event."""
    b = Beside(journal, restart=restart)
    b.add(0, Operation(operation="A"))
    b.add(0, Attachment(device="barge", shipment="s", operation="A", from_ns=0))
    for s in range(10, 1500, 30):
        b.fix(s, "barge", 0, 0)
    (stop,) = [row for row in b.newest().values() if row.operation == "A"]
    assert stop.kind == "stop" and stop.end_ns is None
    b.add(1500, Operation(operation="A", closed=True))
    for s in range(1530, 2400, 30):
        b.add(s, Tick())
    (over,) = [row for row in b.newest().values() if row.operation == "A"]
    assert over.event_id == stop.event_id and over.end_ns == over.last_ns and over.text.endswith("; the case was closed")
    assert T0 <= over.end_ns <= T0 + 1500 * NS
    b.add(2400, Operation(operation="A"))
    for s in range(2430, 3900, 30):
        b.fix(s, "barge", 0, 0)
    again = [row for row in b.newest().values() if row.operation == "A" and row.event_id != stop.event_id]
    assert [(row.kind, row.end_ns) for row in again] == [("stop", None)] and again[0].start_ns >= T0 + 2400 * NS
