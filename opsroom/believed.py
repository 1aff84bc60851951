"""What was believed when: the rows of ``birddog track --journal``, by the live fold itself.

The journal's entries are folded in the order in which they were received; at each asked time the tracks are those that
followed from the entries received by then.  ``without`` and ``late`` change what is folded, never how: the picture as it
would have been without a source, or with one that reported later.  No row looks ahead.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from birddog.errors import UsageError
from birddog.model import TIMELESS, Entry, Fix, FrameBody, RefusalBody, Scan, TagRead, Track, pack, unpack
from birddog.units import NS
from tracking.fold import Fold

#: No more times than this are answered: more is a slip of the hand (a second's steps over years).
TIMES_MOST = 20_000_000
#: What is given in seconds is no longer: 31 years.
SECONDS_MOST = 1_000_000_000
#: About so many rows are made at once.
ROWS_MOST = 1024


#: Stands for a fix or a read that is left out: the entry's others keep their place in it, and so their tracks' ids.
_NOTHING = Fix(device="", time_ns=None, lat_deg=math.nan, lon_deg=math.nan)


def without(entry: Entry, sources: frozenset[str]) -> Entry | None:
    """The entry with nothing of the sources in it; None where nothing is left.

    A source is a transport's name, a device (also one that speaks through a gateway, or that only sent what it heard of
    others), a sensor, a reader, or a tag (its EPC).
    """
    return parted(entry, sources)[0]


def of_source(entry: Entry, name: str) -> bool:
    """Whether something in an entry is of a source."""
    return parted(entry, frozenset((name,)))[1] is not None


def parted(entry: Entry, sources: frozenset[str]) -> tuple[Entry | None, Entry | None]:
    """(the entry without what the sources said, the entry with nothing else in it); None where nothing is left of it."""
    if entry.kind not in ("frame", "refusal", "scan") or entry.erased:
        return entry, None
    body = unpack(entry)
    if isinstance(body, Scan):
        return (None, entry) if {entry.source, body.sensor} & sources else (entry, None)
    assert isinstance(body, FrameBody | RefusalBody)
    if {entry.source, body.device, body.sender} & sources:
        return None, entry
    theirs = [bool({o.device, o.epc if isinstance(o, TagRead) else ""} & sources) for o in body.observations]
    refused = [r.device in sources for r in body.rejects]
    if not any(theirs) and not any(refused):
        return entry, None
    if all(theirs) and all(refused):
        return None, entry
    return _part(entry, body, theirs, refused, False), _part(entry, body, theirs, refused, True)


def _part(entry: Entry, body: FrameBody | RefusalBody, theirs: list[bool], refused: list[bool], part: bool) -> Entry:
    """The entry with those of its observations and rejects that are of the sources, or with the others."""
    said: list[Any] = []
    verdicts: list[Any] = []
    for i, observation in enumerate(body.observations):
        ours = theirs[i] == part
        if ours or isinstance(observation, Fix | TagRead):
            said.append(observation if ours else _NOTHING)
            verdicts += body.verdicts[i : i + 1]
    rejects = tuple(r for r, of in zip(body.rejects, refused, strict=True) if of == part)
    changed: FrameBody | RefusalBody
    changed = msgspec.structs.replace(body, observations=tuple(said), verdicts=tuple(verdicts), rejects=rejects)
    if isinstance(changed, FrameBody) and changed.mistimed:
        whose = {reject.device for reject in rejects}
        changed = msgspec.structs.replace(changed, mistimed=tuple([fix for fix in changed.mistimed if fix.device in whose]))
    return msgspec.structs.replace(entry, body=pack(changed))


def arrivals(journal: Iterable[Entry], *, leave_out: frozenset[str], late_ns: dict[str, int]) -> Iterator[Entry]:
    """The entries in the order in which they would have come in; numbers stay those of the journal.

    Of an entry in which several speak only what the late ones said comes later.
    """
    waiting: list[tuple[int, int, int, Entry]] = []
    order = sorted(late_ns, key=lambda name: (-late_ns[name], name))  # what two names fit is as late as the later of them
    for entry in journal:
        now = without(entry, leave_out) if leave_out else entry
        for nth, name in enumerate(order):
            if now is None:
                break
            now, then = parted(now, frozenset((name,)))
            if then is not None:
                received_ns = then.received_ns + late_ns[name]
                later = msgspec.structs.replace(then, received_ns=received_ns)
                heapq.heappush(waiting, (received_ns, then.seq, nth, later))
        while waiting and waiting[0][0] <= entry.received_ns:
            yield heapq.heappop(waiting)[3]
        if now is not None:
            yield now
    while waiting:
        yield heapq.heappop(waiting)[3]


def believed(
    journal: Iterable[Entry], every_ns: int, *, origin_ns: int = 0, from_ns: int | None = None, to_ns: int | None = None,
    operation: str | None = None, leave_out: frozenset[str] = frozenset(), late_ns: dict[str, int] | None = None,
) -> Iterator[tuple[int, list[Track]]]:  # fmt: skip
    """(time, tracks) at the multiples of a step, from the first entry to the last.

    Args:
        journal: the entries, in order.
        origin_ns: what the multiples are counted from.
        leave_out: sources of which nothing is folded.
        late_ns: how much later what a source said comes in.

    Raises:
        JournalError: an entry is damaged.
        UsageError: more than ``TIMES_MOST`` times.
    """
    fold, now_ns, due_ns, count = Fold(), 0, None, 0
    for entry in arrivals(journal, leave_out=leave_out, late_ns=late_ns or {}):
        if entry.kind not in TIMELESS:
            now_ns = max(now_ns, entry.received_ns)
            if due_ns is None:
                begin_ns = now_ns if from_ns is None else max(now_ns, from_ns)
                due_ns = origin_ns - (origin_ns - begin_ns) // every_ns * every_ns
            end_ns = now_ns if to_ns is None else min(now_ns, to_ns + 1)
            if count - (due_ns - end_ns) // every_ns > TIMES_MOST:
                raise UsageError(f"more than {TIMES_MOST:,} answers: a longer step was expected", field="--every")
            while due_ns < end_ns:
                # nothing is heard before the last of them
                n = min(-((due_ns - end_ns) // every_ns), max(1, ROWS_MOST // max(1, fold.tracks)))
                count += n
                times_ns = [due_ns + k * every_ns for k in range(n)]
                yield from zip(times_ns, fold.believed_all(times_ns, operation), strict=True)
                due_ns += n * every_ns
            if to_ns is not None and due_ns > to_ns:
                return
        fold.apply(entry)
    if due_ns is not None and due_ns <= now_ns:
        yield due_ns, fold.believed(due_ns, operation, aboard=False)


def late_of(texts: list[str]) -> dict[str, int]:
    """Each ``SOURCE=SECONDS`` of ``--late``: ns by source.

    Raises:
        UsageError: one has another form, or names a source that another one names.
    """
    late: dict[str, int] = {}
    for text in texts:
        name, sign, number = text.rpartition("=")
        try:
            seconds = float(number)
        except ValueError:
            seconds = -1.0
        if not sign or not name or not 0.0 <= seconds <= SECONDS_MOST:
            raise UsageError(f"SOURCE=SECONDS was expected, 0 to {SECONDS_MOST:,} seconds", field="--late")
        if name in late:
            raise UsageError(f"{name} is given twice, and is late by one time only", field="--late")
        late[name] = int(seconds * NS)
    return late
