"""The verdict stands in the entry beside the observation, as the door gave it, and nothing later changes it."""

from __future__ import annotations

import pytest

from birddog.journal import open_writer
from birddog.model import (
    Attachment,
    Device,
    Fix,
    Frame,
    Operation,
    Reading,
    TagRead,
    Verdict,
    unpack,
)
from birddog.units import NS
from devices import codec
from ingest.admission import Admission
from ingest.control import drafts_of, wanted
from ingest.desk import Desk
from ingest.intake import Entries

T0 = 1_790_000_000 * NS
EPC = "urn:epc:tag:sgtin-96:1.0614141.112345.400"
SAID: dict[bytes, codec.Decoded] = {}


class Source:
    name = "parrot"

    def __init__(self):
        self.results = []

    def acknowledge(self, results):
        self.results += results


@pytest.fixture(autouse=True)
def parrot(said):
    global SAID
    SAID = said


@pytest.fixture
def desk(tmp_path):
    desk = Desk(open_writer(f"sqlite:///{tmp_path}/j.db", mode="live"), exercise=False, refusal_key=b"k" * 32)
    enter(desk, Operation(operation="A"), Operation(operation="B"), Device(device="gw", basis="own_sensor"),
          Device(device="roof", basis="open"), Device(device="one"), Device(device="two"),
          Attachment(device="one", shipment="crate", operation="A", from_ns=0),
          Attachment(device="two", shipment="barrel", operation="B", from_ns=0))
    return desk


def requests(*bodies):
    return Entries(drafts_of([wanted(body, source="op") for body in bodies]), lambda numbers: None)


def enter(desk, *bodies):
    desk.take([requests(*bodies)], T0)


def message(*said, device="gw", rejects=(), payload=None, format="parrot"):
    payload = payload or b"%d" % len(SAID)
    SAID[payload] = codec.Decoded(observations=said, rejects=rejects)
    return Frame(source="mqtt", format=format, payload=payload, received_ns=T0, device=device, session="s", packet=len(SAID))


def fix(device, time_ns=T0):
    return Fix(device=device, time_ns=time_ns, lat_deg=51.9, lon_deg=4.0)


def bodies_of(desk, *frames):
    before = desk.journal.last_seq()
    desk.take([(Source(), list(frames))], T0)
    return [unpack(entry) for entry in desk.journal.read(before)]


def test_each_observation_of_a_gateways_message_goes_to_its_own_case(desk):
    battery = Reading(device="one", time_ns=T0, quantity="battery_voltage", value=3.7)
    read = TagRead(device="gw", time_ns=T0, epc=EPC)
    found = [
        (o, verdict) for body in bodies_of(desk, message(fix("one"), battery, fix("two"), read))
        for o, verdict in zip(body.observations, body.verdicts, strict=True)
    ]  # fmt: skip
    assert sorted(found, key=lambda row: str(row)) == sorted([
        (fix("one"), Verdict("A", "crate", "warrant")), (battery, Verdict("A", "crate", "warrant")),
        (fix("two"), Verdict("B", "barrel", "warrant")), (read, Verdict()),
    ], key=lambda row: str(row))  # fmt: skip


def test_one_verdict_stands_for_all_and_is_read_as_one_each(desk):
    (body,) = bodies_of(desk, message(fix("one"), fix("one", T0 - NS), fix("one", T0 - 2 * NS), device="one"))
    assert body.verdicts == (Verdict("A", "crate", "warrant"),) * 3


def test_what_everybody_may_hear_is_open_and_names_the_case_beside(desk):
    (body,) = bodies_of(desk, message(fix("244999999"), device="roof"))
    assert body.verdicts == (Verdict("open", "", "open", "open"),)
    (body,) = bodies_of(desk, Frame(source="tcp", format="ais", received_ns=T0, device="roof", session="t", payload=codec.load(
        "ais").encode(mmsi=244999999, lat_deg=51.9, lon_deg=4.0, time_ns=T0, speed_mps=1.0, course_deg=0.0)))  # fmt: skip
    assert {verdict.state for verdict in body.verdicts} == {"open"}


def test_a_refused_part_leaves_those_beside_it_their_verdicts(desk):
    (body,) = bodies_of(desk, message(fix("stranger"), fix("two")))
    assert body.observations == (fix("two"),) and body.verdicts == (Verdict("B", "barrel", "warrant"),)


def test_a_message_refused_for_its_clock_says_whose_it_was(desk):
    ahead = T0 + 86_400 * NS
    first, second = bodies_of(desk, message(fix("one", ahead), device="one"), message(fix("stranger", ahead)))
    assert [(r.reason, r.verdict) for r in first.rejects] == [("clock", Verdict("A", "crate", "warrant"))]
    assert [(r.reason, r.verdict) for r in second.rejects] == [("unknown_device", None)]
    told = codec.rejected("clock", "never set", device="one").rejects
    (third,) = bodies_of(desk, message(device="one", rejects=told))
    assert third.rejects[0].verdict == Verdict("A", "crate", "warrant")


