"""One row for a departure: who left whom, from the splits of every two of them.

Of four that travelled together one leaves: three splits, that of each two with their own last point together and first point
apart.  Those that have somebody in common and may have been at one time are one departure.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.units import NS
from tracking.events.model import Event, Rules
from tracking.events.things import which

#: So many are named, the others counted.
_NAMED = 4


class Departure(msgspec.Struct):
    """The splits of a departure, in the order in which they were told, and the id under which it is published."""

    event_id: str = ""
    splits: list[Event] = []

    def of(self, split: Event) -> bool:
        """Whether another split is of this departure."""
        return any(
            not set(split.ids).isdisjoint(one.ids) and split.start_ns <= one.last_ns and one.start_ns <= split.last_ns
            for one in self.splits
        )

    def drop(self, split: Event) -> bool:
        """Take one that is not told any more out, if it is of this departure."""
        left = [one for one in self.splits if one.key != split.key]
        mine, self.splits = len(left) < len(self.splits), left
        return mine

    def event(self, rules: Rules) -> Event:
        """All of them as one: ``ids`` are those that left, ``left`` of them, and then those that remained together."""
        *left, remain = self._sides(rules)
        start_ns, end_ns = max(one.start_ns for one in self.splits), min(one.last_ns for one in self.splits)
        if len(left) > 1 or end_ns < start_ns:  # not all at once
            start_ns, end_ns = min(one.start_ns for one in self.splits), max(one.last_ns for one in self.splits)
        sure = min(self.splits, key=lambda one: float(one.measures["place_m"] or 0.0))
        names = ("together_s", "distance_m", "apart_m")
        most = {name: max(float(one.measures[name] or 0.0) for one in self.splits) for name in names}
        return Event(
            "split", tuple(name for side in (*left, remain) for name in side), start_ns, end_ns, end_ns, sure.lat_deg,
            sure.lon_deg, min(one.confidence for one in self.splits),
            {"duration_s": (end_ns - start_ns) / NS, **most, "place_m": sure.measures["place_m"],
             "left": sum(len(side) for side in left)},
        )  # fmt: skip

    def words(self, rules: Rules, called: Callable[[str], str]) -> str:
        """One line for a person."""
        *left, remain = (sorted(_called(name, called) for name in side) for side in self._sides(rules))
        event = self.event(rules)
        who = " and ".join(_list(side) for side in left)
        minutes, away_m = round(float(event.measures["together_s"] or 0.0) / 60.0), float(event.measures["distance_m"] or 0.0)
        far = f"{away_m:.0f} m" if away_m < 1000.0 else f"{away_m / 1000.0:.1f} km"
        ways = f", {len(left) + 1} different ways" if len(left) > 1 else ""
        return f"{who} parted from {_list(remain)}{ways}: together for {minutes} min before, {far} apart now"

    def _sides(self, rules: Rules) -> list[list[str]]:
        """Who is still together, as far as is told; those that remained stand last.

        Those that stand where they were together remained; else most of them, and of as many those that went less far.
        """
        parted = {frozenset(one.ids) for one in self.splits}
        gone_m: dict[str, float] = {}
        for one in self.splits:
            for name, away in zip(one.ids, ("gone_m", "other_gone_m"), strict=True):
                gone_m[name] = max(gone_m.get(name, 0.0), float(one.measures[away] or 0.0))
        sides: list[list[str]] = []
        for name in sorted(gone_m):
            side = next((s for s in sides if not any(frozenset((name, other)) in parted for other in s)), None)
            if side is None:
                sides.append([name])
            else:
                side.append(name)

        def remained(side: list[str]) -> tuple[bool, int, float]:
            far_m = max(gone_m[name] for name in side)
            return far_m < rules.split.apart_m / 2.0, len(side), -far_m

        return sorted(sides, key=remained)


def _called(name: str, called: Callable[[str], str]) -> str:
    tracked, number = which(name)
    return called(tracked) if number == 1 else f"{called(tracked)} (another thing under this identity)"


def _list(names: list[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
