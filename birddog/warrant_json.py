"""Warrants as JSON (docs/authority.md), read strictly: an unknown member, an impossible time, an area without an inside, or
what a rule of its pack forbids refuses it whole, by its line and member.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from birddog import rules
from birddog.areas import Area, area_of, check_edges, check_holes
from birddog.authority import Consent, Hours, Leg, Warrant
from birddog.errors import UsageError
from birddog.rules import Pack
from birddog.units import ns_from_text

_REQUIRED = ("id", "device", "issued", "install_by", "use_from", "use_until", "jurisdiction")
_TIMES = ("installed", "revoked_at", "notice_delayed_until")
#: Words of the warrant for people and for packs' ``members``; a text that is not empty.
TEXTS = (
    "kind", "authority", "applicant", "offence", "object", "class", "purpose", "necessity", "proportionality",
    "collateral_intrusion", "confidential_information", "case", "notice_to", "product_keeper", "product_reviewer",
    "retrieval_authority", "requesting_state", "substitution",
)  # fmt: skip
_OPTIONAL = (
    *_TIMES, *TEXTS, "pack", "urgent", "good_cause", "conditions", "premises", "retrieval_premises", "hours", "prior_approval",
    "route",
)  # fmt: skip
#: Where a device may be put; packs name those that need somebody's prior approval.
PREMISES = ("dwelling", "hotel_bedroom", "office", "vehicle", "vessel", "container", "parcel", "public", "other")


def warrant_of(said: Any, pack: Pack = rules.NONE) -> Warrant:
    """A warrant of its JSON object, by the rules that it is under.

    Raises:
        UsageError: a member is missing, unknown or impossible, or a rule forbids it; ``field`` names it.
    """
    if not isinstance(said, dict):
        raise UsageError("an object was expected")
    for name in _REQUIRED:
        if name not in said and not (name == "device" and "class" in said):
            raise UsageError("missing", field=name)
    for name in said:
        if name not in _REQUIRED and name not in _OPTIONAL:
            raise UsageError("not known; nothing that a warrant says is passed over", field=str(name)[:60])
    for name in ("id", "device", "pack", *TEXTS):
        if name in said:
            _text(said[name], name)
    times = {name: _time(said, name) for name in ("issued", "install_by", "use_from", "use_until")}
    for first, then in (("issued", "install_by"), ("use_from", "use_until")):
        if times[then] < times[first] or (times[then] == times[first] and then == "use_until"):
            raise UsageError(f"not after {first}", field=then)
    optional = {name: _time(said, name) for name in _TIMES if said.get(name) is not None}
    for name in ("urgent", "good_cause"):
        if not isinstance(said.get(name, False), bool):
            raise UsageError("true or false was expected", field=name)
    conditions = said.get("conditions", [])
    if not isinstance(conditions, list) or not all(isinstance(c, str) and c for c in conditions):
        raise UsageError("a list of texts was expected", field="conditions")
    for name in ("premises", "retrieval_premises"):
        _premises(said.get(name, []), name)
    if "prior_approval" in said:
        _approval(said["prior_approval"])
    warrant = Warrant(
        warrant=said["id"], device=said.get("device", ""), issued_ns=times["issued"], install_by_ns=times["install_by"],
        installed_ns=optional.get("installed"), from_ns=times["use_from"], until_ns=times["use_until"],
        area=_area(said["jurisdiction"], "jurisdiction", none=True), revoked_ns=optional.get("revoked_at"),
        hours=_hours(said["hours"]) if "hours" in said else None, legs=_legs(said.get("route", [])), said=said,
    )  # fmt: skip
    return _ruled(warrant, pack)


def _ruled(warrant: Warrant, pack: Pack) -> Warrant:
    """The warrant under its rules.

    Raises:
        UsageError: a rule forbids it.
    """
    kind, urgent, said = warrant.kind, warrant.urgent, warrant.said
    for rule in pack.rules("members", kind, urgent):
        for name in rule.names:
            if said.get(name) in (None, "", []):
                raise UsageError(f"missing; {rule.id}: {rule.text} ({rule.source})", field=name)
    if pack.kinds and kind not in pack.kinds:
        raise UsageError(f"one of {', '.join(pack.kinds)} was expected, for rules of {pack.name} go by it", field="kind")
    install = pack.rules("install_by_at_most", kind, urgent)
    rules.most(install, warrant.issued_ns, warrant.install_by_ns, pack.zone, "install_by")
    for rule in pack.rules("use_at_most", kind, urgent):
        since_ns = warrant.issued_ns if rule.since == "issued" else warrant.from_ns
        rules.most(iter([rule]), since_ns, warrant.until_ns, pack.zone, "use_until")
    for rule in pack.rules("prior_approval", kind, urgent):
        places = [p["kind"] for p in said.get("premises", ()) if p["kind"] in rule.premises]
        if places and not ("prior_approval" in said and _time(said["prior_approval"], "at") <= warrant.from_ns):
            raise UsageError(f"wanted before use for {places[0]}; {rule.id} ({rule.source})", field="prior_approval")
    for rule in pack.rules("route", kind, urgent):
        if not warrant.legs:
            raise UsageError(f"missing; {rule.id}: {rule.text} ({rule.source})", field="route")
    sealed = set()
    for rule in pack.rules("outside", kind, urgent):
        sealed |= {"outside_jurisdiction"} if rule.area == "seal" else set()
        sealed |= {"outside_hours"} if rule.hours == "seal" else set()
    found = () if said.get("good_cause") is True else tuple(
        Hours(rules.minutes_of(rule.begins, rule.id), rules.minutes_of(rule.ends, rule.id), pack.zone)
        for rule in pack.rules("install_hours", kind, urgent))  # fmt: skip
    return msgspec.structs.replace(warrant, sealed=frozenset(sealed), install_hours=found)


def leg_of(said: Any, field: str = "route") -> Leg:
    """One country on the way, of its JSON object.

    Raises:
        UsageError: a member is missing, unknown or impossible.
    """
    if not isinstance(said, dict):
        raise UsageError("an object was expected", field=field)
    known = ("country", "area", "consent", *HAND_OVER)
    for name in said:
        if name not in known:
            raise UsageError("not known; nothing that a warrant says is passed over", field=f"{field}.{str(name)[:60]}")
    for name in ("country", "area"):
        if name not in said:
            raise UsageError("missing", field=f"{field}.{name}")
    _text(said["country"], f"{field}.country")
    area = _area(said["area"], f"{field}.area")
    assert area is not None
    consent = consent_of(said["consent"], f"{field}.consent") if said.get("consent") else None
    return handed_over(Leg(country=said["country"], area=area, consent=consent), said, field)


#: What a leg, and a consent that is entered later, says of who takes over there.
HAND_OVER = ("takes_over", "hand_over_by")


def handed_over(leg: Leg, said: dict[str, Any], field: str) -> Leg:
    """A leg with what is said of who takes over there, and by when; what is not said stays.

    Raises:
        UsageError: a member is impossible.
    """
    who = _text(said["takes_over"], f"{field}.takes_over") if "takes_over" in said else leg.takes_over
    by_ns = hand_over_by(said, field) if "hand_over_by" in said else leg.hand_over_by_ns
    return msgspec.structs.replace(leg, takes_over=who, hand_over_by_ns=by_ns)


def hand_over_by(said: dict[str, Any], field: str) -> int | None:
    """By when the JSON of a leg, or of a consent, says that somebody takes over.

    Raises:
        UsageError: it is no time.
    """
    return _time(said, "hand_over_by", f"{field}.hand_over_by") if "hand_over_by" in said else None


def check_hand_over(by_ns: int | None, warrant: Warrant, field: str) -> None:
    """What is asked of the time of a hand-over that is entered.

    Raises:
        UsageError: it would be done before anything is followed.
    """
    if by_ns is not None and by_ns < warrant.from_ns:
        raise UsageError("before use_from", field=f"{field}.hand_over_by")


def consent_of(said: Any, field: str = "consent") -> Consent:
    """A country's consent, of its JSON object.

    Raises:
        UsageError: a member is missing, unknown or impossible.
    """
    names = ("order", "given_by", "from", "until")
    if not isinstance(said, dict):
        raise UsageError("an object was expected", field=field)
    for name in (*names, *said):
        if name not in names or name not in said:
            raise UsageError("missing" if name in names else "not known", field=f"{field}.{str(name)[:60]}")
    _text(said["order"], f"{field}.order"), _text(said["given_by"], f"{field}.given_by")
    from_ns, until_ns = _time(said, "from", f"{field}.from"), _time(said, "until", f"{field}.until")
    if until_ns <= from_ns:
        raise UsageError("not after from", field=f"{field}.until")
    return Consent(order=said["order"], given_by=said["given_by"], from_ns=from_ns, until_ns=until_ns)


def _legs(said: Any) -> tuple[Leg, ...]:
    if not isinstance(said, list):
        raise UsageError("a list of countries on the way was expected", field="route")
    found = tuple(leg_of(one, f"route[{n}]") for n, one in enumerate(said))
    for n, leg in enumerate(found):
        if leg.country in [other.country for other in found[:n]]:
            raise UsageError(f"{leg.country!r} stands twice", field=f"route[{n}].country")
    return found


def _area(said: Any, field: str, *, none: bool = False) -> Area | None:
    if said is None and none:
        return None
    try:
        return area_of(said)
    except ValueError as error:
        raise UsageError(str(error), field=field) from error


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise UsageError("a text of printable characters was expected", field=field)
    return value


def _hours(said: Any) -> Hours:
    if not isinstance(said, dict) or set(said) != {"from", "to", "zone"}:
        raise UsageError("from, to (HH:MM) and zone were expected, and nothing else", field="hours")
    begins, ends = (rules.minutes_of(_text(said[name], f"hours.{name}"), f"hours.{name}") for name in ("from", "to"))
    if begins == ends or begins == 24 * 60:
        raise UsageError("hours that are none" if begins == ends else "a day begins at 00:00", field="hours")
    try:
        rules.zone_of(_text(said["zone"], "hours.zone"))
    except ValueError as error:
        raise UsageError(str(error), field="hours.zone") from error
    return Hours(begins, ends, said["zone"])


def _premises(said: Any, field: str) -> None:
    if not isinstance(said, list):
        raise UsageError("a list of objects with kind and place was expected", field=field)
    for n, one in enumerate(said):
        if not isinstance(one, dict) or set(one) != {"kind", "place"}:
            raise UsageError("an object with kind and place was expected", field=f"{field}[{n}]")
        _text(one["place"], f"{field}[{n}].place")
        if one["kind"] not in PREMISES:
            raise UsageError(f"one of {', '.join(PREMISES)} was expected", field=f"{field}[{n}].kind")


def _approval(said: Any) -> None:
    if not isinstance(said, dict) or set(said) != {"by", "at"}:
        raise UsageError("an object with by and at was expected", field="prior_approval")
    _text(said["by"], "prior_approval.by"), _time(said, "at", "prior_approval.at")


def _time(said: dict[str, Any], name: str, field: str = "") -> int:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError("a time was expected: ISO 8601 with an offset, or POSIX seconds", field=field or name)
    try:
        return ns_from_text(str(value))
    except ValueError as error:
        raise UsageError(str(error), field=field or name) from error


def warrants_of(said: Any, *, file: str, lines: dict[int, int], pack: Pack | None = None) -> list[Warrant]:
    """The warrants of a file, a list of them or one object, all or none.

    Args:
        said: what the JSON says.
        file: its name, for the words of an error.
        lines: the line on which each of the list's objects begins, by its place; one object begins on the first.
        pack: the rules that all are under; None: each under the pack that it names, if it names one.

    Raises:
        UsageError: one of them cannot stand, or two have one id; names file, line and member.
    """
    if isinstance(said, dict):
        said, lines = [said], {0: 1}
    if not isinstance(said, list):
        raise UsageError("a warrant, or a list of warrants, was expected", file=file, line=1)
    out: list[Warrant] = []
    ids: set[str] = set()
    for n, one in enumerate(said):
        try:
            warrant = warrant_of(one, pack_for(one) if pack is None else pack)
            _check_entered(warrant)
            if warrant.warrant in ids:
                raise UsageError(f"{warrant.warrant!r} stands twice in this file", field="id")
        except UsageError as error:
            raise UsageError(error.message, file=file, line=lines.get(n), field=error.field) from error
        ids.add(warrant.warrant)
        out.append(warrant)
    return out


def _check_entered(warrant: Warrant) -> None:
    """What is asked of a warrant that is entered; one that stands from before it was asked is in force as it is.

    Raises:
        UsageError: it covers less, or another thing, than it says.
    """
    if warrant.device and "class" in warrant.said:
        raise UsageError("stands beside a device and would cover nothing: give each a warrant of its own", field="class")
    for name in ("id", "device", "class", "case"):
        if warrant.said.get(name, "") != warrant.said.get(name, "").strip():
            raise UsageError("begins or ends with a space: nothing is called so", field=name)
    if warrant.area is not None:
        entered(warrant.area, warrant.said["jurisdiction"], "jurisdiction")
    for n, leg in enumerate(warrant.legs):
        entered(leg.area, warrant.said["route"][n]["area"], f"route[{n}].area")
        check_hand_over(leg.hand_over_by_ns, warrant, f"route[{n}]")


def entered(area: Area, geometry: Any, field: str) -> None:
    """What is asked of an area that is entered, beside what is asked of each that stands.

    Raises:
        UsageError: a hole is not within its polygon, or an edge may go either way round.
    """
    try:
        check_edges(geometry)
        check_holes(area)
    except ValueError as error:
        raise UsageError(str(error), field=field) from error


def pack_for(said: Any) -> Pack:
    """The pack that a warrant's JSON names, of those that are shipped.

    Raises:
        UsageError: there is none of this name.
    """
    name = said.get("pack", "") if isinstance(said, dict) else ""
    return rules.pack_of(rules.text_of(_text(name, "pack"))) if name else rules.NONE


def json_of(said: Any) -> str:
    """A warrant's JSON in one line, the same for equal ones."""
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
