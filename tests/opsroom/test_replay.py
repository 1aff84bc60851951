"""A journal played again: at its pace, to its end, with a console to watch it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

import pytest

from birddog.journal import open_reader
from birddog.model import unpack
from birddog.units import NS, iso_from_ns
from devices.formats import ais
from devices.sentences import seal
from opsroom import cli
from opsroom.capture import take
from opsroom.picture_store import NotReady, PictureReader
from opsroom.played import Player

T0 = 1_500_000_000


@pytest.fixture
def url(tmp_path):
    rows = "".join(f"boat,{T0 + 10 * i},{51.9 + i * 1e-4:.4f},4.1\n" for i in range(61))
    (tmp_path / "c.csv").write_text("id,t,lat,lon\n" + rows)
    made = f"sqlite:///{tmp_path}/j.db"
    take([tmp_path / "c.csv"], made, format_name="positions", device="")
    return made


def wait_for(condition, what: str, seconds: float = 30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = condition()
        except (NotReady, OSError):
            answer = None
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def test_it_folds_what_is_due_and_stands_still_at_the_end(url, tmp_path):
    player = Player(open_reader(url), tmp_path / "p", speed=200.0)
    player.start()
    reader = PictureReader(tmp_path / "p")
    last = open_reader(url).last_seq()
    seen = wait_for(lambda: 0 < reader.cursor() < last and reader.cursor(), "part of it")
    assert T0 * NS <= player.now_ns() < (T0 + 600) * NS
    wait_for(lambda: reader.cursor() == last, f"all of it after {seen}")
    assert player.now_ns() == (T0 + 600) * NS
    player.stop()
    assert not player.is_alive()


def test_from_a_time_on(url, tmp_path):
    player = Player(open_reader(url), tmp_path / "p", speed=0.001, since_ns=(T0 + 300) * NS)
    player.start()
    reader = PictureReader(tmp_path / "p")
    wait_for(lambda: reader.cursor() == 33, "everything up to then: the header, 31 rows and the start")
    assert abs(reader.tracks()[0][1].updated_ns - (T0 + 300) * NS) <= NS
    player.stop()


def test_the_command_serves_a_console(url):
    words = ["replay", "--journal", url, "--speed", "100", "--http-port", "0"]
    process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split(" at ")[1].strip()

        def tracks():
            with urllib.request.urlopen(address + "v1/tracks", timeout=10) as answer:
                return json.load(answer)["tracks"]

        [track] = wait_for(tracks, "a track")
        assert track["tag_id"] == "boat" and track["time"].startswith("2017-07-14T02:")
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_the_play_ends_by_itself_when_asked_to(url):
    words = ["replay", "--journal", url, "--http-port", "0", "--for"]
    ran = subprocess.run([sys.executable, "-m", "opsroom.cli", *words, "0.5"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and ran.stdout.startswith(f"replay of {url} at http://127.0.0.1:") and ran.stderr == ""
    for value in ("0", "-1", "nan", "inf"):
        ran = subprocess.run([sys.executable, "-m", "opsroom.cli", *words, value], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 2 and "--for: wants seconds above 0" in ran.stderr and ran.stdout == ""


@pytest.mark.parametrize("words,said", [
    (["none.raw", "--format", "ais"], "none.raw: cannot be read: No such file"),
    ([".", "--format", "ais"], ".: is a folder: name the files in it"), (["."], ".: is a folder: name the files in it"),
    (["c.raw", "none.raw", "--format", "ais"], "none.raw: cannot be read"), (["c.raw"], "--format: wants --format NAME"),
    (["c.raw", "--format", "owntracks"], "owntracks is no stream format"), (["c.raw", "--format", "nope"], "no format 'nope'"),
    (["c.raw", "--format", "nmea", "--device", "a\nb"], "--device"), (["--format", "ais"], "--format: goes with FILE"),
    (["--device", "x"], "--device: goes with FILE"), *((["--http-port", port], "--http-port") for port in ("-1", "65536", "x")),
    *((["--speed", speed], "--speed") for speed in ("0", "-1", "nan", "inf", "1e999")),
    (["--from", "", "--http-port", "0"], "--from"),
])  # fmt: skip
def test_what_cannot_be_replayed_makes_no_journal(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.raw").write_bytes(b"!AIVDM\r\n")
    try:
        status = cli.main(["replay", *words, "--journal", "sqlite:///j.db"])
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and said in error
    assert [path.name for path in tmp_path.iterdir()] == ["c.raw"]


def test_a_capture_of_lines_as_other_programs_write_them(tmp_path, capsys):
    row = {"format": "nmea", "text": "$GPRMC,094000.00,A,5156.97793,N,00408.71978,E,19.438,271.00,011125,,,A*5E", "session": 5}
    (tmp_path / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\r\n\r\n")
    assert cli.main(["replay", str(tmp_path / "c.jsonl"), "--journal", f"sqlite:///{tmp_path}/a b.db"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("1 messages, 1 observations, 0 rejects") and f"--journal 'sqlite:///{tmp_path}/a b.db'" in said


def test_a_damaged_journal_ends_the_play_with_one_line(url, tmp_path):
    import sqlite3

    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("UPDATE entry SET body = x'00' WHERE seq = 40")
    db.commit()
    db.close()
    words = ["replay", "--journal", url, "--speed", "10000", "--http-port", "0"]
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "entry 40 is damaged" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def report(second: int, north: float) -> bytes:
    return ais.encode(mmsi=244_990_123, lat_deg=52.5 + north, lon_deg=3.5, time_ns=second * NS, speed_mps=5.0, course_deg=0.0)


def test_gps_sentences_date_the_ais_reports_of_a_log(tmp_path, capsys):
    """``../shared/cases/console/ais-with-rmc``; gpsd's test/daemon/ais-nmea.log came in at one instant, too."""
    rmc = [seal("$", f"GPRMC,1200{s:02d}.00,A,5230.0000,N,00330.0000,E,0.0,,150621,,,A") for s in range(0, 60, 10)]
    (tmp_path / "a.log").write_bytes(b"".join(rmc[i] + report(10 * i, i * 5e-4) for i in range(6)))
    url = f"sqlite:///{tmp_path}/j.db"
    assert cli.main(["replay", str(tmp_path / "a.log"), "--format", "ais", "--journal", url]) == 0
    assert "import" not in capsys.readouterr().err
    times = [iso_from_ns(o.time_ns)[:19] for o in observations(url)]
    assert times == [f"2021-06-15T12:00:{s:02d}" for s in range(0, 60, 10)]
    reader = open_reader(url)
    frames = [e for e in reader.read(0) if e.kind == "frame"]
    assert reader.counts().undated == 0 and {iso_from_ns(e.received_ns)[:16] for e in frames} == {"2021-06-15T12:00"}
    reader.close()


