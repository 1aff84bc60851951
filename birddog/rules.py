"""Rule packs: what a legal system asks of a warrant, as data that a lawyer can read and change.

A pack is a TOML file with a list of rules; each has an ``id``, its ``source``, whether that was ``read`` or stands "for
counsel to check", and a ``check``, one of the closed list below with its numbers.  The packs that are shipped lie in
``birddog/packs``.  The text of a pack goes into the entry of each warrant that is under it, so that a later change
changes nothing that was decided.

Durations are counted in elapsed hours or days of 24 h; in ``months`` they end where the day of the same number in the later
month begins in the pack's zone (three months that begin on 12 May, whenever in the day, end as 12 August begins; where that
month is shorter, after its last day).
"""

from __future__ import annotations

import calendar
import importlib.resources
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources.abc import Traversable
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from birddog.errors import UsageError
from birddog.units import NS, iso_from_ns

HOUR_NS, DAY_NS = 3600 * NS, 86_400 * NS

Check = Literal[
    "members", "install_by_at_most", "install_hours", "use_at_most", "extension_at_most", "prior_approval", "route", "outside",
    "notice", "report", "review", "retrieve",
]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of a pack.

    Args:
        id: what refusals call it.
        text: what it says, for people.
        source: where it stands; ``read`` what of that was read, or "for counsel to check".
        check: what is done with it:
            ``members`` (``names``: what the warrant must say, not empty) · ``install_by_at_most`` (after ``issued``) ·
            ``install_hours`` (``begins`` to ``ends``, unless the warrant says ``good_cause``: installed outside them is
            ``installed_late``) · ``use_at_most`` (after ``since``) · ``extension_at_most`` (after it was granted) ·
            ``prior_approval`` (where a premises is of ``premises``) · ``route`` (names each country on the way; a place in one
            without its consent is refused ``no_consent``) · ``outside`` (of ``area``, of ``hours``: sealed or refused) ·
            ``notice``, ``report``, ``retrieve`` (after the end of use) · ``review`` (each, after ``use_from``).
        kinds: it holds for warrants of these kinds only; () for all.
        urgent: it holds for urgent ones (true), for others (false), for both where it is absent.
    """

    id: str
    text: str
    source: str
    read: str
    check: Check
    kinds: tuple[str, ...] = ()
    urgent: bool | None = None
    names: tuple[str, ...] = ()
    premises: tuple[str, ...] = ()
    hours: float | Literal["seal", "refuse"] | None = None
    days: int | None = None
    months: int | None = None
    since: Literal["issued", "use_from"] = "issued"
    begins: str = ""
    ends: str = ""
    area: Literal["seal", "refuse", ""] = ""

    def of(self, kind: str, urgent: bool) -> bool:
        """Whether it holds for a warrant."""
        return (not self.kinds or kind in self.kinds) and (self.urgent is None or self.urgent == urgent)

    def after(self, since_ns: int, zone: str) -> int:
        """The end of its duration, counted from a time."""
        if self.months is not None:
            return _months_after(since_ns, self.months, zone)
        if self.days is not None:
            return since_ns + self.days * DAY_NS
        assert isinstance(self.hours, float | int)
        return since_ns + round(self.hours * HOUR_NS)


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A legal system's rules; ``zone`` is that of its days and hours (IANA).

    ``kinds``: what a warrant's kind may be, where rules go by it: under another word they would be passed by; () for any.
    """

    name: str
    title: str
    note: str
    zone: str = "UTC"
    kinds: tuple[str, ...] = ()
    rule: tuple[Rule, ...] = ()

    def rules(self, check: Check, kind: str, urgent: bool) -> Iterator[Rule]:
        """Those of one check that hold for a warrant."""
        return (rule for rule in self.rule if rule.check == check and rule.of(kind, urgent))


NONE = Pack(name="", title="no rules but those of every warrant", note="")
#: What a check cannot do without.
_LASTS = frozenset({"install_by_at_most", "use_at_most", "extension_at_most", "notice", "report", "review", "retrieve"})


