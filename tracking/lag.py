"""A device whose clock is behind: told from one that sends late what it kept.

A clock that fell back an hour (a summer time, a zone) reports each ten seconds what it dates an hour ago: its times go on as
fast as ours do, always the same time behind.  What was kept in a cellar and comes in at once does not: its times go on much
faster than it arrives; unless its link drains the store, the oldest first, hardly faster than it grows: times go on from where
they were, and the lag shrinks.  What may be such a store is a clock's only when that has not shrunk for long, and is drawn as
old even then.  Reports: transistorsoft/react-native-background-geolocation#422, mendhak/gpslogger#572 and #53.
"""

from __future__ import annotations

import msgspec

from birddog.model import Event
from birddog.units import NS

#: Less than this behind is a slow link, no clock.
BEHIND_NS = 300 * NS
#: Less than this more than ever is no clock's at all.
SMALL_NS = 20 * NS
#: What reports steadily falls back by so much, where its messages are so much later than they were and no slower.
LITTLE_NS = 4 * NS
#: So many messages in a row that are steadily behind are a clock's.
STEADY = 3
#: The same of one that is behind by less than BEHIND_NS: messages that take up to half a minute are alike now and then.
STEADY_SMALL = 4
#: Steady: within this of the one before.
SAME_NS = 30 * NS
#: The same of one that fell back by less than BEHIND_NS, for which so much is little; of less than SMALL_NS.
SMALL_SAME_NS, LITTLE_SAME_NS = 5 * NS, 2 * NS
#: A run takes so long at least: what comes in at once was kept.
RUN_NS = 2 * NS
#: So much later than its messages were, without its times having gone back: its device may have kept it.
STORE_NS = 60 * NS
#: A store that drains is no clock's: one is told only of what takes so long, and gets less late by no more than so much, or
#: than a part of that time.
STORE_RUN_NS, DRAINS_NS, DRAINS_PART = 120 * NS, 4 * NS, 50
#: So often it only seemed to have fallen back a little, and its messages come in any order: it is not asked any more.
SPOILT_MOST = 6
#: So much less than its times go on they go on when it falls back.
LESS_NS = 15 * NS
#: Of each message of a run the time that it stated, and where.
Held = tuple[tuple[int, float, float], ...]
#: How fast what is late by so much is followed: a message that took longer says little of a clock, one that took less more.
SLOWER, QUICKER = 8, 2


def levelled(level_ns: int, by_ns: int) -> int:
    """By how much a clock is ahead of what comes in, of late, after one more message."""
    return level_ns + (by_ns - level_ns) // (QUICKER if by_ns > level_ns else SLOWER)


