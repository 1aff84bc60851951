"""Under what authority may a position be known?  Warrants as data, and the one verdict on a position of a device.

``birddog.warrant_json`` reads them.  A position is judged by the time at which it was *made*, in this order, and the first
that holds is the verdict:

1. ``no_authority``: nobody may know where this device is;
2. ``installed_late``: the device was installed after the last day for it (or outside the hours that its rules allow), so that
   nothing of it may be used;
3. ``before_start``: t < use_from;
4. ``expired``: t >= use_until (half-open: the last moment is no more covered), and no extension covers it;
5. ``revoked``: t >= revoked_at;
6. ``outside_hours``: not within the hours of the day that the warrant names, if it names any;
7. ``no_consent``: in a country on the way that has not consented;
8. ``outside_jurisdiction``: outside the area, whose edges are inside (``birddog.areas``);
9. ``accept``.

Where several warrants name a device, one that accepts is enough; where none does, the verdict is that of the warrant that
came furthest in this order.  What says nothing of a place (a battery) is judged by all but 7 and 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from birddog import rules
from birddog.areas import Area

#: In the order in which they are asked.
VERDICTS = ("no_authority", "installed_late", "before_start", "expired", "revoked", "outside_jurisdiction", "accept")
#: With those of members that the least of warrants does not have: hours, and countries on the way.
ALL_VERDICTS = (*VERDICTS[:5], "outside_hours", "no_consent", *VERDICTS[5:])
_RANK = {verdict: n for n, verdict in enumerate(ALL_VERDICTS)}


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One country's word on a route: ``order`` is its reference; it holds in [from, until)."""

    order: str
    given_by: str
    from_ns: int
    until_ns: int


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One country on the way: where, whether it has consented, who takes over there and by when."""

    country: str
    area: Area
    consent: Consent | None = None
    takes_over: str = ""
    hand_over_by_ns: int | None = None


class Hours(msgspec.Struct, frozen=True):
    """The hours of a day in which use is covered: minutes [begins, ends) of a zone's day, also over midnight."""

    begins: int
    ends: int
    zone: str


class Warrant(msgspec.Struct, frozen=True, kw_only=True):
    """One authority to know where one device is (or the devices of a class); times are ns UTC.

    Args:
        warrant: its id at the issuing authority.
        device: "" where it names a class.
        issued_ns, install_by_ns: when it was issued, and the last moment at which the device may be installed.
        installed_ns: when it was; None where it was not (yet).
        from_ns, until_ns: use is covered in [from, until).
        extended: by further orders, in their order: each covers [first, second).
        area: where; None = everywhere, which the warrant must say by ``"jurisdiction": null``.
        revoked_ns: from when it holds no more.
        legs: the countries on the way.
        sealed: the verdicts that do not refuse a position but seal it, as its rules say.
        install_hours: outside them nothing may be installed.
        said: all of its other members, as they were read.
    """

    warrant: str
    device: str
    issued_ns: int
    install_by_ns: int
    installed_ns: int | None = None
    from_ns: int
    until_ns: int
    extended: tuple[tuple[int, int], ...] = ()
    area: Area | None
    revoked_ns: int | None = None
    hours: Hours | None = None
    legs: tuple[Leg, ...] = ()
    sealed: frozenset[str] = frozenset()
    install_hours: tuple[Hours, ...] = ()
    said: dict[str, Any] = {}

    @property
    def kind(self) -> str:
        """Of which kind its authority calls it, "" where it does not say."""
        return str(self.said.get("kind", ""))

    @property
    def urgent(self) -> bool:
        """Whether it was given in urgency."""
        return self.said.get("urgent") is True

    @property
    def ends_ns(self) -> int:
        """When use ends, as it stands."""
        last_ns = max([self.until_ns, *[until_ns for _, until_ns in self.extended]])
        return last_ns if self.revoked_ns is None else min(last_ns, max(self.revoked_ns, self.from_ns))

    def verdict(self, time_ns: int, *, lat_deg: float | None, lon_deg: float | None) -> str:
        """One of ``ALL_VERDICTS`` but the first, on a position made at a time (None, None: on what says of none)."""
        at_ns = self.installed_ns
        if at_ns is not None and (
            at_ns > self.install_by_ns
            or (self.install_hours and not all(rules.in_hours(at_ns, h.begins, h.ends, h.zone) for h in self.install_hours))
        ):
            return "installed_late"
        if time_ns < self.from_ns:
            return "before_start"
        if time_ns >= self.until_ns and not any(begin <= time_ns < end for begin, end in self.extended):
            return "expired"
        if self.revoked_ns is not None and time_ns >= self.revoked_ns:
            return "revoked"
        if self.hours is not None and not rules.in_hours(time_ns, self.hours.begins, self.hours.ends, self.hours.zone):
            return "outside_hours"
        if lat_deg is None or lon_deg is None:
            return "accept"
        if self.legs:
            legs = [leg for leg in self.legs if leg.area.contains(lat_deg=lat_deg, lon_deg=lon_deg)]
            if legs:
                if any(leg.consent is not None and leg.consent.from_ns <= time_ns < leg.consent.until_ns for leg in legs):
                    return "accept"
                at_home = self.area is not None and self.area.contains(lat_deg=lat_deg, lon_deg=lon_deg)
                return "accept" if at_home else "no_consent"
        if self.area is not None and not self.area.contains(lat_deg=lat_deg, lon_deg=lon_deg):
            return "outside_jurisdiction"
        return "accept"


def further(verdict: str, other: str) -> bool:
    """Whether a verdict comes after another in their order."""
    return _RANK[verdict] > _RANK[other]


class Authority:
    """All warrants, asked by device."""

    def __init__(self, warrants: Iterable[Warrant] = ()):
        self._of: dict[str, list[Warrant]] = {}
        for warrant in warrants:
            self._of.setdefault(warrant.device, []).append(warrant)

    def verdict(self, device: str, time_ns: int, *, lat_deg: float, lon_deg: float) -> str:
        """One of ``VERDICTS`` on a position of a device."""
        best = VERDICTS[0]
        for warrant in self._of.get(device, ()):
            found = warrant.verdict(time_ns, lat_deg=lat_deg, lon_deg=lon_deg)
            if further(found, best):
                best = found
        return best