@lru_cache(maxsize=64)
def pack_of(text: str) -> Pack:
    """The pack of a TOML text.

    Raises:
        UsageError: it is none; names what is wrong.
    """
    if not text:
        return NONE
    try:
        pack = msgspec.convert(tomllib.loads(text), Pack)
        zone_of(pack.zone)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"is no pack of rules: {error}", field="pack") from error
    ids = [rule.id for rule in pack.rule]
    for n, rule in enumerate(pack.rule):
        lasts = [isinstance(rule.hours, float | int), rule.days is not None, rule.months is not None]
        what = ""
        if rule.id in ids[:n] or not rule.id:
            what = "its id stands twice" if rule.id else "has no id"
        elif not rule.source or not rule.read:
            what = "has no source, or does not say whether that was read"
        elif (sum(lasts) != 1) != (rule.check not in _LASTS) or (rule.check not in _LASTS and any(lasts)):
            what = "wants one of hours, days, months" if rule.check in _LASTS else "has no duration"
        elif pack.kinds and not set(rule.kinds) <= set(pack.kinds):
            what = f"holds for a kind that is none of {', '.join(pack.kinds)}"
        elif rule.check == "members" and not rule.names:
            what = "names no member"
        elif rule.check == "prior_approval" and not rule.premises:
            what = "names no premises"
        elif rule.check == "install_hours":
            minutes_of(rule.begins, rule.id), minutes_of(rule.ends, rule.id)
        if what:
            raise UsageError(f"is no pack of rules: rule {rule.id!r}: {what}", field="pack")
    return pack


def shipped() -> list[str]:
    """The names of the packs that are shipped."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml"))


def text_of(name: str) -> str:
    """The TOML of a pack that is shipped.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in shipped():
        raise UsageError(f"no pack {name!r}; there are {', '.join(shipped())}", field="pack")
    return (_folder() / f"{name}.toml").read_text(encoding="utf-8")


def _folder() -> Traversable:
    return importlib.resources.files("birddog") / "packs"


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """A zone by its IANA name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no zone {name[:60]!r} (IANA, such as Europe/London)") from error


def minutes_of(text: str, field: str) -> int:
    """Minutes of a time of day, ``HH:MM``; 24:00 is the end of the day.

    Raises:
        UsageError: it is none.
    """
    hours, _, minutes = text.partition(":")
    if len(text) != 5 or not (hours + minutes).isascii() or not (hours + minutes).isdigit() or len(hours) != 2:
        raise UsageError("a time of day was expected, HH:MM", field=field)
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > 24 * 60:
        raise UsageError("a time of day was expected, HH:MM", field=field)
    return found


def in_hours(time_ns: int, begins: int, ends: int, zone: str) -> bool:
    """Whether a time lies within the hours of a day [begins, ends), in minutes; they may go over midnight."""
    local = datetime.fromtimestamp(time_ns // NS, zone_of(zone))
    minute = local.hour * 60 + local.minute
    return begins <= minute < ends if begins < ends else minute >= begins or minute < ends


def _months_after(since_ns: int, months: int, zone: str) -> int:
    day = datetime.fromtimestamp(since_ns // NS, zone_of(zone)).date()
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    end = date(year, month + 1, day.day) if day.day <= last else date(year, month + 1, last) + timedelta(days=1)
    return int(datetime(end.year, end.month, end.day, tzinfo=zone_of(zone)).timestamp()) * NS


def most(rules: Iterator[Rule], since_ns: int, until_ns: int, zone: str, field: str) -> None:
    """Refuse what lasts longer than a rule allows.

    Raises:
        UsageError: names member and rule.
    """
    for rule in rules:
        end_ns = rule.after(since_ns, zone)
        if until_ns > end_ns:
            raise UsageError(f"{rule.id}: at most until {iso_from_ns(end_ns)} ({rule.source})", field=field)
