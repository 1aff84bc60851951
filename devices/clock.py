"""Device clocks: what can be told of a stated time without correcting it.  Every format asks here; nothing is corrected.

A clock that was never set counts from where its makers, its chip or its standard begin.  Such a time is none: whoever meets it
says so (``no_fix_time``, the time of the reception) or refuses it (reason ``clock``), as the desk does of all that gets there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from birddog.model import Observation
from birddog.units import NS, ns_from_datetime

DAY_NS = 86_400 * NS
#: The week number of GPS has ten bits: a receiver whose program is too old is so far behind.
ROLLOVER_NS = 1024 * 7 * DAY_NS
#: A time no further behind its reception than this is asked nothing.
NEAR_NS = 90 * DAY_NS


def _ns(year: int, month: int, day: int) -> int:
    return ns_from_datetime(datetime(year, month, day, tzinfo=UTC))


_MINUTES_NS = 600 * NS


class Beginning(NamedTuple):
    """Where clocks that nobody has set begin: such a time may be stated until ``until_ns``, counted on without a fix."""

    from_ns: int
    until_ns: int
    whose: str
    #: So long after its beginning such a time is none by itself, where nobody knows when it was received.
    alone_ns: int = DAY_NS


#: No device of ours was made before 1990, so no time before it was measured.
FIRST_NS = _ns(1990, 1, 1)
#: One row a beginning.  A time within ``alone_ns`` of it is no time by itself; one within ``until_ns`` only beside a reception
#: that is years later, for a log may well be as old as that.  There are archives of whole days since 2006 (AIS: Denmark,
#: MarineCadastre), so that of those days minutes are doubted, not the day.
BEGINNINGS = (
    Beginning(-(2**63), FIRST_NS, "POSIX 1970, FAT and GPS 1980 (IS-GPS-200, 20.3.3.3), two-digit years 80 to 89"),
    Beginning(_ns(1999, 8, 22), _ns(2000, 8, 22), "GPS week 1024 (IS-GPS-200, 20.3.3.3.1.1)"),
    Beginning(_ns(2000, 1, 1), _ns(2001, 1, 1), "real-time clocks after power-on (DS1307, STM32)"),
    Beginning(_ns(2004, 1, 1), _ns(2005, 1, 1), "Teltonika and modems (filipkroca/teltonikaparser#3, AT+CCLK 04/01/01)"),
    Beginning(_ns(2013, 9, 1), _ns(2013, 9, 2), "week base 1756 of u-blox 8 without its backup (mstrens/oXs_on_RP2040#71)",
              _MINUTES_NS),
    Beginning(_ns(2019, 4, 7), _ns(2019, 4, 8), "GPS week 2048", _MINUTES_NS),
)
#: No clock that was never set says a later time than this.
SET_NS = max(row.until_ns for row in BEGINNINGS)
_YEARS_LATER_NS = 5 * 365 * DAY_NS


def unset(time_ns: int, received_ns: int | None = None) -> bool:
    """Whether a stated time is that of a clock which was never set.

    Args:
        received_ns: when it reached us; None where that is not known.
    """
    return time_ns < SET_NS and _beginning(time_ns, received_ns) is not None


def _beginning(time_ns: int, received_ns: int | None) -> Beginning | None:
    """The last beginning from which such a clock may have counted."""
    found = None
    for row in BEGINNINGS:
        if not row.from_ns <= time_ns < row.until_ns:
            continue
        if row is BEGINNINGS[0]:
            known = received_ns is None or received_ns >= FIRST_NS
        elif received_ns is None:
            known = time_ns < row.from_ns + row.alone_ns
        else:
            known = received_ns - time_ns > _YEARS_LATER_NS and not rollover(time_ns, received_ns)
        if known:
            found = row
    return found


def rollover(time_ns: int, received_ns: int | None) -> tuple[str, ...]:
    """The flag ``week_rollover_suspected`` where a time is 1024 weeks (within 90 days) behind its reception; else none."""
    if received_ns is not None and abs(received_ns - time_ns - ROLLOVER_NS) < NEAR_NS:
        return ("week_rollover_suspected",)
    return ()


def undoubted(time_ns: int, received_ns: int) -> bool:
    """Whether ``astray`` has nothing to ask of a stated time, as of nearly every one: near its reception, or of a year in
    which no clock that was never set and no rollover can be."""
    return time_ns > received_ns - NEAR_NS or (time_ns > SET_NS and received_ns - time_ns < ROLLOVER_NS - NEAR_NS)


def corrected(observation: Observation, times: int, latest_ns: int) -> Observation:
    """An observation of a device whose clock is known to be so many times 1024 weeks behind, with its true time and a flag.

    It stays as it is where the device did not state the time, or where the corrected one would be later than ``latest_ns``:
    the receiver has got a new program meanwhile, and its time is right.
    """
    time_ns = observation.time_ns
    if observation.time_source != "device" or time_ns is None or time_ns + times * ROLLOVER_NS > latest_ns:
        return observation
    flags = tuple([flag for flag in observation.flags if flag != "week_rollover_suspected"]) + ("week_rollover_corrected",)
    return msgspec.structs.replace(observation, time_ns=time_ns + times * ROLLOVER_NS, flags=flags)


def received_again(observations: tuple[Observation, ...], times: int) -> tuple[Observation, ...]:
    """What was read as if it had come so many times 1024 weeks earlier: the time of its reception is the true one again."""
    return tuple(
        msgspec.structs.replace(o, time_ns=o.time_ns + times * ROLLOVER_NS)
        if o.time_source == "server" and o.time_ns is not None
        else o
        for o in observations
    )


def astray(time_ns: int, received_ns: int) -> str:
    """Why nothing happened at a stated time: the clock was never set, or its GPS weeks began anew; "" if something may have.

    What to add is proposed in words; nothing is added.
    """
    if undoubted(time_ns, received_ns):
        return ""
    if rollover(time_ns, received_ns):
        days = (received_ns - time_ns) // DAY_NS
        return f"{days} days behind the receiver: its GPS weeks began anew, 1024 weeks more would fit"
    row = _beginning(time_ns, received_ns)
    if row is None:
        return ""
    if row is BEGINNINGS[0]:
        return "its clock was never set: a time before 1990"
    return f"its clock was never set: it counts from {datetime.fromtimestamp(row.from_ns // NS, UTC).date()}"
