"""Who a message is from, whom it speaks of, and what may be kept of it: a byte search over all that stays.

A live journal; the messages are the formats' own samples, whole, cut and with wrong bytes, so that a new format is judged
without a line here.

Over 400 lines: one question, what stays of whom, asked of every format, way in and text.
"""

from __future__ import annotations

import functools
import json
import random
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import devices.formats
from birddog.journal import open_reader, open_writer
from birddog.model import Attachment, Device, Draft, Fix, Frame, FrameBody, Operation, RefusalBody, Reject, pack, unpack
from birddog.units import NS, ns_from_text
from devices import codec
from devices.formats import teltonika, ubx
from ingest.cutter import Cutter
from ingest.desk import Desk
from ingest.door import veiled
from ingest.intake import Closed, Entries

NOW = ns_from_text("2026-11-01T10:00:00Z")
FORMATS = codec.names()
FOLDER = Path(next(iter(devices.formats.__path__)))
IMEI = "356307042441013"
SHORT = b"\x00\x0f" + IMEI.encode()


class Source:
    name = "t"

    def acknowledge(self, results):
        pass


def samples(name):
    return tomllib.loads((FOLDER / f"{name.replace('-', '_')}.samples.toml").read_text("utf-8")).get("sample", [])


def payload_of(sample):
    return bytes.fromhex(sample["hex"]) if "hex" in sample else sample["text"].encode()


@pytest.fixture
def desk(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    yield Desk(writer, exercise=False, refusal_key=b"k" * 32)
    writer.close()


def enter(desk, *bodies):
    kinds = {Operation: "operation", Device: "device", Attachment: "attachment"}
    drafts = [Draft(kind=kinds[type(b)], received_ns=0, source="t", ident=repr(b).encode(), body=pack(b)) for b in bodies]
    desk.take([Entries(drafts, lambda numbers: None)], NOW)


def watched(desk, *names):
    enter(desk, Operation(operation="OP"), *(Device(device=name) for name in names),
          *(Attachment(device=name, shipment=name, operation="OP", from_ns=0) for name in names))


def take(desk, *frames):
    desk.take([(Source(), list(frames))], NOW)
    return [unpack(entry) for entry in desk.journal.tail(len(frames))]


def frame(format, payload, **more):
    return Frame(**({"source": "t", "format": format, "payload": payload, "received_ns": NOW, "session": "s"} | more))


def stays(tmp_path):
    """Every byte of the data folder, but the hashes of the evidence log: a chance byte of one stands behind each body."""
    data = b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file())
    for journal in tmp_path.glob("*.db"):
        reader = open_reader(f"sqlite:///{journal}")
        for row in reader.rows(0, 100_000):
            data = data.replace(row.leaf, b"\0")
        reader.close()
    return data


def traces(payload):
    """What of a message may hold a position: runs with figures of a text, runs of many kinds of bytes of anything else."""
    wide = [payload[at : at + 7] for at in range(len(payload) - 6)]
    if payload.isascii():
        return {run for run in wide if sum(48 <= byte <= 57 for byte in run) > 3}
    return {run for run in wide if len(set(run)) > 5 and not run.isascii()}


