"""Each transport against a real peer on this machine."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
import serial

from birddog.errors import UsageError
from sim import emit
from sim import scenario as scenarios
from sim.emission import Emission
from sim.emit_files import FolderEmitter
from sim.truth import TruthWriter

MOSQUITTO = "/usr/sbin/mosquitto"


def wait_for(condition, said: str, seconds: float = 20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said
        time.sleep(0.01)


def message(k: int, transport: str, payload: bytes, **more) -> Emission:
    return Emission(at_ns=k, device="d", stream="d", transport=transport, format="x", payload=payload, **more)


# --- pty ------------------------------------------------------------------------------------------


def test_pty_carries_bytes_to_a_serial_reader_and_its_link_goes_at_the_end(tmp_path):
    link = tmp_path / "gps"
    (line,) = emit.open_all({"pty": emit.parse(f"pty:{link}")}).values()
    assert link.is_symlink()
    sent = b"$GPRMC,\r\n\x00\xff\x03\x11\x13"  # raw: no line discipline may touch it
    with serial.Serial(str(link), timeout=5) as reader:
        line.send(message(0, "pty", sent))
        assert reader.read(len(sent)) == sent
    # the cable is pulled out of the reader and put in again
    with serial.Serial(str(link), timeout=5) as reader:
        line.send(message(1, "pty", b"again"))
        assert reader.read(5) == b"again"
    assert line.close(1.0) == []
    assert not os.path.lexists(link)


def test_a_pty_that_nobody_reads_waits_for_nobody_and_counts(tmp_path):
    line = emit.open_all({"pty": emit.parse(f"pty:{tmp_path / 'gps'}")})["pty"]
    for k in range(3000):
        line.send(message(k, "pty", b"x" * 100))
    said = line.close(1.0)
    assert len(said) == 1 and "bytes were dropped" in said[0]


def test_a_pty_takes_no_others_file_and_takes_up_an_old_link(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="no link"):
        emit.open_all({"pty": emit.parse(f"pty:{tmp_path / 'file'}")})
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "stale").symlink_to("/dev/pts/99999")
    emit.open_all({"pty": emit.parse(f"pty:{tmp_path / 'stale'}")})["pty"].close(1.0)


# --- udp ------------------------------------------------------------------------------------------


def test_udp_sends_one_datagram_a_message_from_one_port_a_stream():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        udp = emit.open_all({"udp": emit.parse(f"udp://127.0.0.1:{receiver.getsockname()[1]}")})["udp"]
        udp.send(message(0, "udp", b"one"))
        udp.send(message(1, "udp", b"two"))
        (one, port1), (two, port2) = receiver.recvfrom(100), receiver.recvfrom(100)
        assert (one, two) == (b"one", b"two") and port1 == port2
        assert udp.close(1.0) == []


# --- tcp ------------------------------------------------------------------------------------------


class Server:
    """A Teltonika server of our own: takes the login, answers with a count; now and then does not."""

    def __init__(self, *, forget: int = -1, wrong: int = -1):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.logins: list[bytes] = []
        self.packets: list[bytes] = []
        self._forget, self._wrong = forget, wrong
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            size = stream.read(2)
            if len(size) < 2:
                return  # only looked whether somebody listens
            self.logins.append(size + stream.read(int.from_bytes(size, "big")))
            connection.sendall(b"\x01")
            while head := stream.read(8):
                body = stream.read(int.from_bytes(head[4:], "big") + 4)
                if len(body) < int.from_bytes(head[4:], "big") + 4:
                    return  # cut off
                self.packets.append(head + body)
                if len(self.packets) - 1 == self._forget:
                    return  # hangs up without a word
                count = 0 if len(self.packets) - 1 == self._wrong else body[1]
                connection.sendall(struct.pack(">I", count))


LOGIN = b"\x00\x0f350000000001234"


def packet(k: int, records: int = 2) -> bytes:
    data = bytes([0x8E, records]) + k.to_bytes(4, "big") + bytes([records])
    return bytes(4) + len(data).to_bytes(4, "big") + data + bytes(4)


def test_the_line_is_there_while_it_is_waited_for_who_must_listen(tmp_path):
    """Whoever reads the line may wait for it before he listens: neither is too early for the other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    link, seen = tmp_path / "gps", []

    def listen():
        wait_for(link.exists, "the line")
        seen.append(link.exists())
        with socket.create_server(("127.0.0.1", port)) as server:
            server.accept()[0].close()
            server.accept()[0].close()

    reader = threading.Thread(target=listen)
    reader.start()
    targets = {"tcp": emit.parse(f"tcp://127.0.0.1:{port}"), "pty": emit.parse(f"pty:{link}")}
    opened = emit.open_all(targets, wait_s=20.0)
    reader.join(20.0)
    assert set(opened) == {"tcp", "pty"} and seen == [True]
    opened["pty"].close(1.0)
    with pytest.raises(UsageError, match="cannot connect"):
        emit.open_all(targets, wait_s=0.2)
    assert not link.exists(), "what was made is gone with it"


