"""The scoring core against cases worked out by hand."""

from __future__ import annotations

import csv
import math

import pytest

from birddog.errors import UsageError
from birddog.geo import LocalFrame
from birddog.model import Track, TrackPoint
from birddog.units import NS
from sim import truth
from sim.score import score
from sim.truth import TruthRow

FRAME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
T0 = 1_772_431_200 * NS


def row(second: int, e: float, n: float, name: str = "van", carries: tuple[str, ...] = ("tag",)) -> TruthRow:
    lat, lon = FRAME.geodetic(e, n)
    return TruthRow(time_ns=T0 + second * NS, truth_id=name, lat_deg=lat, lon_deg=lon, ve_mps=10.0, vn_mps=0.0, carries=carries)


def point(seq: int, second: float, e: float, n: float, track: str = "T1", p: float = 25.0, ve: float = 10.0) -> TrackPoint:
    lat, lon = FRAME.geodetic(e, n)
    return TrackPoint(track_id=track, seq=seq, time_ns=T0 + int(second * NS), lat_deg=lat, lon_deg=lon, ve_mps=ve, vn_mps=0.0,
                      p_ee=p, p_en=0.0, p_nn=p, origin="fix", device="tag")


def track(name: str = "T1", tag: str = "tag", status: str = "confirmed", end: int = 100, first: int = 0) -> Track:
    return Track(track_id=name, operation="open", tag_id=tag, status=status, time_ns=T0 + end * NS, lat_deg=0.0, lon_deg=0.0,
                 ve_mps=0.0, vn_mps=0.0, p_ee=1.0, p_en=0.0, p_nn=1.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0, updated_ns=0,
                 contact_ns=0, first_ns=T0 + first * NS, hits=1)  # fmt: skip


def moving(seconds: int = 20) -> list[TruthRow]:
    return [row(s, 10.0 * s, 0.0) for s in range(seconds + 1)]


def test_a_track_beside_the_truth():
    # every point 3 m east and 4 m north: 5 m at each step; NEES = 9/25 + 16/25 = 1
    points = [point(k, s, 10.0 * s + 3.0, 4.0) for k, s in enumerate(range(0, 21, 2))]
    found = score(moving(), points, [track()], 5)
    assert found.steps == 4  # 5, 10, 15, 20
    assert found.gospa_m == pytest.approx(5.0, abs=1e-3) and found.loc_rmse_m == pytest.approx(5.0, abs=1e-3)
    assert (found.missed_share, found.false_per_step, found.id_switches) == (0.0, 0.0, 0)
    assert found.estimates == 11 and found.nees == pytest.approx(1.0, abs=1e-3) and found.inside_95 == 1.0
    assert found.by_truth[0].truth_id == "van" and found.by_truth[0].matched == 4


def test_a_point_is_carried_on_with_its_velocity():
    # the only point is at 4 s; at 20 s it has been carried on 16 s × 10 m/s: no error
    found = score(moving(), [point(0, 4, 40.0, 0.0)], [track()], 5)
    assert found.loc_rmse_m == pytest.approx(0.0, abs=1e-3) and found.missed_share == 0.0
    # standing still it would be 10 m behind at 5 s, 60 at 10 s, 110 and 160 (both no pair: 5000 + 5000) later
    found = score(moving(), [point(0, 4, 40.0, 0.0, ve=0.0)], [track()], 5)
    assert found.gospa_m == pytest.approx((10.0 + 60.0 + 100.0 + 100.0) / 4, abs=1e-2)
    assert (found.missed_share, found.false_per_step) == (0.5, 0.5)


def test_a_late_point_is_not_used_before_it_came():
    # written in the order 0 s, 12 s, 8 s: the one of 8 s came after that of 12 s and changes nothing at 10 s
    points = [point(0, 0, 0.0, 30.0), point(1, 12, 120.0, 0.0), point(2, 8, 80.0, 0.0)]
    found = score(moving(), points, [track()], 5)
    # 5 s and 10 s from the first (30 m off), 15 s and 20 s from the second
    assert found.gospa_m == pytest.approx((30.0 + 30.0 + 0.0 + 0.0) / 4, abs=1e-3)