def harmed(payload, rng):
    """A message cut, with a wrong byte, with what is not of it."""
    for _ in range(4):
        yield payload[: rng.randrange(1, len(payload))]
    for _ in range(4):
        wrong = bytearray(payload)
        wrong[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        yield bytes(wrong)
    yield payload[len(payload) // 2 :]
    yield payload[:-1] + b"~~" + payload[-1:]


#: How a message may come from somebody whom nobody admitted: what the transport says of it.
WAYS = {
    "nobody vouches (tcp, udp, serial)": {},
    "a stranger's client id": {"device": "stranger"},
    "a stranger's configured name": {"device": "stranger", "channel": "127.0.0.1:5027"},
    "a partner's gateway": {"device": "gw"},
    "our own gateway, the topic names a stranger": {"device": "own", "subject": "ghost", "channel": "owntracks/x/ghost"},
    "a device that is enrolled only": {"device": "loose", "subject": "ghost"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FORMATS)
def test_of_nobody_who_is_admitted_no_byte_stays(tmp_path, desk, name, way):
    module, how, rng = codec.load(name), WAYS[way], random.Random(f"{name} {way}")
    if how.get("device") in ("gw", "own") and not how.get("subject") and not getattr(module, "NAMES_DEVICE", True):
        pytest.skip("bytes that name nobody are the gateway's own")
    if how.get("device") in ("gw", "own") and getattr(module, "BROADCAST", False):
        pytest.skip("what everybody may hear any gateway may hand on (tests/opsroom/test_structure.py)")
    enter(desk, Device(device="gw", basis="partner"), Device(device="own", basis="own_sensor"), Device(device="loose"))
    wanted = set()
    for n, sample in enumerate(samples(name)[:12]):
        whole = payload_of(sample)
        if not whole or len(whole) > 4000:
            continue
        for k, payload in enumerate([whole, *harmed(whole, rng)]):
            frames = [frame(name, payload, session=f"whole {n} {k}", **how)]
            if module.STREAM:  # as a connection's bytes, which are cut into frames before the desk
                cutter = Cutter(module, "t")
                frames += [frame(name, piece.data, session=f"cut {n} {k}", reject=piece.reject, **how)
                           for piece in cutter.feed(payload) + cutter.finish()]
            take(desk, *frames)
            wanted |= traces(payload)
    bodies = [unpack(entry) for entry in desk.journal.read(0, 100_000) if entry.kind in ("frame", "refusal")]
    kept = [body for body in bodies if isinstance(body, FrameBody) and body.payload.strip(b"\r\n\t \0\xff")]
    # a message that names nobody is what the gateway says of itself
    own = [body for body in kept if body.observations and {o.device for o in body.observations} == {how.get("device")}]
    assert kept == own and bodies and not any(body.rejects for body in own), [body for body in kept if body not in own][:1]
    said = {word for body in bodies for word in (body.device, body.subject, *(r.device for r in body.rejects)) if word}
    for body in own:
        wanted -= traces(body.payload) | traces(pack(body)) | traces(str(body).encode())
    data = stays(tmp_path)
    assert not [run for run in wanted if run in data and not any(run in word.encode() for word in said)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_whether_its_bytes_name_a_device(name):
    """``NAMES_DEVICE``: what comes through a gateway may be anybody's.  Said wrongly it would keep a stranger's position."""
    module = codec.load(name)
    found = set()
    for sample in samples(name):
        decoder = module.Decoder()
        message = codec.Message(payload=payload_of(sample), device="sender", topic=sample.get("topic", ""), received_ns=NOW)
        decoded = codec.decode_whole(module, decoder, message)
        found |= {o.device for o in decoded.observations} | {decoded.device}
    assert found <= {"sender", ""} or getattr(module, "NAMES_DEVICE", True)


def test_a_cut_message_of_an_unknown_imei_and_of_an_admitted_one(tmp_path, desk):
    """reliability/cut-message-of-unknown-imei: a login, then the radio link breaks within the packet."""
    from devices.formats import teltonika

    def talk(imei, session):
        packet = teltonika.encode(login=imei, records=[{"time_ns": NOW - 5 * NS, "lat_deg": 33.3333333, "lon_deg": 44.4}])
        cutter = Cutter(teltonika, "t")
        pieces = cutter.feed(packet[:-6]) + cutter.finish()
        assert pieces[-1].reject is not None
        return take(desk, *[frame("teltonika", p.data, session=session, reject=p.reject) for p in pieces])[-1]

    watched(desk, IMEI)
    stranger = talk("490154203237518", "a")
    assert isinstance(stranger, RefusalBody) and stranger.device == "490154203237518"
    assert {r.reason for r in stranger.rejects} == {"length", "unknown_device"}
    assert (333333333).to_bytes(4, "big") not in stays(tmp_path)
    ours = talk(IMEI, "b")
    assert isinstance(ours, FrameBody) and ours.device == IMEI and (333333333).to_bytes(4, "big") in ours.payload
    assert (ours.sender, ours.rejects[0].reason) == ("", "length")


def test_a_malformed_message_of_an_admitted_sender_keeps_its_bytes(desk):
    watched(desk, "tag", IMEI)
    enter(desk, Device(device="gps", basis="own_sensor"))
    bad = b'{"_type":"location","lat":51.95,"lo'
    report = b"+RESP:GTFRI,1A0200,356307042441013,GL300,0,0,1,1,36.0,271,-4.2,4.145330,51.94"
    for said in (frame("owntracks", bad, device="tag"), frame("queclink", report), frame("queclink", report, device=IMEI),
                 frame("nmea", b"$GPRMC,120000,A,3530.5050,N,04424.0000,E,0.0,0.0,281126,,,A*00\r\n", device="gps")):
        (body,) = take(desk, said)
        assert isinstance(body, FrameBody) and body.payload == said.payload and body.rejects


def test_a_gateways_broken_message_stays_where_it_names_somebody_who_is_admitted(desk):
    eui = "0102030405060708"
    watched(desk, eui)
    enter(desk, Device(device="gw", basis="partner", format="chirpstack"), Device(device="roof", basis="open"))
    cut = b'{"deviceInfo":{"devEui":"0102030405060708"},"object":{"latitude":51.95'
    topic = "application/1/device/{}/event/up"
    ours, theirs, nobodys, open_ = take(
        desk, frame("chirpstack", cut, device="gw", subject=eui, channel=topic.format(eui)),
        frame("chirpstack", cut, device="gw", subject="ffff030405060708", channel=topic.format("ffff030405060708")),
        frame("chirpstack", cut, device="gw"), frame("ais", b"!AIVDM,1,1,,A,broken*00\r\n", device="roof"))
    assert isinstance(ours, FrameBody) and ours.payload == cut and (ours.device, ours.subject) == ("gw", eui)
    assert isinstance(theirs, RefusalBody) and "unknown_device" in {r.reason for r in theirs.rejects}
    assert isinstance(nobodys, RefusalBody) and isinstance(open_, FrameBody)


def test_no_text_of_a_strangers_holds_a_position(tmp_path, desk):
    """The topic, the last level of which is kept as the format, the client id, a reject's detail."""
    said = frame("51.951234", b"x", device="4.051234", channel="car/51.951234/4.051234",
                 reject=Reject("format", "no format '51.951234'", device="4.051234"))
    (body,) = take(desk, said)
    assert isinstance(body, RefusalBody) and body.channel == "car/…/…"
    for number, name in enumerate(("51.951234/4.051234", "4.051234"), 7):  # the sessions, too
        take(desk, frame("owntracks", b"x", device=name, packet=number))
    data = stays(tmp_path)
    assert b"51.951234" not in data and b"4.051234" not in data


def test_a_repeat_is_known_again_whatever_its_sender_is_called(desk):
    """The sessions are remembered under what may stay of a sender's name; two who look alike there stay two."""
    for name in ("51.951234/4.051234", "51.951235/4.051235"):
        watched(desk, name)
        first = frame("epc", b"3034257BF7194E4000001A85", device=name, packet=7, session="a")
        take(desk, first)
        before = desk.journal.last_seq()
        take(desk, msgspec.structs.replace(first, session="b", dup=True))
        assert desk.journal.last_seq() == before
    desk.take([Closed("b", "51.951234/4.051234")], NOW)
    take(desk, msgspec.structs.replace(first, session="c", dup=True))
    assert desk.journal.last_seq() == before + 1  # after a clean end nothing is a repeat


@pytest.mark.parametrize(("text", "left"), [
    ("owntracks/jane/phone7", "owntracks/jane/phone7"), ("127.0.0.1:50270", "127.0.0.1:50270"),
    ("10.120.130.140:1", "10.120.130.140:1"), ("[::1]:5027", "[::1]:5027"), (IMEI, IMEI), ("tag-1.2", "tag-1.2"),
    ("x/51.95,4.05", "x/…,…"), ("3530.5050", "…"), ("-33,92", "-…"),
])  # fmt: skip
def test_what_is_left_of_a_text(text, left):
    assert veiled(text) == left


def test_no_hash_stays_from_which_a_position_could_be_tried_out(tmp_path, desk):
    """An ident is a plain hash of the payload; of a refused message it is keyed as the payload's hash is."""
    payload = b'{"_type":"location","lat":51.95,"lon":4.05,"tst":1793527200}'
    take(desk, frame("owntracks", payload, device="stranger"))
    other = open_writer(f"sqlite:///{tmp_path}/other.db", mode="live")
    second = Desk(other, exercise=False, refusal_key=b"another" * 5)
    second.take([(Source(), [frame("owntracks", payload, device="stranger")])], NOW)
    a, b = desk.journal.tail(1)[0], other.tail(1)[0]
    other.close()
    assert a.ident[:4] == b.ident[:4] and a.ident != b.ident and unpack(a).payload_hash != unpack(b).payload_hash


# --- sender and subject ----------------------------------------------------------------------------


def phone(lat=51.95, **more):
    payload = json.dumps({"_type": "location", "lat": lat, "lon": 4.05, "tst": NOW // NS}).encode()
    return frame("owntracks", payload, **more)


def test_a_device_with_a_prefix_speaks_as_nobody_else(tmp_path, desk):
    """mqtt/owntracks-prefix-spoof, with a device that is attached elsewhere, too."""
    watched(desk, IMEI, "janetablet")
    enter(desk, Device(device="loose"))
    for sender in ("loose", "janetablet"):
        (body,) = take(desk, phone(52.987654, device=sender, subject=IMEI, channel=f"owntracks/{sender}/{IMEI}"))
        assert isinstance(body, RefusalBody) and [r.reason for r in body.rejects] == ["identity"]
        assert (body.device, body.sender, body.subject) == (sender, None, IMEI)
    assert b"52.987654" not in stays(tmp_path)


@pytest.mark.parametrize("basis", ["partner", "own_sensor"])
def test_a_gateway_speaks_for_who_is_admitted(desk, basis):
    watched(desk, IMEI)
    enter(desk, Device(device="gw", basis=basis))
    good, bad = take(desk, phone(device="gw", subject=IMEI), phone(device="gw", subject="ben/phone"))
    assert isinstance(good, FrameBody) and good.observations[0].device == IMEI
    assert (good.device, good.sender, good.subject) == ("gw", None, IMEI)
    assert isinstance(bad, RefusalBody) and bad.rejects[0].reason == "unknown_device" and bad.subject == "ben/phone"


def test_two_phones_behind_one_gateway_that_say_the_same_are_two(desk):
    watched(desk, "anna/phone", "ben/phone")
    enter(desk, Device(device="gw", basis="partner"))
    bodies = take(desk, phone(device="gw", subject="anna/phone"), phone(device="gw", subject="ben/phone"))
    assert [body.observations[0].device for body in bodies] == ["anna/phone", "ben/phone"]
    assert desk.journal.counts().duplicates == 0


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_the_format_a_watched_device_speaks_for_itself_alone(tmp_path, desk, name):
    """A tracker's certificate, another's IMEI in its bytes: the identity is the certificate's name."""
    watched(desk, "mine")
    module = codec.load(name)
    fixes = [o for sample in samples(name) for o in codec.decode_whole(module, module.Decoder(), codec.Message(
        payload=payload_of(sample), topic=sample.get("topic", ""), received_ns=NOW)).observations if isinstance(o, Fix)]
    others = sorted({o.device for o in fixes} - {"", "mine"})
    watched(desk, *others)
    for sample in samples(name):
        (body,) = take(desk, frame(name, payload_of(sample), device="mine", channel=sample.get("topic", "")))
        assert {o.device for o in body.observations} <= {"mine"}


def test_in_an_exercise_whom_a_topic_names_stands_for_itself_and_the_entry_says_who_sent_it(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/x.db", mode="exercise")
    desk = Desk(writer, exercise=True, refusal_key=b"k" * 32)
    (body,) = take(desk, phone(device="mosq-1", subject="van-1", channel="birddog/v1/van-1/owntracks"))
    assert (body.device, body.sender, body.subject) == ("van-1", "mosq-1", "")
    assert body.observations[0].device == "van-1"
    (body,) = take(desk, frame("queclink", b"no report"))
    assert body.payload == b"no report" and body.sender is None
    writer.close()


# --- an OwnTracks gateway --------------------------------------------------------------------------------


@pytest.mark.parametrize(("basis", "reasons"), [("partner", []), ("own_sensor", []), ("warrant", ["identity"])])
def test_phones_behind_a_gateway_are_each_themselves(desk, basis, reasons):
    """Their recorder hands everything on with one topic of its own; each object holds the topic that its phone used."""
    watched(desk, "anna/phone", "ben/phone")
    enter(desk, Device(device="gw", basis=basis, topics=("partner/feed",), format="owntracks"))
    for user in ("anna", "ben"):
        payload = json.dumps({"_type": "location", "lat": 51.95, "lon": 4.05, "tst": NOW // NS - 5,
                              "topic": f"owntracks/{user}/phone"}).encode()
        (body,) = take(desk, frame("owntracks", payload, device="gw", channel="partner/feed"))
        assert [r.reason for r in body.rejects] == reasons
        assert [o.device for o in body.observations] == ([] if reasons else [f"{user}/phone"])
        assert b"51.95" not in pack(body) or not reasons


# --- a clock that is known to be behind ----------------------------------------------------------------

WEEKS = 1024 * 7 * 86_400


@pytest.mark.parametrize(("times", "behind_s", "late_s", "flags"), [
    (1, WEEKS, 5, ("week_rollover_corrected",)),
    (2, 2 * WEEKS, 5, ("week_rollover_corrected",)),
    (1, WEEKS, 200 * 86_400, ("week_rollover_corrected",)),  # kept for half a year, then sent
    (1, 0, 5, ()),  # the receiver has got a new program: its time is right
])
def test_a_week_rollover_is_corrected_as_it_was_enrolled_and_says_so(desk, times, behind_s, late_s, flags):
    enter(desk, Operation(operation="OP"), Device(device="old", week_rollover=times),
          Attachment(device="old", shipment="S", operation="OP", from_ns=NOW - 365 * 86_400 * NS))
    tst = NOW // NS - late_s - behind_s
    (body,) = take(desk, frame("positions", b"t,lat,lon\n%d,51.95,4.05\n" % tst, device="old"))
    assert not body.rejects and body.observations[0].time_ns == NOW - late_s * NS and body.observations[0].flags == flags


def test_without_it_the_time_is_refused_and_nothing_is_added(desk):
    watched(desk, "old")
    payload = json.dumps({"_type": "location", "lat": 51.95, "lon": 4.05, "tst": NOW // NS - WEEKS}).encode()
    (body,) = take(desk, frame("owntracks", payload, device="old"))
    assert [r.reason for r in body.rejects] == ["clock"] and not body.observations and body.payload == payload


def rmc(time, date):
    body = f"GPRMC,{time},A,5157.0000,N,00403.0000,E,0.0,0.0,{date},,,A"
    return f"${body}*{functools.reduce(int.__xor__, body.encode()):02X}\r\n".encode()


@pytest.mark.parametrize(("stated", "received", "true"), [
    # openvehicles/Open-Vehicle-Monitoring-System-3#284: a SIM5360 from 2019-11-03 on
    (rmc("202827.00", "220300"), "2019-11-06T20:28:30Z", "2019-11-06T20:28:27Z"),
    # labexp/osmtracker-android#283: off by 7168 days, also of what was stored for a day
    (rmc("101112.00", "060201"), "2020-09-23T10:11:12Z", "2020-09-22T10:11:12Z"),
])
def test_receivers_whose_weeks_began_anew(desk, stated, received, true):
    enter(desk, Device(device="gps", basis="own_sensor", week_rollover=1))
    at_ns = ns_from_text(received)
    desk.clock.now_ns = 0
    desk.take([(Source(), [frame("nmea", stated, device="gps", received_ns=at_ns)])], at_ns)
    body = unpack(desk.journal.tail(1)[0])
    assert [o.time_ns for o in body.observations] == [ns_from_text(true)], body.rejects
    assert "week_rollover_corrected" in body.observations[0].flags


QUECLINK = ("+RESP:GTFRI,1A0200,135790246811220,GL300,0,0,1,1,4.3,92,70.0,4.050000,51.950000,{0:%Y%m%d%H%M%S},0204,0008,0CEE,"
            "B951,,90,{0:%Y%m%d%H%M%S},0082$")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize("form", ["nmea", "owntracks", "teltonika", "queclink", "ubx", "positions"])
def test_every_format_of_a_device_whose_clock_is_behind(desk, form, times, updated):
    """canboat/canboat#863: a receiver two epochs behind says 1987, which no format takes for a time otherwise."""
    true_ns = NOW // NS * NS - 5 * NS
    stated_ns = true_ns - (0 if updated else times * WEEKS * NS)
    stated = datetime.fromtimestamp(stated_ns // NS, UTC)
    device = "135790246811220" if form == "queclink" else "old"
    enter(desk, Device(device=device, basis="own_sensor", week_rollover=times))
    place = {"lat_deg": 51.95, "lon_deg": 4.05, "time_ns": stated_ns}
    payload = {
        "nmea": lambda: rmc(f"{stated:%H%M%S}.00", f"{stated:%d%m%y}"),
        "owntracks": lambda: json.dumps({"_type": "location", "lat": 51.95, "lon": 4.05, "tst": stated_ns // NS}).encode(),
        "teltonika": lambda: teltonika.encode(records=[place]), "queclink": lambda: QUECLINK.format(stated).encode(),
        "ubx": lambda: ubx.encode(**place),
        "positions": lambda: b"t,lat,lon\n%d,51.95,4.05\n" % (stated_ns // NS),
    }[form]()
    (body,) = take(desk, frame(form, payload, device=device))
    fixes = [o for o in body.observations if isinstance(o, Fix)]
    assert [o.time_ns for o in fixes] == [true_ns], (body.rejects, body.observations)
    assert ("week_rollover_corrected" in fixes[0].flags) == (not updated) and "no_fix_time" not in fixes[0].flags


def test_what_has_no_time_of_its_own_stands_at_its_reception_also_where_a_clock_is_behind(desk):
    enter(desk, Device(device="old", basis="own_sensor", week_rollover=2))
    (body,) = take(desk, frame("owntracks", b'{"_type":"location","lat":51.95,"lon":4.05,"tst":0}', device="old"))
    (fix,) = body.observations
    assert (fix.time_ns, fix.time_source, fix.flags) == (NOW, "server", ("no_fix_time",))


def test_a_strangers_sentences_stay_in_no_log(tmp_path, desk, caplog):
    """traccar/traccar#1246 and #140: the raw messages of an unknown device stand in the server's log, position and all."""
    caplog.set_level(0)
    said = bytes.fromhex("244750524d432c3231353635322e3030302c412c333133372e323631392c532c30353833302e333134322c572c302e3030"
                         "2c302e30302c3232303631352c2c2a30390d0a")
    hello = b"$QGID,357779053226898*07\r\n"
    for body in take(desk, frame("nmea", hello), frame("nmea", said), frame("nmea", said[:40]),
                     frame("nmea", said, device="357779053226898")):
        assert isinstance(body, RefusalBody)
    assert b"3137.2619" not in stays(tmp_path) and "3137.2619" not in caplog.text


def test_one_certificate_on_two_phones_is_one_device_with_its_own_topic_alone():
    """owntracks/android#932: every client of one certificate could publish as every other."""
    from birddog.directory import Directory
    from ingest.permit import DirectoryPermit

    directory = Directory()
    directory.apply(Device(device="fhDO2021", topics=("owntracks/fhDO/01",)))
    permit = DirectoryPermit(directory)
    assert permit.permit("fhDO2021", "owntracks/fhDO/01") == ("owntracks", "")
    refused = permit.permit("fhDO2021", "owntracks/fhDO/02")
    assert isinstance(refused, Reject) and refused.reason == "identity"


@pytest.mark.parametrize("format", ["nmea", "ubx"])
@pytest.mark.parametrize("harm", ["whole", "check sum", "part 2", "cut", "DSC"])
@pytest.mark.parametrize("basis", ["own_sensor", "partner", "warrant", "open"])
def test_what_a_receiver_hears_of_a_strangers_ship_does_not_stay(tmp_path, desk, format, harm, basis):
    """A plotter's line carries AIS and DSC beside its own position; they are passed over, and their bytes do not stay."""
    armour = b"13aDoVhP1s0BvM0MfLu:V`LIP000"
    lines = {
        "whole": [b"!AIVDM,1,1,,A," + armour + b",0*40\r\n"],
        "check sum": [b"!AIVDM,1,1,,A," + armour + b",0*41\r\n"],
        "part 2": [b"\\g:1-2-7*5E\\!AIVDM,2,1,7,A,13aDoVh,0*52\r\n", b"!AIVDM,2,2,7,A," + armour + b",0*76\r\n"],
        "cut": [b"!AIVDM,1,1,,A," + armour],
        "DSC": [b"$CDDSC,20,2440601230,00,21,26,1339204051,2021,,,B,E*00\r\n"],
    }[harm]
    enter(desk, Device(device="launch", basis=basis))
    watched(desk, *["launch"] * (basis == "warrant"))
    own = b"$GPRMC,094000.00,A,5156.97793,N,00408.71978,E,19.438,271.00,011126,,,A*5D\r\n"
    bodies = take(desk, *(frame(format, line, device="launch") for line in [own, *lines]))
    assert isinstance(bodies[0], FrameBody) and bodies[0].observations
    heard = b"1339204051" if harm == "DSC" else armour
    assert (heard in stays(tmp_path)) == (basis == "open")
    if basis != "open":
        assert all(isinstance(body, RefusalBody) for body in bodies[1 + (harm == "part 2"):])


def test_of_a_ship_that_is_admitted_what_a_receiver_hears_stays(desk):
    enter(desk, Device(device="launch", basis="own_sensor"))
    watched(desk, "244660123")
    (body,) = take(desk, frame("nmea", b"!AIVDM,1,1,,A,13aDoVhP1s0BvM0MfLu:V`LIP000,0*40\r\n", device="launch"))
    assert isinstance(body, FrameBody) and not body.rejects and body.subject == "244660123"
