"""Cuts a byte stream into the lines of IEC 61162 / NMEA 0183: what formats nmea and ais share.

A frame, drawn::

    [ \\ tag block \\ ]  $ or !  printable bytes without $  LF
    ^ offset

A sentence ends with its line feed; one that is cut short by the next ``$``, by a byte that no sentence holds, or by the
end of the stream is handed on without it and stands or falls by its check sum.  Whatever lies between sentences is
rubbish (one reject a run); white space alone is a piece that says nothing.  What some receivers write behind the check sum
(their station and clock: ``*5C,r003669945,1241544035``) stays raw and is not read.

Source: IEC 61162-1:2016, 7.3 (characters, sentence structure); IEC 61162-450, 7.2 (tag blocks).
"""

from __future__ import annotations

import re

from birddog.errors import DeviceError
from birddog.model import Reject
from devices import framing
from devices.crc import xor8

#: The standard says 82; proprietary sentences are longer.
MAX_SENTENCE = 1024
#: A run of rubbish is handed on in pieces of this size.
MAX_RUBBISH = 4096

_START = re.compile(rb"[$!\\]")
_BODY = re.compile(rb"[$!][\t\r\x20-\x23\x25-\x7e]*")
_TAG = re.compile(rb"\\[\x20-\x5b\x5d-\x7e]*")


def cut(buffer: bytes, at: int, last: bool) -> tuple[int, Reject | None]:
    """(end of the piece that begins here, why it is rubbish); end 0 = more bytes must come first."""
    body = at
    if buffer[at] not in b"$!\\":
        found = _START.search(buffer, at, at + MAX_RUBBISH)
        end = found.start() if found else min(len(buffer), at + MAX_RUBBISH)
        if not found and not last and end - at < MAX_RUBBISH:
            return 0, None
        run = buffer[at:end]
        return end, None if run.isspace() else Reject("framing", f"{len(run)} bytes that belong to no sentence")
    if buffer[at] == 0x5C:
        tag = _TAG.match(buffer, at, at + MAX_SENTENCE)
        end = tag.end()
        if end == len(buffer) or end + 1 == len(buffer):
            return (len(buffer), Reject("framing", "a tag block without its sentence")) if last else (0, None)
        if buffer[end] != 0x5C or buffer[end + 1] not in b"$!":
            return end, Reject("framing", "a tag block without its sentence")
        body = end + 1
    end = _BODY.match(buffer, body, body + MAX_SENTENCE).end()
    if end - body == MAX_SENTENCE:
        return end, Reject("size", f"a sentence longer than {MAX_SENTENCE} bytes")
    if end == len(buffer):
        return (end, None) if last else (0, None)
    return (end + 1 if buffer[end] == 0x0A else end), None


class Framer(framing.Framer):
    """One stream's framer; see ``devices.codec`` for what it promises."""

    __slots__ = ()
    cut = staticmethod(cut)


def fields(data: bytes) -> tuple[str, list[str], str]:
    """(``$`` or ``!``, fields with the address first, tag block) of one sentence, its check sum verified.

    Raises:
        DeviceError: framing (not printable ASCII, no sentence) or checksum (wrong, or there is none).
    """
    tag = ""
    if data[:1] == b"\\":
        block, _, data = data[1:].partition(b"\\")
        tag = _tag(block)
    start = data[:1]
    if start not in (b"$", b"!"):
        raise DeviceError("framing", "does not begin with $ or !")
    star = data.find(b"*")
    if star < 0:
        raise DeviceError("checksum", "no check sum")
    body = data[1:star]
    try:
        given = int(data[star + 1 : star + 3].decode("ascii"), 16) if data[star + 1 : star + 3].isalnum() else -1
        text = body.decode("ascii")
    except ValueError:
        given, text = -1, ""
    if given < 0 or len(data) < star + 3 or xor8(body) != given:
        raise DeviceError("checksum", "wrong check sum")
    return "$" if start == b"$" else "!", text.split(","), tag


def _tag(block: bytes) -> str:
    """The text of a tag block, "" where its check sum is wrong."""
    text, star, given = block.partition(b"*")
    try:
        if star and xor8(text) == int(given[:2].decode("ascii"), 16):
            return text.decode("ascii")
    except ValueError:
        pass  # a tag block only adds to its sentence: without it the sentence still stands
    return ""


def seal(start: str, body: str) -> bytes:
    """A sentence with its check sum and line end."""
    raw = body.encode("ascii")
    return f"{start}{body}*{xor8(raw):02X}\r\n".encode("ascii")
