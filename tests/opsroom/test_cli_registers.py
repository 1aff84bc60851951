"""birddog operation and birddog device: what they enter, and what they refuse before anything is written."""

from __future__ import annotations

import json

import pytest

from birddog.journal import open_reader, open_writer
from opsroom import cli

TAG = "356307042441013"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command line on the journal of a folder of its own; (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def one(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main([*words, "--journal", "sqlite:///c.db"])
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return one


def entries() -> int:
    reader = open_reader("sqlite:///c.db")
    try:
        return reader.last_seq()
    finally:
        reader.close()


RING = '{"type":"Polygon","coordinates":[[[1,2],[3,2],[5,6],[1,2]]]}'


@pytest.mark.parametrize("words,said", [
    ([""], "ID: wants a name without spaces"), (["A B"], "ID: wants a name without spaces"), (["open"], "and not 'open'"),
    (["A\tB"], "ID: wants printable"), ([" A"], "ID: wants printable"), (["A", "--name", "x\ny"], "--name: wants printable"),
    (["A", "--area", "none.json"], "none.json: cannot be read"), (["A", "--area", "."], ".: cannot be read: Is a directory"),
])
def test_a_case_that_cannot_be_makes_no_journal(run, tmp_path, words, said):
    status, out, err = run("operation", "add", *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text,said", [
    (b"[1,\n2", "a.json:2: is no JSON: Expecting ',' delimiter, column 2"), (b"\xff\xfe", "a.json: is no JSON: not UTF-8"),
    (RING.replace("1,2", "NaN,2").encode(), "NaN is no finite number"),
    (RING.replace("1,2", "1e999,2").encode(), "1e999 is no finite number"),
    (b"[" * 100_000, "nested too deeply"), (RING.replace("{", '{"type":"Point",', 1).encode(), "a key stands twice"),
    (RING.replace("1,2", '"1","2"').encode(), "[longitude, latitude] was expected"), (b"null", "is not one GeoJSON polygon"),
    (b'{"type":"Feature","geometry":null}', "is not one GeoJSON polygon"),
    (b'{"type":"FeatureCollection","features":[]}', "is not one GeoJSON polygon"),
    (RING.replace("]]]", "]],[[1,2],[3,2],[5,6],[1,2]]]").encode(), "without holes"),
    (RING.replace("1,2", "1,95").encode(), "no position on Earth"),
    (RING.replace(",[1,2]]", "]").encode(), "at least four positions"),
    (RING.replace("Polygon", "MultiPolygon").encode(), "is a MultiPolygon"),
    (RING.replace("[5,6],[1,2]", "[5,6],[1,3]").encode(), "not closed"),
    (RING.replace("[3,2],[5,6]", "[3,4],[3,2],[1,4]").encode(), "crosses itself"),
    (RING.replace("[3,2],[5,6]", "[3,4],[5,6]").encode(), "encloses nothing"),
    (RING.replace("{", '{"edges":"geodesic",', 1).encode(), "edges: of an operation's area"),
])
def test_an_area_that_is_none(run, tmp_path, text, said):
    (tmp_path / "a.json").write_bytes(text)
    status, _, err = run("operation", "add", "A", "--area", "a.json")
    assert status == 2 and err.startswith("birddog operation: a.json") and said in err and err.count("\n") == 1


def test_areas_of_all_three_forms_and_with_a_mark(run, tmp_path):
    feature = '{"type":"Feature","geometry":' + RING + "}"
    for name, text in (("A", RING), ("B", feature), ("C", '{"type":"FeatureCollection","features":[' + feature + "]}")):
        (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert run("operation", "add", name, "--area", "a.json", "--name", "Größe")[0] == 0
    rows = json.loads(run("operation", "list", "--json")[1])
    assert rows == [{"operation": name, "name": "Größe", "area": [[1, 2], [3, 2], [5, 6], [1, 2]], "closed": False,
                     "requires_warrant": False, "keep_until": None, "zones": []}
                    for name in "ABC"]  # fmt: skip


def test_a_case_watches_places(run, tmp_path):
    (tmp_path / "a.json").write_text(RING)
    (tmp_path / "l.json").write_text('{"type":"LineString","coordinates":[[4,52],[4.1,52.1]]}')
    assert run("operation", "add", "A")[0] == 0
    assert run("operation", "watch", "A", "the yard", "--area", "a.json", "--dwell", "0")[0] == 0
    assert run("operation", "watch", "A", "A13", "--corridor", "l.json", "--width", "600")[0] == 0
    assert run("operation", "watch", "A", "the yard", "--area", "a.json")[0] == 0  # again: another dwell time
    [row] = json.loads(run("operation", "list", "--json")[1])
    assert row["zones"] == [
        {"name": "A13", "points": [[4.0, 52.0], [4.1, 52.1]], "half_width_m": 300.0, "dwell_s": 60.0},
        {"name": "the yard", "points": [[1, 2], [3, 2], [5, 6], [1, 2]], "dwell_s": 60.0},
    ]
    assert "A13, the yard" in run("operation", "list")[1]
    assert run("operation", "unwatch", "A", "A13")[0] == 0
    assert [zone["name"] for zone in json.loads(run("operation", "list", "--json")[1])[0]["zones"]] == ["the yard"]
    for words, said in ((["unwatch", "A", "A13"], "watches no 'A13'"),
                        (["watch", "B", "x", "--area", "a.json"], "no operation 'B'"),
                        (["watch", "A", "x", "--area", "a.json", "--width", "3"], "--width"), (["watch", "A", "x"], "--area"),
                        (["watch", "A", "x", "--corridor", "l.json", "--width", "nan"], "--width"),
                        (["watch", "A", "x", "--area", "a.json", "--dwell", "-1"], "--dwell"),
                        (["watch", "A", "x", "--corridor", "a.json"], "wants a LineString"),
                        (["watch", "A", "x\n", "--area", "a.json"], "NAME")):  # fmt: skip
        status, _, err = run("operation", *words)
        assert status == 2 and said in err and err.count("\n") == 1, words


def test_a_case_watches_ports_lines_and_borders_and_the_picture_knows_used_ways(run, tmp_path):
    (tmp_path / "a.json").write_text(RING)
    (tmp_path / "l.json").write_text('{"type":"LineString","coordinates":[[4,52],[4.1,52.1]]}')
    rows = [f"v{v},{1_790_000_000 + 300 * k},52.0,{4 + 0.02 * k}" for v in range(4) for k in range(20)]
    (tmp_path / "past.csv").write_text("id,t,lat,lon\n" + "\n".join(rows) + "\n")
    (tmp_path / "still.csv").write_text("id,t,lat,lon\n" + "\n".join(f"a,{1_790_000_000 + k},52,4" for k in range(9)) + "\n")
    assert run("operation", "add", "A")[0] == 0
    for option, file in (("--port", "a.json"), ("--border", "a.json"), ("--gate", "l.json")):
        assert run("operation", "watch", "A", option[2:], option, file)[0] == 0
    [row] = json.loads(run("operation", "list", "--json")[1])
    assert [(zone["name"], zone["role"]) for zone in row["zones"]] == [(k, k) for k in ("port", "border", "gate")]
    assert "cells of 2000 m of 4 tracks" in run("archive", "use", "past.csv")[2]
    status, _, err = run("archive", "use", "still.csv")
    assert status == 2 and "nothing moved in it" in err and err.count("\n") == 1
    [entry] = [e for e in map(json.loads, run("journal", "export")[1].splitlines()) if e["kind"] == "ways"]
    assert entry["seq"] == 5


def test_a_case_opens_closes_and_opens_again(run):
    assert "made a new live journal" in run("operation", "add", "A")[2]
    assert "is open already" in run("operation", "add", "A")[2]
    assert "refuses exercise data" in run("operation", "add", "B", "--exercise")[2]
    assert run("operation", "close", "A")[0] == 0
    assert "is closed" in run("operation", "close", "A")[2]
    assert "no operation 'B'" in run("operation", "close", "B")[2]
    assert run("operation", "list")[1].splitlines()[1].split() == ["A", "closed"]
    assert run("operation", "add", "A")[0] == 0


@pytest.mark.parametrize("words,said", [
    (["enrol", ""], "ID: wants an identity"), (["enrol", "a\nb"], "ID: wants printable"),
    (["enrol", " a"], "ID: wants printable"),
    (["enrol", "a", "--name", "\x1b[31m"], "--name"), (["enrol", "a", "--owner", "x\u202ey"], "--owner"),
    (["enrol", "a", "--format", "nope"], "no format 'nope'"), (["enrol", "a", "--class", "boat"], "--class"),
    *((["enrol", "a", "--interval", value], "--interval") for value in ("nan", "inf", "-3", "0", "1e999", "-1e-3", "x")),
    *((["enrol", "a", "--topic", value], "--topic")
      for value in ("", "/", "#", "a/+/b", "a/#/b", "birddog/v1/b", "birddog/v1/#")),
    (["attach", "none", "--operation", "A"], "is not enrolled"), (["attach", TAG, "--operation", "B"], "no operation 'B'"),
    (["attach", TAG, "--operation", "A", "--shipment", "a\tb"], "--shipment"),
    *((["attach", TAG, "--operation", "A", "--from", value], "--from")
      for value in ("2026-01-01T00:00:00", "2026-01-01", "1e99", "now", "", "99999999999", "-62135596800",
                    "0001-01-01T00:00:00Z")),
    (["attach", TAG, "--operation", "A", "--from", "5", "--to", "5"], "--to: must be later than --from"),
    (["detach", TAG], "is attached to nothing"), (["place", "", "--lat", "1", "--lon", "1", "--range", "1"], "ID"),
    *((["place", "p", "--lat", lat, "--lon", lon, "--range", reach], said) for lat, lon, reach, said in (
        ("91", "0", "5", "--lat"), ("nan", "0", "5", "--lat"), ("0", "-180.1", "5", "--lon"), ("0", "inf", "5", "--lon"),
        ("0", "0", "0", "--range"), ("0", "0", "-1", "--range"), ("0", "0", "inf", "--range"), ("0,5", "0", "1", "--lat"))),
    (["show", "none"], "nothing is known of 'none'"), (["retire", "none"], "is not enrolled"),
])  # fmt: skip
def test_what_a_register_refuses_writes_nothing(run, words, said):
    run("operation", "add", "A")
    run("device", "enrol", TAG)
    before = entries()
    status, out, err = run("device", *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and said in err
    assert entries() == before


def test_negative_numbers_as_programs_write_them(run):
    run("operation", "add", "A")
    assert run("device", "place", "p", "--lat", "-1e-05", "--lon", "-1.5E+1", "--range", "1e2", "--from", "-5")[0] == 0
    [row] = json.loads(run("device", "list", "--json")[1])
    assert row["placement"] == {"lat_deg": -1e-05, "lon_deg": -15.0, "range_m": 100.0}


def test_a_device_is_in_one_place_at_a_time(run):
    run("operation", "add", "A")
    run("operation", "add", "B")
    run("device", "enrol", TAG, "--topic", "owntracks/u/d", "--topic", "site/7/#")
    attach = ["device", "attach", TAG, "--operation"]
    assert run(*attach, "A", "--from", "2026-03-01T01:00:00+01:00", "--to", "2026-04-01T00:00:00Z")[0] == 0
    for words in (["--from", "2026-02-01T00:00:00Z"], ["--from", "2026-03-31T23:59:59Z"],
                  ["--from", "2026-01-01T00:00:00Z", "--to", "2026-03-01T00:00:01Z"]):  # fmt: skip
        assert "birddog device detach" in run(*attach, "B", *words)[2]
    assert run(*attach, "B", "--from", "2026-04-01T00:00:00Z")[0] == 0
    assert run(*attach, "B", "--from", "2026-01-01T00:00:00Z", "--to", "2026-03-01T00:00:00Z")[0] == 0
    row = json.loads(run("device", "show", TAG, "--json")[1])
    assert (row["operation"], row["attached_from"], row["topics"]) == (
        "B", "2026-04-01T00:00:00.000Z", ["owntracks/u/d", "site/7/#"],
    )  # fmt: skip


def test_nothing_of_a_name_moves_the_cursor(run):
    """A journal made by others may hold any name: what is printed for people is escaped."""
    from birddog.model import Attachment, Device
    from ingest import control

    run("operation", "add", "A")
    reader = open_reader("sqlite:///c.db")
    reader.close()
    writer = open_writer("sqlite:///c.db", mode="live")
    for body in (Device(device="t", name="\x1b[2Jx"), Attachment(device="t", shipment="a\r\x1b[1Ab", operation="A", from_ns=0)):
        writer.append([control.own(body, source="test")])
    writer.close()
    for words in (["list"], ["show", "t"], ["detach", "t"]):
        _, out, err = run("device", *words)
        assert "\x1b" not in out + err and "\r" not in out + err


def test_an_attachment_made_now_holds_from_the_whole_second(run, monkeypatch):
    """A phone states whole seconds: its first message, sent at once, is not earlier than its attachment."""
    from types import SimpleNamespace

    from birddog.units import NS
    from opsroom import registers

    def now(ms: int) -> None:
        monkeypatch.setattr(registers, "time", SimpleNamespace(time_ns=lambda: 1_772_431_200 * NS + ms * 1_000_000))

    def attachments() -> list[tuple[str, int, int | None]]:
        held = registers.Registers("sqlite:///c.db").directory.attachments[TAG]
        return [(a.operation, *(None if t is None else (t - 1_772_431_200 * NS) // 1_000_000 for t in (a.from_ns, a.to_ns)))
                for a in held]  # fmt: skip

    for name in "ABC":
        run("operation", "add", name)
    run("device", "enrol", TAG)
    steps = ((246, ["attach", TAG, "--operation", "A"]), (500, ["detach", TAG]), (700, ["attach", TAG, "--operation", "B"]))
    for ms, words in steps:
        now(ms)
        assert run("device", *words)[0] == 0
    assert attachments() == [("A", 0, 500), ("B", 500, None)]
    now(800)
    run("operation", "close", "B")
    assert run("device", "attach", TAG, "--operation", "C")[0] == 0
    assert attachments() == [("A", 0, 500), ("B", 500, None), ("C", 800, None)]
    now(1900)
    assert run("device", "show", TAG)[0] == 0
    assert run("device", "detach", TAG)[0] == 0
    now(60_100)
    assert run("device", "attach", TAG, "--operation", "A")[0] == 0
    assert attachments()[-2:] == [("C", 800, 1900), ("A", 60_000, None)]


@pytest.mark.parametrize("words", [["enrol", TAG], ["place", "mast", "--lat", "1", "--lon", "2", "--range", "50"]])
@pytest.mark.parametrize("exercise", [False, True])
def test_a_device_may_be_the_first_of_a_new_journal(run, tmp_path, words, exercise):
    status, out, err = run("device", *words, *(["--exercise"] if exercise else []))
    mode = "exercise" if exercise else "live"
    assert (status, out) == (0, "") and err.startswith(f"made a new {mode} journal at c.db\n")
    assert [row["device"] for row in json.loads(run("device", "list", "--json")[1])] == [words[1]]
    if not exercise:
        assert "refuses exercise data" in run("device", "enrol", "other", "--exercise")[2]


@pytest.mark.parametrize("words", [
    ["enrol", "a", "--interval", "0"], ["enrol", "a", "--format", "nope"], ["enrol", "a", "--topic", "#"],
    ["place", "p", "--lat", "91", "--lon", "2", "--range", "50"], ["place", "p", "--lat", "1", "--lon", "2", "--range", "0"],
    ["place", "p", "--lat", "1", "--lon", "2", "--range", "5", "--from", "x"],
    ["attach", TAG, "--operation", "A"], ["detach", TAG], ["list"], ["show", TAG], ["retire", TAG],
])  # fmt: skip
def test_a_line_that_is_refused_makes_no_journal(run, tmp_path, words):
    status, out, err = run("device", *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and list(tmp_path.iterdir()) == []


def test_a_phones_topic_is_one_devices_and_a_rollover_is_recorded(run):
    assert run("device", "enrol", "anna", "--topic", "owntracks/anna/phone", "--week-rollover", "1")[0] == 0
    assert json.loads(run("device", "show", "anna", "--json")[1])["week_rollover"] == 1
    code, _, err = run("device", "enrol", "other", "--topic", "owntracks/anna/phone/#")
    assert code == 2 and "is the topic of 'anna'" in err
    assert run("device", "enrol", "ben", "--topic", "owntracks/ben/phone")[0] == 0
    assert run("device", "enrol", "bridge", "--basis", "partner", "--topic", "owntracks")[0] == 0
    assert run("device", "enrol", "x", "--week-rollover", "-1")[0] == 2
    assert run("device", "retire", "anna")[0] == 0
    assert run("device", "enrol", "anna-2", "--topic", "owntracks/anna/phone")[0] == 0


def test_who_entered_it_stands_in_the_entry(run):
    """The person named, or the system's user; a list asks for nobody."""
    from opsroom.registers import user_name

    assert run("operation", "add", "NIGHTJAR", "--actor", "Noor")[0] == 0
    assert run("device", "enrol", TAG)[0] == 0
    assert run("device", "attach", TAG, "--operation", "NIGHTJAR", "--actor", "Ada")[0] == 0
    assert run("operation", "close", "NIGHTJAR", "--actor", " x")[0] == 2
    reader = open_reader("sqlite:///c.db")
    found = [(e.kind, e.actor, e.operation) for e in reader.read(0)]
    reader.close()
    assert found == [("operation", "Noor", "NIGHTJAR"), ("device", user_name(), ""), ("attachment", "Ada", "NIGHTJAR")]
    assert json.loads(run("journal", "export")[1].splitlines()[0])["actor"] == "Noor"
    assert "BY Ada" in run("journal", "tail")[1]
