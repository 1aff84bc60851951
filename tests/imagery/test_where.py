"""Land, shore, area of interest, fixed objects, bands and lengths: what is left out of a scan, and that it is said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.warp import transform

from birddog.errors import ConfigError, UsageError
from imagery import places
from imagery.only import Only, only_of
from imagery.scan import Unfit, scan
from imagery.scene import SceneError
from imagery.settings import Settings
from imagery.watch import Watch
from opsroom import cli

# scenes without a georeference are written here on purpose
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
#: 10 m pixels off Zeebrugge: at sea by the basemap.
PLACE = {"crs": "EPSG:32631", "transform": Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5700000.0)}
SHIPS = ((60, 100), (200, 300), (330, 120), (420, 420))
CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "imagery"


def sea(seed: int = 1, ships=SHIPS, shape=(512, 512), long: int = 12) -> np.ndarray:
    a = np.sqrt(np.random.default_rng(seed).gamma(4.0, 25.0, shape)) * 10.0
    for r, c in ships:
        a[r : r + 4, c : c + long] = 900.0
    return np.round(a).astype("uint16")


def write(path: Path, *bands: np.ndarray, **how) -> Path:
    a = np.stack(bands)
    with rasterio.open(path, "w", driver="GTiff", width=a.shape[2], height=a.shape[1], count=a.shape[0], dtype=a.dtype.name,
                       **(PLACE | how)) as f:
        f.write(a)
    return path


def lonlat(col: float, row: float) -> list[float]:
    x, y = 500000.0 + 10.0 * col, 5700000.0 - 10.0 * row
    lon, lat = transform("EPSG:32631", "EPSG:4326", [x], [y])
    return [lon[0], lat[0]]


def polygon(path: Path, *corners: tuple[float, float]) -> Path:
    ring = [lonlat(*c) for c in corners]
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shape}))
    return path


def mask_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as f:
        return f.read(1)


def at(result) -> list[tuple[int, int]]:
    return sorted((round(f.row) - 2, round(f.col) - 6) for f in result.flags)


def test_land_is_not_looked_at_to_the_pixel_whatever_the_tile(tmp_path):
    scene = write(tmp_path / "s.tif", sea())
    # a slope of 1 in 2 down the left side: the ships of column 100 and 120 lie on it
    land = polygon(tmp_path / "land.geojson", (-50, -20), (150, -20), (150, 0), (250, 512), (250, 540), (-50, 540))
    answers = []
    for tile in (64, 192, 2048):
        result = scan(scene, only=Only(land=str(land)), tile=tile, mask=tmp_path / "m.tif")
        answers.append((result.flags, result.over_px, result.outline, mask_of(tmp_path / "m.tif")))
    assert at(result) == [(200, 300), (420, 420)]
    assert all(a[:3] == answers[0][:3] and (a[3] == answers[0][3]).all() for a in answers)
    row, col = np.mgrid[0:512, 0:512] + 0.5
    expected = col < 150 + row * 100 / 512
    assert ((answers[0][3] == 255) != expected).sum() < 30, "single pixels on the edge"
    assert result.only["land_sha256"] == places.sha256(land)


def test_a_shore_goes_so_many_metres_out_also_from_land_beyond_the_scene(tmp_path):
    scene = write(tmp_path / "s.tif", sea(ships=()))
    land = polygon(tmp_path / "land.geojson", (-40, -100), (-10, -100), (-10, 600), (-40, 600))
    scan(scene, only=Only(land=str(land), shore_m=500.0), mask=tmp_path / "m.tif")
    hidden = (mask_of(tmp_path / "m.tif") == 255).sum(axis=1)
    # 500 m are 50 px, 10 of them outside
    assert set(hidden[8:-8]) <= {39, 40, 41}


def test_a_raster_of_land_on_another_grid(tmp_path):
    scene = write(tmp_path / "s.tif", sea())
    coarse = np.zeros((40, 40), "uint8")
    coarse[:, :20] = 1
    x, y = lonlat(0, 0)
    place = {"crs": "EPSG:4326", "transform": Affine(0.004, 0.0, x - 0.0382, 0.0, -0.004, y + 0.05)}
    land = write(tmp_path / "land.tif", coarse, **place)
    result = scan(scene, only=Only(land=str(land)), mask=tmp_path / "m.tif")
    edge_lon = x - 0.0382 + 0.08
    lon = [lonlat(c + 0.5, 100.5)[0] for c in range(512)]
    assert (mask_of(tmp_path / "m.tif")[100] == 255).sum() == pytest.approx(sum(o < edge_lon for o in lon), abs=1)
    assert at(result) == [s for s in sorted(SHIPS) if lonlat(s[1], s[0])[0] > edge_lon]


def test_a_raster_of_the_scenes_size_needs_no_place(tmp_path):
    how = {"crs": None, "transform": Affine.identity()}
    scene = write(tmp_path / "s.tif", sea(long=20), **how)
    land = np.zeros((512, 512), "uint8")
    land[:, :250] = 7
    result = scan(scene, only=Only(land=str(write(tmp_path / "l.tif", land, **how))))
    assert len(result.flags) == 2 and all(f.col > 250 for f in result.flags)
    with pytest.raises(SceneError, match="where it lies"):
        scan(scene, only=Only(aoi=str(polygon(tmp_path / "a.geojson", (0, 0), (9, 0), (9, 9)))))


def test_a_scene_placed_by_control_points_over_the_date_line(tmp_path):
    marks = [GroundControlPoint(row=r, col=c, x=(179.97 + 1e-4 * c + 180.0) % 360.0 - 180.0, y=10.0 - 1e-4 * r)
             for r in (0, 256, 512) for c in (0, 256, 512)]
    a = sea()
    with rasterio.open(tmp_path / "s.tif", "w", driver="GTiff", width=512, height=512, count=1, dtype="uint16",
                       crs="EPSG:4326", gcps=marks) as f:
        f.write(a, 1)
    ring = [[179.96, 10.1], [-179.99, 10.1], [-179.99, 9.9], [179.96, 9.9], [179.96, 10.1]]
    (tmp_path / "aoi.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    result = scan(tmp_path / "s.tif", only=Only(aoi=str(tmp_path / "aoi.geojson")), mask=tmp_path / "m.tif")
    assert at(result) == [s for s in sorted(SHIPS) if s[1] < 390]
    assert ((mask_of(tmp_path / "m.tif")[100] != 255).sum()) == pytest.approx(400, abs=1)


def test_outside_the_area_of_interest_and_all_of_it(tmp_path):
    scene = write(tmp_path / "s.tif", sea())
    inside = polygon(tmp_path / "a.geojson", (80, 30), (400, 30), (400, 250), (80, 250))
    assert at(scan(scene, only=Only(aoi=str(inside)))) == [(60, 100), (200, 300)]
    away = polygon(tmp_path / "b.geojson", (900, 30), (990, 30), (990, 250))
    with pytest.raises(SceneError, match="outside the area of interest"):
        scan(scene, only=Only(aoi=str(away)))


def test_what_stands_fixed_is_no_ship_and_is_counted(tmp_path):
    scene = write(tmp_path / "s.tif", sea())
    (lon, lat), (far_lon, far_lat) = lonlat(106, 62), lonlat(306, 230)
    (tmp_path / "f.csv").write_text(f"name,lat,lon,radius_m\nplatform,{lat},{lon},\nbuoy,{far_lat},{far_lon},50\n")
    result = scan(scene, only=Only(fixed=str(tmp_path / "f.csv")))
    assert at(result) == [(200, 300), (330, 120), (420, 420)] and result.left_out == {"fixed": 1}
    point = {"type": "Feature", "properties": {"radius_m": 500},
             "geometry": {"type": "Point", "coordinates": [far_lon, far_lat]}}
    (tmp_path / "f.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
    assert at(scan(scene, only=Only(fixed=str(tmp_path / "f.geojson")))) == [(60, 100), (330, 120), (420, 420)]


def test_lengths(tmp_path):
    a = sea(ships=((60, 100),), long=10)
    a[300:310, 50:130] = 900
    a[420:430, 50:150] = 900
    scene = write(tmp_path / "s.tif", a)
    assert len(scan(scene).flags) == 1, "beyond 600 m nothing is a ship, unless somebody says so"
    longer = scan(scene, only=Only(max_length_m=2000.0))
    assert sorted(round(f.length_m, -1) for f in longer.flags) == [100, 800, 1000]
    kept = scan(scene, only=Only(min_length_m=300.0, max_length_m=900.0))
    assert [round(f.length_m, -1) for f in kept.flags] == [800] and kept.left_out["too_short"] == 1
    with pytest.raises(SceneError, match="how large its pixels are"):
        scan(write(tmp_path / "n.tif", a, crs=None, transform=Affine.identity()), only=Only(min_length_m=30.0))


def test_the_basemap_marks_and_is_said_to_be_coarse(tmp_path, capsys):
    # the same grid on dry land, east of Brussels
    place = {"transform": Affine(10.0, 0.0, 620000.0, 0.0, -10.0, 5630000.0)}
    inland, off = write(tmp_path / "inland.tif", sea(), **place), write(tmp_path / "off.tif", sea())
    assert [f.on_land for f in scan(off).flags] == [False] * 4
    assert cli.main(["scan", str(inland)]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [f["properties"]["on_land"] for f in found["features"]] == [True] * 4
    assert "4 of 4 flags lie on land" in said.err and "coarse" in said.err and found["scenes"][0]["doubts"]
    with pytest.raises(SceneError, match="nothing but land"):
        scan(inland, only=Only(land="basemap"))
    result = scan(off, only=Only(land="basemap"))
    assert len(result.flags) == 4 and "coarse" in result.only["land_is"] and result.only["shore_m"] == 1000.0


def test_a_world_of_coasts_is_asked_of_many_flags():
    """Only the polygons about a place are looked into: of the basemap's 1,400 a few, on both sides of the date line too."""
    world = places.load("basemap")
    asked = []
    real = places._inside
    places._inside = lambda *a: asked.append(a) or real(*a)
    try:
        on = [world.holds(lat_deg=lat, lon_deg=lon) for lat, lon in ((50.8, 4.8), (51.42, 3.0), (66.5, -173.0), (66.5, 177.0))]
    finally:
        places._inside = real
    assert on == [True, False, True, True] and len(asked) < 40 < 1000 < len(world.polygons)


