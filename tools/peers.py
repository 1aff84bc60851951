"""Other people's MQTT tests against our endpoint: Eclipse Paho's interoperability suite and Mosquitto's packet sequences.

    make peers PAHO=/path/to/paho.mqtt.testing MOSQUITTO=/path/to/mosquitto

Both are checkouts that the caller made (github eclipse/paho.mqtt.testing, eclipse-mosquitto/mosquitto); nothing of
them is kept here.  Every difference is one that ``KNOWN`` explains (docs/clients.md shows the table), or the exit is 1.

Paho's suite wants a broker: what one client publishes another receives.  Between its clients and the endpoint stands
an adapter that gives each topic a device's name of its own, answers SUBSCRIBE itself, and delivers what stands in the
*journal*: so a message that the suite receives is one that was stored, with its topic and payload.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from birddog.journal import open_reader
from birddog.model import FrameBody, unpack
from ingest.mqtt_packets import packet as packet_of

NO_BROKER = "no broker: nothing is retained, queued, shared or sent on, and the journal keeps topic and payload only"
#: Paho: name of the test -> why it differs.  Mosquitto: pattern of the sequence's name -> why.
KNOWN_PAHO = {
    "retained": NO_BROKER, "offline": NO_BROKER, "will": NO_BROKER, "session_expiry": NO_BROKER, "shared": NO_BROKER,
    "user_properties": NO_BROKER, "payload_format": NO_BROKER, "publication_expiry": NO_BROKER, "subscribe_options": NO_BROKER,
    "subscribe_identifiers": NO_BROKER, "request_response": NO_BROKER, "server_topic_alias": NO_BROKER,
    "redelivery": NO_BROKER, "overlapping": NO_BROKER, "flow_control1": NO_BROKER, "maximum_packet_size": NO_BROKER,
    "server_keep_alive": "a keep-alive of up to an hour is taken as asked; the suite wants 60 s whatever it asks",
    "client_topic_alias": NO_BROKER,  # a subscription that outlives its connection
}
KNOWN_MOSQUITTO = {
    r"instead of (e00181|e00182|2003008[125]00)$": "MQTT 5: malformed, protocol error and topic name invalid are told apart"
    " otherwise; the connection ends in both",
    r"answered with 400(204d2) instead of 40030": "no `no matching subscribers` (0x10): a message is on disk, not passed on",
    r"instead of 90": "a client may subscribe to its own two topics only, and without an identifier",
    r"PUBREC|PUBCOMP": "nothing is sent with QoS 2: a PUBREC or PUBCOMP ends the connection",
    r"answered with 20020001 instead of 2003008400": "a level that is not spoken is answered in the form of 3.1.1 (3.1.2.2)",
    r"QoS 2 Dup flow\*3": "a message may be sent again more than once before PUBREL",
    r"\$ topic": "a topic with $ is recorded like any other",
    r"PROPERTIES maximum packet size": "a client that takes fewer bytes than our CONNACK has is not served",
    r"topic alias > max": "16 topic aliases are offered, not 10",
    r"FORBIDDEN 0A with illegal length": "a type that does not exist is refused when the packet's length has come in",
}
DEVICE = "peer-"
#: A test of Paho's takes less.
PATIENCE_S = 90.0


def main() -> int:
    """Run what was given; print each difference with its reason, and at the end the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--paho", metavar="FOLDER", default="", help="checkout of eclipse/paho.mqtt.testing")
    parser.add_argument("--mosquitto", metavar="FOLDER", default="", help="checkout of eclipse-mosquitto/mosquitto")
    args = parser.parse_args()
    if not args.paho and not args.mosquitto:
        print("make peers: PAHO=/path/to/paho.mqtt.testing and MOSQUITTO=/path/to/mosquitto say where the checkouts are",
              file=sys.stderr)
        return 2
    unexplained = 0
    with tempfile.TemporaryDirectory(prefix="birddog-peers-") as folder, endpoint(Path(folder)) as (port, url):
        if args.mosquitto:
            unexplained += mosquitto(Path(args.mosquitto), port)
        if args.paho:
            unexplained += asyncio.run(paho(Path(args.paho), port, url))
    print(f"differences that nobody has explained: {unexplained}")
    return 1 if unexplained else 0


