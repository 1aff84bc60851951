"""Who is who at a time: operations, devices, attachments, placements and warrants, as the journal's entries say.

Both the door (may this message come in?) and the fold (whose track is it?) ask this one class, and
both build it from entries only, in order, so that a rebuild answers as the live run did.
"""

from __future__ import annotations

from typing import Any, TypeVar

from birddog.model import REGISTERS, Attachment, Body, Device, Operation, Passersby, Placement, UsedWays, Validation, WarrantAct
from birddog.warrants import Held, Warrants

__all__ = ["OPEN", "REGISTERS", "Directory", "plain_topic"]

#: The operation of vessels and contacts that belong to no case.
OPEN = "open"

_Row = TypeVar("_Row", Attachment, Placement)


class Directory:
    """The present state of the registers; ``apply`` it to every entry in order."""

    def __init__(self) -> None:
        #: Goes up with every entry taken in: what was found out before no longer need hold.
        self.version = 0
        self.operations: dict[str, Operation] = {}
        self.devices: dict[str, Device] = {}
        self.attachments: dict[str, list[Attachment]] = {}
        self.placements: dict[str, list[Placement]] = {}
        #: Whose clock is how many times 1024 weeks behind.
        self.week_rollover: dict[str, int] = {}
        self.warrants = Warrants()
        #: What the values of a model are worth, for ``birddog.validated``; nothing in the picture asks.
        self.validations: dict[str, Validation] = {}
        #: The ways that are used, as the newest entry has them.
        self.ways: UsedWays | None = None
        #: For how long vessels under no case are kept, as the newest entry has it.
        self.passersby: Passersby | None = None
        #: Whether a warrant may be asked for at all: one was entered, or an operation requires one.
        self.ruling = False
        self._by_topic: dict[str, list[str]] = {}

    def apply(self, body: Body) -> bool:
        """Take in one entry's body; True where it was one of the registers' kinds."""
        match body:
            case Operation():
                self.operations[body.operation] = body
                self.ruling = self.ruling or body.requires_warrant
            case Device():
                self.devices[body.device] = body
                if body.week_rollover:
                    self.week_rollover[body.device] = body.week_rollover
                for topic in body.topics:
                    names = self._by_topic.setdefault(plain_topic(topic), [])
                    if body.device not in names:
                        names.append(body.device)
            case Attachment():
                _put(self.attachments.setdefault(body.device, []), body)
            case Placement():
                _put(self.placements.setdefault(body.device, []), body)
            case UsedWays():
                self.ways = body if body.cells else None
            case Passersby():
                self.passersby = body if body.hours else None
            case WarrantAct():
                self.ruling = self.warrants.apply(body) or self.ruling
            case Validation():
                self.validations[body.model] = body
            case _:
                return False
        self.version += 1
        return True

    def attachment(self, device: str, time_ns: int) -> Attachment | None:
        """The attachment of a device (or EPC) that holds at a time, in an operation that is not closed."""
        found = _at(self.attachments.get(device), time_ns)
        if found is not None:
            operation = self.operations.get(found.operation)
            if operation is not None and operation.closed:
                return None
        return found

    def placement(self, device: str, time_ns: int) -> Placement | None:
        """Where a fixed reader or sensor stands at a time."""
        return _at(self.placements.get(device), time_ns)

    def under_warrant(self, device: str, operation: str) -> bool:
        """Whether what is in an operation by basis ``warrant`` needs a warrant in force (``birddog.warrants``)."""
        warrants, known = self.warrants, self.operations.get(operation)
        return (operation in warrants.operations or "" in warrants.operations or device in warrants.devices
                or (known is not None and known.requires_warrant))

    def case_of(self, held: Held, time_ns: int) -> str:
        """The operation of a warrant: the one that it names, or in which its device is at a time; "" where it is in none."""
        if held.operation:
            return held.operation
        on = _at(self.attachments.get(held.warrant.device), time_ns)  # of a closed one too: what it owes stays
        return "" if on is None else on.operation

    def followed(self, device: str, operation: str, time_ns: int) -> bool:
        """Whether a device of an operation may be heard at a time: no warrant is asked for, or one covers that time."""
        known = self.devices.get(device)
        if not self.ruling or (known is not None and known.basis != "warrant") or not self.under_warrant(device, operation):
            return True
        klass = "" if known is None else known.klass
        return self.warrants.verdict(device, operation, klass, time_ns, lat_deg=None, lon_deg=None)[0] == "accept"

    def device(self, device: str) -> Device | None:
        """The enrolment of a device, unless it was retired."""
        found = self.devices.get(device)
        return None if found is None or found.retired else found

    def of_topic(self, topic: str) -> str:
        """Who is enrolled with exactly this topic, the first where several are; "" where nobody is."""
        for name in self._by_topic.get(topic, ()):
            found = self.device(name)
            if found is not None and any(plain_topic(listed) == topic for listed in found.topics):
                return name
        return ""


def plain_topic(prefix: str) -> str:
    """A topic or prefix as it was enrolled, in one form: ``a/b``, ``a/b/`` and ``a/b/#`` mean the same."""
    return prefix.removesuffix("#").removesuffix("/")


def _put(rows: list[Any], row: Any) -> None:
    # the same beginning again is a correction (an end was set): it replaces
    for i, old in enumerate(rows):
        if old.from_ns == row.from_ns:
            rows[i] = row
            return
    rows.append(row)


def _at(rows: list[_Row] | None, time_ns: int) -> _Row | None:
    if rows:
        for row in reversed(rows):
            if row.from_ns <= time_ns and (row.to_ns is None or time_ns < row.to_ns):
                return row
    return None
