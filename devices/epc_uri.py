"""EPC memory of an RFID tag to and from its tag URI (GS1 EPC Tag Data Standard): what the formats of RFID readers share.

The two schemes of a pallet and of a logistic unit, drawn (96 bits, big-endian)::

    SGTIN-96  0x30 8 | filter 3 | partition 3 | company prefix 40…20 | item reference 4…24 | serial 38
    SSCC-96   0x31 8 | filter 3 | partition 3 | company prefix 40…20 | serial reference 18…38 | 0 24

The partition says where the company prefix ends: 0 to 6 for 12 to 6 digits in 40, 37, 34, 30, 27, 24, 20 bits.  A
number that has more decimal digits than its place is refused, as is partition 7.  Further schemes with a table row each;
``urn:epc:raw`` names any memory that has none.

The schemes of TDS 2 ("+": SGTIN+ …) say their key in decimal digits, four bits each, and have no tag URI: such a tag is
``urn:epc:raw:…`` with its scheme and key as attributes::

    SGTIN+    0xF7 8 | AIDC data follow 1 | filter 3 | GTIN 14 × 4 | serial, of a length of its own
    SSCC+     0xF9 8 | AIDC data follow 1 | filter 3 | SSCC 18 × 4

The serial, the data that follow and the "++" schemes of TDS 2.3 (0xE6 to 0xEF, 0xFC, 0xFD) are left to the raw bits.

Source: GS1 EPC Tag Data Standard 1.13 (November 2019), sections 12 (URI forms), 14.5 (binary encodings), 12.6 (raw); GDTI-113,
which 1.9 and later only read, TDS 1.8, 14.5.8.  "+": TDS 2.3 (October 2025), table 14-1 and the examples of annex E.3.
"""

from __future__ import annotations

from birddog.errors import DeviceError
from birddog.model import Value

#: partition -> (bits, digits) of the company prefix
_COMPANY = ((40, 12), (37, 11), (34, 10), (30, 9), (27, 8), (24, 7), (20, 6))
_POWERS = tuple(10**n for n in range(20))
#: Characters that a URI writes as %XX (TDS table 7.11-1 and its siblings).
_ESCAPED = frozenset('"%&/<>?#')

# header: (scheme, bits in all, total bits and digits of company and reference (digits 0: any number), what follows)
# what follows: each ("n", bits) a number, ("p", bits, digits) a padded number, ("s", bits) 7-bit text, ("1", bits) a number
# whose first digit 1 keeps its zeros, ("0", bits) zeros
_SCHEMES: dict[int, tuple[str, int, int, int, tuple[tuple[str, int, *tuple[int, ...]], ...]]] = {
    0x30: ("sgtin-96", 96, 44, 13, (("n", 38),)),
    0x31: ("sscc-96", 96, 58, 17, (("0", 24),)),
    0x32: ("sgln-96", 96, 41, 12, (("n", 41),)),
    0x33: ("grai-96", 96, 44, 12, (("n", 38),)),
    0x34: ("giai-96", 96, 82, 0, ()),
    0x36: ("sgtin-198", 198, 44, 13, (("s", 140),)),
    0x37: ("grai-170", 170, 44, 12, (("s", 112),)),
    0x38: ("giai-202", 202, 0, 0, (("s", 188),)),
    0x39: ("sgln-195", 195, 41, 12, (("s", 140),)),
    0x2C: ("gdti-96", 96, 41, 12, (("n", 41),)),
    0x2D: ("gsrn-96", 96, 58, 17, (("0", 24),)),
    0x2E: ("gsrnp-96", 96, 58, 17, (("0", 24),)),
    0x3A: ("gdti-113", 113, 41, 12, (("1", 58),)),
    0x3C: ("cpi-96", 96, 51, 0, (("n", 31),)),
    0x3E: ("gdti-174", 174, 41, 12, (("s", 119),)),
    0x3F: ("sgcn-96", 96, 41, 12, (("1", 41),)),
    0x40: ("itip-110", 110, 44, 13, (("p", 7, 2), ("p", 7, 2), ("n", 38))),
    0x41: ("itip-212", 212, 44, 13, (("p", 7, 2), ("p", 7, 2), ("s", 140))),
}

