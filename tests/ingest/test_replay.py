"""File replay: every byte becomes a frame, times are those of the file or the message, memory is bounded."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from birddog.errors import ConfigError, UsageError
from birddog.journal import open_reader, open_writer
from birddog.units import NS
from devices import codec
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.replay import HELD, Capture, Replay
from ingest.writer import Settings as JournalSettings
from ingest.writer import WriterThread

pytestmark = pytest.mark.usefixtures("toys")
T = 1_700_000_000
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "ingest"


@contextlib.contextmanager
def running(source, intake):
    thread = threading.Thread(target=source.run, args=(intake,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        source.stop()
        thread.join(10)
        assert not thread.is_alive()


def play(desk, path, **more):
    """The whole file; what the desk was given."""
    source = Replay(Capture(**{"file": str(path), "format": "toyline"} | more))
    with running(source, desk.intake):
        desk.until(lambda: source.finished)
    desk.take()
    return source


def write(tmp_path, data):
    path = tmp_path / "capture.log"
    path.write_bytes(data if isinstance(data, bytes) else "".join(json.dumps(row) + "\n" for row in data).encode())
    return path


def seconds(desk):
    return [f.received_ns / NS - T for f in desk.frames]


def test_a_raw_capture_keeps_its_bytes_and_takes_the_messages_times(tmp_path, desk):
    data = b"noise\n$a 1\n" + b"".join(b"$a 1 %d\n$b 2\n" % (T + i) for i in range(3)) + b"$hal"
    source = play(desk, write(tmp_path, data), device="rx")
    assert b"".join(desk.payloads) == data
    assert seconds(desk) == [0, 0, 0, 0, 1, 1, 2, 2, 2]  # what came before the first time has the first
    assert [i for i, f in enumerate(desk.frames) if f.reject] == [0, 8]
    assert {f.device for f in desk.frames} == {"rx"} and len({f.session for f in desk.frames}) == 1
    assert desk.closed == [desk.frames[0].session]
    assert source.status()["frames"] == 9 == source.status()["stored"] and source.status()["rejects"] == 2
    assert source.status()["bytes"] == len(data)


def test_time_never_runs_back_and_a_single_wrong_date_is_not_believed(tmp_path, desk):
    day = 86_400
    times = [10, 5, 20, 400 * day, 30, 3 * day, 3 * day + 1, 3 * day]
    play(desk, write(tmp_path, b"".join(b"$a 1 %d\n" % (T + t) for t in times)))
    assert seconds(desk) == [10, 10, 20, 20, 30, 3 * day, 3 * day + 1, 3 * day + 1]


def test_a_jump_in_the_last_message_is_believed(tmp_path, desk):
    play(desk, write(tmp_path, b"$a 1 %d\n$a 1 %d\n$b 2\n" % (T, T + 10 * 86_400)))
    assert seconds(desk) == [0, 864_000, 864_000]


def test_a_capture_that_states_no_time_has_the_time_of_the_replay(tmp_path, desk):
    before = time.time_ns()
    play(desk, write(tmp_path, b"$a 1\n" * (HELD + 100)))
    assert len(desk.frames) == HELD + 100
    assert all(before <= f.received_ns <= time.time_ns() for f in desk.frames)


def test_json_lines_with_topic_session_and_received(tmp_path, desk):
    rows = [
        {"format": "toyline", "hex": b"$a 1 1700000005\n".hex(), "session": "s", "received": "2023-11-14T22:13:20Z"},
        {"format": "toyline", "text": "$a 2 1700000006\n", "session": "s", "topic": "x/y"},
        {"format": "toydot", "text": "3", "received": 1700000007},
        {"format": "toydot", "text": "4", "received": 1700000008.25, "topic": None},
        {"format": "owntracks", "text": "{}", "topic": "owntracks/ann/phone7/event"},
        {"format": "toydot", "text": "5", "topic": "birddog/v1/tag9/toydot"},
        {"format": "no-such-format", "hex": "00"},
    ]
    play(desk, write(tmp_path, rows), form="jsonl", format="")
    assert seconds(desk) == [0, 6, 7, 8.25, 8.25, 8.25, 8.25]
    assert [f.device for f in desk.frames] == ["", "", "", "", "ann/phone7", "tag9", ""]
    assert desk.frames[1].channel == "x/y" and desk.frames[0].session == desk.frames[1].session
    assert len({f.session for f in desk.frames}) == 6 and set(desk.closed) == {f.session for f in desk.frames}
    assert not any(f.reject for f in desk.frames)  # an unknown format is the desk's to refuse


@pytest.mark.parametrize(("line", "reason", "said"), [
    (b"{", "format", "line 1: "),
    (b"[1]", "format", "no JSON object"),
    (b'{"format": "toydot"}', "format", "hex or text"),
    (b'{"format": "toydot", "hex": "0", "text": "x"}', "format", "hex or text"),
    (b'{"format": "toydot", "hex": "0g"}', "format", "hexadecimal"),
    (b'{"format": 3, "hex": "00"}', "type", "format is no text"),
    (b'{"format": "toydot", "hex": "00", "received": "2023-11-14T22:13:20"}', "value", "offset"),
    (b'{"format": "toydot", "hex": "00", "received": true}', "value", "received"),
    (b'{"format": "toydot", "format": "toydot", "hex": "00"}', "format", ""),
    (b'{"format": "toydot", "hex": "00", "received": 1e400}', "format", ""),
    (b"[" * 100_000, "format", ""),
    (b"\xff\xfe", "format", ""),
    (b'{"format": "toydot", "text": "' + b"x" * 400_000 + b'"}', "size", "400034 bytes"),  # with its line end
])
def test_a_wrong_line_is_a_reject_with_its_bytes_and_the_rest_goes_on(tmp_path, desk, line, reason, said):
    good = b'{"format": "toydot", "hex": "31"}'
    play(desk, write(tmp_path, line + b"\r\n\n" + good), form="jsonl", format="")
    wrong, right = desk.frames
    assert wrong.reject.reason == reason and said in wrong.reject.detail and "line 1" in wrong.reject.detail
    assert wrong.payload == line[: len(wrong.payload)] and (len(wrong.payload) == len(line) or reason == "size")
    assert right.payload == b"1" and right.reject is None


def test_speed_waits_as_the_messages_were_apart_and_stop_ends_it(tmp_path, desk, watched):
    path = write(tmp_path, b"".join(b"$a 1 %d\n" % (T + t) for t in (0, 1, 1000)))
    source = Replay(Capture(file=str(path), format="toyline", speed=20.0))
    waits, begun = watched(source), time.monotonic()
    with running(source, desk.intake):
        desk.until(lambda: len(desk.frames) == 2)
        assert time.monotonic() - begun >= 1 / 20
        # it waits for the third, 999 s behind the second
        desk.until(lambda: waits and waits[-1] > 1.0)
        assert waits[-1] <= 999 / 20 and len(desk.frames) == 2 and not source.finished
    assert not source.finished


def test_memory_is_bounded_while_the_desk_is_slow(tmp_path, hand_desk):
    desk = hand_desk(capacity=500)
    path = write(tmp_path, b"$a " + b"x" * 60 + b" 1700000000\n" + (b"$a " + b"x" * 100 + b"\n") * 200_000)  # 20 MB
    source = Replay(Capture(file=str(path), format="toyline"))
    tracemalloc.start()
    try:
        with running(source, desk.intake):
            desk.until(lambda: source.status()["frames"] >= 1000)
            desk.frames.clear()
            end = time.monotonic() + 20
            while desk.intake.held < 500:
                assert time.monotonic() < end, "it does not fill the queue"
                time.sleep(0.01)
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("more", "said"), [
    ({"format": "none-such"}, "no format"),
    ({"format": "toydot"}, "no stream format"),
    ({"speed": -1.0}, "speed of 0 or more"),
])
def test_settings_that_are_refused(more, said):
    with pytest.raises(ConfigError, match=said):
        Replay(Capture(**{"file": "x", "format": "toyline"} | more))


def test_a_file_that_is_not_there(tmp_path, desk):
    with pytest.raises(UsageError, match="none.log: cannot be read: No such file"):
        Replay(Capture(file=str(tmp_path / "none.log"), format="toyline")).run(desk.intake)


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")
@pytest.mark.skipif(not codec.known("nmea"), reason="there is no format nmea yet")
def test_real_receiver_logs_go_to_a_journal_whole(tmp_path):
    files = [DATA / "gpsd" / name for name in ("garmin38.log", "ais-nmea.log", "beidou-gb.log")]
    intake = Intake()
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    thread = WriterThread(Desk(writer, exercise=True, refusal_key=b"k" * 32), intake, JournalSettings(), lambda error: None)
    thread.start()
    try:
        for file in files:
            source = Replay(Capture(file=str(file), format="nmea", device=file.stem))
            source.run(intake)
            assert source.finished and source.status()["bytes"] == file.stat().st_size
    finally:
        thread.stop()
        thread.join()
        writer.close()
    reader = open_reader(f"sqlite:///{tmp_path}/j.db")
    assert reader.counts().observations > 10
    reader.close()


@contextlib.contextmanager
def to_journal(tmp_path):
    """What plays a file into a real journal and gives (new entries, duplicates)."""
    intake = Intake()
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    thread = WriterThread(Desk(writer, exercise=True, refusal_key=b"k" * 32, clock="frames"), intake, JournalSettings(),
                          lambda error: None)
    thread.start()

    def played(name, data, **more):
        path = tmp_path / name
        path.write_bytes(data)
        source = Replay(Capture(**{"file": str(path), "format": "toyline"} | more))
        source.run(intake)
        status = source.status()
        assert status["acknowledged"] == status["frames"]
        return status["stored"] + status["refused"], status["duplicates"]

    try:
        yield played
    finally:
        thread.stop()
        thread.join()
        writer.close()


@pytest.mark.parametrize("data, more, kinds, timed", [
    (b"$door open\n$door open\nrubbish\nrubbish\n$gps x 1700000000\n$door open\n", {}, 6, 1),
    (b"".join(b'{"format": "toydot", "text": "open", "session": "a"}\n' for _ in range(3)) + b"no line\nno line\n",
     {"form": "jsonl", "format": ""}, 5, 0),
])
def test_a_file_that_is_read_again_or_has_grown_brings_only_what_is_new(tmp_path, data, more, kinds, timed):
    """Messages without a time of their own: two equal ones are two, and the same one read again is one."""
    with to_journal(tmp_path) as played:
        assert played("a.log", data, **more) == (kinds, 0)
        assert played("moved.log", data, **more) == (0, kinds)
        assert played("a.log", data + data, **more)[1] >= kinds
        # equal messages that stand elsewhere are others (the one that states its time is the same)
        assert played("other.log", b"other\n" + data, **more) == (kinds + 1 - timed, timed)


def test_a_long_file_read_again_in_which_every_message_is_equal(tmp_path):
    data = b"$door open\n" * 3000
    with to_journal(tmp_path) as played:
        assert played("a.log", data) == (3000, 0)
        assert played("a.log", data) == (0, 3000)
        assert played("a.log", data + b"$door open\n") == (1, 3000)
