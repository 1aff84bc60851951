"""What the console answers: the picture's nouns in their public form (docs/http-api.md).

Times are ISO 8601 UTC with Z and milliseconds, positions separate named fields in WGS 84 degrees,
lengths metres; ``p_ee p_en p_nn`` the covariance of the position in m² (east, north).  msgspec writes
a number that is not finite as null, so the JSON is strict.

Over 400 lines: each noun and its public form, one after the other.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from birddog import geo, model
from birddog.directory import OPEN
from birddog.model import Value
from birddog.units import CHI2_95_2D, iso_from_ns
from opsroom.authority import AuthorityOfTrack
from opsroom.picture_rows import Awaited
from opsroom.picture_store import FlagRow, Refused


class Ellipse(msgspec.Struct, frozen=True, kw_only=True):
    """The 95 % ellipse of a position: semi-axes, and the azimuth of the major one, clockwise from north."""

    major_m: float
    minor_m: float
    azimuth_deg: float


class RivalView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a track may be instead: the newest of ``hits`` fixes in a row that do not fit it, ``device``'s if one device's."""

    lat_deg: float
    lon_deg: float
    hits: int
    device: str


class Lapses(msgspec.Struct, frozen=True, kw_only=True):
    """When a track that is not heard is ``coasting``, ``silent`` and ``deleted``, by the ``clock`` of a frame."""

    coasting: str
    silent: str
    deleted: str


class KeptView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a track was measured last before its warrant ended."""

    time: str
    lat_deg: float
    lon_deg: float
    ellipse95: Ellipse


class TrackView(msgspec.Struct, frozen=True, kw_only=True):
    """A track as believed at ``time``.  ``revision`` is the live sequence number of its last change.

    ``last_fix`` is the last accepted measurement of position, ``last_contact`` the last message of any
    kind, ``last_move`` the last significant move (null: never seen moving).  ``rival`` is null but while fixes that do
    not fit the track may be the true ones.  ``lapses`` is null of what is somebody's: that is told of when it falls silent.
    ``kept`` is null but of what a warrant has ended: there it is drawn, and nothing is foretold of it.
    """

    track_id: str
    revision: int
    operation: str
    name: str
    tag_id: str
    identities: tuple[str, ...]
    klass: str = msgspec.field(name="class")
    status: model.TrackStatus
    time: str
    lat_deg: float
    lon_deg: float
    p_ee: float
    p_en: float
    p_nn: float
    ellipse95: Ellipse
    speed_mps: float
    course_deg: float
    ve_mps: float
    vn_mps: float
    last_fix: str
    last_contact: str
    last_move: str | None
    first_seen: str
    hits: int
    refused: int
    sources: tuple[str, ...]
    attributes: dict[str, Value]
    rival: RivalView | None = None
    authority: AuthorityOfTrack | None = None
    lapses: Lapses | None = None
    kept: KeptView | None = None


class PointView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a track's history; ``origin`` ``coast`` is a prediction, every other one was measured.

    ``believed_at`` is the journal's entry from which on this version of it is believed; ``alone``: it came in so late that
    it is the measurement itself, no estimate.
    """

    time: str
    lat_deg: float
    lon_deg: float
    p_ee: float
    p_en: float
    p_nn: float
    origin: str
    device: str
    nis: float | None
    believed_at: int = 0
    alone: bool = False


