"""What a source of positions says that cannot be true, or not much longer: frozen, replayed, impossibly fast, jammed, drifting,
belied by what sensors see.

Each is an event (an alert) with its evidence, told once for as long as it goes on.  A jump that was believed (``jumped``), two
places in turn, a portal that sees a tag elsewhere (``parted``) and clocks stand in ``tracker`` and ``clocks``.

Nothing here moves a track: what is believed is the filter's (and of ``belied`` the looks'), so that the order of arrival plays
no part in it.  What was found
lowers the *trust* in a source, which its good fixes win back: an event ``distrusted`` from the first finding until most of it
is won back, and `birddog explain` says how much there is.

Slow drift (a spoofer that pulls gently) is nothing that one receiver alone can show.  Of two receivers of one shipment it is
the distance between them that drifts: how far they are apart is learnt (front and rear of a train stay so, whichever way it
turns), and a one-sided CUSUM of the NIS of the difference (Page 1954) says when it is another.  Which of two is wrong is not
known; of three it is the one that drifts from both others.

Over 400 lines: each finding reads and changes what is known of one receiver, and a fix goes through all of them in one order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from birddog.geo import DEGREE_M, Plane, distance_m
from birddog.model import Event
from birddog.units import NS
from tracking.belied import Doubt
from tracking.book import Book
from tracking.budget import Allowed
from tracking.leap import LEAP_MPS2, Leap, leapt
from tracking.majority import lately
from tracking.measurement import Measurement
from tracking.offset import Offset
from tracking.speeds import ALARM as WRONG_SPEED
from tracking.speeds import UNSURE as UNSURE_SPEED
from tracking.speeds import Leg, Speeds, begins, heard
from tracking.step import ANY_MEANS_MPS
from tracking.stuck import MOVES_MPS, STANDS, SURELY, cells_of
from tracking.track_state import LiveTrack, Outcome

#: A fix that is the last one to the digit, so often in a row, while its own speed or another receiver says that it moves.
#: What hangs beyond doubt, as its first words there have it, and says since that it stands is told of after so many.
FROZEN_COUNT, FROZEN_AWAY_M, LONG_SAME = 4, 100.0, 30
#: Of a way's steps, each so far at least, m, a byte is remembered: each of the newest, of a longer time one in so many,
#: by its digits.  So many in a row, all of them different, that come again to the digit are a recording, wherever it is played.
#: (one in so many, how many); of what everybody may hear, who are many, fewer are remembered.
PASSED_M, REPLAYED = 20.0, 8
PASSED, PASSED_PUBLIC = ((1, 512), (4, 768), (16, 768)), ((1, 128), (4, 192), (16, 192))
#: Who prints a ten-thousandth of a degree or a hundredth of a minute passes the same places on any way: it says nothing.
COARSE = (1e4, 6e3)
#: What a receiver calls when it is jammed or spoofed.
JAMS = frozenset({"jamming", "spoofing"})
#: So many fixes in a row that nothing can have carried it to.
IMPOSSIBLE_COUNT, IMPOSSIBLE_SLACK_M = 2, 1000.0
#: So many of late: each such fix counts two, each other one takes one off, and there are no more than WILD_MOST; told with
#: WILD, over with fewer than WILD_OVER.  One of two is told of by the fourth, one of three is not.
WILD, WILD_MOST, WILD_OVER = 5, 8, 4
#: So many legs in a row at whose ends, and between, it says that it stands (under STANDS_MPS): each GOES_M and 4 sigmas long,
#: within GOES_S, further from the beginning of the leg before than that, and faster than GOES_MPS (what stands at every light
#: does not at seven in a row), or than CREEPS_MPS where it was asked in between as well.
STANDS_COUNT, STANDS_MPS, GOES_M, GOES_S, GOES_MPS, CREEPS_MPS = 6, 1.0, 50.0, 300.0, 5.0, 1.2
#: A leg counts for two where it said so this often in it, or where nothing on wheels goes so far from stop to stop
#: (``LEAP_MPS2``).  From so many on its speeds are not used, for now.
ASKED, UNSURE = 6, 2
#: A receiver that was jammed is well again with so many used fixes, the last so long after the last alarm, s, or so many times
#: as long as its calls are apart that had as many between them; further apart than this, s, they are none of one jamming.
WELL_COUNT, WELL_S, WELL_CALLS, CALLS_MOST_S = 3, 60.0, 2.0, 900.0
#: What it says meanwhile beside one that is not jammed and goes on reporting is known no better than this, m, one sigma.
JAMMED_M = 500.0
#: The CUSUM: what a NIS (1 degree of freedom) is expected to be at most, what one of them counts at most, when it is told of,
#: and how far the distance must have changed, m.
ALLOWED, STEP_MOST, ALARM, DRIFT_M = 4.0, 30.0, 60.0, 30.0
#: A refused fix so far from its own receiver's way is a false one, and says nothing of how far two receivers are apart.
FALSE_M = 300.0
#: Fixes of which a distance is learnt before it is asked; it is the mean of about so many; an older fix is not asked.
LEARNT, MEMORY, FRESH_S = 6, 50.0, 60.0
#: What reports at least that often is compared fix by fix; what reports less often, by its way between two (``offset``).
OFTEN_S = 2.0 * FRESH_S
#: The errors of two receivers last for minutes (m²), their clocks differ (s), what carries them speeds up (m/s²).
LASTING_R, CLOCK_S, ACCELERATION_MPS2 = 32.0, 0.7, 0.7
#: A clock may be off by so much for ever, one sigma, s: what lies between two receivers then grows with their speed.
OFF_S = 3.0
#: Between two reports further apart than this nobody knows where it was; of those minutes apart it may have gone at half its
#: speed and so much, m/s.
SELDOM_S, ABOUT_MPS = 660.0, 2.0
#: What was over so short a time ago, s, goes on.
FLAPS_S = 900.0
#: A finding takes this share of the trust, and a used fix gives back so much of what is missing.
FINDING, WON = 0.5, 0.03
#: A source is trusted again from here on.
TRUSTED = 0.9
#: A first fix or two that were false are no place to leap from.
FIRST = 3
#: Sources of a track that are watched.
SOURCES = 8
#: A fix no further off than this in latitude and longitude together is nearer than IMPOSSIBLE_SLACK_M.
NEAR_DEG = 0.99 * IMPOSSIBLE_SLACK_M / 111_200.0
#: The same of GOES_M: nearer than this it has not gone on.
GOES_DEG = 0.98 * GOES_M / 111_700.0
_M_PER_DEG2 = DEGREE_M**2
#: What settles in the plane whether it is PASSED_M, m².
_SURELY_STILL_M2, _SURELY_PASSED_M2 = 0.99 * PASSED_M * PASSED_M, 1.01 * PASSED_M * PASSED_M
_NOT_TAKEN = frozenset(("same", "merged", "old", "waits"))


class Source(msgspec.Struct, gc=False):
    """What is known of one receiver of a track.

    Args:
        last: its newest fix, None of what only called; before: the one before.
        good: its newest fix that was used; spot: the one that it last was PASSED_M away from, at moved_ns.
        same, same_ns: how often in a row it has come again to the digit, and since when; fast: at how many of them it moved,
            slow: at how many in a row since it did not (``stuck``).
        passed: the newest steps of its way, a byte each, as ``PASSED`` has it.
        count: its fixes so far, up to FIRST.
        leap: where it is at once, as long as it is not known whether it stays there.
        beyond: fixes in a row that nothing can have carried it to; wild: how many of late (``WILD``).
        legs: where it says that it stands, of late GOES_M apart each, the last two; stands: how many such legs in a row.
        jammed_ns, well: when it last called, and used fixes since; called_ns: when it last did, well by now or not; calls_s:
            how far its calls are apart.
        speeds: of one that states velocities, whether they fit its places.
    """

    last: Measurement | None = None
    before: Measurement | None = None
    good: Measurement | None = None
    spot: Measurement | None = None
    same: int = 0
    same_ns: int = 0
    fast: int = 0
    slow: int = 0
    moved_ns: int = 0
    passed: tuple[bytes, ...] = (b"",) * len(PASSED)
    count: int = 1
    leap: Leap | None = None
    beyond: int = 0
    wild: int = 0
    legs: tuple[Measurement, ...] = ()
    stands: int = 0
    jammed_ns: int = 0
    well: int = 0
    called_ns: int = 0
    calls_s: float = 0.0
    trust: float = 1.0
    events: dict[str, Event] = {}
    speeds: Speeds | None = None

    def jammed(self, time_ns: int) -> bool:
        """Whether it is told of as jammed, since before a time."""
        told = self.events.get("jamming")
        return told is not None and time_ns >= told.start_ns

    def goes_on(self, time_ns: int) -> bool:
        """Whether it is not jammed, and goes on reporting."""
        last, before = self.last, self.before
        if last is None or self.jammed(time_ns):
            return False
        every_s = 0.0 if before is None else (last.time_ns - before.time_ns) / NS
        return lately(abs(time_ns - last.time_ns) / NS, every_s)

    def velocity(self) -> tuple[float, float]:
        """East and north, m/s, at its newest fix: what it says, or what the two last places say; of one place nothing."""
        last, before = self.last, self.before
        if last is not None and last.ve_mps is not None and last.vn_mps is not None:
            return last.ve_mps, last.vn_mps
        if last is None or before is None:
            return 0.0, 0.0
        dt_s = (last.time_ns - before.time_ns) / NS
        if dt_s > FRESH_S:
            return 0.0, 0.0
        e, n = Plane(lat_deg=last.lat_deg, lon_deg=last.lon_deg).en(lat_deg=before.lat_deg, lon_deg=before.lon_deg)
        return -e / dt_s, -n / dt_s


class Pair(msgspec.Struct):
    """How far two receivers are from each other, of so many fixes, and the CUSUM of how much it is another distance.

    ``one``: the CUSUM of how much likelier it is that they are at one place than so far apart.
    ``offset``: of reports that are minutes apart, how far the second by name is from the first.
    """

    apart_m: float = 0.0
    count: int = 0
    speed_mps: float = 0.0
    sum: float = 0.0
    one: float = 0.0
    since_ns: int = 0
    event: Event | None = None
    over: Event | None = None
    offset: Offset = msgspec.field(default_factory=Offset)


class Sources(msgspec.Struct, gc=False):
    """The receivers of one track."""

    of: dict[str, Source] = {}
    pairs: dict[str, Pair] = {}


class Deception(msgspec.Struct):
    """Of one operation's tracks, by id; ``paired``: one of them has had two receivers; ``belied``: which one of which is.

    ``speedless``: receivers whose stated speeds are not used, with their track; ``frozen``: which one of which is.
    """

    tracks: dict[str, Sources] = {}
    paired: bool = False
    belied: dict[str, str] = {}
    speedless: dict[str, str] = {}
    frozen: dict[str, str] = {}

    def taken(self, track_id: str, m: Measurement) -> Measurement:
        """A fix without a velocity that its places belie, or may, or of a receiver that is jammed; what that says of its place
        is rough where another one that is not goes on reporting.
        """
        sources = self.tracks.get(track_id)
        source = None if sources is None else sources.of.get(m.device)
        if sources is not None and source is not None and source.jammed(m.time_ns):
            if any(other is not source and other.goes_on(m.time_ns) for other in sources.of.values()):
                r = max(JAMMED_M**2, m.r_ee, m.r_nn)
                m = msgspec.structs.replace(m, r_ee=r, r_en=0.0, r_nn=r, stated=True)
            return _speedless(m)
        if m.ve_mps is None or m.vn_mps is None:
            return m
        if m.device not in self.speedless:
            if source is not None and source.speeds is not None and source.speeds.sure >= UNSURE_SPEED:
                return _speedless(m)
            if source is None or not source.legs or math.hypot(m.ve_mps, m.vn_mps) >= STANDS_MPS:
                return m
            leg, last = source.legs[-1], source.last
            if source.stands < UNSURE and (last is None or leg.time_ns != last.time_ns or not _leaps(leg, m)):
                return m
        return _speedless(m)

    def jams(self, track_id: str, device: str, time_ns: int) -> bool:
        """Whether a receiver is told of as jammed, since before a time."""
        sources = self.tracks.get(track_id)
        source = None if sources is None else sources.of.get(device)
        return source is not None and source.jammed(time_ns)

    def holds(self, live: LiveTrack, device: str, time_ns: int, lat_deg: float, lon_deg: float) -> bool:
        """Whether a fix says nothing of where it is: its receiver is jammed, and goes on saying its last place to the digit.

        Its last by the fixes' own times: of one that comes in late the one before it.
        """
        if not self.jams(live.state.track_id, device, time_ns):
            return False
        last = self.tracks[live.state.track_id].of[device].last
        if last is not None and last.time_ns > time_ns:
            last = live.newest_fix(device, time_ns - 1)
        return last is not None and (lat_deg, lon_deg) == (last.lat_deg, last.lon_deg)

    def fix(
        self, live: LiveTrack, m: Measurement, said_mps: float | None, outcome: Outcome, allowed: Allowed | None, book: Book, *,
        agree: int = 0, held: bool = False, hung: int = 0, top_mps: float = math.inf,
    ) -> Leap | None:  # fmt: skip
        """A receiver's fix, and what became of it.

        Args:
            said_mps: how fast it says that it goes, also where it does not say where to, as its measurement has it.
            allowed: by the alert budget.
            agree: of one that was refused, how many in a row say the same (``core.Rival``).
            held: it ``holds`` the last place, which moved nothing; hung: it hangs there by its own words (``stuck``).
            top_mps: how fast its class goes.

        Returns:
            A leap of its receiver with which its track went.
        """
        if outcome in _NOT_TAKEN:
            return None
        s, time_ns = live.state, m.time_ns
        sources = self.tracks.get(s.track_id)
        if sources is None:
            sources = self.tracks[s.track_id] = Sources()
        source = sources.of.get(m.device)
        if source is None:
            if len(sources.of) < SOURCES:
                sources.of[m.device], live.source = Source(m, None, m, m), None
            return None
        last = source.last
        if last is not None and time_ns <= last.time_ns:
            return None
        used = outcome != "refused"
        if used and source.trust < 1.0:
            source.trust += WON * (1.0 - source.trust)
            if source.trust >= TRUSTED and not source.events.keys() - {"distrusted"}:
                _over(source, "distrusted", time_ns, book)
        if last is not None and (source.same or (m.lat_deg == last.lat_deg and m.lon_deg == last.lon_deg)):
            _frozen(live, sources, source, last, m, said_mps, hung, book)
            if "frozen" in source.events:
                self.frozen[s.track_id] = m.device
            elif self.frozen.get(s.track_id) == m.device:
                del self.frozen[s.track_id]
        if source.spot is None or not _still(source.spot, m):
            _replayed(live, source, m, book)
        known = source.count >= FIRST and (s.stuck is None or s.stuck[0] != m.device)
        leap = _leap(source, m, outcome, top_mps) if known else None
        source.count = min(source.count + 1, FIRST)
        _impossible(live, source, m, said_mps, used, book)
        if used and s.stuck is not None and s.stuck[0] == m.device and not source.same:
            s.stuck = None
        if said_mps is not None and last is not None:
            self._stands(live, source, last, m, said_mps, book)
        if source.jammed_ns:
            _well(source, m, used, book)
        alone = agree < 2 and (last is None or _away_m(_place_at(source, time_ns), m) > FALSE_M)
        if not used and (alone or source.beyond):
            return leap  # it alone is false, or nothing carried it there: no place to measure a distance from
        self._heard(live, source, m, not (source.beyond or held or "frozen" in source.events), book)
        if held:  # no other place than its last one, and nobody's distance is measured from there
            return leap
        source.last, source.before = m, last
        if len(sources.of) > 1 and not source.jammed(time_ns):
            self.paired = True
            _drift(live, sources, source, m, used, ALARM if allowed is None else allowed.drift_alarm(), book)
        return leap

    def _stands(
        self, live: LiveTrack, source: Source, last: Measurement, m: Measurement, said_mps: float, book: Book
    ) -> None:  # fmt: skip
        """It says again and again that it stands, and goes on: its speeds are not used until it says that it moves.

        Firmware that always states 0; a receiver that holds its last velocity.  Believed, each fix was the end of its way.
        """
        if said_mps >= STANDS_MPS:
            source.legs, source.stands = (), 0
            if (source.speeds is None or not source.speeds.told) and self.speedless.pop(m.device, None) is not None:
                _over(source, "false_speed", m.time_ns, book)
            return
        legs = source.legs
        if not legs:
            source.legs = (m,)
            return
        begun = legs[-1]
        away_m = _away_m((begun.lat_deg, begun.lon_deg), m)
        dt_s = (m.time_ns - begun.time_ns) / NS
        if away_m <= _leg_m(begun, m):
            if source.stands and len(legs) > 1 and dt_s > 2.0 * (begun.time_ns - legs[0].time_ns) / NS:
                source.stands = 0  # it does stand
            return
        at_once = begun.time_ns == last.time_ns
        least_mps = GOES_MPS if at_once else CREEPS_MPS
        on = len(legs) == 1 or _away_m((legs[0].lat_deg, legs[0].lon_deg), m) > away_m
        often = dt_s * NS >= ASKED * (m.time_ns - last.time_ns) or (at_once and _leaps(begun, m))
        source.stands = source.stands + 1 + often if on and dt_s <= GOES_S and away_m > least_mps * dt_s else 0
        source.legs = (begun, m)
        if source.stands >= STANDS_COUNT and "false_speed" not in source.events:
            self.speedless[m.device] = live.state.track_id
            text = (f"{m.device} says that it stands, again and again, and is {away_m:.0f} m on after {dt_s:.0f} s: "
                    "its speeds are not used")  # fmt: skip
            _tell(live, source, "false_speed", m.device, m.time_ns, (m.lat_deg, m.lon_deg), text, book)

    def _heard(self, live: LiveTrack, source: Source, m: Measurement, goes_on: bool, book: Book) -> None:
        """What it states and where it goes disagree again and again (``speeds``): told, and not used until they agree again.

        Also of refused fixes, unless each says another place: what wrong velocities drew away refuses right ones.
        """
        leg = hears(source, m, goes_on)
        speeds = source.speeds
        if leg is None or speeds is None:
            return
        if not speeds.told and speeds.sure >= WRONG_SPEED and "false_speed" not in source.events:
            speeds.told = True
            self.speedless[m.device] = live.state.track_id
            text = f"{m.device} {leg.text()}, and so again and again: its stated velocities are not used"
            _tell(live, source, "false_speed", m.device, m.time_ns, (m.lat_deg, m.lon_deg), text, book)
        elif speeds.told and speeds.sure <= 0.0:
            speeds.told = False
            self.speedless.pop(m.device, None)
            _over(source, "false_speed", m.time_ns, book)

    def begins(self, track_id: str, m: Measurement) -> None:
        """The first fix of a track that there was not before."""
        self.tracks[track_id] = Sources({m.device: Source(m, None, m, m)})

    def quiet(self, live: LiveTrack, m: Measurement, said_mps: float | None) -> Source | None:
        """The receiver of a fix of which nothing is to be said, where it is its track's only one: ``passes`` takes it in.

        Args:
            said_mps: as ``fix`` has it.
        """
        source: Source | None = live.source
        if source is None:
            sources = self.tracks.get(live.state.track_id)
            if sources is None or len(sources.of) != 1:
                return None
            source = live.source = next(iter(sources.of.values()))
        last, good = source.last, source.good
        if (
            source.events or source.trust < 1.0 or source.same or source.wild or source.jammed_ns or source.leap is not None
            or last is None or good is None or m.time_ns <= last.time_ns or m.device != last.device
        ):  # fmt: skip
            return None
        lat_deg, lon_deg = m.lat_deg, m.lon_deg
        # so near to where it was, by the way along the meridian and the parallel, that nothing is impossible
        if not 0.0 < abs(lat_deg - good.lat_deg) + abs(lon_deg - good.lon_deg) < NEAR_DEG or (
            good is not last and lat_deg == last.lat_deg and lon_deg == last.lon_deg
        ):  # fmt: skip
            return None
        return source if (said_mps is None and source.speeds is None) or _speaks_true(source, m, said_mps) else None

    def passed(self, track_id: str, m: Measurement) -> bool:
        """Whether a receiver said a later fix before this one: then ``fix`` says nothing of it."""
        sources = self.tracks.get(track_id)
        source = None if sources is None else sources.of.get(m.device)
        return source is not None and source.last is not None and m.time_ns <= source.last.time_ns

    def jammed(self, live: LiveTrack, device: str, time_ns: int, text: str, book: Book) -> None:
        """A receiver says that it is jammed, or spoofed: one event until it has been well for a while."""
        sources = self.tracks.setdefault(live.state.track_id, Sources())
        source = sources.of.get(device)
        if source is None:
            source = sources.of[device] = Source()
            live.source = None
        apart_s = (time_ns - source.called_ns) / NS if source.called_ns else 0.0
        if apart_s > 0.0 and (source.well >= WELL_COUNT or not source.jammed_ns):
            source.calls_s = apart_s if apart_s <= CALLS_MOST_S else 0.0
        source.jammed_ns, source.well = max(time_ns, source.jammed_ns), 0
        source.called_ns = max(time_ns, source.called_ns)
        if "jamming" not in source.events:
            place = (None, None) if source.last is None else (source.last.lat_deg, source.last.lon_deg)
            _tell(live, source, "jamming", device, time_ns, place, f"{device} says {text}", book)

    def belies(self, live: LiveTrack, doubt: Doubt | None, time_ns: int, book: Book) -> None:
        """Whether looks belie a track's receiver: one event from when that is settled to when it is believed again."""
        track_id = live.state.track_id
        device = self.belied.get(track_id)
        sources = self.tracks.setdefault(track_id, Sources())
        live.source = None  # there may be another one by now
        if device is not None and (doubt is None or doubt.device != device):
            del self.belied[track_id]
            _over(sources.of.setdefault(device, Source()), "belied", time_ns, book)
        if doubt is not None and track_id not in self.belied:
            self.belied[track_id] = doubt.device
            source = sources.of.setdefault(doubt.device, Source())
            _tell(live, source, "belied", doubt.device, doubt.told_ns, (doubt.lat_deg, doubt.lon_deg), doubt.text(), book)

    def trust(self, track_id: str) -> dict[str, float]:
        """The trust in each of a track's receivers."""
        sources = self.tracks.get(track_id)
        return {} if sources is None else {name: round(one.trust, 3) for name, one in sources.of.items()}

    def goes_on(self, track_id: str) -> bool:
        """Whether something that was told of a track has not ended."""
        sources = self.tracks.get(track_id)
        if sources is None:
            return False
        for one in sources.of.values():
            if one.events:
                return True
        return bool(sources.pairs) and any(pair.event is not None for pair in sources.pairs.values())

    def forget(self, track_id: str, book: Book) -> None:
        """A track is no more."""
        self.belied.pop(track_id, None)
        self.frozen.pop(track_id, None)
        for device in [device for device, of in self.speedless.items() if of == track_id]:
            del self.speedless[device]
        sources = self.tracks.pop(track_id, None)
        if sources is not None:
            for one in sources.of.values():
                for event in one.events.values():
                    book.end(event, book.now_ns)
            for pair in sources.pairs.values():
                if pair.event is not None:
                    book.end(pair.event, book.now_ns)

    def left(self, live: LiveTrack, book: Book) -> None:
        """What was told of receivers that are not a track's any more, and of how far they are from those that are, is over."""
        live.source, track_id = None, live.state.track_id
        here = {*live.state.identities, *live.state.fixers}
        sources = self.tracks.get(track_id)
        if sources is None:
            return
        for device in [device for device in sources.of if device not in here]:
            source = sources.of.pop(device)
            for kind in list(source.events):
                _over(source, kind, book.now_ns, book)
            if self.speedless.get(device) == track_id:
                del self.speedless[device]
            for found in (self.belied, self.frozen):
                if found.get(track_id) == device:
                    del found[track_id]
        for key, pair in list(sources.pairs.items()):
            if not set(key.split("\n")) <= here:
                if pair.event is not None:
                    _ends_drifts(sources, book.now_ns, book, pair.event.event_id)
                del sources.pairs[key]


