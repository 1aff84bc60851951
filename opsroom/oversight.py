"""What whoever oversees the unit asks of a journal: who did what, who was told, who was refused, and what came of each warrant.

Five tables, each from entries alone, in their order:

- **log**: every act of a person, and every access: registers, warrants, decisions, exports, shares, requests that were denied,
  erasures, losses that were accepted (Directive (EU) 2016/680, Article 25: who, when, what, to whom);
- **retention**: until when each case may be kept, by whose word, and whether it is over its time (Article 5: time limits for
  erasure and periodic review); a case that was erased, when and by whom;
- **refusals**: who was refused, why and how often; of a position nothing is there to be told;
- **warrants**: the register, with what the Surveillance Devices Act 2004 (Cth), s 52 asks for, read as its s 40 puts it into a
  warrant (for counsel to check);
- **ends**: the report of each warrant that has ended (s 49: executed or not, who installed and retrieved, the kind of device,
  the period, the places, what it was used for), as far as entries say; what they do not say is "not recorded".

A place of use is told by its whole degrees only: an overseer asks whether the area was kept to, not where somebody was.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from birddog.directory import OPEN, Directory
from birddog.model import (
    REGISTERS,
    Access,
    Attachment,
    Body,
    Decision,
    Device,
    Entry,
    Erasure,
    Fix,
    FrameBody,
    Operation,
    Passersby,
    Placement,
    RefusalBody,
    WarrantAct,
    unpack,
)
from birddog.passersby import is_period
from birddog.units import NS, iso_from_ns

#: Places of use of one warrant that are listed; more are counted.
PLACES_MOST = 50


class Table(msgspec.Struct, frozen=True):
    """One table: what it is for, its columns, its rows as texts."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class _Used(msgspec.Struct):
    """What came in of one device in one operation."""

    positions: int = 0
    others: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    squares: dict[tuple[int, int], int] = {}

    def take(self, time_ns: int, position: tuple[float, float] | None) -> None:
        if position is None:
            self.others += 1
            return
        self.positions += 1
        self.first_ns = time_ns if self.first_ns is None else min(self.first_ns, time_ns)
        self.last_ns = time_ns if self.last_ns is None else max(self.last_ns, time_ns)
        square = math.floor(position[0]), math.floor(position[1])
        self.squares[square] = self.squares.get(square, 0) + 1


class _Refused(msgspec.Struct):
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0


