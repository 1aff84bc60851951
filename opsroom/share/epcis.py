"""EPCIS 2.0 in JSON (ISO/IEC 19987:2024): an ObjectEvent a point, OBSERVE, its place a ``geo:`` URI (CBV 2.0, 8.3.3; RFC 5870).

``epcList`` holds the EPCs that were read on the track (none where it is known by other tags; the sensor element then says
what was observed).  ``u=`` of the place is one sigma of the longer axis, in metres.  A valid document by
``opsroom.epcis_rules``, which ``birddog epcis check`` asks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from birddog.geo import ellipse
from birddog.model import Track, TrackPoint
from birddog.units import iso_from_ns
from birddog.validated import Worth
from opsroom.exports import Figures, Line, Sheet, degrees, figures

MEDIA_TYPE = "application/ld+json"
EXTENSION = "jsonld"

_encode = msgspec.json.Encoder().encode
#: Names of events are made of journal, track and time (RFC 4122, 4.3), so that the same export names them the same.
_SPACE = uuid.UUID("6b1f7a52-0c0b-5f0e-9a0e-3d6a7f1f2b11")


def encode(sheet: Sheet) -> Iterator[str]:
    """The document, the events of a track at a time."""
    yield ('{"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",{"birddog":"urn:birddog:epcis:"}],'
           f'"type":"EPCISDocument","schemaVersion":"2.0","creationDate":"{iso_from_ns(sheet.made_ns)}",'
           '"epcisBody":{"eventList":[\n')
    lead = ""
    for line in sheet.lines():
        yield lead + ",\n".join(_events(sheet, line))
        lead = ",\n"
    yield "\n]}}\n"


def _events(sheet: Sheet, line: Line) -> Iterator[str]:
    epcs = sorted(name for name in line.track.identities if name.startswith("urn:epc:id:"))
    for point, worth in zip(line.points, line.worths, strict=True):
        yield _encode(_event(sheet, line.track, epcs, figures(point), point, worth)).decode()


def _event(sheet: Sheet, track: Track, epcs: list[str], f: Figures, point: TrackPoint, worth: Worth) -> dict[str, Any]:
    sigma_m = max(ellipse(f.p_ee, f.p_en, f.p_nn, 1.0)[0], 0.1)
    return {
        "type": "ObjectEvent", "eventID": f"urn:uuid:{uuid.uuid5(_SPACE, f'{sheet.journal} {track.track_id} {f.time}')}",
        "action": "OBSERVE", "bizStep": "sensor_reporting", "eventTime": f.time, "eventTimeZoneOffset": "+00:00",
        "epcList": epcs,
        "readPoint": {"id": f"geo:{degrees(f.lat_deg)},{degrees(f.lon_deg)};u={sigma_m:.1f}"},
        "sensorElementList": [{"sensorMetadata": {"time": f.time},
                               "sensorReport": [{"type": "Speed", "value": f.speed_mps, "uom": "MTS"},
                                                {"type": "Angle", "value": f.course_deg, "uom": "DD"}]}],
        "birddog:track": track.track_id, "birddog:origin": point.origin, "birddog:exercise": sheet.exercise,
        **{f"birddog:{quantity}Validated": said for quantity, said in worth.words.items()},
    }  # fmt: skip