def _speedless(m: Measurement) -> Measurement:
    """A fix without its velocity; that it says that it goes is remembered (``stuck``)."""
    return m if m.ve_mps is None else msgspec.structs.replace(m, ve_mps=None, vn_mps=None, said_mps=m.speed_mps)


def _tell(
    live: LiveTrack, source: Source, kind: str, device: str, time_ns: int, place: tuple[float | None, float | None], text: str,
    book: Book,
) -> None:  # fmt: skip
    """An event begins, and the source is trusted less."""
    source.events[kind] = book.event(
        kind, live.state.operation, time_ns, track_ids=(live.state.track_id,), device=device, lat_deg=place[0],
        lon_deg=place[1], text=text,
    )  # fmt: skip
    _distrust(live, source, kind, device, time_ns, book)


def _distrust(live: LiveTrack, source: Source, why: str, device: str, time_ns: int, book: Book) -> None:
    source.trust *= FINDING
    text = f"{device} is trusted {source.trust:.2f}: {why.replace('_', ' ')}"
    old = source.events.get("distrusted")
    source.events["distrusted"] = book.again(old, text) if old is not None else book.event(
        "distrusted", live.state.operation, time_ns, track_ids=(live.state.track_id,), device=device, text=text
    )


def _over(source: Source, kind: str, time_ns: int, book: Book) -> None:
    event = source.events.pop(kind, None)
    if event is not None:
        book.end(event, time_ns)


