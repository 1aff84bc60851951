"""Passive tags that readers hear at the same moments: they are on one thing, or one of them stayed at the reader.

A look shows a lorry once, whatever is on it: one of its tags goes by what looks see of it (it is *carried*), and no look says
anything of the others.  What readers say of them:

- One that was read beside another at two readers that are apart, and that looks show once, is on what carries that one.
- After the first such pass nobody knows who of them went on.  So the row of each of them, also of the one that is carried, says
  both: it goes with the carrier, or it stayed at the reader.  So it is, too, once the carrier stood for as long as it takes to
  unload.
- What was read no more while the other still was, or is not read where the other is read next, was rather left where it was
  read last; what was read on is at the reader, and no company.
- Two that look like two to the looks, each carried by its own, are two; if their reads lay in one another, which of the two
  each is on nobody knows until it is read again.

Only rows (``companions``) and who is asked at a look follow from it: a tag's own filter stays where its own reads and sightings
have it, so that it is right again when the company ends.  What a pass is does not depend on the order in which reads come in.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from birddog.units import NS
from tracking.anchor import away_m
from tracking.assign import Spot
from tracking.measurement import Measurement

#: A reader's reads of a tag are one pass unless it was not heard for so long; so many passes are remembered of a tag.
PASS_NS, PASSES = 60 * NS, 8
#: Last heard by a reader within so long, two left it together; still heard so long after the other was, it stayed behind that.
TOGETHER_NS, LONGER_NS = 3 * NS, 15 * NS
#: Readers further apart, m, are two places: what is read at both has been under way.
PLACES_M = 200.0
#: What stands for so long may be unloaded; it stands within so many m of where it began to.
HALT_NS, STANDS_M = 60 * NS, 30.0
#: Two that looks have shown so often in one look are two.
TWICE = 2
#: What a halt put down, or looks have lost, may have driven off since, at about this speed, m/s.
OFF_MPS = 12.0
#: What no look has shown for so many of them, and so many s, looks have lost: what rides on it may be about where it was read.
LOST_LOOKS, LOST_S = 2.5, 15.0
#: What looks showed of a tag is kept for so long.
KEPT_NS = 3600 * NS
#: Read without it so often since, the other says nothing of it any more.
GONE = 3
#: So many that are not carried are asked of a reader; the rows of so many are told when that of what carries them is.
ASKED, SHOWN = 4, 100
#: What stays at a reader stays within so many m of it (one sigma).
STAYS_M = 30.0


class Pass(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A reader heard a tag from a time to another."""

    reader: str
    first_ns: int
    last_ns: int
    lat_deg: float
    lon_deg: float
    r: float


