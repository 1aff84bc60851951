"""A device whose clock is behind: told from one that sends late what it kept.

A clock that fell back an hour (a summer time, a zone) reports each ten seconds what it dates an hour ago: its times go on as
fast as ours do, always the same time behind.  What was kept in a cellar and comes in at once does not: its times go on much
faster than it arrives.  Reports: transistorsoft/react-native-background-geolocation#422, mendhak/gpslogger#572 and #53.
"""

from __future__ import annotations

import msgspec

from birddog.model import Event
from birddog.units import NS

#: Less than this behind is a slow link, no clock.
BEHIND_NS = 300 * NS
#: Less than this more than ever is no clock's at all.
SMALL_NS = 20 * NS
#: So many messages in a row that are steadily behind are a clock's.
STEADY = 3
#: Steady: within this of the one before.
SAME_NS = 30 * NS


#: How fast what is late by so much is followed: a message that took longer says little of a clock, one that took less more.
SLOWER, QUICKER = 8, 2


def levelled(level_ns: int, by_ns: int) -> int:
    """By how much a clock is ahead of what comes in, of late, after one more message."""
    return level_ns + (by_ns - level_ns) // (QUICKER if by_ns > level_ns else SLOWER)


class Lag(msgspec.Struct, frozen=True):
    """What is known of one device's clock.

    Args:
        time_ns: its newest time; heard_ns: when that came in; 0 of one that is right, of which neither is asked.
        run: messages in a row that were steadily behind; least_ns: by how much at least.
        right: it was right once: what is steadily behind now fell back.
        event: the alert that goes on.
    """

    time_ns: int
    heard_ns: int
    run: int = 0
    least_ns: int = 0
    right: bool = False
    event: Event | None = None

    @property
    def steady(self) -> bool:
        """Whether this is a clock that is behind."""
        return self.run >= STEADY

    @property
    def correction_ns(self) -> int:
        """What is added to its times: 0 but for a clock that was right and fell back.

        One that was behind from the first may be right, and its way long, or ours ahead.
        """
        return self.least_ns if self.steady and self.right else 0


#: A clock that is right: of nearly every device, with every message.
RIGHT = Lag(0, 0, right=True)


def heard(old: Lag | None, time_ns: int, now_ns: int) -> Lag:
    """What is known after one more message that states a time."""
    behind = now_ns - time_ns
    if old is None:
        return RIGHT if behind < BEHIND_NS else Lag(time_ns, now_ns, run=1, least_ns=behind)
    if behind < BEHIND_NS:
        return RIGHT
    on, passed = time_ns - old.time_ns, now_ns - old.heard_ns
    if old.run == 0:
        # the first that is behind: it fell back, or it is the first of what was kept
        return msgspec.structs.replace(old, time_ns=time_ns, heard_ns=now_ns, run=1, least_ns=behind)
    if on == 0:
        return old
    going = on > 0 and passed >= on / 2 and passed <= 2 * on
    if going and abs(behind - old.least_ns) <= max(SAME_NS, on // 2):
        least = min(old.least_ns, behind)
        return msgspec.structs.replace(old, time_ns=time_ns, heard_ns=now_ns, run=min(old.run + 1, 1_000_000), least_ns=least)
    return msgspec.structs.replace(old, time_ns=time_ns, heard_ns=now_ns, run=1, least_ns=behind)
