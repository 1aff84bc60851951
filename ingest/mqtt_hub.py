"""What the connections of one MQTT endpoint share: the protocol of what each needs of it, and the counters.

``ingest.endpoint.Endpoint`` keeps it; a connection knows no more of the server than stands here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from birddog.model import Frame
from ingest.endpoint_settings import Settings
from ingest.mqtt_clients import Clients
from ingest.permit import Permit


class Counters(msgspec.Struct):
    """Counted since the start."""

    bytes_total: int = 0
    messages_total: int = 0
    connections_total: int = 0
    refused_total: int = 0
    takeovers_total: int = 0
    protocol_errors_total: int = 0
    keepalive_timeouts_total: int = 0
    slow_clients_total: int = 0
    truncated_total: int = 0
    acknowledged_total: int = 0
    pauses_total: int = 0
    tls_total: int = 0

    def told(self) -> dict[str, int]:
        """What stands in the status; of TLS it is told how many handshakes came to nothing."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "tls_total"}


class Hub(Protocol):
    """What a connection needs of its endpoint; all of it on the loop's thread.

    Args:
        read_view: the one buffer into which every connection reads.
        topics: topic names seen, so that equal ones are one text.
        full: the way to the desk takes no more: nothing is read.
        stopping: the server ends.
        known: what is remembered of clients over their connections.
        who: says what a topic means for an identity.
    """

    name: str
    settings: Settings
    exercise: bool
    who: Permit
    loop: asyncio.AbstractEventLoop
    read_view: memoryview
    topics: dict[bytes, str]
    full: bool
    stopping: bool
    known: Clients
    counters: Counters

    def connected(self, connection: Any) -> bool:
        """A connection was made; False where there are too many."""
        ...

    def disconnected(self, connection: Any, session: str) -> None:
        """A connection is over; ``session``: of which the desk is to be told, or ""."""
        ...

    def left(self, connection: Any) -> None:
        """Its client has gone, and its identity is free."""
        ...

    def finished(self, connection: Any) -> bool:
        """It ended with nothing unacknowledged; whether the desk is told."""
        ...

    def refuse(self, connection: Any, client_id: str, reason: str) -> None:
        """Note who did not get past CONNECT."""
        ...

    def register(self, client_id: str, connection: Any) -> bool:
        """Its client id is its own from now on; the connection that had it ends.  False where it may not have it."""
        ...

    def revoked(self, serial: int) -> bool:
        """Whether a certificate was taken back."""
        ...

    def new_session(self) -> str:
        """A name that no session had before."""
        ...

    def take(self, frames: list[Frame]) -> None:
        """Messages on their way to the desk."""
        ...

    def waits(self, connection: Any) -> None:
        """It is not read until there is room again."""
        ...
