"""Under what authority may a position be known?  Warrants as data, and the one verdict on a position of a device.

A warrant is read strictly: an unknown member, an impossible time or an area without an inside refuses it whole, by its line
and member.  A position is judged by the time at which it was *made*, in this order, and the first that holds is the verdict:

1. ``no_authority``: nobody may know where this device is;
2. ``installed_late``: the device was installed after the last day for it, so that nothing of it may be used;
3. ``before_start``: t < use_from;
4. ``expired``: t >= use_until (half-open: the last moment is no more covered);
5. ``revoked``: t >= revoked_at;
6. ``outside_jurisdiction``: outside the area, whose edges are inside (``birddog.areas``);
7. ``accept``.

Where several warrants name a device, one that accepts is enough; where none does, the verdict is that of the warrant that
came furthest in this order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from birddog.areas import Area, area_of
from birddog.errors import UsageError
from birddog.units import ns_from_text

#: In the order in which they are asked.
VERDICTS = ("no_authority", "installed_late", "before_start", "expired", "revoked", "outside_jurisdiction", "accept")
_RANK = {verdict: n for n, verdict in enumerate(VERDICTS)}

_REQUIRED = ("id", "device", "issued", "install_by", "use_from", "use_until", "jurisdiction")
_OPTIONAL = ("installed", "revoked_at")


class Warrant(msgspec.Struct, frozen=True, kw_only=True):
    """One authority to know where one device is; times are ns UTC.

    Args:
        warrant: its id at the issuing authority.
        issued_ns, install_by_ns: when it was issued, and the last moment at which the device may be installed.
        installed_ns: when it was; None where it was not (yet).
        from_ns, until_ns: use is covered in [from, until).
        area: where; None = everywhere, which the warrant must say by ``"jurisdiction": null``.
        revoked_ns: from when it holds no more.
    """

    warrant: str
    device: str
    issued_ns: int
    install_by_ns: int
    installed_ns: int | None = None
    from_ns: int
    until_ns: int
    area: Area | None
    revoked_ns: int | None = None

    def verdict(self, time_ns: int, *, lat_deg: float, lon_deg: float) -> str:
        """One of ``VERDICTS`` but the first, on a position made at a time."""
        if self.installed_ns is not None and self.installed_ns > self.install_by_ns:
            return "installed_late"
        if time_ns < self.from_ns:
            return "before_start"
        if time_ns >= self.until_ns:
            return "expired"
        if self.revoked_ns is not None and time_ns >= self.revoked_ns:
            return "revoked"
        if self.area is not None and not self.area.contains(lat_deg=lat_deg, lon_deg=lon_deg):
            return "outside_jurisdiction"
        return "accept"


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
            if _RANK[found] > _RANK[best]:
                best = found
        return best


def warrant_of(said: Any) -> Warrant:
    """A warrant of its JSON object.

    Raises:
        UsageError: a member is missing, unknown or impossible; ``field`` names it.
    """
    if not isinstance(said, dict):
        raise UsageError("an object was expected")
    for name in _REQUIRED:
        if name not in said:
            raise UsageError("missing", field=name)
    for name in said:
        if name not in _REQUIRED and name not in _OPTIONAL:
            raise UsageError("not known; nothing that a warrant says is passed over", field=str(name)[:60])
    for name in ("id", "device"):
        if not isinstance(said[name], str) or not said[name].strip() or not said[name].isprintable():
            raise UsageError("a text of printable characters was expected", field=name)
    times = {name: _time(said, name) for name in ("issued", "install_by", "use_from", "use_until")}
    for first, then in (("issued", "install_by"), ("use_from", "use_until")):
        if times[then] < times[first] or (times[then] == times[first] and then == "use_until"):
            raise UsageError(f"not after {first}", field=then)
    try:
        area = None if said["jurisdiction"] is None else area_of(said["jurisdiction"])
    except ValueError as error:
        raise UsageError(str(error), field="jurisdiction") from error
    return Warrant(
        warrant=said["id"], device=said["device"], issued_ns=times["issued"], install_by_ns=times["install_by"],
        installed_ns=_time(said, "installed") if said.get("installed") is not None else None,
        from_ns=times["use_from"], until_ns=times["use_until"], area=area,
        revoked_ns=_time(said, "revoked_at") if said.get("revoked_at") is not None else None,
    )  # fmt: skip


def _time(said: dict[str, Any], name: str) -> int:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError("a time was expected: ISO 8601 with an offset, or POSIX seconds", field=name)
    try:
        return ns_from_text(str(value))
    except ValueError as error:
        raise UsageError(str(error), field=name) from error


def warrants_of(said: Any, *, file: str, lines: dict[int, int]) -> list[Warrant]:
    """The warrants of a file's list, all or none.

    Args:
        said: what the JSON says.
        file: its name, for the words of an error.
        lines: the line on which each of the list's objects begins, by its place.

    Raises:
        UsageError: one of them cannot stand, or two have one id; names file, line and member.
    """
    if not isinstance(said, list):
        raise UsageError("a list of warrants was expected", file=file, line=1)
    out: list[Warrant] = []
    ids: set[str] = set()
    for n, one in enumerate(said):
        try:
            warrant = warrant_of(one)
            if warrant.warrant in ids:
                raise UsageError(f"{warrant.warrant!r} stands twice in this file", field="id")
        except UsageError as error:
            raise UsageError(error.message, file=file, line=lines.get(n), field=error.field) from error
        ids.add(warrant.warrant)
        out.append(warrant)
    return out
