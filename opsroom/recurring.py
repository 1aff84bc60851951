"""How an alert changes with an event: it joins, comes again, says more, is over, and a person is asked anew (``alerts``)."""

from __future__ import annotations

import math

import msgspec

from birddog.directory import OPEN
from birddog.geo import distance_m
from birddog.model import Alert, Event, Member
from birddog.units import NS, iso_from_ns

_GRAVITY = ("info", "warning", "critical")
#: Kinds of which what comes again is the same thing.  Not so where each time is a decision of its own: a tamper, a parting,
#: an arrival; what a track's own end clears (a dark vessel) comes again with another track.
RECURRING = frozenset({
    "silent", "door_opened", "alarm", "clock", "conflict", "jumped", "two_places", "contradicted", "low_battery", "jamming",
    "frozen", "replayed", "impossible_speed", "false_speed", "drift", "belied", "warrant_due", "warrant_overdue",
    "warrant_ended", "retention_due", "retention_overdue",
})  # fmt: skip
#: Again within so long after it was last over, and it is the same thing.
RECURS_NS = 3600 * NS
#: So long nobody is asked anew about what comes again.
HOLDS_NS = 3600 * NS
#: What goes on twice as long as ever before is another matter, but not sooner than this.
WORSE_NS = 300 * NS
#: What falls silent within so long of the first is one alert, of so many at most, of which its text names so many.
TOGETHER_NS, MEMBERS_MOST, MEMBERS_NAMED = 120 * NS, 256, 4
#: In a case what falls silent so close to the first, m, and within one expected interval of it (a quarter more: none comes to
#: the second), this at most; looked for in fields of so many degrees.
BESIDE_M, BESIDE_EACH, BESIDE_S, _FIELD_DEG = 200.0, 1.25, 3600.0, 0.01
#: Where to look for what fell silent together: its operation, when or where.
Near = tuple[str, int, int]
#: Events that an alert names, the newest.
NAMED = 4
#: What an alert says of a kind of which one event counts by itself how often it was: the alert's own count is over all of them.
SAYS = {"door_opened": "door opened"}


def words(event: Event) -> str:
    """What an alert says of an event; how often is its own to say."""
    return SAYS.get(event.kind, event.text)


def over_ns(alert: Alert) -> int:
    """Since when nobody waits for it."""
    return max(alert.cleared_ns or 0, alert.acknowledged_ns or 0)


def key(kind: str, operation: str, track_id: str, device: str, about: str) -> tuple[str, ...]:
    """What is one thing to decide; a warrant's deadline that is near and then past is one."""
    return "warrant" if kind.startswith("warrant_") else kind, operation, track_id, device, about


def key_of(alert: Alert) -> tuple[str, ...]:
    return key(alert.kind, alert.operation, alert.track_id, alert.device, alert.about)


def member_key(alert: Alert, one: Member) -> tuple[str, ...]:
    return key(alert.kind, alert.operation, one.track_id, one.device, alert.about)


def is_of(one: Member, event: Event) -> bool:
    return (one.track_id, one.device) == (event.track_ids[0] if event.track_ids else "", event.device)


def soon(event: Event, began_ns: int, ended_ns: int | None) -> bool:
    """Whether an event comes so soon after the last time that it is the same thing again."""
    return 0 <= event.start_ns - max(began_ns, ended_ns or 0) < RECURS_NS


def every_ns(event: Event) -> int:
    """How often what fell silent in a case was expected; 0 where that plays no part."""
    said = event.measures.get("every_s")
    return round(said * NS) if event.kind == "silent" and event.operation != OPEN and isinstance(said, int | float) else 0


def near(one: Alert | Event, began_ns: int) -> list[Near]:
    """Where an alert of a silence is kept, and where those are that another may join."""
    if one.operation == OPEN:
        step = began_ns // TOGETHER_NS
        return [(OPEN, k, 0) for k in (step, step - 1, step + 1)]
    if one.lat_deg is None or one.lon_deg is None:
        return [(one.operation, -1_000_000, 0)]
    i, j = math.floor(one.lat_deg / _FIELD_DEG), math.floor(one.lon_deg / _FIELD_DEG)
    return [(one.operation, i + k, j + n) for k in (0, -1, 1) for n in (0, -1, 1)]


def beside(alert: Alert, event: Event) -> bool:
    """Whether something fell silent together with what an alert is about: under no case at the same time, in a case also where
    it was, and within one expected interval of both, so that one moment can be the last that was heard of either.
    """
    apart_ns = abs(event.start_ns - alert.began_ns)
    if event.operation == OPEN:
        return apart_ns <= TOGETHER_NS
    if alert.lat_deg is None or alert.lon_deg is None or event.lat_deg is None or event.lon_deg is None:
        return False
    return apart_ns <= min(BESIDE_EACH * min(alert.every_ns, every_ns(event)), BESIDE_S * NS) and distance_m(
        lat1_deg=alert.lat_deg, lon1_deg=alert.lon_deg, lat2_deg=event.lat_deg, lon2_deg=event.lon_deg
    ) <= BESIDE_M


def waits_for_others(alert: Alert) -> bool:
    """Whether some of those that fell silent together are so yet."""
    return bool(alert.members) and alert.cleared_ns is None


