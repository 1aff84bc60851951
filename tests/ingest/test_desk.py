"""The desk: one transaction a batch, who a message is, who may come in, what stays of the refused.

Over 400 lines: one toy format, and the four steps that share the desk's state are judged with it.
"""

from __future__ import annotations

import json

import msgspec
import pytest

from birddog.errors import JournalError, JournalFull
from birddog.journal import open_writer
from birddog.model import (
    LAP,
    Attachment,
    Device,
    Draft,
    Fix,
    Frame,
    FrameBody,
    Operation,
    RefusalBody,
    Reject,
    pack,
    unpack,
)
from birddog.units import NS
from devices import codec
from ingest.clock import LEAP_NS, SKEW_NS
from ingest.desk import Desk
from ingest.intake import Closed, Entries

NOW = 1_795_521_600 * NS
LAT = "51.123456"


class Toy:
    """A format made for these tests: JSON {"t": seconds, "lat", "lon", "id", "key", "crash"}."""

    VERSION, STREAM = 3, False

    class Decoder:
        def __init__(self):
            self.seen = 0

        def decode(self, message):
            self.seen += 1
            try:
                said = json.loads(message.payload)
            except ValueError:
                return codec.rejected("format", "no JSON")
            if said.get("broken"):
                return codec.rejected("value", "broken", device=said.get("id", ""))
            if said.get("crash"):
                raise ZeroDivisionError(message.payload)
            time_ns = said["t"] * NS if "t" in said else message.received_ns
            fix = Fix(device=said.get("id", message.device), time_ns=time_ns, time_source="device" if "t" in said else "server",
                      lat_deg=float(said.get("lat", 0)), lon_deg=4.0, attributes={"seen": self.seen})
            key = said["key"].encode() if "key" in said else None
            unread = codec.unread(said.get("unread", ()))
            return codec.Decoded(observations=(fix,), reply=b"ok", key=key, device=said.get("id", ""), unread=unread)


class Source:
    name = "toy"

    def __init__(self):
        self.results = []

    def acknowledge(self, results):
        self.results.extend(results)

    def outcomes(self):
        out, self.results = [r.outcome for r in self.results], []
        return out


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    known, load = codec.known, codec.load
    monkeypatch.setattr(codec, "known", lambda name: name == "toy" or known(name))
    monkeypatch.setattr(codec, "load", lambda name: Toy if name == "toy" else load(name))


def make(tmp_path, *, exercise=False, clock="wall"):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise" if exercise else "live")
    return Desk(writer, exercise=exercise, refusal_key=b"k" * 32, clock=clock)


def frame(device="tag", session="s1", packet=1, dup=False, **said):
    payload = json.dumps(said).encode()
    return Frame(source="mqtt", format="toy", payload=payload, received_ns=NOW, device=device, session=session, packet=packet,
                 dup=dup)


def enter(desk, *bodies):
    kinds = {Operation: "operation", Device: "device", Attachment: "attachment"}
    drafts = [Draft(kind=kinds[type(b)], received_ns=0, source="t", ident=repr(b).encode(), body=pack(b)) for b in bodies]
    got = []
    desk.take([Entries(drafts, got.extend)], NOW)
    assert all(got)


def test_a_register_holds_from_its_number_on_and_asked_again_changes_nothing(tmp_path):
    """Attach, detach, then the first request once more with its nonce: the door is what a restart would make it."""
    desk, source = make(tmp_path), Source()
    attach = Attachment(device="tag", shipment="crate", operation="op", from_ns=0)
    enter(desk, Operation(operation="op"), Device(device="tag"), attach)
    enter(desk, msgspec.structs.replace(attach, to_ns=NOW - 1))
    draft = Draft(kind="attachment", received_ns=0, source="t", ident=repr(attach).encode(), body=pack(attach))
    got = []
    desk.take([Entries([draft], got.extend)], NOW)
    assert got == [0]
    desk.take([(source, [frame(t=1795521600, lat=51)])], NOW)
    assert [r.reason for r in source.results[-1].rejects] == ["unauthorised"]
    # what is not numbered yet does not admit: the message of the same batch was judged before
    late = Attachment(device="tag", shipment="crate", operation="op", from_ns=1)
    draft = Draft(kind="attachment", received_ns=0, source="t", ident=repr(late).encode(), body=pack(late))
    desk.take([Entries([draft], got.extend), (source, [frame(packet=2, t=1795521601, lat=51)])], NOW)
    assert [r.reason for r in source.results[-1].rejects] == ["unauthorised"]
    desk.take([(source, [frame(packet=3, t=1795521602, lat=51)])], NOW)
    assert source.results[-1].outcome == "stored"