def observations(url: str):
    reader = open_reader(url)
    try:
        return [o for e in reader.read(0) if e.kind == "frame" for o in unpack(e).observations]
    finally:
        reader.close()


def test_where_nothing_dates_a_file_it_is_said(tmp_path, capsys):
    (tmp_path / "a.log").write_bytes(b"".join(report(i, i * 1e-3) for i in range(5)))
    url = f"sqlite:///{tmp_path}/j.db"
    assert cli.main(["replay", str(tmp_path / "a.log"), "--format", "ais", "--journal", url]) == 0
    assert "all 5 stand at the time of their import" in capsys.readouterr().err
    assert {o.time_source for o in observations(url)} == {"server"}
    assert cli.main(["journal", "count", "--json", "--journal", url]) == 0
    assert json.loads(capsys.readouterr().out)["undated"] == 5
    words = ["replay", "--journal", url, "--speed", "100", "--http-port", "0"]
    process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split(" at ")[1].strip()

        def warned():
            with urllib.request.urlopen(address + "healthz", timeout=10) as answer:
                return [line for line in json.load(answer)["warnings"] if "5 messages stand at the time of their" in line]

        assert wait_for(warned, "a warning")
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_a_clock_that_nobody_set_dates_no_file(tmp_path):
    """A receiver that begins in 1980 and then has its satellites: the log is of the second time."""
    lines = [seal("$", f"GPRMC,00000{i}.00,A,5230.0000,N,00330.0000,E,0.0,0.0,060180,,,A") for i in range(3)]
    lines += [seal("$", f"GPRMC,12000{i}.00,A,5230.0000,N,00330.0000,E,0.0,0.0,150621,,,A") for i in range(3)]
    (tmp_path / "a.log").write_bytes(b"".join(lines))
    url = f"sqlite:///{tmp_path}/j.db"
    take([tmp_path / "a.log"], url, format_name="nmea", device="d")
    reader = open_reader(url)
    assert {iso_from_ns(e.received_ns)[:16] for e in reader.read(0) if e.kind == "frame"} == {"2021-06-15T12:00"}
    reader.close()


def test_what_a_scenarios_folder_says_of_its_devices_is_no_message(tmp_path, capsys):
    """Its four lines came in as refused messages of today: the journal's clock stood months behind the scenario."""
    (tmp_path / "enrol.jsonl").write_text('{"kind":"device","device":"d","format":"owntracks","interval_s":10.0}\n' * 4)
    line = {"format": "owntracks", "topic": "owntracks/u/d", "received": "2026-03-02T06:00:01Z",
            "text": '{"_type":"location","lat":51.9,"lon":4.1,"tst":1772431200}'}  # fmt: skip
    (tmp_path / "owntracks-d.jsonl").write_text(json.dumps(line) + "\n")
    url = f"sqlite:///{tmp_path}/j.db"
    assert cli.main(["replay", *sorted(map(str, tmp_path.glob("*.jsonl"))), "--journal", url]) == 0
    err = capsys.readouterr().err
    assert "enrol.jsonl: entries of the registers, no messages: left out" in err and "1 messages, 1 observations, 0 rej" in err
    assert cli.main(["journal", "count", "--json", "--journal", url]) == 0
    assert json.loads(capsys.readouterr().out)["undated"] == 0
    assert cli.main(["replay", str(tmp_path / "enrol.jsonl"), "--journal", f"sqlite:///{tmp_path}/none.db"]) == 2
    assert "birddog sim enrol SCENARIO" in capsys.readouterr().err and not (tmp_path / "none.db").exists()
