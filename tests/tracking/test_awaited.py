"""A device that was attached and is not heard is told of: nobody may believe that all is well."""

from __future__ import annotations

import msgspec
import pytest

from birddog.model import (
    Attachment,
    Device,
    Event,
    Fix,
    FrameBody,
    Operation,
    Reading,
    RefusalBody,
    Reject,
    Start,
    Tick,
    Verdict,
)
from birddog.units import NS, iso_from_ns

T0 = 1_790_000_000 * NS
CASE = [
    (0, Start(version="x", presets={}, exercise=False)),
    (0, Operation(operation="A")),
    (0, Device(device="tag", klass="van", interval_s=5.0)),
]
ATTACHED = Attachment(device="tag", shipment="crate-40", operation="A", from_ns=T0 + 10 * NS)


@pytest.fixture
def told(journal):
    """``told(bodies)``: (time s, event) of what a journal of (t s, body) is told of who is not heard."""
    def those(bodies) -> list[tuple[int, Event]]:
        changes = journal(begun=False, restart=True).take(bodies).changes
        kinds = ("never_heard", "not_admitted")
        return [(t, e) for (t, _), c in zip(bodies, changes, strict=True) for e in c.events if e.kind in kinds]

    return those


def ticks(begin: int, end: int) -> list:
    return [(t, Tick()) for t in range(begin, end, 5)]


def fix(t: float) -> tuple:
    one = Fix(device="tag", time_ns=T0 + int(t * NS), lat_deg=52.0, lon_deg=4.0, sigma_m=5.0)
    return t, FrameBody(format="x", version=1, payload=b"", device="tag", observations=(one,))


def test_who_was_attached_and_never_heard_is_told_of_once_and_until_it_is_heard(told):
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 120), fix(130)]
    [(begun, event), (ended, over)] = told(bodies)
    assert (event.kind, event.operation, event.device, event.end_ns) == ("never_heard", "A", "tag", None)
    # no age, which would stand there for ever beside a row that counts on
    assert event.text == f"crate-40: tag was never heard, waited for since {iso_from_ns(T0 + 10 * NS)}, expected every 5 s"
    assert event.start_ns == T0 + 35 * NS and begun == 35  # 5 intervals after it was attached, at the first entry then
    assert (ended, over.event_id, over.end_ns) == (130, event.event_id, T0 + 130 * NS)


@pytest.mark.parametrize(
    "bodies",
    [
        [(12, ATTACHED), fix(20), *ticks(25, 200)],
        [(12, ATTACHED), (20, msgspec.structs.replace(ATTACHED, to_ns=T0 + 20 * NS)), *ticks(25, 200)],
        [(12, ATTACHED), (20, Device(device="tag", retired=True)), *ticks(25, 200)],
        [(12, msgspec.structs.replace(ATTACHED, device="urn:epc:id:sgtin:1.2.3")), *ticks(15, 200)],
        [(12, msgspec.structs.replace(ATTACHED, from_ns=T0 + 10_000 * NS)), *ticks(15, 200)],
        [(12, Device(device="tag", interval_s=3600.0)), (12, ATTACHED), *ticks(15, 200)],
    ],
    ids=["heard", "detached", "retired", "passive", "later", "seldom"],
)
def test_nobody_is_waited_for_in_vain(bodies, told):
    assert told([*CASE, *ticks(0, 10), *bodies]) == []


def until(t: float) -> Attachment:
    return msgspec.structs.replace(ATTACHED, to_ns=T0 + int(t * NS))


def test_an_attachment_whose_end_is_known_beforehand_is_waited_for_until_then(told):
    plain = told([*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 120)])
    [(begun, event), (ended, over)] = told([*CASE, *ticks(0, 15), (12, until(80)), *ticks(15, 120)])
    assert [(begun, event)] == plain and event.start_ns == T0 + 35 * NS
    assert (ended, over.event_id, over.end_ns) == (80, event.event_id, T0 + 80 * NS)
    # an end that is set while it is waited for, and lies ahead, postpones nothing
    again = told([*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 30), (27, until(80)), *ticks(30, 120)])
    assert [(t, e.start_ns, e.end_ns) for t, e in again] == [(35, T0 + 35 * NS, None), (80, T0 + 35 * NS, T0 + 80 * NS)]


def test_an_attachment_that_ends_before_anything_was_expected_is_waited_for_in_vain(told):
    assert told([*CASE, *ticks(0, 15), (12, until(30)), *ticks(15, 120)]) == []
    # nor one whose end is set after it was heard
    assert told([*CASE, *ticks(0, 15), (12, ATTACHED), fix(20), (22, until(80)), *ticks(25, 120)]) == []


