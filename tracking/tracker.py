"""The tracks of one operation: identified measurements, looks, triggers, and what time does to them.

An identified measurement belongs to the track of its key (a shipment, or a device of none); the first one makes a
confirmed track.  The sightings of one look are assigned to all tracks at once (``assign``); what is left over
begins tentative tracks.  An anonymous track is confirmed by its score and dies without sightings; what time does
to a track stands in ``lifetime``.

Longer than 400 lines: identified and anonymous change the same tracks, and tell of them in the same events.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import msgspec

from birddog.directory import OPEN
from birddog.geo import distance_m, ring_contains
from birddog.model import Event, TimeSource, TrackPoint, Value
from birddog.units import NS
from tracking.area import Ring
from tracking.assign import Candidate, Pair, Spot, assign, pairs
from tracking.bank import MODES
from tracking.book import Book
from tracking.doubt import TURNS, beyond_reach_m, turned
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.step import Core, Model, placed, predicted
from tracking.track_state import LiveTrack, Outcome, TrackState

#: So many of the last five fixes refused: the track is contradicted.
MOSTLY = 3
#: The liveliest of the motions, m²/s³: nothing spreads faster.
FASTEST_Q = max(mode.q for mode in MODES)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor at one time: what it saw, and where it could have seen something.

    Args:
        footprint: empty where it is not known; then nothing counts as missed.
        imagery: a single look from above, whose contacts live longer and are told of at once.
        time_source: ``server`` where the time is a guess: who was near then is not known, so that nothing is called dark
            by it and nothing counts as missed.
    """

    sensor: str
    time_ns: int
    spots: list[Spot]
    pd: float
    density_per_km2: float
    footprint: Ring = ()
    imagery: bool = False
    time_source: TimeSource = "device"


