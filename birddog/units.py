"""Conversions between the units that devices speak and the ones that Birddog keeps.

Inside Birddog: metres, metres per second, degrees, integer nanoseconds UTC, one sigma per axis.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

KNOT_MPS = 1852.0 / 3600.0
KMH_MPS = 1.0 / 3.6
FOOT_M = 0.3048
NS = 1_000_000_000

#: A 68 % circular radius over the sigma of one axis: sqrt(-2 ln(1 - 0.68)).
R68_PER_SIGMA = 1.5096
#: A circular error probable (50 % radius) over the sigma of one axis: sqrt(2 ln 2).
CEP50_PER_SIGMA = 1.1774
#: The 95 % radius of a 2-D Gaussian in sigmas, squared: chi-square, 2 degrees of freedom.
CHI2_95_2D = 5.991464547107979

_SECONDS = re.compile(r"([+-]?)(?:(\d{1,12})(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,2}))?\Z", re.ASCII)
#: Date, time to the second; what datetime cannot hold: second 60, and digits of a second beyond six.
_ISO = re.compile(r"(\d{4}-?\d\d-?\d\d.\d\d:?\d\d:?)(\d\d)(?:[.,](\d+))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_from_ns(time_ns: int) -> str:
    """ISO 8601 UTC with ``Z`` and milliseconds, rounded down: ``2026-11-24T12:00:00.000Z``."""
    minute, ns = divmod(time_ns, 60 * NS)
    day, minute = divmod(minute, 1440)
    return _day(day) + _minute(minute) + (_WHOLE_SECONDS.get(ns) or f"{ns // NS:02d}.{ns // 1_000_000 % 1000:03d}Z")


_WHOLE_SECONDS = {s * NS: f"{s:02d}.000Z" for s in range(60)}


# of many times that are told most are of a few days
@functools.lru_cache(maxsize=4096)
def _day(day: int) -> str:
    """The date of a day since 1970 as far as a time of that day goes on from it."""
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%dT")


@functools.lru_cache(maxsize=1440)
def _minute(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}:"


def ns_from_datetime(stamp: datetime) -> int:
    """Nanoseconds UTC of an aware datetime; exact to the microsecond.

    Raises:
        ValueError: the datetime is naive.
    """
    if stamp.tzinfo is None:
        raise ValueError("a time without an offset")
    delta = stamp - _EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def ns_from_text(text: str) -> int:
    """Nanoseconds UTC from ISO 8601 with an offset (``Z``, ``+02:00``) or POSIX seconds as text; below 1 ns it is cut.

    A leap second (``23:59:60Z``) is the first second of the next day, as in POSIX time.

    Raises:
        ValueError: neither form, a time with no zone, or one that 64 bits of nanoseconds do not hold (1678 to 2261).
    """
    text = text.strip()
    time_ns = _ns_from_text(text)
    if not -(2**63) <= time_ns < 2**63:
        raise ValueError(f"{text!r} is beyond the years 1678 to 2261")
    return time_ns


def _ns_from_text(text: str) -> int:
    if is_seconds(text):
        return ns_from_seconds_text(text)
    found = _ISO.match(text)
    leap = found is not None and found[2] == "60"
    plain = f"{found[1]}59{text[found.end(2):]}" if found is not None and leap else text
    try:
        stamp = datetime.fromisoformat(plain[:-1] + "Z" if plain.endswith("z") else plain)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is neither ISO 8601 with an offset nor POSIX seconds") from None
    if stamp.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: write Z or +hh:mm")
    time_ns = ns_from_datetime(stamp)
    if found is not None:
        time_ns += int(((found[3] or "") + "000000000")[6:9])
    if leap:
        # POSIX time has no second 60: it is the first of the next day
        time_ns += NS
        if time_ns // NS % 86_400:
            raise ValueError(f"{text[:40]!r}: a second 60 is only at the end of a day UTC")
    return time_ns


def is_seconds(text: str) -> bool:
    """Whether a time is written as POSIX seconds; else it is ISO 8601, or no time."""
    return _SECONDS.match(text.strip()) is not None


def ns_from_seconds_text(text: str) -> int:
    """Nanoseconds from decimal POSIX seconds, also ``1.4526e+09``, without a detour through a float (below 1 ns it is cut).

    Raises:
        ValueError: it is no such number.
    """
    found = _SECONDS.match(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is neither ISO 8601 with an offset nor POSIX seconds")
    sign, whole, fraction, power = found[1], found[2] or "0", found[3] or found[4] or "", int(found[5] or 0)
    fraction = fraction[:120]  # no power makes more of them count
    shift = 9 + power - len(fraction)
    value: int = int(whole + fraction)
    value = value * 10**shift if shift >= 0 else value // 10**-shift
    return -value if sign == "-" else value
