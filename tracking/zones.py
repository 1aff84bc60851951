"""Areas and corridors that a case watches: a shipment arrived, left, or was inside already when the watching began.

Decided on the track's own estimate at a fix, never on what it is only thought to do in silence: with d the distance to the
edge (positive inside) and sigma the track's standard deviation towards it, a fix says *inside* from d = 1.645 sigma (95 %
on one side), *outside* from -1.645, and nothing between: so that one who stands beside the edge with a receiver's noise
neither arrives nor leaves (hysteresis), and a wide ellipse decides nothing.  What a fix says holds once every fix has said it
for the zone's dwell time.  A receiver's errors last for minutes, so that a crate beside a fence is on either side of it by
1.645 sigma ten times a shift: the way back needs 3 sigma, unless a fix has seen it beyond doubt (4.645) on its side since.
The first state is told as ``inside`` where it is inside (ATAK-CIV 200: an alert for what was there already is no arrival), and
not at all where it is outside.
"""

from __future__ import annotations

import math

import msgspec

from birddog.model import Event, Track, Zone
from tracking.book import Book
from tracking.budget import Allowed
from tracking.depth import depth_m

#: Standard deviations beyond an edge from which a side is believed: 95 % on one side of a normal distribution.
SURE = 1.645
#: So many from which one is believed to be back on the other side that was not beyond doubt (SURE and this) on this one.
BACK = 3.0


class Presence(msgspec.Struct, frozen=True):
    """What is held of one track and one zone.

    Args:
        inside: None = not decided yet.
        turning: the other state, as fixes have it since ``since_ns``; None = nothing contradicts.
        since_ns: the first fix that said so.
        clear: a fix has seen it beyond doubt on the side where it is held to be.
    """

    inside: bool | None = None
    turning: bool | None = None
    since_ns: int = 0
    clear: bool = False


def seen(
    zone: Zone, held: Presence, time_ns: int, *, lat_deg: float, lon_deg: float, p_ee: float, p_en: float, p_nn: float,
    sure: float = SURE,
) -> tuple[Presence, str]:
    """What is held after a fix, and what is to be told: ``arrived``, ``left``, ``inside`` or nothing ("").

    Args:
        held: of this track and zone until now.
        time_ns: of the fix.
        p_ee, p_en, p_nn: covariance of the track's position, m².
        sure: standard deviations beyond the edge from which a side is believed.
    """
    depth, e, n = depth_m(zone, lat_deg=lat_deg, lon_deg=lon_deg)
    sigma = math.sqrt(max(e * e * p_ee + 2.0 * e * n * p_en + n * n * p_nn, 0.0))
    deep = abs(depth) / sigma if sigma > 0.0 else math.inf
    says = (depth > 0.0) if deep >= sure else None
    if says is not None and held.inside is (not says) and not held.clear and deep < BACK:
        says = None
    clear = held.clear or (says == held.inside and deep >= sure + BACK)
    if says is None or says == held.inside:  # on the edge it is not said any more that it is on the other side
        return (held if held.turning is None and clear == held.clear else Presence(held.inside, clear=clear)), ""
    if held.inside is None and not says:
        return Presence(False, clear=deep >= sure + BACK), ""
    if held.turning != says:
        held = Presence(held.inside, says, time_ns, held.clear)
    if time_ns - held.since_ns < int(zone.dwell_s * 1e9):
        return held, ""
    told = ("arrived" if says else "left") if held.inside is not None else ("inside" if says else "")
    return Presence(says, clear=deep >= sure + BACK), told


class Visit(msgspec.Struct, frozen=True):
    """Of one track and one zone: what is held, and the event that goes on (inside, since it arrived; gone, since it left)."""

    held: Presence
    event: Event | None = None


class Visits(msgspec.Struct):
    """Who is in which zone of one operation.

    Args:
        of: track id -> zone name -> visit.
        zones: as they were when the visits were decided; another one of the same name is decided anew.
    """

    of: dict[str, dict[str, Visit]] = {}
    zones: tuple[Zone, ...] = ()

    def watched(self, zones: tuple[Zone, ...], book: Book) -> None:
        """These zones are watched from now on."""
        gone = {zone.name for zone in self.zones} - {zone.name for zone in zones if zone in self.zones}
        self.zones = zones
        for visits in self.of.values():
            for name in sorted(gone & set(visits)):
                self._over(visits.pop(name), book.now_ns, book)

    def seen(self, track: Track, time_ns: int, allowed: Allowed | None, book: Book) -> None:
        """A track was measured; ``track`` is its row at that time, ``allowed`` what the alert budget allows."""
        visits = self.of.setdefault(track.track_id, {})
        for zone in self.zones:
            visit = visits.get(zone.name) or Visit(Presence())
            held, word = seen(
                zone, visit.held, time_ns, lat_deg=track.lat_deg, lon_deg=track.lon_deg,
                p_ee=track.p_ee, p_en=track.p_en, p_nn=track.p_nn,
                sure=SURE if allowed is None else allowed.edge_sigmas(len(self.zones), zone.dwell_s),
            )  # fmt: skip
            if word:
                self._over(visit, time_ns, book)
                text = f"{word} {zone.name}" if word != "inside" else f"inside {zone.name} already when it was first looked at"
                event = book.event(
                    word, track.operation, time_ns, track_ids=(track.track_id,), lat_deg=track.lat_deg, lon_deg=track.lon_deg,
                    text=text,
                )  # fmt: skip
                visits[zone.name] = Visit(held, event)
            elif held is not visit.held:
                visits[zone.name] = Visit(held, visit.event)

    def forget(self, track_id: str, book: Book) -> None:
        """A track has ended."""
        for visit in self.of.pop(track_id, {}).values():
            self._over(visit, book.now_ns, book)

    @staticmethod
    def _over(visit: Visit, time_ns: int, book: Book) -> None:
        if visit.event is not None:
            book.end(visit.event, time_ns)
