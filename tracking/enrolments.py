"""What the registers say of the devices of a track, as far as one operation may know it."""

from __future__ import annotations

from collections.abc import Iterable

from birddog.directory import OPEN, Directory
from birddog.model import Device
from tracking.track_state import TrackState


class Enrolments:
    """The enrolments of the devices of one operation's tracks.

    Args:
        directory: the registers; to read.
    """

    def __init__(self, operation: str, directory: Directory):
        self.operation = operation
        self._directory = directory

    def class_of(self, s: TrackState, device: str) -> str:
        """The class of a track: that of the first of its devices that gives fixes and has one, else of the first that has one.

        So it is the shipment's, not that of whoever spoke last: a parcel's passive tag does not make a parcel of the van.
        """
        klass = self._class(s, s.fixers or (device,))
        if klass:
            return klass
        # receivers without one keep what the track has (AIS made it a vessel)
        return (s.klass if s.fixers else "") or self._class(s, s.identities)

    def known(self, s: TrackState, device: str) -> Device | None:
        """The enrolment of a track's device; of a public thing in ``open`` none that a warrant was the reason of.

        It would tell everybody who is watched.
        """
        known = self._directory.devices.get(device)
        return None if known is None else self.said_of(s, known)

    def said_of(self, s: TrackState, known: Device) -> Device | None:
        """What an enrolment may say of a track here; None: nothing."""
        if known.retired or (s.public and known.basis == "warrant" and self.operation == OPEN):
            return None
        return known

    def _class(self, s: TrackState, devices: Iterable[str]) -> str:
        """The class of the first of these devices that was enrolled with one, or ""."""
        for device in devices:
            known = self.known(s, device)
            if known is not None and known.klass:
                return known.klass
        return ""
