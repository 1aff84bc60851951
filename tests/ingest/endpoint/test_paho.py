"""The endpoint with an independent client: paho-mqtt 2.x, every version of the protocol."""

from __future__ import annotations

import threading

import pytest

mqtt = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
enums = pytest.importorskip("paho.mqtt.enums")

VERSIONS = {"3.1": enums.MQTTProtocolVersion.MQTTv31, "3.1.1": enums.MQTTProtocolVersion.MQTTv311,
            "5": enums.MQTTProtocolVersion.MQTTv5}


class Phone:
    """A paho client with its network loop in a thread."""

    def __init__(self, version: str, client_id: str):
        self.client = mqtt.Client(enums.CallbackAPIVersion.VERSION2, client_id, protocol=VERSIONS[version])
        self.connected, self.ended = threading.Event(), threading.Event()
        self.acknowledged: dict[int, int] = {}
        self.granted: list = []
        self.got: list[tuple[str, bytes]] = []
        self.said = None
        self.client.on_connect = self._on_connect
        self.client.on_publish = lambda c, u, mid, code, p: self.acknowledged.__setitem__(mid, code.value)
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.granted.extend(code.value for code in codes)
        self.client.on_message = lambda c, u, message: self.got.append((message.topic, message.payload))
        self.client.on_disconnect = self._on_disconnect

    def _on_connect(self, client, userdata, flags, code, properties):
        self.said = (code.value, flags.session_present, properties)
        self.connected.set()

    def _on_disconnect(self, client, userdata, flags, code, properties):
        self.said = code.value
        self.ended.set()

    def start(self, port: int) -> None:
        self.client.connect("127.0.0.1", port, keepalive=30)
        self.client.loop_start()
        assert self.connected.wait(20)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def phone():
    phones: list[Phone] = []

    def make(version: str, client_id: str) -> Phone:
        phones.append(Phone(version, client_id))
        return phones[-1]

    yield make
    for one in phones:
        one.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_publish_subscribe_and_goodbye(serve, phone, wire, version):
    served = serve()
    tag = phone(version, "tag1")
    tag.client.will_set("birddog/v1/tag1/toy", b"gone", qos=1)
    tag.start(served.port)
    assert tag.said[:2] == (0, False)
    if version == "5":
        offered = tag.said[2]
        assert (offered.ReceiveMaximum, offered.MaximumPacketSize) == (2048, 262_144)
        assert not hasattr(offered, "MaximumQoS")  # 3.2.2.3.4: all of them
        assert (offered.WildcardSubscriptionAvailable, offered.SharedSubscriptionAvailable) == (0, 0)
    sent = [tag.client.publish("birddog/v1/tag1/toy", b"%d" % n, qos=n % 3, retain=True).mid for n in range(201)]
    wire.until(lambda: len(tag.acknowledged) == 201, "every acknowledgement")
    assert set(tag.acknowledged) == set(sent) and set(tag.acknowledged.values()) == {0}
    wire.until(lambda: len(served.frames) == 201)
    # paho holds QoS 1 and 2 back while 20 are unacknowledged, QoS 0 overtakes them there
    for qos in (0, 1, 2):
        assert [int(f.payload) for f in served.frames if int(f.payload) % 3 == qos] == list(range(qos, 201, 3))
    tag.client.subscribe([("birddog/v1/tag1/command", 1), ("birddog/v1/other/command", 1)])
    wire.until(lambda: len(tag.granted) == 2)
    assert tag.granted == [1, {"3.1": 0, "3.1.1": 0x80, "5": 0x87}[version]]  # 3.1 has no word for no: nothing comes there
    assert served.on_loop(lambda: served.endpoint.publish("tag1", "command", b"\0\xff"))
    wire.until(lambda: tag.got == [("birddog/v1/tag1/command", b"\0\xff")])
    tag.stop()
    wire.until(lambda: served.status("connected") == 0)
    assert len(served.frames) == 201  # no will after a goodbye
    assert served.status("protocol_errors_total") == 0


def test_paho_waits_for_the_commit(serve, phone, wire):
    served = serve()
    tag = phone("5", "tag1")
    tag.start(served.port)
    served.desk.stall()
    info = tag.client.publish("birddog/v1/tag1/toy", b"x", qos=1)
    wire.until(lambda: served.intake.held == 1)
    assert not info.is_published()
    served.desk.open.set()
    wire.until(info.is_published)


def test_paho_is_told_what_is_not_permitted(serve, phone, wire):
    served = serve()
    tag = phone("5", "tag1")
    tag.start(served.port)
    mid = tag.client.publish("birddog/v1/tag1/command", b"x", qos=1).mid
    wire.until(lambda: mid in tag.acknowledged)
    assert tag.acknowledged[mid] == 0x87
    mid = tag.client.publish("birddog/v1/tag1/command", b"x", qos=2).mid
    wire.until(lambda: mid in tag.acknowledged)
    assert not tag.ended.is_set() and len(served.frames) == 2


def test_paho_comes_back_and_sends_again(serve, phone, wire):
    served = serve()
    tag = phone("3.1.1", "tag1")
    tag.client.reconnect_delay_set(1, 1)
    tag.start(served.port)
    served.desk.stall()
    infos = [tag.client.publish("birddog/v1/tag1/toy", b"%d" % n, qos=1) for n in range(10)]
    wire.until(lambda: served.intake.held == 10)
    tag.connected.clear()
    served.on_loop(lambda: [c.transport.abort() for c in list(served.endpoint._connections)])
    served.desk.open.set()
    assert tag.connected.wait(20)
    wire.until(lambda: all(i.is_published() for i in infos), "every message acknowledged on the new connection")
    frames = served.frames
    assert {f.payload for f in frames} == {b"%d" % n for n in range(10)}
    assert len(frames) == 20 and all(f.dup for f in frames[10:])
    # the numbers by which the desk knows them again are the same
    assert {(f.payload, f.packet) for f in frames[:10]} == {(f.payload, f.packet) for f in frames[10:]}
