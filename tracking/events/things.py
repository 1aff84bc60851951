"""One identity, perhaps several things: which fix is of which, while they come in.

The rule is that of the archive (``tracking.forecast.strands``: each fix joins the strand that it can have come from and is
nearest to), and three questions more that only events ask:

* An identity is parted only where it makes a step that nothing that flies makes (``jumps``): what flew is one thing.
* Strands that follow one another are one thing: a jump that is not taken back.  A strand
  to which one comes back while another lasts is another thing.
* A strand of fewer than ``FEWEST_FIXES`` that another one goes on over is bad fixes: of no thing.

The first thing keeps the name, the others are ``NAME#2`` and so on, in the order in which they are believed (by their third
fix), so that nothing that comes later renames one.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from birddog.units import NS
from tracking.forecast.strands import FEWEST_FIXES, SLACK_M, Strands

#: A position by time: ns, latitude, longitude.
Seen = tuple[int, float, float]
#: What nothing that flies outruns, m/s: an airliner with a jet stream behind it goes at some 340 (the archive's limit too).
FLIES_MPS = 400.0
#: Things that ended and that something may still go on from.
_MOST_ENDED = 16


def jumps(metres: Any, ns: Any, reach_mps: float) -> Any:
    """Whether a step of an identity, or each of many, asks which things report under it: one that nothing that flies makes.

    What flies out and back, or was sent by air and came home, is one thing, however few fixes it gave on the way.  Of two
    under one identity some fixes come soon after each other.
    """
    return metres - SLACK_M > max(reach_mps, FLIES_MPS) * (ns / NS)


def named(name: str, thing: int) -> str:
    """What the thing with a number is called."""
    return name if thing == 0 else f"{name}#{thing + 1}"


def which(thing: str) -> tuple[str, int]:
    """The identity and the number, 1 first, of what ``named`` named; for identities without a ``#`` themselves."""
    name, _, number = thing.partition("#")
    return name, int(number or 1)


class _Run(msgspec.Struct):
    """A strand that something may still join: its first and last fix, how many (of different times), the time of the third."""

    first_ns: int
    last_ns: int
    n: int = 1
    third_ns: int | None = None

    def meets(self, other: _Run) -> bool:
        """Whether both lasted at one time."""
        return self.first_ns <= other.last_ns and other.first_ns <= self.last_ns


class Parting(msgspec.Struct):
    """The fixes of one identity, in order of time; ``things`` says of each strand (``add``) which thing it is, -1: none.

    What it says of a strand that is open may change with a later fix; of one that is closed it does not.
    """

    strands: Strands
    open: dict[int, _Run] = {}
    things: dict[int, int] = {}
    #: until when a thing was seen on strands that are closed
    ended_ns: dict[int, int] = {}
    total: int = 0

    @classmethod
    def begun(cls, reach_mps: float) -> Parting:
        """Of nothing yet."""
        return cls(Strands(reach_mps, []), {}, {}, {})

    def copied(self) -> Parting:
        """One that goes its own way."""
        return Parting(
            Strands(self.strands.most_mps, list(self.strands.last), self.strands.total),
            {label: copy.copy(run) for label, run in self.open.items()}, dict(self.things), dict(self.ended_ns), self.total,
        )  # fmt: skip

    def add(self, seen: Seen, known: int = 1) -> int:
        """The strand of the next fix.

        Args:
            known: as how many fixes it counts: of what had come before anybody asked, the last alone is given.
        """
        t = seen[0]
        label = self.strands.add(t / NS, seen[1], seen[2])
        run, had = self.open.get(label), 0
        if run is None:
            run = self.open[label] = _Run(t, t, 0)
        else:
            had = run.n
        if t > run.last_ns or not run.n:
            run.n += known
        run.last_ns = t
        if run.third_ns is None and run.n >= FEWEST_FIXES:
            run.third_ns = t
        if len(self.open) > 1 or had == 0:
            self._close()
            self._judge()
        return label

    def _close(self) -> None:
        for label in self.open.keys() - {one[3] for one in self.strands.last}:
            run, thing = self.open.pop(label), self.things[label]
            if thing >= 0:
                self.ended_ns[thing] = max(self.ended_ns.get(thing, run.last_ns), run.last_ns)
        while len(self.ended_ns) > _MOST_ENDED:
            del self.ended_ns[min(self.ended_ns, key=lambda thing: (self.ended_ns[thing], thing))]

    def _judge(self) -> None:
        big = [(run.third_ns, label) for label, run in self.open.items() if run.third_ns is not None]
        few: list[tuple[int, int]] = []
        for first_ns, label in sorted((run.first_ns, label) for label, run in self.open.items() if run.third_ns is None):
            run = self.open[label]
            if any(run.meets(self.open[other]) for _, other in big + few):
                self.things[label] = -1
            else:
                few.append((first_ns, label))
        of: dict[int, list[_Run]] = {}
        for _, label in sorted(big + few):
            run, was = self.open[label], self.things.get(label, -1)
            if was < 0 or any(run.meets(other) for other in of.get(was, ())):
                was = self._goes_on(run, of)
                if was < 0 and run.third_ns is not None:
                    was = self.total
                    self.total += 1
                elif was < 0 and not self.total:
                    was, self.total = 0, 1
            self.things[label] = was
            if was >= 0:
                of.setdefault(was, []).append(run)

    def _goes_on(self, run: _Run, of: dict[int, list[_Run]]) -> int:
        """The thing that was seen last before a strand began, and not since; -1: none."""
        best, seen_ns = -1, -1
        for thing in sorted({*of, *self.ended_ns}):
            here = of.get(thing, ())
            ends = [other.last_ns for other in here]
            if thing in self.ended_ns:
                ends.append(self.ended_ns[thing])
            if any(run.meets(other) for other in here) or max(ends) >= run.first_ns:
                continue
            if max(ends) > seen_ns:
                best, seen_ns = thing, max(ends)
        return best
