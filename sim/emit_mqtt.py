"""MQTT as a target: one paho client a device, QoS 1, a bounded window of messages in flight.

The client id is the device's identity, as on the plain port of the endpoint; with TLS each device shows its own
certificate.  Each says that it is an exercise (user name EXERCISE), so that a live journal refuses it.  A lost
connection is taken up again by paho, and what was not acknowledged is sent again.
PUBACKs are counted in paho's callback: its own ``is_published`` raises for a message that waits for the reconnect.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

from birddog.errors import UsageError
from birddog.model import EXERCISE_USER
from sim.emission import Emission
from sim.emit import Target

IN_FLIGHT = 100
KEEP_ALIVE_S = 30
CONNECT_S = 5.0


class MqttEmitter:
    """All MQTT devices of a scenario against one broker or endpoint."""

    def __init__(self, target: Target):
        self._target = target
        self._clients: dict[str, Any] = {}
        self._sent: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._refused = ""
        try:  # fail at once, in words, where nobody listens
            socket.create_connection((target.host, target.port), timeout=CONNECT_S).close()
        except OSError as error:
            raise UsageError(f"{target.text}: cannot connect: {error}", field="--to") from error

    @property
    def acknowledged(self) -> int:
        """Messages that the other side has acknowledged."""
        return self._answered.total()

    def send(self, emission: Emission) -> None:
        """Publish with QoS 1; the answer is counted later.

        Raises:
            UsageError: the other side has refused a connection.
        """
        if self._refused:
            raise UsageError(f"{self._target.text}: {self._refused}", field="--to")
        self._client(emission.stream).publish(emission.channel, emission.payload, qos=1)
        self._sent[emission.stream] += 1

    def close(self, wait_s: float) -> list[str]:
        """Wait for the last PUBACKs, then DISCONNECT."""
        deadline = time.monotonic() + wait_s
        while self.acknowledged < self._sent.total() and time.monotonic() < deadline:
            time.sleep(0.02)
        left = [
            f"{self._target.text}: {name}: {sent - self._answered[name]} messages were not acknowledged"
            for name, sent in self._sent.items() if self._answered[name] < sent
        ]
        for name in list(self._clients):
            self._drop(name)
        return left

    def _client(self, name: str) -> Any:
        client = self._clients.get(name)
        if client is None:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion

            client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
            client.username_pw_set(EXERCISE_USER)
            client.on_connect = lambda *answer: self._judge(name, answer[3])
            client.max_inflight_messages_set(IN_FLIGHT)
            client.max_queued_messages_set(0)
            client.reconnect_delay_set(1, 5)
            client.on_publish = lambda *_: self._answered.update((name,))
            if self._target.tls:
                self._prove(client, name)
            try:
                client.connect(self._target.host, self._target.port, keepalive=KEEP_ALIVE_S)
            except OSError as error:  # ssl's own errors are OSErrors
                raise UsageError(f"{self._target.text}: {name}: cannot connect: {error}", field="--to") from error
            client.loop_start()
            self._clients[name] = client
        return client

    def _judge(self, name: str, code: Any) -> None:
        if code.is_failure:
            self._refused = f"the connection of {name} was refused ({code}): a live journal refuses exercise data"

    def _prove(self, client: Any, name: str) -> None:
        """Mutual TLS: the device shows the certificate of its name; without a folder only the server proves itself."""
        if not self._target.certs:
            client.tls_set()
            return
        folder = Path(self._target.certs)
        try:
            client.tls_set(ca_certs=folder / "ca.pem", certfile=folder / f"{name}.pem", keyfile=folder / f"{name}.key")
        except FileNotFoundError as error:
            raise UsageError(f"{folder}: wants ca.pem, {name}.pem and {name}.key", field="--certs") from error
        except OSError as error:
            raise UsageError(f"{folder}: of {name}: {error}", field="--certs") from error

    def _drop(self, name: str) -> None:
        client = self._clients.pop(name)
        client.disconnect()
        client.loop_stop()


def open_target(target: Target) -> MqttEmitter:
    """Connect once, to see that somebody listens."""
    return MqttEmitter(target)
