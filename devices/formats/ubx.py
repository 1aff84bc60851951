r"""UBX: the binary protocol of u-blox receivers, alone or mixed with NMEA lines on the same line.

The frame, little-endian, and the one message that says everything::

    B5 62 | class u8 | id u8 | length u16 | payload | CK_A CK_B          Fletcher 8 over class … payload
    NAV-PVT 01 07, 92 bytes (84 of protocol 14):
      0 iTOW u32 ms | 4 year u16 | 6 month 7 day 8 hour 9 minute 10 second u8 | 11 valid (1 date, 2 time) | 12 tAcc u32
      16 nano i32 | 20 fixType u8 | 21 flags (1 = fix OK) | 22 | 23 satellites u8 | 24 lon i32 1e-7° | 28 lat i32 1e-7°
      32 height i32 mm (ellipsoid) | 36 hMSL i32 mm | 40 hAcc u32 mm | 44 vAcc u32 | 48 velN E D i32 mm/s | 60 gSpeed i32 mm/s
      64 headMot i32 1e-5° | 68 sAcc u32 | 72 headAcc u32 1e-5° | 76 pDOP u16 0.01 | 78 flags3 (1 = invalidLlh) | …
    NAV-PVAT 01 17, 116 bytes: 5 valid | 6 year … | 20 nano | 24 fixType | 25 flags | 27 satellites | 28 lon lat height hMSL
      44 hAcc vAcc | 64 gSpeed | 68 sAcc | 84 motHeading | 92 accHeading u16 0.01°
    HNR-PVT 28 00, 72 bytes: 4 year … | 11 valid | 12 nano | 16 gpsFix | 17 flags | 20 lon lat height hMSL | 36 gSpeed
      44 headMot | 52 hAcc vAcc sAcc headAcc
    NAV-HPPOSLLH 01 14, 36 bytes: 3 flags (1 = invalidLlh) | 4 iTOW | 8 lon lat height hMSL i32 | 24 lonHp latHp i8 1e-9° …
      28 hAcc u32 0.1 mm | 32 vAcc
    MON-RF 0A 38: 1 nBlocks | 4 + 24 n: blockId, flags (3 = jamming state)
    SEC-SIG 27 09: version 1, 12 bytes: 4 jamFlags (6 = state) | 8 spfFlags (0E = state)
      version 2, 4 + 4 n bytes: 1 flags (06 = jamming, 70 = spoofing state)

Older receivers have no NAV-PVT: there NAV-POSLLH (01 02: iTOW, lon, lat, height, hMSL, hAcc, vAcc) is a fix where NAV-SOL
(01 06) or NAV-STATUS (01 03) of the same iTOW says that there is one, or NAV-SOL's Earth-centred position where POSLLH is
not sent; NAV-VELNED (01 12) that came before gives speed and course.  NAV-HPPOSLLH says itself whether it is one.  Their time
is the GPS week of NAV-SOL or NAV-TIMEGPS (01 20) and iTOW, less the leap seconds of that day, or goes on from NAV-TIMEUTC
(01 21); with neither the week is that of the reception (``server``).  Once NAV-PVT or NAV-PVAT has come these are not needed
and say nothing; HNR-PVT, between their epochs, does.

fixType 2, 3, 4 is a fix; without flag 1 (outside the receiver's own limits of accuracy; hAcc says how far) and for type 1
(dead reckoning alone, with flag 1) it gets the flag ``low_quality``; 0 and 5 are none: the reading ``fix_valid`` false, once.
hAcc is the root of the sum of both axes' variances: ``sigma_m`` = hAcc / √2; 100 km and more (all ones: unknown) or 0 is
``low_quality``.  invalidLlh is no fix.  A course whose accuracy is 180° or worse, a speed, an altitude whose accuracy is all
ones, and pDOP 99.99 are not given.

NAV-STATUS's spoofing state, MON-HW's and MON-RF's jamming state (critical: 3) and both of SEC-SIG (2 and 3; MON-RF says 0 where
there is one) give the alarms ``spoofing`` and ``jamming`` when they begin.  NMEA lines between frames are read as format
``nmea`` reads them; while UBX positions come they say nothing.  Polls (no payload), RTCM 3 frames (D3 …, CRC-24Q) and all other
messages with a right check sum give nothing.  Lengths are exact: any other is no message that we know.

Source: u-blox F9 HPG L1L2 1.50 Interface Description UBX-23008175 and F9 HPS 1.30 UBX-22010984 (NAV-PVAT, NAV-HPPOSLLH,
MON-RF, SEC-SIG); u-blox 8 / M8 Receiver Description including Protocol Specification, UBX-13003221 R28, 32 (NAV-PVT 32.17.14,
HNR-PVT); u-blox 5 protocol specification GPS.G5-X-07036 (NAV-SOL, NAV-POSLLH); pyubx2 1.3, which judges it in the tests.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from birddog.units import NS
from devices.crc import fletcher8
from devices.gnss_line import Decoder, Framer

__all__ = ["STREAM", "VERSION", "Decoder", "Framer", "encode", "frame"]

VERSION = 6
STREAM = True
NAMELESS = True
#: The bytes name nobody: a message is its sender's.
NAMES_DEVICE = False

_PVT = struct.Struct("<IHBBBBBBIiBBBBiiiiIIiiiiiIIH")
_GPS_EPOCH_S = 315_964_800


# --- the other way --------------------------------------------------------------------------------------------


def frame(kind: int, payload: bytes) -> bytes:
    """A UBX frame; ``kind`` is class × 256 + id."""
    body = kind.to_bytes(2, "big") + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + fletcher8(body)


def encode(
    *,
    lat_deg: float,
    lon_deg: float,
    time_ns: int,
    alt_m: float = 0.0,
    sigma_m: float = 3.0,
    speed_mps: float = 0.0,
    course_deg: float = 0.0,
    satellites: int = 12,
    fix_type: int = 3,
) -> bytes:
    """A NAV-PVT frame; ``fix_type`` 0 = no fix."""
    seconds, nano = divmod(time_ns, NS)
    stamp = datetime.fromtimestamp(seconds, UTC)
    itow = (seconds - _GPS_EPOCH_S + 18) % 604_800 * 1000 + nano // 1_000_000
    payload = _PVT.pack(
        itow, stamp.year, stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second, 7, 30, nano, fix_type,
        int(fix_type in (1, 2, 3, 4)), 0, satellites, round(lon_deg * 1e7), round(lat_deg * 1e7), round(alt_m * 1000),
        round(alt_m * 1000), round(sigma_m * 1414.2), round(sigma_m * 2000), 0, 0, 0, round(speed_mps * 1000),
        round(course_deg % 360.0 * 1e5), 300, 100_000, 150,
    )  # fmt: skip
    return frame(0x0107, payload.ljust(92, b"\0"))
