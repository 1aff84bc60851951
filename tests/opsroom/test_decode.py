"""birddog decode: one answer a line whatever comes in, sessions, streams with offsets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import codec
from devices.formats import nmea, teltonika
from opsroom.decode import Answers, stream_rows

RMC = "$GPRMC,094000.00,A,5156.97793,N,00408.71978,E,19.438,271.00,011125,,,A*5E"
IMEI = "356307042441013"
RECORD = {"time_ns": 1_761_990_000_000_000_000, "lat_deg": 51.9, "lon_deg": 4.1}


def birddog(*args: str, stdin: bytes = b"", status: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "decode", *args], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stderr.decode() if status else done.stdout.decode()


def lines(*rows: dict) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_list():
    assert birddog("--list").split() == codec.names()


def test_one_answer_a_line_in_order():
    stdin = lines({"format": "nmea", "text": RMC, "topic": "birddog/v1/n7/nmea"}, {"format": "nmea", "hex": RMC.encode().hex()})
    stdin += b"no JSON\n\n[1]\n" + lines({"format": "nope", "hex": "00"}, {"format": "nmea", "hex": "0g"}, {"format": "nmea"})
    stdin += b'{"format":"nmea","text":"x","text":"y"}\n' + b'{"format":"nmea","text":"x","received":"yesterday"}'
    answers = [json.loads(line) for line in birddog("--jsonl", stdin=stdin).splitlines()]
    assert len(answers) == 10
    assert [o["kind"] for o in answers[0]["observations"]] == ["fix"] and answers[0]["observations"][0]["device"] == "n7"
    assert answers[0]["observations"][0]["time"] == "2025-11-01T09:40:00.000Z"
    assert answers[1]["observations"][0]["lat_deg"] == pytest.approx(51.9496321667)
    for answer in answers[2:]:
        assert answer["observations"] == [] and answer["rejects"][0]["reason"] == "format"


def test_a_session_shares_a_decoder_and_the_reply_is_there():
    stdin = lines(
        {"format": "teltonika", "hex": teltonika.encode(login=IMEI).hex(), "session": "a"},
        {"format": "teltonika", "hex": teltonika.encode(records=[RECORD]).hex(), "session": "b"},
        {"format": "teltonika", "hex": teltonika.encode(records=[RECORD, RECORD]).hex(), "session": "a"},
    )
    first, other, second = (json.loads(line) for line in birddog("--jsonl", stdin=stdin).splitlines())
    assert first["reply_hex"] == "01" and first["observations"] == []
    assert other["observations"][0]["device"] == ""
    assert second["reply_hex"] == "00000002" and {o["device"] for o in second["observations"]} == {IMEI}


def test_a_file_and_a_stream(tmp_path):
    jsonl, log = tmp_path / "in.jsonl", tmp_path / "gps.log"
    jsonl.write_bytes(lines({"format": "nmea", "text": RMC, "received": "2025-11-01T09:40:01Z"}))
    assert json.loads(birddog("--jsonl", str(jsonl)))["observations"][0]["kind"] == "fix"
    head = b"# a comment of the logger\r\n"
    log.write_bytes(head + RMC.encode() + b"\r\n" + RMC.replace("5E", "5F").encode() + b"\r\n")
    rows = [json.loads(line) for line in birddog("--stream", "nmea", str(log), "--device", "gps1").splitlines()]
    assert [(r.get("kind"), r.get("reason"), r["offset"]) for r in rows] == [
        (None, "framing", 0), ("fix", None, len(head)), (None, "checksum", len(head) + len(RMC) + 2),
    ]  # fmt: skip
    assert rows[1]["device"] == "gps1"


def test_offsets_across_chunks(tmp_path):
    """A capture larger than what is read at once: every offset is that of a sentence."""
    log = tmp_path / "gps.log"
    one = nmea.encode(lat_deg=51.9, lon_deg=4.1, time_ns=RECORD["time_ns"], which="RMC")
    log.write_bytes(one * 2000)
    rows = [json.loads(line) for line in birddog("--stream", "nmea", str(log)).splitlines()]
    assert [r["offset"] for r in rows] == [k * len(one) for k in range(2000)]


@pytest.mark.parametrize(
    "args, words",
    [
        (["--stream", "nope", __file__], "no format"),
        (["--stream", "owntracks", __file__], "not as a stream"),
        (["--jsonl", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--jsonl", "/"], "/: cannot be read: Is a directory"),
        (["--stream", "nmea", "/"], "/: cannot be read: Is a directory"),
        (["--stream", "nmea"], "expected 2 arguments"),
        ([], "--jsonl --stream --list"),
        (["--list", "--device", "x"], "--device"),
    ],
)
def test_usage_errors_are_one_line(args, words):
    said = birddog(*args, status=2)
    assert words in said and said.count("\n") == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_line_has_an_answer(line):
    answer = Answers().answer(line)
    assert set(answer) == {"observations", "rejects", "reply_hex"}
    json.dumps(answer, allow_nan=False).encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda v: st.lists(v, max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {"format": st.sampled_from([*codec.names(), "", "x"]) | values},
        optional={"hex": st.binary(max_size=60).map(bytes.hex) | values, "text": st.text(max_size=60) | values,
                  "topic": values, "session": values, "received": values},
    )
)  # fmt: skip
def test_any_object_has_an_answer(o):
    try:
        line = json.dumps(o).encode()
    except ValueError:
        return
    answer = Answers().answer(line)
    json.dumps(answer, allow_nan=False)
    assert answer["observations"] or answer["rejects"] or codec.known(o["format"])


ONE = {"format": "nmea", "text": RMC}


def test_what_other_programs_write_is_read():
    """A byte-order mark, CR LF, a session that is a number, null for what is not there, spaces in hexadecimal, more keys."""
    stdin = b"\xef\xbb\xbf" + json.dumps(ONE).encode() + b"\r\n"
    spaced = RMC.encode().hex(" ").upper()
    rows = [ONE | {"session": 5}, ONE | {"hex": None, "session": None, "topic": None, "received": None},
            {"format": "nmea", "hex": spaced, "seq": 3, "nested": {"a": [None]}}, ONE | {"received": 1761990001.5}]
    answers = [json.loads(line) for line in birddog("--jsonl", stdin=stdin + lines(*rows)).splitlines()]
    assert [len(answer["observations"]) for answer in answers] == [1] * 5


@pytest.mark.parametrize("stdin,count", [
    (b"", 0), (b"\xef\xbb\xbf", 0), (b"\n", 1), (b"\xef\xbb\xbf\n", 1), (b"\n\n x", 3), (b"\r\n\r\n", 2),
    (b"a\rb\x0c\x85c\n", 1), ("a\u2028b\n".encode(), 1), (b"\x00\n\x00", 2),
])
def test_never_fewer_or_more_lines(stdin, count):
    assert birddog("--jsonl", stdin=stdin).count("\n") == count


def test_a_line_is_one_line_for_every_reader():
    """What Python's splitlines, a terminal or UTF-8 would stumble over is escaped in the answer."""
    odd = "a\u2028b\u2029c\x85d\x9be\x7f"
    rows = [{"format": "owntracks", "topic": f"birddog/v1/{odd}/owntracks", "text": json.dumps({"_type": "location", "lat": 1,
             "lon": 2, "tst": 1_700_000_000})}, {"format": odd, "text": "x"}]  # fmt: skip
    for text in (json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows for ascii in (True, False)):
        out = birddog("--jsonl", stdin=text.encode())
        assert len(out.splitlines()) == 1 and json.loads(out) and not set(odd[1::2]) & set(out)
    assert json.loads(birddog("--jsonl", stdin=lines(rows[0])))["observations"][0]["device"] == odd