class Oversight:
    """Reads a journal once; ``tables`` are what it says.

    Args:
        operation: only this case's; None: all.
        from_ns, to_ns: of the log and the refusals only what was received in this time (half open).
        now_ns: the time for which is said what is over its time, where that is later than the journal's.
    """

    def __init__(self, *, operation: str | None = None, from_ns: int | None = None, to_ns: int | None = None, now_ns: int = 0):
        self._operation, self._from_ns, self._to_ns = operation, from_ns, to_ns
        self.directory = Directory()
        self._log: list[tuple[str, ...]] = []
        self._refused: dict[tuple[str, ...], _Refused] = {}
        self._used: dict[tuple[str, str], _Used] = {}
        #: Observations of a device that were refused for want of a warrant in force, whenever.
        self._unlawful: dict[str, int] = {}
        self._acts: dict[str, list[tuple[Entry, WarrantAct]]] = {}
        #: Of each case that has a limit: who entered it, and when.
        self._limits: dict[str, tuple[int, Entry]] = {}
        #: Of each case with an entry that may still be read: how many.
        self._entries: dict[str, int] = {}
        self._erased: dict[str, Entry] = {}
        #: The rule on vessels under no case, and where it stands.
        self._rule: tuple[Passersby, Entry] | None = None
        self._asked_ns = now_ns
        self._now_ns = 0

    def read(self, entries: Iterable[Entry]) -> None:
        """Take in the journal, in order.

        Raises:
            JournalError: an entry is damaged.
        """
        for entry in entries:
            body = unpack(entry)
            if entry.erased:
                continue  # number, kind and time are left; the erasure itself is an act of its own
            if entry.operation:
                self._entries[entry.operation] = self._entries.get(entry.operation, 0) + 1
            if isinstance(body, Erasure):
                self._erased[OPEN if is_period(body.erased) else body.erased] = entry
            if isinstance(body, Passersby):
                self._rule = (body, entry) if body.hours else None
            if isinstance(body, Operation):
                limit = self._limits.get(body.operation)
                if body.keep_until_ns is None:
                    self._limits.pop(body.operation, None)
                elif limit is None or limit[0] != body.keep_until_ns:
                    self._limits[body.operation] = body.keep_until_ns, entry
            if entry.kind in REGISTERS:
                self.directory.apply(body)
            else:
                self._now_ns = max(self._now_ns, entry.received_ns)
            if isinstance(body, FrameBody | RefusalBody):
                self._message(entry, body)
            elif entry.kind not in ("tick", "scan", "start"):
                if isinstance(body, WarrantAct):
                    self._acts.setdefault(body.warrant, []).append((entry, body))
                self._act(entry, body)

    def _in_time(self, entry: Entry) -> bool:
        return (self._from_ns is None or entry.received_ns >= self._from_ns) and (
            self._to_ns is None or entry.received_ns < self._to_ns)

    def _mine(self, operation: str) -> bool:
        return self._operation is None or operation == self._operation

    def _act(self, entry: Entry, body: Body) -> None:
        operation = entry.operation or getattr(body, "operation", "")
        if self._mine(operation) and self._in_time(entry):
            who = entry.actor or "not recorded"
            self._log.append((iso_from_ns(entry.received_ns), str(entry.seq), who, entry.kind, operation, said_of(body)))

    def _message(self, entry: Entry, body: FrameBody | RefusalBody) -> None:
        for observation, verdict in zip(body.observations, body.verdicts, strict=False):
            if verdict.operation and self._mine(verdict.operation) and verdict.state == "admitted":
                used = self._used.setdefault((verdict.operation, observation.device), _Used())
                time_ns = entry.received_ns if observation.time_ns is None else observation.time_ns
                used.take(time_ns, (observation.lat_deg, observation.lon_deg) if isinstance(observation, Fix) else None)
        for reject in body.rejects:
            if reject.reason == "unauthorised":
                device = reject.device or body.device
                self._unlawful[device] = self._unlawful.get(device, 0) + reject.count * max(body.count, 1)
        if not self._in_time(entry):
            return
        for reject in body.rejects:
            operation = reject.verdict.operation if reject.verdict is not None else entry.operation
            if not self._mine(operation):
                continue
            key = reject.device or body.device, operation, reject.reason, reject.detail, entry.source
            found = self._refused.setdefault(key, _Refused(first_ns=entry.received_ns))
            found.count += reject.count * max(body.count, 1)
            found.last_ns = entry.received_ns

    # --- the tables ----------------------------------------------------------------------------

    def tables(self) -> dict[str, Table]:
        """By name: log, refusals, warrants, ends, retention."""
        refused = [(*key, str(r.count), iso_from_ns(r.first_ns), iso_from_ns(r.last_ns))
                   for key, r in sorted(self._refused.items())]
        return {
            "log": Table("What persons did, and who was told", _LOG, self._log),
            "refusals": Table("Who was refused", _REFUSALS, refused),
            "warrants": Table("Register of warrants", _REGISTER, list(self._register())),
            "ends": Table("Reports of warrants that have ended", _END, list(self._ends())),
            "retention": Table("How long cases may be kept", _RETENTION, list(self._retention())),
        }

    def _retention(self) -> Iterator[tuple[str, ...]]:
        if self._operation is None and (self._rule is not None or OPEN in self._erased):
            yield self._passersby()
        names = dict.fromkeys([*self.directory.operations, *self._erased])
        names.pop(OPEN, None)
        rows = [(self._limits.get(name, (_NEVER_NS, None))[0], name) for name in names if self._mine(name)]
        for until_ns, name in sorted(rows):
            known, limit, erased = self.directory.operations.get(name), self._limits.get(name), self._erased.get(name)
            over_ns = max(self._now_ns, self._asked_ns) - until_ns
            state = "erased" if known is None else "closed" if known.closed else "open"
            yield (
                name, state, "no limit was set" if limit is None else iso_from_ns(until_ns),
                "" if limit is None else limit[1].actor or "not recorded",
                "" if limit is None else iso_from_ns(limit[1].received_ns), known.keep_reason if known is not None else "",
                f"{over_ns // _DAY_NS} days over" if over_ns >= 0 else "no", str(self._entries.get(name, 0)),
                "" if erased is None else f"{iso_from_ns(erased.received_ns)} by {erased.actor or 'not recorded'}",
            )  # fmt: skip

    def _passersby(self) -> tuple[str, ...]:
        """The row of vessels under no case, of which a period after the other is erased."""
        rule, erased = self._rule, self._erased.get(OPEN)
        return (
            OPEN, "vessels under no case", "no limit is set" if rule is None else f"{rule[0].hours} h after it came in",
            "" if rule is None else rule[1].actor or "not recorded", "" if rule is None else iso_from_ns(rule[1].received_ns),
            "" if rule is None else rule[0].reason, "no", str(self._entries.get(OPEN, 0)),
            "" if erased is None else f"{iso_from_ns(erased.received_ns)} by its rule, the newest",
        )  # fmt: skip

    def _held(self) -> Iterator[Any]:
        for name in sorted(self.directory.warrants.held):
            held = self.directory.warrants.held[name]
            if self._operation is None or held.operation in ("", self._operation):
                yield held

    def _register(self) -> Iterator[tuple[str, ...]]:
        for held in self._held():
            warrant, said = held.warrant, held.warrant.said
            orders = "; ".join(f"{o.act.action} {name} ({o.approved_by or 'not approved'})" for name, o in held.orders.items())
            yield (
                warrant.warrant, held.operation, _word(said, "kind"), _word(said, "authority"), _word(said, "applicant"),
                _word(said, "offence"), warrant.device or f"class {said.get('class', '')}", _word(said, "object"),
                _word(said, "purpose"),
                _premises(said, "premises"), _premises(said, "retrieval_premises"), iso_from_ns(warrant.from_ns),
                iso_from_ns(warrant.ends_ns), held.pack.name or "none", held.state, held.by,
                held.approved_by or "nobody", orders,
            )  # fmt: skip

    def _ends(self) -> Iterator[tuple[str, ...]]:
        for held in self._held():
            warrant = held.warrant
            ended_ns = warrant.ends_ns if warrant.revoked_ns is None else min(warrant.ends_ns, warrant.revoked_ns)
            if not held.approved_by or ended_ns > self._now_ns:
                continue
            acts = [act for _, act in self._acts.get(warrant.warrant, ())]
            devices = sorted({*held.placed, *([warrant.device] if warrant.device else [])})
            used = [u for (operation, device), u in self._used.items()
                    if device in devices and held.operation in ("", operation)]
            times = [t for u in used for t in (u.first_ns, u.last_ns) if t is not None]
            known = [found for found in map(self.directory.devices.get, devices) if found is not None]
            kinds = {found.klass or found.format for found in known} - {""}
            open_ = [d for d in held.placed if d not in held.retrieved]
            squares: dict[tuple[int, int], int] = {}
            for u in used:
                for square, count in u.squares.items():
                    squares[square] = squares.get(square, 0) + count
            refused = sum(self._unlawful.get(device, 0) for device in devices)
            yield (
                warrant.warrant, held.operation, "yes" if held.placed or used else "no", _by(acts, "install", held.placed),
                _by(acts, "retrieve", held.retrieved), ", ".join(sorted(kinds)) or "not recorded",
                f"{iso_from_ns(min(times))} to {iso_from_ns(max(times))}" if times else "not used", _squares(squares),
                str(sum(u.positions for u in used)), str(sum(u.others for u in used)), str(refused),
                "; ".join(f"{n} {iso_from_ns(t)}" for n, t in held.done.items()) or "none recorded",
                ", ".join(open_) or "nothing", iso_from_ns(ended_ns),
                "revoked" if warrant.revoked_ns is not None else "expired",
                _word(warrant.said, "product_keeper"), _word(warrant.said, "product_reviewer"),
            )  # fmt: skip


