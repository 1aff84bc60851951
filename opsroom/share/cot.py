"""Cursor on Target 2.0 (MITRE MP090284; the base schema Event-PUBLIC.xsd): one event a point, or one for where a track is now.

``uid`` stays the same for the life of a track.  ``ce`` is one sigma in metres, as the base schema says ("the one sigma point
for a zero mean normal distribution"), of the longer axis; what is not known is 9999999.0, never 0.  ``how`` is ``m-f``, a
fused estimate.  Nothing names a case, a device or a person: others' servers keep what they are sent for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from birddog.geo import ellipse
from birddog.model import Track, TrackPoint
from birddog.units import NS, iso_from_ns
from birddog.validated import Worth
from opsroom.exports import Sheet, alias_of, degrees, figures, xml_text

MEDIA_TYPE = "application/xml"
EXTENSION = "cot.xml"

UNKNOWN = "9999999.0"
#: An event is old after so long, unless another comes.
STALE_NS = 300 * NS
_KIND = {"vessel": "a-u-S", "aircraft": "a-u-A"}


def encode(sheet: Sheet) -> Iterator[str]:
    """All events, a line each, in one element, so that the file is a document."""
    yield "<events>\n"
    for line in sheet.lines():
        yield "".join(event(line.track, point, sheet.journal, worth, exercise=sheet.exercise) + "\n"
                      for point, worth in zip(line.points, line.worths, strict=True))
    yield "</events>\n"


def event(track: Track, point: TrackPoint | Track, journal: str, worth: Worth, *, exercise: bool, gone: bool = False) -> str:
    """One event, without a line break in it.

    Args:
        point: a point of the track, or the track itself, for where it is now.
        journal: what makes the uid unique beyond the journal.
        worth: what is said of its values: in the remarks, without the model, which is none of a partner's business.
        gone: the track has ended: stale lies before start, which makes clients remove it.
    """
    f = figures(point)
    sigma_m = max(ellipse(f.p_ee, f.p_en, f.p_nn, 1.0)[0], 0.1)
    stale = iso_from_ns(point.time_ns - NS if gone else point.time_ns + STALE_NS)
    words = [] if point is not track else [
        {"silent": "silent: its reports have stopped", "coasting": "predicted: no report for a while"}.get(track.status, "")]
    said = [f"{quantity} {words}" for quantity, words in worth.words.items()]
    remarks = "; ".join(word for word in (*(["EXERCISE"] if exercise else []), *words, *said) if word)
    return (
        f'<event version="2.0" uid="birddog.{xml_text(journal)}.{xml_text(track.track_id)}" '
        f'type="{_KIND.get(track.klass, "a-u-G")}" '
        + ('opex="e-EXERCISE" ' if exercise else "")
        + f'how="m-f" time="{f.time}" start="{f.time}" stale="{stale}">'
        f'<point lat="{degrees(f.lat_deg)}" lon="{degrees(f.lon_deg)}" hae="{UNKNOWN}" ce="{sigma_m:.1f}" le="{UNKNOWN}"/>'
        f'<detail><contact callsign="{xml_text(alias_of(track))}"/><track course="{f.course_deg}" speed="{f.speed_mps}"/>'
        f"<remarks>{xml_text(remarks)}</remarks></detail></event>"
    )