def _frozen(
    live: LiveTrack, sources: Sources, source: Source, last: Measurement, m: Measurement, said_mps: float | None, hung: int,
    book: Book,
) -> None:  # fmt: skip
    """The same place to the digit again and again, while something says that it moves.

    Args:
        last: its newest fix before.
        said_mps: how fast it says that it goes: so it moves, wherever to.
        hung: as its track has it.
    """
    if m.lat_deg != last.lat_deg or m.lon_deg != last.lon_deg:
        told = source.events.get("frozen")
        if told is not None:
            away = f"{_away_m((last.lat_deg, last.lon_deg), m) / 1000:.1f} km from there after {_seconds(source.same_ns, m)} s"
            source.events["frozen"] = book.again(told, f"{told.text}; it is {away}")
            _over(source, "frozen", m.time_ns, book)
        source.same = source.fast = source.slow = 0
        return
    if source.same == 0:
        source.same_ns = last.time_ns
    source.same += 1
    if said_mps is not None and said_mps > MOVES_MPS:
        source.fast, source.slow = source.fast + 1, 0
    else:
        source.slow += 1
        if source.slow >= STANDS and hung != SURELY:
            source.fast = 0
    if source.same < FROZEN_COUNT - 1 or "frozen" in source.events:
        return
    why = ""
    if source.fast >= FROZEN_COUNT - 1 and said_mps is not None:
        gone_s = source.fast / source.same * (m.time_ns - source.same_ns) / NS
        if said_mps * gone_s > cells_of(m):
            why = f"says that it goes {said_mps:.0f} m/s"
    if not why and hung == SURELY and source.same >= LONG_SAME:
        why = "it said there that it goes"
    for name, other in sources.of.items():
        if not why and other is not source and other.last is not None and other.moved_ns > source.same_ns:
            away_m = _away_m((last.lat_deg, last.lon_deg), other.last)
            if away_m > FROZEN_AWAY_M + 3.0 * math.sqrt(_r(last) + _r(other.last)):
                why = f"{name} has moved to {away_m:.0f} m from there"
    if why:
        text = f"{m.device} stands at one place to the digit, {source.same + 1} times in {_seconds(source.same_ns, m)} s: {why}"
        _tell(live, source, "frozen", m.device, m.time_ns, (m.lat_deg, m.lon_deg), text, book)
        live.state.stuck = m.device, source.same_ns


