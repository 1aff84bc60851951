"""The desk: decode, admit, append, acknowledge; the one owner of these four steps.

A step function: ``take`` is given what the intake holds, and when it returns everything in it is on
disk and has been acknowledged.  It has no thread and no clock of its own; ``ingest.writer`` drives it.

What comes in is asked of ``ingest.admission``, who a message is of ``ingest.idents``.

Over 400 lines: the way of a message in one piece, from its bytes to the rows that stand for it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import OrderedDict

import msgspec

from birddog.directory import OPEN, REGISTERS, Directory
from birddog.errors import JournalError, place_of
from birddog.journal import Writer
from birddog.judge import Judge
from birddog.keyring import Keyring
from birddog.model import (
    ENTRY_BODIES,
    ClockSet,
    Draft,
    Frame,
    FrameBody,
    Observation,
    RefusalBody,
    Reject,
    Tick,
    pack,
    unpack,
)
from birddog.units import NS
from devices import codec
from devices.codec import Decoded, Message
from ingest.admission import Admission, Admitted
from ingest.batch import Batch
from ingest.clock import Clock, Kind
from ingest.door import veiled
from ingest.ident import hashed, near
from ingest.idents import Idents
from ingest.intake import Closed, Entries, Item, Result
from ingest.openings import Openings, box_of
from ingest.parts import counted, is_one, parted
from ingest.passing import Passing
from ingest.refusals import RefusalKeys
from ingest.repeats import Repeats, key_of

log = logging.getLogger(__name__)

#: Sessions whose decoders are kept; the one used longest ago goes first.
SESSIONS_KEPT = 20_000
TICK_NS = 5 * NS
#: The rows of a frame, the reply its device waits for, and why it was refused, if it was.
_Rows = tuple[list[Draft], bytes | None, tuple[Reject, ...]]


class Desk:
    """Takes frames to the journal.

    Args:
        journal: the writer.
        exercise: admit everybody (the journal's mode says the same).
        refusal_key: secret keys of the hashes that stand for refused payloads; one alone is never changed.
        clock: where an entry's time comes from, see ``ingest.clock``.
        keyring: for what a warrant's rules seal; None: that is refused.
    """

    def __init__(self, journal: Writer, *, exercise: bool, refusal_key: bytes | RefusalKeys, clock: Kind = "wall",
                 keyring: Keyring | None = None):
        self.journal = journal
        self.directory = Directory()
        for entry in journal.registers():
            self.directory.apply(unpack(entry))
        self.door = Judge(self.directory, exercise=exercise)
        self.door.high_ns = journal.greatest_ns()
        self.door.seals = keyring is not None
        self._keyring = keyring
        self._openings = Openings(self.directory, journal, keyring)
        self._passing = Passing(self.directory, keyring)
        self.crashes = 0
        self._nobodys = OPEN if exercise else ""
        self._refusals = RefusalKeys.fixed(refusal_key) if isinstance(refusal_key, bytes) else refusal_key
        self.clock = Clock(clock, journal.clock_ns())
        self._admission = Admission(self.door)
        self._idents = Idents(journal, self.clock, self._refusals)
        self._codecs: dict[str, codec.Codec] = {}
        self._decoders: OrderedDict[str, dict[str, codec.Decoder]] = OrderedDict()
        self._repeats = Repeats()

    def take(self, items: list[Item | Closed | Entries], now_ns: int) -> int:
        """Bring everything in ``items`` to disk in one transaction, then acknowledge it.

        Returns:
            How many new entries there are.

        Raises:
            JournalFull, JournalError: nothing was written or acknowledged.
        """
        return self.commit(self.prepare(items, now_ns))

    def prepare(self, items: list[Item | Closed | Entries], now_ns: int) -> Batch:
        """Decode and admit.

        Args:
            items: what ``Intake.take`` gave.
            now_ns: the wall clock; the journal's clock never runs backwards.
        """
        batch = Batch()
        drafts = batch.drafts
        self.clock.see(now_ns)
        self._refusals.at(self.clock.now_ns)
        self.door.high_ns = max(self.door.high_ns, self.clock.now_ns)
        self._put_clock(drafts)
        drafts += self._passing.at(self.clock.now_ns)
        period = self._passing.period
        self._put_due(batch)
        if self._openings.waiting:
            self._open(batch)
        for item in items:
            if isinstance(item, Closed):
                self._decoders.pop(item.session, None)
                self._idents.closed(item.session, item.finished, batch)
            elif isinstance(item, Entries):
                batch.entries.append((item, len(drafts)))
                drafts.extend(self._stamp(draft, now_ns) for draft in item.drafts)
            else:
                source, frames = item
                first = len(drafts)
                results: list[Result] = []
                written = results  # the same list, until one has no row
                for frame in frames:
                    try:
                        made, reply, rejects = self._rows(frame, batch)
                    except JournalError:
                        raise
                    except Exception as error:  # noqa: BLE001 - boundary: a message nobody foresaw must not stop all the others
                        what = f"the {frame.format[:40]} message could not be taken in"
                        made, reply, rejects = self._crashed(frame, error, what)
                    if period and self._admission.everybodys(frame.format):
                        made = [_passing(draft, period) for draft in made]
                    result = Result(frame, "refused" if rejects else "stored", reply, rejects)
                    draft = made[0]
                    if len(made) > 1:  # of several operations: each of its rows answers for it
                        written = list(results) if written is results else written
                        drafts.extend(made)
                        results.append(result)
                        written.extend([result] * len(made))
                        continue
                    if rejects:
                        row = self._refused_row(batch, frame, draft, rejects)
                        if row is None:
                            written = list(results) if written is results else written
                            results.append(result)
                            continue
                        draft = row
                    drafts.append(draft)
                    results.append(result)
                    if written is not results:
                        written.append(result)
                batch.answers.append((source, first, written, results))
        return batch

    def rest(self, now_ns: int) -> Batch:
        """What is left to write when no more will come: the rows that count what was refused again and again."""
        batch = Batch()
        self.clock.see(now_ns)
        self._put_clock(batch.drafts)
        self._put_due(batch, all=True)
        return batch

    def _refused_row(self, batch: Batch, frame: Frame, draft: Draft, rejects: tuple[Reject, ...]) -> Draft | None:
        """The row for a refused message; None where it is only counted, see ``ingest.repeats``."""
        boxed = any(r.verdict is not None and r.verdict.state == "sealed" for r in rejects)
        if draft.observations or frame.mark or boxed:
            return draft  # what lies in a file comes once, and is known again when the file is played again
        row = self._repeats.take(key_of(frame, draft, rejects), draft, self.clock.now_ns,
                                 known=lambda: bool(self.journal.holds([draft.ident])))
        if row is None:
            _count(batch.counted, draft, 1)
        return row

    def _put_due(self, batch: Batch, *, all: bool = False) -> None:
        for draft in self._repeats.due(self.clock.now_ns, all=all):
            batch.drafts.append(draft)
            _count(batch.counted, draft, -1)  # each message it stands for was counted when it came

    def commit(self, batch: Batch) -> int:
        """Append a prepared batch in one transaction, then acknowledge it; how many entries are new.

        Raises:
            JournalFull: nothing was written or acknowledged; call again with the same batch.
            JournalError: the store failed; nothing was acknowledged, and this journal is done for.
        """
        if not (batch.drafts or batch.finished or batch.counted):
            return 0
        beside = (list(batch.finished), batch.counted) if batch.finished or batch.counted else ()
        numbers = self.journal.append(batch.drafts, list(batch.sessions), *beside)
        self._idents.committed(batch)
        known = numbers.count(0)
        for source, first, written, results in batch.answers:
            if known:
                for i, result in enumerate(written, first):
                    if numbers[i] == 0:
                        result.outcome = "duplicate"
            source.acknowledge(results)
        for entries, first in batch.entries:
            for i in range(first, first + len(entries.drafts)):
                # asked again it has no number: a repeated request changes nothing
                if numbers[i] and batch.drafts[i].kind in REGISTERS:
                    draft = batch.drafts[i]
                    self.directory.apply(msgspec.msgpack.decode(draft.body, type=ENTRY_BODIES[draft.kind]))
                    if draft.kind == "warrant":
                        self._openings.learn()
            entries.done(numbers[first : first + len(entries.drafts)])
        return len(numbers) - known

    def tick(self, now_ns: int) -> None:
        """Append a tick: nothing arrived, and time went on.

        While the wall clock is behind the journal's, time does not go on: no tick, see ``Clock.behind_s``.
        """
        before_ns = self.clock.now_ns
        self.clock.see(now_ns)
        now_ns = self.clock.now_ns
        drafts: list[Draft] = []
        self._put_clock(drafts)
        if now_ns <= before_ns and not drafts:
            return
        ident = near(now_ns) + hashed(b"tick", b"%d" % now_ns)
        self.journal.append([*drafts, Draft(kind="tick", received_ns=now_ns, source="desk", ident=ident, body=pack(Tick()))])

    def _put_clock(self, drafts: list[Draft]) -> None:
        """Time goes back by an entry only: those after it are of the time that it says."""
        told = self.clock.was_set_back()
        if told is not None:
            body = ClockSet(from_ns=told[0], to_ns=told[1], text="devices agree with the machine's clock, put right")
            ident = near(told[1]) + hashed(b"clock", b"%d %d" % told)
            drafts.append(Draft(kind="clock", received_ns=told[1], source="desk", ident=ident, body=pack(body)))

    # --- one frame -------------------------------------------------------------------------------

    def _rows(self, frame: Frame, batch: Batch) -> _Rows:
        """The rows of one frame, one for each operation that it speaks of."""
        if frame.reject is not None:
            decoded, version = Decoded(rejects=(frame.reject,), device=self._said_before(frame)), 0
        else:
            decoded, version = self._decode(frame)
        # in an exercise whom a topic names stands for itself
        device = (frame.subject if self.door.exercise else "") or frame.device or decoded.device
        received_ns = self.clock.at_once(frame, decoded.observations)
        if received_ns is None:
            received_ns = self._received(frame, decoded.observations, device)
        admitted = self._admission.admit(frame, decoded, device, received_ns)
        observations, rejects, refused = admitted.observations, admitted.rejects, admitted.refused
        reasons = tuple([r.reason for r in rejects]) if rejects else ()
        marks = ("bare",) if admitted.bare else reasons  # of what may not stay no hash may stay that has no key
        ident = self._idents.of(frame, decoded, device, marks, batch)
        sender = None if frame.device == device else frame.device
        subject = decoded.device or frame.subject
        if subject == device:
            subject = ""
        unread = () if refused else decoded.unread
        body: FrameBody | RefusalBody
        if sender is None and not (rejects or subject or unread or frame.undated or admitted.bare):
            # nearly every message: each field that is given costs, and these stand at what they are without
            body = FrameBody(
                format=frame.format, version=version, payload=frame.payload, device=device, channel=frame.channel,
                session=frame.session, observations=observations, verdicts=admitted.verdicts,
            )
            if is_one(admitted.verdicts, rejects):
                draft = Draft(
                    kind="frame", received_ns=received_ns, source=frame.source, ident=ident, body=pack(body),
                    operation=admitted.operation or ("" if observations else self._nobodys), observations=len(observations),
                )
                return [draft], decoded.reply, rejects
        elif refused:
            body = self._refusal(frame, version, device, sender, subject, admitted)
            if admitted.sealed and is_one(admitted.verdicts, rejects):
                body = self._boxed(body, admitted, admitted.operation or admitted.sealed[0][1].operation, ident)
        else:
            body = FrameBody(
                format=frame.format, version=version, payload=frame.payload, device=device, channel=frame.channel,
                session=frame.session, observations=observations, rejects=rejects, unread=unread,
                sender=sender, subject=subject, undated=frame.undated, verdicts=admitted.verdicts, mistimed=admitted.mistimed,
            )
            if admitted.bare:
                body = msgspec.structs.replace(body, payload=b"", payload_hash=self._refused_hash(frame),
                                               channel=veiled(frame.channel))
        # the reply goes out also where the message was refused: the record is on disk, and a device
        # that is never answered sends for ever (traccar/traccar#5574)
        if is_one(admitted.verdicts, rejects):
            draft = Draft(
                kind="refusal" if refused else "frame", received_ns=received_ns, source=frame.source, ident=ident,
                body=pack(body), operation=admitted.operation or ("" if observations else self._nobodys),
                observations=len(observations), reasons=reasons, unread=unread, undated=frame.undated,
            )
            return [draft], decoded.reply, rejects
        return self._parted(frame, body, ident, received_ns, admitted), decoded.reply, rejects

    def _received(self, frame: Frame, observations: tuple[Observation, ...], device: str) -> int:
        return self.clock.received(frame, observations, lambda: self.door.sender(device, self.clock.now_ns) is None)

    def _boxed(self, body: RefusalBody, admitted: Admitted, operation: str, ident: bytes) -> RefusalBody:
        """The body with what was sealed of one operation, which an order may open."""
        assert self._keyring is not None
        sealed = [(o, verdict) for o, verdict in admitted.sealed if verdict.operation == operation]
        if not sealed:
            return body
        inside = FrameBody(
            format=body.format, version=body.version, payload=b"", device=body.device, sender=body.sender, subject=body.subject,
            observations=tuple([o for o, _ in sealed]), verdicts=tuple([verdict for _, verdict in sealed]),
            payload_hash=body.payload_hash,
        )
        return msgspec.structs.replace(body, box=box_of(self._keyring, operation, inside, ident))

    def _open(self, batch: Batch) -> None:
        """What an order opens comes in now; it was counted as a message when it came first."""
        drafts = self._openings.drafts(self.clock.now_ns)
        for draft in drafts:
            if draft.kind == "warrant":
                batch.entries.append((Entries([draft], lambda numbers: None), len(batch.drafts)))
            else:
                batch.counted["frames"] = batch.counted.get("frames", 0) - 1
            batch.drafts.append(draft)

    def _parted(self, frame: Frame, body: FrameBody | RefusalBody, ident: bytes, received_ns: int,
                admitted: Admitted) -> list[Draft]:
        """The rows of a message of several operations, see ``ingest.parts``."""
        if isinstance(body, FrameBody):
            body = msgspec.structs.replace(body, mistimed=())  # its verdicts are several operations'
        parts = parted(body.observations, body.verdicts, body.rejects)
        out = []
        for number, (part, observations) in enumerate(zip(parts, counted(parts), strict=True)):
            own: FrameBody | RefusalBody = msgspec.structs.replace(
                body, observations=tuple(part.observations), verdicts=tuple(part.verdicts), rejects=tuple(part.rejects),
                count=1 if number == 0 else 0)
            if isinstance(own, FrameBody):
                unread = own.unread if number == 0 else ()
                own = msgspec.structs.replace(own, unread=unread)
                if not part.whole:
                    own = msgspec.structs.replace(own, payload=b"", payload_hash=self._refused_hash(frame))
            else:
                unread = ()
            own_ident = ident if number == 0 else near(received_ns) + hashed(b"part", ident, part.operation.encode())
            if isinstance(own, RefusalBody) and admitted.sealed:
                own = self._boxed(own, admitted, part.operation, own_ident)
            out.append(Draft(
                kind="refusal" if isinstance(own, RefusalBody) else "frame", received_ns=received_ns, source=frame.source,
                ident=own_ident,
                body=pack(own), operation=part.operation, observations=observations,
                reasons=tuple([r.reason for r in part.rejects]), unread=unread, undated=frame.undated and number == 0,
                part_of=b"" if number == 0 else ident,
            ))
        return out

    def _refusal(self, frame: Frame, version: int, device: str, sender: str | None, subject: str,
                 admitted: Admitted) -> RefusalBody:
        """What stays of a message that does not come in: who, why, a keyed hash; of the sender's texts no coordinate."""
        return RefusalBody(
            format=veiled(frame.format), version=version, device=veiled(device), channel=veiled(frame.channel),
            rejects=tuple([msgspec.structs.replace(r, device=veiled(r.device)) for r in admitted.rejects]),
            observations=admitted.observations, verdicts=admitted.verdicts, payload_hash=self._refused_hash(frame),
            sender=None if sender is None else veiled(sender), subject=veiled(subject),
        )

    def _said_before(self, frame: Frame) -> str:
        """Who this session is, as its earlier messages said (a login), for bytes that cannot say it themselves."""
        decoder = self._decoders.get(frame.session, {}).get(frame.format)
        return getattr(decoder, "identity", "")

    def _crashed(self, frame: Frame, error: Exception, what: str) -> _Rows:
        """The row of a frame at which this program failed: its bytes, if its sender is admitted, else their hash."""
        self._log_crash(error, what)
        rejects = (Reject("format", f"{what}: {type(error).__name__}", device=frame.device),)
        ident = self._idents.crashed(frame.payload)
        body: FrameBody | RefusalBody
        if self._admission.may_keep(frame, frame.device or self._said_before(frame), (frame.subject,), self.clock.now_ns):
            body = FrameBody(format=frame.format, version=0, payload=frame.payload, device=frame.device, rejects=rejects)
        else:
            body = self._refusal(frame, 0, frame.device, None, frame.subject, Admitted("", (), (), rejects, True))
        draft = Draft(
            kind="frame" if isinstance(body, FrameBody) else "refusal", source=frame.source, ident=ident, body=pack(body),
            received_ns=self.clock.now_ns or max(frame.received_ns, 0), operation=self._nobodys, reasons=("format",),
        )
        return [draft], None, rejects

    def _log_crash(self, error: Exception, what: str) -> None:
        self.crashes += 1
        log.error("%s: %s", what, place_of(error))

    def _refused_hash(self, frame: Frame) -> bytes:
        return hmac.new(self._refusals.key, frame.payload, hashlib.sha256).digest()

    def _decode(self, frame: Frame) -> tuple[Decoded, int]:
        try:
            module = self._codecs.get(frame.format)
            if module is None:
                if not codec.known(frame.format):
                    return codec.rejected("format", f"no format {frame.format[:40]!r}", device=frame.device), 0
                module = self._codecs[frame.format] = codec.load(frame.format)
                self._admission.learn(frame.format, module)
            session = self._decoders.get(frame.session)
            decoder = None if session is None else session.get(frame.format)
            if decoder is None:
                decoder = self._decoder(frame, module)
            else:
                self._decoders.move_to_end(frame.session)
            received_ns = self.clock.arrived(frame)
            message = Message(payload=frame.payload, device=frame.subject or frame.device, topic=frame.channel,
                              received_ns=received_ns)
            if self.directory.week_rollover and received_ns is not None:
                return codec.decode_behind(module, decoder, message, self.directory.week_rollover), module.VERSION
            return codec.decode_whole(module, decoder, message), module.VERSION
        except Exception as error:  # noqa: BLE001 - boundary: a codec's bug must not stop the writer; bytes kept, counted
            self._log_crash(error, f"the {frame.format} decoder crashed")
            return codec.rejected("format", f"the decoder failed: {type(error).__name__}", device=frame.device), 0

    def _decoder(self, frame: Frame, module: codec.Codec) -> codec.Decoder:
        """The decoder of this frame's session and format."""
        session = self._decoders.get(frame.session)
        if session is None:
            session = self._decoders[frame.session] = {}
            if len(self._decoders) > SESSIONS_KEPT:
                self._decoders.popitem(last=False)
        else:
            self._decoders.move_to_end(frame.session)
        decoder = session.get(frame.format)
        if decoder is None:
            decoder = session[frame.format] = module.Decoder()
        return decoder

    def _stamp(self, draft: Draft, now_ns: int) -> Draft:
        """An operator's entry gets the journal's time; a register is known to the door once the journal has numbered it."""
        return msgspec.structs.replace(draft, received_ns=self.clock.now_ns or now_ns)


def _passing(draft: Draft, period: str) -> Draft:
    """The row of a message that everybody may hear: what is no case's lies under the key of its period."""
    return msgspec.structs.replace(draft, period=period) if draft.operation in ("", OPEN) else draft


def _count(counted: dict[str, int], draft: Draft, by: int) -> None:
    for name in ("frames", *[f"reject:{reason}" for reason in draft.reasons]):
        counted[name] = counted.get(name, 0) + by
