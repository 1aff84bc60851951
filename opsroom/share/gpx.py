"""GPX 1.1 (topografix.com/GPX/1/1): one ``<trk>`` a track, a time at each point; accuracy, speed and course as an
extension, and what each was validated to as another."""

from __future__ import annotations

from collections.abc import Iterator

from opsroom.exports import Sheet, degrees, figures, name_of, xml_text

MEDIA_TYPE = "application/gpx+xml"
EXTENSION = "gpx"


def encode(sheet: Sheet) -> Iterator[str]:
    """The document, a track at a time."""
    yield ('<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Birddog" xmlns="http://www.topografix.com/GPX/1/1"'
           ' xmlns:bd="urn:birddog:gpx:1">\n')
    for line in sheet.lines():
        track = line.track
        name = f"EXERCISE {name_of(track)}" if sheet.exercise else name_of(track)
        words = [f"<trk><name>{xml_text(name)}</name><src>{xml_text(track.track_id)}</src><trkseg>\n"]
        for point, worth in zip(line.points, line.worths, strict=True):
            f = figures(point)
            validated = "".join(f' {quantity}="{said}"' for quantity, said in worth.words.items())
            words.append(
                f'<trkpt lat="{degrees(f.lat_deg)}" lon="{degrees(f.lon_deg)}"><time>{f.time}</time><extensions>'
                f'<bd:point origin="{point.origin}" p_ee="{f.p_ee}" p_en="{f.p_en}" p_nn="{f.p_nn}" speed_mps="{f.speed_mps}"'
                f' course_deg="{f.course_deg}"/><bd:validated{validated}/></extensions></trkpt>\n')
        words.append("</trkseg></trk>\n")
        yield "".join(words)
    yield "</gpx>\n"