class Halt(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where something that looks carry is and since when, when it was seen there last; (when, where) it last stood long."""

    lat_deg: float
    lon_deg: float
    r: float
    since_ns: int
    seen_ns: int
    stood: tuple[int, float, float] = (0, 0.0, 0.0)


class Place(msgspec.Struct, frozen=True):
    """Where a tag may be: at a reader (or where its carrier stood), or with a track."""

    track_id: str = ""
    name: str = ""
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    r: float = 0.0


class Company(msgspec.Struct, frozen=True):
    """Where a tag is by those that were read beside it.  One that goes with another for sure *rides*.

    Args:
        at: the likelier place; its own track where that is as its own filter has it.
        may: where it may be instead; None: nowhere.
        aside: it takes no sightings: those that are of its carrier are another's.
    """

    at: Place
    may: Place | None
    aside: bool

    @property
    def rides_on(self) -> str:
        """The track that it is on, where that is sure and not its own; else empty."""
        return self.at.track_id if self.aside and self.may is None else ""


class Tag(msgspec.Struct, frozen=True):
    """A passive tag at a time.

    Args:
        seen_ns: when a look last showed it; 0: never.
    """

    track_id: str
    passes: list[Pass]
    seen_ns: int

    @property
    def carried(self) -> bool:
        """Whether looks have shown it since it was read."""
        return self.seen_ns > self.passes[-1].last_ns


# --- passes ----------------------------------------------------------------------------------------


def with_read(passes: list[Pass], m: Measurement) -> list[Pass]:
    """The passes of a tag with one read more, in order of time."""
    one = Pass(m.device, m.time_ns, m.time_ns, m.lat_deg, m.lon_deg, m.r_ee)
    rest = []
    for old in passes:
        if old.reader == one.reader and old.first_ns - PASS_NS <= one.last_ns and one.first_ns <= old.last_ns + PASS_NS:
            one = msgspec.structs.replace(
                one, first_ns=min(old.first_ns, one.first_ns), last_ns=max(old.last_ns, one.last_ns)
            )
        else:
            rest.append(old)
    return sorted([*rest, one], key=lambda a: (a.last_ns, a.reader))[-PASSES:]


def by_then(passes: list[Pass], time_ns: int) -> list[Pass]:
    """The passes as they were at a time."""
    if not passes or passes[-1].last_ns <= time_ns:
        return passes
    some = [msgspec.structs.replace(a, last_ns=min(a.last_ns, time_ns)) for a in passes if a.first_ns <= time_ns]
    return sorted(some, key=lambda a: (a.last_ns, a.reader))


class Readers:
    """Whom each reader heard, in order of when it last did."""

    def __init__(self) -> None:
        self._heard: dict[str, list[tuple[int, str]]] = {}

    def change(self, key: str, old: list[Pass], new: list[Pass]) -> None:
        """The passes of a track are others."""
        for a in old:
            if a not in new:
                some = self._heard[a.reader]
                del some[bisect.bisect_left(some, (a.last_ns, key))]
                if not some:
                    del self._heard[a.reader]
        for a in new:
            if a not in old:
                bisect.insort(self._heard.setdefault(a.reader, []), (a.last_ns, key))

    def about(self, reader: str, time_ns: int, most: int = ASKED) -> list[str]:
        """So many of those that a reader last heard at about a time or later, the earliest first."""
        some = self._heard.get(reader, [])
        at = bisect.bisect_left(some, (time_ns - TOGETHER_NS, ""))
        return [key for _, key in some[at : at + most]]


# --- who is on what --------------------------------------------------------------------------------


class _Beside(msgspec.Struct, frozen=True):
    """What two tags are to each other at the last pass of the first.

    Args:
        its: the other's pass there.
        left: both came at once, and it was read no more while the other still was; together: they were heard last together;
            else their reads lay in one another.
        passes: how many places heard them together; first_ns: since when.
        since: the other's passes at other places since.
    """

    other: Tag
    its: Pass
    left: bool
    together: bool
    passes: int
    first_ns: int
    since: list[Pass]


def company(
    mine: Tag, others: list[Tag], halts: dict[str, Halt], two: dict[str, tuple[int, ...]], time_ns: int, gap_s: float = 0.0
) -> Company | None:
    """Where a tag is by those that were read beside it; None: as its own filter has it, for nobody was, or that is sure.

    Args:
        halts: of what looks carry, where it stood; two: of pairs of tracks (``pair``), the looks that showed both.
        gap_s: the time between looks.
    """
    beside = [b for other in others if other.track_id != mine.track_id and (b := _beside(mine, other)) is not None]
    if not beside:
        return None
    own, last = Place(mine.track_id), mine.passes[-1]
    stays = Place("", last.reader, last.lat_deg, last.lon_deg, last.r + STAYS_M**2)
    b = max(beside, key=lambda b: (b.together or b.left, len(b.since), b.other.seen_ns, b.other.track_id))
    about = msgspec.structs.replace(stays, r=stays.r + (OFF_MPS * (time_ns - last.last_ns) / NS) ** 2)
    if b.since and not (b.together or b.left):  # which of two it was on is known of the other: it may go by that one's
        return Company(own, about, False) if mine.carried and len(_places(mine.passes)) < 2 else None
    if b.since:  # the other is better known: it was read since
        its = Place(b.other.track_id)
        if b.passes < 2 or b.left:
            return Company(stays, its if len(b.since) < GONE else None, True)
        # it was under way with it, and got off on the way to where that was read next, if it did
        halt = _halt(halts, (mine, b.other), last.last_ns, b.since[0].first_ns, time_ns)
        way_m = away_m(last.lat_deg, last.lon_deg, b.since[0].lat_deg, b.since[0].lon_deg)
        way = msgspec.structs.replace(stays, r=stays.r + way_m**2)
        if halt is None and len(b.since) == 1:
            return Company(its, way, True)
        return Company(halt or way, its if len(b.since) < GONE else None, True)
    left = [b for b in beside if b.left]
    if left:
        b = max(left, key=lambda b: (b.other.seen_ns, b.its.last_ns, b.other.track_id))
        if time_ns - b.its.last_ns < LONGER_NS:  # that one still is there, and so is what looks show there
            at = halts.get(mine.track_id) if mine.carried else None
            gone = at is not None and away_m(at.lat_deg, at.lon_deg, last.lat_deg, last.lon_deg) > PLACES_M / 2.0
            return None if gone else Company(own, None, True)
        if b.other.carried:
            return Company(stays, Place(b.other.track_id), True)
        return Company(own, stays, False) if mine.carried else None
    apart = [b for b in beside if b.other.carried and _are_two(mine, b, two)]
    together = [b for b in beside if b.together and b not in apart]
    # of those that surely are on one thing it is the one that looks showed last, also before they see it again
    carriers = [b for b in together if b.other.seen_ns > mine.seen_ns and (b.other.carried or b.passes > 1)]
    if mine.carried and apart and len(_places(mine.passes)) < 2:
        b = max(apart, key=lambda b: (b.other.seen_ns, b.other.track_id))
        return Company(own, Place(b.other.track_id), False)
    if carriers:
        b = max(carriers, key=lambda b: (b.passes, b.other.seen_ns, b.other.track_id))
        its = Place(b.other.track_id)
        if b.passes < 2:
            return Company(its, stays, False)
        halt = _halt(halts, (mine, b.other), last.last_ns, time_ns, time_ns)
        lost = time_ns - max(b.other.seen_ns, last.last_ns) > max(LOST_S, LOST_LOOKS * gap_s) * NS
        return Company(its, halt or (about if lost else None), True)
    if mine.carried and together:
        if len(_places(mine.passes)) < 2:
            return Company(own, stays, False)
        halt = _halt(halts, (mine,), last.last_ns, time_ns, time_ns)
        return None if halt is None else Company(own, halt, False)
    return None


def _halt(halts: dict[str, Halt], of: tuple[Tag, ...], after_ns: int, to_ns: int, time_ns: int) -> Place | None:
    """Where what carries these last stood for long between two times: what was put down there is there, or drove off."""
    some = [h for tag in of if (h := halts.get(tag.track_id)) is not None and after_ns < h.stood[0] <= to_ns]
    if not some:
        return None
    halt = max(some, key=lambda h: h.stood)
    gone_m = OFF_MPS * (time_ns - halt.stood[0]) / NS
    return Place("", "halt", halt.stood[1], halt.stood[2], halt.r + STAYS_M**2 + gone_m**2)


def pair(one: str, other: str) -> str:
    """Two tracks as one name."""
    return f"{min(one, other)} {max(one, other)}"


def _are_two(mine: Tag, b: _Beside, two: dict[str, tuple[int, ...]]) -> bool:
    seen = two.get(pair(mine.track_id, b.other.track_id), ())
    return len(seen) >= TWICE and seen[-TWICE] > b.first_ns


def _beside(mine: Tag, other: Tag) -> _Beside | None:
    """What another tag is to one; None: nothing."""
    last, its = mine.passes[-1], None
    for a in other.passes:
        if a.reader == last.reader and (its is None or abs(a.last_ns - last.last_ns) < abs(its.last_ns - last.last_ns)):
            its = a
    if its is None or not _meet(its, last) or its.last_ns <= last.last_ns - LONGER_NS:
        return None
    joint = [a for a in mine.passes if any(_together(a, o) for o in other.passes)]
    begun_ns = joint[0].first_ns if joint else last.first_ns
    passes = len(_places(joint))
    if passes > 1:
        alone = sum(begun_ns < a.first_ns and a not in joint for a in mine.passes)
        alone += sum(begun_ns < a.first_ns < last.first_ns and not any(_together(a, o) for o in joint) for a in other.passes)
        passes = passes if passes > alone else 1
    end_ns = max(its.last_ns, last.last_ns)
    since = [a for a in other.passes if a.first_ns > end_ns and _apart(a, last)]
    left = abs(its.first_ns - last.first_ns) <= LONGER_NS and its.last_ns >= last.last_ns + LONGER_NS
    return _Beside(other, its, left, _together(its, last), passes, begun_ns, _places(since))


def met(one: Tag, other: Tag) -> bool:
    """Whether a reader ever heard two tags last together."""
    return any(_together(a, b) for a in one.passes for b in other.passes)


def _together(a: Pass, b: Pass) -> bool:
    """Whether a reader heard two last together."""
    return a.reader == b.reader and abs(a.last_ns - b.last_ns) <= TOGETHER_NS


def _meet(a: Pass, b: Pass) -> bool:
    """Whether two passes by one reader end together or lie in one another."""
    return abs(a.last_ns - b.last_ns) <= TOGETHER_NS or (a.first_ns <= b.last_ns and b.first_ns <= a.last_ns)


def _places(passes: list[Pass]) -> list[Pass]:
    """Those of some passes that are at another place than the one before."""
    found: list[Pass] = []
    for a in passes:
        if not found or _apart(found[-1], a):
            found.append(a)
    return found


def _apart(a: Pass, b: Pass) -> bool:
    return a.reader != b.reader and away_m(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg) > PLACES_M


# --- what looks say of it --------------------------------------------------------------------------


def halted(old: Halt | None, spot: Spot, time_ns: int) -> Halt:
    """Where something stands, after a look that showed it."""
    r = max(spot.r_ee, spot.r_nn)
    if old is None or away_m(old.lat_deg, old.lon_deg, spot.lat_deg, spot.lon_deg) > max(STANDS_M, 3.0 * math.sqrt(r + old.r)):
        stood = (0, 0.0, 0.0) if old is None else old.stood
        return Halt(spot.lat_deg, spot.lon_deg, r, time_ns, time_ns, stood)
    stood = old.stood if time_ns - old.since_ns < HALT_NS else (time_ns, old.lat_deg, old.lon_deg)
    return msgspec.structs.replace(old, seen_ns=time_ns, stood=stood)


def looked(
    halts: dict[str, Halt], two: dict[str, tuple[int, ...]], shown: list[tuple[str, list[Pass], Spot]], time_ns: int
) -> tuple[dict[str, Halt], dict[str, tuple[int, ...]]]:
    """``Crowd.halts`` and ``Crowd.two`` after a look that showed these passive tags: (track, passes, sighting)."""
    if not shown:
        return halts, two
    halts = {one: h for one, h in halts.items() if time_ns - h.seen_ns < KEPT_NS}
    two = {name: seen for name, seen in two.items() if time_ns - seen[-1] < KEPT_NS}
    for track_id, _, spot in shown:
        halts[track_id] = halted(halts.get(track_id), spot, time_ns)
    for i, (one, mine, here) in enumerate(shown):
        for other, its, there in shown[:i]:
            if here is not there and any(a.reader == b.reader and _meet(a, b) for a in mine for b in its):
                name = pair(one, other)
                two[name] = (*two.get(name, ()), time_ns)[-TWICE:]
    return halts, two
