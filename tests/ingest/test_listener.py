"""TCP and UDP listeners: cut streams, answers after the commit only, back-pressure, who may listen where.

Over 400 lines: both transports on one set of makers, plain and with TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

import pytest

from birddog.errors import UsageError
from birddog.journal import open_writer
from ingest.desk import Desk
from ingest.intake import Intake
from ingest.listener import TcpListener, TcpSettings, UdpListener, UdpSettings
from ingest.writer import Settings as JournalSettings
from ingest.writer import WriterThread

pytestmark = pytest.mark.usefixtures("toys")


def tcp(intake, **more):
    exercise = more.pop("exercise", False)
    return TcpListener(TcpSettings(**{"name": "t", "port": 0, "format": "toyline"} | more), intake, exercise=exercise)


def udp(intake, **more):
    exercise = more.pop("exercise", False)
    return UdpListener(UdpSettings(**{"name": "u", "port": 0, "format": "toydot"} | more), intake, exercise=exercise)


async def until(condition, deadline_s=20.0):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.01)


async def pump(desk, condition, *, commit=True, reply=None):
    """Take in a thread until the condition holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.to_thread(desk.take, 0.02)
        if commit:
            desk.commit(reply)


@contextlib.asynccontextmanager
async def running(listener):
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


def test_a_stream_cut_anywhere_is_its_frames_and_rubbish_keeps_its_bytes(desk):
    stream = b"$a 1\nGET / HTTP/1.1\r\n$b 2\n$c 3\n$half"

    async def main():
        async with running(tcp(desk.intake)) as listener:
            _, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            for i in range(0, len(stream), 3):
                out.write(stream[i : i + 3])
                await out.drain()
                await asyncio.sleep(0)
            out.close()
            await out.wait_closed()
            await pump(desk, lambda: desk.closed)
            assert listener.status()["frames"] == 5 and listener.status()["rejects"] == 2
            assert listener.status()["bytes"] == len(stream) and listener.status()["connected"] == 0

    asyncio.run(main())
    assert b"".join(desk.payloads) == stream
    assert [f.payload for f in desk.frames if f.reject] == [b"GET / HTTP/1.1\r\n", b"$half"]
    assert len({f.session for f in desk.frames}) == 1
    # the end of the session is said behind its last frame
    assert desk.order[-1] == ("closed", desk.frames[0].session)
    assert all(f.source == "tcp:t" and f.format == "toyline" and f.channel.startswith("127.0.0.1:") for f in desk.frames)


def test_the_answer_comes_after_the_commit_and_in_order(desk):
    async def main():
        async with running(tcp(desk.intake)) as listener:
            come_in, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            out.write(b"$a 1\n$b 2\n")
            await pump(desk, lambda: len(desk.frames) == 2, commit=False)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(come_in.read(1), 0.2)  # taken, not committed: not a byte
            desk.commit(lambda frame: b"+" + frame.payload)
            assert await asyncio.wait_for(come_in.readexactly(12), 10) == b"+$a 1\n+$b 2\n"
            out.close()

    asyncio.run(main())


def test_a_caller_that_closes_its_half_gets_its_answers_first(desk):
    async def main():
        async with running(tcp(desk.intake)) as listener:
            come_in, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            out.write(b"$a 1\n")
            out.write_eof()
            await pump(desk, lambda: len(desk.frames) == 1, commit=False)
            assert listener.status()["connected"] == 1
            desk.commit(lambda frame: b"stored")
            assert await asyncio.wait_for(come_in.read(), 10) == b"stored"
            await until(lambda: listener.status()["connected"] == 0)
            out.close()

    asyncio.run(main())


def test_full_intake_stops_the_reading_and_nothing_is_lost(hand_desk):
    desk = hand_desk(capacity=10)
    total = 60_000
    stream = b"".join(b"$n %d\n" % i for i in range(total))

    async def main():
        async with running(tcp(desk.intake)) as listener:
            _, out = await asyncio.open_connection("127.0.0.1", listener.ports[0], limit=1 << 14)
            out.write(stream)
            await until(lambda: listener.status()["pauses"] > 0)
            held = listener.status()["bytes"]
            for _ in range(20):  # what the loop would read, it reads in one of its next turns
                await asyncio.sleep(0)
            assert listener.status()["bytes"] == held < len(stream), "it read on although the intake was full"
            await pump(desk, lambda: len(desk.frames) == total)
            out.close()

    asyncio.run(main())
    assert b"".join(desk.payloads) == stream


