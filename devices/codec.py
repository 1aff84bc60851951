"""The protocol that every device format keeps.

A format is one module ``devices/formats/NAME.py`` whose name is the format's name (``-`` in the name
becomes ``_``).  Nothing registers it: it is imported when somebody asks for it, and the conformance
suite in tests/conformance finds it in the folder.  A module offers::

    VERSION: int                       raised whenever decode's answer to the same bytes changes
    STREAM: bool                       True: bytes come as a stream and must be cut into frames
    class Framer:                      only if STREAM; one a connection, owned by the transport
        def feed(self, data: bytes) -> list[Piece]     whole frames found so far, rubbish as rejects
        def finish(self) -> list[Piece]                what is left when the stream ends
    class Decoder:                     one a session, owned by the desk
        def decode(self, message: Message) -> Decoded
        identity: str              optional: who this session is, by its earlier messages (a login)
    NAMES_DEVICE: bool                 optional, True unless said: bytes may name a device other than Message.device
    BROADCAST: bool                    optional, False unless said: everybody may hear what it carries
    TEXT: bool                         optional, False unless said: its messages are UTF-8 text
    NAMELESS: bool                     optional, False unless said: its bytes name nobody; who it was, the transport says
    GATEWAY_TOPIC: re.Pattern          optional: the topics at which gateways of this maker publish, as documented
    DEVICE_LEVEL: str                  optional: the level of such a topic behind which the device's name stands
    def encode(...) -> bytes           keyword-only; what a device would send; the simulator uses it

A codec does no I/O and reads no clock; its state is an unfinished frame (Framer) or what earlier
messages of the same session said (Decoder: the login's IMEI, the date of the last RMC).  A Framer's
buffer is bounded (MAX_FRAME), it never raises, and the bytes of all its pieces, in order, are
exactly the bytes that were fed.  A Decoder never raises on bad input: it answers with a Reject.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from birddog.errors import UsageError
from birddog.model import Observation, Reject, RejectReason
from devices import ranges
from devices.clock import ROLLOVER_NS, received_again

#: No unfinished frame grows beyond this; a longer one is a reject with reason ``size``.
MAX_FRAME = 65_536


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A run of bytes cut out of a stream: a whole frame, or rubbish when ``reject`` is set.

    ``offset`` counts from the first byte ever fed to this Framer.
    """

    offset: int
    data: bytes
    reject: Reject | None = None


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a Decoder is given: one frame's bytes and what the transport knows.

    ``device`` is the identity that the transport vouches for, or "".  ``received_ns`` is None where
    a file does not say when its bytes arrived; a fix without a time of its own then has none.
    """

    payload: bytes
    device: str = ""
    topic: str = ""
    received_ns: int | None = None


class Decoded(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a Decoder answers.

    Args:
        observations, rejects: in the order of the message.
        reply: bytes that the device waits for; sent only after the message is on disk.
        key: where the format has its own message identity (a deduplication id, a packet id with its
            sender), the bytes that make two deliveries one; None: the payload itself decides.
        device: the identity the message itself states, when it says one ("" otherwise).
        unread: the parts of the message that were not understood, each once, by a short name of a closed form
            (``unread``): what the part is called by the format, never a value, a text of the sender's or a position.
            The rest of the message counts; these are counted by device and name where an operator sees it.
    """

    observations: tuple[Observation, ...] = ()
    rejects: tuple[Reject, ...] = ()
    reply: bytes | None = None
    key: bytes | None = None
    device: str = ""
    unread: tuple[str, ...] = ()


NOTHING = Decoded()

#: What the name of a part that was not understood looks like: ``object.position``, ``element_385``.
UNREAD_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}\Z")
#: So many of one message are named; a message of nothing but oddities must not fill the lists.
UNREAD_MOST = 8


def unread(names: Iterable[str]) -> tuple[str, ...]:
    """Names for ``Decoded.unread``: each once, in order, the first ``UNREAD_MOST``.

    Raises:
        ValueError: a name is not of the closed form; the format has made it of what a sender wrote.
    """
    found = tuple(dict.fromkeys(names))[:UNREAD_MOST]
    for name in found:
        if not UNREAD_NAME.match(name):
            raise ValueError(f"{name[:60]!r} is no name of a part")
    return found


def rejected(reason: RejectReason, detail: str, *, device: str = "", reply: bytes | None = None) -> Decoded:
    """A Decoded that holds one reject."""
    return Decoded(rejects=(Reject(reason=reason, detail=detail, device=device),), device=device, reply=reply)


class Framer(Protocol):
    """Cuts a byte stream into frames; see the module's docstring for its promises."""

    def feed(self, data: bytes) -> list[Piece]: ...

    def finish(self) -> list[Piece]: ...


class Decoder(Protocol):
    """Turns one message into observations and rejects."""

    def decode(self, message: Message) -> Decoded: ...


