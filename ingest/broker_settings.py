"""``[[broker]]``: the settings of the outside broker, and what is refused in them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from birddog.config import read_secret
from birddog.errors import ConfigError
from ingest.address import check_call, check_format, is_loopback


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter to subscribe to (``owntracks/+/+``, ``application/#``) and the format of what comes there."""

    filter: str
    format: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[broker]]``.

    Args:
        topics: a message's format is that of the first filter that fits; filters should not overlap.
        client_id: the broker's session hangs on it: no two programs on a broker may share it;
            ``birddog-NAME`` unless given.
        username, password_file: the file is readable by its owner only.
        ca, cert, key: TLS; ``ca`` alone checks the broker, all three also show who we are.
        plain: allow a broker beyond loopback without TLS.
        batch: messages handed to the desk in one list; the in-flight window is twice that.
        session_s: how long the broker shall keep our session while we are away (MQTT 5).
    """

    name: str
    host: str
    topics: tuple[Topic, ...]
    port: int = 1883
    protocol: Literal["3.1.1", "5"] = "5"
    client_id: str = ""
    username: str = ""
    password_file: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    plain: bool = False
    batch: int = 500
    keepalive_s: int = 20
    session_s: Annotated[int, msgspec.Meta(ge=0, le=4_294_967_295)] = 604_800


def context_of(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of a connection, or None where there shall be none.

    Raises:
        ConfigError: a file is missing, or they don't fit together.
    """
    if not settings.ca:
        return None
    field = f"broker {settings.name!r}"
    for file in filter(None, (settings.ca, settings.cert, settings.key)):
        if not os.path.isfile(file):
            raise ConfigError(f"there is no file {file}", field=field)
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert:
            context.load_cert_chain(settings.cert, settings.key, password=lambda: "")  # never asks on the terminal
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"ca, cert and key don't fit: {error}", field=field) from error
    return context


def check(settings: Settings, exercise: bool = False) -> None:
    """Refuse what can't work, or would send a password in plain over a network.

    Raises:
        ConfigError, UsageError
    """
    field = f"broker {settings.name!r}"
    if not settings.host:
        raise ConfigError("wants the broker's name or address", field=f"{field}.host")
    if not 0 < settings.port <= 65535:
        raise ConfigError(f"wants a port, 1 to 65535, not {settings.port}", field=f"{field}.port")
    if not settings.topics:
        raise ConfigError("wants at least one topic", field=f"{field}.topics")
    for topic in settings.topics:
        check_format(topic.format, field=f"{field}.topics {topic.filter!r}")
        levels = topic.filter.split("/")
        wrong = any(("#" in level and (level != "#" or i < len(levels) - 1)) or ("+" in level and level != "+")
                    for i, level in enumerate(levels))
        if not topic.filter or wrong or "\0" in topic.filter or (levels[0] == "$share" and len(levels) < 3):
            raise ConfigError("is no MQTT topic filter", field=f"{field}.topics {topic.filter!r}")
    if bool(settings.cert) != bool(settings.key) or (settings.cert and not settings.ca):
        raise ConfigError("cert and key go together, and with ca", field=f"{field}.cert")
    if settings.password_file and not settings.username:
        raise ConfigError("a password needs a username", field=f"{field}.username")
    if not (settings.ca or settings.plain or is_loopback(settings.host)):
        raise ConfigError(f"{settings.host} is beyond loopback: wants ca (TLS), or plain = true", field=f"{field}.ca")
    if not 1 <= settings.batch <= 30_000:
        raise ConfigError("wants 1 to 30000", field=f"{field}.batch")
    if not 1 <= settings.keepalive_s <= 65_535:
        raise ConfigError("wants 1 to 65535", field=f"{field}.keepalive_s")
    check_call(settings.host, field=f"{field}.host", exercise=exercise)
    if settings.password_file:
        read_secret(Path(settings.password_file), setting=f"{field}.password_file")
    context_of(settings)
