"""Check sums of device formats."""

from __future__ import annotations


def xor8(data: bytes) -> int:
    """Exclusive or of all bytes (NMEA 0183): the sum as one long integer, folded in halves."""
    n = int.from_bytes(data, "big")
    size = 512
    while size * 2 < len(data) * 8:
        size *= 2
    while size >= 8:
        n ^= n >> size
        size >>= 1
    return n & 0xFF


def _table(polynomial: int) -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ polynomial if crc & 1 else crc >> 1
        rows.append(crc)
    return tuple(rows)


_IBM = _table(0xA001)


def crc16_ibm(data: bytes) -> int:
    """CRC-16/ARC (IBM): polynomial 0x8005 reflected, start 0; check value of ``123456789`` is 0xBB3D."""
    crc, table = 0, _IBM
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def fletcher8(data: bytes) -> bytes:
    """The two check bytes of u-blox (RFC 1145, modulo 256) over class, id, length and payload."""
    a = b = 0
    for byte in data:
        a += byte
        b += a
    return bytes((a & 0xFF, b & 0xFF))