def test_what_was_read_before_the_end_is_handed_over_when_there_is_room_again(hand_desk):
    desk = hand_desk(capacity=1)

    async def main():
        async with running(tcp(desk.intake)) as listener:
            _, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            out.write(b"$a 1\n")
            await until(lambda: desk.intake.held == 1)
            out.write(b"$b 2\n$c")
            await until(lambda: listener.status()["pauses"] == 1)
            out.transport.abort()  # RST while we hold frames that nobody took
            await pump(desk, lambda: len(desk.closed) == 1)
            assert listener.status()["connected"] == 0

    asyncio.run(main())
    assert [(f.payload, bool(f.reject)) for f in desk.frames] == [(b"$a 1\n", False), (b"$b 2\n", False), (b"$c", True)]


def test_a_caller_who_does_not_read_our_answers_is_not_read(desk):
    async def main():
        async with running(tcp(desk.intake)) as listener:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.ports[0]))
            sent = 0
            end = time.monotonic() + 30
            stuck = 0
            while stuck < 20 and time.monotonic() < end:
                try:
                    sent += sock.send(b"$a 1\n" * 2000)
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(desk.take, 0.0)
                desk.commit(lambda frame: b"x" * 1000)
            assert stuck == 20, "the sender was never held back"
            assert len(next(iter(listener.connections))._transport._buffer) < 60_000_000
            sock.close()

    asyncio.run(main())


def test_idle_connection_is_closed_and_further_callers_are_refused(desk):
    async def main():
        async with running(tcp(desk.intake, idle_s=0.3, max_connections=1)) as listener:
            come_in, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            out.write(b"$a 1 1\n")  # who has brought a message keeps the place
            await until(lambda: listener.status()["frames"] == 1)
            second_in, second = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(second_in.read(), 10) == b""
            assert listener.status()["refused"] == 1
            out.write(b"$half")
            assert await asyncio.wait_for(come_in.read(), 10) == b""
            assert listener.status()["idle_closed"] == 1
            await pump(desk, lambda: desk.closed)
            second.close()
            out.close()

    asyncio.run(main())
    assert [(f.payload, f.reject and f.reject.reason) for f in desk.frames] == [(b"$a 1 1\n", None), (b"$half", "framing")]


def test_a_silent_caller_gives_its_place_to_the_next(desk):
    async def main():
        async with running(tcp(desk.intake, max_connections=2, silent_per_address=100)) as listener:
            lines = [await asyncio.open_connection("127.0.0.1", listener.ports[0]) for _ in range(5)]
            for come_in, _ in lines[:3]:
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(come_in.read(), 10) == b""
            lines[4][1].write(b"$a 1 1\n")
            await until(lambda: listener.status()["frames"] == 1)
            assert listener.status()["refused"] == 3
            assert "127.0.0.1" in listener.status()["last_error"]
            await pump(desk, lambda: desk.frames)
            for _, out in lines:
                out.close()

    asyncio.run(main())


def test_stop_waits_for_what_was_read_and_answers_it(desk):
    async def main():
        listener = tcp(desk.intake)
        await listener.start()
        come_in, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
        out.write(b"$a 1\n")
        await pump(desk, lambda: len(desk.frames) == 1, commit=False)
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0)  # it has begun, and waits for us
        desk.commit(lambda frame: b"late but stored")
        assert await asyncio.wait_for(come_in.read(), 10) == b"late but stored"
        await stopping
        out.close()
        await out.wait_closed()
        listener.acknowledge([])  # after the end: harmless

    asyncio.run(main())


def test_through_the_real_desk_to_disk(tmp_path):
    intake = Intake()
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    thread = WriterThread(Desk(writer, exercise=True, refusal_key=b"k" * 32), intake, JournalSettings(), lambda error: None)
    thread.start()

    async def device(port, name, replies):
        come_in, out = await asyncio.open_connection("127.0.0.1", port)
        for i in range(50):
            out.write(f"${name} {i}\n".encode())
            replies.append(await asyncio.wait_for(come_in.readline(), 30))
        out.close()
        await out.wait_closed()

    async def main():
        async with running(tcp(intake, exercise=True)) as listener:
            replies = []
            await asyncio.gather(*(device(listener.ports[0], f"dev{n}", replies) for n in range(20)))
            assert len(replies) == 1000
            assert writer.counts().frames == 1000  # every answer was on disk before it went out

    try:
        asyncio.run(main())
    finally:
        thread.stop()
        thread.join()
        writer.close()


