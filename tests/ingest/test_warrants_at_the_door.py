"""No warrant, no data: each observation is judged by the warrants at the door, and of what is refused nothing is kept.

Over 400 lines: all that the door does where warrants rule, on one desk.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import msgspec
import pytest

from birddog import opened as openings
from birddog.journal import home, open_writer
from birddog.keyring import Keyring
from birddog.model import (
    Attachment,
    Device,
    Fix,
    Frame,
    FrameBody,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Reject,
    TagRead,
    Verdict,
    WarrantAct,
    unpack,
)
from birddog.opened import Opened, opened_of
from birddog.units import NS, iso_from_ns
from devices import codec
from ingest.control import drafts_of, wanted
from ingest.desk import Desk
from ingest.intake import Entries
from opsroom.commands.journal import entry_json
from opsroom.refusals import Refusals
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
H = 3600 * NS
BOX = {"type": "Polygon", "coordinates": [[[3, 51], [5, 51], [5, 53], [3, 53], [3, 51]]]}
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


@pytest.fixture(params=["live", "exercise"])
def desk(request, tmp_path):
    desk = open_desk(tmp_path, request.param)
    enter(desk, Operation(operation="A"), Operation(operation="B"), Device(device="tag"), Device(device="bare"),
          Device(device="free"), Device(device="gw", basis="own_sensor"), Device(device="reader", basis="own_sensor"),
          Placement(device="reader", lat_deg=52.0, lon_deg=4.0, range_m=5.0),
          Attachment(device="tag", shipment="crate", operation="A", from_ns=0),
          Attachment(device="bare", shipment="sack", operation="A", from_ns=0),
          Attachment(device=EPC, shipment="box", operation="A", from_ns=0),
          Attachment(device="free", shipment="barrel", operation="B", from_ns=0))
    yield desk
    desk.journal.close()


def open_desk(folder, mode="live"):
    return Desk(open_writer(f"sqlite:///{folder}/j.db", mode=mode), exercise=mode == "exercise", refusal_key=b"k" * 32)


def warrant(device="tag", **changed):
    return {"id": "W-" + device[-3:], "device": device, "issued": iso_from_ns(T0 - 48 * H), "install_by": iso_from_ns(T0),
            "installed": iso_from_ns(T0 - 47 * H), "use_from": iso_from_ns(T0 - H), "use_until": iso_from_ns(T0 + H),
            "jurisdiction": BOX} | changed  # fmt: skip


def act(action, warrant="W-tag", by="bea", **words):
    return WarrantAct(warrant=warrant, action=action, by=by, operation="A", **words)


def added(said, *, by="ann", approved_by="bea"):
    acts = [act("add", said["id"], by, said=json.dumps(said))]
    return [*acts, act("approve", said["id"], approved_by)] if approved_by else acts


def enter(desk, *bodies, at_ns=T0):
    got = []
    desk.take([Entries(drafts_of([wanted(body, source="op") for body in bodies]), got.extend)], at_ns)
    assert all(got)


def message(*said, device="tag", rejects=(), named="", payload=None):
    payload = payload or b"position-%d" % len(SAID)
    SAID[payload] = codec.Decoded(observations=said, rejects=rejects, device=named)
    return Frame(source="mqtt", format="parrot", payload=payload, received_ns=T0, device=device, session="s", packet=len(SAID))


def fix(device="tag", time_ns=T0, lat_deg=51.9, lon_deg=4.0, **words):
    return Fix(device=device, time_ns=time_ns, lat_deg=lat_deg, lon_deg=lon_deg, **words)


def bodies_of(desk, *frames, at_ns=T0):
    before = desk.journal.last_seq()
    desk.take([(Source(), [msgspec.structs.replace(frame, received_ns=at_ns) for frame in frames])], at_ns)
    return [unpack(entry) for entry in desk.journal.read(before) if entry.kind in ("frame", "refusal")]


def said_of(desk, *observations, at_ns=T0, **words):
    """The verdict on a message of one device: what was refused of it, by its word, or "accept"."""
    (body,) = bodies_of(desk, message(*observations, **words), at_ns=at_ns)
    found = [r.detail for r in body.rejects]
    assert (not found) == isinstance(body, FrameBody)
    return found[0] if found else "accept"


def test_without_a_warrant_a_journal_is_as_it_was(desk):
    assert said_of(desk, fix()) == "accept" and not desk.directory.ruling


def test_each_verdict_by_the_time_of_the_fix_however_late_it_arrives(desk):
    enter(desk, *added(warrant()))
    for at_ns in (T0, T0 + 30 * 24 * H):
        asked = [said_of(desk, fix(time_ns=t), at_ns=at_ns) for t in (T0 - H - 1, T0 - H)]
        assert asked == ["before_start", "accept"]
        assert said_of(desk, fix(lat_deg=53.0, time_ns=T0 - 1), at_ns=at_ns) == "accept"
        assert said_of(desk, fix(lat_deg=53.000000001), at_ns=at_ns) == "outside_jurisdiction"
    late = T0 + 30 * 24 * H
    assert said_of(desk, fix(time_ns=T0 + H - 1), at_ns=late) == "accept"
    assert said_of(desk, fix(time_ns=T0 + H), at_ns=late) == "expired"
    enter(desk, act("revoke", at_ns=T0 + H // 2))
    assert said_of(desk, fix(time_ns=T0 + H // 2 - 1), at_ns=late) == "accept"
    assert said_of(desk, fix(time_ns=T0 + H // 2), at_ns=late) == "revoked"
    enter(desk, *added(warrant("bare", installed=iso_from_ns(T0 + 1000 * NS), install_by=iso_from_ns(T0))))
    assert said_of(desk, fix("bare"), device="bare") == "installed_late"


def test_a_second_person_approves_and_nothing_comes_in_before(desk):
    enter(desk, *added(warrant(), approved_by=""))
    assert said_of(desk, fix()) == "no_authority"
    enter(desk, act("approve", by="Ann "))  # who entered it
    assert said_of(desk, fix(time_ns=T0 + 1)) == "no_authority"
    enter(desk, act("approve", by="bea"))
    assert said_of(desk, fix(time_ns=T0 + 2)) == "accept"


def test_a_register_made_later_admits_nothing_that_was_refused(desk):
    enter(desk, Operation(operation="A", requires_warrant=True))
    frame = message(fix())
    (first,) = bodies_of(desk, frame)
    assert isinstance(first, RefusalBody) and first.rejects[0].detail == "no_authority"
    enter(desk, *added(warrant()))
    assert [unpack(e) for e in desk.journal.read(0) if e.kind == "refusal"] == [first]


def test_the_others_of_an_operation_need_one_from_its_first_on_and_other_operations_do_not(desk):
    enter(desk, *added(warrant(), approved_by=""))
    assert said_of(desk, fix("bare"), device="bare") == "no_authority"
    assert said_of(desk, fix("free"), device="free") == "accept"
    enter(desk, Operation(operation="B", requires_warrant=True))
    assert said_of(desk, fix("free", T0 + 1), device="free") == "no_authority"


def test_an_extension_counts_when_approved_and_from_when_it_was_granted(desk):
    enter(desk, *added(warrant()))
    late = T0 + 30 * 24 * H
    enter(desk, act("extend", by="ann", order="X1", at_ns=T0 + 2 * H, until_ns=T0 + 4 * H))
    assert said_of(desk, fix(time_ns=T0 + 3 * H), at_ns=late) == "expired"
    enter(desk, act("approve", by="bea", order="X1"))
    asked = {h: said_of(desk, fix(time_ns=T0 + int(h * H)), at_ns=late) for h in (0.5, 1.5, 2, 3.5, 4)}
    assert asked == {0.5: "accept", 1.5: "expired", 2: "accept", 3.5: "accept", 4: "expired"}
    enter(desk, act("extend", by="ann", order="X1", at_ns=T0 + 2 * H, until_ns=T0 + 9 * H), act("approve", order="X1"))
    assert said_of(desk, fix(time_ns=T0 + 5 * H), at_ns=late) == "expired"  # an order extends once


def test_a_clock_set_back_revives_nothing(tmp_path):
    desk = open_desk(tmp_path)
    enter(desk, Operation(operation="A"), Device(device="tag"),
          Attachment(device="tag", shipment="crate", operation="A", from_ns=0), *added(warrant()))
    untimed = fix(time_ns=None)
    assert said_of(desk, untimed) == "accept"
    assert said_of(desk, untimed, at_ns=T0 + 2 * H) == "expired"
    desk.clock._set_back, desk.clock.now_ns = (T0 + 2 * H, T0), T0
    desk.clock._wall_ns = T0
    assert said_of(desk, untimed, at_ns=T0) == "expired"
    assert any(e.kind == "clock" for e in desk.journal.read(0))
    desk.journal.close()
    again = open_desk(tmp_path)
    assert again.clock.now_ns < T0 + H and said_of(again, untimed, at_ns=T0 + 1) == "expired"
    again.journal.close()


def test_what_goes_with_a_refused_position_goes_with_it_and_the_rest_of_its_message_stays(desk):
    enter(desk, *added(warrant()))
    out, later = fix(lat_deg=10.0), fix(time_ns=T0 + 1)
    height = Reading(device="tag", time_ns=T0, quantity="gnss_height", value=17.25)
    (body,) = bodies_of(desk, message(height, out, later))
    assert body.observations == (later,) and isinstance(body, RefusalBody)
    (reject,) = body.rejects
    assert (reject.reason, reject.detail, reject.device, reject.count) == ("unauthorised", "outside_jurisdiction", "tag", 1)
    (body,) = bodies_of(desk, message(out, fix(lat_deg=10.0, time_ns=T0 + 2), fix(time_ns=T0 - 2 * H)))
    assert [(r.detail, r.count) for r in body.rejects] == [("outside_jurisdiction", 2), ("before_start", 1)]
    assert not body.observations


def test_of_a_message_without_a_position_the_words_stay_and_the_bytes_do_not(desk):
    """A tracker without a fix sends its last one: the bytes hold a position that no warrant was asked about."""
    enter(desk, *added(warrant()))
    battery = Reading(device="tag", time_ns=T0, quantity="battery_voltage", value=3.7)
    (body,) = bodies_of(desk, message(battery, payload=b"battery at LAST-KNOWN-PLACE"))
    assert body.observations == (battery,) and body.payload == b"" and body.payload_hash
    (body,) = bodies_of(desk, message(payload=b"hello from LAST-KNOWN-PLACE"))
    assert isinstance(body, FrameBody) and body.payload == b"" and not body.rejects
    late = T0 + 2 * H
    (body,) = bodies_of(desk, message(payload=b"hello again"), at_ns=late)
    assert isinstance(body, RefusalBody) and [r.detail for r in body.rejects] == ["expired"]
    (body,) = bodies_of(desk, message(Reading(device="tag", time_ns=late, quantity="battery_voltage", value=3.6)), at_ns=late)
    assert isinstance(body, RefusalBody) and not body.observations


def test_what_is_broken_cannot_be_judged_and_its_bytes_do_not_stay(desk):
    enter(desk, *added(warrant()))
    broken = Reject("value", "latitude 51.923456 is odd", device="tag")
    (body,) = bodies_of(desk, message(rejects=(broken,), payload=b"51.923456"))
    assert isinstance(body, RefusalBody) and b"51.923456" not in body.payload_hash and "51.9" not in str(body)
    (body,) = bodies_of(desk, message(fix(), rejects=(broken,), payload=b"51.923456 and a good one"))
    assert isinstance(body, RefusalBody) and body.observations == (fix(),) and "51.923456" not in str(body)


def test_a_gateways_message_is_judged_device_by_device(desk):
    enter(desk, *added(warrant()))
    (body, *more) = bodies_of(desk, message(fix(), fix("bare"), fix("free"), device="gw"))
    kept = {o.device for b in (body, *more) for o in b.observations}
    refused = {(r.device, r.detail) for b in (body, *more) for r in b.rejects}
    assert kept == {"tag", "free"} and refused == {("bare", "no_authority")}


def test_a_tag_that_was_read_is_where_its_reader_stands(desk):
    enter(desk, *added(warrant(EPC, id="W-epc")))
    read = TagRead(device="reader", time_ns=T0, epc=EPC)
    assert said_of(desk, read, device="reader") == "accept"
    enter(desk, Placement(device="reader", lat_deg=10.0, lon_deg=4.0, range_m=5.0))
    (body,) = bodies_of(desk, message(TagRead(device="reader", time_ns=T0 + 1, epc=EPC), device="reader"))
    assert [(r.device, r.detail) for r in body.rejects] == [(EPC, "outside_jurisdiction")] and not body.observations


def test_what_is_public_or_our_own_is_not_asked_for_a_warrant(desk):
    enter(desk, Operation(operation="A", requires_warrant=True), Device(device="buoy", basis="open"),
          Attachment(device="buoy", shipment="ship", operation="A", from_ns=0),
          Attachment(device="gw", shipment="van", operation="A", from_ns=0))
    found = bodies_of(desk, message(fix("buoy"), device="buoy"), message(fix("gw"), device="gw"))
    assert len(found) == 3 and not any(body.rejects for body in found) and all(body.observations for body in found)


def test_a_class_covers_the_devices_enrolled_with_it(desk):
    said = {k: v for k, v in warrant().items() if k not in ("device", "installed")} | {"class": "parcel", "id": "W-class"}
    enter(desk, Device(device="p1", klass="parcel"),
          Attachment(device="p1", shipment="p1", operation="A", from_ns=0), *added(said))
    assert said_of(desk, fix("p1"), device="p1") == "accept"
    assert said_of(desk, fix("bare"), device="bare") == "no_authority"
    enter(desk, act("install", "W-class", device="p1", at_ns=T0 + 1))
    assert said_of(desk, fix("p1", T0 + 1), device="p1") == "installed_late"


def test_refused_again_and_again_each_verdict_is_counted_apart(desk):
    enter(desk, *added(warrant()))
    frames = [message(fix(time_ns=T0 - 2 * H + n * NS)) for n in range(200)]
    frames += [message(fix(lat_deg=10.0, time_ns=T0 + n)) for n in range(100)]
    desk.take([(Source(), frames)], T0)
    desk.commit(desk.rest(T0))
    found: dict[str, int] = {}
    for entry in desk.journal.read(0, 100_000):
        if entry.kind == "refusal":
            body = unpack(entry)
            for r in body.rejects:
                found[r.detail] = found.get(r.detail, 0) + body.count * r.count
    assert found == {"before_start": 200, "outside_jurisdiction": 100}
    assert desk.journal.counts().rejects == {"unauthorised": 300}


def test_of_a_refused_position_no_byte_is_in_the_folder(desk, tmp_path):
    enter(desk, *added(warrant()))
    lat_deg, lon_deg = 12.3456789, 98.7654321
    words = [b"12.3456789", b"98.7654321", *[struct.pack(form, value) for form in ("<d", ">d", "<f", ">f")
                                             for value in (lat_deg, lon_deg)]]
    words += [struct.pack(order + "i", int(value * 1e7)) for order in "<>" for value in (lat_deg, lon_deg)]
    payload = b"%b " % b" ".join(words)
    frames = [message(fix(lat_deg=lat_deg, lon_deg=lon_deg), payload=payload + b"%d" % n) for n in range(30)]
    frames += [message(fix(lat_deg=lat_deg, lon_deg=lon_deg), rejects=(Reject("checksum", f"at {lat_deg}"),), payload=payload)]
    frames += [message(rejects=(Reject("value", f"{lat_deg} {lon_deg}"),), payload=payload + b"x")]
    desk.take([(Source(), [*frames, *frames])], T0)
    assert desk.journal.counts().frames >= 32
    for path in Path(tmp_path).rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not [word for word in words if word in data], path


# --- sealed ------------------------------------------------------------------------------------------

SEALS = """
name = "seals"
title = "seals"
note = ""
[[rule]]
id = "outside"
text = "kept sealed"
source = "a test"
read = "a test"
check = "outside"
area = "seal"
hours = "refuse"
"""


@pytest.fixture
def sealing(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    desk = Desk(open_writer(url, mode="live"), exercise=False, refusal_key=b"k" * 32, keyring=Keyring(home(url)))
    said = warrant(hours={"from": "00:00", "to": "12:00", "zone": "UTC"}, use_from=iso_from_ns(T0 - 48 * H),
                   use_until=iso_from_ns(T0 + 48 * H), installed=None)
    enter(desk, Operation(operation="A"), Device(device="tag"),
          Attachment(device="tag", shipment="crate", operation="A", from_ns=0),
          act("add", "W-tag", "ann", said=json.dumps(said), pack=SEALS), act("approve"))
    yield desk
    desk.journal.close()


MORNING = 1_790_035_200 * NS  # 2026-09-22T00:00:00Z


def opened(desk, at_ns, *acts):
    """The frames that an order brings in, when the desk is next driven."""
    enter(desk, *acts, at_ns=at_ns)
    before = desk.journal.last_seq()
    for _ in range(4):
        desk.take([], at_ns)
    return [unpack(entry) for entry in desk.journal.read(before) if entry.kind in ("frame", "refusal")]


def order(name="O1", from_ns=MORNING, until_ns=MORNING + 10 * H, by="ann"):
    return act("open", by=by, order=name, from_ns=from_ns, until_ns=until_ns)


def test_what_is_sealed_is_opened_by_an_approved_order_and_by_nothing_else(sealing, tmp_path):
    out = [fix(lat_deg=12.3456789, lon_deg=98.7654321, time_ns=MORNING + n * H) for n in range(4)]
    height = Reading(device="tag", time_ns=MORNING, quantity="gnss_height", value=17.25)
    found = bodies_of(sealing, *[message(o, *([height] if n == 0 else []), payload=b"12.3456789 %d" % n)
                                 for n, o in enumerate(out)], at_ns=MORNING + 4 * H)
    assert [(r.detail, r.verdict.state) for body in found for r in body.rejects] == [("outside_jurisdiction", "sealed")] * 4
    assert all(body.box and not body.observations for body in found)
    assert said_of(sealing, fix(time_ns=MORNING - H), at_ns=MORNING + 4 * H) == "outside_hours"  # refused by this pack
    for path in Path(tmp_path).rglob("*"):
        assert path.is_dir() or b"12.3456789" not in path.read_bytes()
    late = MORNING + 20 * H
    assert opened(sealing, late, order(until_ns=MORNING + 2 * H)) == []
    assert opened(sealing, late, act("approve", by="ann", order="O1")) == []  # who asked for it
    frames = opened(sealing, late, act("approve", by="bea", order="O1"))
    assert [o for body in frames for o in body.observations] == [out[0], height, out[1]]
    assert {verdict for body in frames for verdict in body.verdicts} == {Verdict("A", "crate", "warrant", "admitted")}
    # each names the order by which it came in, and how many of the positions that were sealed it is (the height went with one)
    refusals, rows = Refusals(), {}
    for entry in sealing.journal.read(0, 10_000):
        if entry.kind in ("frame", "refusal"):
            rows |= refusals.count(entry, unpack(entry))
    counts = {(row.reason, row.detail): row.count for row in rows.values()}
    assert counts["sealed", "outside_jurisdiction"] == 4 and counts["opened", "W-tag O1"] == 2
    lines = [line for entry in sealing.journal.read(0, 10_000) if "opened" in (line := entry_json(entry))]
    assert [line["opened"] for line in lines] == [{"warrant": "W-tag", "order": "O1", "count": 1}] * 2
    assert opened(sealing, late) == []
    counts = sealing.journal.counts()
    assert (counts.frames, counts.rejects) == (5, {"unauthorised": 5})
    assert sealing.directory.warrants.held["W-tag"].to_open() == []


def test_an_opening_that_was_cut_goes_on_where_it_stood(sealing, tmp_path, monkeypatch):
    monkeypatch.setattr("ingest.openings.STEP", 2)
    out = [fix(lat_deg=12.0, time_ns=MORNING + n) for n in range(8)]
    bodies_of(sealing, *[message(o) for o in out], at_ns=MORNING + H)
    enter(sealing, order(), act("approve", by="bea", order="O1"), at_ns=MORNING + H)
    for _ in range(5):
        sealing.take([], MORNING + H)
    sealing.journal.close()
    url = f"sqlite:///{tmp_path}/j.db"
    again = Desk(open_writer(url, mode="live"), exercise=False, refusal_key=b"k" * 32, keyring=Keyring(home(url)))
    for _ in range(20):
        again.take([], MORNING + H)
    frames = [unpack(e) for e in again.journal.read(0, 10_000) if e.kind == "frame"]
    assert [o for body in frames for o in body.observations] == out and again.journal.counts().frames == 8
    sealing.journal = again.journal  # which is closed with it


def test_of_an_operation_that_was_erased_nothing_is_opened(sealing, tmp_path):
    bodies_of(sealing, message(fix(lat_deg=12.0, time_ns=MORNING)), at_ns=MORNING + H)
    Keyring(home(f"sqlite:///{tmp_path}/j.db")).destroy("A")
    assert opened(sealing, MORNING + H, order(), act("approve", by="bea", order="O1")) == []


def test_opened_is_as_if_it_had_come_late_and_a_rebuild_is_the_same(sealing, tmp_path):
    """Two journals: in one a stretch was sealed and opened later; in the other the same messages came in that late."""
    inside = [fix(lat_deg=52.99 + n / 1000, time_ns=MORNING + n * 60 * NS) for n in range(10)]
    stretch = [fix(lat_deg=53.001 + n / 10_000, lon_deg=4.0, time_ns=MORNING + (10 + n) * 60 * NS) for n in range(3)]
    after = [fix(lat_deg=52.999 - n / 1000, time_ns=MORNING + (13 + n) * 60 * NS) for n in range(3)]
    for o in [*inside, *stretch, *after]:
        bodies_of(sealing, message(o), at_ns=o.time_ns)
    late = after[-1].time_ns + 30 * NS
    assert len(opened(sealing, late, order(), act("approve", by="bea", order="O1"))) == 3

    def picture(entries):
        fold, rows = Fold(), {}
        for seq, entry in enumerate(entries, 1):
            for track in fold.apply(msgspec.structs.replace(entry, seq=seq)).tracks:
                rows[track.track_id] = msgspec.json.encode(msgspec.structs.replace(track, track_id="T"))
        return sorted(rows.values())

    entries = sealing.journal.read(0, 10_000)
    assert picture(entries) == picture(entries)
    without = [e for e in entries if not (e.kind == "refusal" and unpack(e).box)]
    assert len(without) == len(entries) - 3 and picture(without) == picture(entries)
    (row,) = picture(entries)
    assert msgspec.json.decode(row)["hits"] == 16


@pytest.mark.parametrize("name", ["O1", 'of "x" of warrant "y": 3', "a\\b", "é ü", ":"])
def test_an_entry_says_by_which_order_it_was_opened_whatever_that_is_called(name):
    one = Opened(warrant=name, order=name[::-1], count=7)
    assert opened_of(openings.said_of(one)) == one
    assert opened_of("") is None and opened_of("ann") is None and opened_of('order "O1" of warrant') is None


@pytest.mark.parametrize("ahead_s", [1, 30, 300, 600])
def test_a_clock_that_is_ahead_begins_no_warrant_and_extends_none(desk, ahead_s):
    """What is received before a warrant begins was made before it, whatever time it states (found by an auditor)."""
    begins, ends = T0 + H, T0 + 2 * H
    enter(desk, *added(warrant(use_from=iso_from_ns(begins), use_until=iso_from_ns(ends))))
    for received_ns, right in ((begins - 1, "before_start"), (begins, "accept"), (ends - 1, "expired")):
        assert said_of(desk, fix(time_ns=received_ns + ahead_s * NS), at_ns=received_ns) == right


def test_a_clock_that_is_ahead_begins_no_attachment(desk):
    """Whose it is follows from when it came in, where it says that it is made later."""
    enter(desk, Attachment(device="free", shipment="keg", operation="A", from_ns=T0 + H))
    for received_ns, whose in ((T0 + H - 1, "B"), (T0 + H, "A")):
        (body,) = bodies_of(desk, message(fix("free", time_ns=received_ns + 300 * NS), device="free"), at_ns=received_ns)
        assert body.verdicts[0].operation == whose


@pytest.mark.parametrize("back_s", [60, 600])
def test_a_clock_that_falls_back_extends_no_warrant(tmp_path, back_s):
    """The door believes the time that is said; once it is known that the clock fell back, nothing stands after the end."""
    desk = open_desk(tmp_path)
    enter(desk, Operation(operation="A"), Device(device="tag"),
          Attachment(device="tag", shipment="crate", operation="A", from_ns=0), *added(warrant()))
    ends, stands = T0 + H, {}
    for s in range(-1200, back_s - 20, 20):
        said_ns = ends + (s - (back_s if s >= -300 else 0)) * NS
        bodies_of(desk, message(fix(time_ns=said_ns, lat_deg=51.9 + s * 1e-4)), at_ns=ends + (s + 1) * NS)
    fold, told = Fold(), []
    for entry in desk.journal.read(0):
        changes = fold.apply(entry)
        told += [event.text for event in changes.events if event.kind == "clock"]
        assert all(taken.time_ns < ends for taken in changes.fixes)
        stands |= {point.time_ns: point for point in changes.points if point.origin == "fix"}
    assert any("behind" in text for text in told)
    assert max(at_ns for at_ns, point in stands.items() if not point.withdrawn) >= ends - 40 * NS
    assert all(point.withdrawn for at_ns, point in stands.items() if at_ns >= ends)
    desk.journal.close()


def wrong_clock(desk, ahead_s, seconds, *, of=None, every_s=10.0):
    """What stays of a device whose clock is ``ahead_s`` ahead, at seconds after T0: (second, body) of each of its messages."""
    out = []
    for n, s in enumerate(seconds):
        made = s if of is None else of[n]
        said = fix(time_ns=T0 + round((made + ahead_s) * NS), lat_deg=51.9 + n * 1e-4)
        out += [(s, body) for body in bodies_of(desk, message(said), at_ns=T0 + round((s + 1) * NS))]
    return out


@pytest.mark.parametrize("ahead_s", [3600, -619_315_200])
def test_a_clock_that_is_hours_off_is_put_right_within_the_warrant(desk, tmp_path, ahead_s):
    """Refused with its position for as long as it was so, and told of as never heard; the fold used it without warrants."""
    enter(desk, *added(warrant(use_from=iso_from_ns(T0 + 100 * NS), use_until=iso_from_ns(T0 + 400 * NS))))
    found = wrong_clock(desk, ahead_s, range(0, 600, 10))
    in_force = [(s, body) for s, body in found if 100 <= s + 1 < 400]
    assert all(not getattr(body, "mistimed", ()) for s, body in found if not 100 <= s + 1 < 400)
    assert all(r.reason == "clock" and r.detail in ("3600 s ahead of the receiver", "3599 s ahead of the receiver")
               for _, body in in_force for r in body.rejects) or ahead_s < 0  # fmt: skip
    first, kept = in_force[:2], in_force[3:]
    assert all(isinstance(body, RefusalBody) for _, body in first)
    assert all(isinstance(body, FrameBody) and len(body.mistimed) == 1 and not body.payload for _, body in kept)
    fold, told = Fold(), []
    for entry in desk.journal.read(0):
        changes = fold.apply(entry)
        told += [event for event in changes.events if event.kind in ("clock", "never_heard", "not_admitted")]
        assert all(T0 + 100 * NS <= one.time_ns < T0 + 400 * NS for one in changes.fixes)
    [row] = fold.believed(fold.now_ns, "A")
    assert row.hits > 20 and (ahead_s < 0 or any("3600 s ahead" in event.text for event in told))
    assert abs(row.updated_ns - T0 - 390 * NS) < 15 * NS


def test_a_clock_that_is_hours_off_brings_in_nothing_from_before_the_warrant(desk):
    """A store of the time before, sent at once in force, is no steady clock; nor is one message, nor two."""
    enter(desk, *added(warrant(use_from=iso_from_ns(T0 + 100 * NS), use_until=iso_from_ns(T0 + 400 * NS))))
    seconds = [101 + 0.1 * n for n in range(50)]
    assert not [1 for _, body in wrong_clock(desk, 3600, seconds, of=[2.0 * n for n in range(50)])
                if getattr(body, "mistimed", ()) or getattr(body, "observations", ())]  # fmt: skip
    # once it is steady, what it kept from before the warrant stays out all the same
    assert any(body.mistimed for _, body in wrong_clock(desk, 3600, range(110, 170, 10)) if isinstance(body, FrameBody))
    assert not [1 for _, body in wrong_clock(desk, 3600, [180, 181, 182], of=[50, 60, 70]) if getattr(body, "mistimed", ())]


def test_whose_clock_is_off_is_told_so_before_it_has_a_track(desk):
    """It was told of as never heard, with nothing about its clock."""
    enter(desk, *added(warrant()))
    wrong_clock(desk, 3600, [0])
    fold, told = Fold(), []
    for entry in desk.journal.read(0):
        told += [event for event in fold.apply(entry).events if event.kind in ("clock", "never_heard", "not_admitted")]
    [event] = told
    assert event.kind == "clock" and event.device == "tag" and event.operation == "A" and "3599 s ahead" in event.text
    assert [one.refused for _, device, one in fold.awaited() if device == "tag"] == ["its clock: 3599 s ahead of the receiver"]