def test_nothing_before_the_first_point_and_after_the_deletion():
    points = [point(0, 8, 80.0, 0.0)]
    found = score(moving(), points, [track(status="deleted", end=12, first=8)], 5)
    # 5 s missed, 10 s there, 15 and 20 s missed
    assert found.missed_share == 0.75 and found.false_per_step == 0.0
    assert found.gospa_m == pytest.approx(3 * math.sqrt(5000.0) / 4, abs=1e-3)


def test_a_tentative_track_is_not_shown_and_an_anonymous_one_only_once_confirmed():
    points = [point(0, 0, 0.0, 0.0)]
    assert score(moving(), points, [track(status="tentative", tag="")], 5).missed_share == 1.0
    found = score(moving(), points, [track(tag="")], 5, {"T1": T0 + 12 * NS})
    assert found.missed_share == 0.5


def test_identity_switches_and_false_tracks():
    points = [point(k, s, 10.0 * s, 0.0) for k, s in enumerate(range(0, 11))]
    points += [point(k, s, 10.0 * s, 0.0, "T2") for k, s in enumerate(range(11, 21))]
    tracks = [track(status="deleted", end=10), track("T2", first=11)]
    found = score(moving(), points, tracks, 5)
    assert found.id_switches == 1 and found.missed_share == 0.0
    found = score(moving(), points, [track(), track("T2", first=11)], 5)
    assert found.id_switches == 0 and found.false_per_step == 0.5  # T1 goes on and is as right as T2


def test_the_ellipse_is_held_against_what_the_tag_is_on():
    # the van drives on; the tag's track stays with the box that was thrown out: right, though the van is far
    rows = [row(s, 10.0 * s, 0.0, "van", ()) for s in range(21)] + [row(s, 0.0, 500.0, "box", ("tag",)) for s in range(21)]
    points = [point(k, s, 3.0, 500.0, ve=0.0) for k, s in enumerate(range(21))]
    found = score(rows, points, [track()], 5)
    assert found.nees == pytest.approx(9.0 / 25.0, abs=1e-3) and found.inside_95 == 1.0
    lying = [point(k, s, 10.0 * s, 0.0) for k, s in enumerate(range(21))]
    assert score(rows, lying, [track()], 5).inside_95 == 0.0


def test_nothing_at_all():
    assert score([], [], [], 5).gospa_m is None
    found = score(moving(), [], [], 5)
    assert found.missed_share == 1.0 and found.nees is None and found.loc_rmse_m is None
    assert found.gospa_m == pytest.approx(math.sqrt(5000.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,truth_id,lat_deg,lon_deg,ve_mps\n", "truth.csv:1: there is no column 'vn_mps'"),
        ("t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps\n0,a,north,4,0,0\n", "truth.csv:2: "),
        ("t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps\n0,a,95,4,0,0\n", "truth.csv:2: lat_deg: is no position"),
        ("t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps\n0,a,1,1,nan,0\n", "truth.csv:2: ve_mps, vn_mps: is no finite number"),
        ("t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps\n0,a,1,1,0,0," + "x" * 200_000, "truth.csv:.: is no CSV"),
        ("t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps\n2026-03-02T06:00:00,a,1,1,0,0\n", "truth.csv:2: .*offset"),
    ],
)
def test_a_wrong_truth_file_is_refused_with_its_line(tmp_path, text, said):
    (tmp_path / "truth.csv").write_text(text)
    before = csv.field_size_limit(131_072)  # one for the whole process: commands that read long values raise it
    try:
        with pytest.raises(UsageError, match=said):
            truth.read(tmp_path / "truth.csv")
    finally:
        csv.field_size_limit(before)