#: TDS 2, header: (scheme, what its digits are, the nibble where they begin, how many there are).  Without digits: their key has
#: letters.
_PLUS: dict[int, tuple[str, str, int, int]] = {
    0xF0: ("cpi+", "", 0, 0),
    0xF1: ("grai+", "grai", 3, 14),
    0xF2: ("sgln+", "gln", 3, 13),
    0xF3: ("itip+", "itip", 3, 18),
    0xF4: ("gsrn+", "gsrn", 3, 18),
    0xF5: ("gsrnp+", "gsrnp", 3, 18),
    0xF6: ("gdti+", "gdti", 3, 13),
    0xF7: ("sgtin+", "gtin", 3, 14),
    0xF8: ("sgcn+", "gcn", 3, 13),
    0xF9: ("sscc+", "sscc", 3, 18),
    0xFA: ("giai+", "", 0, 0),
    0xFB: ("dsgtin+", "gtin", 8, 14),  # 20 bits of a date stand before it
    0xE6: ("cpi++", "", 0, 0), 0xE7: ("gsrn++", "gsrn", 3, 18), 0xE8: ("gsrnp++", "gsrnp", 3, 18),
    0xE9: ("sgln++", "gln", 3, 13), 0xEA: ("gdti++", "gdti", 3, 13), 0xEB: ("grai++", "grai", 3, 14),
    0xEC: ("sgcn++", "gcn", 3, 13), 0xED: ("itip++", "itip", 3, 18), 0xEE: ("giai++", "", 0, 0),
    0xEF: ("sscc++", "sscc", 3, 18), 0xFC: ("dsgtin++", "gtin", 8, 14), 0xFD: ("sgtin++", "gtin", 3, 14),
}  # fmt: skip


def tag_name(memory: bytes) -> tuple[str, dict[str, Value]]:
    """(URI, attributes) of EPC memory: its tag URI; of a scheme of TDS 2 the raw URI, with ``scheme`` and its key's digits.

    Raises:
        DeviceError: as ``tag_uri``.
    """
    row = _PLUS.get(memory[0]) if memory else None
    if row is None:
        return tag_uri(memory), {}
    scheme, key, at, count = row
    if not count and len(memory) >= 8 and memory.hex()[3:7].isdigit():  # a company prefix begins its key
        return raw_uri(memory), {"scheme": scheme}
    digits = memory.hex()[at : at + count]
    if len(digits) < count or len(memory) < 8:
        raise DeviceError("length", f"{scheme} with {len(memory) * 8} bits")
    # an ITIP is a GTIN with its check digit, and a piece and a total of two digits each
    if not digits or not digits.isdigit() or not _checked(digits[: 14 if key == "itip" else count]):
        raise DeviceError("value", f"{scheme}: {key or 'a key'} that cannot be")
    return raw_uri(memory), {"scheme": scheme, key: digits}


