"""Device clocks: what can be told of a stated time without correcting it."""

from __future__ import annotations

from birddog.units import NS

#: The week number of GPS has ten bits: a receiver whose program is too old is so far behind.
ROLLOVER_NS = 1024 * 7 * 86_400 * NS
_NEAR_NS = 90 * 86_400 * NS


def rollover(time_ns: int, received_ns: int | None) -> tuple[str, ...]:
    """The flag ``week_rollover_suspected`` where a time is 1024 weeks (within 90 days) behind its reception; else none."""
    if received_ns is not None and abs(received_ns - time_ns - ROLLOVER_NS) < _NEAR_NS:
        return ("week_rollover_suspected",)
    return ()
