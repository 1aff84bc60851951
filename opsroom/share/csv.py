"""CSV: a row a point, columns by name (RFC 4180; times ISO 8601 UTC, WGS 84 degrees, covariance in m²).

The last four columns say of each value what it was validated to, or that it was not (docs/validation.md).
A name that a spreadsheet would take for a formula has an apostrophe in front (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from birddog.validated import UNITS
from opsroom.csv_rows import harmless
from opsroom.exports import Sheet, degrees, figures

MEDIA_TYPE = "text/csv; charset=utf-8"
EXTENSION = "csv"

COLUMNS = ("track_id", "time", "lat_deg", "lon_deg", "p_ee", "p_en", "p_nn", "ve_mps", "vn_mps", "speed_mps", "course_deg",
           "origin", "operation", "name", "tag_id", "class", *(f"{quantity}_validated" for quantity in UNITS))


def encode(sheet: Sheet) -> Iterator[str]:
    """The header, then the rows of each track."""
    yield ",".join(COLUMNS) + "\r\n"
    for line in sheet.lines():
        text = io.StringIO()
        writer = csv.writer(text)
        who = [harmless(word) for word in (line.track.operation, line.track.name, line.track.tag_id, line.track.klass)]
        for point, worth in zip(line.points, line.worths, strict=True):
            f = figures(point)
            writer.writerow((line.track.track_id, f.time, degrees(f.lat_deg), degrees(f.lon_deg), f.p_ee, f.p_en, f.p_nn,
                             f.ve_mps, f.vn_mps, f.speed_mps, f.course_deg, point.origin, *who,
                             *worth.words.values()))
        yield text.getvalue()