def test_rings_taken_in_at_one_stroke_are_those_taken_one_by_one():
    """A scan that has one flag at sea loads the whole basemap; what crosses the date line there goes on over it."""
    square = [[10.0, 50.0], [11.0, 50.0], [11.0, 51.0], [10.0, 50.0]]
    over = [[179.0, 10.0], [-179.0, 10.0], [-179.0, 11.0], [180.0, 11.5], [179.0, 10.0]]
    high = [[lon, lat, 5.0] for lon, lat in over]
    for raw in ([[square]], [[over]], [[square, over], [square]], [[over], [square, square, over]], [[high, square]]):
        whole = places._polygons(raw)
        assert [[ring.tolist() for ring in polygon] for polygon in whole] == [
            [places._ring(ring).tolist() for ring in polygon] for polygon in raw]
    shapes = places.Shapes(places._polygons([[over], [square]]))
    assert shapes.boxes.tolist() == [[179.0, 10.0, 181.0, 11.5], [10.0, 50.0, 11.0, 51.0]]


# --- bands ----------------------------------------------------------------------------------------


def test_both_polarisations_are_one_look(tmp_path):
    vv, vh = sea(1, SHIPS[:2]), sea(2, SHIPS[1:])
    scene = write(tmp_path / "s.tif", vv, vh)
    answers = [scan(scene, tile=tile, mask=tmp_path / "m.tif", scores=tmp_path / "z.tif") for tile in (64, 4096)]
    assert at(answers[0]) == sorted(SHIPS) and answers[0].flags == answers[1].flags and answers[0].bands == (1, 2)
    assert (mask_of(tmp_path / "m.tif") == 1).sum() == answers[0].over_px
    each = [scan(scene, only=Only(bands=(b,)), scores=tmp_path / f"z{b}.tif") for b in (1, 2)]
    assert [at(one) for one in each] == [sorted(SHIPS[:2]), sorted(SHIPS[1:])]
    assert (mask_of(tmp_path / "z.tif") == np.fmax(*(mask_of(tmp_path / f"z{b}.tif") for b in (1, 2)))).all()
    # the second alone is what a file of it gives
    alone = scan(write(tmp_path / "vh.tif", vh))
    assert [(f.col, f.row, f.score) for f in alone.flags] == [(f.col, f.row, f.score) for f in each[1].flags]


