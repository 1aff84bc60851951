"""What devices state of themselves beside where they are: names, voltages, temperatures; of each quantity the newest."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from birddog.model import Value

#: Facts kept of one device.
MOST = 64
#: Of whoever stated some so many are forgotten for an entry.
FORGOTTEN_EACH = 256


class Facts(msgspec.Struct):
    """The last value of each quantity that a device stated of itself.

    Args:
        times: the observation times of those: what is newer stays, whatever comes in later.
        heard_ns: when the device last stated one.
    """

    values: dict[str, Value] = {}
    times: dict[str, int] = {}
    heard_ns: int = 0


def keep_fact(of: dict[str, Facts], device: str, name: str, value: Value, time_ns: int, now_ns: int) -> None:
    """A device stated something of itself: the newest observation of a quantity stays, whatever comes in later.

    Args:
        of: by device, in the order in which they last stated one.
    """
    facts = of.pop(device, None) or Facts()
    of[device] = facts
    facts.heard_ns = now_ns
    time_ns = min(time_ns, now_ns)  # a clock that is ahead must not hide what is stated after it was put right
    if time_ns >= facts.times.get(name, time_ns) and (name in facts.values or len(facts.values) < MOST):
        facts.values[name], facts.times[name] = value, time_ns


def prune_facts(of: dict[str, Facts], followed: Container[str], before_ns: int, now_ns: int) -> None:
    """Of whoever has no track and said nothing for long nothing is kept.

    Args:
        followed: the keys of the tracks that there are.
    """
    for _ in range(min(FORGOTTEN_EACH, len(of))):
        device, known = next(iter(of.items()))
        if known.heard_ns >= before_ns:
            return
        del of[device]
        if "d:" + device in followed:  # it is asked again in a while, when its track may have ended
            of[device], known.heard_ns = known, now_ns