def test_five_hundred_callers_at_once(desk):
    async def device(port, number):
        come_in, out = await asyncio.open_connection("127.0.0.1", port)
        out.write(b"$d%d 1\n" % number)
        got = await asyncio.wait_for(come_in.readexactly(1), 60)
        out.close()
        await out.wait_closed()
        return got

    async def main():
        async with running(tcp(desk.intake)) as listener:
            callers = asyncio.gather(*(device(listener.ports[0], n) for n in range(500)))
            await pump(desk, callers.done, reply=lambda frame: b"!")
            assert callers.result() == [b"!"] * 500
            await until(lambda: listener.status()["connected"] == 0)
            assert listener.status()["accepted"] == 500 and listener.status()["refused"] == 0

    asyncio.run(main())
    assert len({f.session for f in desk.frames}) == len(desk.frames) == 500


@pytest.mark.parametrize(("more", "said"), [
    ({"format": "toylin"}, "no format"),
    ({"format": "toydot"}, "no stream format"),
    ({"port": 70_000}, "0 to 65535"),
    ({"host": "0.0.0.0"}, "beyond loopback"),
    ({"host": "localhost.example"}, "beyond loopback"),
    ({"cert": "c.pem"}, "TLS needs cert, key and ca"),
    ({"host": "0.0.0.0", "cert": "c", "key": "k", "ca": "a", "exercise": True}, "exercise listens on loopback only"),
])
def test_tcp_settings_that_are_refused(desk, more, said):
    with pytest.raises(UsageError, match=said):
        tcp(desk.intake, **more)


def test_a_port_that_is_taken_is_said_in_one_line(desk):
    async def main():
        async with running(tcp(desk.intake)) as first:
            with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{first.ports[0]}"):
                await tcp(desk.intake, port=first.ports[0]).start()
        async with running(udp(desk.intake)) as first:
            with pytest.raises(UsageError, match="cannot listen"):
                await udp(desk.intake, port=first.ports[0]).start()

    asyncio.run(main())


def test_a_caller_that_drips_bytes_and_never_a_message_is_idle(desk):
    async def main():
        async with running(tcp(desk.intake, idle_s=0.4)) as listener:
            come_in, out = await asyncio.open_connection("127.0.0.1", listener.ports[0])
            out.write(b"$a 1")
            ended = asyncio.create_task(come_in.read())
            deadline = time.monotonic() + 20
            while not ended.done():
                assert time.monotonic() < deadline
                out.write(b"1")
                await asyncio.sleep(0.02)
            assert listener.status()["idle_closed"] == 1
            await pump(desk, lambda: len(desk.frames) == 1)
            out.close()

    asyncio.run(main())
    assert desk.frames[0].payload.startswith(b"$a 11") and desk.frames[0].reject is not None