def test_the_rate_of_two_bands_is_the_one_asked(tmp_path):
    scene = write(tmp_path / "s.tif", sea(3, (), (1000, 1000)), sea(4, (), (1000, 1000)))
    assert 0.8 < scan(scene, pfa=1e-3).over_px / 1e3 < 1.25


def test_of_three_bands_one_is_looked_at_and_that_is_said(tmp_path, capsys):
    scene = write(tmp_path / "s.tif", sea(1, ()), sea(2), sea(3, ()), photometric="minisblack")
    assert cli.main(["scan", str(scene)]) == 0
    said = capsys.readouterr()
    assert "band 1 of 3 alone was looked at" in said.err and json.loads(said.out)["features"] == []
    assert cli.main(["scan", str(scene), "--band", "1,2"]) == 0
    assert len(json.loads(capsys.readouterr().out)["features"]) == 4
    assert cli.main(["scan", str(scene), "--band", "4"]) == 2
    assert cli.main(["scan", str(scene), "--band", "two"]) == 2


def test_a_band_that_cannot_be_judged_does_not_hide_the_other(tmp_path):
    angle = np.full((512, 512), 30.0, "float32")
    result = scan(write(tmp_path / "s.tif", sea().astype("float32"), angle))
    assert at(result) == sorted(SHIPS) and "band 2 cannot be judged" in result.doubts[0]


# --- unfit ----------------------------------------------------------------------------------------