def _still(spot: Measurement, m: Measurement) -> bool:
    """Whether a fix lies less than ``PASSED_M`` from its receiver's spot.

    By the plane at it where that settles it: so near it is off by less than one part in a thousand.
    """
    lat_deg, lon_deg = m.lat_deg, m.lon_deg
    n, e = lat_deg - spot.lat_deg, lon_deg - spot.lon_deg
    if (n * n + e * e) * _M_PER_DEG2 < _SURELY_STILL_M2:  # a degree of longitude is no longer than one of latitude
        return True
    east = math.cos(math.radians(lat_deg))
    if east > 0.1 and -0.01 < n < 0.01 and -0.01 < e < 0.01:
        e *= east
        away2 = (n * n + e * e) * _M_PER_DEG2
        if not _SURELY_STILL_M2 < away2 < _SURELY_PASSED_M2:
            return away2 < PASSED_M * PASSED_M
    return distance_m(lat1_deg=spot.lat_deg, lon1_deg=spot.lon_deg, lat2_deg=lat_deg, lon2_deg=lon_deg) < PASSED_M


def _leg_m(begun: Measurement, m: Measurement) -> float:
    """How far it is at least from one fix to another, that it has gone on."""
    return GOES_M + 4.0 * math.sqrt(_r(begun) + _r(m))


