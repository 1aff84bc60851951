"""Which passive tags of an operation were read together (``company``): whom to ask of a track, and what its row says then.

What is kept here follows from the tracks alone, so that a fold that was restored has the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import msgspec

from birddog.model import Track
from tracking import company
from tracking.anchor import near_en
from tracking.company import Company, Place, Readers, Tag
from tracking.crowd import Crowd
from tracking.either import SAME_D2
from tracking.measurement import Measurement
from tracking.step import BOTH_M, Model, weighed
from tracking.track_state import LiveTrack


class Tracks(Protocol):
    """What is needed of an operation's identified tracks (``tracking.tracker.Tracker``)."""

    tracks: dict[str, LiveTrack]
    by_key: dict[str, LiveTrack]

    def model(self, live: LiveTrack) -> Model:
        """How a track moves."""

    def quiet_s(self, live: LiveTrack) -> float:
        """Not heard for longer, it may have stopped."""


class Companions:
    """The passive tags of one operation."""

    def __init__(self, tracker: Tracks):
        self._tracker = tracker
        self._readers = Readers()
        #: The passive tags that looks showed, by reader, of the contacts that were asked last.
        self._carried: tuple[Crowd | None, dict[str, list[LiveTrack]]] = (None, {})

    def change(self, live: LiveTrack, old: list[company.Pass], new: list[company.Pass]) -> None:
        """The passes of a track are others; of one that begins or ends there were, or are, none."""
        if old or new:
            self._readers.change(live.state.key, old, new)
            self._carried = (None, {})

    def read(self, live: LiveTrack, m: Measurement, crowd: Crowd) -> Measurement:
        """A reader heard a track's tag: the read, which decides where it is if it may be elsewhere than what looks carry."""
        s, model = live.state, self._tracker.model(live)
        found, core = self.of(live, m.time_ns, crowd), live.core_at(m.time_ns, model)
        old, s.passes = s.passes, company.with_read(s.passes, m)
        self.change(live, old, s.passes)
        if found is None or core is None:
            return m
        worth = weighed(core, m, model)
        return m if worth is not None and worth.nis <= model.preset.gate else msgspec.structs.replace(m, here=True)

    def of(self, live: LiveTrack, time_ns: int, crowd: Crowd) -> Company | None:
        """Where a passive tag is at a time by those that were read beside it; None: as its own filter has it.

        Args:
            crowd: the contacts by then.
        """
        mine = _tag(live, time_ns, crowd)
        if mine is None:
            return None
        last = mine.passes[-1]
        some = self._shown(crowd).get(last.reader, ())
        others = _tags(live, (*some, *self._about(last.reader, last.last_ns, company.ASKED)), time_ns, crowd)
        if not others:
            return None
        gap_s = min((gap_s for _, gap_s in crowd.looked.values() if gap_s > 0.0), default=0.0)
        return company.company(mine, others, crowd.halts, crowd.two, time_ns, gap_s)

    def shown_ns(self, live: LiveTrack, time_ns: int, crowd: Crowd) -> int:
        """When, up to its last read, a look last showed something that readers heard together with a passive tag: what looks
        showed of that they may have shown of the tag; 0: never.
        """
        mine = _tag(live, time_ns, crowd)
        if mine is None:
            return 0
        shown = self._shown(crowd)
        some = [one for reader in dict.fromkeys(a.reader for a in mine.passes) for one in shown.get(reader, ())]
        tags = _tags(live, some, time_ns, crowd)
        return min(mine.passes[-1].first_ns, max((tag.seen_ns for tag in tags if company.met(mine, tag)), default=0))

    def rides_on(self, live: LiveTrack, crowd: Crowd) -> str:
        """The passive tag's track on whose carrier a passive tag is for sure, by now; empty where there is none."""
        found = self.of(live, max(live.state.contact_ns, crowd.t_ns), crowd)
        return "" if found is None or found.rides_on == live.state.track_id else found.rides_on

    def along(self, changed: list[LiveTrack], time_ns: int, crowd: Crowd) -> list[LiveTrack]:
        """Tracks of which a look changed the filter, and those whose rows follow them."""
        found = {live.state.track_id: live for live in changed}
        for live in changed:
            for a in () if live.state.reports else live.state.passes:
                for one in self._about(a.reader, a.last_ns, company.SHOWN):
                    if one.state.track_id not in found and self.of(one, time_ns, crowd) is not None:
                        found[one.state.track_id] = one
        return list(found.values())

    def told(self, row: Track, live: LiveTrack, crowd: Crowd) -> Track:
        """A track's row as its company has it."""
        found = self.of(live, row.time_ns, crowd)
        if found is None:
            return row
        return _told(row, found, self._row(row, found.at), None if found.may is None else self._row(row, found.may))

    def _row(self, row: Track, place: Place) -> Track | None:
        if not place.track_id or place.track_id == row.track_id:
            return row if place.track_id else None
        other = self._tracker.tracks[place.track_id]
        return other.row(row.time_ns, self._tracker.model(other), {}, self._tracker.quiet_s)

    def _about(self, reader: str, time_ns: int, most: int) -> list[LiveTrack]:
        some = (self._tracker.by_key.get(key) for key in self._readers.about(reader, time_ns, most))
        return [one for one in some if one is not None]

    def _shown(self, crowd: Crowd) -> dict[str, list[LiveTrack]]:
        """The passive tags that looks showed, by the readers that heard them."""
        if self._carried[0] is not crowd:
            carried: dict[str, list[LiveTrack]] = {}
            for one in (self._tracker.tracks.get(track_id) for track_id in crowd.seen):
                if one is not None and not one.state.reports:
                    for reader in dict.fromkeys(a.reader for a in one.state.passes):
                        carried.setdefault(reader, []).append(one)
            self._carried = crowd, carried
        return self._carried[1]


