"""Messages that fed no track are counted with the reason and what would make them: nothing is silent nothing."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest

from birddog.directory import Directory
from birddog.journal import open_reader, open_writer
from birddog.model import (
    Attachment,
    Device,
    Draft,
    Entry,
    Fix,
    FrameBody,
    Operation,
    Placement,
    Reading,
    Reject,
    Start,
    TagRead,
    pack,
)
from birddog.units import NS, ns_from_text
from devices.sentences import seal
from opsroom.capture import take
from opsroom.cli import main
from opsroom.picture import Picture
from opsroom.picture_store import PictureReader
from opsroom.unfed import LINES, WORDS, Account, unfed
from tracking.fold import Fold

T0 = ns_from_text("2026-03-02T06:00:00Z")
EPC = "urn:epc:id:sgtin:0614141.107346.2017"
KINDS = {Operation: "operation", Device: "device", Attachment: "attachment", Placement: "placement", FrameBody: "frame",
         Start: "start"}


def entries(*bodies, received_ns=T0 + 4000 * NS):
    return [Entry(seq=n, kind=KINDS[type(b)], received_ns=received_ns, source="t", ident=b"%d" % n, body=pack(b))
            for n, b in enumerate(bodies, 1)]


def said(*observations, device="tag"):
    return FrameBody(format="x", version=1, payload=b"x", device=device, observations=observations)


def fix(device="tag", t_s=10):
    return Fix(device=device, time_ns=T0 + t_s * NS, lat_deg=51.95, lon_deg=4.05, sigma_m=5.0)


def read(reader="gate", t_s=10):
    return TagRead(device=reader, time_ns=T0 + t_s * NS, epc=EPC)


def reading(quantity, value=True, device="gate"):
    return Reading(device=device, time_ns=T0 + 10 * NS, quantity=quantity, value=value)


CASE = Operation(operation="OP")
IN = Attachment(device="tag", shipment="S", operation="OP", from_ns=T0)
LATER = Attachment(device="tag", shipment="S", operation="OP", from_ns=T0 + 3600 * NS)
TAG_IN = Attachment(device=EPC, shipment="S", operation="OP", from_ns=T0)
GATE = Placement(device="gate", lat_deg=51.95, lon_deg=4.05, range_m=10.0)


@pytest.mark.parametrize("exercise", [True, False])
@pytest.mark.parametrize(("registers", "body", "live", "played"), [
    ((), said(fix()), "unattached", None),
    ((Device(device="tag"),), said(fix()), "unattached", None),
    ((Device(device="tag", retired=True),), said(fix()), "retired", "retired"),
    ((Device(device="tag", basis="own_sensor"),), said(fix()), None, None),
    ((Device(device="roof", basis="open"),), said(fix(), device="roof"), None, None),
    ((CASE, Device(device="tag"), IN), said(fix()), None, None),
    ((CASE, Device(device="tag"), LATER), said(fix()), "unattached", "elsewhen"),
    ((CASE, Device(device="tag"), LATER), said(fix(t_s=3700)), None, None),
    ((CASE, Device(device="tag"), IN), said(fix("other"), fix()), None, None),
    ((CASE, TAG_IN), said(read(), device="gate"), "unplaced", "unplaced"),
    ((CASE, TAG_IN, GATE), said(read(), device="gate"), None, None),
    ((GATE,), said(read(), device="gate"), "unattached", None),
    ((CASE, IN), said(reading("battery_voltage", 3.7)), "placeless", "placeless"),
    ((), said(reading("seismic")), "unplaced", "unplaced"),
    ((), said(), "placeless", "placeless"),
])
def test_the_reason_is_the_folds(registers, body, live, played, exercise):
    """``None`` where, and only where, the fold has a point of it; ``elsewhen``: in ``open`` only."""
    fold, directory = Fold(), Directory()
    for register in registers:
        directory.apply(register)
    changes = [fold.apply(entry) for entry in entries(Start(version="1", presets={}, exercise=exercise), *registers, body)]
    found = unfed(directory, body, T0 + 20 * NS, exercise=exercise)
    assert (found and found[1]) == (played if exercise else live)
    fed = {track.operation for track in changes[-1].tracks} if changes[-1].points else set()
    assert bool(fed) == (found is None or found[1] == "elsewhen") and (found is None or fed <= {"open"})


def test_what_was_refused_is_no_message_that_fed_no_track():
    body = FrameBody(format="x", version=1, payload=b"x", device="tag", rejects=(Reject("checksum"),))
    assert unfed(Directory(), body, T0, exercise=True) is None


def owntracks(path, count=40):
    rows = [{"format": "owntracks", "topic": "birddog/v1/van-1/owntracks", "text": json.dumps(
        {"_type": "location", "lat": 51.95, "lon": 4.05 + i * 1e-3, "acc": 6, "tst": T0 // NS + 60 * i})} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tracks(path):
    journal = open_reader(f"sqlite:///{path}")
    picture = Picture(journal, path.with_suffix(".p"))
    while picture.step():
        pass
    picture.save()
    picture.close()
    journal.close()
    reader = PictureReader(path.with_suffix(".p"))
    found = [track for _, track in reader.tracks()], [row for _, row in reader.refused()]
    reader.close()
    return found


def enter(path, *bodies):
    """Registers entered today, as a person does before the replay."""
    writer = open_writer(f"sqlite:///{path}", mode="exercise")
    now_ns = ns_from_text("2026-11-28T00:00:00Z")
    writer.append([Draft(kind=KINDS[type(b)], received_ns=now_ns, source="t", ident=repr(b).encode(), body=pack(b))
                   for b in bodies])
    writer.close()


def test_a_case_that_is_opened_first_changes_no_track(tmp_path):
    """tracking/replay-after-operation-add: 40 messages, 0 tracks, exit 0, no word."""
    file = owntracks(tmp_path / "c.jsonl")
    take([file], f"sqlite:///{tmp_path}/a.db", format_name="", device="")
    enter(tmp_path / "b.db", CASE)
    take([file], f"sqlite:///{tmp_path}/b.db", format_name="", device="")
    (plain,), (after,) = tracks(tmp_path / "a.db")[0], tracks(tmp_path / "b.db")[0]
    # its id is the number of its first entry: one more stands before it
    assert plain == msgspec.structs.replace(after, track_id=plain.track_id)
    assert plain.hits == 40 and plain.status == "confirmed"
    # more of the same journal, later: one start is enough
    take([owntracks(tmp_path / "d.jsonl", 60)], f"sqlite:///{tmp_path}/b.db", format_name="", device="")
    journal = open_reader(f"sqlite:///{tmp_path}/b.db")
    assert [entry.kind for entry in journal.read(0)].count("start") == 1
    journal.close()


def test_an_attachment_of_then_makes_the_cases_track_though_it_is_entered_today(tmp_path):
    """console/sim-enrol-then-folder: it was born coasting, eight months old."""
    enter(tmp_path / "a.db", CASE, Device(device="van-1"), Attachment(device="van-1", shipment="S", operation="OP", from_ns=T0))
    told = []
    take([owntracks(tmp_path / "c.jsonl")], f"sqlite:///{tmp_path}/a.db", format_name="", device="", tell=told.append)
    (track,), refused = tracks(tmp_path / "a.db")
    assert (track.operation, track.name, track.status, track.hits) == ("OP", "S", "confirmed", 40)
    assert not refused and told[0].messages == 40 and list(told[0].lines("c.jsonl")) == []


def test_who_replays_is_told_what_fed_no_track_and_the_commands_that_would_make_it(tmp_path, capsys):
    """An attachment that holds from now for messages of March; the commands, word for word, make the track."""
    enter(tmp_path / "a.db", CASE, Device(device="van-1", klass="van"),
          Attachment(device="van-1", shipment="crate 1", operation="OP", from_ns=ns_from_text("2026-11-28T00:00:00Z")))
    file = owntracks(tmp_path / "c.jsonl")
    assert main(["replay", str(file), "--journal", f"sqlite:///{tmp_path}/a.db"]) == 0
    err = capsys.readouterr().err
    assert "40 messages of van-1 fed no track of a case (2026-03-02T06:00:00.000Z to 2026-03-02T06:39:00.000Z)" in err
    assert "attached in OP from 2026-11-28T00:00:00.000Z" in err
    import shlex

    commands = [line.strip().removeprefix("birddog ") for line in err.splitlines()
                if line.startswith(("  birddog device", "  birddog operation"))]
    assert len(commands) == 3
    for command in [*commands, f"replay {file} --journal sqlite:///new.db"]:
        words = shlex.split(command.replace("sqlite:///new.db", f"sqlite:///{tmp_path}/new.db"))
        assert main(words) == 0, command
    assert "fed no track" not in capsys.readouterr().err
    (track,), _ = tracks(tmp_path / "new.db")
    assert (track.operation, track.name, track.hits) == ("OP", "crate 1", 40)
    assert main(["replay", str(file), "--journal", f"sqlite:///{tmp_path}/new.db"]) == 0
    assert "no message was new" in capsys.readouterr().err


def test_an_operator_sees_what_fed_no_track_while_a_run_goes_on(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/l.db", mode="live")
    bodies = [Start(version="1", presets={}), CASE, TAG_IN, Device(device="gate", basis="own_sensor"),
              *itertools.repeat(said(read(), device="gate"), 3), said(reading("battery_voltage", 3.7), device="gate")]
    writer.append([Draft(kind=KINDS[type(b)], received_ns=T0 + n, source="t", ident=b"%d" % n, body=pack(b))
                   for n, b in enumerate(bodies)])
    writer.close()
    _, (row,) = tracks(tmp_path / "l.db")
    assert (row.device, row.reason, row.detail, row.count) == ("gate", "no_track", WORDS["unplaced"], 3)


def test_a_report_is_bounded(tmp_path):
    account = Account(Directory(), exercise=False)
    for n in range(LINES + 5):
        account.count(said(fix(f"d{n}")), T0)
    lines = list(account.lines("f"))
    assert len(lines) == LINES + 1 and lines[-1] == "and 5 more devices and reasons"


def test_a_status_between_positions_is_no_message_that_failed(tmp_path):
    account = Account(Directory(), exercise=True)
    for body in (said(fix()), said(reading("battery_voltage", 3.7, "tag")), said(reading("battery_voltage", 3.7, "mute"))):
        account.count(body, T0)
    assert list(account.lines("f")) == ["1 messages fed no track: said nothing of a place, none of mute did"]


def test_what_stands_beside_other_messages_of_a_file_is_no_message_that_failed(tmp_path, capsys):
    """The header of a table; the GPS sentences of a receiver between the AIS reports that they date."""
    table, log = tmp_path / "lorry.csv", tmp_path / "a.ais"
    table.write_text("id,t,lat,lon\nlorry-5,1772431200,52.0,5.5\n")
    log.write_bytes(seal("$", "GPRMC,120000.00,A,5157.0000,N,00403.0000,E,0.0,0.0,150621,,,A")
                    + b"!AIVDM,1,1,,A,13aEOK?P00PD2wVMdLDRhgvL289?,0*26\r\n")
    for file, form in ((table, "positions"), (log, "ais")):
        assert main(["replay", str(file), "--format", form, "--journal", f"sqlite:///{tmp_path}/{form}.db"]) == 0
        assert "fed no track" not in capsys.readouterr().err


def test_an_empty_file_is_said_to_be_empty(tmp_path, capsys):
    (tmp_path / "a.ais").write_bytes(b"")
    assert main(["replay", str(tmp_path / "a.ais"), "--format", "ais", "--journal", f"sqlite:///{tmp_path}/e.db"]) == 0
    assert "there is nothing in it" in (said := capsys.readouterr().err) and "there before" not in said


def test_a_scenario_is_enrolled_from_its_own_start_on(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    assert main(["sim", "enrol", "harbour", "--journal", url]) == 0
    journal = open_reader(url)
    from birddog.model import unpack
    from sim import scenario

    attached = [body for body in map(unpack, journal.registers()) if isinstance(body, Attachment)]
    journal.close()
    assert attached and {a.from_ns for a in attached} == {scenario.load("harbour").start_ns - 60 * NS}


def test_a_closed_case_is_said_to_be_closed():
    directory = Directory()
    attached = Attachment(device="tag", shipment="s", operation="OP", from_ns=T0)
    for body in (Device(device="tag"), Operation(operation="OP"), attached, Operation(operation="OP", closed=True)):
        directory.apply(body)
    account = Account(directory, exercise=True)
    account.count(said(fix()), T0)
    assert next(account.lines("f.jsonl")).endswith(
        "in no shipment of an open case at that time: attached in OP (closed) from 2026-03-02T06:00:00.000Z")


def test_refused_messages_are_told_with_their_reasons():
    account = Account(Directory(), exercise=True)
    for reason, count in (("checksum", 1), ("value", 3), ("checksum", 1)):
        account.count(FrameBody(format="x", version=1, payload=b"x", rejects=(Reject(reason),), count=count), T0)
    account.count(said(fix()), T0)
    assert list(account.lines("f.nmea")) == ["5 messages fed no track: refused (value 3, checksum 2)"]