def _leaps(last: Measurement, m: Measurement) -> bool:
    """Whether nothing on wheels that stands at two fixes in a row got from one to the other."""
    away_m = _away_m((last.lat_deg, last.lon_deg), m)
    return away_m > _leg_m(last, m) and away_m > LEAP_MPS2 * ((m.time_ns - last.time_ns) / NS) ** 2


def _speaks_true(source: Source, m: Measurement, said_mps: float | None) -> bool:
    """Whether nothing is to be said of the speed of a fix, or its velocity, either."""
    speeds = source.speeds
    if speeds is not None and speeds.sure >= UNSURE_SPEED:
        return False
    if said_mps is None:
        return True
    if said_mps > 0.99 * ANY_MEANS_MPS:
        return False
    if said_mps >= STANDS_MPS:
        return not source.legs
    leg = source.legs[-1] if source.legs and not source.stands else None
    return leg is not None and abs(m.lat_deg - leg.lat_deg) + abs(m.lon_deg - leg.lon_deg) <= GOES_DEG


def passes(source: Source, m: Measurement) -> bool:
    """Take in a fix that was used, of a receiver that is ``quiet``, as ``Deception.fix`` does; False where its last steps
    were gone before, and nothing is taken in.
    """
    spot = source.spot
    if spot is None or not _still(spot, m):
        if spot is not None:
            passed, remembered = _step(source.passed, spot, m, PASSED)
            for k in range(remembered):
                if _gone_before(passed[k]):
                    return False
            source.passed = passed
        source.spot, source.moved_ns = m, m.time_ns
    if m.ve_mps is not None or source.speeds is not None:
        hears(source, m, True)
    if source.count < FIRST:
        source.count += 1
    source.before = source.last
    source.last = source.good = m
    return True