@pytest.mark.parametrize(("forget", "wrong"), [(-1, -1), (2, -1), (-1, 2)])
def test_tcp_logs_in_waits_for_the_count_and_repeats_what_was_not_taken(forget, wrong):
    server = Server(forget=forget, wrong=wrong)
    tcp = emit.open_all({"tcp": emit.parse(f"tcp://127.0.0.1:{server.port}")})["tcp"]
    tcp.send(message(0, "tcp", LOGIN, login=True))
    for k in range(5):
        tcp.send(message(k, "tcp", packet(k), records=2))
    assert tcp.close(20.0) == []
    server.socket.close()
    assert tcp.acknowledged == 10
    wanted = [packet(k) for k in range(5)]
    if forget < 0 and wrong < 0:
        assert server.logins == [LOGIN] and server.packets == wanted
    else:
        assert server.logins == [LOGIN, LOGIN]
        assert server.packets == [*wanted[:3], *wanted[2:]]  # the third came twice, in its order


def test_tcp_says_what_was_never_confirmed():
    server = Server(wrong=0)
    tcp = emit.open_all({"tcp": emit.parse(f"tcp://127.0.0.1:{server.port}")})["tcp"]
    server.socket.close()
    tcp.send(message(0, "tcp", LOGIN, login=True))
    tcp.send(message(0, "tcp", packet(0), records=2))
    said = tcp.close(0.5)
    assert len(said) == 1 and "not confirmed" in said[0]


def test_tcp_gives_up_a_packet_that_a_fault_broke_and_goes_on():
    server = Server()
    tcp = emit.open_all({"tcp": emit.parse(f"tcp://127.0.0.1:{server.port}")})["tcp"]
    tcp.send(message(0, "tcp", LOGIN, login=True))
    tcp.send(message(0, "tcp", packet(0), records=2))
    tcp.send(message(1, "tcp", packet(1)[:9], records=2, damaged=True))
    tcp.send(message(2, "tcp", packet(2), records=2))
    assert tcp.close(20.0) == []
    server.socket.close()
    assert tcp.acknowledged == 4 and len(server.logins) == 2 and server.packets[-1] == packet(2)


# --- modbus -----------------------------------------------------------------------------------------


def test_modbus_serves_what_the_sensor_feels_now():
    from pymodbus.client import ModbusTcpClient

    server = emit.open_all({"modbus": emit.parse("modbus://127.0.0.1:0")})["modbus"]
    client = ModbusTcpClient("127.0.0.1", port=server.port, timeout=5, retries=0)
    try:
        assert client.connect()
        assert client.read_holding_registers(0, count=2, device_id=3).isError()  # it has said nothing yet
        server.send(message(0, "modbus", b"", unit=3, registers=((0, 1), (5, 65535))))
        assert client.read_holding_registers(0, count=6, device_id=3).registers == [1, 0, 0, 0, 0, 65535]
        server.send(message(1, "modbus", b"", unit=3, registers=((0, 0),)))
        assert client.read_holding_registers(5, count=1, device_id=3).registers == [65535]
        assert client.read_holding_registers(0, count=1, device_id=3).registers == [0]
        with pytest.raises(UsageError, match="cannot listen"):
            emit.open_all({"modbus": emit.parse(f"modbus://127.0.0.1:{server.port}")})
    finally:
        client.close()
        assert server.close(5.0) == []
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()


