"""KML 2.2 with Google's track extension (developers.google.com/kml/documentation/kmlreference#gxtrack): a Placemark a track.

``<when>`` and ``<gx:coord>`` come in pairs, lon lat alt; one sigma (m, the longer axis) stands as extended data of each point,
and so does what its values were validated to.
"""

from __future__ import annotations

from collections.abc import Iterator

from birddog.geo import ellipse
from birddog.validated import UNITS
from opsroom.exports import Sheet, degrees, figures, name_of, xml_text

MEDIA_TYPE = "application/vnd.google-earth.kml+xml"
EXTENSION = "kml"


def encode(sheet: Sheet) -> Iterator[str]:
    """The document, a track at a time."""
    title = "Birddog EXERCISE" if sheet.exercise else "Birddog"
    yield ('<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2" '
           f'xmlns:gx="http://www.google.com/kml/ext/2.2"><Document><name>{title}</name>\n'
           '<Schema id="point"><gx:SimpleArrayField name="sigma_m" type="float"/><gx:SimpleArrayField name="speed_mps" '
           'type="float"/>' + "".join(f'<gx:SimpleArrayField name="{quantity}_validated" type="string"/>' for quantity in UNITS)
           + "</Schema>\n")
    for line in sheet.lines():
        found = [figures(point) for point in line.points]
        worths = [worth.words for worth in line.worths]
        sigmas = [round(ellipse(f.p_ee, f.p_en, f.p_nn, 1.0)[0], 2) for f in found]
        yield "".join([
            f'<Placemark id="{xml_text(line.track.track_id)}"><name>{xml_text(name_of(line.track))}</name><gx:Track>'
            "<altitudeMode>clampToGround</altitudeMode>\n",
            *(f"<when>{f.time}</when>\n" for f in found),
            *(f"<gx:coord>{degrees(f.lon_deg)} {degrees(f.lat_deg)} 0</gx:coord>\n" for f in found),
            '<ExtendedData><SchemaData schemaUrl="#point"><gx:SimpleArrayData name="sigma_m">',
            *(f"<gx:value>{sigma}</gx:value>" for sigma in sigmas),
            '</gx:SimpleArrayData><gx:SimpleArrayData name="speed_mps">',
            *(f"<gx:value>{f.speed_mps}</gx:value>" for f in found),
            "</gx:SimpleArrayData>",
            *(f'<gx:SimpleArrayData name="{quantity}_validated">'
              + "".join(f"<gx:value>{worth[quantity]}</gx:value>" for worth in worths) + "</gx:SimpleArrayData>"
              for quantity in UNITS),
            "</SchemaData></ExtendedData></gx:Track></Placemark>\n",
        ])  # fmt: skip
    yield "</Document></kml>\n"
