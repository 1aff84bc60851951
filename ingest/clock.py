"""The journal's clock: where the time of an entry comes from (rule 3 of the house).  Times are ns UTC.

An entry's time comes from one of three places, the ``kind`` of the clock:

``wall``      the machine's clock: a live run;
``messages``  the newest time that a message states: a scenario that is played faster than life;
``frames``    the time with which the transport stamped the frame: a capture of old.

The clock never runs backwards by itself.  Three things may be wrong with the machine's, and each has its answer:

* The devices agree on another time than the machine (``ingest.consensus``).  That is said to the operator; nothing else
  changes, for many devices may be wrong together.
* The devices agree with the machine, and the journal is ahead of both.  The journal was written while the machine's clock
  was wrong, and it has been put right since: the journal's clock is set back, by an entry ``clock`` of its own.
* The machine's clock is set while we run (``stepped``).  No time has passed, so the journal's clock goes on as it went: a
  day that was not must not end tracks, and an hour that comes again must not refuse everybody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from birddog.model import Frame, Observation
from birddog.units import NS
from ingest.consensus import DEVICES, HELD_NS, TOGETHER_NS, WINDOW_NS, Agreement, Consensus, stated

Kind = Literal["wall", "messages", "frames"]

log = logging.getLogger(__name__)

#: A device time further ahead of ours than this is refused (reason clock).
SKEW_NS = 600 * NS
#: With the clock of the messages, one message may move time on by at most this.
LEAP_NS = 86_400 * NS
#: A machine's clock that differs by less from what the devices agree on is good enough.
WRONG_NS = 60 * NS
#: The devices are asked so often while nothing is wrong, and every second while something may be (500 of them: 1 ms).
ASKED_NS = 5 * NS
#: What 64 bits of nanoseconds hold: the journal's times.
_LAST_NS = 2**63


class Clock:
    """``now_ns`` is the journal's time: that of its newest entry, or what came after it.

    Args:
        last_ns: the time of the journal's last entry, 0 in an empty one.
    """

    __slots__ = ("_agreed", "_consensus", "_judged_ns", "_set_back", "_shift_ns", "_since_ns", "_stepped_ns", "_wall_ns",
                 "kind", "now_ns")

    def __init__(self, kind: Kind, last_ns: int):
        self.kind = kind
        self.now_ns = self._wall_ns = last_ns
        self._shift_ns = 0  # from the machine's clock to the journal's, where the former was set
        self._stepped_ns = 0  # the journal's time when that happened
        self._consensus = Consensus()
        self._agreed: Agreement | None = None
        self._judged_ns = self._since_ns = 0  # by the machine's clock: when the devices were asked, since when it was not set
        self._set_back: tuple[int, int] | None = None

    def see(self, wall_ns: int) -> None:
        """Take note of the machine's clock; called before anything is written."""
        self._wall_ns = wall_ns
        if self.kind == "wall":
            self._since_ns = self._since_ns or wall_ns
            if abs(wall_ns - self._judged_ns) >= (ASKED_NS if self._well() else NS):
                self._judged_ns = wall_ns
                self._agreed = self._consensus.judge(wall_ns)
                self._believe(self._agreed)
            self.now_ns = max(self.now_ns, wall_ns + self._shift_ns)

    def _well(self) -> bool:
        """The journal goes by the machine's clock, and when the devices were last asked they agreed with it."""
        agreed = self._agreed
        return (agreed is not None and -TOGETHER_NS < agreed.offset_ns < TOGETHER_NS
                and self._shift_ns == 0 and self.now_ns - self._wall_ns < NS)

    def _believe(self, agreed: Agreement | None) -> None:
        """Follow the machine's clock where the devices say the same: at once where they are several, in a minute where
        those are all that there are."""
        if agreed is None or abs(agreed.offset_ns) > TOGETHER_NS:
            return
        ahead_ns = self.now_ns - self._wall_ns
        if self._shift_ns == 0 and ahead_ns <= WRONG_NS:
            return
        if agreed.devices < DEVICES and self._wall_ns - self._since_ns < WINDOW_NS:
            return
        log.warning("%d devices agree with the machine's clock: the journal takes it over", agreed.devices)
        self._shift_ns = 0
        if ahead_ns > WRONG_NS:
            self._set_back = self.now_ns, self._wall_ns
            self.now_ns = self._wall_ns

    def was_set_back(self) -> tuple[int, int] | None:
        """(from, to) when the journal's clock was set back since this was last asked: an entry has to say so first."""
        told, self._set_back = self._set_back, None
        return told

    def stepped(self, step_ns: int) -> None:
        """The machine's clock was set ahead by so much (back: negative).

        The journal's does not follow till the next start, or, where it was set ahead, till a device says the same.
        """
        if self.kind != "wall":
            return
        self._shift_ns -= step_ns
        if abs(self._shift_ns) < NS:
            self._shift_ns = 0  # it was set to where it had been
        self._stepped_ns = self.now_ns
        self._consensus.forget()
        self._agreed, self._since_ns = None, self._wall_ns + step_ns
        log.warning("the machine's clock was set %s by %d s; the journal's time goes on as it went",
                    "ahead" if step_ns > 0 else "back", abs(step_ns) // NS)

    def arrived(self, frame: Frame) -> int | None:
        """When a frame was received, as its decoder is told: what waited while the clock was set came just before that."""
        if self.kind == "messages":
            return self.now_ns or None
        return self._by_ours(frame) if self._shift_ns else frame.received_ns

    def _by_ours(self, frame: Frame) -> int:
        return max(frame.received_ns + self._shift_ns, self._stepped_ns)

    def at_once(self, frame: Frame, observations: tuple[Observation, ...]) -> int | None:
        """What ``received`` answers where nothing has to be asked for it, as of nearly every message; else None."""
        received_ns = frame.received_ns
        if self.kind != "wall" or self._shift_ns:
            return None
        if observations:  # in place, what ``due`` says
            consensus = self._consensus
            first = observations[0]
            heard_ns = consensus.last_ns.get(first.device)
            if ((heard_ns is None or not -consensus.pause_ns < received_ns - heard_ns < consensus.pause_ns)
                    and (first.time_source == "device" or len(observations) > 1)):
                return None
        return self.now_ns if received_ns > self.now_ns else max(received_ns, 0)

    def received(self, frame: Frame, observations: tuple[Observation, ...], admitted: Callable[[], bool]) -> int:
        """The time of a frame's entry.

        Args:
            admitted: asked, where it matters, whether the sender's own time may be believed.
        """
        if self.kind == "frames":
            self.now_ns = max(self.now_ns, frame.received_ns)
            return frame.received_ns
        if self.kind == "messages":
            newest = max((o.time_ns for o in observations if o.time_ns is not None), default=0)
            if self.now_ns < newest < _LAST_NS and (self.now_ns == 0 or newest - self.now_ns <= LEAP_NS):
                self.now_ns = newest
            return self.now_ns
        received_ns = frame.received_ns
        # most messages are of one device: whoever was heard a moment ago is not looked into
        consensus = self._consensus
        if observations and consensus.due(first := observations[0].device, received_ns):
            said = stated(observations)
            if (said is not None and said.time_ns is not None and abs(received_ns - self._wall_ns) < TOGETHER_NS
                    and (said.device == first or consensus.due(said.device, received_ns)) and admitted()):
                consensus.heard(said.device, received_ns, said.time_ns - received_ns)
        if self._shift_ns:
            # believed when a device says the same, which no old message can where the clock was set ahead
            if self._shift_ns < 0 and any(map(self._confirms, observations)) and admitted():
                log.warning("a device's time agrees with the machine's clock, which was set: the journal takes it over")
                self._shift_ns = 0
                self.now_ns = max(self.now_ns, self._wall_ns)
            else:
                received_ns = self._by_ours(frame)
        return self.now_ns if received_ns > self.now_ns else max(received_ns, 0)

    def _confirms(self, observation: Observation) -> bool:
        time_ns = observation.time_ns
        return (observation.time_source == "device" and time_ns is not None
                and abs(time_ns - self._wall_ns) <= SKEW_NS < time_ns - self.now_ns)

    @property
    def behind_s(self) -> float:
        """How far the machine's clock was behind the journal's when it was last seen: the journal came from a machine
        whose clock is ahead, or ours was set back while nothing ran.  Until it has caught up, silence is not noticed."""
        return max(self.now_ns - self._wall_ns - self._shift_ns, 0) / NS if self.kind == "wall" else 0.0

    @property
    def devices_say(self) -> Agreement | None:
        """What several devices agree on that is far from the machine's clock; None where nothing is."""
        agreed = self._agreed
        if agreed is None or agreed.devices < DEVICES or agreed.held_ns < HELD_NS or abs(agreed.offset_ns) < WRONG_NS:
            return None
        return agreed

    @property
    def not_believed_s(self) -> float:
        """How far the machine's clock was set ahead (back: negative) while we ran, which the journal's did not follow."""
        return -self._shift_ns / NS
