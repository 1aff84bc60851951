"""What leaves Birddog in other people's formats: the registry of exports, and what each is given.

An export is ``opsroom/share/NAME.py`` with ``MEDIA_TYPE``, ``EXTENSION`` and ``encode(sheet)``; a module named ``mf_json`` is
the format ``mf-json``.  Each gets the same ``Sheet``: the same tracks in the same order and of each the same points, so that
two formats never tell two stories.  ``tests/conformance/test_exports.py`` holds every one of them to it.

A point is what was believed when a measurement had been taken in.  Of one track and time there is one: the newest belief.
Predictions (``coast``) are left out unless they are asked for, since most formats have no way to say that they are none.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import msgspec

from birddog import geo
from birddog.directory import Directory
from birddog.errors import UsageError
from birddog.model import Entry, Track, TrackPoint
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated, Worth
from opsroom.picture_view import View

_FOLDER = Path(__file__).with_name("share")
#: Times are published in milliseconds: two points that a reader could not tell apart are one.
_MS = 1_000_000
# what XML 1.0 (section 2.2) cannot hold, escaped or not
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Line(msgspec.Struct, frozen=True):
    """One track and its points, oldest first, no two of one time, and what is said of each: validated to what, or not."""

    track: Track
    points: list[TrackPoint]
    worths: list[Worth]


class Sheet:
    """What is exported.

    Args:
        view: the picture as whoever asks may see it.
        journal: a short name of the journal that no other has, for names that must be unique beyond it.
        made_ns: the journal's own time at its newest entry.
        exercise: the journal is an exercise's; a format that can say so does.
        operation, track_id: only this operation's tracks, only this track.
        from_ns, to_ns: only points of this time, half open.
        coast: predictions too.
        validated: what each device's values are worth.
    """

    def __init__(self, view: View, journal: str, *, made_ns: int, exercise: bool, operation: str | None = None,
                 track_id: str | None = None, from_ns: int | None = None, to_ns: int | None = None, coast: bool = False,
                 validated: Validated | None = None):
        self._validated = Validated(Directory()) if validated is None else validated
        self._view, self.journal, self.made_ns, self.exercise = view, journal, made_ns, exercise
        self._operation, self._track_id, self._from_ns, self._to_ns, self._coast = operation, track_id, from_ns, to_ns, coast

    def lines(self) -> Iterator[Line]:
        """The tracks that have a point, in the order in which they began; one at a time is in memory."""
        tracks = [track for _, track in self._view.tracks()
                  if self._operation in (None, track.operation) and self._track_id in (None, track.track_id)]
        for track in sorted(tracks, key=lambda t: (t.first_ns, len(t.track_id), t.track_id)):
            points: list[TrackPoint] = []
            worths: list[Worth] = []
            since_ns = -(2**62) if self._from_ns is None else self._from_ns
            newest_ns = None if self._from_ns is None else self._view.measured_before(track.track_id, since_ns)
            before_ns: int | None = None
            for point in self._view.points(track.track_id, since_ns=since_ns):
                if self._to_ns is not None and point.time_ns >= self._to_ns:
                    break
                if point.origin == "coast" and not self._coast:
                    continue
                if point.origin != "coast" and point.time_ns != newest_ns:
                    before_ns, newest_ns = newest_ns, point.time_ns
                worth = self._validated.step(point, before_ns)
                if points and points[-1].time_ns // _MS == point.time_ns // _MS:
                    points[-1], worths[-1] = point, worth
                else:
                    points.append(point)
                    worths.append(worth)
            if points:
                yield Line(track, points, worths)

    def reasons(self) -> list[dict[str, str]]:
        """Why, by model and in full, of what the ``lines`` so far have said."""
        return [{"model": worth.model} | {q: f"{worth.words[q]}: {worth.why[q]}" for q in UNITS}
                for worth in self._validated.models()]


class Entries(Protocol):
    """A journal, as far as its name is asked for."""

    def read(self, after: int, limit: int = 1000) -> list[Entry]: ...


def journal_name(journal: Entries) -> str:
    """A short name that no other journal has: of the moment of its first entry, which stays when that is erased."""
    first = journal.read(0, 1)
    return hashlib.sha256(b"%d %s" % (first[0].received_ns, first[0].kind.encode())).hexdigest()[:12] if first else "empty"


class Export(Protocol):
    """What a module of ``opsroom.share`` holds."""

    #: As in a Content-Type header.
    MEDIA_TYPE: str
    #: Of a file of it, without the dot.
    EXTENSION: str

    @staticmethod
    def encode(sheet: Sheet) -> Iterator[str]:
        """The text, piece by piece."""
        ...


def names() -> list[str]:
    """The formats there are, sorted."""
    return sorted(path.stem.replace("_", "-") for path in _FOLDER.glob("*.py") if path.stem != "__init__")


def load(name: str) -> Export:
    """The export of a format.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in names():
        raise UsageError(f"wants one of {', '.join(names())}, not {name!r}", field="--format")
    return cast(Export, importlib.import_module("opsroom.share." + name.replace("-", "_")))


# --- what several formats need -----------------------------------------------------------------------------


class Figures(msgspec.Struct, frozen=True):
    """A point's figures as they are published: 1e-7 degree, 1e-3 m/s, covariance to six digits."""

    time: str
    lat_deg: float
    lon_deg: float
    speed_mps: float
    course_deg: float
    ve_mps: float
    vn_mps: float
    p_ee: float
    p_en: float
    p_nn: float


def figures(point: TrackPoint | Track) -> Figures:
    """The published figures of a point, or of where a track is now."""
    speed, course = geo.speed_course(point.ve_mps, point.vn_mps)
    return Figures(iso_from_ns(point.time_ns), round(point.lat_deg, 7), round(point.lon_deg, 7), speed, course,
                   round(point.ve_mps, 3), round(point.vn_mps, 3), point.p_ee, point.p_en, point.p_nn)


def name_of(track: Track) -> str:
    """What a track is called among ourselves: its name, else its id."""
    return track.name or track.track_id


def alias_of(track: Track) -> str:
    """What a track is called to others: never anything that holds its operation's name or a device's identity."""
    name = track.name.casefold()
    secret = (track.operation, track.tag_id, *track.identities)
    if not name or _LONG_NUMBER.search(name) or any(w and (w.casefold() in name or name in w.casefold()) for w in secret):
        return track.track_id
    return track.name


#: An IMEI, an MMSI, a phone's number: whatever it is, it is none of a partner's business.
_LONG_NUMBER = re.compile(r"\d{7,}", re.ASCII)


def xml_text(text: str) -> str:
    """A text inside XML, or inside double quotes there; what XML cannot hold becomes U+FFFD."""
    found = _NOT_XML.sub("\ufffd", text)
    return found.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def degrees(value: float) -> str:
    """Degrees to seven places, rounded, never in exponent form."""
    text = f"{value:.7f}"
    return "0.0000000" if text == "-0.0000000" else text
