"""What an operator decides of a track is obeyed, undone by another entry, and the same whatever came in between."""

from __future__ import annotations

import msgspec
import pytest

from birddog.geo import LocalFrame, distance_m
from birddog.model import Attachment, Decision, Device, Event, Fix, FrameBody, Operation, Start
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
CASE = [
    (0, Start(version="x", presets={}, exercise=False)),
    (0, Operation(operation="A")),
    (0, Device(device="gps", klass="van", interval_s=10.0)),
    (0, Attachment(device="gps", shipment="S", operation="A", from_ns=T0)),
]


def fix(t: float, e: float, n: float = 0.0, came: float | None = None) -> tuple:
    lat, lon = HOME.geodetic(e, n)
    one = Fix(device="gps", time_ns=T0 + int(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)
    return t + 0.5 if came is None else came, FrameBody(format="x", version=1, payload=b"", device="gps", observations=(one,))


@pytest.fixture
def folded(journal):
    """``folded(bodies)``: the fold of (t s, body), and the events that were told."""
    def those(bodies) -> tuple[Fold, list[Event]]:
        said = journal(begun=False, restart=True).take(bodies)
        return said.fold, said.events()

    return those


def rows(fold: Fold, t: float) -> list:
    return [msgspec.structs.replace(row, refused=0, contact_ns=0) for row in fold.believed(T0 + int(t * NS))]


def away_m(fold: Fold, t: float, e: float, n: float = 0.0) -> float:
    [row] = fold.believed(T0 + int(t * NS))
    lat, lon = HOME.geodetic(e, n)
    return distance_m(lat1_deg=row.lat_deg, lon1_deg=row.lon_deg, lat2_deg=lat, lon2_deg=lon)


def false_fix(t: float, at: float, **words) -> tuple:
    return t, Decision(action="false_fix", subject="T5", by="anna", device="gps", time_ns=T0 + int(at * NS), **words)


#: A van at 15 m/s; the fix at 60 s is 90 m off, near enough to be believed.
DRIVE = [fix(t, 15.0 * t, 90.0 if t == 60 else 0.0) for t in range(10, 70, 10)]


def test_a_fix_that_is_false_has_never_been(folded):
    said, events = folded([*CASE, *DRIVE, false_fix(61, 60, note="tunnel")])
    without, _ = folded([*CASE, *DRIVE[:-1]])
    assert rows(said, 65) == rows(without, 65)
    event = events[-1]
    assert (event.kind, event.operation, event.device, event.track_ids) == ("decided", "A", "gps", ("T5",))
    assert event.text == f"anna: the fix of gps at 2026-09-21T14:14:20.000Z is false (D{len(CASE) + len(DRIVE) + 1}): tunnel"
    assert away_m(said, 65, 975.0) < away_m(folded([*CASE, *DRIVE])[0], 65, 975.0)


def test_nor_does_a_copy_of_it_count_and_what_comes_late_is_put_in_its_place(folded):
    more = [DRIVE[-1], *(fix(t, 15.0 * t) for t in (70, 80)), fix(65, 975.0, came=81)]
    more[0] = (62, more[0][1])
    said, _ = folded([*CASE, *DRIVE, false_fix(61, 60), *more])
    plain, _ = folded([*CASE, *DRIVE[:-1], *more[1:]])
    assert rows(said, 85) == rows(plain, 85)


def test_undone_it_counts_again(folded):
    number = len(CASE) + len(DRIVE) + 1
    undo = (62, Decision(action="undo", subject=f"D{number}", by="ben"))
    said, events = folded([*CASE, *DRIVE, false_fix(61, 60), undo])
    plain, _ = folded([*CASE, *DRIVE])
    assert rows(said, 65) == rows(plain, 65)
    assert [event.kind for event in events[-2:]] == ["decided", "decided"] and "ben: D" in events[-1].text
    _, events = folded([*CASE, *DRIVE, false_fix(61, 60), undo, undo])
    assert events[-1].kind == "decided_nothing" and "undone already" in events[-1].text


@pytest.mark.parametrize(
    "decision, words",
    [
        (false_fix(61, 59), "can be taken out any more"),
        ((61, Decision(action="false_fix", subject="T5", by="anna", device="gps")), "can be taken out any more"),
        ((61, Decision(action="false_fix", subject="T99", by="anna", device="gps", time_ns=T0)), "no such track"),
        ((61, Decision(action="take_over", subject="T5", by="anna")), "no refused fix"),
        ((61, Decision(action="undo", subject="D1", by="anna")), "it did nothing"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(decision, words, folded):
    said, events = folded([*CASE, *DRIVE, decision])
    plain, _ = folded([*CASE, *DRIVE])
    assert rows(said, 65) == rows(plain, 65)
    assert events[-1].kind == "decided_nothing" and words in events[-1].text


@pytest.mark.parametrize("action, subject", [("take_over", "T99"), ("false_fix", "T99"), ("undo", "D1")])
def test_what_could_not_be_decided_of_a_case_is_told_in_that_case(action, subject, folded):
    """It names the case's track and its operator: in ``open`` it would stand in everybody's picture."""
    decision = (61, Decision(action=action, subject=subject, by="anna", operation="A", time_ns=T0))
    _, events = folded([*CASE, *DRIVE, decision])
    assert (events[-1].kind, events[-1].operation) == ("decided_nothing", "A")
    assert events[-1].event_id.endswith("-2"), "by the case's number, as every event of it"


def test_a_decision_of_one_case_does_nothing_in_another(folded):
    other = [(0, Operation(operation="B"))]
    decision = (61, Decision(action="false_fix", subject="T5", by="anna", operation="B", device="gps", time_ns=T0 + 60 * NS))
    said, events = folded([*CASE, *DRIVE, *other, decision])
    plain, _ = folded([*CASE, *DRIVE, *other])
    assert rows(said, 65) == rows(plain, 65)
    assert (events[-1].kind, events[-1].operation) == ("decided_nothing", "B")


def test_an_undo_with_another_operation_does_not_say_that_the_decision_did_nothing(folded):
    """An auditor: a decision of a case, undone in ``open``, was said to have done nothing; it had, and was not undone."""
    number = len(CASE) + len(DRIVE) + 1
    undo = (62, Decision(action="undo", subject=f"D{number}", by="ben", operation="open"))
    said, events = folded([*CASE, *DRIVE, false_fix(61, 60), undo])
    kept, _ = folded([*CASE, *DRIVE, false_fix(61, 60)])
    assert rows(said, 65) == rows(kept, 65) and (events[-1].kind, events[-1].operation) == ("decided_nothing", "open")
    assert "did nothing in open, or is undone already; what was given in another operation is undone there" in events[-1].text


def test_the_only_fix_of_a_track_stays(folded):
    _, events = folded([*CASE, DRIVE[0], false_fix(11, 10)])
    assert "is all that is known" in events[-1].text


#: It stands for half an hour; then one fix says that it is 40 km away.
STANDS = [fix(t, 0.0) for t in range(10, 1800, 60)]
FAR = fix(1810, 40_000.0)


def test_an_operator_lets_the_other_place_take_over(folded):
    before, _ = folded([*CASE, *STANDS, FAR])
    assert away_m(before, 1812, 0.0) < 50
    decision = (1811, Decision(action="take_over", subject="T5", by="anna"))
    after, events = folded([*CASE, *STANDS, FAR, decision, fix(1820, 40_100.0)])
    assert away_m(after, 1821, 40_100.0) < 50
    assert [event.kind for event in events if event.kind.startswith("decided")] == ["decided"]
    undo = (1812, Decision(action="undo", subject=f"D{len(CASE) + len(STANDS) + 2}", by="anna"))
    undone, _ = folded([*CASE, *STANDS, FAR, decision, undo])
    assert rows(undone, 1813) == rows(before, 1813)