def test_a_message_that_says_nothing_is_of_its_senders_case(desk):
    """So that its raw bytes are sealed and erased with the rest of the case."""
    broken = codec.rejected("checksum", "wrong").rejects
    bodies_of(desk, message(device="one", rejects=broken), message(device="two"))
    assert [entry.operation for entry in desk.journal.tail(2)] == ["A", "B"]


def test_a_register_holds_for_what_is_taken_after_it_was_numbered(desk):
    """The same batch is judged before its registers have a number; the fold reads what the door said."""
    attach = Attachment(device="one", shipment="second", operation="B", from_ns=T0 - NS)
    before = desk.journal.last_seq()
    desk.take([requests(attach), (Source(), [message(fix("one"), device="one")])], T0)
    register, body = (unpack(entry) for entry in desk.journal.read(before))
    assert register == attach and body.verdicts == (Verdict("A", "crate", "warrant"),)
    (body,) = bodies_of(desk, message(fix("one"), device="one"))
    assert body.verdicts == (Verdict("B", "second", "warrant"),)


def test_a_rebuilt_door_gives_the_same_verdict(desk):
    again = Desk(desk.journal, exercise=False, refusal_key=b"k" * 32)
    rows = [(fix("one"), "one"), (fix("two"), "gw"), (fix("x"), "roof"), (fix("one"), "two")]
    assert [desk.door.judge(o, by, T0) for o, by in rows] == [again.door.judge(o, by, T0) for o, by in rows]


# --- one message of several operations -----------------------------------------------------------


def parts_of(desk, *frames):
    before = desk.journal.last_seq()
    source = Source()
    desk.take([(source, list(frames))], T0)
    return [(entry, unpack(entry)) for entry in desk.journal.read(before)], [r.outcome for r in source.results]


def test_a_message_of_several_operations_is_an_entry_for_each(desk):
    said = message(fix("one"), fix("two"), TagRead(device="gw", time_ns=T0, epc=EPC), fix("one", T0 - NS))
    rows, outcomes = parts_of(desk, said)
    assert outcomes == ["stored"]
    assert [(e.operation, [o.device for o in b.observations], b.count) for e, b in rows] == [
        ("A", ["one", "one"], 1), ("B", ["two"], 0), ("", ["gw"], 0)]  # fmt: skip
    assert all(b.payload == b"" and len(b.payload_hash) == 32 for _, b in rows)  # its bytes speak of all of them
    assert {b.payload_hash for _, b in rows} == {rows[0][1].payload_hash}
    counts = desk.journal.counts()
    assert (counts.frames, counts.observations, counts.duplicates) == (1, 4, 0)


