"""Device clocks: what can be told of a stated time without correcting it."""

from __future__ import annotations

from birddog.units import NS

#: The week number of GPS has ten bits: a receiver whose program is too old is so far behind.
ROLLOVER_NS = 1024 * 7 * 86_400 * NS
_NEAR_NS = 90 * 86_400 * NS
#: 1990: a clock that states an earlier time was never set (it counts from 1970, from 1980).
_UNSET_NS = 631_152_000 * NS


def rollover(time_ns: int, received_ns: int | None) -> tuple[str, ...]:
    """The flag ``week_rollover_suspected`` where a time is 1024 weeks (within 90 days) behind its reception; else none."""
    if received_ns is not None and abs(received_ns - time_ns - ROLLOVER_NS) < _NEAR_NS:
        return ("week_rollover_suspected",)
    return ()


def astray(time_ns: int, received_ns: int) -> str:
    """Why nothing happened at a stated time: the clock was never set, or its GPS weeks began anew; "" if something may have.

    What to add is proposed in words; nothing is added.
    """
    if rollover(time_ns, received_ns):
        days = (received_ns - time_ns) // (86_400 * NS)
        return f"{days} days behind the receiver: its GPS weeks began anew, 1024 weeks more would fit"
    if time_ns < _UNSET_NS <= received_ns - _NEAR_NS:
        return "its clock was never set: a time before 1990"
    return ""
