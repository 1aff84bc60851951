"""A scene's look is honest: its covariances, its density of false sightings, its footprint."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import rasterio
from affine import Affine
from msgspec.structs import replace
from rasterio.warp import transform

from birddog.areas import ring_contains
from birddog.geo import LocalFrame
from birddog.model import Scan, pack
from imagery.look import scan_of
from imagery.scan import scan

PLACE = {"crs": "EPSG:32631", "transform": Affine(8.0, 0.0, 480000.0, 0.0, -8.0, 6050000.0)}
SIDE = 1400


def fleet(path: Path, seed: int) -> list[tuple[float, float, float, float, float]]:
    """A sea with ships 60 to 220 m long: (x_m, y_m, length_m, width_m, heading in the grid) of each."""
    rng = np.random.default_rng(seed)
    a = np.sqrt(rng.gamma(4.0, 0.25, (SIDE, SIDE))).astype("float32")
    yy, xx = np.mgrid[:SIDE, :SIDE] + 0.5
    ships = []
    for r in range(90, SIDE - 60, 120):
        for c in range(90, SIDE - 60, 120):
            col, row = c + float(rng.uniform(-20, 20)), r + float(rng.uniform(-20, 20))
            length, heading = float(rng.uniform(60.0, 220.0)), float(rng.uniform(0.0, math.pi))
            width = max(length / 6.0, 16.0)
            part = (slice(r - 60, r + 60), slice(c - 60, c + 60))
            e, n = (xx[part] - col) * 8.0, -(yy[part] - row) * 8.0
            along, across = e * math.sin(heading) + n * math.cos(heading), e * math.cos(heading) - n * math.sin(heading)
            hull = (abs(along) <= length / 2) & (abs(across) <= width / 2)
            a[part][hull] = np.sqrt(20.0 * rng.gamma(4.0, 0.25, int(hull.sum())))
            ships.append((480000.0 + 8.0 * col, 6050000.0 - 8.0 * row, length, width, heading))
    with rasterio.open(path, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="float32", **PLACE) as f:
        f.write(a, 1)
    return ships


def test_covariances_are_as_large_as_the_errors_are(tmp_path):
    """A vessel reports from an antenna anywhere on its hull, and the product lies 15 m off: d R^-1 d is 2 on average."""
    ships = fleet(tmp_path / "a_20261124T101500Z.tif", 1)
    seen = scan_of(scan(tmp_path / "a_20261124T101500Z.tif"), scan_id="s", sensor="sar", pd=0.9, geolocation_sigma_m=15.0)
    rng, nees, own = np.random.default_rng(2), [], []
    lon, lat = transform("EPSG:32631", "EPSG:4326", [s[0] for s in ships], [s[1] for s in ships])
    for sighting in seen.sightings:
        frame = LocalFrame(lat_deg=sighting.lat_deg, lon_deg=sighting.lon_deg)
        places = [frame.en(lat_deg=a, lon_deg=o) for o, a in zip(lon, lat, strict=True)]
        k = min(range(len(ships)), key=lambda i: math.hypot(*places[i]))
        if math.hypot(*places[k]) > 150.0:
            continue
        own.append(places[k])
        _, _, length, width, heading = ships[k]
        u, v = rng.uniform(-length / 2, length / 2), rng.uniform(-width / 2, width / 2)
        d = np.array([places[k][0] + u * math.sin(heading) + v * math.cos(heading),
                      places[k][1] + u * math.cos(heading) - v * math.sin(heading)]) + rng.normal(0.0, 15.0, 2)
        covariance = np.array([[sighting.r_ee, sighting.r_en], [sighting.r_en, sighting.r_nn]])
        nees.append(float(d @ np.linalg.solve(covariance, d)))
    assert len(nees) >= 0.95 * len(ships) >= 100, "hardly a ship is missed"
    # 121 draws of mean 2 and deviation 2: half a unit is nearly three of their mean's sigmas
    assert abs(np.mean(nees) - 2.0) < 0.5, np.mean(nees)
    assert np.mean(np.array(nees) < 5.99) > 0.89
    assert np.std(own) < 8.0, "the middle itself is known to less than a pixel"
    # what the scan says of false sightings is what there is: of 125 km² a few at most
    assert len(seen.sightings) - len(nees) <= 3 + 3 * seen.clutter_per_km2 * (SIDE * 8.0 / 1000.0) ** 2


def test_the_footprint_holds_every_sighting_and_not_the_sea_beside_it(tmp_path):
    fleet(tmp_path / "a.tif", 3)
    seen = scan_of(scan(tmp_path / "a.tif"), scan_id="s", sensor="sar", pd=0.9, geolocation_sigma_m=15.0)
    assert seen.sightings and all(ring_contains(seen.footprint, lat_deg=s.lat_deg, lon_deg=s.lon_deg) for s in seen.sightings)
    x, y = [480000.0 - 30.0, 480000.0 + 5000.0], [6050000.0 - 5000.0, 6050000.0 + 30.0]
    lon, lat = transform("EPSG:32631", "EPSG:4326", x, y)
    assert not any(ring_contains(seen.footprint, lat_deg=a, lon_deg=o) for o, a in zip(lon, lat, strict=True))
    turns = [a[0] * b[1] - b[0] * a[1] for a, b in zip(seen.footprint, seen.footprint[1:], strict=False)]
    assert sum(turns) > 0.0, "anticlockwise"


def test_a_flag_goes_into_the_journal_as_the_scan_found_it(tmp_path):
    """One struct from scene to entry: the look adds how well it is placed and its picture, and takes nothing away."""
    fleet(tmp_path / "a.tif", 3)
    result = scan(tmp_path / "a.tif")
    seen = scan_of(result, scan_id="s", sensor="sar", pd=0.9, geolocation_sigma_m=15.0)
    found = {flag.flag_id: flag for flag in result.flags}
    assert len(seen.flags) == len(found) > 100
    assert all(replace(flag, r_ee=None, r_en=None, r_nn=None, thumbnail=None) == found[flag.flag_id] for flag in seen.flags)
    assert msgspec.msgpack.decode(pack(seen), type=Scan) == seen


def test_of_a_ship_that_the_edge_cuts_less_is_known(tmp_path):
    """Its middle may lie outside the scene: the error is within what the covariance says, which is more than of its part."""
    inside, outside = [], []
    for k, first in enumerate((-10, 60)):
        a = np.sqrt(np.random.default_rng(k).gamma(4.0, 0.25, (400, 400))).astype("float32")
        a[max(200, 0) : 204, max(first, 0) : first + 14] = 5.0
        path = tmp_path / f"{k}.tif"
        with rasterio.open(path, "w", driver="GTiff", width=400, height=400, count=1, dtype="float32", **PLACE) as f:
            f.write(a, 1)
        (sighting,) = scan_of(scan(path), scan_id="s", sensor="sar", pd=0.9, geolocation_sigma_m=15.0).sightings
        (outside if first < 0 else inside).append(sighting)
        assert sighting.attributes["truncated"] == (first < 0)
    (cut,), (whole,) = outside, inside
    assert cut.r_nn > whole.r_nn and cut.r_ee > 40.0**2
    # its true middle is at column -3, the middle of what is seen at column 2
    assert (5 * 8.0) ** 2 / cut.r_ee < 1.0


def test_flags_that_do_not_go_into_the_journal_are_told(tmp_path, monkeypatch):
    import imagery.look
    from imagery.watch import Settings, Watch

    monkeypatch.setattr(imagery.look, "MOST_SIGHTINGS", 20)
    ships = fleet(tmp_path / "a.tif", 4)
    got: list = []
    watch = Watch(Settings(folder=str(tmp_path)), got.append)
    watch.step(), watch.step()
    said = watch.status()["left_out"]
    watch.close()
    assert len(got[0].sightings) == 20 and min(f.score for f in got[0].flags) > 5.0
    assert said.startswith("a.tif: ") and int(said.split()[1]) >= len(ships) - 25