def _tag(live: LiveTrack, time_ns: int, crowd: Crowd) -> Tag | None:
    """A passive tag at a time; None: it was not read by then, or reports by itself."""
    s = live.state
    passes = [] if s.reports else company.by_then(s.passes, time_ns)
    return Tag(s.track_id, passes, crowd.seen.get(s.track_id, 0)) if passes else None


def _tags(mine: LiveTrack, some: Iterable[LiveTrack], time_ns: int, crowd: Crowd) -> list[Tag]:
    """Those of some tracks that are passive tags, each once, without one."""
    each = {one.state.track_id: one for one in some if one is not mine}
    return [tag for one in each.values() if (tag := _tag(one, time_ns, crowd)) is not None]


def _told(row: Track, found: Company, at: Track | None, may: Track | None) -> Track:
    """A tag's row as its company has it.

    Args:
        at, may: the rows of the tracks with which it goes, or may go; None: where those are no tracks.
    """
    if at is None:
        p = max(found.at.r, row.p_ee, row.p_nn) if found.may is None else found.at.r
        row = msgspec.structs.replace(
            row, lat_deg=found.at.lat_deg, lon_deg=found.at.lon_deg, ve_mps=0.0, vn_mps=0.0, p_ee=p, p_en=0.0, p_nn=p
        )
    elif at is not row:
        row = msgspec.structs.replace(
            row, lat_deg=at.lat_deg, lon_deg=at.lon_deg, ve_mps=at.ve_mps, vn_mps=at.vn_mps, p_ee=at.p_ee, p_en=at.p_en,
            p_nn=at.p_nn, p_v_ee=at.p_v_ee, p_v_en=at.p_v_en, p_v_nn=at.p_v_nn, moved_ns=at.moved_ns,
        )  # fmt: skip
        if found.may is None:
            row = msgspec.structs.replace(row, updated_ns=at.updated_ns, status=at.status, lapses_ns=at.lapses_ns)
    if found.may is None:
        return row
    place, name = found.may, found.may.name
    if may is not None:
        place, name = Place(may.track_id, "", may.lat_deg, may.lon_deg, max(may.p_ee, may.p_nn)), may.tag_id
    return _both(row, place, name)


def _both(row: Track, place: Place, name: str) -> Track:
    """A row with a second place: its ellipse is that of both, even odds, about the first."""
    en = near_en(row.lat_deg, row.lon_deg, place.lat_deg, place.lon_deg)
    if en is None:
        return row
    (e, n), det = en, row.p_ee * row.p_nn - row.p_en * row.p_en
    if row.p_nn * e * e - 2.0 * row.p_en * e * n + row.p_ee * n * n <= SAME_D2 * det:
        return row
    row = msgspec.structs.replace(
        row, rival_lat_deg=place.lat_deg, rival_lon_deg=place.lon_deg, rival_hits=0, rival_device=name
    )
    if math.hypot(e, n) > BOTH_M:
        return row
    return msgspec.structs.replace(
        row, p_ee=(row.p_ee + place.r + e * e) / 2.0, p_en=(row.p_en + e * n) / 2.0, p_nn=(row.p_nn + place.r + n * n) / 2.0
    )