def test_a_reading_is_a_sign_of_life(told):
    said = FrameBody(format="x", version=1, payload=b"", device="tag", observations=(
        Reading(device="tag", time_ns=T0 + 20 * NS, quantity="battery_voltage", value=3.7, unit="V"),))  # fmt: skip
    assert told([*CASE, *ticks(0, 10), (12, ATTACHED), (20, said), *ticks(25, 200)]) == []


def test_what_is_entered_today_of_a_capture_of_last_year_waits_in_its_time(told):
    """The attachment is entered before the first message of the capture, whose time is behind the machine's."""
    bodies = [*CASE, (10, ATTACHED), fix(11), *ticks(12, 300)]
    assert told(bodies) == []


def test_a_second_attachment_of_who_was_told_of_is_one_event(told):
    again = msgspec.structs.replace(ATTACHED, shipment="crate-41", from_ns=T0 + 60 * NS)
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 60), (60, again), *ticks(60, 200), fix(200)]
    events = [event for _, event in told(bodies)]
    assert [event.end_ns is None for event in events] == [True, False] and events[0].event_id == events[1].event_id


def test_of_whom_nobody_waits_for_any_more_the_silence_is_over(journal):
    """It was told of while the device was attached; detached, nothing of it comes that could end the alert."""
    over = (100, msgspec.structs.replace(ATTACHED, to_ns=T0 + 100 * NS))
    bodies = [*CASE, *ticks(0, 10), (10, ATTACHED), fix(12), fix(17), *ticks(20, 100), over, *ticks(105, 200)]
    told = [event.end_ns for event in journal(begun=False, restart=True).take(bodies).events("silent")]
    assert len(told) == 2 and told[0] is None
    assert T0 + 100 * NS <= told[1] <= T0 + 105 * NS, "at the first time after it at which the track was due"


def test_in_a_new_journal_it_is_waited_for_from_the_first_entry_on(told):
    """``attach --from`` an hour back in a journal that has heard nothing yet: nobody listened, so nothing was missed."""
    hour = msgspec.structs.replace(ATTACHED, from_ns=T0 - 3600 * NS)
    registers = [(0, Operation(operation="A")), (0, Device(device="tag", klass="van", interval_s=5.0)), (0, hour)]
    start = (2, Start(version="x", presets={}, exercise=False))
    assert told([*registers, start, *ticks(5, 25)]) == []
    assert [(t, e.start_ns) for t, e in told([*registers, start, *ticks(5, 60)])] == [(30, T0 + 27 * NS)]


def test_while_the_run_was_down_nothing_was_missed(told):
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), (8000, Start(version="x", presets={}, exercise=False)), *ticks(8005, 8020)]
    assert told(bodies) == []
    assert [t for t, _ in told([*bodies, *ticks(8020, 8100)])] == [8025]


def test_with_its_case_closed_nobody_waits(told):
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 60), (60, Operation(operation="A", closed=True)), *ticks(65, 99)]
    [(_, begun), (t, over)] = told(bodies)
    assert (t, over.event_id, over.end_ns) == (60, begun.event_id, T0 + 55 * NS)


def refusal(t: float, why: str = "no_warrant") -> tuple:
    verdict = Verdict("A", "crate-40", "warrant", "refused")
    reject = Reject("unauthorised", why, device="tag", verdict=verdict)
    return t, RefusalBody(format="x", version=1, device="tag", rejects=(reject,), payload_hash=b"h")


@pytest.mark.parametrize("before", [20, 40], ids=["before it was missed", "after"])
def test_who_is_heard_and_refused_for_want_of_a_warrant_was_not_never_heard(told, before):
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, before), refusal(before), *ticks(before + 5, 80), refusal(80),
              refusal(81, "expired"), *ticks(85, 100), fix(130)]  # fmt: skip
    found = told(bodies)
    assert [(t, e.kind, e.end_ns is not None) for t, e in found if e.kind == "not_admitted"] == [
        (max(before, 35), "not_admitted", False), (81, "not_admitted", True), (81, "not_admitted", False),
        (130, "not_admitted", True),
    ]  # fmt: skip
    kinds = [(t, e.end_ns is not None) for t, e in found if e.kind == "never_heard"]
    assert kinds == ([] if before == 20 else [(35, False), (40, True)])
    text = "crate-40: tag is heard and refused (no_warrant): nothing of what it says is kept"
    assert next(e.text for _, e in found if e.kind == "not_admitted") == text
