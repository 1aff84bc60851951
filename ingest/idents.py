"""Who a message is: the ``ident`` that the journal knows it by, so that one that is sent again is no second one.

docs/architecture.md, rule 4, says what goes into it; ``ingest.ident`` how the parts are put together.
"""

from __future__ import annotations

from collections import OrderedDict

from birddog.journal import Writer
from birddog.model import LAP, Frame
from devices.codec import Decoded
from ingest.batch import Batch
from ingest.clock import Clock
from ingest.door import veiled
from ingest.ident import dated, hashed, led, near, once, rejected
from ingest.refusals import RefusalKeys

#: Sessions and devices of which something is remembered; the one used longest ago goes first.
SESSIONS_KEPT = 20_000


class Idents:
    """Names each message, and remembers of whom each session spoke.

    Args:
        journal: where the idents are that a message sent again is looked for among.
        clock: the journal's.
        refusals: secret keys of the hashes that stand for refused payloads.
    """

    def __init__(self, journal: Writer, clock: Clock, refusals: RefusalKeys):
        self._journal, self._clock, self._refusals = journal, clock, refusals
        self._count = 0
        self._remembered: dict[str, str] = {}
        self._spoke: OrderedDict[str, dict[str, None]] = OrderedDict()  # whose messages a session brought, of those remembered
        self._leads: dict[tuple[str, str], bytes] = {}

    def of(self, frame: Frame, decoded: Decoded, sender: str, reasons: tuple[str, ...], batch: Batch) -> bytes:
        """Who a message is (docs/architecture.md, rule 4), led by four bytes that keep neighbours in time together (``near``).

        Args:
            sender: the device that it is of, by its own word or by its transport's.
            reasons: why it is rejected, if it is: its ident is then made another (``rejected``).
            batch: in which its session is remembered, once that is committed.
        """
        ident = self._plain(frame, decoded, sender, reasons, batch)
        if not reasons:
            return ident
        words = (*reasons, sender)
        older = [rejected(words, ident, key) for key in self._refusals.older]
        for found in self._journal.holds(older) if older else ():
            return found  # refused before, under yesterday's key
        return rejected(words, ident, self._refusals.key)

    def _plain(self, frame: Frame, decoded: Decoded, sender: str, reasons: tuple[str, ...], batch: Batch) -> bytes:
        if decoded.key is not None:
            return near(0) + hashed(b"key", frame.format.encode(), decoded.key)
        whose = frame.subject or sender  # a gateway's two phones may say the same words
        for observation in decoded.observations:
            if observation.time_source != "server" and observation.time_ns is not None:
                # a time of day alone (GGA) repeats every day: the resolved time is part of it
                lead = self._leads.get((whose, frame.format))
                if lead is None:
                    if len(self._leads) >= SESSIONS_KEPT:
                        self._leads.clear()
                    lead = self._leads[whose, frame.format] = led(b"time", whose.encode(), frame.format.encode())
                time_ns = observation.time_ns
                return dated(lead, time_ns, frame.payload)
        fixed = (whose.encode(), frame.format.encode())
        if frame.mark:
            return frame.mark[:4] + hashed(b"mark", *fixed, frame.mark)
        if not frame.packet:
            # no packet number (a stream, QoS 0): every delivery is one of its own
            packet = self._this_one()
            return near(self._clock.now_ns) + hashed(b"once", *fixed, packet, frame.session.encode(), frame.payload)
        lap, number = divmod(frame.packet, LAP)
        lead_parts = [*fixed, number.to_bytes(2, "big")]
        if sender and (frame.dup or (frame.again and not self._spoke_in(frame.session, sender))):
            # sent again, perhaps over a new connection: the same as the one of an earlier session
            ident = self._earlier(frame, sender, lead_parts, reasons, batch)
            if ident is not None:
                return ident
        name = f"{frame.session}#{lap}"
        known_as = veiled(sender)
        if sender and self._remembered.get(known_as) != name:
            batch.sessions[known_as, name] = None
            self._spoke.setdefault(frame.session, {})[known_as] = None
            if len(self._spoke) > SESSIONS_KEPT:
                self._spoke.popitem(last=False)
        return once(lead_parts, name, frame.payload)

    def _earlier(self, frame: Frame, sender: str, lead: list[bytes], reasons: tuple[str, ...],
                 batch: Batch) -> bytes | None:
        """The ident under which an earlier session of this sender brought the same message, if one did."""
        known_as = veiled(sender)
        names = [session for device, session in reversed(batch.sessions) if device == known_as]
        if known_as not in batch.finished:
            names += self._journal.sessions(known_as)
        if not frame.dup and names:
            # who says nothing of it sends again what the connection before brought, and that first
            latest = names[0].rpartition("#")[0]
            names = [name for name in names if name.rpartition("#")[0] == latest]
        lap, number = divmod(frame.packet, LAP)
        known = frame.dup and frame.lap_known
        laps: dict[str, int] = {}  # the newest of each session
        idents = []
        for name in dict.fromkeys(names):
            session, _, text = name.rpartition("#")
            there = int(text)
            newest = laps.setdefault(session, there)
            # Not known in which lap it was first sent: the session's last one, or for a high number the one before;
            # a client that takes low numbers again and again has long had the answer to those of earlier laps.
            if there == lap if known else there == newest or (there == newest - 1 and number > LAP // 2):
                idents.append(once(lead, name, frame.payload))
        # as it would stand in the journal: for the same reasons if it is rejected, plain if it is not
        stored = {ident: ident for ident in idents}
        if reasons:
            stored = {rejected((*reasons, sender), ident, key): ident
                      for key in (self._refusals.key, *self._refusals.older) for ident in idents}
        held = self._journal.holds(list(stored)) | {draft.ident for draft in batch.drafts}
        return next((ident for row, ident in stored.items() if row in held), None)

    def _spoke_in(self, session: str, sender: str) -> bool:
        """Whether a session has brought something new of this sender: what comes behind it is not sent again."""
        return veiled(sender) in self._spoke.get(session, ())

    def closed(self, session: str, finished: str, batch: Batch) -> None:
        """A session has ended.

        Args:
            finished: its device, where nothing of it is unacknowledged: it and all of whom the session spoke have nothing
                to repeat, of this session or of any before.
        """
        devices = self._spoke.pop(session, {})
        for device in dict.fromkeys([veiled(finished), *devices] if finished else ()):
            self._remembered.pop(device, None)
            here = [key for key in batch.sessions if key[0] == device]
            for key in here:
                del batch.sessions[key]
            if here or self._journal.sessions(device):
                batch.finished[device] = None

    def committed(self, batch: Batch) -> None:
        """What a batch said of sessions stands in the journal."""
        self._remembered.update(list(batch.sessions))

    def crashed(self, payload: bytes) -> bytes:
        """The ident of a message at which this program failed before it had one."""
        return near(self._clock.now_ns) + hashed(b"crashed", self._this_one(), payload)

    def _this_one(self) -> bytes:
        self._count += 1
        return f"{self._clock.now_ns}:{self._count}".encode()
