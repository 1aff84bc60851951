"""Tables of positions that archives, loggers and people write: what their columns mean, and in which zone their times are.

Names are compared without case and punctuation (``BaseDateTime`` = ``base_date_time``, ``# Timestamp`` = ``timestamp``);
columns are separated by comma, semicolon or tab, whichever gives the header a meaning.  A time without a zone is refused, but
for those archives whose own words fix it, by this table::

    archive                          known by                      its times              its words
    MarineCadastre (NOAA),           BaseDateTime,                 2023-01-01T00:00:00    AIS Data Dictionary, "BaseDateTime:
      to 2024 and since 2025           base_date_time              UTC                    Full UTC date and time"
    Danish Maritime Authority        # Timestamp, MMSI,            31/12/2015 23:59:59    column list of web.ais.dk:
      (aisdk-*.csv)                    Type of mobile              UTC                    "Timestamp from the AIS basestation",
                                                                                          which keeps UTC (ITU-R M.1371-5,
                                                                                          annex 2, 3.1.1)
    Statsat, Kystverket              date_time_utc                 as the name says       zenodo.org/records/7415840
    AISHub (CSV of its API)          TSTAMP, MMSI, NAVSTAT         2023-01-01 00:00:00 GMT, as it says
    MarineTraffic (PS07 exports)     MMSI, SHIP_ID or DSRC,        2017-05-19T09:39:57    "TIMESTAMP: date and time (in UTC)",
                                       TIMESTAMP                   UTC                    "SPEED: in knots x10"
    any                              a name with utc in it, or a   as it says
                                       time that ends in UTC, GMT
    GPSLogger (mendhak, Android)     elevation, bearing,           2019-09-14T11:32:04Z   its CSV files; speed in m/s,
                                       provider                                           accuracy: Android's 68 % radius in m

Values that are none, by the same archives: speed 102.3 kn and course 360.0 of AIS (ITU-R M.1371-5, table 48: 1023, 3600),
latitude 91 and longitude 181 (no fix), a name of "Unknown" (Denmark), a speed below 0; a row that says itself that it is not
valid (traccar's reports: ``Valid`` FALSE; ``fix`` 0) is no fix.  ``speed`` without a unit in its name is
taken only from those above whose unit is known; else it is named in ``unread``, as is ``date`` beside a ``time`` of day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import NamedTuple

from birddog.units import KMH_MPS, KNOT_MPS, ns_from_datetime, ns_from_text

#: What AIS has for "not available", in an archive's units.
NO_SPEED_KN, NO_COURSE_DEG, NO_LAT_DEG, NO_LON_DEG = 102.3, 360.0, 91.0, 181.0
SEPARATORS = (",", ";", "\t")
#: What a column says -> the names that it may have, the better first.
NAMES: dict[str, tuple[str, ...]] = {
    "device": ("device", "deviceid", "id", "trackid", "mmsi", "sourcemmsi", "vessel", "vesselid", "imei"),
    "time": ("t", "time", "timestamp", "basedatetime", "tstamp", "datetimeutc", "timeutc", "timestamputc", "utctime", "utc",
             "datetime", "msgtime", "gpstime", "fixtime"),
    "lat": ("lat", "latdeg", "latitude"),
    "lon": ("lon", "londeg", "longitude", "lng", "long"),
    "knots": ("sogkn", "sog", "speedkn", "speedknots", "speedoverground"),
    "mps": ("speedmps", "speedms"),
    "kmh": ("speedkmh", "speedkmph"),
    "course": ("cogdeg", "cog", "coursedeg", "courseoverground", "bearing", "course"),
    "sigma": ("sigmam",),
    "accuracy": ("accuracy", "accuracym", "hacc", "horizontalaccuracy"),
    "alt": ("altm", "alt", "altitude", "altitudem", "elevation", "ele"),
    "name": ("name", "shipname", "vesselname"),
    "valid": ("valid", "isvalid", "fixvalid", "gpsvalid", "positionvalid", "fix"),
    "hdop": ("hdop",),
    "satellites": ("satellites", "sats", "numsats", "satellitesused"),
    "provider": ("provider",),
}
REQUIRED = ("time", "lat", "lon")
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d):(\d\d)\Z", re.ASCII)
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?\Z", re.ASCII)
_COUNT = re.compile(r"\d{12,19}\Z", re.ASCII)
_SAYS_UTC = re.compile(r"\s*(UTC|GMT)\Z", re.IGNORECASE)


class Table(NamedTuple):
    """A header that was understood.

    Args:
        places: what a column says -> its place.
        zone: "" where a time must state its zone, else that of times which do not, ``UTC``.
        ais: values that AIS has for "not available" are none.
        unread: names of columns that have a meaning and not a unit.
    """

    places: dict[str, int]
    separator: str
    zone: str
    day_first: bool
    ais: bool
    unread: tuple[str, ...]

    def time_ns(self, text: str) -> int:
        """The time of a row.

        Raises:
            ValueError: it is no time, or its zone is not known; the words quote nothing, for columns may be mixed up.
        """
        try:
            return self._time_ns(text)
        except ValueError:
            known = _NO_ZONE.match(text) is not None and not self.zone
            why = "has no zone: write Z or +hh:mm" if known else "is neither ISO 8601 with an offset nor POSIX seconds"
            raise ValueError(f"the time {why}") from None

    def _time_ns(self, text: str) -> int:
        found = _DAY_FIRST.match(text) if self.day_first else None
        if found is not None:
            day, month, year, hour, minute, second = (int(part) for part in found.groups())
            return ns_from_datetime(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
        if _COUNT.match(text) and (counted := _posix(text)):
            return counted
        text, said = _SAYS_UTC.subn("", text)
        return ns_from_text(text + "Z" if (said or self.zone) and _NO_ZONE.match(text) else text)

    def number(self, text: str) -> float | None:
        """A finite number; None where there is none.  Where a semicolon parts the columns, a comma may part the decimals."""
        if self.separator != "," and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            value = float(text) if text.isascii() and "_" not in text else None
        except ValueError:
            return None
        return value if value is not None and isfinite(value) else None


def _posix(digits: str) -> int:
    """ns of POSIX time in ms, µs or ns, as exporters in JavaScript and Java write it: the count of digits says which."""
    return int(digits) * 10 ** (6 if len(digits) <= 14 else 3 if len(digits) <= 17 else 0)


def plain(name: str) -> str:
    """A column's name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def table(split: Callable[[str], Sequence[str]]) -> tuple[Table | None, str]:
    """(what a header means, "") or (None, the column that is missing).

    Args:
        split: the header's cells, parted by a separator.
    """
    missing = ""
    for separator in SEPARATORS:
        names = [plain(cell) for cell in split(separator)]
        places: dict[str, int] = {}
        for what, known in NAMES.items():
            place = next((names.index(name) for name in known if name in names), None)
            if place is not None:
                places[what] = place
        lacking = [what for what in REQUIRED if what not in places]
        if not lacking:
            return _meant(names, places, separator), ""
        missing = missing or lacking[0]
    return None, {"time": "t or time or timestamp", "lat": "lat or latitude", "lon": "lon or longitude"}[missing]