def hears(source: Source, m: Measurement, goes_on: bool) -> Leg | None:
    """How the velocity of a receiver's next fix fits its places; the leg that ends with it, where it says anything.

    Args:
        goes_on: it is no fix that says nothing: of a receiver that is frozen, or out of reach.
    """
    speeds, last = source.speeds, source.last
    if speeds is None:
        if m.ve_mps is None or not goes_on:
            return None
        speeds = source.speeds = Speeds()
    if goes_on and last is not None:
        return heard(speeds, last, m)
    begins(speeds, None)
    return None


def _replayed(live: LiveTrack, source: Source, m: Measurement, book: Book) -> None:
    """A way that it has gone before, to the digit: its steps, so that a recording that is played elsewhere is one as well."""
    spot, most = source.spot, PASSED_PUBLIC if live.state.broadcast else PASSED
    source.spot, source.moved_ns = m, m.time_ns
    if spot is None:
        return
    source.passed = _step(source.passed, spot, m, most)[0]
    lately, *longer = [_again(passed) for passed in source.passed]
    if lately or any(longer):
        if "replayed" not in source.events and not _coarse(m):
            text = f"{m.device} goes a way that it has gone before, {REPLAYED} steps to the digit: a recording?"
            _tell(live, source, "replayed", m.device, m.time_ns, (m.lat_deg, m.lon_deg), text, book)
    elif lately is not None:
        _over(source, "replayed", m.time_ns, book)


def _gone_before(passed: bytes) -> bool:
    """Whether the newest steps of a way stand in it before, each another: two that are the same say nothing."""
    newest = passed[-REPLAYED:]
    return passed.find(newest, 0, len(passed) - REPLAYED) >= 0 and len(set(newest)) == REPLAYED


def _again(passed: bytes) -> bool | None:
    """The same; None where nothing can be said: too few, or two are the same."""
    return None if len(passed) < 2 * REPLAYED or len(set(passed[-REPLAYED:])) < REPLAYED else _gone_before(passed)


def _step(
    passed: tuple[bytes, ...], spot: Measurement, m: Measurement, most: tuple[tuple[int, int], ...]
) -> tuple[tuple[bytes, ...], int]:
    """``Source.passed`` after the way from one place to the next, to 1e-7 degrees, and how many of its parts remember it.

    Eight bytes in a row that are right by chance, in a thousand, are one in 10^16.  What is sampled follows from the digits,
    so that a recording is sampled as what was recorded (A. Z. Broder, On the resemblance and containment of documents, 1997).
    """
    north, east = round((m.lat_deg - spot.lat_deg) * 1e7), round((m.lon_deg - spot.lon_deg) * 1e7)
    mixed = ((north & 0xFFFF_FFFF) << 32 | east & 0xFFFF_FFFF) * _MIXES & 0xFFFF_FFFF_FFFF_FFFF
    mixed = (mixed ^ mixed >> 29) * _MIXES & 0xFFFF_FFFF_FFFF_FFFF
    one, sample, remembered = (mixed >> 56).to_bytes(1), mixed >> 40, 0
    for every, _ in most:
        if sample % every:
            break
        remembered += 1
    longer = [(passed[k] + one)[-most[k][1] :] for k in range(remembered)]
    return (*longer, *passed[remembered:]), remembered


def _coarse(m: Measurement) -> bool:
    """Whether a fix lies on a step that is wider than the errors of a receiver."""
    return any(all(abs(x * k - round(x * k)) < 1e-3 for x in (m.lat_deg, m.lon_deg)) for k in COARSE)


#: Odd, so that no two steps are mixed to the same (2^64 over the golden ratio: Knuth, The Art of Computer Programming 3, 6.4;
#: a fold's own, which stays in its snapshot).
_MIXES = 0x9E37_79B9_7F4A_7C15


