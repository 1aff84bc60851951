"""What the devices' own clocks agree on, against this machine's: whose is wrong when all of theirs say the same.

One device with a wrong clock is that device's fault, and told of it as such.  When several devices that
have nothing to do with each other agree on one other time, it is ours.  A message is delayed, never early, and
devices that send what they had stored differ from one another and run through their past; a wrong clock of
ours shifts all of them by one amount, which stays.  No I/O and no clock of its own; times are ns UTC.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from statistics import median

import msgspec

from birddog.model import Observation
from birddog.units import NS

#: What was heard longer ago says nothing of now.
WINDOW_NS = 60 * NS
#: So many devices are no accident.
DEVICES = 3
#: This share of those that were heard must agree; the rest may have wrong clocks of their own.
SHARE = 0.8
#: Clocks that are set by a satellite or a network, with what a message takes to arrive, differ by less.
TOGETHER_NS = 30 * NS
#: For so long they must have agreed, before it is said of ours that it is wrong: what runs through a past moves on.
HELD_NS = 10 * NS
#: One sample a device and second, of so many devices; who was heard longest ago goes first.
DEVICES_MOST, SAMPLES_MOST = 1000, 60
#: Where there are more devices than that, each is heard the more seldom: a few say what time it is as well as all.
SAMPLES_A_SECOND = 50


class Agreement(msgspec.Struct, frozen=True):
    """So many devices agree that the time is ours and ``offset_ns`` more (behind ours: negative), since ``held_ns``."""

    devices: int
    offset_ns: int
    held_ns: int


class Consensus:
    """Collects offsets of devices' clocks from this machine's."""

    __slots__ = ("_heard", "last_ns", "pause_ns")

    def __init__(self) -> None:
        self._heard: OrderedDict[str, deque[tuple[int, int]]] = OrderedDict()
        self.last_ns: dict[str, int] = {}  # when each of them was heard last: asked of every message
        self.pause_ns = NS

    def due(self, device: str, wall_ns: int) -> bool:
        """Whether a sample of this device is wanted: one a second is enough, and of many devices not even that."""
        last_ns = self.last_ns.get(device)
        return last_ns is None or not -self.pause_ns < wall_ns - last_ns < self.pause_ns

    def heard(self, device: str, wall_ns: int, offset_ns: int) -> None:
        """A message of an admitted device arrived at ``wall_ns`` of our clock, and its own said so much more."""
        samples = self._heard.get(device)
        if samples is None:
            samples = self._heard[device] = deque(maxlen=SAMPLES_MOST)
            if len(self._heard) > DEVICES_MOST:
                gone, _ = self._heard.popitem(last=False)
                del self.last_ns[gone]
            self.pause_ns = max(NS, len(self._heard) * NS // SAMPLES_A_SECOND)
        else:
            self._heard.move_to_end(device)
        samples.append((wall_ns, offset_ns))
        self.last_ns[device] = wall_ns

    def forget(self) -> None:
        """Our clock was set: what was heard before was measured against another one."""
        self._heard.clear()
        self.last_ns.clear()
        self.pause_ns = NS

    def judge(self, wall_ns: int) -> Agreement | None:
        """What the devices heard lately agree on; None where they do not, or there are none."""
        recent = {
            device: kept for device, samples in self._heard.items()
            if (kept := [(at_ns, offset_ns) for at_ns, offset_ns in samples if 0 <= wall_ns - at_ns <= WINDOW_NS])
        }
        if not recent:
            return None
        offset_ns = int(median(median(offset_ns for _, offset_ns in kept) for kept in recent.values()))
        agree = [kept for kept in recent.values() if all(abs(o - offset_ns) <= TOGETHER_NS for _, o in kept)]
        if len(agree) < SHARE * len(recent):
            return None
        times = [at_ns for kept in agree for at_ns, _ in kept]
        return Agreement(devices=len(agree), offset_ns=offset_ns, held_ns=max(times) - min(times))


def stated(observations: Sequence[Observation]) -> Observation | None:
    """The observation of a message that says what time it is for its device now: the newest that is not of its store."""
    found, newest_ns = None, -1
    for observation in observations:
        time_ns = observation.time_ns
        if time_ns is not None and time_ns > newest_ns and observation.time_source == "device" and not (
                observation.flags and "backlog" in observation.flags):
            found, newest_ns = observation, time_ns
    return found