def last(desk):
    return unpack(desk.journal.tail(1)[0])


def test_acknowledged_after_the_commit_and_never_before(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    real = desk.journal.append

    def failing(drafts, sessions=()):
        raise JournalFull("no room")

    desk.journal.append = failing
    batch = desk.prepare([(source, [frame(t=1795521600, lat=51)])], NOW)
    with pytest.raises(JournalFull):
        desk.commit(batch)
    assert source.results == []
    desk.journal.append = real
    assert desk.commit(batch) == 1
    assert source.outcomes() == ["stored"]
    desk.journal.append = lambda *a: (_ for _ in ()).throw(JournalError("disk is dead"))
    with pytest.raises(JournalError):
        desk.take([(source, [frame(t=1)])], NOW)
    assert source.results == []


def test_a_message_with_a_time_is_itself_over_any_connection(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(t=1795521600), frame(t=1795521600, session="s2", packet=9)])], NOW)
    desk.take([(source, [frame(t=1795521600, session="s3"), frame(t=1795521601)])], NOW)
    assert source.outcomes() == ["stored", "duplicate", "duplicate", "stored"]
    assert desk.journal.counts().duplicates == 2 and desk.journal.counts().frames == 2


def test_two_equal_door_opens_are_two_and_a_dup_of_one_is_one(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(packet=1), frame(packet=2)])], NOW)
    assert source.outcomes() == ["stored", "stored"]
    desk.take([(source, [frame(packet=2, dup=True)])], NOW)
    assert source.outcomes() == ["duplicate"]
    # over a new connection, and after a restart of the desk
    desk.take([(source, [frame(packet=2, session="s2", dup=True)])], NOW)
    assert source.outcomes() == ["duplicate"]
    again = Desk(desk.journal, exercise=True, refusal_key=b"k" * 32)
    again.take([(source, [frame(packet=1, session="s3", dup=True)])], NOW)
    assert source.outcomes() == ["duplicate"]
    # a new message with the same number is a new one, and a DUP of what never arrived is stored
    again.take([(source, [frame(packet=1, session="s3"), frame(packet=7, session="s3", dup=True)])], NOW)
    assert source.outcomes() == ["stored", "stored"]


def test_a_dup_after_a_restart_is_one_also_where_packet_ids_had_begun_anew(tmp_path):
    """kill9 --kills 20: 20 of 328,400 stood twice, all sent in the second lap of their ids."""
    desk, source = make(tmp_path, exercise=True), Source()
    said = [frame(packet=p) for p in (5, 65_000, LAP + 5, LAP + 6)]
    desk.take([(source, said[:3])], NOW)
    desk.take([(source, said[3:])], NOW)
    assert source.outcomes() == ["stored"] * 4
    again = Desk(desk.journal, exercise=True, refusal_key=b"k")
    lost = {"session": "s2", "dup": True}
    for packet, outcome in ((5, "duplicate"), (6, "duplicate"), (65_000, "duplicate"), (7, "stored"), (64_999, "stored")):
        again.take([(source, [msgspec.structs.replace(frame(packet=packet, **lost), lap_known=False)])], NOW)
        assert source.outcomes() == [outcome], packet


def test_a_client_that_always_takes_one_packet_id_loses_nothing_over_a_restart(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(packet=1, door="open"), frame(packet=LAP + 1, door="shut")])], NOW)
    again = Desk(desk.journal, exercise=True, refusal_key=b"k")
    lost = {"session": "s2", "dup": True}
    again.take([(source, [msgspec.structs.replace(frame(packet=1, door="open", **lost), lap_known=False)])], NOW)
    again.take([(source, [msgspec.structs.replace(frame(packet=1, door="shut", **lost), lap_known=False)])], NOW)
    assert source.outcomes() == ["stored", "stored", "stored", "duplicate"]