class Codec(Protocol):
    """A format's module, as seen from outside."""

    VERSION: int
    STREAM: bool

    Framer: type[Framer]
    Decoder: type[Decoder]

    def encode(self, **fields: Any) -> bytes: ...


_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def names() -> list[str]:
    """Every format there is, sorted; finds the modules without importing them."""
    import devices.formats

    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(devices.formats.__path__))


def known(name: str) -> bool:
    """Whether there is a format of this name; imports nothing."""
    if not _NAME.match(name):
        return False
    return importlib.util.find_spec("devices.formats." + name.replace("-", "_")) is not None


def load(name: str) -> Codec:
    """The module of a format.

    Raises:
        UsageError: there is no such format.
    """
    if not known(name):
        raise UsageError(f"no format {name!r}; there are: {', '.join(names())}")
    return importlib.import_module("devices.formats." + name.replace("-", "_"))


def is_text(name: str) -> bool:
    """Whether the messages of a format are UTF-8 text."""
    return known(name) and getattr(load(name), "TEXT", False)


def is_nameless(name: str) -> bool:
    """Whether the bytes of a format name nobody: who it was, only the transport, a topic or a file's name can say."""
    return known(name) and getattr(load(name), "NAMELESS", False)


@functools.cache
def gateway_topics() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(format, the topics of its gateways) of every format that has such; imports them all, once."""
    found = ((name, getattr(load(name), "GATEWAY_TOPIC", None)) for name in names())
    return tuple((name, form) for name, form in found if form is not None)


def device_level(name: str) -> str:
    """The level of a gateway's topic behind which the device's name stands; "" where the format has none."""
    return getattr(load(name), "DEVICE_LEVEL", "") if known(name) else ""


def decode_whole(codec: Codec, decoder: Decoder, message: Message) -> Decoded:
    """Decode a message that carries whole frames (an MQTT payload, a datagram, a line of a file).

    For a stream format the payload is cut into frames first and what is left over is a reject; the
    answers are joined in order.  Whatever the format, values that physics forbids are left out (``devices.ranges``).
    """
    if not codec.STREAM:
        decoded = decoder.decode(message)
        return decoded if ranges.possible(decoded.observations) else _possible(decoded)
    framer = codec.Framer()
    pieces = framer.feed(message.payload)
    pieces += framer.finish()
    if len(pieces) == 1 and pieces[0].reject is None:
        decoded = decoder.decode(message)  # the bytes of all pieces are the message's
        return decoded if ranges.possible(decoded.observations) else _possible(decoded)
    return join([decode_piece(decoder, message, piece) for piece in pieces])


def decode_behind(codec: Codec, decoder: Decoder, message: Message, behind: Mapping[str, int]) -> Decoded:
    """``decode_whole`` where the clocks of some devices are known to be so many times 1024 weeks behind (``behind``).

    A message of such a one is read as if it had come so much earlier: a format would take a time of 1987 for a clock that was
    never set, and state none that could be put right.
    """
    assert message.received_ns is not None
    times = behind.get(message.device or getattr(decoder, "identity", ""), 0)
    if not times:
        decoded = decode_whole(codec, decoder, message)
        named = decoded.device or (decoded.observations[0].device if decoded.observations else "")
        times = behind.get(named, 0)
        if times < 2:  # once behind is no clock that was never set, and needs no second look
            return decoded
    earlier = msgspec.structs.replace(message, received_ns=message.received_ns - times * ROLLOVER_NS)
    decoded = decode_whole(codec, decoder, earlier)
    return msgspec.structs.replace(decoded, observations=received_again(decoded.observations, times))


def decode_piece(decoder: Decoder, message: Message, piece: Piece) -> Decoded:
    """Decode one piece of a stream with the message's context; rubbish is its reject."""
    if piece.reject is not None:
        return Decoded(rejects=(piece.reject,))
    return _possible(decoder.decode(msgspec.structs.replace(message, payload=piece.data)))


def _possible(decoded: Decoded) -> Decoded:
    """The same answer without values that physics forbids."""
    if ranges.possible(decoded.observations):
        return decoded
    observations, rejects = ranges.checked(decoded.observations)
    return msgspec.structs.replace(decoded, observations=observations, rejects=decoded.rejects + rejects)


def join(parts: list[Decoded]) -> Decoded:
    """Several answers as one, in order."""
    if len(parts) == 1:
        return parts[0]
    replies = [p.reply for p in parts if p.reply]
    return Decoded(
        observations=tuple(o for p in parts for o in p.observations),
        rejects=tuple(r for p in parts for r in p.rejects),
        reply=b"".join(replies) if replies else None,
        device=next((p.device for p in parts if p.device), ""),
        unread=unread(name for p in parts for name in p.unread),
    )