class LivePoint(PointView, frozen=True, kw_only=True):
    """A new step of a track's history, as the live channel sends it."""

    track_id: str


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """One of those that fell silent together; ``ended``: it is heard again."""

    track_id: str
    device: str
    event_id: str
    began: str
    ended: str | None


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must see, while ``open``: not acknowledged, and not cleared unless it is critical.

    Alerts of one ``group`` are one thing told in several operations: acknowledging one acknowledges all, and ``/v1/alerts``
    has one of them, which names the operations (``told_in``, its own first).  What happened
    ``count`` times began last at ``began``; a person was ``asked`` so often, may have said ``false``.  ``flag_id``: its flag.
    ``members``: of devices that fell silent together each one, the first being that of ``track_id`` and ``device``.
    """

    alert_id: str
    group: str
    revision: int
    kind: str
    severity: str
    operation: str
    told_in: list[str]
    raised: str
    cleared: str | None
    acknowledged: str | None
    acknowledged_by: str
    open: bool
    track_id: str
    device: str
    lat_deg: float | None
    lon_deg: float | None
    text: str
    time_source: str
    count: int
    began: str
    asked: int
    false: bool
    flag_id: str
    members: list[MemberView]


class CorrectionView(msgspec.Struct, frozen=True, kw_only=True):
    """What had been said of an event until ``at``, when a fix of ``track_id`` made at ``fix`` came late."""

    what: str
    at: str
    track_id: str
    fix: str
    start: str
    end: str | None


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; ``end`` null = still going on.

    What several fixes together mean (docs/events.md) says by which ``rule`` it is one, what was measured, how well it was
    observed (``confidence``, 0 to 1), how far it is known to reach, and what was said of it before a fix came late;
    ``withdrawn``: it was none after all.  ``about``: which decision it tells of (``D12``), or that is undone (``undo D12``);
    of an alarm which.
    """

    event_id: str
    revision: int
    kind: str
    operation: str
    start: str
    end: str | None
    track_ids: tuple[str, ...]
    device: str
    lat_deg: float | None
    lon_deg: float | None
    text: str
    about: str
    seen_until: str | None
    confidence: float | None
    measures: dict[str, Value]
    rule: dict[str, Value]
    corrections: tuple[CorrectionView, ...]
    withdrawn: bool


class FlagView(msgspec.Struct, frozen=True, kw_only=True):
    """Something seen in an image.  ``dark``: it was near no reporting track when it was seen.

    ``time_source`` is ``server`` where the scene's time is a guess; ``time_by`` says where it stands.
    ``thumbnail`` is where its image chip can be had (204 where the scan made none).
    """

    flag_id: str
    revision: int
    scan_id: str
    scene_name: str
    scene_sha256: str
    sensor: str
    time: str
    lat_deg: float | None
    lon_deg: float | None
    dark: bool
    detector: str
    score: float
    pfa: float
    length_m: float | None
    truncated: bool
    thumbnail: str
    time_source: str
    time_by: str