def _meant(names: list[str], places: dict[str, int], separator: str) -> Table:
    there = set(names)
    time = names[places["time"]]
    danish = {"timestamp", "typeofmobile", "mmsi"} <= there
    logger = {"elevation", "bearing", "provider"} <= there
    traffic = {"mmsi", "timestamp", "speed"} <= there and bool({"shipid", "dsrc"} & there)
    said = {"navstatus", "navigationalstatus", "status", "navstat"} & there
    ais = danish or traffic or time == "basedatetime" or bool(said and there & {"mmsi", "sourcemmsi"})
    unread = []
    if "speed" in there and not {"knots", "mps", "kmh"} & places.keys():
        if logger:
            places["mps"] = names.index("speed")
        elif traffic:
            places["decikn"] = names.index("speed")
        else:
            unread.append("column.speed")
    if "date" in there:
        unread.append("column.date")
    zone = "UTC" if danish or traffic or time == "basedatetime" or "utc" in time else ""
    return Table(places, separator, zone, danish, ais, tuple(unread))


def says_invalid(word: str) -> bool:
    """Whether a row says of itself that it holds no fix; an empty or another word says nothing."""
    return word.strip().lower() in ("0", "false", "no", "invalid", "none", "v", "nofix", "no fix")


def speed_mps(row: dict[str, float | None]) -> float | None:
    """The speed of a row's numbers, whichever unit they are in; None where it is below 0."""
    for what, factor in (("mps", 1.0), ("knots", KNOT_MPS), ("kmh", KMH_MPS), ("decikn", KNOT_MPS / 10.0)):
        value = row.get(what)
        if value is not None:
            return value * factor if value >= 0.0 else None
    return None
