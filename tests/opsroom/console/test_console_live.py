"""The live channel: snapshot, batched frames, resume, slow and many tabs, the same as server-sent events.

Over 400 lines: one channel, whatever a tab may do to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as plain_socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from birddog import model
from opsroom.console.feed import Feed, Frame, Subscriber
from opsroom.console.health import Health
from opsroom.console.source import Source
from opsroom.picture_store import PictureReader, PictureWriter


def live(stage, query: str = "", **more):
    """A live connection to a stage."""
    return connect(f"ws://127.0.0.1:{stage.port}/v1/live{query}", open_timeout=10, **more)


def frames_until(socket, condition, seconds: float = 10.0) -> list[dict]:
    """Frames up to the first that fits."""
    got = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got.append(json.loads(socket.recv(timeout=seconds)))
        if condition(got[-1]):
            return got
    raise AssertionError(f"no such frame in {[(f['type'], f['seq']) for f in got]}")


def test_snapshot_first_then_what_changes_then_beats(stage, makers):
    stage.start()
    with live(stage) as socket:
        first = json.loads(socket.recv(timeout=10))
        assert (first["type"], first["exercise"], first["ready"]) == ("snapshot", True, True)
        assert [t["track_id"] for t in first["tracks"]] == ["T1"]
        assert [a["alert_id"] for a in first["alerts"]] == ["A1"]
        assert [f["flag_id"] for f in first["flags"]] == ["F1"]
        assert first["seq"] == stage.seq
        revision = stage.publish(makers["track"](2))
        update = frames_until(socket, lambda f: f["type"] == "update")[-1]
        assert update["seq"] == revision
        assert [t["track_id"] for t in update["tracks"]] == ["T2"]
        assert update["alerts"] == []
        beat = frames_until(socket, lambda f: f["type"] == "beat")[-1]
        assert beat["seq"] == revision
        assert beat["time"].endswith("Z")


def test_changes_between_two_polls_are_one_frame(make_stage, makers):
    stage = make_stage(poll_ms=400)
    stage.publish(makers["track"](1))
    stage.start()
    with live(stage) as socket:
        socket.recv(timeout=10)
        for number in range(2, 12):
            stage.publish(makers["track"](number))
        frames = frames_until(socket, lambda f: f["seq"] == stage.seq)
        seen = {t["track_id"] for f in frames for t in f.get("tracks", ())}
        assert seen == {f"T{n}" for n in range(2, 12)}
        # ten commits within a poll or two: batched, not a frame each
        assert sum(f["type"] == "update" for f in frames) <= 5


def test_a_tab_that_comes_before_the_first_round_is_sent_the_picture_once(make_stage, makers, monkeypatch):
    before, asked = Feed._ask_health, threading.Event()

    async def late(feed):
        await asyncio.get_running_loop().run_in_executor(None, asked.wait, 10)
        await before(feed)

    monkeypatch.setattr(Feed, "_ask_health", late)  # the round's first question: the tab is there before it is answered
    stage = make_stage()
    stage.publish(makers["track"](1))
    stage.start()
    with live(stage) as socket:
        assert json.loads(socket.recv(timeout=10))["type"] == "snapshot"
        asked.set()
        stage.publish(makers["track"](2))
        frames = frames_until(socket, lambda f: f["seq"] == stage.seq)
        assert [[t["track_id"] for t in f["tracks"]] for f in frames if f["type"] != "beat"] == [["T2"]]


def test_new_steps_of_a_trail_come_with_the_track(stage, makers):
    stage.start()
    with live(stage) as socket:
        assert json.loads(socket.recv(timeout=10))["points"] == []  # a tab asks /v1/trails for what was before
        track = makers["track"](1)
        # each track numbers its own steps, whatever the number of the journal's entry
        stage.publish(track, makers["point"](track, 12, 0), makers["point"](track, 11, 45, "coast"))
        update = frames_until(socket, lambda f: f["type"] == "update")[-1]
        assert [(p["track_id"], p["origin"]) for p in update["points"]] == [("T1", "coast"), ("T1", "fix")]
        stage.publish(makers["track"](1, lat_deg=51.0), makers["point"](track, 13, -5))
        update = frames_until(socket, lambda f: f["type"] == "update")[-1]
        assert len(update["points"]) == 1


def test_a_row_that_cannot_be_shown_is_said_and_the_channel_goes_on(stage, makers):
    stage.start()
    with live(stage) as socket:
        socket.recv(timeout=10)
        revision = stage.entry(model.Tick(), "tick")
        stage.store.begin()
        row = "('T2', ?, 'nightjar', 'confirmed', NULL, NULL, NULL, x'c1')"
        stage.store.db.execute(f"INSERT OR REPLACE INTO track VALUES {row}", (revision,))
        stage.store.commit(revision)
        frames_until(socket, lambda f: any("cannot be shown" in p for p in f["problems"]))
        stage.publish(makers["track"](2))
        assert {t["track_id"] for t in frames_until(socket, lambda f: f["type"] == "snapshot")[-1]["tracks"]} == {"T1", "T2"}


def test_resume_brings_exactly_what_was_missed(stage, makers):
    stage.start()
    with live(stage) as socket:
        first = json.loads(socket.recv(timeout=10))
    stage.publish(makers["track"](2))
    stage.publish(makers["track"](1, status="deleted"))
    with live(stage, f"?since={first['seq']}&epoch={first['epoch']}") as socket:
        missed = json.loads(socket.recv(timeout=10))
    assert missed["type"] == "update"
    assert {t["track_id"]: t["status"] for t in missed["tracks"]} == {"T1": "deleted", "T2": "confirmed"}
    assert missed["seq"] == stage.seq


@pytest.mark.parametrize("query", ["?since=3&epoch=another", "?since=99999"])
def test_a_number_from_another_journal_gives_a_snapshot(stage, query):
    stage.start()
    with live(stage, query) as socket:
        assert json.loads(socket.recv(timeout=10))["type"] == "snapshot"


def test_a_rebuilt_store_gives_every_tab_a_snapshot(stage, makers):
    stage.start()
    with live(stage) as socket:
        before = json.loads(socket.recv(timeout=10))
        stage.store.close()
        for path in stage.picture.parent.glob("*.picture*"):
            path.unlink()
        stage.store = PictureWriter(stage.picture)
        stage.store.begin()
        stage.store.put("track", "T9", 2, makers["track"](9))
        stage.store.commit(2)
        frames = frames_until(socket, lambda f: f["type"] == "snapshot" and f["seq"] == 2)
        assert [t["track_id"] for t in frames[-1]["tracks"]] == ["T9"]
        assert before["seq"] > 2


def test_a_store_that_was_made_again_is_another_one_whatever_its_numbers(stage, makers):
    """The fold of a new version made the same numbers of other tracks: running tabs and those that resume begin again."""
    stage.start()
    with live(stage) as socket:
        before = json.loads(socket.recv(timeout=10))
        stage.store.close()
        for path in stage.picture.parent.glob("*.picture*"):
            path.unlink()
        stage.store = PictureWriter(stage.picture)
        stage.store.begin()
        stage.store.put("track", "T7", before["seq"], makers["track"](7))
        stage.store.commit(before["seq"])
        frames = frames_until(socket, lambda f: f["type"] == "snapshot" and f["epoch"] != before["epoch"])
        assert frames[-1]["seq"] == before["seq"] and [t["track_id"] for t in frames[-1]["tracks"]] == ["T7"]
    with live(stage, f"?since={before['seq']}&epoch={before['epoch']}") as socket:
        again = json.loads(socket.recv(timeout=10))
    assert again["type"] == "snapshot" and [t["track_id"] for t in again["tracks"]] == ["T7"]


def test_eight_tabs_all_hear_everything(stage, makers):
    stage.start()
    with contextlib.ExitStack() as tabs:
        sockets = [tabs.enter_context(live(stage)) for _ in range(8)]
        for socket in sockets:
            assert json.loads(socket.recv(timeout=10))["type"] == "snapshot"
        stage.publish(makers["track"](2))
        for socket in sockets:
            assert frames_until(socket, lambda f: f["type"] == "update")[-1]["seq"] == stage.seq
        assert httpx.get(f"http://127.0.0.1:{stage.port}/healthz").json()["tabs"] == 8


@pytest.mark.parametrize(("headers", "words"), [({"Origin": "http://evil.example"}, "403"), ({"Host": "evil.example"}, "403")])
def test_another_site_gets_no_live_channel(stage, headers, words):
    stage.start()
    from websockets.exceptions import InvalidStatus

    origin = headers.get("Origin")
    if origin:
        with pytest.raises(InvalidStatus, match=words), live(stage, origin=origin):
            pass
        return
    import socket as plain

    with plain.create_connection(("127.0.0.1", stage.port), timeout=10) as line:
        line.sendall(b"GET /v1/live HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        assert b" 403 " in line.recv(4096).split(b"\r\n")[0]


def test_without_a_token_the_line_is_closed_with_a_code_that_the_page_knows(make_stage):
    stage = make_stage(tokens={"anna": "correct-horse-battery"})
    stage.start()
    with live(stage) as socket, pytest.raises(ConnectionClosed) as caught:
        socket.recv(timeout=10)
    assert caught.value.rcvd.code == 4401
    with live(stage, additional_headers={"Authorization": "Bearer correct-horse-battery"}) as socket:
        assert json.loads(socket.recv(timeout=10))["type"] == "snapshot"


def test_a_wrong_since_is_refused(stage):
    stage.start()
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus), live(stage, "?since=abc"):
        pass


def test_a_lagging_subscriber_is_lost_and_costs_no_memory():
    subscriber = Subscriber(3)
    for number in range(10):
        subscriber.put(Frame("beat", number, "{}"))
    assert subscriber.lost
    assert [asyncio.run(subscriber.get()).seq for _ in range(3)] == [0, 1, 2]


def test_a_slow_tab_is_dropped_and_told_where_to_resume(make_stage, makers):
    stage = make_stage(queue_frames=2, poll_ms=20)
    tracks = [makers["track"](n, attributes={"pad": "x" * 4000}) for n in range(60)]
    stage.publish(*tracks)
    stage.start()
    with live(stage, max_queue=1) as socket:
        socket.recv(timeout=10)
        health = f"http://127.0.0.1:{stage.port}/metrics"
        end = time.monotonic() + 60
        # the tab does not read: kernel buffers fill, then its queue, and then it is lost
        while "birddog_console_tabs_lost_total 1" not in httpx.get(health).text:
            assert time.monotonic() < end, "never dropped"
            stage.publish(*tracks)
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                socket.recv(timeout=20)
        assert caught.value.rcvd is None or caught.value.rcvd.code == 4408


def test_the_stream_is_the_same_as_server_sent_events(stage, makers):
    address = stage.start()

    def read(headers: dict[str, str], wanted: int) -> list[tuple[str, str, dict]]:
        events, fields = [], {}
        with httpx.stream("GET", f"{address}/v1/stream", headers=headers, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    events.append((fields["event"], fields["id"], json.loads(fields["data"])))
                    fields = {}
                    if len(events) == wanted:
                        return events
        raise AssertionError("the stream ended")

    ((kind, ident, body),) = read({}, 1)
    assert (kind, body["type"]) == ("snapshot", "snapshot")
    stage.publish(makers["track"](2))
    ((kind, _, body),) = read({"Last-Event-ID": ident}, 1)
    assert kind == "update"
    assert [t["track_id"] for t in body["tracks"]] == ["T2"]


def test_nothing_is_missed_between_the_snapshot_and_the_first_update(stage, makers):
    """Rows that are written while a new tab is being given its snapshot arrive in it or after it."""
    settings = stage.settings

    async def main() -> None:
        reader = PictureReader(stage.picture)
        source = Source(reader, stage.writer, time.time_ns)
        feed = Feed(settings, source, Health(lambda: {}, time.time_ns))
        real = source.changes
        store = PictureWriter(stage.picture)

        def slow(since: int, *rights):
            if since == 0:
                # the worst moment: after the cursor was asked for, before the rows are read
                found = real(since, *rights)
                stage_publish(store, makers["track"](77), found.seq + 1)
                return found
            return real(since, *rights)

        async with feed.running():
            end = time.monotonic() + 10
            while feed.seq == 0:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            feed._all.snapshot = None
            source.changes = slow
            subscriber, first = await feed.subscribe(0, "")
            seen = {t["track_id"] for t in json.loads(first.text)["tracks"]}
            while "T77" not in seen:
                frame = await asyncio.wait_for(subscriber.get(), 10)
                seen |= {t["track_id"] for t in json.loads(frame.text).get("tracks", ())}
        store.close()
        reader.close()
        source.close()

    def stage_publish(store, track, revision):
        made = PictureWriter(stage.picture)
        made.begin()
        made.put("track", track.track_id, revision, track)
        made.commit(revision)
        made.close()

    asyncio.run(main())


def test_the_store_is_asked_once_for_all_tabs(stage, makers):
    """One encoding for everybody: eight tabs get the very same text."""

    async def main() -> None:
        reader = PictureReader(stage.picture)
        asked = []
        source = Source(reader, stage.writer, time.time_ns)
        real = source.changes
        source.changes = lambda since, *rights: (asked.append(since), real(since, *rights))[1]
        feed = Feed(stage.settings, source, Health(lambda: {}, time.time_ns))
        async with feed.running():
            end = time.monotonic() + 10
            while feed.seq == 0:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            tabs = [await feed.subscribe(feed.seq, "") for _ in range(8)]
            asked.clear()
            stage.publish(makers["track"](2))
            texts = set()
            for subscriber, _ in tabs:
                frame = await asyncio.wait_for(subscriber.get(), 10)
                while frame.kind != "update":
                    frame = await asyncio.wait_for(subscriber.get(), 10)
                texts.add(id(frame.text))
            assert len(texts) == 1
            assert len(asked) == 1
        reader.close()
        source.close()

    asyncio.run(main())


def test_health_names_a_dead_live_channel(stage):
    async def main() -> list[str]:
        source = Source(PictureReader(stage.picture), stage.writer, time.time_ns)
        feed = Feed(stage.settings, source, Health(lambda: {}, time.time_ns))
        async with feed.running():
            pass
        source.close()
        return feed.problems()

    assert any("live channel has stopped" in p for p in asyncio.run(main()))


class Console:
    """The console as a process of its own, over a stage's stores; always on the same port."""

    def __init__(self, stage, folder):
        self.stage, self.folder = stage, folder
        with plain_socket.create_server(("127.0.0.1", 0)) as free:
            stage.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        words = ["run", "--only", "console", "--exercise", "--journal", self.stage.url, "--http-port", str(self.stage.port)]
        self.process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", *words], cwd=self.folder, stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.stage.port}/v1/tracks").raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < end and self.process.poll() is None, "the console does not come up"
                time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self.process.stderr.close()


