"""EPC: the memory of one RFID tag, as a bare reader module hands it on; the payload is the memory and nothing else.

SGTIN-96 and SSCC-96, the schemes of goods and of logistic units::

    bits   8      | 3      | 3         | 40 … 20        | 4 … 24          | 38
           0x30   | filter | partition | company prefix | item reference  | serial           SGTIN-96
           0x31   | filter | partition | company prefix | serial reference 18 … 38 | 0 24     SSCC-96

The payload is the bytes from the header on, or the same as hexadecimal text: readers print it, some in groups (``3036 142C
…``, ``E2:00:41``), some with ``0x``.  **What consists of printable characters is text and is never read as binary memory**:
the twelve digits of a label are six bytes of hexadecimal text and too short for a tag, not the memory of an SGTIN-96 because
"0" is 0x30.  (Of binary tags some two in 100,000 consist of printable bytes; such a one is refused and kept.)

Before the EPC may stand the whole bank, as some modules hand it on::

    bytes  2           | 2                                                             | …   | 2
           StoredCRC   | PC: length in words 5, UMI 1, XPC 1, toggle 1, attributes 8   | EPC | perhaps the CRC behind it instead

A PC is one where its length is that of what follows, to the word; with a StoredCRC that must be right, too.  With toggle 1 the
memory is another numbering system's (ISO), no EPC: reject ``type``.  The PC stands in the attributes.

It becomes one tag read with the tag URI; the reader is the sender.  Tags of TDS 2 (SGTIN+ …) have no tag URI: they are raw
URIs with ``scheme`` and key as attributes.  A tag says no time: that of reception is taken (``server``).  An unknown header is
a reject ``type``; fields that cannot be (partition 7, more digits than a place has) are ``value``; text that is not
hexadecimal is ``format``.

Source: GS1 EPC Tag Data Standard 1.13 (November 2019), section 14; see ``devices.epc_uri`` for the other schemes.  Bank: GS1
EPC UHF Gen2 Air Interface Protocol 2.1, 6.3.2.1.2 (StoredCRC, StoredPC), annex F (CRC-16).
"""

from __future__ import annotations

import binascii
import re

from birddog.errors import DeviceError
from birddog.model import TagRead, Value
from devices.codec import Decoded, Message, rejected
from devices.epc_uri import tag_bytes, tag_name

VERSION = 2
STREAM = False
#: The bytes name nobody: a message is its sender's.
NAMES_DEVICE = False

#: No tag has more EPC memory (496 bits), and four bytes before it.
MAX_MEMORY = 66
#: As text: twice as many characters, and as many between them.
MAX_TEXT = 4 * MAX_MEMORY
_PRINTABLE = re.compile(rb"[\t\r\n\x20-\x7E]+\Z")
_HEX = re.compile(rb"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)\Z")
#: What readers and people write between groups of digits.
_BETWEEN = re.compile(rb"(?<=[0-9A-Fa-f])[ \t:-](?=[0-9A-Fa-f])")


class Decoder:
    """Decodes tag memory; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """One tag read."""
        memory = message.payload
        if len(memory) > MAX_TEXT:
            return rejected("size", f"{len(memory)} bytes", device=message.device)
        try:
            if _PRINTABLE.match(memory):
                memory = _from_text(memory)
            if len(memory) > MAX_MEMORY:
                raise DeviceError("size", f"{len(memory)} bytes")
            uri, attributes = _name(memory)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)
        read = TagRead(
            device=message.device, time_ns=message.received_ns, time_source="server", epc=uri, reader=message.device,
            attributes=attributes,
        )  # fmt: skip
        return Decoded(observations=(read,))


def _from_text(payload: bytes) -> bytes:
    """The memory that hexadecimal text stands for."""
    digits = _BETWEEN.sub(b"", payload.strip())
    found = _HEX.match(digits)
    if found is None:
        if _HEX.match(digits + b"0"):
            raise DeviceError("length", "an odd number of hexadecimal digits")
        raise DeviceError("format", "text that is not hexadecimal")
    return bytes.fromhex(found[1].decode("ascii"))


def _name(memory: bytes) -> tuple[str, dict[str, Value]]:
    """(URI, attributes) of memory with or without PC and CRC; the reading that explains every byte wins."""
    for pc_at, end in ((2, len(memory)), (0, len(memory) - 2)):  # StoredCRC PC EPC; PC EPC CRC
        whole = memory[pc_at:end]
        crc = memory[:2] if pc_at else memory[-2:]
        if _led(whole) and (binascii.crc_hqx(whole, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big") == crc:
            return _after_pc(whole)
    if not _led(memory):
        return tag_name(memory)
    # 0x3000 is also how an SGTIN-96 may begin, but 16 bits after its 96 would be no filling that readers add
    try:
        return _after_pc(memory)
    except DeviceError as error:
        try:
            return tag_name(memory)
        except DeviceError:
            raise error from None


def _led(memory: bytes) -> bool:
    """Whether memory begins with a PC word that states the length of what follows."""
    return len(memory) >= 8 and (memory[0] >> 3) * 2 == len(memory) - 2


def _after_pc(memory: bytes) -> tuple[str, dict[str, Value]]:
    if memory[0] & 1:
        raise DeviceError("type", "a PC word that says: another numbering system's, no EPC")
    uri, attributes = tag_name(memory[2:])
    return uri, {**attributes, "pc": memory[:2].hex().upper()}


def encode(*, uri: str) -> bytes:
    """The memory of a tag with this URI (schemes whose fields are numbers).

    Raises:
        ValueError: it cannot be written.
    """
    return tag_bytes(uri)
