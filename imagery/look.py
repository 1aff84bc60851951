"""From a scanned scene to a look: the noun ``birddog.model.Scan`` that the tracker understands.

Says where was looked (footprint), how likely something there would have been seen, how many false sightings are
to be expected, and each sighting with a covariance: half a pixel, the object's own extent (a ship is reported from
its antenna, not from its middle) and how well the product is placed on Earth.
"""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np

from birddog.geo import LocalFrame
from birddog.model import Flag, Scan, Sighting, TimeSource
from imagery.scan import ScanResult
from imagery.scene import Placing, Reader, SceneError
from imagery.scene_time import Taken, taken
from imagery.thumbnail import thumbnail

#: Flags beyond this many, the weakest, do not go into the journal; the same for thumbnails.
MOST_SIGHTINGS = 2000
MOST_THUMBNAILS = 200
#: Of an object that the scene's edge cuts, the hull goes on by anything up to this, m.
CUT_HULL_M = 150.0
#: Two polarisations show one object within this and half its length, m.
SAME_OBJECT_M = 40.0
#: Points on each edge of the footprint, at least and at most: an edge straight in the scene is bent in longitude and latitude.
_EDGE_POINTS, _MOST_EDGE_POINTS = 4, 64
#: How far an edge may lie from the scene's, m.
_EDGE_M = 25.0
_DEGREE_M = 111_320.0


def scene_time(path: str, tag: str | None, stated: str | None = None) -> tuple[int, TimeSource]:
    """When a scene was taken, ns UTC, and who says so (``imagery.scene_time``); ``server`` is a guess.

    Raises:
        SceneError: the file is gone.
    """
    return _taken(path, tag, stated)[:2]


def _taken(path: str, tag: str | None, stated: str | None) -> Taken:
    try:
        return taken(path, datetime_tag=tag, stated=stated)
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror}", file=path) from error


def scan_of(result: ScanResult, *, scan_id: str, sensor: str, pd: float, geolocation_sigma_m: float) -> Scan:
    """The look that a scan amounts to.

    Args:
        sensor: its name in the journal; every sighting's device.
        pd: the probability that an object of the kind sought is flagged.
        geolocation_sigma_m: how well the product is placed, one sigma per axis.

    Raises:
        SceneError: the scene does not say where it lies, or nothing in it could be judged.
    """
    scene, path = result.scene, result.scene.path
    if scene.placing is None:
        why = f"is placed by {scene.unplaced}, not understood here: warp it first" if scene.unplaced else (
            "does not say where it lies (no georeference): nothing for the map"
            + ("; of a drone's picture birddog drone-frame tells the place" if scene.driver == "JPEG" else ""))
        raise SceneError(why, file=path)
    if len(result.outline) < 3:
        raise SceneError("has no valid pixels that could be judged", file=path)
    ring = footprint(scene.placing, result.outline)
    if ring is None:
        raise SceneError("its georeference leads off the Earth, or about a pole, which a footprint in degrees cannot say",
                         file=path)
    time_ns, source, by = _taken(path, scene.datetime_tag, scene.stated_time)
    marks = () if source == "device" else ("no_scene_time",)
    strongest = sorted(result.flags, key=lambda f: (-f.score, f.flag_id))[:MOST_SIGHTINGS]
    sightings, flags = [], []
    with Reader(scene) as reader:
        for rank, flag in enumerate(strongest):
            spread = covariance(flag, scene.placing, geolocation_sigma_m)
            if spread is None:
                continue
            ee, en, nn = spread
            assert flag.lat_deg is not None and flag.lon_deg is not None
            picture = thumbnail(reader, flag) if rank < MOST_THUMBNAILS else None
            sightings.append(Sighting(
                device=sensor, time_ns=time_ns, time_source=source, flags=marks, lat_deg=flag.lat_deg, lon_deg=flag.lon_deg,
                r_ee=ee, r_en=en, r_nn=nn, scan=scan_id,
                attributes={"flag_id": flag.flag_id, "score": flag.score, "length_m": flag.length_m,
                            "width_m": flag.width_m, "heading_deg": flag.heading_deg, "truncated": flag.truncated},
            ))
            flags.append(msgspec.structs.replace(flag, r_ee=ee, r_en=en, r_nn=nn, thumbnail=picture))
    return Scan(
        scan_id=scan_id, sensor=sensor, time_ns=time_ns, footprint=ring, pd=pd,
        clutter_per_km2=clutter_per_km2(result), sightings=tuple(sightings), flags=tuple(flags),
        scene_sha256=result.sha256, scene_name=scene.name, time_source=source, time_by=by,
    )