@pytest.mark.slow
def test_a_killed_console_is_resumed_where_it_was(stage, makers, tmp_path):
    console = Console(stage, tmp_path)
    try:
        with live(stage) as socket:
            first = json.loads(socket.recv(timeout=20))
            revision = stage.publish(makers["track"](2))
            seen = frames_until(socket, lambda f: f["type"] == "update", 20)[-1]
            assert seen["seq"] == revision
            console.kill()
            with pytest.raises(ConnectionClosed):
                while True:
                    socket.recv(timeout=20)
        missed = stage.publish(makers["track"](3), makers["track"](1, status="silent"))
        console.start()
        with live(stage, f"?since={seen['seq']}&epoch={first['epoch']}") as socket:
            frame = json.loads(socket.recv(timeout=20))
            assert (frame["type"], frame["seq"], frame["epoch"]) == ("update", missed, first["epoch"])
            assert {t["track_id"]: t["status"] for t in frame["tracks"]} == {"T3": "confirmed", "T1": "silent"}
            assert frame["alerts"] == frame["flags"] == frame["events"] == []
        last = {"Last-Event-ID": f"{first['epoch']}:{seen['seq']}"}
        with httpx.stream("GET", f"http://127.0.0.1:{stage.port}/v1/stream", headers=last, timeout=20) as stream:
            assert next(stream.iter_lines()) == "event: update"
    finally:
        console.kill()
