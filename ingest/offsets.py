"""How far a device's clock is off that the door refuses, as its own messages have it.

The door asks the warrant at the time at which a position was made.  A clock that is hours off does not say that; three messages
in a row that are off by the same, and come in as fast as their times go on, do: the time that they state less that.  What was
kept and comes in at once is no such message, and neither is the first after a start of the program.
"""

from __future__ import annotations

from typing import NamedTuple

from birddog.units import NS

#: So many in a row are steady, each off by what the one before was, to so much; and they took so long at least.
STEADY, SAME_NS, RUN_NS = 3, 30 * NS, 2 * NS
#: So many devices are remembered, those that were heard last.
MOST = 4096


class _Run(NamedTuple):
    many: int
    by_ns: int
    time_ns: int
    begun_time_ns: int
    begun_ns: int


class Offsets:
    """What is known of the clocks of devices that the door refuses for them; ``after`` each of their messages."""

    def __init__(self) -> None:
        self._of: dict[str, _Run] = {}

    def after(self, device: str, time_ns: int, received_ns: int) -> int | None:
        """When a position was made to which a device gives a time that cannot be; None: that is not known (yet)."""
        old, by_ns = self._of.pop(device, None), time_ns - received_ns
        new = _Run(1, by_ns, time_ns, time_ns, received_ns)
        if old is not None and abs(by_ns - old.by_ns) <= SAME_NS:
            if time_ns == old.time_ns:
                new = old
            elif time_ns > old.time_ns and 2 * (received_ns - old.begun_ns) >= time_ns - old.begun_time_ns - 2 * RUN_NS:
                # what took longer on its way says less of its clock: the greatest of late, which follows it slowly
                by_ns = max(by_ns, old.by_ns + (by_ns - old.by_ns) // 8)
                new = _Run(old.many + 1, by_ns, time_ns, old.begun_time_ns, old.begun_ns)
        self._of[device] = new
        while len(self._of) > MOST:
            del self._of[next(iter(self._of))]
        if new.many < STEADY or received_ns - new.begun_ns < RUN_NS:
            return None
        return min(time_ns - new.by_ns, received_ns)
