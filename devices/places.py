"""A position that is stated, and what its sender says of how good it is: unknown accuracy is not good accuracy.

Whoever does not know how good a position is says so in many ways, and none of them is "very good": an accuracy of 0, of
less, of a billion, as a word.  Such a fix has no sigma and the flag ``low_quality``; the tracker then takes it for 500 m, not
for what a receiver of its class usually does.  So has a position that looks made: one coordinate of exactly 0 (what a field
that was never written holds: TheThingsNetwork/lorawan-devices#331, longitude 0 for everybody in Kiel), or both the same
number (dragino/LGT-92_-LoRa_GPS_Tracker#26: 24.35, 24.35), as measurements do once in a million.
"""

from __future__ import annotations

from typing import Any

from birddog.units import R68_PER_SIGMA
from devices.strict_json import number

#: An accuracy of more is none (a tenth of the Earth's girth).
MOST_ACCURACY_M = 4_000_000.0
LOW_QUALITY = ("low_quality",)


def accuracy(value: Any) -> tuple[float | None, tuple[str, ...]]:
    """(sigma, flags) of a stated accuracy, a 68 % radius in m; None says nothing, as if the field were not there."""
    if value is None:
        return None, ()
    metres = number(value)
    if metres is None or not 0.0 < metres <= MOST_ACCURACY_M:
        return None, LOW_QUALITY
    return metres / R68_PER_SIGMA, ()


def doubtful(lat_deg: float, lon_deg: float) -> bool:
    """Whether a position looks made: one coordinate is exactly 0, or both are the same number."""
    return lat_deg == 0.0 or lon_deg == 0.0 or lat_deg == lon_deg
