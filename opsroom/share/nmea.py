"""NMEA 0183: one RMC a point, CR LF, at most 82 characters (section 5.3); a prediction has the mode ``E`` (estimated).

The sentence has no room for whose point it is: tracks come one after another, in the order of the other formats; ask for one
track to give a chart plotter one ship.
"""

from __future__ import annotations

from collections.abc import Iterator

from opsroom.exports import Figures, Sheet, figures

MEDIA_TYPE = "text/plain; charset=us-ascii"
EXTENSION = "nmea"

_KNOT_MPS = 1852.0 / 3600.0


def encode(sheet: Sheet) -> Iterator[str]:
    """The sentences, a track at a time."""
    for line in sheet.lines():
        yield "".join(sentence(figures(point), "E" if point.origin == "coast" else "A") for point in line.points)


def sentence(f: Figures, mode: str) -> str:
    """``$GPRMC,hhmmss.sss,A,llll.lllll,a,yyyyy.yyyyy,a,knots,course,ddmmyy,,,mode*hh``."""
    day, clock = f.time[:10], f.time[11:23].replace(":", "")
    body = (
        f"GPRMC,{clock},A,{_minutes(f.lat_deg, 2)},{'N' if f.lat_deg >= 0 else 'S'},"
        f"{_minutes(f.lon_deg, 3)},{'E' if f.lon_deg >= 0 else 'W'},{f.speed_mps / _KNOT_MPS:.2f},{f.course_deg:.1f},"
        f"{day[8:]}{day[5:7]}{day[2:4]},,,{mode}"
    )
    check = 0
    for c in body:
        check ^= ord(c)
    return f"${body}*{check:02X}\r\n"


def _minutes(degrees: float, width: int) -> str:
    """Degrees and minutes to 1e-6 minute; rounded as a whole, so that 59.9999999 minutes are the next degree."""
    whole, millionths = divmod(round(abs(degrees) * 60_000_000), 60_000_000)
    return f"{whole:0{width}d}{millionths // 1_000_000:02d}.{millionths % 1_000_000:06d}"
