"""The door: may this message come in, and to which operation does it belong?

An exercise admits everybody.  A live journal admits a device that is enrolled and either attached
to an operation that is open, or enrolled with a basis that needs no case (``open``, ``own_sensor``,
``partner``).  A message may speak for another device only where its sender is a gateway, that is,
enrolled with such a basis; and what a receiver with the basis ``open`` hears (AIS) is admitted with
it, known or not.  Nobody is admitted by default.

What is broken cannot be judged by what it says: its bytes stay only where nobody's position can be in them
but that of somebody admitted (``Door.keeps``).  Of everybody else who, why and when stay, and a keyed hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from birddog.directory import OPEN, Directory
from birddog.model import Reject

#: Bases that need no case.
_CASELESS = frozenset({"open", "own_sensor", "partner"})
#: What may be a coordinate in a text that its sender chose: a number with a fraction; not the numbers of an IPv4 address.
_FRACTION = re.compile(r"(?<![\d.])\d{1,6}[.,]\d{2,}(?![\d.]*\.\d)")
_FOR_EVER = 2**63
#: Stands for the detail of a reject whose message is not kept.
NOT_KEPT = "of nobody who is admitted: its bytes are not kept"


class Door:
    """Answers for one journal; the directory is kept up to date by the desk.

    Args:
        directory: the registers as of the newest entry.
        exercise: admit everybody.
    """

    def __init__(self, directory: Directory, *, exercise: bool):
        self.directory, self.exercise = directory, exercise
        # who is admitted, from when, until when and to which operation; holds for one version of the directory
        self._admitted: dict[str, tuple[int, int, tuple[str, None]]] = {}
        self._version = directory.version

    def sender(self, device: str, time_ns: int) -> Reject | None:
        """Why a message of this sender is refused as a whole, or None; "" = nobody claims it."""
        if self.exercise or not device:
            return None
        return self._device(device, time_ns)[1]

    def subject(self, device: str, sender: str, time_ns: int) -> tuple[str, Reject | None]:
        """(operation, None) where what a message says of a device is admitted, ("", why) where it is not.

        Args:
            device: whom the message speaks of: an observation's device, or whom a broken message names.
            sender: the identity that the transport or the message's envelope vouches for.
            time_ns: when the observation was made, or received where it does not say.
        """
        directory = self.directory
        if not self.exercise:
            if not sender or sender == device:
                return self._device(device, time_ns)
            gateway = directory.device(sender)
            if gateway is None or gateway.basis not in _CASELESS:
                return "", Reject("identity", "speaks for another device", device=sender)
            if gateway.basis != "open":
                return self._device(device, time_ns)
        attachment = directory.attachment(device, time_ns)
        return (attachment.operation if attachment else OPEN), None

    def impostor(self, sender: str, named: str) -> Reject | None:
        """Why a sender may not name somebody: it is enrolled, and no gateway; asked where it is refused anyway."""
        known = self.directory.device(sender) if sender and named and named != sender else None
        if known is None or known.basis in _CASELESS:
            return None
        return Reject("identity", "speaks for another device", device=sender)

    def keeps(self, sender: str, named: Iterable[str], time_ns: int, *, gateway: bool) -> bool:
        """Whether the bytes of a message may stay that is broken, or gives no observation to judge it by.

        Args:
            named: whom each part of it names, "" for a part that names nobody.
            gateway: the sender is vouched for apart from what the bytes say, and their format names whom they speak of:
                then they may be anybody's, and each part must name somebody admitted.
        """
        if self.exercise:
            return True
        if not sender or self._device(sender, time_ns)[1] is not None:
            return False
        if not gateway:
            return True
        basis = self.directory.devices[sender].basis
        if basis in ("warrant", "open"):  # speaks for itself only; of everybody, as it is heard by all
            return True
        return all(name not in ("", sender) and self.subject(name, sender, time_ns)[1] is None for name in named)

    def _device(self, device: str, time_ns: int) -> tuple[str, Reject | None]:
        if self._version != self.directory.version:
            self._version = self.directory.version
            self._admitted.clear()
        known = self._admitted.get(device)
        if known is not None and known[0] <= time_ns < known[1]:
            return known[2]
        enrolled = self.directory.device(device)
        if enrolled is None:
            return "", Reject("unknown_device", "not enrolled", device=device)
        attachment = self.directory.attachment(device, time_ns)
        if attachment is not None:
            verdict = attachment.operation, None
            if attachment is self.directory.attachments[device][-1]:  # no other attachment comes before this one in its time
                until_ns = _FOR_EVER if attachment.to_ns is None else attachment.to_ns
                self._admitted[device] = attachment.from_ns, until_ns, verdict
            return verdict
        if enrolled.basis in _CASELESS:
            return OPEN, None
        return "", Reject("unauthorised", "attached to no open operation at that time", device=device)


def veiled(text: str) -> str:
    """A sender's text (topic, name) as it may stay: what could be a coordinate in it is left out."""
    return _FRACTION.sub("…", text) if "." in text or "," in text else text