class Lag(msgspec.Struct, frozen=True):
    """What is known of one device's clock.

    Args:
        time_ns: its newest time; heard_ns: when that came in; 0 of one that is right, of which neither is asked.
        run: messages in a row that were steadily behind; least_ns: by how much, of late; begun_ns: when the first came in.
        right: it was right once: what is steadily behind now fell back.
        event: the alert that goes on.
        way_ns: what its messages take while it is right, where that is long.
        spoilt: how often something was late as if it had fallen back a little, and it had not.
        known_ns: how far it fell back, and its way.
        store: its times did not go back: it may be a store that drains; first_ns: by how much the first of the run was behind.
        held: the messages of the run: the time that each stated, and where.
        long: its messages took long from the first on, and none of them did not: nothing says that it ever was right.
    """

    time_ns: int
    heard_ns: int
    run: int = 0
    least_ns: int = 0
    right: bool = False
    event: Event | None = None
    way_ns: int = 0
    spoilt: int = 0
    begun_ns: int = 0
    known_ns: int = 0
    held: Held = ()
    store: bool = False
    first_ns: int = 0
    long: bool = False

    @property
    def steady(self) -> bool:
        """Whether this is a clock that is behind."""
        if self.store:
            return self.run >= STEADY and self.heard_ns - self.begun_ns >= STORE_RUN_NS
        if self.least_ns >= BEHIND_NS:
            return self.run >= STEADY
        return self.run >= STEADY_SMALL + 2 * self.spoilt and self.heard_ns - self.begun_ns >= RUN_NS

    @property
    def is_small(self) -> bool:
        """Whether it is behind by so little that a slow way is likelier, unless its times went back."""
        return self.run > 0 and self.least_ns < BEHIND_NS

    @property
    def small_ns(self) -> int:
        """It is right again where its messages take no more than so much longer than they did."""
        return min(SMALL_NS, (self.first_ns - self.way_ns) // 2)

    @property
    def same_ns(self) -> int:
        """How much one that fell back a little may differ from one message to the next."""
        return SMALL_SAME_NS if self.first_ns - self.way_ns >= SMALL_NS else LITTLE_SAME_NS

    @property
    def correction_ns(self) -> int:
        """What is added to its times: 0 but for a clock that was right and fell back.

        One that was behind from the first may be right, and its way long, or ours ahead.
        """
        return self.known_ns - self.way_ns if self.run and self.known_ns else 0


#: A clock that is right: of nearly every device, with every message.
RIGHT = Lag(0, 0, right=True)


def right_at(behind_ns: int, spoilt: int = 0, *, long: bool = False) -> Lag:
    """A clock that is right, whose message took so long; ``long``: as all before it did."""
    if behind_ns < SMALL_NS:
        return Lag(0, 0, right=True, spoilt=spoilt) if spoilt else RIGHT
    return Lag(0, 0, right=True, way_ns=behind_ns, spoilt=spoilt, long=long)


def spoilt(lag: Lag, behind_ns: int) -> Lag:
    """It only seemed to have fallen back a little."""
    return right_at(behind_ns, lag.spoilt + 1, long=lag.long)


def heard(
    old: Lag | None, time_ns: int, now_ns: int, *, back: bool = False, way_ns: int = 0, least_ns: int = SMALL_NS
) -> Lag:
    """What is known after one more message that states a time.

    Args:
        back: its times went back, or on by much less than they do: it is no longer way that makes it late.
        way_ns: what its messages took last; least_ns: less than this more is no clock's.
    """
    behind = now_ns - time_ns
    if old is None:
        return right_at(behind, long=True) if behind < BEHIND_NS else Lag(
            time_ns, now_ns, run=1, least_ns=behind, begun_ns=now_ns, store=True, first_ns=behind, long=True
        )  # fmt: skip
    fell = msgspec.structs.replace(
        old, time_ns=time_ns, heard_ns=now_ns, run=1, least_ns=behind, begun_ns=now_ns, first_ns=behind
    )
    if old.run == 0:
        # the first that is behind: it fell back, or it is the first of what was kept
        if behind >= BEHIND_NS or (back and behind - old.way_ns >= least_ns and old.spoilt < SPOILT_MOST):
            # what became late little by little until it is so late is a clock that goes slow, and had the way that it had
            store = not back and (old.long or behind - old.way_ns >= STORE_NS)
            return msgspec.structs.replace(fell, way_ns=old.way_ns or way_ns if behind < BEHIND_NS else way_ns, store=store)
        if old.way_ns and -SMALL_NS < behind - old.way_ns < 0 and behind < SMALL_NS:  # not all of them take so long
            return old
        return right_at(behind, old.spoilt, long=old.long)
    known = old.known_ns and abs(behind - old.least_ns) <= SAME_NS  # one of 300 s is no other clock at 299
    least_ns = BEHIND_NS - SMALL_NS if old.long else BEHIND_NS  # a way that is about so long is no other clock now and then
    if behind < (old.way_ns + old.small_ns if old.is_small or known else least_ns):
        return right_at(behind, old.spoilt + (old.is_small and not old.known_ns), long=old.long)
    on, passed = time_ns - old.time_ns, now_ns - old.heard_ns
    if on == 0:
        return old
    going = on > 0 and passed >= on / 2 and passed <= 2 * on + RUN_NS
    if going and old.store and old.first_ns - behind > max(DRAINS_NS, (now_ns - old.begun_ns) // DRAINS_PART):
        return fell  # it drains
    if going and abs(behind - old.least_ns) <= (old.same_ns if old.is_small else max(SAME_NS, on // 2)):
        least = -levelled(-old.least_ns, -behind)
        lag = msgspec.structs.replace(old, time_ns=time_ns, heard_ns=now_ns, run=min(old.run + 1, 1_000_000), least_ns=least)
        return msgspec.structs.replace(lag, known_ns=least) if lag.steady and lag.right and not lag.store else lag
    if old.is_small and not old.known_ns:
        return right_at(behind, old.spoilt + 1, long=old.long) if behind < BEHIND_NS else fell
    return fell