def test_a_pipe_that_goes_on_is_answered_as_it_comes():
    for words in (["--jsonl"], ["--stream", "nmea", "-"]):
        process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", "decode", *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        process.stdin.write(lines(ONE) if words == ["--jsonl"] else RMC.encode() + b"\r\n")
        process.stdin.flush()
        assert b'"fix"' in process.stdout.readline()  # while stdin is still open
        process.stdin.close()
        assert process.stdout.read() == b"" and process.wait(60) == 0
        process.stdout.close()


def test_results_in_a_file_are_utf_8_whatever_the_locale_says(tmp_path):
    row = {"format": "owntracks", "topic": "birddog/v1/t\u00fcr/owntracks",
           "text": json.dumps({"_type": "location", "lat": 51.9, "lon": 4.1, "tst": 1_700_000_000})}
    out = tmp_path / "out.jsonl"
    birddog("--jsonl", "--out", str(out), stdin=lines(row))
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "decode", "--jsonl"], input=lines(row), capture_output=True,
                          env=environment, timeout=60)
    assert done.stdout == out.read_bytes()
    assert json.loads(done.stdout.decode())["observations"][0]["device"] == "t\u00fcr"


def test_a_codec_that_crashes_is_one_reject(monkeypatch, tmp_path):
    def crash(self, message):
        raise KeyError("a bug")

    monkeypatch.setattr(nmea.Decoder, "decode", crash)
    assert Answers().answer(json.dumps(ONE).encode())["rejects"] == [
        {"reason": "format", "detail": "the decoder failed: KeyError"}
    ]
    log = tmp_path / "gps.log"
    log.write_bytes(RMC.encode() + b"\r\n" + RMC.encode() + b"\r\n")
    with log.open("rb") as source:
        rows = [row for some in stream_rows("nmea", source) for row in some]
    assert [(row["reason"], row["offset"]) for row in rows] == [("format", 0), ("format", len(RMC) + 2)]


def test_a_line_too_long_is_one_answer():
    stdin = b'{"format":"nmea","text":"' + b"x" * (5 << 20) + b'"}\n' + lines({"format": "nmea", "text": RMC})
    first, second = (json.loads(line) for line in birddog("--jsonl", stdin=stdin).splitlines())
    assert first["rejects"][0]["reason"] == "size" and second["observations"]
