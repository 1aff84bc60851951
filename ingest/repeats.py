"""Refusals that come again and again: rows at first, then one row with a count.

A client that is refused and asks again at once (an integration whose state topic goes with no format, an
unattached tracker at 10 Hz) would make the journal grow by megabytes a second.  So of one sender, reason
and, where its bytes are kept, payload, ``ROWS`` refusals stand as rows of their own; of what comes behind
them a row is written at most every second, then every 2, 4 … up to ``MOST_NS``, that says for how many
messages it stands.  The journal's counters count each message in the transaction of its batch, so that an
acknowledged refusal is on disk, also where its row with the count is still to come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from birddog.model import ENTRY_BODIES, Draft, Frame, Reject, pack
from birddog.units import NS
from ingest.ident import digest

#: So many refusals of one kind have each a row of their own …
ROWS = 20
#: … and again after it was quiet for so long.
QUIET_NS = 60 * NS
MOST_NS = 60 * NS
_RUNS_KEPT = 10_000

Key = tuple[str, ...]


class _Run:
    __slots__ = ("draft", "last_ns", "next_ns", "pause_ns", "pending", "rows")

    def __init__(self) -> None:
        self.rows = self.pending = 0
        self.last_ns = self.next_ns = 0
        self.pause_ns = NS
        self.draft: Draft | None = None  # the newest message that has only been counted


class Repeats:
    """What is refused again and again, by who and why; ``held`` says how many messages wait for the row that counts them."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Key, _Run] = OrderedDict()
        self._evicted: list[Draft] = []
        self.held = 0

    def take(self, key: Key, draft: Draft, now_ns: int, *, known: Callable[[], bool]) -> Draft | None:
        """What to write for one more refusal: its row, a row that also stands for those before it, or None: count it.

        Args:
            known: whether its row is there already, so that it is a duplicate and no further one.
        """
        run = self._runs.get(key)
        if run is None or now_ns - run.last_ns > QUIET_NS:
            if run is not None and run.draft is not None:
                self._evicted.append(self._row(run, now_ns))
            run = self._runs[key] = _Run()
        self._runs.move_to_end(key)
        if len(self._runs) > _RUNS_KEPT:
            _, oldest = self._runs.popitem(last=False)
            if oldest.draft is not None:
                self._evicted.append(self._row(oldest, now_ns))
        run.last_ns = now_ns
        if run.rows < ROWS:
            run.rows += 1
            return draft
        if known():
            return draft
        run.draft = draft
        run.pending += 1
        self.held += 1
        if now_ns >= run.next_ns:
            return self._row(run, now_ns)
        return None

    def due(self, now_ns: int, *, all: bool = False) -> list[Draft]:
        """The rows with a count whose time has come (or every one), though no further message came."""
        out, self._evicted = self._evicted, []
        if self.held:
            ripe = [run for run in self._runs.values() if run.draft is not None and (all or now_ns >= run.next_ns)]
            out += [self._row(run, now_ns) for run in ripe]
        return out

    def _row(self, run: _Run, now_ns: int) -> Draft:
        draft, count = run.draft, run.pending
        assert draft is not None
        run.next_ns = now_ns + run.pause_ns
        run.pause_ns = min(run.pause_ns * 2, MOST_NS)
        self.held -= count
        run.draft, run.pending = None, 0
        if count == 1:
            return draft
        body: Any = msgspec.msgpack.decode(draft.body, type=ENTRY_BODIES[draft.kind])
        return msgspec.structs.replace(draft, body=pack(msgspec.structs.replace(body, count=count)))


def key_of(frame: Frame, draft: Draft, rejects: tuple[Reject, ...]) -> Key:
    """What makes two refusals the same kind: source, sender, reasons and whom they name, and the bytes where they are kept.

    Bytes that no decoder was asked about (the topic goes with no format, the packet is broken) make no difference.
    """
    kept = digest(frame.payload).hex() if draft.kind == "frame" and frame.reject is None else ""
    words = [word for reject in rejects for word in (reject.reason, reject.device)]
    for reject in rejects:
        if reject.reason == "unauthorised" and reject.verdict is not None:  # a warrant's verdict, and on how many observations
            words += [reject.detail, str(reject.count), reject.verdict.operation]
    return (frame.source, frame.device, kept, *words)
