"""Which topics an identity may publish to, and what a message on one of them is.

The endpoint asks before it makes a frame; whether the device may report at all is the door's question
(``ingest.door``).  A refusal is a value, so that its record reaches the disk before the PUBACK::

    birddog/v1/<device>/<format>      a device of that name (and nobody its /command or /receipt)
    owntracks/<user>/<device>[/...]   a phone whose enrolment lists the topic
    PREFIX/...                        a gateway whose enrolment lists the prefix; its format decodes
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol

from birddog.directory import Directory
from birddog.model import Reject
from devices import codec

#: Leaves below birddog/v1/<device>/ that only Birddog publishes.
OUTGOING = ("command", "receipt")
ROOT = "birddog/v1/"

#: Topics of gateways as their makers document them; an exercise knows them without an enrolment.
_GATEWAYS = (
    ("chirpstack", re.compile(r"application/[^/]+/device/[^/]+/event/[a-z]+\Z")),
    ("ttn", re.compile(r"v3/[^/]+/devices/[^/]+/[a-z/]+\Z")),
    ("meshtastic", re.compile(r"msh/.+/(json|c|e)/.+\Z")),
    ("impinj", re.compile(r"impinj/.+\Z")),
    ("zebra", re.compile(r"(zebra/.+|.*/?DATA/clients/data\d?event/.+)\Z", re.IGNORECASE)),
)

Route = tuple[str, str]


class Permit(Protocol):
    """Says what a topic means for an identity; called on the endpoint's loop, so it must not block."""

    def permit(self, identity: str, topic: str) -> Route | Reject:
        """(format, device that the transport vouches for), or why this identity may not publish there."""


class ExercisePermit:
    """Accepts every known form of topic from anyone.

    Args:
        formats: names of the formats; those that there are unless given (tests).
    """

    def __init__(self, formats: Collection[str] | None = None):
        self._formats = frozenset(codec.names() if formats is None else formats)

    def permit(self, identity: str, topic: str) -> Route | Reject:
        """See ``Permit``."""
        if topic.startswith(ROOT):
            parts = topic.split("/")
            if len(parts) != 4 or not parts[2] or parts[3] in OUTGOING:
                return _not_a_topic(identity)
            return _known(self._formats, parts[3], parts[2])
        phone = _phone(topic)
        if phone:
            return _known(self._formats, "owntracks", phone)
        for name, form in _GATEWAYS:
            if form.match(topic):
                return _known(self._formats, name, identity)
        return Reject("format", "no format goes with this topic", device=identity)


class DirectoryPermit:
    """Accepts a device's own topics, and those that its enrolment lists.

    Args:
        directory: the registers; read while the writer's thread changes them (single look-ups only).
        formats: as in ``ExercisePermit``.
    """

    def __init__(self, directory: Directory, formats: Collection[str] | None = None):
        self._directory = directory
        self._formats = frozenset(codec.names() if formats is None else formats)

    def permit(self, identity: str, topic: str) -> Route | Reject:
        """See ``Permit``."""
        if topic.startswith(ROOT):
            parts = topic.split("/")
            if len(parts) == 4 and parts[2] == identity and parts[3] not in OUTGOING:
                return _known(self._formats, parts[3], identity)
            # no enrolment opens another device's topics
            return _not_a_topic(identity)
        enrolled = self._directory.device(identity)
        if enrolled is None or not any(covers(prefix, topic) for prefix in enrolled.topics):
            return _not_a_topic(identity)
        phone = _phone(topic)
        if phone and enrolled.format in ("", "owntracks"):
            return _known(self._formats, "owntracks", phone)
        if not enrolled.format:
            return Reject("format", "enrolled with a topic, but without a format", device=identity)
        return _known(self._formats, enrolled.format, identity)


def covers(prefix: str, topic: str) -> bool:
    """Whether a topic is the prefix or lies below it; ``a/b``, ``a/b/`` and ``a/b/#`` mean the same."""
    prefix = prefix.removesuffix("#").removesuffix("/")
    return bool(prefix) and (topic == prefix or topic.startswith(prefix + "/"))


def may_subscribe(identity: str, text: str) -> bool:
    """Whether a topic filter is one of an identity's own two outgoing topics."""
    return any(text == f"{ROOT}{identity}/{leaf}" for leaf in OUTGOING)


def _phone(topic: str) -> str:
    """The device of ``owntracks/<user>/<device>`` and what OwnTracks puts below it, or ""."""
    parts = topic.split("/", 3)
    return parts[2] if len(parts) >= 3 and parts[0] == "owntracks" and parts[1] else ""


def _known(formats: Collection[str], name: str, device: str) -> Route | Reject:
    if not device.isprintable():
        return Reject("identity", "a name with characters that cannot be seen")
    if name in formats:
        return name, device
    return Reject("format", f"no format {name[:40]!r}", device=device)


def _not_a_topic(identity: str) -> Reject:
    return Reject("identity", "not a topic that this device may publish to", device=identity)
