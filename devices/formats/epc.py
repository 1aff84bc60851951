"""EPC: the memory of one RFID tag, as a bare reader module hands it on; the payload is the memory and nothing else.

SGTIN-96 and SSCC-96, the schemes of goods and of logistic units::

    bits   8      | 3      | 3         | 40 … 20        | 4 … 24          | 38
           0x30   | filter | partition | company prefix | item reference  | serial           SGTIN-96
           0x31   | filter | partition | company prefix | serial reference 18 … 38 | 0 24     SSCC-96

The payload is the bytes from the header on, or the same as hexadecimal text (readers print it).  It becomes one tag read
with the tag URI; the reader is the sender.  A tag says no time: that of reception is taken (``server``).  An unknown
header is a reject ``type``; fields that cannot be (partition 7, more digits than a place has) are ``value``.

Source: GS1 EPC Tag Data Standard 1.13 (November 2019), section 14; see ``devices.epc_uri`` for the other schemes.
"""

from __future__ import annotations

import re

from birddog.errors import DeviceError
from birddog.model import TagRead
from devices.codec import Decoded, Message, rejected
from devices.epc_uri import tag_bytes, tag_uri

VERSION = 1
STREAM = False

#: No tag has more EPC memory (496 bits); as text twice as many characters.
MAX_MEMORY = 62
_HEX = re.compile(rb"\s*(?:0x)?((?:[0-9A-Fa-f]{2}){8,62})\s*\Z")


class Decoder:
    """Decodes tag memory; keeps nothing."""

    __slots__ = ()

    def decode(self, message: Message) -> Decoded:
        """One tag read."""
        memory = message.payload
        if len(memory) > 2 * MAX_MEMORY + 4:
            return rejected("size", f"{len(memory)} bytes", device=message.device)
        if text := _HEX.match(memory):
            memory = bytes.fromhex(text[1].decode("ascii"))
        try:
            uri = tag_uri(memory)
        except DeviceError as error:
            return rejected(error.reason, error.detail, device=message.device)
        read = TagRead(
            device=message.device, time_ns=message.received_ns, time_source="server", epc=uri, reader=message.device
        )  # fmt: skip
        return Decoded(observations=(read,))


def encode(*, uri: str) -> bytes:
    """The memory of a tag with this URI (schemes whose fields are numbers).

    Raises:
        ValueError: it cannot be written.
    """
    return tag_bytes(uri)