def test_a_dup_is_known_within_the_batch_that_brings_the_first(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(packet=1), frame(packet=1, session="s2", dup=True), frame(packet=2, session="s2"),
                         frame(packet=2, session="s3", dup=True)])], NOW)
    assert source.outcomes() == ["stored", "duplicate", "stored", "duplicate"]


def test_a_stream_without_times_keeps_every_delivery(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(packet=0), frame(packet=0)])], NOW)
    assert source.outcomes() == ["stored", "stored"]


def test_a_formats_own_key_joins_two_gateways(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame("gw1", key="u1", id="tag"), frame("gw2", key="u1", id="tag", rssi=-3)])], NOW)
    assert source.outcomes() == ["stored", "duplicate"]


def test_malformed_bytes_stay_with_the_reason(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    bad = msgspec.structs.replace(frame(), payload=b"\x00\xffnot json")
    broken = msgspec.structs.replace(frame(), payload=b"half a fr", reject=Reject("length", "cut off"))
    odd = msgspec.structs.replace(frame(), format="no-such")
    desk.take([(source, [bad, broken, odd])], NOW)
    assert source.outcomes() == ["refused"] * 3
    bodies = [unpack(e) for e in desk.journal.read(0)]
    assert [b.payload for b in bodies] == [b"\x00\xffnot json", b"half a fr", odd.payload]
    assert [b.rejects[0].reason for b in bodies] == ["format", "length", "format"]
    assert desk.journal.counts().rejects == {"format": 2, "length": 1}


@pytest.mark.parametrize("exercise", [True, False])
def test_a_message_that_cannot_be_stored_as_it_is_stops_nobody(tmp_path, caplog, exercise):
    """Sent again for ever it would end every start of the program: half a surrogate has no UTF-8."""
    desk, source = make(tmp_path, exercise=exercise), Source()
    if not exercise:
        enter(desk, Device(device="gw", basis="own_sensor"), Device(device="d2", basis="own_sensor"))
    bad = {"id": "\ud800", "t": 1795521600, "lat": LAT}
    sender = "d1" if exercise else "gw"
    desk.take([(source, [frame(sender, **bad), frame("stranger", **bad), frame("d2", t=1795521600)])], NOW)
    assert source.outcomes()[-1] == "stored"
    kept, stranger, _ = desk.journal.tail(3)
    if exercise:
        assert desk.crashes == 2 and json.loads(unpack(kept).payload)["lat"] == LAT
        assert "UnicodeEncodeError" in unpack(kept).rejects[0].detail and unpack(stranger).rejects[0].reason == "format"
    else:
        assert isinstance(unpack(stranger), RefusalBody)
        assert LAT.encode() not in stranger.body
    desk.take([(source, [frame("d1", **bad)])], NOW)
    assert source.outcomes() == ["refused"]


def test_a_first_message_from_beyond_all_time_sets_no_clock(tmp_path):
    desk, source = make(tmp_path, exercise=True, clock="messages"), Source()
    desk.take([(source, [frame(t=10**12)])], NOW)
    assert source.outcomes() == ["refused"] and desk.clock.now_ns == 0


def test_a_crashing_decoder_loses_nothing_and_stops_nobody(tmp_path, caplog):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(crash=True, lat=LAT), frame(packet=2, t=1795521600)])], NOW)
    assert source.outcomes() == ["refused", "stored"] and desk.crashes == 1
    first = unpack(desk.journal.read(0)[0])
    assert json.loads(first.payload) == {"crash": True, "lat": LAT} and "ZeroDivisionError" in first.rejects[0].detail
    assert "ZeroDivisionError" in caplog.text and LAT not in caplog.text


def test_live_refuses_by_default_and_keeps_no_position(tmp_path):
    desk, source = make(tmp_path), Source()
    desk.take([(source, [frame(t=1795521600, lat=LAT)])], NOW)
    assert source.outcomes() == ["refused"]
    body = last(desk)
    assert isinstance(body, RefusalBody) and body.rejects[0].reason == "unknown_device" and body.observations == ()
    raw = (tmp_path / "j.db").read_bytes() + (tmp_path / "j.db-wal").read_bytes()
    assert LAT.encode() not in raw and b"\xcb\x40\x49\x8f\xcd" not in raw


