"""Which messages fed no track, why, and what would make them: told to whoever brings in data, and shown while a run goes on.

A message that says where something is (a fix, a tag that was read, a sensor that felt something) feeds the track of the
shipment that its device is attached to at its time, or one in ``open``, as the verdict on it says (``birddog.judge``); a test
holds this and what the fold does against each other.  A message that says nothing of a place (a battery, a heartbeat) is none
that failed to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from birddog.directory import OPEN, Directory
from birddog.geo import valid_position
from birddog.judge import Judge, judged
from birddog.model import Fix, FrameBody, Reading, RefusalBody, Sighting, TagRead, Verdict
from birddog.units import iso_from_ns
from tracking.evidence import TRIGGERS

#: ``elsewhen`` feeds a track in ``open``, and none of the case that its device is attached to at another time.
Why = Literal["unplaced", "unattached", "retired", "elsewhen", "placeless"]
WORDS: dict[Why, str] = {
    "unplaced": "its reader or sensor has no place at that time",
    "unattached": "in no shipment of an open case at that time",
    "retired": "was retired",
    "elsewhen": "in no shipment at that time, but at another",
    "placeless": "said nothing of a place",
}
#: Lines of one report.
LINES = 20


class Unfed(msgspec.Struct):
    """Messages of one device that fed no track for one reason; times as the messages state them."""

    device: str
    why: Why
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0


def unfed(directory: Directory, body: FrameBody | RefusalBody, now_ns: int, *, exercise: bool) -> tuple[str, Why, int] | None:
    """(device, why, time) of an admitted message that fed no track; None where it fed one, or was refused for all it said."""
    if not body.count:
        return None  # what another operation has of a message that was counted already
    if not body.observations:
        return None if body.rejects else (body.subject or body.device, "placeless", now_ns)
    if len(body.verdicts) != len(body.observations):
        body = judged(body, Judge(directory, exercise=exercise), now_ns)
    found: tuple[str, Why, int] | None = None
    for o, verdict in zip(body.observations, body.verdicts, strict=True):
        time_ns = now_ns if o.time_ns is None else o.time_ns
        match o:
            case Sighting():
                return None
            case Fix():
                why = _not_owned(directory, o.device, verdict)
                device = o.device
            case TagRead():
                why, device = _not_owned(directory, o.epc, verdict), o.epc
                if (why is None or why == "elsewhen") and not _placed(directory, o.device, time_ns):
                    why, device = "unplaced", o.device
            case Reading() if o.quantity in TRIGGERS and isinstance(o.value, int | float) and o.value >= 1:
                why, device = None if _placed(directory, o.device, time_ns) else "unplaced", o.device
            case _:
                continue
        if why is None:
            return None
        found = found or (device, why, time_ns)
    return found or (body.observations[0].device, "placeless", now_ns)


def _not_owned(directory: Directory, device: str, verdict: Verdict) -> Why | None:
    """Why an observation has no track, by the verdict on it; ``elsewhen``: it has one in ``open`` only."""
    if verdict.shipment:
        return None
    if verdict.operation == OPEN:
        return "elsewhen" if device in directory.attachments else None
    known = directory.devices.get(device)
    return "retired" if known is not None and known.retired else "unattached"


def _placed(directory: Directory, device: str, time_ns: int) -> bool:
    place = directory.placement(device, time_ns)
    return place is not None and valid_position(place.lat_deg, place.lon_deg) and place.range_m > 0.0


class Account:
    """Counts what a capture's messages fed, by device and reason."""

    def __init__(self, directory: Directory, *, exercise: bool):
        self._directory, self._exercise = directory, exercise
        self.messages = 0
        self._rows: dict[tuple[str, Why], Unfed] = {}
        self._seen: set[str] = set()  # who said, or handed on, a place in some message
        self._refused: dict[str, int] = {}  # messages of which nothing came in, by reason

    def count(self, body: FrameBody | RefusalBody, received_ns: int) -> None:
        """One message that is new in the journal."""
        self.messages += body.count
        if body.rejects and not body.observations:
            reason = body.rejects[0].reason
            self._refused[reason] = self._refused.get(reason, 0) + body.count
        found = unfed(self._directory, body, received_ns, exercise=self._exercise)
        if found is None or found[1] != "placeless":
            # also whose file or line it came in: a table's header, a receiver's clock beside the reports that it hands on
            self._seen.update((*(o.device for o in body.observations), body.device, body.sender or ""))
        if found is None:
            return
        device, why, time_ns = found
        row = self._rows.get((device, why))
        if row is None:
            row = self._rows[device, why] = Unfed(device, why, 0, time_ns, time_ns)
        row.count += body.count
        row.first_ns, row.last_ns = min(row.first_ns, time_ns), max(row.last_ns, time_ns)

    def rows(self) -> list[Unfed]:
        """Every device and reason, the most messages first; a status between positions is none."""
        rows = [row for row in self._rows.values() if row.why != "placeless" or row.device not in self._seen]
        return sorted(rows, key=lambda row: (row.why == "placeless", -row.count, row.device))

    def lines(self, files: str) -> Iterator[str]:
        """For a person: how many messages fed no track, why, and the commands that would make them.

        Args:
            files: the words of ``birddog replay`` that name the captures.
        """
        found = self.rows()
        rows = [row for row in found if row.why != "placeless"]
        for row in rows[:LINES]:
            when = f"{iso_from_ns(row.first_ns)} to {iso_from_ns(row.last_ns)}"
            case = " of a case" if row.why == "elsewhen" else ""
            yield f"{row.count} messages of {row.device or 'nobody'} fed no track{case} ({when}): {self._words(row)}"
        if len(rows) > LINES:
            yield f"and {len(rows) - LINES} more devices and reasons"
        silent = [row for row in found if row.why == "placeless"]
        if silent:
            names = ", ".join(row.device or "nobody" for row in silent[:5]) + (", …" if len(silent) > 5 else "")
            yield f"{sum(row.count for row in silent)} messages fed no track: {WORDS['placeless']}, none of {names} did"
        if self._refused:
            most_first = sorted(self._refused.items(), key=lambda item: (-item[1], item[0]))
            reasons = ", ".join(f"{reason} {count}" for reason, count in most_first)
            yield f"{sum(self._refused.values())} messages fed no track: refused ({reasons})"
        wanted = list(dict.fromkeys(command for row in rows[:LINES] for command in self._commands(row)))
        if wanted:
            yield "they would in a new journal that is told so first (what is in a journal stays as it was folded):"
            yield from [f"  {command} --journal sqlite:///new.db" for command in [*wanted, f"birddog replay {files}"]]

    def _words(self, row: Unfed) -> str:
        held = self._directory.attachments.get(row.device)
        if not held or row.why not in ("elsewhen", "unattached"):
            return WORDS[row.why]
        cases = self._directory.operations
        closed = {a.operation for a in held if a.operation in cases and cases[a.operation].closed}
        spans = [f"{a.operation}{' (closed)' if a.operation in closed else ''} from {iso_from_ns(a.from_ns)}"
                 + (f" to {iso_from_ns(a.to_ns)}" if a.to_ns is not None else "") for a in held]
        return f"{WORDS['unattached' if closed else row.why]}: attached in {', '.join(spans)}"

    def _commands(self, row: Unfed) -> list[str]:
        from shlex import quote

        name = quote(row.device)
        if row.why == "unplaced":
            return [f"birddog device place {name} --lat DEG --lon DEG --range M --exercise"]
        held = self._directory.attachments.get(row.device)
        if row.why not in ("elsewhen", "unattached") or not held:
            return []
        known = self._directory.devices.get(row.device)
        more = "".join(f" {option} {quote(value)}" for option, value in (
            ("--format", known.format), ("--class", known.klass)) if value) if known is not None else ""
        enrol = [] if known is None else [f"birddog device enrol {name} --basis {known.basis}{more}"]
        return [f"birddog operation add {quote(held[-1].operation)} --exercise", *enrol,
                f"birddog device attach {name} --operation {quote(held[-1].operation)} --shipment {quote(held[-1].shipment)} "
                f"--from {iso_from_ns(row.first_ns)}"]
