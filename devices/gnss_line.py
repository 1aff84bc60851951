"""One GNSS receiver's line: NMEA sentences, UBX frames and RTCM 3 corrections, mixed as receivers mix them.

Formats nmea and ubx are both this line; they differ in what they take for the beginning of a sentence (between binary frames a
lone ``$`` is none) and in what their simulators write.  A sentence and a UBX frame of one epoch say the same, and UBX says it
with its accuracy: while UBX has positions, the sentences say nothing.
"""

from __future__ import annotations

import re

from birddog.model import Alarm, Reject
from devices import framing, gnss_sentences, sentences, ubx_frames
from devices.codec import NOTHING, Decoded, Message
from devices.crc import crc24q, fletcher8

MAX_PAYLOAD = 8192
MAX_RUBBISH = sentences.MAX_RUBBISH
_START = re.compile(rb"\xb5\x62|\xd3[\x00-\x03]|[$!][A-Z]{2}")
_LOOSE_START = re.compile(rb"\xb5\x62|\xd3[\x00-\x03]|[$!\\]")
#: So many sentences with a position are passed over after a UBX position before they speak again.
_QUIET = 20


def _cut(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first."""
    have = len(buffer) - at
    first = buffer[at]
    if first == 0xB5 or first == 0xD3:
        end, reject = _binary(buffer, at, last)
        if end >= 0:
            return end, reject
    elif first in b"$!":
        if have < 3:
            return (len(buffer), Reject("framing", "a line cut short")) if last else (0, None)
        if _START.match(buffer, at):
            return sentences.cut(buffer, at, last)
    limit = at + MAX_RUBBISH
    found = _START.search(buffer, at + 1, limit + 3)
    if found is None and not last and len(buffer) < limit + 3:
        return 0, None
    end = min(found.start() if found else limit, limit, len(buffer))
    run = buffer[at:end]
    return end, None if run.isspace() else Reject("framing", f"{len(run)} bytes that belong to no frame")


def _cut_sentences(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """The same, where the line is one of sentences in the main."""
    if buffer[at] == 0xB5 or buffer[at] == 0xD3:
        end, reject = _binary(buffer, at, last)
        if end >= 0:
            return end, reject
    return sentences.cut(buffer, at, last, _LOOSE_START)


def _binary(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """As ``_cut`` for a piece that begins with B5 or D3; end -1: it is neither UBX nor RTCM."""
    have = len(buffer) - at
    if buffer[at] == 0xD3:
        if have >= 2 and buffer[at + 1] > 3:
            return -1, None
        end = at + 6 + (buffer[at + 1] << 8 | buffer[at + 2]) if have >= 3 else len(buffer) + 1
        if end > len(buffer):
            return (-1, None) if last else (0, None)
        return (end, None) if crc24q(buffer[at : end - 3]) == int.from_bytes(buffer[end - 3 : end], "big") else (-1, None)
    if have >= 2 and buffer[at + 1] != 0x62:
        return -1, None
    if have < 6:
        return (len(buffer), Reject("length", "a frame cut short")) if last else (0, None)
    length = buffer[at + 4] | buffer[at + 5] << 8
    return _ubx(buffer, at, at + 8 + length, last) if length <= MAX_PAYLOAD else (-1, None)


def _ubx(buffer: bytes, at: int, end: int, last: bool) -> tuple[int, Reject | None]:
    whole = end <= len(buffer)
    if not whole and not last:
        return 0, None
    if not whole or fletcher8(buffer[at + 2 : end - 2]) != buffer[end - 2 : end]:
        # a byte was lost or the length is wrong: the frames inside what it claims must not be lost with it
        inner = buffer.find(b"\xb5\x62", at + 2, min(end, len(buffer)))
        if inner > 0:
            return inner, Reject("checksum" if whole else "length", "a frame that does not hold together")
        if not whole:
            return len(buffer), Reject("length", "a frame cut short")
    return end, None


class Framer(framing.Framer):
    """One line's framer: UBX frames, NMEA lines, RTCM frames, and rubbish up to the next of them."""

    __slots__ = ()
    cut = staticmethod(_cut)


class SentenceFramer(framing.Framer):
    """The framer of a line of sentences in the main."""

    __slots__ = ()
    cut = staticmethod(_cut_sentences)


class Decoder:
    """Decodes one receiver, whichever of its languages it speaks."""

    __slots__ = ("_frames", "_quiet", "_sentences")

    def __init__(self) -> None:
        self._sentences = gnss_sentences.Decoder()
        self._frames = ubx_frames.Decoder()
        self._quiet = 0

    def decode(self, message: Message) -> Decoded:
        """Observations of one sentence or frame."""
        first = message.payload[:1]
        if first == b"\xd3":
            return NOTHING
        if first == b"\xb5":
            decoded = self._frames.decode(message)
            if decoded.observations and type(decoded.observations[0]) is not Alarm:
                self._quiet = _QUIET
            return decoded
        decoded = self._sentences.decode(message)
        if self._quiet and decoded.observations:
            self._quiet -= 1
            return NOTHING
        return decoded
