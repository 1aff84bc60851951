"""OGC Moving Features JSON (OGC 19-045r3): a MovingPoint a track, its speed, course and covariance as temporal
properties, and what each value was validated to as texts beside them.

Section 7.2.2 (temporalGeometry), 7.2.3 (temporalProperties): times grow strictly and are as many as the coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from birddog.validated import UNITS
from opsroom.exports import Sheet, figures, name_of

MEDIA_TYPE = "application/json"
EXTENSION = "mf.json"

_encode = msgspec.json.Encoder().encode
#: (name, unit by UN/CEFACT's common code or UCUM, field)
_MEASURES = (("speed", "MTS", "speed_mps"), ("course", "DD", "course_deg"), ("p_ee", "MTK", "p_ee"), ("p_en", "MTK", "p_en"),
             ("p_nn", "MTK", "p_nn"))


def encode(sheet: Sheet) -> Iterator[str]:
    """The collection, a feature (a track) a line."""
    yield ('{"type":"FeatureCollection","crs":{"type":"Name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},'
           '"trs":{"type":"Name","properties":{"name":"urn:ogc:data:time:iso8601"}},"features":[')
    lead = "\n"
    for line in sheet.lines():
        track, found = line.track, [figures(point) for point in line.points]
        times = [f.time for f in found]
        measures = {name: {"type": "Measure", "form": unit, "interpolation": "Linear" if name != "course" else "Discrete",
                           "values": [getattr(f, field) for f in found]} for name, unit, field in _MEASURES}
        worths = [worth.words for worth in line.worths]
        validated = {f"{quantity}_validated": {"type": "Text", "interpolation": "Discrete",
                                               "values": [worth[quantity] for worth in worths]} for quantity in UNITS}
        yield lead + _encode({
            "type": "Feature", "id": track.track_id,
            "temporalGeometry": {"type": "MovingPoint", "datetimes": times, "interpolation": "Linear",
                                 "coordinates": [[f.lon_deg, f.lat_deg] for f in found]},
            "temporalProperties": [{"datetimes": times, **measures, **validated}],
            "properties": {"track_id": track.track_id, "name": name_of(track), "operation": track.operation,
                           "class": track.klass, "exercise": sheet.exercise},
        }).decode()  # fmt: skip
        lead = ",\n"
    yield f'\n],"validated":{_encode(sheet.reasons()).decode()}}}\n'