def _impossible(
    live: LiveTrack, source: Source, m: Measurement, said_mps: float | None, used: bool, book: Book
) -> None:  # fmt: skip
    """Faster than anything that carries a shipment, by its places or in its own words."""
    good = source.good
    stated = said_mps or 0.0
    dt_s, away_m = 0.0, 0.0
    if good is not None:
        stuck, since_ns = live.state.stuck, good.time_ns
        if stuck is not None and stuck[0] == m.device:  # where it was since nobody knows
            since_ns = min(since_ns, stuck[1])
        dt_s, away_m = (m.time_ns - since_ns) / NS, _away_m((good.lat_deg, good.lon_deg), m)
    if stated > ANY_MEANS_MPS or away_m > ANY_MEANS_MPS * dt_s + IMPOSSIBLE_SLACK_M + 3.0 * math.sqrt(m.r_ee):
        source.beyond, source.wild = source.beyond + 1, min(WILD_MOST, source.wild + 2)
        if (source.beyond >= IMPOSSIBLE_COUNT or source.wild >= WILD) and "impossible_speed" not in source.events:
            how = f"says {stated:.0f} m/s" if stated > ANY_MEANS_MPS else f"is {away_m / 1000:.0f} km off after {dt_s:.0f} s"
            text = f"{m.device} {how}: nothing that carries it is so fast"
            _tell(live, source, "impossible_speed", m.device, m.time_ns, (m.lat_deg, m.lon_deg), text, book)
    else:
        source.beyond, source.wild = 0, max(0, source.wild - 1)
        if source.wild < WILD_OVER:
            _over(source, "impossible_speed", m.time_ns, book)
    if used:
        source.good = m


def _leap(source: Source, m: Measurement, outcome: Outcome, top_mps: float) -> Leap | None:
    """Whether a receiver is at once elsewhere, and stays there: with the first fix there that its track goes with."""
    leap = source.leap
    if leap is not None:
        if leap.stays(m):
            if outcome == "refused":
                return None
            source.leap = None
            return leap
        source.leap = None
    good, last, before = source.good, source.last, source.before
    if good is not None and last is not None:
        speed_mps = math.hypot(*source.velocity())
        if before is not None:
            speed_mps = max(speed_mps, _away_m((before.lat_deg, before.lon_deg), last) * NS / (last.time_ns - before.time_ns))
        leap = leapt(good, speed_mps, m, top_mps)
        source.leap = None if leap is not None and before is not None and leap.back(before, m) else leap
    return None


def _well(source: Source, m: Measurement, used: bool, book: Book) -> None:
    """Whether a receiver that was jammed is well again."""
    source.well = source.well + 1 if used else 0
    if source.well >= WELL_COUNT and m.time_ns - source.jammed_ns >= max(WELL_S, WELL_CALLS * source.calls_s) * NS:
        source.jammed_ns = source.well = 0
        _over(source, "jamming", m.time_ns, book)


def _drift(
    live: LiveTrack, sources: Sources, source: Source, m: Measurement, used: bool, alarm: float, book: Book
) -> None:  # fmt: skip
    """The distance to each other receiver, and whether it is another than it was; how far that is, is learnt of used fixes."""
    if "parted" in live.state.open_events:  # it says the same, and more; what they are apart after it is asked anew
        _ends_drifts(sources, m.time_ns, book)
        for told in sources.pairs.values():
            told.count, told.sum, told.one, told.offset = 0, 0.0, 0.0, Offset()
        return
    for name, other in sources.of.items():
        # of a first fix nobody knows whether it is the factory's
        young = source.count < 3 or other.count < 2
        found = None if other is source or other.last is None or young else _apart(source, other.last)
        if found is None:
            continue
        key = "\n".join(sorted((name, m.device)))
        pair = sources.pairs.get(key)
        if pair is None:
            pair = sources.pairs[key] = Pair()
        if found.long_s > OFTEN_S:
            _steadily_off(live, sources, m, key, pair, found, name > m.device, book)
            continue
        learns = used and other.last == other.good
        if pair.count < LEARNT:
            if not learns:
                continue
            pair.count += 1
            pair.apart_m += (found.away_m - pair.apart_m) / pair.count
            pair.speed_mps += (found.speed_mps - pair.speed_mps) / pair.count
            continue
        if _at_one_place(pair, found):
            if pair.event is not None:
                _ends_drifts(sources, m.time_ns, book, pair.event.event_id)
            pair.apart_m, pair.speed_mps, pair.count, pair.sum, pair.one = found.away_m, found.speed_mps, 1, 0.0, 0.0
            continue
        # of clocks that are off it is a way, which ends where it stands
        r = found.r + (OFF_S * (found.speed_mps - pair.speed_mps)) ** 2
        away_m = found.away_m - pair.apart_m
        nis = away_m * away_m / r
        if pair.sum == 0.0:
            pair.since_ns = m.time_ns
        pair.sum = min(max(0.0, pair.sum + min(nis, STEP_MOST) - ALLOWED), 2.0 * alarm)
        if nis < ALLOWED and learns:
            pair.count = min(pair.count + 1, int(MEMORY))
            pair.apart_m += away_m / pair.count
            pair.speed_mps += (found.speed_mps - pair.speed_mps) / pair.count
        if pair.event is not None and pair.sum == 0.0:
            _ends_drifts(sources, m.time_ns, book, pair.event.event_id)
        elif pair.event is None and pair.sum > alarm and abs(away_m) > DRIFT_M:
            evidence = (f"{pair.apart_m:.0f} m apart, {found.away_m:.0f} m after {_seconds(pair.since_ns, m)} s "
                        f"(CUSUM {pair.sum:.0f}, NIS {nis:.0f})")  # fmt: skip
            _tell_drift(live, sources, m, key, pair, evidence, book)


def _at_one_place(pair: Pair, found: Apart) -> bool:
    """Whether two receivers are at one place, and no longer as far apart as they were: a tracker was put on its shipment later
    than it was attached, or what one of them said was never so.

    Nothing drifts there any more, however far apart they were before (else their drift went on for ever).
    """
    away_m = found.away_m - pair.apart_m
    pair.one = max(0.0, pair.one + min(away_m * away_m / found.r, STEP_MOST) - min(found.away_m**2 / found.r, STEP_MOST))
    return pair.one > ALARM