_NEVER_NS, _DAY_NS = 2**63 - 1, 86_400 * NS
_RETENTION = ("operation", "state", "keep_until", "set_by", "set_at", "reason", "over_its_time", "entries", "erased")
_LOG = ("time", "entry", "who", "kind", "operation", "what")
_REFUSALS = ("device", "operation", "reason", "detail", "source", "count", "first", "last")
_REGISTER = ("id", "operation", "kind", "authority", "applicant", "offence", "device", "object", "purpose", "premises",
             "retrieval_premises", "from", "until", "pack", "state", "entered_by", "approved_by", "orders")
_END = ("id", "operation", "executed", "installed", "retrieved", "device_kind", "period_of_use", "places", "positions",
        "other_observations", "refused", "duties_done", "not_retrieved", "ended", "how", "product_keeper", "product_reviewer")


def _word(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return "not recorded" if value in (None, "", []) else str(value)


def _premises(said: dict[str, Any], name: str) -> str:
    return "; ".join(f"{p.get('kind', '')} {p.get('place', '')}".strip() for p in said.get(name) or []) or "not recorded"


def _by(acts: Sequence[WarrantAct], action: str, when: dict[str, int]) -> str:
    """Each device with when and by whom; what was said with the warrant itself has no person."""
    who = {act.device: act.by for act in acts if act.action == action}
    return "; ".join(f"{d} {iso_from_ns(t)} by {who.get(d, 'not recorded')}" for d, t in when.items()) or "not recorded"


def _squares(squares: dict[tuple[int, int], int]) -> str:
    shown = sorted(squares.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{abs(lat)}°{'S' if lat < 0 else 'N'} {abs(lon)}°{'W' if lon < 0 else 'E'} ({count})"
             for (lat, lon), count in shown[:PLACES_MOST]]
    if len(shown) > PLACES_MOST:
        words.append(f"and {len(shown) - PLACES_MOST} more")
    return "; ".join(words) or "none"


def said_of(body: Body) -> str:
    """What an act was, in words; nothing of a position."""
    match body:
        case Operation():
            kept = "" if body.keep_until_ns is None else f"; to be kept until {iso_from_ns(body.keep_until_ns)}"
            return f"{'closed' if body.closed else 'opened or changed'}; {len(body.zones)} places watched{kept}"
        case Device():
            return f"{body.device} {'retired' if body.retired else 'enrolled'}, basis {body.basis}"
        case Attachment():
            until = "" if body.to_ns is None else f" to {iso_from_ns(body.to_ns)}"
            return f"{body.device} to {body.shipment} from {iso_from_ns(body.from_ns)}{until}"
        case Placement():
            return f"{body.device} placed"
        case WarrantAct():
            words = [f"{body.action} {body.warrant}", body.device, body.order and f"order {body.order}", body.note]
            return ", ".join(word for word in words if word)
        case Decision():
            words = [f"{body.action} {body.subject}", body.other, body.device, body.note]
            return ", ".join(word for word in words if word)
        case Access():
            ends = (("from", body.from_ns), ("to", body.to_ns))
            span = " ".join(f"{name} {iso_from_ns(t)}" for name, t in ends if t is not None)
            words = [f"{body.action} as {body.form} to {body.to}", body.track or "all tracks", span, body.reason]
            return ", ".join(word for word in words if word)
        case _:
            return ", ".join(f"{k} {v}" for k, v in msgspec.to_builtins(body).items() if isinstance(v, str | int) and v != "")


def page(tables: dict[str, Table], *, journal: str, made_ns: int, exercise: bool, asked: str) -> str:
    """The report as one HTML page that asks nothing of any server; nothing in it runs."""
    title = f"Oversight report{' · EXERCISE' if exercise else ''}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
        f"<title>{title}</title><style>body{{font:14px/1.4 sans-serif;margin:2em;color:#111}}table{{border-collapse:collapse;"
        "margin:0 0 2em}th,td{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top}th{background:#eee}"
        "caption{text-align:left;font-weight:bold;font-size:1.2em;padding:.4em 0}@page{size:A4 landscape}</style></head><body>",
        f"<h1>{title}</h1><p>Journal {html.escape(journal)}, as of {iso_from_ns(made_ns)}. {html.escape(asked)}</p>",
        "<p>Made from entries alone. Of refused positions there is nothing to be told: only who, why, how often and when they "
        "arrived. What the law asks for and no entry says is “not recorded”. For counsel to check.</p>",
    ]
    for name, table in tables.items():
        parts.append(f'<table id="{name}"><caption>{html.escape(table.title)} ({len(table.rows)})</caption><thead><tr>'
                     + "".join(f"<th>{html.escape(c.replace('_', ' '))}</th>" for c in table.columns) + "</tr></thead><tbody>")
        parts += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows]
        parts.append("</tbody></table>")
    return "\n".join(parts) + "\n</body></html>\n"
