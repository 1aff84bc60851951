"""The script that fits the motions tells of tracks that it does not fit: none of its own sets, hidden by the same rule."""

from __future__ import annotations

import csv
import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location("fit_motions", Path(__file__).parents[2] / "tools" / "fit_motions.py")
assert _spec is not None and _spec.loader is not None
fit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fit)

REAL = Path(__file__).parents[3] / "shared" / "data" / "tracking" / "real"
T0 = 1452603600.0
#: Metres of a degree of latitude.
DEG = 111_320.0


def _write(path: Path, head: list[str], rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """(predict, real): two vessels beside, a fix each 10 s, of which the set has one under another name."""
    going = [(T0 + 10.0 * k, 50.8 + 50.0 * k / DEG, -1.1) for k in range(40)]
    lying = [(T0 + 10.0 * k, 50.9, -1.2) for k in range(40)]

    def said(t: float) -> str:
        return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    _write(
        tmp_path / "predict" / "solent" / "tracks.csv",
        ["id", "t", "lat", "lon", "cog", "sog"],
        [
            [name, said(t), f"{lat:.6f}", f"{lon:.6f}", 0, 0]
            for name, way in (("1", going), ("2", lying))
            for t, lat, lon in way
        ],
    )
    _write(
        tmp_path / "real" / "ais_solent.csv",
        ["track_id", "t", "lat", "lon", "hide5", "hide60", "bad"],
        [["235", f"{t:.3f}", f"{lat:.7f}", f"{lon:.7f}", 0, 0, 0] for t, lat, lon in lying],
    )
    return tmp_path / "predict", tmp_path / "real"


def test_what_is_in_the_set_is_not_beside_it(data: tuple[Path, Path]) -> None:
    """A vessel that the set has, by its places and times, whatever its name, is no second opinion."""
    one = fit.beside(data[0], "ais_solent", 5, data[1])
    assert {f.track_id for f in one.fixes} == {"1"}
    assert len(one.asked) == 8 and len(one.fixes) == 32


def test_the_rule_of_the_sets_hides_those_beside_too(data: tuple[Path, Path]) -> None:
    """Every fifth; or the last of each three minutes."""
    fifth = fit.beside(data[0], "ais_solent", 5, data[1])
    assert [(q.time_ns / 1e9 - T0) / 10.0 for q in fifth.asked] == [4, 9, 14, 19, 24, 29, 34, 39]
    minute = fit.beside(data[0], "ais_solent", 60, data[1])
    assert [(q.time_ns / 1e9 - T0) / 10.0 for q in minute.asked] == [*range(12, 18), *range(30, 36)]


def test_speed_is_told_of_hidden_fixes(data: tuple[Path, Path]) -> None:
    """5 m/s, also at the ends."""
    assert fit.speeds(fit.beside(data[0], "ais_solent", 5, data[1])) == pytest.approx(np.full(8, 5.0), rel=0.01)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.exists(), reason="the shared data are not here")
def test_a_bus_between_two_reports_is_where_a_straight_line_has_it() -> None:
    """Gaps of a minute in town, answered with all that is known: as far off in the tail as a straight line, and honest."""
    one = fit.read(REAL, "bus_liverpool", 60, 1)
    by_id: dict[str, list[tuple[int, float, float]]] = {}
    for f in one.fixes:
        by_id.setdefault(f.track_id, []).append((f.time_ns, f.x, f.y))
    off, straight, held = [], [], 0
    answers = fit.locate.locate(one.fixes, one.asked, mode="smoothed", geodetic=True)
    for q, (lon, lat), answer in zip(one.asked, one.truth, answers, strict=True):
        assert answer is not None
        here = fit.LocalFrame(lat_deg=lat, lon_deg=lon)
        e = np.array(here.en(lat_deg=answer.y, lon_deg=answer.x))
        s = np.array([[answer.p_ee, answer.p_en], [answer.p_en, answer.p_nn]]) + one.sigma_m**2 * np.eye(2)
        held += bool(e @ np.linalg.solve(s, e) <= 5.991)
        off.append(np.hypot(*e))
        t, x, y = (np.array(some) for some in zip(*sorted(by_id[q.track_id]), strict=True))
        straight.append(np.hypot(*here.en(lat_deg=np.interp(q.time_ns, t, y), lon_deg=np.interp(q.time_ns, t, x))))
    assert np.percentile(off, 95) < 1.12 * np.percentile(straight, 95)  # 1.11; 1.15 before
    assert np.median(off) < 0.95 * np.median(straight)
    assert 0.90 < held / len(off) < 0.98