def joined(alert: Alert, event: Event) -> Alert:
    """An alert of what fell silent together after one of them did, again or at last, or was heard."""
    newest = alert.events[-1] if alert.events else alert.alert_id[1:]
    members = alert.members or (Member(newest, alert.track_id, alert.device, alert.began_ns, alert.cleared_ns),)
    one = Member(event.event_id, event.track_ids[0] if event.track_ids else "", event.device, event.start_ns, event.end_ns)
    at = next((i for i, other in enumerate(members) if is_of(other, event)), None)
    known = None if at is None else members[at]
    if known is not None and event.start_ns < known.began_ns:  # of an earlier time, told anew
        return alert
    members = (*members, one) if at is None else (*members[:at], one, *members[at + 1 :])
    silent = [other for other in members if other.ended_ns is None]
    cleared_ns = None if silent else max(other.ended_ns or 0 for other in members)
    count, last_ns, longest_ns = alert.count, alert.last_ns, alert.longest_ns
    again = known is not None and known.event_id != one.event_id and alert.cleared_ns is not None
    if again:
        count, last_ns, longest_ns = count + 1, event.start_ns, _longest_ns(alert)
    new = msgspec.structs.replace(
        alert, members=members, cleared_ns=cleared_ns, count=count, last_ns=last_ns, longest_ns=longest_ns,
        text=_counted(_together_text(members, len(silent)), count, alert),
    )  # fmt: skip
    joined = known is None and alert.acknowledged_ns is not None and one.ended_ns is None
    return asked(new, event.start_ns) if joined or (again and long_ago(alert, event.start_ns)) else new


def _together_text(members: tuple[Member, ...], silent: int) -> str:
    """How many, and who of them is silent yet; when all are heard again, who was."""
    some = [one for one in members if one.ended_ns is None] if silent else members
    names = ", ".join(one.device or one.track_id for one in some[:MEMBERS_NAMED])
    more = f" and {len(some) - MEMBERS_NAMED} more" if len(some) > MEMBERS_NAMED else ""
    heard = f"; {len(members) - silent} heard again" if silent < len(members) else ""
    yet = " yet" if 0 < silent < len(members) else ""
    return f"{len(members)} devices fell silent together: {names}{more}{yet}{heard}"


def asked(alert: Alert, time_ns: int) -> Alert:
    """A person is asked anew."""
    return msgspec.structs.replace(
        alert, asked=alert.asked + 1, asked_ns=time_ns, acknowledged_ns=None, acknowledged_by="", false=False
    )


def again(old: Alert, event: Event, severity: str) -> Alert:
    """An alert after it happened once more, as an event of its own."""
    count = old.count + 1
    forgotten = (old.events or (old.alert_id[1:],))[1 - NAMED :]
    new = msgspec.structs.replace(
        old, kind=event.kind, severity=severity, cleared_ns=event.end_ns, lat_deg=event.lat_deg, lon_deg=event.lon_deg,
        text=_counted(words(event), count, old), time_source=event.time_source, count=count, last_ns=event.start_ns,
        longest_ns=_longest_ns(old), events=(*forgotten, event.event_id),
    )  # fmt: skip
    graver = _GRAVITY.index(severity) > _GRAVITY.index(old.severity)
    return asked(new, event.start_ns) if graver or long_ago(old, event.start_ns) else new


def changed(old: Alert, new: Alert) -> Alert:
    """An alert after its newest event changed: it is over, or goes on again (a door that bounces), or says more."""
    goes_on = old.kind in RECURRING and old.cleared_ns is not None and new.cleared_ns is None
    count = old.count + (goes_on and old.kind in SAYS)
    kept = msgspec.structs.replace(
        old, kind=new.kind, severity=new.severity, cleared_ns=new.cleared_ns, track_id=new.track_id, device=new.device,
        lat_deg=new.lat_deg, lon_deg=new.lon_deg, text=_counted(new.text, count, old), time_source=new.time_source,
        flag_id=new.flag_id, count=count,
    )  # fmt: skip
    if not goes_on or old.cleared_ns is None:
        return kept
    kept = msgspec.structs.replace(kept, last_ns=old.cleared_ns, longest_ns=_longest_ns(old))
    return asked(kept, old.cleared_ns) if long_ago(old, old.cleared_ns) else kept


def _longest_ns(alert: Alert) -> int:
    """How long it went on at most, of what is over."""
    return max(alert.longest_ns, 0 if alert.cleared_ns is None else alert.cleared_ns - alert.began_ns)


def long_ago(alert: Alert, now_ns: int) -> bool:
    """Whether a person was asked so long ago that they are asked anew."""
    return now_ns - (alert.raised_ns if alert.asked_ns is None else alert.asked_ns) >= HOLDS_NS


def worse_ns(alert: Alert) -> int | None:
    """When what was acknowledged, and goes on, has gone on for twice as long as ever; or when some of those that fell silent
    together in a case were expected twice since others were heard again; None: never, or a person was asked or answered then.
    """
    if alert.acknowledged_ns is None or alert.cleared_ns is not None:
        return None
    heard_ns = [one.ended_ns for one in alert.members if one.ended_ns is not None] if alert.every_ns else []
    if heard_ns:
        if alert.acknowledged_ns >= max(heard_ns):  # who did so saw who is silent yet
            return None
        worse_ns = max(heard_ns) + max(2 * alert.every_ns, WORSE_NS)
    elif alert.longest_ns:
        worse_ns = alert.began_ns + max(2 * alert.longest_ns, WORSE_NS)
    else:
        return None
    said_ns = alert.acknowledged_ns if alert.asked_ns is None else max(alert.acknowledged_ns, alert.asked_ns)
    return None if said_ns >= worse_ns else worse_ns


def _counted(text: str, count: int, alert: Alert) -> str:
    """What it says, and how often that was."""
    if count == 1 or alert.kind.startswith("warrant_"):
        return text
    return f"{text} ({count} times since {iso_from_ns(alert.raised_ns)[11:16]}Z)"