# --- a folder ---------------------------------------------------------------------------------------


def test_a_folder_only_takes_away_what_its_own_sums_name(tmp_path):
    (tmp_path / "out").mkdir()
    outside = tmp_path / "outside.txt"
    outside.write_text("stays")
    (tmp_path / "out" / "old.jsonl").write_text("goes")
    sums = "0" * 64 + "  old.jsonl\n" + "0" * 64 + "  ../outside.txt\n" + "0" * 64 + f"  {outside}\n"
    (tmp_path / "out" / "SHA256SUMS").write_text(sums)
    FolderEmitter(tmp_path / "out").close(1.0)
    assert outside.read_text() == "stays" and not (tmp_path / "out" / "old.jsonl").exists()


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        FolderEmitter(tmp_path / "file" / "out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_in_one_line(tmp_path):
    folder = tmp_path / "out"
    emitter = FolderEmitter(folder)
    emitter.begin(0, [])
    (folder / "x-d.jsonl").symlink_to("/dev/full")
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        emitter.send(message(0, "mqtt", b"x"))
    (folder / "x-d.jsonl").unlink()  # that device reads as zeros without an end
    assert emitter.close(0.0) == [f"{folder}: SHA256SUMS cannot be written: No such file or directory"]
    (tmp_path / "truth.csv").symlink_to("/dev/full")
    s = scenarios.load("harbour")
    truth = TruthWriter(tmp_path / "truth.csv", s, scenarios.build(s, 1), s.start_ns)
    with pytest.raises(UsageError, match=r"truth\.csv: cannot be written: No space left on device"):
        truth.until(2.0)
    truth.close()


def test_streams_cannot_leave_the_folder(tmp_path):
    folder = FolderEmitter(tmp_path / "out")
    folder.begin(0, [])
    folder.send(Emission(at_ns=0, device="d", stream="../../evil", transport="mqtt", format="x", payload=b"1"))
    folder.close(1.0)
    assert sorted(p.name for p in tmp_path.rglob("*.jsonl")) == ["enrol.jsonl", "x-.._.._evil.jsonl"]


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


# --- mqtt -----------------------------------------------------------------------------------------


@pytest.mark.broker
@pytest.mark.skipif(not os.path.exists(MOSQUITTO), reason="needs Mosquitto")
def test_mqtt_goes_on_when_the_other_side_was_killed_and_came_back(tmp_path, free_port):
    port = free_port()
    (tmp_path / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")

    def broker() -> subprocess.Popen:
        made = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "m.conf")], stderr=subprocess.DEVNULL)
        wait_for(lambda: listens(port), "no broker")
        return made

    first = broker()
    line = emit.open_all({"mqtt": emit.parse(f"mqtt://127.0.0.1:{port}")})["mqtt"]
    line.send(message(0, "mqtt", b"0", channel="t"))
    wait_for(lambda: line.acknowledged == 1, "not acknowledged")
    first.kill()
    first.wait()
    for k in range(1, 6):
        line.send(message(k, "mqtt", b"%d" % k, channel="t"))
    second = broker()
    try:
        assert line.close(20.0) == [] and line.acknowledged == 6
    finally:
        second.kill()
        second.wait()


def test_mqtt_says_what_was_never_acknowledged():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        line = emit.open_all({"mqtt": emit.parse(f"mqtt://127.0.0.1:{server.getsockname()[1]}")})["mqtt"]
        line.send(message(0, "mqtt", b"0", channel="t"))
        [said] = line.close(0.3)
    assert "1 messages were not acknowledged" in said
