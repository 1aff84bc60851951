"""The settings of the device endpoint, and what is wrong with them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from birddog.errors import UsageError
from ingest.address import is_loopback

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[endpoint]``: where devices connect, and what they may send.

    ``port`` is plain and always on loopback; with ``cert``, ``key`` and ``ca`` (PEM files) the
    endpoint also listens on ``host:tls_port`` with mutual TLS.  Port 0 takes a free one.
    Of one address ``silent_per_address`` connections may stand that have sent no CONNECT: one more takes the
    place of the oldest.
    """

    host: str = "127.0.0.1"
    port: Port = 1883
    plain: bool = True
    tls_port: Port = 8883
    cert: str = ""
    key: str = ""
    ca: str = ""
    crl: str = ""
    max_packet: Annotated[int, msgspec.Meta(ge=1024, le=16_777_216)] = 262_144
    keepalive_max_s: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 3600
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 10.0
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    silent_per_address: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 512
    receive_maximum: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 2048
    topic_alias_maximum: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 16
    held_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=2**40)] = 67_108_864


def check(settings: Settings, *, exercise: bool) -> bool:
    """Whether these settings ask for TLS.

    Raises:
        UsageError: the host is one that the other settings do not allow, or there is nothing to listen on.
    """
    own = is_loopback(settings.host)
    tls = bool(settings.cert or settings.key or settings.ca or settings.crl)
    if exercise and not own:
        raise UsageError(f"an exercise listens on loopback only, not on {settings.host}", field="endpoint.host")
    if not own and not tls:
        raise UsageError(f"beyond loopback ({settings.host}) cert, key and ca are needed", field="endpoint.host")
    if not tls and not settings.plain:
        raise UsageError("nothing to listen on: plain is false and there is no cert", field="endpoint.plain")
    return tls
