"""What the registers say of authority now: warrants, what is due, which devices are still out, what a track is followed under.

For the command line and the console, which ask the same.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.deadlines import Deadline, Standing, deadlines, retention, standing
from birddog.directory import OPEN, Directory
from birddog.model import Track, TrackPoint
from birddog.units import iso_from_ns
from birddog.warrants import Held, hand_over
from opsroom.picture_view import View


class LegView(msgspec.Struct, frozen=True, kw_only=True):
    """A country on the way: by which order it consents, and when; who takes over there, by when, and when that was done."""

    country: str
    consent: str
    consent_from: str | None
    consent_until: str | None
    takes_over: str
    hand_over_by: str | None
    handed_over: str | None


class WarrantView(msgspec.Struct, frozen=True, kw_only=True):
    """A warrant as it stands.

    ``state``: ``entered`` (nobody approved it), ``not yet``, ``in force``, ``expired``, ``revoked`` or ``installed_late``.
    """

    warrant: str
    device: str
    klass: str = msgspec.field(name="class")
    operation: str
    state: str
    begins: str = msgspec.field(name="from")
    until: str
    pack: str
    entered_by: str
    approved_by: str
    route: list[LegView]


class DeadlineView(msgspec.Struct, frozen=True, kw_only=True):
    """What of a warrant is due, when, and where that stands (``birddog.deadlines.standing``).

    ``near``: it is due or overdue, and told of.  Of no warrant (""): ``retention``, when nothing of the operation may be kept
    any more.
    """

    warrant: str
    operation: str
    what: str
    due: str
    state: Standing
    near: bool
    text: str


class RetrievalView(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was placed and not recovered.

    ``lat_deg``, ``lon_deg`` are where its track was measured last, at ``last_fix``: no prediction.  ``authority`` says
    under what it may be fetched now, "" under nothing; ``deadline`` is that of its rules after the end.
    """

    device: str
    owner: str
    operation: str
    shipment: str
    warrant: str
    installed: str | None
    lat_deg: float | None
    lon_deg: float | None
    last_fix: str | None
    authority: str
    deadline: str | None
    overdue: bool


class AuthorityOfTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Under which warrant a track is followed and until when; ``state`` as of ``WarrantView``, or ``none``."""

    warrant: str
    state: str
    until: str | None


#: States in which nothing of a device is kept any more, nor will be.
ENDED = frozenset({"none", "expired", "revoked", "installed_late"})


def state_of(held: Held, now_ns: int) -> str:
    """See ``WarrantView``."""
    if held.state != "approved":
        if held.warrant.revoked_ns is None or not held.approved_by:
            return held.state
    said = held.warrant.verdict(now_ns, lat_deg=None, lon_deg=None)
    return {"accept": "in force", "outside_hours": "in force", "before_start": "not yet"}.get(said, said)


def warrant_view(held: Held, now_ns: int) -> WarrantView:
    """One warrant."""
    warrant = held.warrant
    return WarrantView(
        warrant=warrant.warrant, device=warrant.device, klass=warrant.said.get("class", ""), operation=held.operation,
        state=state_of(held, now_ns), begins=iso_from_ns(warrant.from_ns), until=iso_from_ns(warrant.ends_ns),
        pack=held.pack.name, entered_by=held.by, approved_by=held.approved_by,
        route=[LegView(
            country=leg.country, consent="" if leg.consent is None else leg.consent.order,
            consent_from=None if leg.consent is None else iso_from_ns(leg.consent.from_ns),
            consent_until=None if leg.consent is None else iso_from_ns(leg.consent.until_ns), takes_over=leg.takes_over,
            hand_over_by=_when(leg.hand_over_by_ns), handed_over=_when(held.done.get(hand_over(leg.country))),
        ) for leg in warrant.legs],
    )  # fmt: skip


def _when(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso_from_ns(time_ns)


def calendar(directory: Directory, held: Held, now_ns: int) -> list[DeadlineView]:
    """The calendar of one warrant, what is to be done in front, by its day."""
    return _views([(one, held.operation) for one in _deadlines(directory, held, now_ns)], now_ns)


def _deadlines(directory: Directory, held: Held, now_ns: int) -> list[Deadline]:
    operation = directory.operations.get(directory.case_of(held, now_ns) or "")
    return deadlines(held, closed=operation is not None and operation.closed)


def deadline_views(directory: Directory, now_ns: int) -> list[DeadlineView]:
    """The calendar of all warrants and of how long cases may be kept, what is due first in front."""

    rows = [(one, held.operation) for held in directory.warrants.held.values() for one in _deadlines(directory, held, now_ns)]
    kept = ((retention(operation), name) for name, operation in directory.operations.items())
    rows += [(one, name) for one, name in kept if one is not None]
    return _views(rows, now_ns)


def _views(rows: list[tuple[Deadline, str]], now_ns: int) -> list[DeadlineView]:
    found = [(one, standing(one, now_ns), operation) for one, operation in rows]
    found.sort(key=lambda row: (row[1] == "settled", row[0].due_ns, row[0].warrant, row[0].what, row[2]))
    return [DeadlineView(warrant=one.warrant, operation=operation, what=one.what, due=iso_from_ns(one.due_ns), state=state,
                         near=state in ("due", "overdue"), text=one.text) for one, state, operation in found]


def retrieval_views(directory: Directory, view: View | None, now_ns: int) -> list[RetrievalView]:
    """Every device that was placed under a warrant and was not recovered, the first due in front.

    Args:
        view: the picture, which says where each was; None: nobody knows, or it is not asked.
    """
    last: dict[str, Track] = {}
    for _, track in () if view is None else view.tracks():
        for device in track.identities if track.operation != OPEN else ():
            if device not in last or last[device].updated_ns < track.updated_ns:
                last[device] = track
    found: dict[str, Held] = {}
    recovered: dict[str, int] = {}  # when it was last; a tag is placed again, under another warrant, after that
    for held in directory.warrants.held.values():
        for device, at_ns in held.retrieved.items():
            recovered[device] = max(at_ns, recovered.get(device, at_ns))
    for held in directory.warrants.held.values():
        if held.approved_by:
            attached = [held.warrant.device] if held.warrant.device in directory.attachments else []
            for device in dict.fromkeys([*held.placed, *attached]):
                since_ns = held.placed.get(device, held.warrant.from_ns)
                back = device in held.retrieved or recovered.get(device, since_ns - 1) >= since_ns
                if not back and (device not in found or found[device].warrant.ends_ns <= held.warrant.ends_ns):
                    found[device] = held
    out = []
    for device, held in found.items():
        enrolled, seen, warrant = directory.devices.get(device), last.get(device), held.warrant
        # a track coasts on; what was measured last is where one looks for it
        place = None if view is None or seen is None else view.last_place(seen.track_id, seen.updated_ns)
        rows = directory.attachments.get(device, ())
        due = next((one.due_ns for one in deadlines(held) if one.what == "retrieval"), None)
        authority = warrant.said.get("retrieval_authority", "")
        if state_of(held, now_ns) == "in force":
            authority = f"{warrant.warrant} until {iso_from_ns(warrant.ends_ns)}"
        out.append((due if due is not None else 2**63, RetrievalView(
            device=device, owner="" if enrolled is None else enrolled.owner, operation=held.operation or
            (rows[-1].operation if rows else ""), shipment=rows[-1].shipment if rows else "", warrant=warrant.warrant,
            installed=iso_from_ns(held.placed[device]) if device in held.placed else None,
            lat_deg=None if place is None else round(place.lat_deg, 7),
            lon_deg=None if place is None else round(place.lon_deg, 7),
            last_fix=None if place is None else iso_from_ns(place.time_ns), authority=str(authority),
            deadline=None if due is None else iso_from_ns(due), overdue=due is not None and now_ns >= due,
        )))  # fmt: skip
    return [view for _, view in sorted(out, key=lambda row: (row[0], row[1].device))]


def last_kept(view: View, track: Track, authority: AuthorityOfTrack | None) -> TrackPoint | None:
    """The last step that was measured of a track that a warrant has ended: where it is by now nobody may know; else None."""
    if authority is None or authority.state not in ENDED or track.status not in ("coasting", "silent"):
        return None
    return view.last_place(track.track_id, track.updated_ns)


def of_track(directory: Directory, now_ns: int) -> Callable[[Track], AuthorityOfTrack | None]:
    """Under what authority a track is followed; None where none is asked for."""

    def asked(track: Track) -> AuthorityOfTrack | None:
        if not directory.ruling or track.operation == OPEN:
            return None
        best: tuple[int, AuthorityOfTrack] | None = None
        for device in track.identities:
            known = directory.device(device)
            if (known is not None and known.basis != "warrant") or not directory.under_warrant(device, track.operation):
                continue
            covering = directory.warrants.covering(device, track.operation, "" if known is None else known.klass)
            rows = [((state_of(held, now_ns) == "in force") * 2**63 + held.warrant.ends_ns, AuthorityOfTrack(
                warrant=held.warrant.warrant, state=state_of(held, now_ns), until=iso_from_ns(held.warrant.ends_ns)))
                for held in covering] or [(-1, AuthorityOfTrack(warrant="", state="none", until=None))]  # fmt: skip
            newest = max(rows, key=lambda row: row[0])
            best = newest if best is None or newest[0] > best[0] else best
        return None if best is None else best[1]

    return asked