class RefusedView(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one sender that were refused for one reason, counted; never a position.

    Reason ``unread``: a part, named by ``detail``, of messages that were taken in and whose format does not know it.
    """

    refused_id: str
    revision: int
    source: str
    device: str
    format: str
    reason: str
    detail: str
    count: int
    first: str
    last: str


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device: enrolled by an entry of the journal, or only heard (``enrolled`` false).

    ``shipment`` and ``operation`` are those of the attachment that holds now; ``lat_deg`` ``lon_deg``
    ``range_m`` those of a placement that holds now.  ``attached``: since when that attachment holds.  ``never_heard``: no
    message came since it was attached; ``not_admitted``: messages come and are refused for want of a warrant in force, and
    which, or for its clock, and how far that is off; of both ``expected_s`` is how often it should report, also where nobody
    said.
    """

    device: str
    enrolled: bool
    name: str
    owner: str
    format: str
    basis: str
    interval_s: float | None
    klass: str = msgspec.field(name="class")
    retired: bool
    shipment: str
    operation: str
    track_ids: tuple[str, ...]
    last_contact: str | None
    lat_deg: float | None
    lon_deg: float | None
    range_m: float | None
    attached: str | None = None
    never_heard: bool = False
    not_admitted: str = ""
    expected_s: float | None = None


class Corner(msgspec.Struct, frozen=True, kw_only=True):
    """One corner of an area."""

    lat_deg: float
    lon_deg: float


class ZoneView(msgspec.Struct, frozen=True, kw_only=True):
    """A place that a case watches: a closed ring, or the line of a corridor (``half_width_m`` to each side) or a gate."""

    name: str
    role: str
    half_width_m: float
    points: tuple[Corner, ...]


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """A case, or ``open`` for vessels and contacts that belong to none.  ``area`` is a closed ring or empty."""

    operation: str
    name: str
    closed: bool
    area: tuple[Corner, ...]
    zones: tuple[ZoneView, ...]


def _iso(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso_from_ns(time_ns)


def ellipse95(p_ee: float, p_en: float, p_nn: float) -> Ellipse:
    """The 95 % ellipse of a covariance in m²; centimetres and tenths of a degree are enough for a map."""
    major, minor, azimuth = geo.ellipse(p_ee, p_en, p_nn, CHI2_95_2D)
    return Ellipse(major_m=round(major, 2), minor_m=round(minor, 2), azimuth_deg=round(azimuth, 1))


def track_view(
    revision: int, track: model.Track, authority: AuthorityOfTrack | None = None, kept: model.TrackPoint | None = None
) -> TrackView:
    """A track in its public form; ``authority`` null where no warrant is asked for, ``kept`` where none has ended."""
    speed, course = geo.speed_course(track.ve_mps, track.vn_mps)
    return TrackView(
        track_id=track.track_id, revision=revision, operation=track.operation, name=track.name, tag_id=track.tag_id,
        identities=track.identities, klass=track.klass, status=track.status, time=iso_from_ns(track.time_ns),
        lat_deg=round(track.lat_deg, 7), lon_deg=round(track.lon_deg, 7),
        p_ee=track.p_ee, p_en=track.p_en, p_nn=track.p_nn, ellipse95=ellipse95(track.p_ee, track.p_en, track.p_nn),
        speed_mps=speed, course_deg=course, ve_mps=track.ve_mps, vn_mps=track.vn_mps,
        last_fix=iso_from_ns(track.updated_ns), last_contact=iso_from_ns(track.contact_ns),
        last_move=_iso(track.moved_ns), first_seen=iso_from_ns(track.first_ns),
        hits=track.hits, refused=track.refused, sources=track.sources, attributes=track.attributes,
        rival=_rival_view(track), authority=authority, lapses=_lapses(track),
        kept=None if kept is None else KeptView(
            time=iso_from_ns(kept.time_ns), lat_deg=round(kept.lat_deg, 7), lon_deg=round(kept.lon_deg, 7),
            ellipse95=ellipse95(kept.p_ee, kept.p_en, kept.p_nn),
        ),
    )  # fmt: skip


def _lapses(track: model.Track) -> Lapses | None:
    if not track.lapses_ns:
        return None
    coasting, silent, deleted = map(iso_from_ns, track.lapses_ns)
    return Lapses(coasting=coasting, silent=silent, deleted=deleted)


def _rival_view(track: model.Track) -> RivalView | None:
    if track.rival_lat_deg is None or track.rival_lon_deg is None:
        return None
    return RivalView(
        lat_deg=round(track.rival_lat_deg, 7), lon_deg=round(track.rival_lon_deg, 7), hits=track.rival_hits,
        device=track.rival_device,
    )


def point_view(point: model.TrackPoint) -> PointView:
    """A point of a trail in its public form."""
    return PointView(**_point_fields(point))


def live_point(point: model.TrackPoint) -> LivePoint:
    """A point of a trail with its track."""
    return LivePoint(track_id=point.track_id, **_point_fields(point))


def _point_fields(point: model.TrackPoint) -> dict[str, Any]:
    return dict(
        time=iso_from_ns(point.time_ns), lat_deg=round(point.lat_deg, 7), lon_deg=round(point.lon_deg, 7),
        p_ee=point.p_ee, p_en=point.p_en, p_nn=point.p_nn, origin=point.origin, device=point.device, nis=point.nis,
        believed_at=point.believed_at, alone=point.alone,
    )


def one_of_each(alerts: list[tuple[int, model.Alert]]) -> list[tuple[int, model.Alert, list[str]]]:
    """Of each thing that is told one alert: (when one of those that tell it changed last, the alert, the operations that do).

    One that waits for a person goes before one that does not, then one of a case before that of ``open``.
    """
    groups: dict[str, list[tuple[int, model.Alert]]] = {}
    for revision, alert in alerts:
        groups.setdefault(group_of(alert), []).append((revision, alert))
    out = []
    for told in groups.values():
        in_order = sorted((a for _, a in told), key=lambda a: (not a.open, a.operation == OPEN, a.operation, a.alert_id))
        names = list(dict.fromkeys(alert.operation for alert in in_order))
        out.append((max(revision for revision, _ in told), in_order[0], names))
    return out


def alert_view(revision: int, alert: model.Alert, told_in: list[str] | None = None) -> AlertView:
    """An alert in its public form; ``told_in``: in these operations, of which its own is the first."""
    return AlertView(
        alert_id=alert.alert_id, group=group_of(alert), revision=revision, kind=alert.kind, severity=alert.severity,
        operation=alert.operation, told_in=told_in or [alert.operation], raised=iso_from_ns(alert.raised_ns),
        cleared=_iso(alert.cleared_ns), open=alert.open, acknowledged=_iso(alert.acknowledged_ns),
        acknowledged_by=alert.acknowledged_by, track_id=alert.track_id, device=alert.device,
        lat_deg=alert.lat_deg, lon_deg=alert.lon_deg, text=alert.text, time_source=alert.time_source,
        count=alert.count, began=iso_from_ns(alert.began_ns), asked=alert.asked, false=alert.false, flag_id=alert.flag_id,
        members=[
            MemberView(
                track_id=one.track_id, device=one.device, event_id=one.event_id, began=iso_from_ns(one.began_ns),
                ended=_iso(one.ended_ns),
            )
            for one in alert.members
        ],
    )


def group_of(alert: model.Alert) -> str:
    """What a person decides at once: the same thing of the same device at the same time, in whichever operations it is told."""
    if not alert.device:
        return alert.alert_id
    where = "" if alert.lat_deg is None or alert.lon_deg is None else f"/{alert.lat_deg:.6f}/{alert.lon_deg:.6f}"
    return f"{alert.kind}/{alert.device}/{alert.began_ns}{where}"


def event_view(revision: int, event: model.Event) -> EventView:
    """An event in its public form."""
    return EventView(
        event_id=event.event_id, revision=revision, kind=event.kind, operation=event.operation,
        start=iso_from_ns(event.start_ns), end=_iso(event.end_ns), track_ids=event.track_ids, device=event.device,
        lat_deg=event.lat_deg, lon_deg=event.lon_deg, text=event.text, about=event.about, seen_until=_iso(event.last_ns),
        confidence=event.confidence, measures=event.measures, rule=event.rule, withdrawn=event.withdrawn,
        corrections=tuple(
            CorrectionView(what=c.what, at=iso_from_ns(c.at_ns), track_id=c.track_id, fix=iso_from_ns(c.fix_ns),
                           start=iso_from_ns(c.start_ns), end=_iso(c.end_ns)) for c in event.corrections),
    )


def flag_view(revision: int, flag: FlagRow) -> FlagView:
    """A flag in its public form; its thumbnail is fetched apart."""
    return FlagView(
        flag_id=flag.flag_id, revision=revision, scan_id=flag.scan_id, scene_name=flag.scene_name,
        scene_sha256=flag.scene_sha256, sensor=flag.sensor, time=iso_from_ns(flag.time_ns), lat_deg=flag.lat_deg,
        lon_deg=flag.lon_deg, dark=flag.dark, detector=flag.detector, score=flag.score, pfa=flag.pfa,
        length_m=flag.length_m, truncated=flag.truncated,
        thumbnail=f"/v1/flags/{quote(flag.flag_id, safe='')}/thumbnail", time_source=flag.time_source, time_by=flag.time_by,
    )


def refused_view(revision: int, row: Refused) -> RefusedView:
    """A count of refusals in its public form."""
    return RefusedView(
        refused_id=row.refused_id, revision=revision, source=row.source, device=row.device, format=row.format,
        reason=row.reason, detail=row.detail, count=row.count, first=iso_from_ns(row.first_ns), last=iso_from_ns(row.last_ns),
    )


def operation_views(operations: dict[str, model.Operation], seen: set[str]) -> list[OperationView]:
    """Every operation of the registers, and those that tracks name without one; sorted."""
    out = []
    for name in sorted(set(operations) | seen):
        found = operations.get(name) or model.Operation(operation=name)
        zones = tuple(
            ZoneView(name=z.name, role=z.role, half_width_m=z.half_width_m, points=_corners(z.points)) for z in found.zones
        )
        out.append(OperationView(operation=name, name=found.name, closed=found.closed, area=_corners(found.area), zones=zones))
    return out


def _corners(points: tuple[tuple[float, float], ...]) -> tuple[Corner, ...]:
    return tuple(Corner(lat_deg=lat, lon_deg=lon) for lon, lat in points)


def awaited_now(directory: Any, awaited: list[Awaited], now_ns: int) -> dict[str, Awaited]:
    """Of the devices that were attached and not heard those whose attachment holds now, by name."""
    out = {}
    for one in awaited:
        attached, known = directory.attachment(one.device, now_ns), directory.devices.get(one.device)
        holds = attached is not None and (attached.operation, attached.shipment) == (one.operation, one.shipment)
        if holds and not (known is not None and known.retired):
            out[one.device] = one
    return out


def device_views(
    directory: Any, tracks: list[tuple[int, model.Track]], now_ns: int, awaited: dict[str, Awaited], *, waiting: bool = False
) -> list[DeviceView]:
    """Every device that was enrolled, attached, placed or heard on a track; sorted.

    Args:
        directory: a ``birddog.directory.Directory`` of the journal's registers.
        awaited: those that were attached and not heard since.
        waiting: these alone.
    """
    heard: dict[str, list[model.Track]] = {}
    for _, track in tracks:
        for identity in track.identities or ((track.tag_id,) if track.tag_id else ()):
            heard.setdefault(identity, []).append(track)
    out = []
    names = set(directory.devices) | set(directory.attachments) | set(directory.placements) | set(heard)
    for name in sorted(awaited if waiting else names):
        known = directory.devices.get(name)
        attached = directory.attachment(name, now_ns)
        placed = directory.placement(name, now_ns)
        own, unheard = heard.get(name, []), awaited.get(name)
        out.append(DeviceView(
            device=name, enrolled=known is not None, name=(known.name if known else "") or (placed.name if placed else ""),
            owner=known.owner if known else "", format=known.format if known else "", basis=known.basis if known else "",
            interval_s=(known.interval_s or None) if known else None, klass=known.klass if known else "",
            retired=known.retired if known else False,
            shipment=attached.shipment if attached else "", operation=attached.operation if attached else "",
            track_ids=tuple(sorted(t.track_id for t in own)),
            last_contact=_iso(max((t.contact_ns for t in own), default=None)),
            lat_deg=placed.lat_deg if placed else None, lon_deg=placed.lon_deg if placed else None,
            range_m=placed.range_m if placed else None, attached=iso_from_ns(attached.from_ns) if attached else None,
            never_heard=unheard is not None and not unheard.refused, not_admitted=unheard.refused if unheard else "",
            expected_s=unheard.interval_s if unheard else None,
        ))
    return out
