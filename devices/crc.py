"""Check sums of device formats."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate


def xor8(data: bytes) -> int:
    """Exclusive or of all bytes (NMEA 0183): the sum as one long integer, folded in halves."""
    n = int.from_bytes(data, "big")
    size = len(data) * 8
    while size > 1024:
        half = (size + 15) // 16 * 8
        n = n >> half ^ n & (1 << half) - 1
        size = half
    if size > 512:
        n ^= n >> 512
    n ^= n >> 256
    n ^= n >> 128
    n ^= n >> 64
    n = (n ^ n >> 32) & 0xFFFFFFFF
    n ^= n >> 16
    return (n ^ n >> 8) & 0xFF


def _table(polynomial: int) -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ polynomial if crc & 1 else crc >> 1
        rows.append(crc)
    return tuple(rows)


_IBM = _table(0xA001)


# a stream's framer and then its decoder ask of the same bytes
@lru_cache(maxsize=4)
def crc16_ibm(data: bytes) -> int:
    """CRC-16/ARC (IBM): polynomial 0x8005 reflected, start 0; check value of ``123456789`` is 0xBB3D."""
    crc, table = 0, _IBM
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


@lru_cache(maxsize=4)
def fletcher8(data: bytes) -> bytes:
    """The two check bytes of u-blox (RFC 1145, modulo 256) over class, id, length and payload."""
    a, b = sum(data), sum(accumulate(data))
    return bytes((a & 0xFF, b & 0xFF))


def _table24() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte << 16
        for _ in range(8):
            crc = crc << 1 ^ 0x1864CFB if crc & 0x800000 else crc << 1
        rows.append(crc)
    return tuple(rows)


_24Q = _table24()


def crc24q(data: bytes) -> int:
    """CRC-24Q of RTCM 10403: polynomial 0x1864CFB, start 0; check value of ``123456789`` is 0xCDE703."""
    crc = 0
    for byte in data:
        crc = crc << 8 & 0xFFFFFF ^ _24Q[crc >> 16 ^ byte]
    return crc
