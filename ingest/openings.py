"""Opens what was sealed, where an order that was approved says so: each sealed part becomes a frame of now, late data.

What is opened is of the order's warrant and was made within its time.  A frame's ident follows from the order and from the
sealed entry, so that a run that was cut goes on where it stood and writes nothing twice; an act ``opened`` says that all was
looked at.  The entry names the order (``birddog.opened``).
"""

from __future__ import annotations

import logging

import msgspec

from birddog.directory import Directory
from birddog.journal import Writer
from birddog.keyring import Keyring, KeyringError, KeysClosed
from birddog.model import (
    Draft,
    Entry,
    Fix,
    FrameBody,
    RefusalBody,
    Sighting,
    TagRead,
    Verdict,
    WarrantAct,
    pack,
    unpack,
)
from birddog.opened import Opened, said_of
from birddog.warrants import Held
from ingest.ident import hashed, near

log = logging.getLogger(__name__)

#: Entries looked through at a time: the writer has other work.
STEP = 5_000
#: The keys of what is sealed lie apart from those of the records.
PURPOSE = "sealed"
_DECODER = msgspec.msgpack.Decoder(FrameBody)


class Openings:
    """The orders that are being obeyed.

    Args:
        directory: the registers as of the newest entry.
        keyring: None where there are no keys: nothing is opened.
    """

    def __init__(self, directory: Directory, journal: Writer, keyring: Keyring | None):
        self._directory, self._journal, self._keyring = directory, journal, keyring
        #: Of each order up to which entry was looked.
        self._at: dict[tuple[str, str], int] = {}
        self.learn()

    def learn(self) -> None:
        """An act upon a warrant was numbered."""
        if self._keyring is None:
            return
        wanted = [(name, order) for name, held in self._directory.warrants.held.items() for order in held.to_open()]
        self._at = {key: self._at.get(key, 0) for key in wanted}

    def drafts(self, now_ns: int) -> list[Draft]:
        """What is opened next; behind the last of an order the act that says so."""
        for (warrant, order), after in list(self._at.items()):
            held = self._directory.warrants.held[warrant]
            entries = self._journal.read(after, STEP)
            if not entries:
                del self._at[warrant, order]
                act = WarrantAct(warrant=warrant, action="opened", by="desk", operation=held.operation, order=order)
                ident = near(now_ns) + hashed(b"opened", warrant.encode(), order.encode())
                return [Draft(kind="warrant", received_ns=now_ns, source="desk", ident=ident, body=pack(act),
                              operation=held.operation)]
            self._at[warrant, order] = entries[-1].seq
            found = [draft for entry in entries if entry.kind == "refusal"
                     for draft in self._opened(held, held.orders[order].act, entry, now_ns)]  # fmt: skip
            there = self._journal.holds([draft.ident for draft in found]) if found else set()
            return [draft for draft in found if draft.ident not in there]
        return []

    @property
    def waiting(self) -> bool:
        """Whether there is something to look through."""
        return bool(self._at)

    def _opened(self, held: Held, order: WarrantAct, entry: Entry, now_ns: int) -> list[Draft]:
        body = unpack(entry)
        if not isinstance(body, RefusalBody) or not body.box or held.operation not in ("", entry.operation):
            return []
        assert self._keyring is not None and order.from_ns is not None and order.until_ns is not None
        try:
            inside = _DECODER.decode(self._keyring.open(entry.operation, body.box, entry.ident, purpose=PURPOSE))
        except KeysClosed:
            raise  # it is opened when they can be
        except (KeyringError, msgspec.DecodeError) as error:
            log.error("entry %d cannot be opened: %s", entry.seq, error)
            return []
        # outside the hours each is sealed by itself; outside the area the positions are, and the rest with them
        by_time = {reject.device or body.device for reject in body.rejects if reject.detail == "outside_hours"}
        observations, verdicts, count = [], [], 0
        for o, verdict in zip(inside.observations, inside.verdicts, strict=True):
            time_ns = entry.received_ns if o.time_ns is None else o.time_ns
            subject = getattr(o, "epc", "") or o.device
            known = self._directory.device(subject)
            if order.from_ns <= time_ns < order.until_ns and held.covers(subject, "" if known is None else known.klass):
                if o.time_ns is None:
                    o = msgspec.structs.replace(o, time_ns=time_ns)  # it was made then, not now
                count += isinstance(o, Fix | TagRead | Sighting) or o.device in by_time
                observations.append(o)
                verdicts.append(Verdict(verdict.operation, verdict.shipment, verdict.basis, "admitted"))
        if not observations:
            return []
        frame = msgspec.structs.replace(inside, observations=tuple(observations), verdicts=tuple(verdicts))
        by = said_of(Opened(warrant=held.warrant.warrant, order=order.order, count=count))
        ident = near(now_ns) + hashed(b"open", order.order.encode(), held.warrant.warrant.encode(), entry.ident)
        return [Draft(kind="frame", received_ns=now_ns, source=entry.source, ident=ident, body=pack(frame),
                      operation=entry.operation, actor=by, observations=len(observations))]


def box_of(keyring: Keyring, operation: str, frame: FrameBody, ident: bytes) -> bytes:
    """What was sealed of a message, for the entry of this ident."""
    return keyring.seal(operation, pack(frame), ident, purpose=PURPOSE)
