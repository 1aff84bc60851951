"""Admission: what of a decoded message comes in, the second of the desk's four steps.

The judge is asked for each observation, with the time that it states, or that of its receipt where that is earlier; what is
refused leaves a reason, and where nothing of a message may stay, not one byte of it (docs/architecture.md, rules 5 and 8).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from birddog.judge import NOBODYS, Judge
from birddog.model import MALFORMED_REASONS, Fix, Frame, Observation, Reject, TagRead, Verdict
from birddog.units import NS
from devices.clock import NEAR_NS, astray, corrected, undoubted
from devices.codec import Codec, Decoded
from ingest.clock import SKEW_NS
from ingest.door import NOT_KEPT
from ingest.offsets import Offsets

#: The states of a verdict of what may come in.
_IN = ("admitted", "open")
#: The detail of a reject that stands for reads of tags that are nobody's; it never names one.
BYSTANDER = "a tag of nobody's case"


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """What of one message comes in, and why the rest does not."""

    operation: str
    observations: tuple[Observation, ...]
    verdicts: tuple[Verdict, ...]
    rejects: tuple[Reject, ...]
    refused: bool  # for who sent it, or broken and of nobody who is admitted: no byte of it stays
    sealed: tuple[tuple[Observation, Verdict], ...] = ()  # what an order may open one day
    bare: bool = False  # its observations stay, its bytes do not: they may hold what no warrant was asked about
    mistimed: tuple[Fix, ...] = ()  # positions that are refused for their clock alone




class Admission:
    """Asks the door for each observation of a message.

    Args:
        door: the judge; its directory holds who is who.
    """

    def __init__(self, door: Judge):
        self.door, self.directory = door, door.directory
        self._offsets = Offsets()
        self._broadcast: set[str] = set()  # formats whose messages everybody may hear (AIS)
        self._names_nobody: set[str] = set()  # formats in which a message cannot say whom it is about

    def learn(self, name: str, module: Codec) -> None:
        """Note the facts of a format that is used for the first time."""
        if getattr(module, "BROADCAST", False):
            self._broadcast.add(name)
        if not getattr(module, "NAMES_DEVICE", True):
            self._names_nobody.add(name)

    def everybodys(self, name: str) -> bool:
        """Whether everybody may hear a message of a format."""
        return name in self._broadcast

    def admit(self, frame: Frame, decoded: Decoded, device: str, received_ns: int) -> Admitted:
        """What of a message comes in.

        Args:
            device: the sender, or where no transport vouches for one, whom the message names.
        """
        door, broadcast = self.door, frame.format in self._broadcast
        named = decoded.device or frame.subject
        refused = door.sender(device, received_ns)
        if refused is None and not decoded.rejects and decoded.observations:
            plain = self.plain(decoded.observations, device, named, received_ns, broadcast)
            if plain is not None:
                return plain
        refusals: list[Reject] = []
        malformed: list[Reject] = []
        for reject in decoded.rejects:
            (malformed if reject.reason in MALFORMED_REASONS else refusals).append(reject)
        observations: tuple[Observation, ...] = ()
        verdicts: list[Verdict] = []
        sealed: list[tuple[Observation, Verdict]] = []
        mistimed: list[Fix] = []
        hidden: dict[tuple[str, int | None], Verdict] = {}
        operation = ""
        if refused is not None:
            refusals.append(door.impostor(device, named) or refused)
        else:
            kept: list[Observation] = []
            latest_ns, plain_ns = received_ns + SKEW_NS, received_ns - NEAR_NS
            whom, when_ns, verdict, same = None, 0, NOBODYS, True
            rollovers, changed, ruling = self.directory.week_rollover, False, self.directory.ruling
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
                said_ns, time_ns = time_ns, min(time_ns, received_ns)  # it was made by then, whatever its clock says
                # the door first (a time that is not believed is not asked with): what is refused for who
                # sent it leaves no position, whatever else is wrong with it
                if (observation.device != whom or time_ns != when_ns or said_ns != time_ns or type(observation) is TagRead
                        or ruling):  # fmt: skip
                    whom, when_ns = observation.device, time_ns
                    verdict = door.judge(observation, device, received_ns, time_ns, broadcast)
                    if said_ns > time_ns and verdict.state == "admitted":  # nor does it stand at a time at which it may not
                        said = door.judge(observation, device, received_ns, said_ns, broadcast)
                        if said.state in ("refused", "sealed"):
                            verdict, time_ns = said, said_ns
                if ruling and type(observation) is TagRead and self._bystander(observation.epc, verdict):
                    # that the reader read something stays; what it was does not, wherever it might stand
                    _refuse(refusals, Reject("unknown_device", BYSTANDER, device=observation.device))
                elif verdict.state == "refused":
                    why = door.why(observation.device, device, time_ns, broadcast)
                    if why is None:
                        hidden[observation.device, observation.time_ns] = verdict
                        _refuse(refusals, door.no_warrant(observation, verdict, time_ns))
                    elif why not in refusals:
                        refusals.append(why)
                elif verdict.state == "sealed" and not wrong:
                    hidden.setdefault((observation.device, observation.time_ns), verdict)
                    _refuse(refusals, door.no_warrant(observation, verdict, time_ns))
                    sealed.append((observation, verdict))
                elif wrong:
                    malformed.append(Reject("clock", wrong, device=observation.device, verdict=verdict))
                    if type(observation) is Fix and verdict.state in ("admitted", "open"):
                        mistimed.append(observation)
                else:
                    kept.append(observation)
                    verdicts.append(verdict)
                    operation = operation or verdict.operation
                    same = same and verdict is verdicts[0]
            if hidden:
                same = _together(hidden, kept, verdicts, sealed)
                operation = next((verdict.operation for verdict in verdicts), "")
            if same:  # one stands for all: equal verdicts are one object
                del verdicts[1:]
            observations = decoded.observations if len(kept) == len(decoded.observations) and not changed else tuple(kept)
            # a message without observations, or with a broken part, may still name somebody
            if malformed or (named and named != device):
                for name in dict.fromkeys([named, *(r.device for r in malformed)]):
                    why = door.why(name, device, received_ns, broadcast) if name and name != device else None
                    if why is not None and why not in refusals:
                        refusals.append(why)
        if not refusals and observations and not malformed:
            bare = self._bare(observations, received_ns)
            return Admitted(operation, observations, tuple(verdicts), (), False, bare=bare)
        if not refusals and not malformed and self.directory.ruling:
            heard = door.silent(named or device, device, received_ns)
            if isinstance(heard, Verdict):
                return Admitted(heard.operation, (), (), (), False, bare=True)
            if heard is not None:
                refusals.append(heard)
        if mistimed and not refusals and not observations and self.directory.ruling:
            put_right = self._put_right(mistimed, malformed, device, received_ns, broadcast)
            if put_right:
                return Admitted(malformed[0].verdict.operation if malformed[0].verdict is not None else "", (), (),
                                tuple(malformed), False, bare=True, mistimed=put_right)
        refused_whole = bool(refusals)
        if not refused_whole:
            parts = [r.device or named for r in malformed] or [named]
            refused_whole = not self.may_keep(frame, device, parts, received_ns)
            if refused_whole and not malformed:
                refusals.append(Reject("unknown_device", "names nobody who is admitted"))
        for i, r in enumerate(malformed):
            whose = r.verdict
            if whose is None and r.reason == "clock" and r.device and refused is None:
                whose = door.of(r.device, device, received_ns, broadcast)  # whose clock it is: that one is not silent
            if whose is not r.verdict or refused_whole:
                # how far the clock of somebody admitted is off says nothing of where it is
                tells = not refused_whole or (r.reason == "clock" and r.verdict is not None and r.verdict.state in _IN)
                malformed[i] = msgspec.structs.replace(r, detail=r.detail if tells else NOT_KEPT, verdict=whose)
        if not observations and refused is None:
            # nothing came in that has a verdict: it is of the case of whom its clock, or else its sender, was
            operation = next((r.verdict.operation for r in (*malformed, *refusals) if r.verdict is not None), "")
            if not operation and device:
                operation = door.of(device, device, received_ns).operation
        stay = () if refused_whole or hidden else tuple(mistimed)
        return Admitted(operation, observations, tuple(verdicts), tuple(malformed + refusals), refused_whole, tuple(sealed),
                        mistimed=stay)

    def _put_right(self, mistimed: list[Fix], malformed: list[Reject], device: str, received_ns: int, broadcast: bool
                   ) -> tuple[Fix, ...]:
        """The positions of a message of one device under a warrant whose clock alone was refused: where it is known by how much
        that is off, and they were made at a time that the warrant covers, as it does their receipt.  No byte stays.
        """
        names = {fix.device for fix in mistimed} | {reject.device for reject in malformed}
        if len(names) != 1 or any(reject.reason != "clock" for reject in malformed):
            return ()
        [name] = names
        if not self.door.ruled(name, received_ns):
            return ()
        stay, whose = [], malformed[0].verdict
        for fix in mistimed:
            assert fix.time_ns is not None, "its time was refused"
            made_ns = self._offsets.after(name, fix.time_ns, received_ns)
            if made_ns is not None and self.door.judge(fix, device, received_ns, made_ns, broadcast) == whose:
                stay.append(fix)
        return tuple(stay)

    def plain(self, observations: tuple[Observation, ...], device: str, named: str, received_ns: int,
                     broadcast: bool) -> Admitted | None:
        """``admit`` of what nearly every message is: of one device at one time that nobody doubts, and it may come in.

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
        if time_ns > received_ns:  # it was made by then, whatever its clock says
            if self.directory.ruling or door.of(whom, device, time_ns, broadcast).state == "refused":
                return None
            time_ns = received_ns
        if self.directory.ruling:
            verdict = door.judge(first, device, received_ns, time_ns, broadcast)
            if verdict.basis == "warrant" and (type(first) is not Fix or not all(
                    door.judge(other, device, received_ns, time_ns, broadcast) is verdict for other in observations[1:])):
                return None
        else:
            verdict = door.of(whom, device, time_ns, broadcast)
        if verdict.state in ("refused", "sealed"):
            return None
        if named and named != device and not door.exercise:
            if door.of(named, device, received_ns, broadcast).state == "refused":
                return None
        return Admitted(verdict.operation, observations, (verdict,), (), False)

    def _bystander(self, epc: str, verdict: Verdict) -> bool:
        """Whether a tag that was read is nobody's: of no case then, not enrolled; in an exercise everybody plays along."""
        return (not self.door.exercise and verdict.state != "refused" and not verdict.shipment
                and self.directory.device(epc) is None)

    def _bare(self, observations: tuple[Observation, ...], time_ns: int) -> bool:
        """Whether a message's bytes may hold a position that no warrant was asked about: of a device that is under one and
        whose position is not among what it says (a tracker without a fix sends its last one)."""
        if not self.directory.ruling:
            return False
        told = {o.device for o in observations if type(o) is Fix}
        return any(self.door.ruled(device, time_ns) for device in {o.device for o in observations} - told)

    def may_keep(self, frame: Frame, device: str, named: Sequence[str], time_ns: int) -> bool:
        """Whether the bytes stay of a message that is broken, or says nothing of which the door can be asked."""
        if not frame.payload.strip(b"\r\n\t \0\xff") or (self.door.exercise and not self.directory.ruling):
            return True
        names = frame.format not in self._names_nobody
        return self.door.keeps(device, named, time_ns, gateway=bool(frame.device) and names,
                               broadcast=frame.format in self._broadcast)


def _together(hidden: dict[tuple[str, int | None], Verdict], kept: list[Observation], verdicts: list[Verdict],
              sealed: list[tuple[Observation, Verdict]]) -> bool:
    """What a device said beside a position that no warrant covers goes with it; whether one verdict stands for the rest."""
    for o in kept:
        fate = hidden.get((o.device, o.time_ns))
        if fate is not None and fate.state == "sealed":
            sealed.append((o, fate))
    stay = [n for n, o in enumerate(kept) if (o.device, o.time_ns) not in hidden]
    kept[:], verdicts[:] = [kept[n] for n in stay], [verdicts[n] for n in stay]
    return all(verdict is verdicts[0] for verdict in verdicts)


def _refuse(refusals: list[Reject], why: Reject) -> None:
    """One reject for a device and a verdict, that says for how many observations it stands."""
    for n, old in enumerate(refusals):
        if (old.reason, old.detail, old.device, old.verdict) == (why.reason, why.detail, why.device, why.verdict):
            refusals[n] = msgspec.structs.replace(old, count=old.count + 1)
            return
    refusals.append(why)