def test_a_duplicate_of_it_is_one_duplicate_whatever_its_devices_are_attached_to_now(desk):
    said, other = message(fix("one"), fix("two")), message(fix("one", T0 - NS), device="one")
    parts_of(desk, said)
    enter(desk, Attachment(device="two", shipment="barrel", operation="B", from_ns=0, to_ns=T0 - NS),
          Attachment(device="two", shipment="third", operation="A", from_ns=T0 - NS))  # fmt: skip
    rows, outcomes = parts_of(desk, said, other, said)
    assert outcomes == ["duplicate", "stored", "duplicate"]
    assert [(e.operation, len(b.observations)) for e, b in rows] == [("A", 1)]
    enter(desk, Attachment(device="two", shipment="back", operation="B", from_ns=T0 - NS // 2))
    rows, outcomes = parts_of(desk, said)
    assert (rows, outcomes, desk.journal.counts().duplicates) == ([], ["duplicate"], 3)


def test_what_everybody_may_hear_stands_in_open_with_its_bytes_and_in_the_case_that_watches_it(desk):
    ais = codec.load("ais")

    def heard(*names):
        place = {"lat_deg": 51.9, "lon_deg": 4.0, "time_ns": T0, "speed_mps": 1.0, "course_deg": 0.0}
        payload = b"".join(ais.encode(mmsi=int(n), **place) for n in names)
        return Frame(source="tcp", format="ais", received_ns=T0, device="roof", session="t", payload=payload,
                     packet=int(names[0]))

    for name, operation in (("244000001", "A"), ("244000002", "B")):
        enter(desk, Attachment(device=name, shipment="hull", operation=operation, from_ns=0))
    rows, _ = parts_of(desk, heard("244000001"))
    assert [(e.operation, {v for v in b.verdicts}, bool(b.payload)) for e, b in rows] == [
        ("open", {Verdict("open", "", "open", "open")}, True), ("A", {Verdict("A", "hull", "open")}, True)]  # fmt: skip
    rows, _ = parts_of(desk, heard("244000002", "244000001", "244000003"))
    assert [(e.operation, bool(b.payload)) for e, b in rows] == [("open", True), ("B", False), ("A", False)]
    assert {o.device for o in rows[0][1].observations} == {"244000001", "244000002", "244000003"}
    assert desk.journal.counts().observations == sum(len(b.observations) for e, b in rows if e.operation == "open") + len(
        parts_of(desk, heard("244000004"))[0][0][1].observations)  # fmt: skip


def test_what_is_refused_of_it_goes_with_whom_it_is_of(desk):
    ahead = T0 + 86_400 * NS
    rows, outcomes = parts_of(desk, message(fix("one"), fix("two", ahead)))
    assert outcomes == ["refused"]
    assert [(e.operation, len(b.observations), [r.reason for r in b.rejects]) for e, b in rows] == [
        ("A", 1, []), ("B", 0, ["clock"])]  # fmt: skip
    assert desk.journal.counts().rejects == {"clock": 1} and desk.journal.counts().frames == 1
    rows, outcomes = parts_of(desk, message(fix("one", T0 - NS), fix("stranger"), fix("two")))
    assert [(e.kind, e.operation, [r.reason for r in b.rejects]) for e, b in rows] == [
        ("refusal", "A", ["unknown_device"]), ("refusal", "B", [])]  # fmt: skip


def says(device, ago_s=0, **more):
    return Fix(device=device, time_ns=None if ago_s is None else T0 - ago_s * NS, lat_deg=50.0, lon_deg=1.0, **more)


#: What a message may be, one after another: sender, subject, what its payload says, and of whom it is.
MESSAGES = [
    (sender, named, said)
    for sender in ("one", "gw", "roof", "nobody", "")
    for named in ("", "one", "two", "nobody")
    for said in (
        (), (says("one"),), (says("two"),), (says("one"), says("two")), (says("one"), says("one")), (says("one", None),),
        (says("one"), says("one", 7)), (says("one", -3600),), (says("one", 10**9),), (says("one", 2 * 10**7),),
        (says("nobody"),), (says("late", 619_315_200),), (TagRead(device="gw", time_ns=T0, epc=EPC),),
        (says("gw"), TagRead(device="gw", time_ns=T0, epc=EPC)),
    )
]


@pytest.mark.parametrize("mode", ["live", "exercise"])
def test_the_short_way_at_the_door_says_what_the_long_way_says(tmp_path, monkeypatch, mode):
    """``Admission.plain`` and ``at_once`` only save work: without them the journal is the same, row for row."""
    rows, heard, short = [], [], []
    frames = []
    for sender, named, said in MESSAGES:
        for subject in dict.fromkeys(["", named]):
            frame = message(*said, device=sender)
            frame.subject = subject
            SAID[frame.payload] = codec.Decoded(observations=said, device=named)
            frames.append(frame)
    plain = Admission.plain
    for way in ("short", "long"):
        journal = open_writer(f"sqlite:///{tmp_path}/{way}.db", mode=mode)
        desk = Desk(journal, exercise=mode == "exercise", refusal_key=b"k" * 32)
        enter(desk, Operation(operation="A"), Operation(operation="B"), Device(device="gw", basis="own_sensor"),
              Device(device="roof", basis="open"), Device(device="one"), Device(device="two"),
              Device(device="late", basis="partner", week_rollover=1),
              Attachment(device="one", shipment="crate", operation="A", from_ns=0, to_ns=T0 - NS),
              Attachment(device="one", shipment="crate", operation="B", from_ns=T0 - NS),
              Attachment(device="two", shipment="barrel", operation="B", from_ns=0))
        if way == "long":
            monkeypatch.setattr(desk._admission, "plain", lambda *asked: None)
            monkeypatch.setattr(type(desk.clock), "at_once", lambda clock, frame, observations: None)
        else:
            def counting(*asked, plain=plain, desk=desk):
                short.append(plain(desk._admission, *asked))
                return short[-1]

            monkeypatch.setattr(desk._admission, "plain", counting)
        desk.take([(Source(), frames)], T0)
        rows.append([(e.kind, e.received_ns, e.operation, e.ident, e.body) for e in journal.read(0, 10_000)
                     if e.kind in ("frame", "refusal")])
        heard.append({device: list(samples) for device, samples in desk.clock._consensus._heard.items()})
        journal.close()
    assert rows[0] == rows[1]
    assert heard[0] == heard[1], "and the clock has heard the same devices"
    assert heard[0]
    assert sum(admitted is not None for admitted in short) > 50, "the short way is walked"
    assert any(admitted is None for admitted in short)
