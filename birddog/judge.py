"""The one judge: whose an observation is, by what basis, and whether it may come in.

The desk asks it at the door, once for each observation, and writes the verdict into the entry beside the
observation; the fold reads it there and never asks again (docs/architecture.md, rule 8).  It knows the registers as the journal
has numbered them, so that a register which comes later never changes what was judged before.

**Whom a message speaks of.**  The subject of a tag that was read is the tag (its EPC): the reader only saw it.  The
subject of everything else is the observation's device.

**May it come in?**  An exercise admits everybody.  A live journal admits a device that is enrolled and either attached
to an operation that is open, or enrolled with a basis that needs no case (``CASELESS``).  A message may speak for
another device only where its sender is a gateway, that is, enrolled with such a basis; what a receiver with the
basis ``open`` hears is admitted with it, known or not, and so is what any gateway hears of a format that is broadcast
(AIS): it is in the air for everybody, and were only enrolled vessels admitted, the public picture would show who is
watched.  Nobody else is admitted by default.

**Under what authority?**  What is in an operation by basis ``warrant`` needs, where warrants rule
(``birddog.warrants``), one in force: of a position at its place and at the time at which it was made (where only we say
that, at no earlier time than the journal ever stood at: a clock that is set back revives nothing).  What a warrant does
not cover is refused, in an exercise too, or sealed where its rules say so.

**Whose is it?**  The shipment's that its subject is attached to at its time, in that operation.  Without one it is of
the operation ``open`` where it is public, our own sensor's, a partner's, or an exercise's.  Everything else is
nobody's: it stands in the journal and has no track (a bystander's tag).

**Public** is what everybody may hear: of a format that is broadcast (AIS), unless the device itself sent it to us; what
a receiver with the basis ``open`` heard; what a device with the basis ``open`` says.  Its state is ``open`` whatever
else is known of it, so that whether somebody is under surveillance changes nothing in the picture of everybody.

Example: a receiver hears a vessel that is attached to operation NIGHTJAR; the verdict is ``Verdict("NIGHTJAR",
"coaster", "open", "open")``, and feeds NIGHTJAR's own view as well as the track in ``open``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from birddog.directory import OPEN, Directory
from birddog.model import Attachment, Fix, FrameBody, Observation, RefusalBody, Reject, Sighting, TagRead, Verdict

#: Bases that need no case.
CASELESS = frozenset({"open", "own_sensor", "partner"})
#: Formats that everybody may hear, of the journals that did not say so beside each observation (schema version 1).
_BROADCAST_OF_V1 = frozenset({"ais"})
#: Verdicts that are remembered; a stranger's names must not fill the memory.
_KEPT_MOST = 100_000
_NEVER, _FOR_EVER = -(2**63), 2**63

REFUSED = Verdict(state="refused")
NOBODYS = Verdict()
_Judged = TypeVar("_Judged", bound=FrameBody | RefusalBody)


class Judge:
    """Judges for one journal; whoever owns the directory keeps it up to date.

    Equal verdicts are one object: what is remembered of an attachment is handed out again.

    Args:
        directory: the registers as of the newest entry that was numbered.
        exercise: admit everybody.
    """

    def __init__(self, directory: Directory, *, exercise: bool):
        self.directory, self.exercise = directory, exercise
        # by subject, sender and whether it was broadcast: from when and until when it holds, and what; for one version
        # of the directory
        self._known: dict[tuple[str, str, bool], tuple[int, int, Verdict]] = {}
        self._equal: dict[tuple[str, str, str, str], Verdict] = {}
        self._version = directory.version
        #: The latest time that the journal ever stood at, also before its clock was set back.
        self.high_ns = 0
        #: Whether what is to be sealed can be; else it is refused.
        self.seals = False

    def judge(self, observation: Observation, sender: str, arrival_ns: int, made_ns: int | None = None,
              broadcast: bool = False) -> Verdict:
        """Whose an observation is, by what basis, and in what state it comes in.

        Args:
            sender: the identity that the transport or the message's envelope vouches for; "" where nobody does.
            arrival_ns: when it was received.
            made_ns: when it was made, where another time than its own is believed.
            broadcast: its format is one that everybody may hear.
        """
        if made_ns is None:
            made_ns = arrival_ns if observation.time_ns is None else observation.time_ns
        known = self._known.get((observation.device, sender, broadcast))
        if known is not None and self._version == self.directory.version and known[0] <= made_ns < known[1]:
            verdict = known[2]  # as ``of`` would find it, a call less
        else:
            verdict = self.of(observation.device, sender, made_ns, broadcast)
        if self.directory.ruling:
            return self._ruled(observation, verdict, made_ns)
        if type(observation) is TagRead and verdict.state != "refused":
            return self._of_tag(observation.epc, verdict, made_ns)
        return verdict

    def of(self, subject: str, sender: str, time_ns: int, broadcast: bool = False) -> Verdict:
        """The verdict on what a message says of a device (or an EPC) at a time."""
        if self._version != self.directory.version:
            self._version = self.directory.version
            self._known.clear()
        key = subject, sender, broadcast
        known = self._known.get(key)
        if known is not None and known[0] <= time_ns < known[1]:
            return known[2]
        why = self.why(subject, sender, time_ns, broadcast)
        verdict = REFUSED if why is not None else self.owner(subject, sender, time_ns, broadcast)
        held = self.directory.attachments.get(subject)
        if not held:
            span = _NEVER, _FOR_EVER
        elif self.directory.attachment(subject, time_ns) is held[-1]:  # no other attachment comes before this one in its time
            span = held[-1].from_ns, _FOR_EVER if held[-1].to_ns is None else held[-1].to_ns
        else:
            return verdict
        if len(self._known) >= _KEPT_MOST:
            self._known.clear()
        self._known[key] = *span, verdict
        return verdict

    def why(self, subject: str, sender: str, time_ns: int, broadcast: bool = False) -> Reject | None:
        """Why what a message says of a device is refused, or None where it may come in."""
        if self.exercise:
            return None
        if sender and sender != subject:
            gateway = self.directory.device(sender)
            if gateway is None or gateway.basis not in CASELESS:
                return Reject("identity", "speaks for another device", device=sender)
            if gateway.basis == "open" or broadcast:
                return None
        enrolled = self.directory.device(subject)
        if enrolled is None:
            return Reject("unknown_device", "not enrolled", device=subject)
        if enrolled.basis in CASELESS or self.directory.attachment(subject, time_ns) is not None:
            return None
        return Reject("unauthorised", "attached to no open operation at that time", device=subject)

    def owner(self, subject: str, sender: str, time_ns: int, broadcast: bool = False) -> Verdict:
        """Whose an observation is that may come in."""
        enrolled = self.directory.device(subject)
        receiver = self.directory.device(sender) if sender != subject else None
        said = "" if enrolled is None else enrolled.basis
        heard = "" if receiver is None else receiver.basis
        public = said == "open" or heard == "open" or (broadcast and sender != subject)
        attached = self.directory.attachment(subject, time_ns)
        if public:
            return self._in(attached, "open", "open")
        if attached is not None:
            return self._in(attached, said or "warrant")
        if subject in self.directory.devices and enrolled is None:  # retired
            return NOBODYS
        if said in CASELESS:
            return self._in(None, said)
        if heard == "own_sensor":
            return self._in(None, heard)
        return self._in(None, said or "exercise") if self.exercise else NOBODYS

    # --- under what authority -----------------------------------------------------------------------

    def _ruled(self, observation: Observation, verdict: Verdict, made_ns: int) -> Verdict:
        """The verdict where warrants rule: on whoever says it, and on the tag that it read."""
        verdict = self._under(observation.device, observation, verdict, made_ns)
        if type(observation) is TagRead and verdict.state not in ("refused", "sealed"):
            verdict = self._of_tag(observation.epc, verdict, made_ns)
            if verdict.shipment:
                verdict = self._under(observation.epc, observation, verdict, made_ns)
        return verdict

    def _under(self, subject: str, observation: Observation, verdict: Verdict, made_ns: int) -> Verdict:
        if verdict.state != "admitted" or verdict.basis != "warrant":
            return verdict
        said, sealed = self._said(subject, observation, verdict.operation, made_ns)
        if said == "accept":
            return verdict
        return self._one(verdict.operation, verdict.shipment, "warrant", "sealed" if sealed and self.seals else "refused")

    def _said(self, subject: str, observation: Observation | None, operation: str, made_ns: int) -> tuple[str, bool]:
        if not self.directory.under_warrant(subject, operation):
            return "accept", False
        lat_deg = lon_deg = None
        if observation is None or observation.time_ns is None or observation.time_source == "server":
            made_ns = max(made_ns, self.high_ns)
        if isinstance(observation, Fix | Sighting):
            lat_deg, lon_deg = observation.lat_deg, observation.lon_deg
        elif observation is not None:
            place = self.directory.placement(observation.device, made_ns)
            if place is not None:
                lat_deg, lon_deg = place.lat_deg, place.lon_deg
        known = self.directory.device(subject)
        return self.directory.warrants.verdict(subject, operation, "" if known is None else known.klass, made_ns,
                                               lat_deg=lat_deg, lon_deg=lon_deg)

    def no_warrant(self, observation: Observation, verdict: Verdict, made_ns: int) -> Reject:
        """Why an observation was refused that an operation would have: the verdict of the warrants on it, and no word more."""
        subject, said = observation.device, "accept"
        known = self.directory.device(subject)
        if not isinstance(observation, TagRead) or (known is not None and known.basis == "warrant"):
            said, _ = self._said(subject, observation, verdict.operation, made_ns)
        if said == "accept" and isinstance(observation, TagRead):
            subject = observation.epc
            said, _ = self._said(subject, observation, verdict.operation, made_ns)
        return Reject("unauthorised", said, device=subject, verdict=verdict)

    def ruled(self, subject: str, time_ns: int) -> bool:
        """Whether what a device says at a time needs a warrant: then nothing of it stays that cannot be judged."""
        directory = self.directory
        if not directory.ruling:
            return False
        attached = directory.attachment(subject, time_ns)
        known = directory.device(subject)
        if known is not None and known.basis != "warrant":
            return False
        return subject in directory.warrants.devices or (attached is not None
                                                         and directory.under_warrant(subject, attached.operation))

    def silent(self, subject: str, sender: str, time_ns: int) -> Verdict | Reject | None:
        """On a message of a device under a warrant that says nothing of which the warrant could be asked: whose it is, or why
        not even that it was heard may stay; None where no warrant is asked for."""
        if not self.ruled(subject, time_ns):
            return None
        verdict = self.of(subject, sender, time_ns)
        if verdict.state != "admitted" or verdict.basis != "warrant":
            return None
        said, _ = self._said(subject, None, verdict.operation, time_ns)
        if said == "accept":
            return verdict
        refused = self._one(verdict.operation, verdict.shipment, "warrant", "refused")
        return Reject("unauthorised", said, device=subject, verdict=refused)

    def _of_tag(self, epc: str, reader: Verdict, time_ns: int) -> Verdict:
        """The verdict on a tag that was read: its own, whoever read it; nobody's tag is a matter of its reader's case."""
        verdict = self.owner(epc, "", time_ns)
        if verdict is NOBODYS and reader.operation not in ("", OPEN):
            return self._one(reader.operation, "", reader.basis, "admitted")
        return verdict

    def _in(self, attached: Attachment | None, basis: str, state: str = "admitted") -> Verdict:
        if attached is None:
            return self._one(OPEN, "", basis, state)
        return self._one(attached.operation, attached.shipment, basis, state)

    def _one(self, operation: str, shipment: str, basis: str, state: str) -> Verdict:
        key = operation, shipment, basis, state
        found = self._equal.get(key)
        if found is None:
            found = self._equal[key] = Verdict(operation, shipment, basis, state)  # type: ignore[arg-type]  # of our own words
        return found

    # --- what the door asks beside -------------------------------------------------------------------

    def sender(self, device: str, time_ns: int) -> Reject | None:
        """Why a message of this sender is refused as a whole, or None; "" = nobody claims it."""
        if self.exercise or not device or self.of(device, device, time_ns).state != "refused":
            return None
        return self.why(device, device, time_ns)

    def impostor(self, sender: str, named: str) -> Reject | None:
        """Why a sender may not name somebody: it is enrolled, and no gateway; asked where it is refused anyway."""
        known = self.directory.device(sender) if sender and named and named != sender else None
        if known is None or known.basis in CASELESS:
            return None
        return Reject("identity", "speaks for another device", device=sender)

    def keeps(self, sender: str, named: Sequence[str], time_ns: int, *, gateway: bool, broadcast: bool = False) -> bool:
        """Whether the bytes of a message may stay that is broken, or gives no observation to judge it by.

        What is broken cannot be judged by what it says: its bytes stay only where nobody's position can be in them
        but that of somebody admitted, of whom no warrant is asked for.

        Args:
            named: whom each part of it names, "" for a part that names nobody.
            gateway: the sender is vouched for apart from what the bytes say, and their format names whom they speak of:
                then they may be anybody's, and each part must name somebody admitted.
            broadcast: their format is one that everybody may hear.
        """
        if self.directory.ruling and any(self.ruled(name, time_ns) for name in (sender, *named) if name):
            return False
        if self.exercise:
            return True
        if not sender or self.sender(sender, time_ns) is not None:
            return False
        if not gateway:
            return True
        basis = self.directory.devices[sender].basis
        if broadcast or basis in ("warrant", "open"):  # speaks for itself only; of everybody, as it is heard by all
            return True
        return all(name not in ("", sender) and self.of(name, sender, time_ns).state != "refused" for name in named)


def judged(body: _Judged, judge: Judge, now_ns: int) -> _Judged:
    """The body of an entry with a verdict beside each observation, also where it was written before there were any.

    What stands in a journal of schema version 1 was admitted by its door; whose it is is found by the registers of
    that moment (an entry's observations were judged so by the fold of its day; docs/decisions/0009 says where not).

    Args:
        judge: of the registers as of the entry before this one, and of the journal's mode then.
        now_ns: the journal's time at this entry.
    """
    broadcast = body.format in _BROADCAST_OF_V1
    if len(body.verdicts) != len(body.observations):
        found = []
        for o in body.observations:
            time_ns = now_ns if o.time_ns is None else o.time_ns
            verdict = judge.owner(o.device, body.device, time_ns, broadcast)
            found.append(judge._of_tag(o.epc, verdict, time_ns) if isinstance(o, TagRead) else verdict)
        body = msgspec.structs.replace(body, verdicts=tuple(found))
    if body.rejects and any(r.reason == "clock" and r.device and r.verdict is None for r in body.rejects):
        body = msgspec.structs.replace(body, rejects=tuple([
            msgspec.structs.replace(r, verdict=judge.owner(r.device, body.device, now_ns, broadcast))
            if r.reason == "clock" and r.device and r.verdict is None else r for r in body.rejects]))
    return body