def together(looks: list[Scan]) -> Scan:
    """One look of the polarisations of one pass: what several of them show is one sighting, that of the highest score.

    They saw the same water at the same moment, so that two looks would count a ship twice, and a miss too.
    """
    first = looks[0]
    pairs = sorted(((f, s) for one in looks for f, s in zip(one.flags, one.sightings, strict=True)),
                   key=lambda p: (-p[0].score, p[0].flag_id))
    kept: list[tuple[Flag, Sighting]] = []
    for flag, sighting in pairs:
        frame = LocalFrame(lat_deg=sighting.lat_deg, lon_deg=sighting.lon_deg)
        if not any(math.hypot(*frame.en(lat_deg=s.lat_deg, lon_deg=s.lon_deg))
                   <= SAME_OBJECT_M + 0.5 * max(flag.length_m or 0.0, f.length_m or 0.0) for f, s in kept):
            kept.append((flag, sighting))
    scan_id = hashlib.sha256("|".join(sorted(one.scan_id for one in looks)).encode()).hexdigest()
    return msgspec.structs.replace(
        first, scan_id=scan_id, clutter_per_km2=sum(one.clutter_per_km2 for one in looks),
        sightings=tuple(msgspec.structs.replace(s, scan=scan_id) for _, s in kept), flags=tuple(f for f, _ in kept),
        scene_name=" + ".join(one.scene_name for one in looks),
    )


def footprint(placing: Placing, outline: tuple[tuple[int, int], ...]) -> tuple[tuple[float, float], ...] | None:
    """A closed anticlockwise ring of (lon_deg, lat_deg) about a convex outline in pixels; None if it leaves the Earth.

    Also None about a pole or over half the Earth's round: such a ring has no inside.  Each edge has as many points
    as it takes for the middles between them to lie on it within _EDGE_M or half a pixel.
    """
    step = placing.pixel_en_m(*(sum(p[k] for p in outline) / len(outline) for k in (0, 1)))
    within = max(_EDGE_M, 0.0 if step is None else 0.5 * float(np.hypot(*step).max()))
    count = _EDGE_POINTS
    while True:
        ends = list(zip(outline, outline[1:] + outline[:1], strict=True))
        share = np.arange(2 * count) / (2 * count)
        col, row = (np.concatenate([a[k] + (b[k] - a[k]) * share for a, b in ends]) for k in (0, 1))
        lon, lat = placing.lonlat(col, row)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        turns = (np.diff(lon, append=lon[0]) + 180.0) % 360.0 - 180.0
        unrolled = lon[0] + np.concatenate([[0.0], np.cumsum(turns)])
        if abs(unrolled[-1] - unrolled[0]) > 180.0 or np.ptp(unrolled) >= 180.0:
            return None
        unrolled = unrolled[:-1]
        east = np.cos(np.radians(lat[1::2])) * (unrolled[1::2] - (unrolled[::2] + np.roll(unrolled, -2)[::2]) / 2.0)
        north = lat[1::2] - (lat[::2] + np.roll(lat, -2)[::2]) / 2.0
        if count >= _MOST_EDGE_POINTS or float(np.hypot(east, north).max()) * _DEGREE_M <= within:
            break
        count *= 2
    lon, lat, unrolled = lon[::2], lat[::2], unrolled[::2]
    area = float((unrolled * np.roll(lat, -1) - np.roll(unrolled, -1) * lat).sum())
    points = [(round(float(o), 7), round(float(a), 7)) for o, a in zip(lon, lat, strict=True)]
    if area < 0.0:
        points.reverse()
    return (*points, points[0])


def covariance(flag: Flag, placing: Placing, geolocation_sigma_m: float) -> tuple[float, float, float] | None:
    """(r_ee, r_en, r_nn) in m² of a flag's place; None where it has none."""
    step = placing.pixel_en_m(flag.col, flag.row) if flag.lat_deg is not None else None
    if step is None:
        return None
    total = step @ step.T / 12.0 + np.eye(2) * geolocation_sigma_m**2
    if flag.length_m is not None and flag.width_m is not None and flag.heading_deg is not None:
        t = math.radians(flag.heading_deg)
        along, across = np.array([math.sin(t), math.cos(t)]), np.array([math.cos(t), -math.sin(t)])
        # an antenna stands anywhere along the hull: a uniform spread's variance is a twelfth of the length squared
        total = total + np.outer(along, along) * flag.length_m**2 / 12.0 + np.outer(across, across) * flag.width_m**2 / 12.0
    if flag.truncated:
        total = total + np.eye(2) * CUT_HULL_M**2 / 12.0
    return float(total[0, 0]), float(total[0, 1]), float(total[1, 1])


def clutter_per_km2(result: ScanResult) -> float:
    """Density of false sightings: false pixels at the rate asked, over the least number that makes an object."""
    placing = result.scene.placing
    step = placing.pixel_en_m(result.scene.width / 2.0, result.scene.height / 2.0) if placing else None
    if step is None or result.pfa is None:
        return 0.0
    return result.pfa * 1e6 / abs(float(np.linalg.det(step))) / result.least_px
