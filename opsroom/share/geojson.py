"""GeoJSON (RFC 7946): a FeatureCollection with a Point for each point, so that every program reads time and accuracy of it.

What each value was validated to stands with it; why, by model, as a member at the end (section 6.1, foreign members).
A line would have to be cut at the date line (3.1.9) and could carry no accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from opsroom.exports import Sheet, figures, name_of

MEDIA_TYPE = "application/geo+json"
EXTENSION = "geojson"

_encode = msgspec.json.Encoder().encode


def encode(sheet: Sheet) -> Iterator[str]:
    """The collection, a feature a line."""
    yield f'{{"type":"FeatureCollection","exercise":{"true" if sheet.exercise else "false"},"features":['
    lead = "\n"
    for line in sheet.lines():
        track, found = line.track, []
        who = {"track_id": track.track_id, "name": name_of(track), "operation": track.operation, "class": track.klass}
        for point, worth in zip(line.points, line.worths, strict=True):
            f = figures(point)
            said = msgspec.structs.asdict(f)
            del said["lat_deg"], said["lon_deg"]
            found.append(lead + _encode({
                "type": "Feature", "geometry": {"type": "Point", "coordinates": [f.lon_deg, f.lat_deg]},
                "properties": {**who, **said, "origin": point.origin, "validated": worth.words},
            }).decode())  # fmt: skip
            lead = ",\n"
        yield "".join(found)
    yield f'\n],"validated":{_encode(sheet.reasons()).decode()}}}\n'
