"""What the fold's tests share: a journal that is folded as it is written."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from birddog.model import ENTRY_BODIES, Body, Entry, Event, FrameBody, Observation, Reject, Start, Track, pack
from birddog.units import NS
from tracking.fold import Changes, Fold

T0 = 1_790_000_000 * NS
KINDS = {body: kind for kind, body in ENTRY_BODIES.items()}


class Journal:
    """Entries in order, at seconds after T0, and what the fold answered to each.

    Args:
        begun: whether it begins with a start; else the first body is one.
        exercise: of that start.
        presets: of that start.
        restart: a second fold is put down and taken up before every entry, and must answer as the first.
    """

    def __init__(self, *, begun: bool = True, exercise: bool = True, presets: dict | None = None, restart: bool = False):
        self.entries: list[Entry] = []
        self.changes: list[Changes] = []
        self.fold, self._again = Fold(), Fold() if restart else None
        if begun:
            self.add(0, Start(version="test", presets=presets or {}, exercise=exercise))

    @property
    def seq(self) -> int:
        """The number of the newest entry."""
        return len(self.entries)

    def add(self, at_s: float, body: Body) -> Changes:
        """Write an entry and fold it."""
        seq = self.seq + 1
        entry = Entry(seq=seq, kind=KINDS[type(body)], received_ns=T0 + round(at_s * NS), source="test", ident=seq.to_bytes(8),
                      body=pack(body))  # fmt: skip
        changes = self.fold.apply(entry)
        if self._again is not None:
            self._again = Fold.restore(self._again.snapshot())
            assert msgspec.msgpack.encode(self._again.apply(entry)) == msgspec.msgpack.encode(changes)
        self.entries.append(entry)
        self.changes.append(changes)
        return changes

    def take(self, bodies: Iterable[tuple[float, Body]]) -> Journal:
        """Write (t s, body) after (t s, body)."""
        for at_s, body in bodies:
            self.add(at_s, body)
        return self

    def say(self, at_s: float, *observations: Observation, fmt: str = "x", device: str = "",
            rejects: Iterable[Reject] = ()) -> Changes:  # fmt: skip
        """Write a device's message."""
        return self.add(at_s, FrameBody(format=fmt, version=1, payload=b"", device=device, observations=observations,
                                        rejects=tuple(rejects)))  # fmt: skip

    def events(self, *kinds: str) -> list[Event]:
        """The rows of events of some kinds, or of all, as they were told: one that began and ended is two."""
        return [event for changes in self.changes for event in changes.events if event.kind in kinds or not kinds]

    def happened(self, *kinds: str) -> list[Event]:
        """Each event of some kinds, or of all, once, as it was told last."""
        return list({event.event_id: event for event in self.events(*kinds)}.values())

    def rows(self) -> dict[str, Track]:
        """The newest row of each track."""
        return {row.track_id: row for changes in self.changes for row in changes.tracks}

    def now(self, at_s: float) -> list[Track]:
        """What is believed at a second."""
        return self.fold.believed(T0 + round(at_s * NS))


@pytest.fixture
def journal() -> type[Journal]:
    """``journal()``: a journal to write; ``journal(begun=False).take(bodies)``: one of bodies with their start."""
    return Journal