def test_mutual_tls_names_the_device_and_refuses_strangers(desk, certificates):
    def client(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(certificates / "ca.pem")
        if name:
            context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        return context

    async def attempt(port, name):
        come_in, out = await asyncio.open_connection("127.0.0.1", port, ssl=client(name))
        out.write(b"$x 1\n")
        await out.drain()
        got = await asyncio.wait_for(come_in.read(1), 10)
        out.close()
        return got

    async def main():
        files = {k: str(certificates / v) for k, v in {"cert": "server.pem", "key": "server.key", "ca": "ca.pem"}.items()}
        async with running(tcp(desk.intake, device="not this", **files)) as listener:
            good = asyncio.create_task(attempt(listener.ports[0], "unit7"))
            await pump(desk, good.done, reply=lambda frame: b"!")
            assert good.result() == b"!"
            for name in ("stranger", None):
                refused = asyncio.create_task(attempt(listener.ports[0], name))
                await pump(desk, refused.done, reply=lambda frame: b"!")
                assert refused.exception() is not None or refused.result() == b""
        async with running(tcp(desk.intake, identity="payload", **files)) as listener:
            good = asyncio.create_task(attempt(listener.ports[0], "unit7"))
            await pump(desk, good.done, reply=lambda frame: b"!")

    asyncio.run(main())
    assert [f.device for f in desk.frames] == ["unit7", ""]


def test_a_revoked_caller_ends_at_once_and_does_not_come_back(desk, tmp_path, make_authority):
    """The TCP listener's TLS takes a revocation list, and reads its files again without a restart (fault F09)."""
    own = make_authority(tmp_path / "own")
    own.issue("server", server=True)
    for name in ("unit7", "unit8"):
        own.issue(name)
    crl = own.revoke(made="20260101000000Z")

    async def call(port, name):
        context = ssl.create_default_context(cafile=own.path("ca.pem"))
        context.load_cert_chain(own.path(f"{name}.pem"), own.path(f"{name}.key"))
        come_in, out = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
        out.write(b"$x 1\n")
        await out.drain()
        return come_in, out

    async def main():
        files = {"cert": own.path("server.pem"), "key": own.path("server.key"), "ca": own.path("ca.pem"), "crl": crl}
        async with running(tcp(desk.intake, **files)) as listener:
            bad, good = [await call(listener.ports[0], name) for name in ("unit7", "unit8")]
            await pump(desk, lambda: len(desk.frames) == 2, reply=lambda frame: b"!")
            assert [await come_in.readexactly(1) for come_in, _ in (bad, good)] == [b"!", b"!"]
            assert listener.status()["tls_expires_unix_s"] > time.time()
            await asyncio.to_thread(own.revoke, "unit7", made="20260102000000Z")
            assert await asyncio.wait_for(bad[0].read(), 20) == b""
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                again = await call(listener.ports[0], "unit7")
                await again[0].readexactly(1)
            await until(lambda: listener.status()["tls_refused"] == 1)
            good[1].write(b"$x 2\n")
            await pump(desk, lambda: len(desk.frames) == 3, reply=lambda frame: b"!")
            assert await good[0].readexactly(1) == b"!"
            assert listener.status()["connected"] == 1
            good[1].close()
            bad[1].close()

    asyncio.run(main())
    assert [f.device for f in desk.frames] == ["unit7", "unit8", "unit8"]


def test_tls_files_that_are_absent_or_wrong_are_named(desk, certificates):
    async def main():
        with pytest.raises(UsageError, match=r"none.pem: tcp 't'.cert: cannot be read: No such file"):
            await tcp(desk.intake, cert="none.pem", key="none.key", ca="none.pem").start()
        wrong = {k: str(certificates / v) for k, v in {"cert": "server.pem", "key": "unit7.key", "ca": "ca.pem"}.items()}
        with pytest.raises(UsageError, match=r"unit7.key: tcp 't'.key: does not fit the certificate"):
            await tcp(desk.intake, **wrong).start()

    asyncio.run(main())


# --- UDP -----------------------------------------------------------------------------------------


def test_a_datagram_is_a_message_and_its_answer_goes_back_after_the_commit(desk):
    async def main():
        async with running(udp(desk.intake)) as listener:
            kind = socket.AF_INET, socket.SOCK_DGRAM
            with socket.socket(*kind) as one, socket.socket(*kind) as two:
                for sock, data in ((one, b"a"), (two, b"b"), (one, b"c"), (one, b"")):
                    sock.connect(("127.0.0.1", listener.ports[0]))
                    sock.settimeout(10)
                    sock.send(data)
                await pump(desk, lambda: len(desk.frames) == 4, commit=False)
                one.setblocking(False)
                with pytest.raises(BlockingIOError):
                    one.recv(10)
                desk.commit(lambda frame: b"ok" + frame.payload)
                one.settimeout(10)
                got = [await asyncio.to_thread(sock.recv, 10) for sock in (one, one, one, two)]
                assert got == [b"oka", b"okc", b"ok", b"okb"]
            assert listener.status()["frames"] == 4 and listener.status()["replies"] == 4

    asyncio.run(main())
    sessions = {f.payload: f.session for f in desk.frames}
    assert sessions[b"a"] == sessions[b"c"] != sessions[b"b"]
    desk.take()
    assert set(desk.closed) == set(sessions.values())


def test_a_full_intake_leaves_datagrams_to_the_kernel_and_counts_what_it_drops(hand_desk):
    desk = hand_desk(capacity=1)

    async def main():
        async with running(udp(desk.intake, receive_buffer_bytes=8192)) as listener:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", listener.ports[0]))
                sock.send(b"first")
                await until(lambda: desk.intake.held == 1)
                sock.send(b"held")
                await until(lambda: listener.status()["pauses"] == 1)
                for i in range(200):
                    sock.send(b"%d" % i + b" " * 500)
                dropped = listener.status()["dropped_kernel"]
                assert 0 < dropped < 200
                await pump(desk, lambda: len(desk.frames) == 202 - dropped)
                await until(lambda: listener.status()["dropped_full"] == dropped)

    asyncio.run(main())
    # what the kernel kept came through whole and in order
    assert [f.payload.strip() for f in desk.frames[:3]] == [b"first", b"held", b"0"]


@pytest.mark.parametrize(("more", "said"), [
    ({"host": "0.0.0.0"}, "UDP has no TLS"),
    ({"host": "0.0.0.0", "exercise": True}, "exercise listens on loopback only"),
    ({"format": "nothing-such"}, "no format"),
])
def test_udp_settings_that_are_refused(desk, more, said):
    with pytest.raises(UsageError, match=said):
        udp(desk.intake, **more)
