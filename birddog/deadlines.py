"""The calendar of a warrant, and how long a case may be kept: what is due, when, and from when on it is told of."""

from __future__ import annotations

from typing import Literal

import msgspec

from birddog import rules
from birddog.model import Operation
from birddog.units import NS, ns_from_text
from birddog.warrants import Held, hand_over


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """What of a warrant is due, and when; from ``lead_ns`` on it is told of.  ``over``: done, or of no account any more.

    ``warrant`` is "" where it is the case's own.
    """

    warrant: str
    what: str
    due_ns: int
    lead_ns: int
    text: str
    over: bool = False


#: Where something of the calendar stands: not told of yet; told of; its day has come and it is still to be done; nothing is to
#: be done any more (it was done, or is of no account).
Standing = Literal["ahead", "due", "overdue", "settled"]
#: What is of no account any more when its day has come; the others stay to be done.
ENDS = frozenset({"installation", "extension", "expiry"})
#: How long before something is due it is told of, if the warrant lasts long enough: not more than a quarter of it.
_LEADS_S = {"installation": 172_800, "extension": 604_800, "expiry": 86_400}
_LEAD_S = 259_200
#: How long before a case must be erased it is told of: enough for a review, and for an order that it be kept.
_RETENTION_LEAD_S = 14 * 86_400


def deadlines(held: Held, *, closed: bool = False) -> list[Deadline]:
    """The calendar of one warrant, as it stands; of one that nobody approved there is none.

    Args:
        closed: its case is: nobody installs, extends or hands over any more, and its duties stay.
    """
    warrant, pack = held.warrant, held.pack
    if not held.approved_by:
        return []
    name, ends_ns, revoked = warrant.warrant, warrant.ends_ns, warrant.revoked_ns is not None
    most_ns = max((ends_ns - warrant.from_ns) // 4, 0)
    idle = revoked or closed

    def one(what: str, due_ns: int, text: str, over: bool, lead_s: int = _LEAD_S) -> Deadline:
        lead_ns = due_ns - min(lead_s * NS, most_ns)
        return Deadline(warrant=name, what=what, due_ns=due_ns, lead_ns=lead_ns, text=text, over=over)

    out = [
        one("installation", warrant.install_by_ns, "install the device, or give the warrant back", bool(held.placed) or idle,
            _LEADS_S["installation"]),
        one("extension", ends_ns, "ask for an extension, if use shall go on", idle, _LEADS_S["extension"]),
        one("expiry", ends_ns, "use ends unless it is extended; the device is told to sleep", idle, _LEADS_S["expiry"]),
    ]  # fmt: skip
    for leg in warrant.legs:
        if leg.hand_over_by_ns is not None:
            what = hand_over(leg.country)
            text = f"{leg.takes_over or 'its own authority'} takes over in {leg.country}; say so when it has"
            out.append(one(what, leg.hand_over_by_ns, text, what in held.done or idle))
    checks: tuple[rules.Check, ...] = ("notice", "report", "retrieve")
    for check in checks:
        for rule in pack.rules(check, warrant.kind, warrant.urgent):
            due_ns = rule.after(ends_ns, pack.zone)
            if check == "notice" and (delayed := warrant.said.get("notice_delayed_until")) is not None:
                due_ns = max(due_ns, ns_from_text(str(delayed)))  # either form of a time: warrant_json has read it
            over = not open_devices(held) if check == "retrieve" else rule.id in held.done
            out.append(one(rule.id if check != "retrieve" else "retrieval", due_ns, rule.text, over))
    for rule in pack.rules("review", warrant.kind, warrant.urgent):
        due_ns = rule.after(max(warrant.from_ns, held.done.get(rule.id, 0)), pack.zone)
        if due_ns < ends_ns:
            out.append(one(rule.id, due_ns, rule.text, revoked))
    return out


def standing(one: Deadline, now_ns: int) -> Standing:
    """Where it stands at a time."""
    if one.over or (one.what in ENDS and one.due_ns <= now_ns):
        return "settled"
    return "overdue" if one.due_ns <= now_ns else "due" if one.lead_ns <= now_ns else "ahead"


def retention(operation: Operation) -> Deadline | None:
    """When nothing of a case may be kept any more; None: no limit was set, or the case was erased."""
    until_ns = operation.keep_until_ns
    if until_ns is None:
        return None
    reason = f" ({operation.keep_reason})" if operation.keep_reason else ""
    return Deadline(warrant="", what="retention", due_ns=until_ns, lead_ns=until_ns - _RETENTION_LEAD_S * NS,
                    text=f"erase the case, or enter until when it may be kept{reason}")


def open_devices(held: Held) -> list[str]:
    """Its devices that were installed and not recovered: the retrieval debt."""
    return [device for device in held.placed if device not in held.retrieved]