def test_what_was_not_understood_is_kept_and_counted_unless_a_stranger_sent_it(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="tag"),
          Attachment(device="tag", shipment="S", operation="OP", from_ns=0))
    said = {"t": 1795521600, "unread": ["element_7", "element_9"]}
    desk.take([(source, [frame(**said), frame(**said), frame(device="nobody", **said)])], NOW)
    assert desk.journal.counts().unread == {"element_7": 1, "element_9": 1}
    kept = [unpack(entry) for entry in desk.journal.tail(2)]
    assert kept[0].unread == ("element_7", "element_9") and isinstance(kept[1], RefusalBody)
    assert b"element" not in pack(kept[1])


def test_live_admits_what_is_attached_and_only_then(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="tag"))
    early = frame(t=1795521590)
    desk.take([(source, [early, early])], NOW)
    assert last(desk).rejects[0].reason == "unauthorised" and source.outcomes() == ["refused", "duplicate"]
    enter(desk, Attachment(device="tag", shipment="S", operation="OP", from_ns=NOW - 50 * NS, to_ns=NOW + 50 * NS))
    desk.take([(source, [early, frame(t=1795521500), frame(t=1795521650)])], NOW + 60 * NS)
    kinds = [e.kind for e in desk.journal.tail(3)]
    assert kinds == ["frame", "refusal", "refusal"]
    assert desk.journal.tail(3)[0].operation == "OP"
    enter(desk, Operation(operation="OP", closed=True))
    desk.take([(source, [frame(t=1795521591)])], NOW)
    assert last(desk).rejects[0].reason == "unauthorised"


def test_live_a_device_cannot_speak_for_another(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="tag"), Device(device="thief"),
          Attachment(device="tag", shipment="S", operation="OP", from_ns=0),
          Attachment(device="thief", shipment="X", operation="OP", from_ns=0))
    desk.take([(source, [frame("thief", t=1795521600, id="tag", lat=LAT)])], NOW)
    assert last(desk).rejects[0].reason == "identity" and not last(desk).observations


def test_live_receivers_and_gateways(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="roof", basis="open"), Device(device="gw", basis="own_sensor"),
          Device(device="tag"), Attachment(device="tag", shipment="S", operation="OP", from_ns=0))
    desk.take([(source, [frame("roof", t=1795521600, id="244123456")])], NOW)
    assert desk.journal.tail(1)[0].operation == "open" and isinstance(last(desk), FrameBody)
    desk.take([(source, [frame("gw", t=1795521601, id="tag"), frame("gw", t=1795521602, id="stranger", lat=LAT)])], NOW)
    good, bad = desk.journal.tail(2)
    assert good.operation == "OP" and unpack(bad).rejects[0].reason == "unknown_device"


def test_live_a_clock_that_is_ahead_lets_nobody_in(tmp_path):
    """Refused for who it is first: a stranger's message with a wrong clock leaves no position either."""
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="gw", basis="own_sensor"), Device(device="tag"),
          Attachment(device="tag", shipment="S", operation="OP", from_ns=0))
    ahead = NOW // NS + 3600
    desk.take([(source, [frame("gw", t=ahead, id="ghost", lat=LAT), frame("", t=ahead, id="ghost", lat=LAT)])], NOW)
    assert [unpack(e).rejects[0].reason for e in desk.journal.tail(2)] == ["unknown_device"] * 2
    assert all(isinstance(unpack(e), RefusalBody) for e in desk.journal.tail(2))
    raw = (tmp_path / "j.db").read_bytes() + (tmp_path / "j.db-wal").read_bytes()
    assert LAT.encode() not in raw
    desk.take([(source, [frame("gw", t=ahead, id="tag", lat=LAT)])], NOW)
    assert isinstance(last(desk), FrameBody) and last(desk).rejects[0].reason == "clock" and last(desk).mistimed