def strips(kind: str) -> np.ndarray:
    """Noise in strips of 10 lines between 30 that hardly vary."""
    a = sea(5, ()).astype("float32")
    even = (np.arange(512) % 40) < 30
    a[even] = np.median(a) * (1.0 if kind == "mean" else 0.3)
    return a


def test_what_fits_badly_is_said(tmp_path):
    result = scan(write(tmp_path / "s.tif", strips("mean")))
    assert "times as many as asked" in result.doubts[0] and len(result.flags) < 10


def test_an_unfit_scene_is_said_to_be_among_good_ones_and_alone(tmp_path, capsys):
    scene = write(tmp_path / "strips.tif", strips("low"))
    good = write(tmp_path / "good.tif", sea())
    with pytest.raises(Unfit):
        scan(scene)
    assert cli.main(["scan", str(scene), str(good)]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert len(found["features"]) == 4 and [("unfit" in s) for s in found["scenes"]] == [False, True]
    assert "strips.tif" in said.err and len(said.err.splitlines()) == 1
    assert cli.main(["scan", str(scene)]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["scenes"][0]["unfit"] and len(said.err.splitlines()) == 1


# --- forms ----------------------------------------------------------------------------------------


def test_the_table_beside_the_geojson(tmp_path, capsys):
    scene = write(tmp_path / "s.tif", sea())
    assert cli.main(["scan", str(scene), "--csv", str(tmp_path / "f.csv")]) == 0
    features = json.loads(capsys.readouterr().out)["features"]
    text = (tmp_path / "f.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.count("\r\n") == 5
    assert [(r["flag_id"], float(r["lat_deg"]), r["truncated"]) for r in rows] == [
        (f["id"], f["properties"]["lat_deg"], "false") for f in features]
    assert cli.main(["scan", str(scene), "--csv", str(scene)]) == 2


@pytest.mark.parametrize("text", [
    "", "{", "[]", "lat,lon\n", "name\nx\n", "lat,lon\n95,3\n", '{"type":"Point","coordinates":[3]}',
    '{"type":"FeatureCollection","features":[]}', '{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}',
    '{"type":"LineString","coordinates":[[0,0],[1,1]]}', '{"type":"Polygon","coordinates":[]}',
    '{"type":"Polygon","coordinates":[[[0,0],[1,95],[2,0]]]}', '{"type":"Polygon","coordinates":[[[0,0],[1,null],[2,0]]]}',
    '{"type":"Polygon","coordinates":5}',
    '{"type":"Polygon","crs":{"properties":{"name":"EPSG:32631"}},"coordinates":[[[0,0],[1,1],[2,0]]]}'])
def test_files_that_are_none(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(UsageError, match="x"):
        places.load(tmp_path / "x")


def test_options_out_of_range():
    for wrong in ({"shore_m": -1.0, "land": "basemap"}, {"shore_m": 5.0}, {"min_length_m": 9.0, "max_length_m": 5.0},
                  {"bands": (1, 1)}, {"bands": (0,)}, {"max_length_m": 0.0}, {"aoi": "/nowhere.geojson"}):
        with pytest.raises(UsageError):
            Only(**wrong).check()


def test_the_watched_folder_keeps_the_same_options(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "sar_20261124T101500Z.tif", sea(1, SHIPS[:2]), sea(2, SHIPS[1:]))
    (lon, lat) = lonlat(106, 62)
    (tmp_path / "f.csv").write_text(f"lat,lon\n{lat},{lon}\n")
    how = {"folder": str(tmp_path / "in"), "ledger": str(tmp_path / "l.db")}
    settings = Settings(**how, fixed=str(tmp_path / "f.csv"), bands=(1,))
    assert only_of(settings) == Only(fixed=str(tmp_path / "f.csv"), bands=(1,))
    looks = []
    for one in (settings, Settings(**how)):
        watch = Watch(one, looks.append)
        watch.step(), watch.step()
        watch.close()
    assert [len(look.flags) for look in looks] == [1, 4] and looks[0].scan_id != looks[1].scan_id
    with pytest.raises(ConfigError, match="nowhere"):
        Watch(Settings(**how, land=str(tmp_path / "nowhere.geojson")), looks.append)


@pytest.mark.shared
def test_case_c07():
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is absent")
    result = scan(CASES / "c07_vv_vh_stack.tif")
    assert len(result.flags) == 5 and result.bands == (1, 2)


@pytest.mark.parametrize("value, words", [(0, "fewer than 1,000 pixels were imaged"), (7, "the same value")])
def test_a_scene_of_one_value_is_said_to_be_unfit(tmp_path, value, words, capsys):
    """Nothing can stand out in it, and 0 flags without a word would say that nothing was there."""
    scene = write(tmp_path / "s.tif", np.full((256, 256), value))
    assert cli.main(["scan", str(scene)]) == 2
    assert words in capsys.readouterr().err
