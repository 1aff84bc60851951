"""What is expected of the tracks of one operation: how often they report, what their silence means, whether they end."""

from __future__ import annotations

import math
from collections.abc import Callable

from birddog.directory import OPEN, Directory
from tracking import lifetime
from tracking.budget import Allowed
from tracking.enrolments import Enrolments
from tracking.lifetime import Expected
from tracking.obeyed import merged_keys
from tracking.presets import UNSAID_S, interval_of, is_said
from tracking.track_state import LiveTrack, TrackState
from tracking.tracker import LEARNT, Tracker

#: What was enrolled without an interval and was heard less than ``LEARNT`` times is not called silent before: a tracker that
#: reports once an hour is none, s.
PATIENCE_S = 4_500.0
#: The same of what is attached to a shipment, s: somebody has to go and look, so that a false one at first is the lesser evil.
ATTACHED_PATIENCE_S = 1_200.0
#: What is expected of a track that just began follows from this, beside the registers: it has one device, which was heard once.
_BEGINS = 1, 1, 0.0, False, False, "", True


class Expectations:
    """What is expected of each track, asked again where what it follows from has changed.

    Args:
        directory: the registers; to read.
        allowed: what the alert budget allows each rule.
    """

    def __init__(
        self, directory: Directory, enrolments: Enrolments, tracker: Tracker, allowed: Callable[[], Allowed | None]
    ):
        self._directory = directory
        self._enrolments = enrolments
        self._tracker = tracker
        self._allowed = allowed
        #: What was last expected of a track of one device that nobody enrolled, and what that follows from.
        self._of_nobodys: tuple[tuple[object, ...], Expected] | None = None
        self._usual_s = min(UNSAID_S, tracker.presets.interval_s)

    def of(self, live: LiveTrack, now_ns: int) -> Expected:
        """What is expected of a track; no interval where no device is attached (any more) that reports."""
        s, version = live.state, self._directory.version
        gap_s = s.gap_s if s.gap_s > self._usual_s else 0.0  # a shorter one says nothing
        # all that it follows from but the time, which plays no part where nothing begins or ends
        of: tuple[object, ...]
        of = version, len(s.identities), len(s.sources), gap_s, s.broadcast, s.public, s.of, s.contacts < LEARNT
        allowed = self._allowed()
        if allowed is not None:
            of += allowed, s.lost, s.contacts.bit_length()
        if live.expected is None or live.expected[0] != of:
            # of what nobody enrolled nothing else is asked: what was expected of the last one is expected of those like it
            nobodys = allowed is None and self._is_nobodys(s)
            if nobodys and self._of_nobodys is not None and self._of_nobodys[0] == of:
                live.expected = self._of_nobodys
                return self._of_nobodys[1]
            expected, timeless = self._asked(live, now_ns)
            live.expected = (of, expected) if timeless else None
            if nobodys:
                self._of_nobodys = live.expected
            return expected
        kept: Expected = live.expected[1]
        return kept

    def as_ever(self, live: LiveTrack, described: tuple[object, ...], now_ns: int) -> Expected:
        """``of`` of a track of which no alert budget counts what is lost; where that stays so as long as it is described as it
        is and reports at its pace, ``steady`` says so, and to how many messages.
        """
        s, expected, live.steady = live.state, self.of(live, now_ns), None
        if s.gap_s <= self._usual_s and live.expected is not None:
            most = LEARNT if s.contacts < LEARNT else math.inf
            live.steady = described, len(s.sources), expected, self._usual_s, most
        return expected

    def begins(self, live: LiveTrack, described: tuple[object, ...], now_ns: int) -> Expected:
        """``as_ever`` of a track that a fix of a device just began; of what nobody enrolled, as of the last one."""
        known = self._of_nobodys
        if known is None or known[0] != (self._directory.version, *_BEGINS) or not self._is_nobodys(live.state):
            return self.as_ever(live, described, now_ns)
        live.expected, live.steady = known, (described, 1, known[1], self._usual_s, LEARNT)
        return known[1]

    def _is_nobodys(self, s: TrackState) -> bool:
        """Whether a track is that of one device, which is not in the registers."""
        devices = s.identities
        return self._enrolments.operation == OPEN and len(devices) == 1 and not s.of and s.key[:2] != "s:" and (
            devices[0] not in self._directory.devices
        )  # fmt: skip

    def _asked(self, live: LiveTrack, now_ns: int) -> tuple[Expected, bool]:
        """What is expected of a track, and whether that is so at any time from now on that the registers are as they are."""
        s, least_s, enrolled, timeless = live.state, math.inf, False, not self._directory.ruling
        patience_s, learns = 0.0, True
        key = s.of or s.key
        owners = {key, *merged_keys(s.decided)} if s.decided else {key}
        attached = key[:2] != "s:"
        for device in s.identities:
            if not attached:
                held = self._directory.attachments.get(device, ())
                timeless = timeless and all(one.from_ns <= now_ns and one.to_ns is None for one in held)
                on = self._directory.attachment(device, now_ns)
                attached = (on is not None and on.operation == s.operation
                            and not owners.isdisjoint(("s:" + on.shipment, f"s:{on.shipment}/{device}"))
                            and (not self._directory.ruling or self._directory.followed(device, s.operation, now_ns)))
            known = self._enrolments.known(s, device)
            if known is not None:
                enrolled = True
                if device in s.sources:
                    said_s = interval_of(known)
                    if is_said(known):
                        learns = False
                    else:  # it is learnt
                        said_s = max(said_s, s.gap_s)
                        wait_s = ATTACHED_PATIENCE_S if key[:2] == "s:" else PATIENCE_S
                        patience_s = wait_s if s.contacts < LEARNT else 0.0
                    if said_s < least_s:
                        least_s = said_s
        ends = not enrolled and self._enrolments.operation == OPEN
        if not attached or s.broadcast:
            return lifetime.expected(None, ends, self._tracker.presets), timeless
        interval_s = least_s if least_s < math.inf else max(self._tracker.presets.interval_s, s.gap_s)
        allowed = self._allowed()
        factor = None if allowed is None else allowed.silent_factor(interval_s, s.lost, s.contacts)
        return lifetime.expected(interval_s, ends, self._tracker.presets, patience_s, factor, enrolled and learns), timeless

    def forget(self) -> None:
        """What it follows from has changed, the presets too: it is asked again."""
        self._of_nobodys, self._usual_s = None, min(UNSAID_S, self._tracker.presets.interval_s)
        for live in self._tracker.tracks.values():
            live.expected = live.steady = None