def test_live_a_broken_message_that_names_a_stranger_leaves_nothing(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Device(device="gw", basis="own_sensor"))
    desk.take([(source, [frame("gw", broken=True, id="ghost", lat=LAT)])], NOW)
    assert isinstance(last(desk), RefusalBody) and {r.reason for r in last(desk).rejects} == {"value", "unknown_device"}
    raw = (tmp_path / "j.db").read_bytes() + (tmp_path / "j.db-wal").read_bytes()
    assert LAT.encode() not in raw


@pytest.mark.parametrize("exercise", [True, False])
def test_a_dup_of_a_rejected_message_is_one(tmp_path, exercise):
    """Malformed in an exercise, of a stranger in a live journal; over a new connection."""
    desk, source = make(tmp_path, exercise=exercise), Source()
    bad = frame(packet=4) if not exercise else msgspec.structs.replace(frame(packet=4), payload=b"no json")
    desk.take([(source, [bad])], NOW)
    desk.take([(source, [msgspec.structs.replace(bad, session="s2", dup=True)])], NOW)
    assert source.outcomes() == ["refused", "duplicate"] and desk.journal.counts().frames == 1


def test_a_time_ahead_of_ours_is_refused_but_kept(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    ahead = (NOW + SKEW_NS) // NS + 5
    desk.take([(source, [frame(t=ahead), frame(packet=2, t=ahead - 10)])], NOW)
    assert source.outcomes() == ["refused", "stored"]
    body = unpack(desk.journal.read(0)[0])
    assert body.rejects[0].reason == "clock" and body.observations == () and body.payload
    assert [(fix.device, fix.time_ns) for fix in body.mistimed] == [("tag", ahead * NS)]


def test_the_journals_clock_never_runs_backwards(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.tick(NOW)
    desk.tick(NOW - 3600 * NS)
    desk.take([(source, [frame(t=1795521600)])], NOW - 3600 * NS)
    assert [e.received_ns for e in desk.journal.read(0)] == [NOW, NOW]
    assert desk.journal.counts().duplicates == 0 and desk.clock.behind_s == 3600.0
    desk.tick(NOW + NS)
    assert desk.clock.behind_s == 0.0 and len(desk.journal.read(0)) == 3
    assert Desk(desk.journal, exercise=True, refusal_key=b"k").clock.now_ns == NOW + NS


def at(wall_ns, t, **said):
    return msgspec.structs.replace(frame(t=t, **said), received_ns=wall_ns)


@pytest.mark.parametrize("step_s", [-3600, 86_400])
def test_a_clock_that_is_set_wrong_refuses_nobody_and_loses_no_time(tmp_path, step_s):
    desk, source = make(tmp_path, exercise=True), Source()
    t = NOW // NS
    desk.take([(source, [at(NOW, t)])], NOW)
    wall = NOW + step_s * NS
    waited = at(NOW, t + 1)  # received before the clock was set, taken after it
    desk.clock.stepped(step_s * NS)
    desk.take([(source, [waited, *(at(wall + n * NS, t + n) for n in range(2, 6))])], wall + 6 * NS)
    desk.tick(wall + 12 * NS)
    assert set(source.outcomes()) == {"stored"} and desk.clock.not_believed_s == step_s and desk.clock.behind_s == 0.0
    assert [e.received_ns // NS - t for e in desk.journal.read(0)] == [0, *((0,) if step_s > 0 else (6,)), 2, 3, 4, 5, 12]


def test_a_clock_that_is_put_right_is_believed_when_an_admitted_device_says_the_same(tmp_path):
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="tag"), Device(device="gw", basis="own_sensor"),
          Attachment(device="tag", shipment="S", operation="OP", from_ns=0))
    desk.clock.stepped(86_400 * NS)
    right = NOW + 86_400 * NS
    stranger = msgspec.structs.replace(at(right, right // NS), device="stranger")
    late, agreed = at(right, NOW // NS - 500), at(right + NS, right // NS + 1)
    desk.take([(source, [stranger, late])], right)
    assert desk.clock.not_believed_s == 86_400.0 and desk.clock.now_ns == NOW
    desk.take([(source, [agreed])], right + NS)
    assert desk.clock.not_believed_s == 0.0 and desk.clock.now_ns == right + NS
    assert desk.journal.tail(1)[0].received_ns == right + NS
    assert source.outcomes() == ["refused", "stored", "stored"]


def test_an_old_message_does_not_make_a_clock_believed_that_was_set_back(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(t=NOW // NS)])], NOW)
    desk.clock.stepped(-3600 * NS)
    desk.take([(source, [at(NOW - 3600 * NS, NOW // NS - 3600)])], NOW - 3600 * NS)
    assert desk.clock.not_believed_s == -3600.0 and desk.clock.now_ns == NOW


@pytest.mark.parametrize("t, said", [
    (NOW // NS - 1024 * 7 * 86_400, "7168 days behind the receiver: its GPS weeks began anew, 1024 weeks more would fit"),
    (5, "its clock was never set: a time before 1990"),
    (315_964_800, "its clock was never set: a time before 1990"),  # 1980-01-06, where GPS begins
])
def test_a_time_at_which_nothing_happened_is_kept_and_gives_no_fix(tmp_path, t, said):
    """Week rollover, 1970, 1980: the bytes of an admitted device stay, a stranger's do not, nothing is corrected."""
    desk, source = make(tmp_path), Source()
    enter(desk, Operation(operation="OP"), Device(device="tag"), Device(device="gw", basis="own_sensor"),
          Attachment(device="tag", shipment="S", operation="OP", from_ns=NOW - 3600 * NS))
    desk.take([(source, [frame(t=t, lat=LAT)])], NOW)
    body = last(desk)
    assert isinstance(body, FrameBody) and body.payload and body.observations == ()
    assert [(r.reason, r.detail) for r in body.rejects] == [("clock", said)]
    desk.take([(source, [frame("gw", packet=2, t=t, id="ghost", lat=LAT)])], NOW)
    assert isinstance(last(desk), RefusalBody) and last(desk).rejects[0].reason == "unknown_device"


def test_idents_of_one_time_lie_together(tmp_path):
    """So that the index of a long journal grows at its end (docs/decisions/0005)."""
    desk, source = make(tmp_path, exercise=True), Source()
    desk.take([(source, [frame(device=f"d{n}", t=1_795_521_600 + n // 10) for n in range(40)])], NOW)
    leads = [e.ident[:4] for e in desk.journal.read(0)]
    assert leads == sorted(leads) and len(set(leads)) == 4 and len({e.ident for e in desk.journal.read(0)}) == 40


def test_the_clock_of_the_messages(tmp_path):
    desk, source = make(tmp_path, exercise=True, clock="messages"), Source()
    times = [1_000_000_000, 1_000_000_010, 1_000_000_005, 4_000_000_000, 1_000_000_020]
    desk.take([(source, [frame(packet=i, t=t) for i, t in enumerate(times)])], NOW)
    assert LEAP_NS < 3_000_000_000 * NS
    assert [e.received_ns // NS for e in desk.journal.read(0)] == [1_000_000_000, 1_000_000_010, 1_000_000_010, 1_000_000_010,
                                                                  1_000_000_020]
    assert unpack(desk.journal.read(3)[0]).rejects[0].reason == "clock"
    desk.tick(NOW)
    assert desk.journal.last_seq() == 5


def test_the_state_of_a_session_lives_until_it_ends(tmp_path):
    desk, source = make(tmp_path, exercise=True), Source()
    t = NOW // NS
    desk.take([(source, [frame(t=t), frame(t=t + 1)]), Closed("s1"), (source, [frame(t=t + 2)])], NOW)
    assert [unpack(e).observations[0].attributes["seen"] for e in desk.journal.read(0)] == [1, 2, 1]


def test_the_clock_of_the_frames(tmp_path):
    desk, source = make(tmp_path, exercise=True, clock="frames"), Source()
    old = msgspec.structs.replace(frame(t=1_500_000_000), received_ns=1_500_000_001 * NS)
    ahead = msgspec.structs.replace(frame(t=1_600_000_000), received_ns=1_500_000_002 * NS)
    desk.take([(source, [old, ahead])], NOW)
    assert [e.received_ns // NS for e in desk.journal.read(0)] == [1_500_000_001, 1_500_000_002]
    assert last(desk).rejects[0].reason == "clock"