@contextlib.contextmanager
def endpoint(folder: Path):
    """An exercise on free ports: (MQTT port, journal URL)."""
    url = f"sqlite:///{folder}/peers.db"
    command = [sys.executable, "-m", "opsroom.cli", "run", "--exercise", "--journal", url, "--mqtt-port", "0"]
    command += ["--only", "ingest"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stderr is not None
            for line in run.stderr:
                if found := re.match(r"mqtt: port (\d+)", line):
                    break
            else:
                raise SystemExit("make peers: the endpoint did not start")
            yield int(found[1]), url
        finally:
            run.terminate()


# --- Mosquitto: packets out, packets in --------------------------------------------------------------------


def mosquitto(checkout: Path, port: int) -> int:
    """Play ``test/broker/data/*.json``; how many differences nobody has explained."""
    sys.path[:0] = [str(checkout / "test" / "broker"), str(checkout / "test")]
    import msg_sequence_test as theirs  # type: ignore[import-not-found]

    same, skipped, known, unexplained = 0, 0, Counter[str](), 0
    for file in sorted((checkout / "test" / "broker" / "data").glob("*.json")):
        for group in json.loads(file.read_text()):
            if group.get("disable"):
                continue
            for test in group["tests"]:
                how = {"ver": 4, "connect": True, "expect_disconnect": True} | group | test
                name = f"{group['group']} {test['name']}"
                if any(m["type"] not in ("send", "recv") for m in how["msgs"]):
                    skipped += 1  # somebody else publishes or is to receive
                    continue
                difference = play(theirs, how, name, port)
                said = f"{name}: {difference}"
                reason = next((why for pattern, why in KNOWN_MOSQUITTO.items() if re.search(pattern, said)), "")
                if not difference:
                    same += 1
                elif reason:
                    known[reason] += 1
                else:
                    unexplained += 1
                    print(f"mosquitto: {name}: {difference}")
    print(f"mosquitto: {same} as with Mosquitto, {known.total()} explained differences, {skipped} that need a broker")
    for reason, count in known.most_common():
        print(f"  {count} x {reason}")
    return unexplained


def play(theirs, how: dict, name: str, port: int) -> str:
    """One sequence; "" where the answers are Mosquitto's and the connection goes on or ends as with it."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(3.0)
        try:
            if how["connect"]:
                sock.sendall(theirs.mqtt_packets.gen_connect(name, proto_ver=how["ver"]))
                answer = whole_packet(sock)
                if answer[:1] != b"\x20" or answer[3:4] != b"\0":
                    return f"CONNECT answered with {answer.hex()}"
            for message in how["msgs"]:
                data = theirs.parse_message(message["payload"])
                if message["type"] == "send":
                    sock.sendall(data)
                    continue
                answer = whole_packet(sock)
                connack = answer[:1] == data[:1] == b"\x20" and answer[2:4] == data[2:4]  # its properties are each server's own
                if answer[:2] == b"\xe0\2" and answer[3:] == b"\0":
                    answer = b"\xe0\1" + answer[2:3]  # MQTT 5, 3.14.2.2.1: no properties may be said or left out
                if answer != data and not (connack and how["ver"] == 5):
                    return f"answered with {answer.hex() or 'the end'} instead of {data.hex()}"
            sock.sendall(b"\xc0\0")
            goes_on = b"\xd0\0" in rest(sock)
        except (ConnectionError, TimeoutError) as error:
            goes_on = isinstance(error, TimeoutError)
    if goes_on == (not how["expect_disconnect"]):
        return ""
    return "the connection goes on" if goes_on else "the connection ends"


def whole_packet(sock: socket.socket) -> bytes:
    out = b""
    while len(out) < 2 or out[-1] > 127 and len(out) < 5:
        more = sock.recv(1)
        if not more:
            return out
        out += more
    size = sum((byte & 127) << 7 * n for n, byte in enumerate(out[1:]))
    while size:
        more = sock.recv(size)
        if not more:
            break
        out, size = out + more, size - len(more)
    return out


def rest(sock: socket.socket) -> bytes:
    """What comes until the answer to our PINGREQ, or the end."""
    out = b""
    while b"\xd0\0" not in out:
        more = sock.recv(4096)
        if not more:
            break
        out += more
    return out


# --- Paho: an adapter with the journal as subscriber ---------------------------------------------------------

_DRIVER = """
import json, sys, unittest
sys.path.insert(0, ".")
name, port = sys.argv[1], int(sys.argv[2])
suite = __import__(name)
suite.host, suite.port = "127.0.0.1", port
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
suite.topic_prefix = "client_test5/"
class Result(unittest.TestResult):
    def say(self, test, outcome, error=None):
        print("RESULT", json.dumps([name, str(test).split()[0], outcome, str(error[1])[:200] if error else ""]), flush=True)
    def addSuccess(self, test): self.say(test, "ok")
    def addFailure(self, test, error): self.say(test, "fails", error)
    def addError(self, test, error): self.say(test, "fails", error)
unittest.defaultTestLoader.loadTestsFromModule(suite).run(Result())
"""


async def paho(checkout: Path, port: int, url: str) -> int:
    """Run client_test.py and client_test5.py; how many failures nobody has explained."""
    adapter = Adapter(port, url)
    server = await asyncio.start_server(adapter.serve, "127.0.0.1", 0)
    tail = asyncio.create_task(adapter.tail())
    ours = server.sockets[0].getsockname()[1]
    outcomes: Counter[str] = Counter()
    unexplained = 0
    for name in ("client_test", "client_test5"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DRIVER, name, str(ours), cwd=checkout / "interoperability",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
            except TimeoutError:
                print(f"paho: {name}: no answer for {PATIENCE_S:.0f} s; ended")
                process.kill()
                unexplained += 1
                break
            if not line:
                break
            if not line.startswith(b"RESULT "):
                continue
            suite, test, outcome, error = json.loads(line[7:])
            reason = next((why for word, why in KNOWN_PAHO.items() if word in test), "") if outcome != "ok" else ""
            outcomes["ok" if outcome == "ok" else "explained" if reason else "unexplained"] += 1
            unexplained += outcome != "ok" and not reason
            print(f"paho: {suite}.{test}: {outcome}{f' ({reason or error})' if outcome != 'ok' else ''}", flush=True)
        await process.wait()
    tail.cancel()
    server.close()
    print(f"paho: {dict(outcomes)}")
    return unexplained + (not outcomes)


class Adapter:
    """Passes a client's packets on, publishes under a device's name for each topic, and delivers from the journal."""

    def __init__(self, port: int, url: str):
        self.port, self.url = port, url
        self.clients: dict[asyncio.StreamWriter, tuple[int, set[str]]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client of the suite."""
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients[writer] = 4, set()
        answers = asyncio.create_task(self._answers(there, writer))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                packet = await _packet(reader)
                out = self._said(packet, writer)
                if out:
                    back.write(out)
        del self.clients[writer]
        if back.can_write_eof():
            with contextlib.suppress(OSError):
                back.write_eof()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(answers, 5.0)
        back.close()
        writer.close()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            writer.write(data)
        with contextlib.suppress(OSError):
            writer.write_eof()  # the client may still be sending; it shall see why it ends
        await asyncio.sleep(1.0)
        writer.close()

    def _said(self, packet: bytes, writer: asyncio.StreamWriter) -> bytes:
        """What goes on to the endpoint; SUBSCRIBE and UNSUBSCRIBE are answered here."""
        kind, at = packet[0] >> 4, _body(packet)
        level, filters = self.clients[writer]
        if kind == 1:
            name_ends = _field(packet, at)
            level = packet[name_ends]
            self.clients[writer] = level, filters
            if packet[name_ends + 1] & 4:
                at = name_ends + 4
                at += 1 + packet[at] if level == 5 else 0
                at = _field(packet, at)
                at += 1 + packet[at] if level == 5 else 0
                ends = _field(packet, at)
                return packet_of(packet[0], packet[_body(packet) : at] + _named(packet[at + 2 : ends]) + packet[ends:])
        elif kind == 3:
            ends = _field(packet, at)
            if ends > at + 2:  # else an alias says which
                return packet_of(packet[0], _named(packet[at + 2 : ends]) + packet[ends:])
        elif kind in (8, 10):
            number, codes = packet[at : at + 2], b""
            at += 2
            if level == 5:
                at += 1 + packet[at]
            while at < len(packet):
                size = int.from_bytes(packet[at : at + 2], "big")
                text = packet[at + 2 : at + 2 + size].decode()
                at += 2 + size
                if kind == 8:
                    refused = text == "test/nosubscribe"
                    codes += b"\x80" if refused else bytes((min(packet[at] & 3, 2),))
                    at += 1
                    if not refused:
                        filters.add(text)
                else:
                    codes += b"\0" if text in filters else b"\x11"
                    filters.discard(text)
            v5 = b"\0" if level == 5 else b""
            writer.write(packet_of(0x90 if kind == 8 else 0xB0, number + v5 + (codes if kind == 8 or level == 5 else b"")))
            return b""
        return packet

    async def tail(self) -> None:
        """Deliver every message that the journal has, once, to who is connected and has subscribed."""
        last = 0
        journal = open_reader(self.url)
        while True:
            for entry in journal.read(last):
                last = entry.seq
                body = unpack(entry)
                found = re.match(rf"birddog/v1/{DEVICE}([0-9a-f]+)/", body.channel) if isinstance(body, FrameBody) else None
                if found:
                    self._deliver(bytes.fromhex(found[1]).decode(), body.payload)
            await asyncio.sleep(0.05)

    def _deliver(self, topic: str, payload: bytes) -> None:
        for writer, (level, filters) in self.clients.items():
            if any(matches(text, topic) for text in filters):
                raw = topic.encode()
                writer.write(packet_of(0x30, len(raw).to_bytes(2, "big") + raw + (b"\0" if level == 5 else b"") + payload))


def matches(text: str, topic: str) -> bool:
    """MQTT 5, 4.7: + is one level, # the rest; neither at the beginning finds a topic with $."""
    wanted, levels = text.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)] if len(levels) >= len(wanted) else []
    return len(wanted) == len(levels) and all(w in ("+", one) for w, one in zip(wanted, levels, strict=True))


async def _packet(reader: asyncio.StreamReader) -> bytes:
    out = await reader.readexactly(2)
    while out[-1] > 127 and len(out) < 5:
        out += await reader.readexactly(1)
    return out + await reader.readexactly(sum((byte & 127) << 7 * n for n, byte in enumerate(out[1:])))


def _body(packet: bytes) -> int:
    at = 1
    while packet[at] > 127:
        at += 1
    return at + 1


def _field(packet: bytes, at: int) -> int:
    """Where the text or bytes end whose length stands at ``at``."""
    return at + 2 + int.from_bytes(packet[at : at + 2], "big")


def _named(topic: bytes) -> bytes:
    """A topic of the suite as a device's own topic, with its length."""
    name = f"birddog/v1/{DEVICE}{topic.hex()}/owntracks".encode()
    return len(name).to_bytes(2, "big") + name


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(status)
