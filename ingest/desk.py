"""The desk: decode, admit, append, acknowledge; the one owner of these four steps.

A step function: ``take`` is given what the intake holds, and when it returns everything in it is on
disk and has been acknowledged.  It has no thread and no clock of its own; ``ingest.writer`` drives it.

Over 400 lines: four steps that share one state, in the order in which a message meets them.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from birddog.directory import OPEN, REGISTERS, Directory
from birddog.errors import JournalError, place_of
from birddog.journal import Writer
from birddog.judge import NOBODYS, Judge
from birddog.model import (
    ENTRY_BODIES,
    LAP,
    MALFORMED_REASONS,
    ClockSet,
    Draft,
    Frame,
    FrameBody,
    Observation,
    RefusalBody,
    Reject,
    TagRead,
    Tick,
    Verdict,
    pack,
    unpack,
)
from birddog.units import NS
from devices import codec
from devices.clock import NEAR_NS, astray, corrected, undoubted
from devices.codec import Decoded, Message
from ingest.clock import SKEW_NS, Clock, Kind
from ingest.door import NOT_KEPT, veiled
from ingest.ident import dated, hashed, led, near, once, rejected
from ingest.intake import Closed, Entries, Item, Result, Source
from ingest.parts import counted, is_one, parted
from ingest.repeats import Repeats, key_of

log = logging.getLogger(__name__)

#: Sessions whose decoders are kept; the one used longest ago goes first.
SESSIONS_KEPT = 20_000
TICK_NS = 5 * NS


class Batch:
    """What ``Desk.prepare`` made of a list of items; ``Desk.commit`` takes it, once or again."""

    __slots__ = ("answers", "counted", "drafts", "entries", "finished", "sessions")

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.sessions: dict[tuple[str, str], None] = {}
        self.finished: dict[str, None] = {}  # devices that have nothing to repeat of the sessions before these
        self.answers: list[tuple[Source, int, list[Result], list[Result]]] = []  # …, those with a draft, all
        self.counted: dict[str, int] = {}  # counters of refused messages without a row of their own
        self.entries: list[tuple[Entries, int]] = []


class _Admitted(msgspec.Struct, frozen=True, gc=False):
    operation: str
    observations: tuple[Observation, ...]
    verdicts: tuple[Verdict, ...]
    rejects: tuple[Reject, ...]
    refused: bool  # for who sent it, or broken and of nobody who is admitted: no byte of it stays


#: The rows of a frame, the reply its device waits for, and why it was refused, if it was.
_Rows = tuple[list[Draft], bytes | None, tuple[Reject, ...]]


class Desk:
    """Takes frames to the journal.

    Args:
        journal: the writer.
        exercise: admit everybody (the journal's mode says the same).
        refusal_key: secret key of the hashes that stand for refused payloads.
        clock: where an entry's time comes from, see ``ingest.clock``.
    """

    def __init__(self, journal: Writer, *, exercise: bool, refusal_key: bytes, clock: Kind = "wall"):
        self.journal = journal
        self.directory = Directory()
        for entry in journal.registers():
            self.directory.apply(unpack(entry))
        self.door = Judge(self.directory, exercise=exercise)
        self.crashes = 0
        self._count = 0
        self._nobodys = OPEN if exercise else ""
        self._refusal_key = refusal_key
        self.clock = Clock(clock, journal.clock_ns())
        self._codecs: dict[str, codec.Codec] = {}
        self._broadcast: set[str] = set()
        self._decoders: OrderedDict[str, dict[str, codec.Decoder]] = OrderedDict()
        self._remembered: dict[str, str] = {}
        self._spoke: OrderedDict[str, dict[str, None]] = OrderedDict()  # whose messages a session brought, of those remembered
        self._batch = Batch()
        self._repeats = Repeats()
        self._leads: dict[tuple[str, str], bytes] = {}

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
        batch = self._batch = Batch()
        drafts = batch.drafts
        self.clock.look(now_ns)
        self._put_clock(drafts)
        self._put_due(batch)
        for item in items:
            if isinstance(item, Closed):
                self._decoders.pop(item.session, None)
                devices = self._spoke.pop(item.session, {})
                if item.finished:
                    self._finish(batch, [veiled(item.finished), *devices])
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
                        made, reply, rejects = self._rows(frame, batch.sessions)
                    except JournalError:
                        raise
                    except Exception as error:  # noqa: BLE001 - boundary: a message nobody foresaw must not stop all the others
                        what = f"the {frame.format[:40]} message could not be taken in"
                        made, reply, rejects = self._crashed(frame, error, what)
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
        batch = self._batch = Batch()
        self.clock.look(now_ns)
        self._put_clock(batch.drafts)
        self._put_due(batch, all=True)
        return batch

    def _refused_row(self, batch: Batch, frame: Frame, draft: Draft, rejects: tuple[Reject, ...]) -> Draft | None:
        """The row for a refused message; None where it is only counted, see ``ingest.repeats``."""
        if draft.observations or frame.mark:
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
        self._remembered.update(list(batch.sessions))
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
            entries.done(numbers[first : first + len(entries.drafts)])
        return len(numbers) - known

    def tick(self, now_ns: int) -> None:
        """Append a tick: nothing arrived, and time went on.

        While the wall clock is behind the journal's, time does not go on: no tick, see ``Clock.behind_s``.
        """
        before_ns = self.clock.now_ns
        self.clock.look(now_ns)
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

    def _rows(self, frame: Frame, sessions: dict[tuple[str, str], None]) -> _Rows:
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
        admitted = self._admit(frame, decoded, device, received_ns)
        observations, rejects, refused = admitted.observations, admitted.rejects, admitted.refused
        reasons = tuple([r.reason for r in rejects]) if rejects else ()
        ident = self._ident(frame, decoded, device, sessions, reasons)
        if reasons:
            ident = rejected((*reasons, device), ident, self._refusal_key)
        sender = None if frame.device == device else frame.device
        subject = decoded.device or frame.subject
        if subject == device:
            subject = ""
        unread = () if refused else decoded.unread
        body: FrameBody | RefusalBody
        if sender is None and not (rejects or subject or unread or frame.undated):
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
        else:
            body = FrameBody(
                format=frame.format, version=version, payload=frame.payload, device=device, channel=frame.channel,
                session=frame.session, observations=observations, rejects=rejects, unread=unread,
                sender=sender, subject=subject, undated=frame.undated, verdicts=admitted.verdicts,
            )
        # the reply goes out also where the message was refused: the record is on disk, and a device
        # that is never answered sends for ever (traccar/traccar#5574)
        if is_one(admitted.verdicts, rejects):
            draft = Draft(
                kind="refusal" if refused else "frame", received_ns=received_ns, source=frame.source, ident=ident,
                body=pack(body), operation=admitted.operation or ("" if observations else self._nobodys),
                observations=len(observations), reasons=reasons, unread=unread, undated=frame.undated,
            )
            return [draft], decoded.reply, rejects
        return self._parted(frame, body, ident, received_ns), decoded.reply, rejects

    def _received(self, frame: Frame, observations: tuple[Observation, ...], device: str) -> int:
        return self.clock.received(frame, observations, lambda: self.door.sender(device, self.clock.now_ns) is None)

    def _parted(self, frame: Frame, body: FrameBody | RefusalBody, ident: bytes, received_ns: int) -> list[Draft]:
        """The rows of a message of several operations, see ``ingest.parts``."""
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
            out.append(Draft(
                kind="refusal" if isinstance(own, RefusalBody) else "frame", received_ns=received_ns, source=frame.source,
                ident=ident if number == 0 else near(received_ns) + hashed(b"part", ident, part.operation.encode()),
                body=pack(own), operation=part.operation, observations=observations,
                reasons=tuple([r.reason for r in part.rejects]), unread=unread, undated=frame.undated and number == 0,
                part_of=b"" if number == 0 else ident,
            ))
        return out

    def _refusal(self, frame: Frame, version: int, device: str, sender: str | None, subject: str,
                 admitted: _Admitted) -> RefusalBody:
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
        self._count += 1
        ident = near(self.clock.now_ns) + hashed(b"crashed", f"{self.clock.now_ns}:{self._count}".encode(), frame.payload)
        body: FrameBody | RefusalBody
        if self._may_keep(frame, frame.device, (frame.subject,), self.clock.now_ns):
            body = FrameBody(format=frame.format, version=0, payload=frame.payload, device=frame.device, rejects=rejects)
        else:
            body = self._refusal(frame, 0, frame.device, None, frame.subject, _Admitted("", (), (), rejects, True))
        draft = Draft(
            kind="frame" if isinstance(body, FrameBody) else "refusal", source=frame.source, ident=ident, body=pack(body),
            received_ns=self.clock.now_ns or max(frame.received_ns, 0), operation=self._nobodys, reasons=("format",),
        )
        return [draft], None, rejects

    def _log_crash(self, error: Exception, what: str) -> None:
        self.crashes += 1
        log.error("%s: %s", what, place_of(error))

    def _refused_hash(self, frame: Frame) -> bytes:
        return hmac.new(self._refusal_key, frame.payload, hashlib.sha256).digest()

    def _admit(self, frame: Frame, decoded: Decoded, device: str, received_ns: int) -> _Admitted:
        """What of a message comes in.

        Args:
            device: the sender, or where no transport vouches for one, whom the message names.
        """
        door, broadcast = self.door, frame.format in self._broadcast
        named = decoded.device or frame.subject
        refused = door.sender(device, received_ns)
        if refused is None and not decoded.rejects and decoded.observations:
            plain = self._admit_plain(decoded.observations, device, named, received_ns, broadcast)
            if plain is not None:
                return plain
        refusals: list[Reject] = []
        malformed: list[Reject] = []
        for reject in decoded.rejects:
            (malformed if reject.reason in MALFORMED_REASONS else refusals).append(reject)
        observations: tuple[Observation, ...] = ()
        verdicts: list[Verdict] = []
        operation = ""
        if refused is not None:
            refusals.append(door.impostor(device, named) or refused)
        else:
            kept: list[Observation] = []
            latest_ns, plain_ns = received_ns + SKEW_NS, received_ns - NEAR_NS
            whom, when_ns, verdict, same = None, 0, NOBODYS, True
            rollovers, changed = self.directory.week_rollover, False
            for observation in decoded.observations:
                if rollovers and (times := rollovers.get(observation.device)):
                    observation = corrected(observation, times, latest_ns)
                    changed = True
                time_ns, wrong = observation.time_ns, ""
                if time_ns is None:
                    time_ns = received_ns
                elif not plain_ns < time_ns <= latest_ns:
                    wrong = astray(time_ns, received_ns)
                    if not wrong and time_ns > latest_ns:
                        wrong = f"{(time_ns - received_ns) // NS} s ahead of the receiver"
                    if wrong:
                        time_ns = received_ns
                # the door first (a time that is not believed is not asked with): what is refused for who
                # sent it leaves no position, whatever else is wrong with it
                if observation.device != whom or time_ns != when_ns or type(observation) is TagRead:
                    whom, when_ns = observation.device, time_ns
                    verdict = door.judge(observation, device, received_ns, time_ns, broadcast)
                if verdict.state == "refused":
                    why = door.why(observation.device, device, time_ns)
                    if why is not None and why not in refusals:
                        refusals.append(why)
                elif wrong:
                    malformed.append(Reject("clock", wrong, device=observation.device, verdict=verdict))
                else:
                    kept.append(observation)
                    verdicts.append(verdict)
                    operation = operation or verdict.operation
                    same = same and verdict is verdicts[0]
            if same:  # one stands for all: equal verdicts are one object
                del verdicts[1:]
            observations = decoded.observations if len(kept) == len(decoded.observations) and not changed else tuple(kept)
            # a message without observations, or with a broken part, may still name somebody
            if malformed or (named and named != device):
                for name in dict.fromkeys([named, *(r.device for r in malformed)]):
                    why = door.why(name, device, received_ns) if name and name != device else None
                    if why is not None and why not in refusals:
                        refusals.append(why)
        if not refusals and observations and not malformed:
            return _Admitted(operation, observations, tuple(verdicts), (), False)
        refused_whole = bool(refusals)
        if not refused_whole:
            parts = [r.device or named for r in malformed] or [named]
            refused_whole = not self._may_keep(frame, device, parts, received_ns)
            if refused_whole and not malformed:
                refusals.append(Reject("unknown_device", "names nobody who is admitted"))
        for i, r in enumerate(malformed):
            whose = r.verdict
            if whose is None and r.reason == "clock" and r.device and refused is None:
                whose = door.of(r.device, device, received_ns, broadcast)  # whose clock it is: that one is not silent
            if whose is not r.verdict or refused_whole:
                malformed[i] = msgspec.structs.replace(r, detail=NOT_KEPT if refused_whole else r.detail, verdict=whose)
        if not observations and refused is None:
            # nothing came in that has a verdict: it is of the case of whom its clock, or else its sender, was
            operation = next((r.verdict.operation for r in malformed if r.verdict is not None), "")
            if not operation and device:
                operation = door.of(device, device, received_ns).operation
        return _Admitted(operation, observations, tuple(verdicts), tuple(malformed + refusals), refused_whole)

    def _admit_plain(self, observations: tuple[Observation, ...], device: str, named: str, received_ns: int,
                     broadcast: bool) -> _Admitted | None:
        """``_admit`` of what nearly every message is: of one device at one time that nobody doubts, and it may come in.

        None where it is anything else.
        """
        door, first = self.door, observations[0]
        whom, stated_ns = first.device, first.time_ns
        if len(observations) > 1:
            for observation in observations:
                if observation.time_ns != stated_ns or observation.device != whom or type(observation) is TagRead:
                    return None
        elif type(first) is TagRead:
            return None
        if whom in self.directory.week_rollover:
            return None
        if stated_ns is None:
            time_ns = received_ns
        elif stated_ns <= received_ns + SKEW_NS and undoubted(stated_ns, received_ns):
            time_ns = stated_ns
        else:
            return None
        verdict = door.of(whom, device, time_ns, broadcast)
        if verdict.state == "refused":
            return None
        if named and named != device and not door.exercise:
            if door.of(named, device, received_ns, broadcast).state == "refused":
                return None
        return _Admitted(verdict.operation, observations, (verdict,), (), False)

    def _may_keep(self, frame: Frame, device: str, named: Sequence[str], time_ns: int) -> bool:
        """Whether the bytes stay of a message that is broken, or says nothing of which the door can be asked."""
        if self.door.exercise or not frame.payload.strip(b"\r\n\t \0\xff"):
            return True
        names = getattr(self._codecs.get(frame.format), "NAMES_DEVICE", True)
        return self.door.keeps(device, named, time_ns, gateway=bool(frame.device) and names)

    def _decode(self, frame: Frame) -> tuple[Decoded, int]:
        try:
            module = self._codecs.get(frame.format)
            if module is None:
                if not codec.known(frame.format):
                    return codec.rejected("format", f"no format {frame.format[:40]!r}", device=frame.device), 0
                module = self._codecs[frame.format] = codec.load(frame.format)
                if getattr(module, "BROADCAST", False):
                    self._broadcast.add(frame.format)
            session = self._decoders.get(frame.session)
            decoder = None if session is None else session.get(frame.format)
            if decoder is None:
                decoder = self._decoder(frame, module)
            else:
                self._decoders.move_to_end(frame.session)
            received_ns = self.clock.arrived(frame)
            message = Message(payload=frame.payload, device=frame.subject or frame.device, topic=frame.channel,
                              received_ns=received_ns)
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

    def _ident(self, frame: Frame, decoded: Decoded, sender: str, sessions: dict[tuple[str, str], None],
               reasons: tuple[str, ...]) -> bytes:
        """Who a message is (docs/architecture.md, rule 4), led by four bytes that keep neighbours in time together (``near``).

        Args:
            reasons: why it is rejected, if it is: its ident is then made another (``rejected``).
        """
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
            self._count += 1
            packet = f"{self.clock.now_ns}:{self._count}".encode()
            return near(self.clock.now_ns) + hashed(b"once", *fixed, packet, frame.session.encode(), frame.payload)
        lap, number = divmod(frame.packet, LAP)
        lead_parts = [*fixed, number.to_bytes(2, "big")]
        if sender and (frame.dup or (frame.again and not self._spoke_in(frame.session, sender))):
            # sent again, perhaps over a new connection: the same as the one of an earlier session
            ident = self._earlier(frame, sender, lead_parts, reasons)
            if ident is not None:
                return ident
        name = f"{frame.session}#{lap}"
        known_as = veiled(sender)
        if sender and self._remembered.get(known_as) != name:
            sessions[known_as, name] = None
            self._spoke.setdefault(frame.session, {})[known_as] = None
            if len(self._spoke) > SESSIONS_KEPT:
                self._spoke.popitem(last=False)
        return once(lead_parts, name, frame.payload)

    def _earlier(self, frame: Frame, sender: str, lead: list[bytes], reasons: tuple[str, ...]) -> bytes | None:
        """The ident under which an earlier session of this sender brought the same message, if one did."""
        known_as = veiled(sender)
        names = [session for device, session in reversed(self._batch.sessions) if device == known_as]
        if known_as not in self._batch.finished:
            names += self.journal.sessions(known_as)
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
        stored = {(rejected((*reasons, sender), ident, self._refusal_key) if reasons else ident): ident for ident in idents}
        held = self.journal.holds(list(stored)) | {draft.ident for draft in self._batch.drafts}
        return next((ident for row, ident in stored.items() if row in held), None)

    def _spoke_in(self, session: str, sender: str) -> bool:
        """Whether a session has brought something new of this sender: what comes behind it is not sent again."""
        return veiled(sender) in self._spoke.get(session, ())

    def _finish(self, batch: Batch, devices: list[str]) -> None:
        """A session has ended with nothing unacknowledged: its devices have nothing to repeat, of it or of any before."""
        for device in dict.fromkeys(devices):
            self._remembered.pop(device, None)
            here = [key for key in batch.sessions if key[0] == device]
            for key in here:
                del batch.sessions[key]
            if here or self.journal.sessions(device):
                batch.finished[device] = None

    def _stamp(self, draft: Draft, now_ns: int) -> Draft:
        """An operator's entry gets the journal's time; a register is known to the door once the journal has numbered it."""
        return msgspec.structs.replace(draft, received_ns=self.clock.now_ns or now_ns)


def _count(counted: dict[str, int], draft: Draft, by: int) -> None:
    for name in ("frames", *[f"reject:{reason}" for reason in draft.reasons]):
        counted[name] = counted.get(name, 0) + by