class Tracker:
    """One operation's tracks, in the order in which they began."""

    def __init__(self, operation: str, presets: Presets, states: list[TrackState] | None = None):
        self.operation, self.presets = operation, presets
        self._models: dict[str, Model] = {}
        self.tracks: dict[str, LiveTrack] = {}
        self.by_key: dict[str, LiveTrack] = {}
        for state in states or []:
            self.add(state)

    def add(self, state: TrackState) -> LiveTrack:
        """A new (or restored) track."""
        live = LiveTrack(state)
        self.tracks[state.track_id] = live
        if state.key:
            self.by_key[state.key] = live
        return live

    def model(self, live: LiveTrack) -> Model:
        """The motion model of a track."""
        klass = live.state.klass
        found = self._models.get(klass)
        if found is None:
            found = self._models[klass] = Model(preset=self.presets.of(klass), presets=self.presets, klass=klass)
        return found

    def set_presets(self, presets: Presets) -> None:
        """Other presets from now on; what came before is not run again with them."""
        for live in self.tracks.values():
            live.freeze(self.model(live))
        self.presets = presets
        self._models.clear()

    def set_back(self, now_ns: int) -> None:
        """It is earlier than was thought."""
        for live in self.tracks.values():
            s = live.state
            s.contact_ns, s.row_ns = min(s.contact_ns, now_ns), min(s.row_ns, now_ns)
            s.told = {kind: min(told_ns, now_ns) for kind, told_ns in s.told.items()}
            s.due_ns = min(s.due_ns, now_ns)

    def set_class(self, live: LiveTrack, klass: str) -> None:
        """Another class from now on."""
        if klass and klass != live.state.klass:
            live.freeze(self.model(live))
            live.state.klass = klass

    # --- identified ---------------------------------------------------------------------------

    def contact(self, live: LiveTrack, device: str, book: Book, *, reports: bool) -> None:
        """A message of this track's came in: its silence, if any, is over."""
        s = live.state
        if s.contacts > 0:
            gap_s = (book.now_ns - s.contact_ns) / NS
            if gap_s > 0.0:
                s.gap_s = gap_s if s.gap_s == 0.0 else s.gap_s + 0.2 * (gap_s - s.gap_s)
        s.contacts += 1
        s.contact_ns = book.now_ns
        s.reports = s.reports or reports
        if device and device not in s.sources:
            s.sources.append(device)
        silent = s.open_events.pop("silent", None)
        if silent is not None:
            book.end(silent, book.now_ns)

    def measure(self, live: LiveTrack, m: Measurement, book: Book) -> Outcome:
        """An identified measurement into its track, with the points and events that follow."""
        model, s = self.model(live), live.state
        # what just fell silent or coasts is shown at once
        if live.put_off(m, s.status != "confirmed" or not s.key):
            return "waits"
        self.catch_up(live, book)
        rival, before = live.rival(m), live.core_at(m.time_ns, model)
        outcome, nis, core = live.insert(m, model)
        self._measured(live, m, rival, before, outcome, nis, core, book)
        return outcome

    def catch_up(self, live: LiveTrack, book: Book) -> None:
        """Tell of the late measurements that waited."""
        if live.state.waiting:
            for m, outcome, nis, before, core in live.caught_up(self.model(live)):
                self._measured(live, m, None, before, outcome, nis, core, book)

    def _measured(
        self, live: LiveTrack, m: Measurement, rival: Measurement | None, before: Core | None, outcome: Outcome, nis: float,
        core: Core | None, book: Book,
    ) -> None:  # fmt: skip
        """The points and events that follow from a measurement."""
        model, s = self.model(live), live.state
        if core is not None and outcome in ("began", "used", "moved"):
            self._point(live, core, m, nis, book)
        elif outcome == "old":
            s.points += 1
            book.points.append(
                TrackPoint(
                    track_id=s.track_id, seq=s.points, time_ns=m.time_ns, lat_deg=m.lat_deg, lon_deg=m.lon_deg,
                    ve_mps=0.0, vn_mps=0.0, p_ee=m.r_ee, p_en=m.r_en, p_nn=m.r_nn, origin=m.origin, device=m.device,
                )
            )  # fmt: skip
        newest = live.core(model)
        assert newest is not None
        gap_s = 0.0 if before is None else (m.time_ns - before.updated_ns) / NS
        if outcome == "used" and before is not None and gap_s >= self.presets.reinit_s and s.gap_s < 0.4 * gap_s:
            away_km = _away_km(before, m)  # long off, by its own measure, and somewhere else: nothing had to be refused for it
            if away_km > 1.0:
                self._told(live, "reacquired", m, book, f"position taken up again {away_km:.1f} km from where it was")
        if outcome == "moved":
            how_far = "" if before is None else f" {_away_km(before, m):.1f} km from where it was"
            self._told(live, "reacquired", m, book, f"position taken up again{how_far}")
            # a first fix or two that were false are no place to jump from
            if (before is not None and before.hits >= self.presets.reinit_count
                    and (away_m := beyond_reach_m(before, m, model)) > 0.0):
                text = f"{away_m / 1000:.1f} km in {(m.time_ns - before.updated_ns) / NS:.0f} s"
                self._warned(live, "jumped", m, book, f"position jumped {text}: faster than its class can be")
        if rival is not None:
            away_m = distance_m(lat1_deg=rival.lat_deg, lon1_deg=rival.lon_deg, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
            self._warned(live, "conflict", m, book, f"two fixes of one device and time, {away_m:.0f} m apart: one is false")
        self._outliers(live, m, outcome, nis, newest, model, book)
        if m.origin == "fix" and newest.sides is not None and newest.sides.torn:
            who = " and ".join(s.fixers) if len(s.fixers) == 2 else "its sources"
            text = f"{who} are {newest.sides.apart_m:.0f} m apart, in turn and steadily: shown between them"
            self._warned(live, "two_places", m, book, text)
        if m.origin == "fix":
            self._receivers_parted(live, m, newest, book)
            self._contradicted(live, m, newest, book)
        if m.origin == "tag_read" and newest.fixed:
            self._parted(live, m, outcome, newest, model, book)

    def _outliers(
        self, live: LiveTrack, m: Measurement, outcome: Outcome, nis: float, newest: Core, model: Model, book: Book
    ) -> None:
        """One event for each run of refused fixes; it ends with the next fix that is used."""
        s = live.state
        going = s.open_events.get("outlier")
        if going is None and newest.run > 0 and outcome == "refused" and "parted" not in s.open_events:
            text = _refused_text(m, nis, newest, model)
            s.open_events["outlier"] = self._event(live, "outlier", m, book, text)
            self._turned(live, m, newest, model, book)
        elif going is not None and newest.run == 0:
            book.end(s.open_events.pop("outlier"), newest.updated_ns)
        elif outcome == "refused" and m.origin == "fix" and newest.run == 0:
            self._told(live, "outlier", m, book, "late " + _refused_text(m, nis, newest, model))

    def _turned(self, live: LiveTrack, m: Measurement, newest: Core, model: Model, book: Book) -> None:
        """A run of refused fixes began: is it again between the same two places, beyond what the class can drive?"""
        s, away_m = live.state, beyond_reach_m(newest, m, model)
        if away_m > 0.0 and not newest.parted:
            s.turns = turned(s.turns, newest, m, away_m, book.now_ns, int(self.presets.alarm_window_s * NS))
            if s.turns.count >= TURNS:
                self._warned(live, "two_places", m, book, f"in two places in turn, {away_m / 1000:.1f} km apart: one is false")

    def _contradicted(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """One event from when most of the last fixes are refused to when most are used again."""
        s = live.state
        parted = newest.parted or "parted" in s.open_events
        if newest.refused_lately >= MOSTLY and not parted and "contradicted" not in s.open_events:
            text = f"{newest.refused_lately} of its last 5 fixes do not fit it: where it is shown may be wrong"
            s.open_events["contradicted"] = self._event(live, "contradicted", m, book, text)
        elif newest.refused_lately <= 1 and "contradicted" in s.open_events:
            book.end(s.open_events.pop("contradicted"), m.time_ns)

    def _receivers_parted(self, live: LiveTrack, m: Measurement, newest: Core, book: Book) -> None:
        """Two receivers of one shipment go different ways: critical, and told until they are together again."""
        s, rival = live.state, newest.rival
        if newest.parted and rival is not None and rival.hits >= self.presets.reinit_count:
            if "parted" not in s.open_events:
                away_km = _away_km(newest, m) if m.device == rival.device else 0.0
                text = f"{rival.device} parted from {newest.device or 'the track'}: {away_km:.1f} km apart; which is the goods?"
                s.open_events["parted"] = self._event(live, "parted", m, book, text)
        elif rival is None and "parted" in s.open_events and s.open_events["parted"].device == m.device:
            book.end(s.open_events.pop("parted"), m.time_ns)

    def _parted(self, live: LiveTrack, m: Measurement, outcome: Outcome, newest: Core, model: Model, book: Book) -> None:
        """One event from the first read away from the track to the next that fits."""
        s = live.state
        if outcome == "refused" and "parted" not in s.open_events:
            lat, lon, _ = placed(newest, predicted(newest, newest.time_ns, model))
            away_m = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)
            text = f"tag parted from its track: read by {m.device}, {away_m:.0f} m from it"
            s.open_events["parted"] = self._event(live, "parted", m, book, text)
        elif outcome in ("used", "moved", "began") and "parted" in s.open_events:
            book.end(s.open_events.pop("parted"), m.time_ns)

    def _event(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> Event:
        s = live.state
        return book.event(
            kind, self.operation, m.time_ns, track_ids=(s.track_id,), device=m.device, lat_deg=m.lat_deg, lon_deg=m.lon_deg,
            text=text,
        )  # fmt: skip

    def _warned(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> None:
        """An event that a person ends, by acknowledging its alert; once for as long as it goes on within ``alarm_window_s``."""
        told = live.state.told
        if kind not in told or book.now_ns - told[kind] >= int(self.presets.alarm_window_s * NS):
            self._event(live, kind, m, book, text)
        told[kind] = book.now_ns

    def _told(self, live: LiveTrack, kind: str, m: Measurement, book: Book, text: str) -> None:
        book.event(
            kind, self.operation, m.time_ns, end_ns=m.time_ns, track_ids=(live.state.track_id,), device=m.device,
            lat_deg=m.lat_deg, lon_deg=m.lon_deg, text=text,
        )  # fmt: skip

    def _point(self, live: LiveTrack, core: Core, m: Measurement, nis: float, book: Book) -> None:
        s = live.state
        s.points += 1
        lat, lon, x = live.place(core)
        book.points.append(
            TrackPoint(
                track_id=s.track_id, seq=s.points, time_ns=core.time_ns, lat_deg=lat, lon_deg=lon, ve_mps=x[1], vn_mps=x[3],
                p_ee=x[4], p_en=x[6], p_nn=x[11], origin=m.origin, device=m.device,
                nis=nis if math.isfinite(nis) else None,
            )
        )  # fmt: skip

    # --- anonymous ----------------------------------------------------------------------------

    def _candidates(self, time_ns: int, spots: list[Spot]) -> tuple[list[LiveTrack], list[Candidate]]:
        """The tracks at a time; identified ones that are surely beyond the gate of every spot are left out."""
        lives, candidates = [], []
        lats = sorted(s.lat_deg for s in spots)
        widest = max((s.r_ee + s.r_nn for s in spots), default=0.0)
        for live in self.tracks.values():
            model = self.model(live)
            core = live.core_at(time_ns, model)
            if core is None:
                continue
            # what has not said where it is keeps its growing ellipse: whoever is seen there may be anybody
            if live.state.key and (
                live.state.status in ("coasting", "silent") or _beyond(core, time_ns, model, lats, widest)
            ):
                continue
            x = predicted(core, time_ns, model)
            lat, lon, _ = placed(core, x)
            lives.append(live)
            candidates.append(Candidate(lat0_deg=core.lat0_deg, lon0_deg=core.lon0_deg, lat_deg=lat, lon_deg=lon, x=x))
        return lives, candidates

    def look(self, look: Look, new_id, book: Book) -> list[LiveTrack]:
        """The sightings of one look into the tracks; returns the tracks that changed.

        Args:
            new_id: gives the next track id.
        """
        lives, candidates = self._candidates(look.time_ns, look.spots)
        possible = pairs(
            candidates, look.spots, gate=self.presets.sighting_gate, pd=look.pd, density_per_km2=look.density_per_km2
        )
        chosen = assign(possible)
        changed, seen, taken = [], {p.track for p in chosen}, {p.spot for p in chosen}
        for pair in chosen:
            live = lives[pair.track]
            self._seen(live, pair, look, book)
            changed.append(live)
        for i, live in enumerate(lives):
            if i not in seen and not live.state.key and look.time_source != "server" and self._inside(candidates[i], look):
                self._missed(live, look, book)
                changed.append(live)
        for i, spot in enumerate(look.spots):
            if i not in taken:
                changed.append(self._begun(spot, look, new_id(), book))
        return changed

    @staticmethod
    def _inside(candidate: Candidate, look: Look) -> bool:
        return bool(look.footprint) and ring_contains(look.footprint, lat_deg=candidate.lat_deg, lon_deg=candidate.lon_deg)

    @staticmethod
    def _sighted(spot: Spot, look: Look) -> Measurement:
        return Measurement(
            look.time_ns, look.sensor, "sighting", spot.lat_deg, spot.lon_deg, spot.r_ee, spot.r_en, spot.r_nn, stated=True
        )

    def _seen(self, live: LiveTrack, pair: Pair, look: Look, book: Book) -> None:
        s = live.state
        if s.key:
            if look.sensor not in s.sources:
                s.sources.append(look.sensor)
        else:
            self.contact(live, look.sensor, book, reports=False)
            s.score += max(-5.0, min(pair.worth, 5.0))
            s.misses = 0
        m = self._sighted(look.spots[pair.spot], look)
        self.measure(live, m, book)
        core = live.core(self.model(live))
        if s.status == "tentative" and core is not None and core.hits >= self.presets.confirm_hits:
            if s.score >= self.presets.confirm_score:
                s.status = "confirmed"
                self._told(live, "confirmed", m, book, "an anonymous contact is confirmed")
                if s.dark and "dark_vessel" not in s.open_events and look.time_source != "server":
                    s.open_events["dark_vessel"] = self._event(live, "dark_vessel", m, book, "near no reporting track")

    def _missed(self, live: LiveTrack, look: Look, book: Book) -> None:
        s = live.state
        s.misses += 1
        s.score += math.log(1.0 - look.pd)
        limit = self.presets.tentative_misses if s.status == "tentative" else self.presets.confirmed_misses
        if s.misses >= limit:
            self.delete(live, book)

    def _begun(self, spot: Spot, look: Look, track_id: str, book: Book) -> LiveTrack:
        klass = "vessel" if look.imagery else ""
        live = self.add(
            TrackState(
                track_id=track_id, operation=self.operation, klass=klass, contact=look.imagery,
                dark=bool(look.footprint) and self.operation == OPEN,
            )  # fmt: skip
        )
        m = self._sighted(spot, look)
        self.contact(live, look.sensor, book, reports=False)
        self.measure(live, m, book)
        if look.imagery and self.operation == OPEN and look.time_source != "server":
            live.state.open_events["dark_vessel"] = self._event(live, "dark_vessel", m, book, "near no reporting track")
        return live

    def trigger(self, m: Measurement, book: Book) -> LiveTrack | None:
        """Weak evidence at a sensor's place: into the one track that it most likely was, if into any."""
        spot = Spot(m.lat_deg, m.lon_deg, m.r_ee, m.r_en, m.r_nn)
        lives, candidates = self._candidates(m.time_ns, [spot])
        possible = pairs(
            candidates, [spot], gate=self.presets.sighting_gate, pd=0.5, density_per_km2=self.presets.trigger_per_km2
        )
        best = max(possible, key=lambda p: (p.worth, -p.track), default=None)
        if best is None or best.worth <= 0.0:
            return None
        live = lives[best.track]
        if live.read_lately(m, int(self.presets.read_window_s * NS)):
            return None
        self.measure(live, m, book)
        return live

    # --- time ---------------------------------------------------------------------------------

    def show(self, live: LiveTrack, attributes_of: Callable[[LiveTrack], dict[str, Value]], book: Book) -> None:
        """The track's row as of the book's time is due; it is made once, when the entry is folded (``lifetime`` has when)."""
        now_ns = live.state.row_ns = book.now_ns
        attributes = attributes_of(live)
        book.row(live.state.track_id, lambda: live.row(now_ns, self.model(live), attributes))

    def delete(self, live: LiveTrack, book: Book) -> None:
        """The track is no more; what was going on with it is over."""
        s = live.state
        s.status = "deleted"
        for kind in list(s.open_events):
            book.end(s.open_events.pop(kind), book.now_ns)
        self.tracks.pop(s.track_id, None)
        if self.by_key.get(s.key) is live:
            del self.by_key[s.key]
        book.ended.append(s.track_id)


def _refused_text(m: Measurement, nis: float, core: Core, model: Model) -> str:
    """Why a measurement was refused: a device's own fix for being likelier false than true, another for its NIS."""
    if m.origin != "fix":
        return f"{m.origin} refused: NIS {nis:.3g} > {model.preset.gate:g}"
    return f"fix refused: {_away_km(core, m):.1f} km from the last place, where a false one is likelier than what it does"


def _away_km(core: Core, m: Measurement) -> float:
    lat, lon, _ = placed(core, core.x)
    return distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg) / 1000.0


def _beyond(core: Core, time_ns: int, model: Model, lats: list[float], widest: float) -> bool:
    """Whether a track is, by its latitude alone, out of the sighting gate of every spot: a cheap bound, never too small.

    Args:
        lats: the spots' latitudes, sorted; widest: the largest trace of their R, m².
    """
    if not lats:
        return True
    x = core.x
    if abs(core.lat0_deg) > 85.0 or abs(x[0]) > 1e5 or abs(x[2]) > 1e5:
        return False
    dt, q = (time_ns - core.updated_ns) / NS, FASTEST_Q
    trace = (math.sqrt(x[4]) + dt * math.sqrt(x[8])) ** 2 + (math.sqrt(x[11]) + dt * math.sqrt(x[13])) ** 2
    trace += 2.0 * q * dt * dt * dt / 3.0
    reach_m = math.hypot(x[1], x[3]) * dt + math.sqrt(model.presets.sighting_gate * (trace + widest))
    # the plane's north is not the latitude's: off by e² tan(lat) / 2R, and a degree is 110.5 to 111.7 km
    reach_m += x[0] * x[0] * abs(math.tan(math.radians(core.lat0_deg))) / 12e6 + 0.02 * abs(x[2]) + 100.0
    lat, reach_deg = core.lat0_deg + x[2] / 111_000.0, reach_m / 110_000.0
    at = bisect.bisect_left(lats, lat - reach_deg)
    return at == len(lats) or lats[at] > lat + reach_deg
