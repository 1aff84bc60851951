"""What was believed when: the rows of ``birddog track --journal``, by the live fold itself.

The journal's entries are folded in the order in which they were received; at each asked time the tracks are those that
followed from the entries received by then.  ``without`` and ``late`` change what is folded, never how: the picture as it
would have been without a source, or with one that reported later.  No row looks ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import msgspec

from birddog.directory import REGISTERS
from birddog.errors import UsageError
from birddog.model import Entry, FrameBody, RefusalBody, Scan, Track, pack, unpack
from birddog.units import NS
from tracking.fold import Fold

#: No more times than this are answered: more is a slip of the hand (a second's steps over years).
TIMES_MOST = 20_000_000


def without(entry: Entry, sources: frozenset[str]) -> Entry | None:
    """The entry with nothing of the sources (a transport's name, a device, a sensor) in it; None where nothing is left."""
    if entry.kind not in ("frame", "refusal", "scan"):
        return entry
    body = unpack(entry)
    if isinstance(body, Scan):
        return None if {entry.source, body.sensor} & sources else entry
    assert isinstance(body, FrameBody | RefusalBody)
    if {entry.source, body.device} & sources:
        return None
    kept = [i for i, o in enumerate(body.observations) if o.device not in sources]
    if len(kept) == len(body.observations):
        return entry
    said = tuple(body.observations[i] for i in kept)
    verdicts = tuple(body.verdicts[i] for i in kept) if body.verdicts else ()
    return msgspec.structs.replace(entry, body=pack(msgspec.structs.replace(body, observations=said, verdicts=verdicts)))


def of_source(entry: Entry, name: str) -> bool:
    """Whether an entry came from a source: its transport's name, its device or its sensor."""
    if entry.kind not in ("frame", "refusal", "scan"):
        return False
    body = unpack(entry)
    if isinstance(body, Scan):
        return name in (entry.source, body.sensor)
    assert isinstance(body, FrameBody | RefusalBody)
    return name in (entry.source, body.device) or any(o.device == name for o in body.observations)


def arrivals(journal: Iterable[Entry], *, leave_out: frozenset[str], late_ns: dict[str, int]) -> Iterator[Entry]:
    """The entries in the order in which they would have come in; numbers stay those of the journal."""
    waiting: list[tuple[int, int, Entry]] = []
    for entry in journal:
        kept = without(entry, leave_out) if leave_out else entry
        if kept is None:
            continue
        delay_ns = max((ns for name, ns in late_ns.items() if of_source(kept, name)), default=0)
        if delay_ns or waiting:
            kept = msgspec.structs.replace(kept, received_ns=kept.received_ns + delay_ns)
            heapq.heappush(waiting, (kept.received_ns, kept.seq, kept))
            while waiting and waiting[0][0] <= entry.received_ns:
                yield heapq.heappop(waiting)[2]
        else:
            yield kept
    while waiting:
        yield heapq.heappop(waiting)[2]


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
        if entry.kind not in REGISTERS:
            now_ns = max(now_ns, entry.received_ns)
            if due_ns is None:
                begin_ns = now_ns if from_ns is None else max(now_ns, from_ns)
                due_ns = origin_ns - (origin_ns - begin_ns) // every_ns * every_ns
            while due_ns < now_ns and (to_ns is None or due_ns <= to_ns):
                count += 1
                if count > TIMES_MOST:
                    raise UsageError(f"more than {TIMES_MOST:,} answers: a longer step was expected", field="--every")
                yield due_ns, fold.believed(due_ns, operation)
                due_ns += every_ns
            if to_ns is not None and due_ns > to_ns:
                return
        fold.apply(entry)
    if due_ns is not None and due_ns <= now_ns:
        yield due_ns, fold.believed(due_ns, operation)


def seconds_of(text: str) -> tuple[str, int]:
    """``SOURCE=SECONDS`` of ``--late`` as (source, ns).

    Raises:
        UsageError: it has another form.
    """
    name, sign, number = text.rpartition("=")
    try:
        seconds = float(number)
    except ValueError:
        seconds = -1.0
    if not sign or not name or not 0.0 <= seconds <= 1e9:
        raise UsageError("SOURCE=SECONDS was expected, seconds not below 0", field="--late")
    return name, int(seconds * NS)
