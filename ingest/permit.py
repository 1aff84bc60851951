"""Which topics an identity may publish to, and what a message on one of them is.

The endpoint asks before it makes a frame; whether the device may report at all is the door's question
(``birddog.judge``).  A refusal is a value, so that its record reaches the disk before the PUBACK::

    birddog/v1/<device>/<format>      a device of that name (and nobody its /command or /receipt)
    owntracks/<user>/<device>[/...]   a phone whose enrolment lists the topic
    PREFIX/...                        a gateway whose enrolment lists the prefix; its format decodes

The identity that the transport vouches for is the *sender*, always.  Whom a topic names besides is the *subject*; it is handed
on, and the door judges both.  A phone is named by its user and device, ``jane/phone7``, unless it is enrolled under another
name: two users may each have a ``phone``.  At its app's default it calls itself ``janephone7``; the enrolment of its topic says
who that is, on the plain port; with TLS the certificate does.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol

from birddog.directory import Directory, plain_topic
from birddog.model import Reject
from devices import codec
from devices.formats import owntracks

#: Leaves below birddog/v1/<device>/ that only Birddog publishes.
OUTGOING = ("command", "receipt")
ROOT = "birddog/v1/"

#: (format, subject): whom the topic names, where that is another than the sender, else "".
Route = tuple[str, str]
#: A number that is nobody else's (IMEI, MMSI, EUI): as a phone's device it says who it is without its user.
_UNMISTAKABLE = re.compile(r"(\d{9,20}|[0-9a-fA-F]{12,32})\Z", re.ASCII)


class Permit(Protocol):
    """Says what a topic means for an identity; called on the endpoint's loop, so it must not block."""

    def permit(self, identity: str, topic: str) -> Route | Reject:
        """(format, whom the topic names besides the identity), or why this identity may not publish there."""

    def phone(self, client_id: str, topic: str) -> str:
        """Under which name the phone of this topic is enrolled whose app's default client id this is; else ""."""

    def wears(self, certificate: str, client_id: str) -> bool:
        """Whether a client id is the app's default of the phone whose certificate this is."""


class ExercisePermit:
    """Accepts every known form of topic from anyone.

    Args:
        formats: names of the formats; those that there are unless given (tests).
        directory: a phone that is enrolled with its topic has that name in an exercise, too.
    """

    def __init__(self, formats: Collection[str] | None = None, directory: Directory | None = None):
        self._formats = frozenset(codec.names() if formats is None else formats)
        self._directory = directory or Directory()

    def permit(self, identity: str, topic: str) -> Route | Reject:
        """See ``Permit``."""
        if topic.startswith(ROOT):
            parts = topic.split("/")
            if len(parts) != 4 or not parts[2] or parts[3] in OUTGOING:
                return _not_a_topic(identity)
            return _known(self._formats, parts[3], identity, parts[2])
        if owntracks.phone_of(topic):
            return _known(self._formats, "owntracks", identity, named(self._directory, "owntracks", topic))
        for name, form in codec.gateway_topics():
            if form.match(topic):
                return _known(self._formats, name, identity, "")
        return Reject("format", "no format goes with this topic", device=identity)

    def phone(self, client_id: str, topic: str) -> str:
        """See ``Permit``: in an exercise whom a topic names stands for itself anyway."""
        return ""

    def wears(self, certificate: str, client_id: str) -> bool:
        """See ``Permit``."""
        return _wears(self._directory, certificate, client_id)


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
                return _known(self._formats, parts[3], identity, "")
            # no enrolment opens another device's topics
            return _not_a_topic(identity)
        enrolled = self._directory.device(identity)
        prefixes = [prefix for prefix in enrolled.topics if covers(prefix, topic)] if enrolled is not None else []
        if enrolled is None or not prefixes:
            return _not_a_topic(identity)
        if enrolled.format == "owntracks" or (not enrolled.format and owntracks.phone_of(topic)):
            # enrolled with the topic of one phone: it is that phone, whatever the app calls itself (client id janephone7
            # at owntracks/jane/phone7); enrolled with more, it is a gateway for whom the topic names
            own = any(owntracks.phone_of(plain_topic(prefix)) or plain_topic(prefix) == topic for prefix in prefixes)
            subject = "" if own or owntracks.is_own(identity, topic) else named(self._directory, "owntracks", topic)
            return _known(self._formats, "owntracks", identity, subject)
        if not enrolled.format:
            return Reject("format", "enrolled with a topic, but without a format", device=identity)
        return _known(self._formats, enrolled.format, identity, named(self._directory, enrolled.format, topic))

    def phone(self, client_id: str, topic: str) -> str:
        """See ``Permit``: both apps make the client id of user and device, and a phone may be enrolled under another name."""
        if topic.startswith(ROOT) or not owntracks.is_default_id(client_id, topic) or self._directory.device(client_id):
            return ""
        return self._directory.of_topic(owntracks.phone_topic(topic))

    def wears(self, certificate: str, client_id: str) -> bool:
        """See ``Permit``."""
        return _wears(self._directory, certificate, client_id)


def _wears(directory: Directory, certificate: str, client_id: str) -> bool:
    enrolled = directory.device(certificate)
    return enrolled is not None and any(owntracks.is_default_id(client_id, plain_topic(topic)) for topic in enrolled.topics)


def named(directory: Directory, format: str, topic: str) -> str:
    """Whom a topic names: our own form's device, an OwnTracks phone, a network server's device; "" where the payload knows.

    A phone's name is that of the enrolment which lists its topic, else USER/DEVICE; DEVICE alone only where that is the
    number of a device which is enrolled (an IMEI), for ``phone`` is what many users call theirs.
    """
    levels = topic.split("/")
    if topic.startswith(ROOT) and len(levels) > 2:
        return levels[2]
    if format == "owntracks":
        name = owntracks.device_of(topic)
        of_topic = directory.of_topic(owntracks.phone_topic(topic))
        if of_topic or "/" not in name or directory.device(name) is not None:
            return of_topic or name
        last = name.rpartition("/")[2]
        return last if _UNMISTAKABLE.match(last) and directory.device(last) is not None else name
    behind = codec.device_level(format)
    if behind in levels[:-1]:
        return levels[levels.index(behind) + 1].lower()
    return ""


def covers(prefix: str, topic: str) -> bool:
    """Whether a topic is the prefix or lies below it; ``a/b``, ``a/b/`` and ``a/b/#`` mean the same."""
    prefix = plain_topic(prefix)
    return bool(prefix) and (topic == prefix or topic.startswith(prefix + "/"))


def may_subscribe(identity: str, text: str) -> bool:
    """Whether a topic filter is one of an identity's own two outgoing topics."""
    return any(text == f"{ROOT}{identity}/{leaf}" for leaf in OUTGOING)


def _known(formats: Collection[str], name: str, identity: str, subject: str) -> Route | Reject:
    if not subject.isprintable():
        return Reject("identity", "a name with characters that cannot be seen")
    if name in formats:
        return name, "" if subject == identity else subject
    return Reject("format", f"no format {name[:40]!r}", device=identity)


def _not_a_topic(identity: str) -> Reject:
    return Reject("identity", "not a topic that this device may publish to", device=identity)