def _checked(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (GS1 General Specifications, 7.9.1)."""
    return sum(int(d) * (3, 1)[k % 2] for k, d in enumerate(reversed(digits[:-1]))) % 10 == -int(digits[-1]) % 10


def tag_uri(memory: bytes) -> str:
    """The tag URI of EPC memory, from its header byte on; zeros after the last field are filling.

    Raises:
        DeviceError: length (cut short, or something after it), type (a header with no scheme here), value (fields that
            cannot be).
    """
    if not memory:
        raise DeviceError("length", "no EPC memory")
    header = memory[0]
    if header == 0x30 and len(memory) == 12:
        return _sgtin_96(int.from_bytes(memory, "big"))
    if header == 0x31 and len(memory) == 12:
        return _sscc_96(int.from_bytes(memory, "big"))
    if header == 0x35:
        return _gid_96(memory)
    if header == 0x2F:
        return _usdod_96(memory)
    row = _SCHEMES.get(header)
    if row is None:
        plus = f" ({_PLUS[header][0]} of TDS 2)" if header in _PLUS else ""
        raise DeviceError("type", f"EPC header 0x{header:02X}{plus}")
    scheme, size, reference_bits, reference_digits, rest = row
    n = _number(memory, size, scheme)
    at = size - 14
    filter_value, partition = n >> at + 3 & 7, n >> at & 7
    company, bits, digits = _company(n, at, partition, scheme)
    at -= bits
    parts = [str(filter_value), company]
    if reference_bits:
        width = reference_bits - bits
        at -= width
        value = n >> at & (1 << width) - 1
        if reference_digits:
            parts.append(_padded(value, reference_digits - digits, scheme))
        else:
            parts.append(str(value))
    elif scheme == "giai-202":
        rest = (("s", 188 - bits),)
    for kind, width, *more in rest:
        at -= width
        value = n >> at & (1 << width) - 1
        if kind == "s":
            parts.append(_text(value, width, scheme))
        elif kind == "n":
            parts.append(str(value))
        elif kind == "p":
            parts.append(_padded(value, more[0], scheme))
        elif kind == "1":
            text = str(value)
            if text[0] != "1" or len(text) < 2:
                raise DeviceError("value", f"{scheme}: a serial number without its leading 1")
            parts.append(text[1:])
        elif value:
            raise DeviceError("value", f"{scheme}: bits that must be zero are not")
    return f"urn:epc:tag:{scheme}:{'.'.join(parts)}"


def raw_uri(memory: bytes) -> str:
    """The URI of memory that follows no scheme: ``urn:epc:raw:96.x30…`` (TDS 12.6)."""
    return f"urn:epc:raw:{len(memory) * 8}.x{memory.hex().upper()}"


def tag_bytes(uri: str) -> bytes:
    """EPC memory of a tag URI with numbers only (SGTIN-96, SSCC-96, … GID-96) or of a raw URI; the inverse of ``tag_uri``.

    Raises:
        ValueError: not such a URI, or a number too large for its place.
    """
    if uri.startswith("urn:epc:raw:"):
        return bytes.fromhex(uri.partition(".x")[2])
    scheme, _, text = uri.removeprefix("urn:epc:tag:").partition(":")
    parts = text.split(".")
    header = next((h for h, row in _SCHEMES.items() if row[0] == scheme), None)
    if scheme == "gid-96":
        value = 0x35 << 88 | int(parts[0]) << 60 | int(parts[1]) << 36 | int(parts[2])
        return value.to_bytes(12, "big")
    if header is None or not uri.startswith("urn:epc:tag:"):
        raise ValueError(f"{uri} is no tag URI that can be written")
    _, size, reference_bits, _, rest = _SCHEMES[header]
    partition = 12 - len(parts[1])
    if not 0 <= partition <= 6 or not reference_bits:
        raise ValueError(f"{uri}: a company prefix has 6 to 12 digits")
    bits = _COMPANY[partition][0]
    fields = [(header, 8), (int(parts[0]), 3), (partition, 3), (int(parts[1]), bits), (int(parts[2]), reference_bits - bits)]
    more = iter(parts[3:])
    for kind, width, *_ in rest:
        if kind == "s":
            raise ValueError(f"{uri}: {scheme} is not written here")
        fields.append((0 if kind == "0" else int("1" * (kind == "1") + next(more, "")), width))
    value = 0
    for field, width in fields:
        if not 0 <= field < 1 << width:
            raise ValueError(f"{uri}: a number too large for its place")
        value = value << width | field
    filling = -size % 16
    memory = (value << filling).to_bytes((size + filling) // 8, "big")
    if tag_uri(memory) != uri:
        raise ValueError(f"{uri}: a number too large for its place, or written with the wrong number of digits")
    return memory


def _sgtin_96(n: int) -> str:
    partition = n >> 82 & 7
    if partition == 7:
        raise DeviceError("value", "sgtin-96: partition 7")
    bits, digits = _COMPANY[partition]
    company = n >> 82 - bits & (1 << bits) - 1
    item = n >> 38 & (1 << 44 - bits) - 1
    if company >= _POWERS[digits] or item >= _POWERS[13 - digits]:
        raise DeviceError("value", "sgtin-96: a number with more digits than its place")
    return f"urn:epc:tag:sgtin-96:{n >> 85 & 7}.{company:0{digits}d}.{item:0{13 - digits}d}.{n & 0x3FFFFFFFFF}"


def _sscc_96(n: int) -> str:
    partition = n >> 82 & 7
    if partition == 7:
        raise DeviceError("value", "sscc-96: partition 7")
    bits, digits = _COMPANY[partition]
    company = n >> 82 - bits & (1 << bits) - 1
    serial = n >> 24 & (1 << 58 - bits) - 1
    if company >= _POWERS[digits] or serial >= _POWERS[17 - digits]:
        raise DeviceError("value", "sscc-96: a number with more digits than its place")
    if n & 0xFFFFFF:
        raise DeviceError("value", "sscc-96: bits that must be zero are not")
    return f"urn:epc:tag:sscc-96:{n >> 85 & 7}.{company:0{digits}d}.{serial:0{17 - digits}d}"


def _gid_96(memory: bytes) -> str:
    n = _number(memory, 96, "gid-96")
    return f"urn:epc:tag:gid-96:{n >> 60 & 0xFFFFFFF}.{n >> 36 & 0xFFFFFF}.{n & 0xFFFFFFFFF}"


def _usdod_96(memory: bytes) -> str:
    n = _number(memory, 96, "usdod-96")
    cage = (n >> 36 & (1 << 48) - 1).to_bytes(6, "big").decode("latin-1").lstrip(" ")
    if not (len(cage) in (5, 6) and cage.isascii() and cage.isalnum()):
        raise DeviceError("value", "usdod-96: a CAGE code that cannot be")
    return f"urn:epc:tag:usdod-96:{n >> 84 & 15}.{cage}.{n & 0xFFFFFFFFF}"


def _number(memory: bytes, size: int, scheme: str) -> int:
    """The bits of one scheme as a number; what follows them must be zeros."""
    have = len(memory) * 8
    if have < size:
        raise DeviceError("length", f"{scheme} with {have} bits")
    n = int.from_bytes(memory, "big")
    if n & (1 << have - size) - 1:
        raise DeviceError("length", f"something after the {size} bits of {scheme}")
    return n >> have - size


def _company(n: int, at: int, partition: int, scheme: str) -> tuple[str, int, int]:
    if partition == 7:
        raise DeviceError("value", f"{scheme}: partition 7")
    bits, digits = _COMPANY[partition]
    return _padded(n >> at - bits & (1 << bits) - 1, digits, scheme), bits, digits


def _padded(value: int, digits: int, scheme: str) -> str:
    if value >= _POWERS[digits]:
        raise DeviceError("value", f"{scheme}: a number with more digits than its place")
    return f"{value:0{digits}d}" if digits else ""


def _text(value: int, width: int, scheme: str) -> str:
    """Seven-bit characters up to the first zero, escaped as a URI wants them."""
    codes = [value >> at & 0x7F for at in range(width - 7, -1, -7)]
    end = codes.index(0) if 0 in codes else len(codes)
    if any(codes[end:]) or any(code < 0x21 for code in codes[:end]) or not end:
        raise DeviceError("value", f"{scheme}: a serial number that cannot be")
    return "".join(f"%{code:02X}" if chr(code) in _ESCAPED else chr(code) for code in codes[:end])
