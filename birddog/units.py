"""Conversions between the units that devices speak and the ones that Birddog keeps.

Inside Birddog: metres, metres per second, degrees, integer nanoseconds UTC, one sigma per axis.
"""

from __future__ import annotations

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

_SECONDS = re.compile(r"([+-]?)(\d{1,12})(?:\.(\d*))?\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_from_ns(time_ns: int) -> str:
    """ISO 8601 UTC with ``Z`` and milliseconds, rounded down: ``2026-11-24T12:00:00.000Z``."""
    whole_ms = time_ns // 1_000_000
    stamp = _EPOCH + timedelta(milliseconds=whole_ms)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole_ms % 1000:03d}Z"


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
    """Nanoseconds UTC from ISO 8601 with an offset (``Z``, ``+02:00``) or POSIX seconds as text.

    Raises:
        ValueError: neither form, a time with no zone, or one that 64 bits of nanoseconds do not hold (1678 to 2261).
    """
    text = text.strip()
    time_ns = _ns_from_text(text)
    if not -(2**63) <= time_ns < 2**63:
        raise ValueError(f"{text!r} is beyond the years 1678 to 2261")
    return time_ns


def _ns_from_text(text: str) -> int:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        stamp = None
    if stamp is not None and not text.replace(".", "", 1).lstrip("+-").isdigit():
        if stamp.tzinfo is None:
            raise ValueError(f"{text!r} has no offset: write Z or +hh:mm")
        return ns_from_datetime(stamp)
    return ns_from_seconds_text(text)


def ns_from_seconds_text(text: str) -> int:
    """Nanoseconds from decimal POSIX seconds, without a detour through a float (exact to 1 ns)."""
    found = _SECONDS.match(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is neither ISO 8601 with an offset nor POSIX seconds")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    return (-1 if sign == "-" else 1) * (int(whole) * NS + int((fraction + "000000000")[:9]))
