"""One message with observations of several operations becomes one entry for each: each can be sealed or erased alone.

All of them are written in one transaction, one behind the other; the message still counts as one.  Example: a portal
reads a tag of NIGHTJAR, one of HERON and one that is nobody's; three entries hold one observation each.

What everybody may hear is in an entry of ``open``, and where it is attached to a case in one of that case as well: so
whether somebody is under surveillance changes nothing in what stands in ``open``, nor does erasing the case.

The raw bytes stay with an entry only where all that they say is of its operation (or, in ``open``, everybody may hear it);
the others keep a keyed hash of them.  An entry without observations, refusals apart, is not parted.
"""

from __future__ import annotations

import msgspec

from birddog.directory import OPEN
from birddog.model import Observation, Reject, Verdict


class Part(msgspec.Struct, gc=False):
    """What of a message is of one operation.  ``whole``: its raw bytes say nothing of another."""

    operation: str
    observations: list[Observation]
    verdicts: list[Verdict]
    rejects: list[Reject]
    whole: bool


def is_one(verdicts: tuple[Verdict, ...], rejects: tuple[Reject, ...]) -> bool:
    """Whether all of a message is of one operation, as nearly every one is: one verdict that stands for all."""
    if len(verdicts) > 1 or (verdicts and verdicts[0].state == "open" and verdicts[0].operation != OPEN):
        return False
    return not rejects or len({v.operation for v in (*verdicts, *[r.verdict for r in rejects]) if v is not None}) < 2


def parted(observations: tuple[Observation, ...], verdicts: tuple[Verdict, ...], rejects: tuple[Reject, ...]) -> list[Part]:
    """The parts of a message, in the order in which it speaks of their operations; what is nobody's comes last.

    Args:
        verdicts: one for each observation, or one for all; a reject for a clock has its own, others go with the first part.
    """
    if len(verdicts) < len(observations):
        verdicts = verdicts * len(observations)
    said = [*verdicts, *[r.verdict for r in rejects if r.verdict is not None]]
    public = all(verdict.state == "open" for verdict in said)
    operations = {verdict.operation for verdict in said}
    parts: dict[str, Part] = {}

    def part(operation: str) -> Part:
        found = parts.get(operation)
        if found is None:
            whole = operations == {operation} or (operation == OPEN and public)
            found = parts[operation] = Part(operation, [], [], [], whole)
        return found

    for observation, verdict in zip(observations, verdicts, strict=True):
        if verdict.state == "open":
            here = part(OPEN)
            here.observations.append(observation)
            here.verdicts.append(Verdict(OPEN, "", verdict.basis, "open"))
            if verdict.operation == OPEN:
                continue
            verdict = Verdict(verdict.operation, verdict.shipment, verdict.basis, "admitted")
        here = part(verdict.operation)
        here.observations.append(observation)
        here.verdicts.append(verdict)
    for reject in rejects:
        if reject.verdict is not None:
            part(reject.verdict.operation).rejects.append(reject)
    found = sorted(parts.values(), key=lambda part: part.operation == "")
    found[0].rejects[:0] = [reject for reject in rejects if reject.verdict is None]
    return found


def counted(parts: list[Part]) -> list[int]:
    """How many observations each part is counted for: what stands in ``open`` and in a case is one."""
    seen: set[int] = set()
    out = []
    for part in parts:
        new = {id(observation) for observation in part.observations} - seen
        seen |= new
        out.append(len(new))
    return out
