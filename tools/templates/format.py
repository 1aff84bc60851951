"""Format ``NAME``: what the device is, in one sentence.

Source: its maker's document, version and page.

Copy this to devices/formats/NAME.py and the samples beside it to NAME.samples.toml: that is all.  The suite
tests/conformance/test_codecs.py finds and judges it; a line in docs/formats.md says that it is there.

One message, ASCII::

    TMP1 , IMEI(15) , POSIX seconds , degrees Celsius * 10 LF
"""

from __future__ import annotations

import re

from birddog.model import Reading
from birddog.units import NS
from devices.codec import Decoded, Message, rejected

#: Raised whenever the answer to the same bytes changes.
VERSION = 1
#: False: a message comes whole.  True: ``Framer`` cuts a stream (devices/formats/nmea.py is the shortest).
STREAM = False
TEXT = True

_FORM = re.compile(rb"TMP1,(\d{15}),(\d{1,10}),(-?\d{1,5})\n\Z", re.ASCII)


class Decoder:
    """One a session; what earlier messages said (a login's IMEI) would be kept here."""

    def decode(self, message: Message) -> Decoded:
        """Never raises: what is wrong is a reject with a reason of the closed list."""
        found = _FORM.match(message.payload)
        if found is None:
            return rejected("format", "is no TMP1 message")
        imei, seconds, tenths = found[1].decode(), int(found[2]), int(found[3])
        reading = Reading(device=message.device or imei, time_ns=seconds * NS, time_source="device", quantity="temperature",
                          value=tenths / 10.0, unit="Cel")
        return Decoded(observations=(reading,), device=imei)


def encode(*, imei: str, seconds: int, celsius: float) -> bytes:
    """What a device would send; the simulator uses it."""
    return b"TMP1,%s,%d,%d\n" % (imei.encode(), seconds, round(celsius * 10.0))
