"""A device that was attached and is not heard is told of: nobody may believe that all is well."""

from __future__ import annotations

import msgspec
import pytest

from birddog.model import ENTRY_BODIES, Attachment, Device, Entry, Event, Fix, FrameBody, Operation, Reading, Start, Tick, pack
from birddog.units import NS
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}
CASE = [
    (0, Start(version="x", presets={}, exercise=False)),
    (0, Operation(operation="A")),
    (0, Device(device="tag", klass="van", interval_s=5.0)),
]
ATTACHED = Attachment(device="tag", shipment="crate-40", operation="A", from_ns=T0 + 10 * NS)


def journal(bodies, *, restart: bool = True) -> list[tuple[int, Event]]:
    """(time s, event) of a journal of (t s, body), with a restart from the snapshot at every entry."""
    fold, out = Fold(), []
    for seq, (t, body) in enumerate(bodies, start=1):
        at_ns, kind = T0 + int(t * NS), KIND[type(body)]
        entry = Entry(seq=seq, kind=kind, received_ns=at_ns, ident=b"", source="", operation="", body=pack(body))
        out += [(t, event) for event in fold.apply(entry).events if event.kind == "never_heard"]
        if restart:
            fold = Fold.restore(fold.snapshot())
    return out


def ticks(begin: int, end: int) -> list:
    return [(t, Tick()) for t in range(begin, end, 5)]


def fix(t: float) -> tuple:
    one = Fix(device="tag", time_ns=T0 + int(t * NS), lat_deg=52.0, lon_deg=4.0, sigma_m=5.0)
    return t, FrameBody(format="x", version=1, payload=b"", device="tag", observations=(one,))


def test_who_was_attached_and_never_heard_is_told_of_once_and_until_it_is_heard():
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 120), fix(130)]
    [(begun, event), (ended, over)] = journal(bodies)
    assert (event.kind, event.operation, event.device, event.end_ns) == ("never_heard", "A", "tag", None)
    assert event.text == "crate-40: tag was never heard, attached 25 s ago, expected every 5 s"
    assert event.start_ns == T0 + 35 * NS and begun == 35  # 5 intervals after it was attached, at the first entry then
    assert (ended, over.event_id, over.end_ns) == (130, event.event_id, T0 + 130 * NS)
    assert journal(bodies) == journal(bodies, restart=False)


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
def test_nobody_is_waited_for_in_vain(bodies):
    assert journal([*CASE, *ticks(0, 10), *bodies]) == []


def until(t: float) -> Attachment:
    return msgspec.structs.replace(ATTACHED, to_ns=T0 + int(t * NS))


def test_an_attachment_whose_end_is_known_beforehand_is_waited_for_until_then():
    plain = journal([*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 120)])
    [(begun, event), (ended, over)] = journal([*CASE, *ticks(0, 15), (12, until(80)), *ticks(15, 120)])
    assert [(begun, event)] == plain and event.start_ns == T0 + 35 * NS
    assert (ended, over.event_id, over.end_ns) == (80, event.event_id, T0 + 80 * NS)
    # an end that is set while it is waited for, and lies ahead, postpones nothing
    again = journal([*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 30), (27, until(80)), *ticks(30, 120)])
    assert [(t, e.start_ns, e.end_ns) for t, e in again] == [(35, T0 + 35 * NS, None), (80, T0 + 35 * NS, T0 + 80 * NS)]


def test_an_attachment_that_ends_before_anything_was_expected_is_waited_for_in_vain():
    assert journal([*CASE, *ticks(0, 15), (12, until(30)), *ticks(15, 120)]) == []
    # nor one whose end is set after it was heard
    assert journal([*CASE, *ticks(0, 15), (12, ATTACHED), fix(20), (22, until(80)), *ticks(25, 120)]) == []


def test_a_reading_is_a_sign_of_life():
    said = FrameBody(format="x", version=1, payload=b"", device="tag", observations=(
        Reading(device="tag", time_ns=T0 + 20 * NS, quantity="battery_voltage", value=3.7, unit="V"),))  # fmt: skip
    assert journal([*CASE, *ticks(0, 10), (12, ATTACHED), (20, said), *ticks(25, 200)]) == []


def test_what_is_entered_today_of_a_capture_of_last_year_waits_in_its_time():
    """The attachment is entered before the first message of the capture, whose time is behind the machine's."""
    bodies = [*CASE, (10, ATTACHED), fix(11), *ticks(12, 300)]
    assert journal(bodies) == []


def test_a_second_attachment_of_who_was_told_of_is_one_event():
    again = msgspec.structs.replace(ATTACHED, shipment="crate-41", from_ns=T0 + 60 * NS)
    bodies = [*CASE, *ticks(0, 15), (12, ATTACHED), *ticks(15, 60), (60, again), *ticks(60, 200), fix(200)]
    events = [event for _, event in journal(bodies)]
    assert [event.end_ns is None for event in events] == [True, False] and events[0].event_id == events[1].event_id


def test_of_whom_nobody_waits_for_any_more_the_silence_is_over():
    """It was told of while the device was attached; detached, nothing of it comes that could end the alert."""
    fold, told = Fold(), []
    over = (100, msgspec.structs.replace(ATTACHED, to_ns=T0 + 100 * NS))
    bodies = [*CASE, *ticks(0, 10), (10, ATTACHED), fix(12), fix(17), *ticks(20, 100), over, *ticks(105, 200)]
    for seq, (t, body) in enumerate(bodies, start=1):
        at_ns, kind = T0 + int(t * NS), KIND[type(body)]
        entry = Entry(seq=seq, kind=kind, received_ns=at_ns, ident=b"", source="", operation="", body=pack(body))
        told += [event.end_ns for event in fold.apply(entry).events if event.kind == "silent"]
        fold = Fold.restore(fold.snapshot())
    assert len(told) == 2 and told[0] is None
    assert T0 + 100 * NS <= told[1] <= T0 + 105 * NS, "at the first time after it at which the track was due"