def _steadily_off(
    live: LiveTrack, sources: Sources, m: Measurement, key: str, pair: Pair, found: Apart, second: bool, book: Book
) -> None:  # fmt: skip
    """Of reports that are minutes apart: whether the one receiver is steadily off to one side of the other (``offset``).

    Args:
        second: the difference is of the second by name from the first.
    """
    offset, sign = pair.offset, 1.0 if second else -1.0
    was = offset.off
    offset.learn(sign * found.e_m, sign * found.n_m, found.r + (OFF_S * found.speed_mps) ** 2)
    if offset.off and pair.event is None:
        evidence = f"{offset.far_m:.0f} m apart to the same side, report after report (NIS of the mean {offset.nis:.0f})"
        _tell_drift(live, sources, m, key, pair, evidence, book)
    elif was and not offset.off and pair.event is not None:
        _ends_drifts(sources, m.time_ns, book, pair.event.event_id)


def _ends_drifts(sources: Sources, time_ns: int, book: Book, event_id: str = "") -> None:
    """Every drift of a track is over, or one, which several of its pairs may share; none is told of twice."""
    ended = set()
    for pair in sources.pairs.values():
        if pair.event is not None and event_id in ("", pair.event.event_id):
            if pair.event.event_id not in ended:
                ended.add(pair.event.event_id)
                book.end(pair.event, time_ns)
            pair.over, pair.event = msgspec.structs.replace(pair.event, end_ns=time_ns), None


def _place_at(source: Source, time_ns: int) -> tuple[float, float]:
    """Where a receiver would be at a time, by its newest fix and its velocity there: lat_deg, lon_deg."""
    last, (ve_mps, vn_mps) = source.last, source.velocity()
    assert last is not None
    dt_s = (time_ns - last.time_ns) / NS
    return Plane(lat_deg=last.lat_deg, lon_deg=last.lon_deg).geodetic(ve_mps * dt_s, vn_mps * dt_s)


class Apart(NamedTuple):
    """How far one fix is from where another receiver was then, in all, east and north; the variance of that per axis, m²; how
    fast it went, and the time between the two fixes about it.
    """

    away_m: float
    e_m: float
    n_m: float
    r: float
    speed_mps: float
    long_s: float


def _apart(source: Source, other: Measurement) -> Apart | None:
    """How far another receiver's fix is from where this one was by then, between its two newest fixes.

    None where that fix does not lie between them, or they are too far apart.

    Between, not beyond: where it would have been by the way before is wrong by twice as much when it turned since.
    """
    last, before = source.last, source.before
    if last is None or before is None or not before.time_ns < other.time_ns <= last.time_ns:
        return None
    whole_s, dt_s = (last.time_ns - before.time_ns) / NS, (other.time_ns - before.time_ns) / NS
    if whole_s > SELDOM_S or whole_s <= OFTEN_S and whole_s - dt_s > FRESH_S:
        return None
    part = dt_s / whole_s
    lat = before.lat_deg + part * (last.lat_deg - before.lat_deg)
    lon = before.lon_deg + part * ((last.lon_deg - before.lon_deg + 180.0) % 360.0 - 180.0)
    speed_mps = _away_m((before.lat_deg, before.lon_deg), last) / whole_s
    for m in (last, other):
        if m.ve_mps is not None and m.vn_mps is not None:
            speed_mps = max(speed_mps, math.hypot(m.ve_mps, m.vn_mps))
    near_s = dt_s * (whole_s - dt_s) / whole_s  # about how long it is from the nearer of the two
    # what speeds up for minutes only does so to its speed
    slack_m = ACCELERATION_MPS2 * dt_s * (whole_s - dt_s) / 2.0 if whole_s <= OFTEN_S else ABOUT_MPS * near_s
    # half of the speed may have gone meanwhile: a queue, a bend
    r = max(_r(last), _r(before)) + _r(other) + LASTING_R + speed_mps**2 * (CLOCK_S**2 + (0.5 * near_s) ** 2) + slack_m**2
    e, n = Plane(lat_deg=lat, lon_deg=(lon + 180.0) % 360.0 - 180.0).en(lat_deg=other.lat_deg, lon_deg=other.lon_deg)
    return Apart(_away_m((lat, lon), other), e, n, r, speed_mps, whole_s)


def _tell_drift(
    live: LiveTrack, sources: Sources, m: Measurement, key: str, pair: Pair, evidence: str, book: Book
) -> None:  # fmt: skip
    """Two receivers drift apart: an event; of a third one that was told of already it is the evidence."""
    a, b = key.split("\n")
    for other_key, other in sources.pairs.items():
        shared = set(other_key.split("\n")) & {a, b}
        if other.event is not None and len(shared) == 1:
            [name] = shared
            others = ", ".join(sorted({a, b, *other_key.split("\n")} - shared))
            event = msgspec.structs.replace(other.event, device=name)
            pair.event = other.event = book.again(event, f"{name} drifts from {others}: {evidence}")
            _distrust(live, sources.of[name], "drift", name, m.time_ns, book)
            return
    for name in (a, b):
        _distrust(live, sources.of[name], "drift", name, m.time_ns, book)
    if pair.over is not None and pair.over.end_ns is not None and m.time_ns - pair.over.end_ns < FLAPS_S * NS:
        pair.event = book.again(pair.over, f"{a} and {b} drift apart, again: {evidence}")
        return
    pair.event = book.event(
        "drift", live.state.operation, m.time_ns, track_ids=(live.state.track_id,), device=m.device, lat_deg=m.lat_deg,
        lon_deg=m.lon_deg, text=f"{a} and {b} drift apart, which of them is not known: {evidence}",
    )  # fmt: skip


def _away_m(place: tuple[float, float], m: Measurement) -> float:
    return distance_m(lat1_deg=place[0], lon1_deg=place[1], lat2_deg=m.lat_deg, lon2_deg=m.lon_deg)


def _r(m: Measurement) -> float:
    """The larger variance per axis of a fix, m²."""
    return max(m.r_ee, m.r_nn)


def _seconds(since_ns: int, m: Measurement) -> str:
    return f"{(m.time_ns - since_ns) / NS:.0f}"
