"""Offline positions: exactness against the joint Gaussian solution, order, no peeking, bad fixes, honest ellipses."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import bank as banks
from tracking.bank import MODES, Bank, Mode
from tracking.engine import coefficients
from tracking.locate import PastFix, Question, locate
from tracking.noise import Noise


def plane(track: str, rows, sigma: float | None = 5.0) -> list[PastFix]:
    return [PastFix(track_id=track, time_ns=round(t * NS), x=x, y=y, sigma_m=sigma) for t, x, y in rows]


def ask(track: str, *times: float) -> list[Question]:
    return [Question(track, round(t * NS)) for t in times]


def walk(seed: int, n: int = 80, dt: float = 5.0, stop: bool = True) -> list[tuple[float, float, float]]:
    rng, e, ne, ve, vn, out = random.Random(seed), 0.0, 0.0, 8.0, 3.0, []
    for k in range(n):
        if stop and 30 <= k < 50:
            ve = vn = 0.0
        else:
            ve, vn = ve + rng.gauss(0, 1.5), vn + rng.gauss(0, 1.5)
        e, ne = e + ve * dt, ne + vn * dt
        out.append((k * dt, e + rng.gauss(0, 5), ne + rng.gauss(0, 5)))
    return out


def exact(mode: Mode, fixes, r: float, t_asked: float, prior_v: float) -> tuple[np.ndarray, float]:
    """Position at t_asked and its variance per axis from the joint normal equations of one motion model."""
    times = sorted({*(t for t, _, _ in fixes), t_asked})
    n = len(times)
    out, variance = [], 0.0
    for axis in (1, 2):
        a, y = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
        a[1, 1] += 1.0 / prior_v
        for i in range(1, n):
            f, s, q11, q12, q22 = coefficients(times[i] - times[i - 1], mode.q, mode.tau_s)
            g = np.zeros((2, 2 * n))
            g[0, 2 * i - 2], g[0, 2 * i - 1], g[1, 2 * i - 1] = -1.0, -s, -f
            g[0, 2 * i], g[1, 2 * i + 1] = 1.0, 1.0
            a += g.T @ np.linalg.inv(np.array([[q11, q12], [q12, q22]])) @ g
        for fix in fixes:
            i = 2 * times.index(fix[0])
            a[i, i] += 1.0 / r
            y[i] += fix[axis] / r
        i = 2 * times.index(t_asked)
        inverse = np.linalg.inv(a)
        out.append(float((inverse @ y)[i]))
        variance = float(inverse[i, i])
    return np.array(out), variance


def test_a_remembered_position_is_the_exact_joint_solution():
    """One mode: forward, on through a gap with the position remembered, equals the normal equations of everything."""
    mode = Mode(0.5, 60.0, 1.0)
    fixes = [f for k, f in enumerate(walk(4, 30, stop=False)) if k not in (10, 11, 12, 20)]
    prior_v = mode.q * mode.tau_s / 2
    for asked in (52.5, 57.0, 101.0):
        z = np.array([fixes[0][1:]])
        bank, now = banks.new_bank(z, np.array([25.0]), (mode,)), fixes[0][0]
        kept = False
        for t, x, y in [*fixes[1:]]:
            if not kept and t > asked:
                bank = banks.remembering(banks.propagated(bank, np.array([asked - now]), (mode,)))
                kept, now = True, asked
            bank = banks.propagated(bank, np.array([t - now]), (mode,))
            bank, _ = banks.updated(bank, np.array([[x, y]]), np.array([25.0]))
            now = t
        point, p = banks.combined(bank, (4, 5))
        want, variance = exact(mode, fixes, 25.0, asked, prior_v)
        assert np.abs(point[0] - want).max() < 1e-6
        assert p[0, 0, 0] == pytest.approx(banks.TAILS * variance, rel=1e-6)


@pytest.mark.parametrize(("every_s", "gap_s"), [(1.0, 60.0), (1.0, 600.0), (2.0, 180.0), (10.0, 600.0)])
def test_a_smoothed_answer_is_that_of_all_fixes(monkeypatch: pytest.MonkeyPatch, every_s: float, gap_s: float) -> None:
    """`locate` itself, one motion: by as many fixes after a gap as tell anything, however soon they follow each other."""
    mode = Mode(0.5, 60.0, 1.0)
    for name in ("MODES", "MODES_AFTER"):
        monkeypatch.setattr("tracking.locate." + name, (mode,))
    monkeypatch.setattr("tracking.locate.NOISES", (Noise(1.0, 0.0),))
    monkeypatch.setattr("tracking.locate.PRIOR_LOG", np.zeros(1))
    rng, fixes, e, n, ve, vn, now = random.Random(7), [], 0.0, 0.0, 8.0, 3.0, 0.0
    for k in range(80):
        dt = gap_s if k == 40 else every_s
        now, e, n, ve, vn = now + dt, e + ve * dt, n + vn * dt, ve + rng.gauss(0, 0.3), vn + rng.gauss(0, 0.3)
        fixes.append((now, e + rng.gauss(0, 5), n + rng.gauss(0, 5)))
    before, after = fixes[39][0], fixes[40][0]
    times = [before + share * (after - before) for share in (0.25, 0.5, 0.75, 0.95)]
    found = locate(plane("a", fixes), ask("a", *times), mode="smoothed", geodetic=False)
    for asked, answer in zip(times, found, strict=True):
        assert answer is not None
        want, variance = exact(mode, fixes, 25.0, asked, mode.q * mode.tau_s / 2)
        assert np.hypot(answer.e_m - want[0], answer.n_m - want[1]) < 0.02 * math.sqrt(variance)
        assert answer.p_ee == pytest.approx(variance, rel=0.02)


def test_smoothed_beats_live_and_both_are_honest():
    errors = {"live": [], "smoothed": []}
    inside = {"live": 0, "smoothed": 0}
    for seed in range(25):
        rows = walk(seed)
        fixes = plane("a", [r for k, r in enumerate(rows) if k % 4])
        hidden = [r for k, r in enumerate(rows) if k % 4 == 0 and k > 8]
        for mode in ("live", "smoothed"):
            answers = locate(fixes, ask("a", *(r[0] for r in hidden)), mode=mode, geodetic=False)
            for r, a in zip(hidden, answers, strict=True):
                y = np.array([a.e_m - r[1], a.n_m - r[2]])
                s = np.array([[a.p_ee + 25, a.p_en], [a.p_en, a.p_nn + 25]])
                errors[mode].append(math.hypot(*y))
                inside[mode] += y @ np.linalg.inv(s) @ y <= 5.991
    count = len(errors["live"])
    assert np.median(errors["smoothed"]) < 0.75 * np.median(errors["live"])
    assert all(0.88 <= n / count <= 0.99 for n in inside.values())


def test_the_order_of_rows_plays_no_part_and_live_does_not_peek():
    rows = walk(3)
    fixes, questions = plane("a", rows), ask("a", 33.0, 101.0, 200.0)
    shuffled = list(fixes)
    random.Random(1).shuffle(shuffled)
    for mode in ("live", "smoothed"):
        assert locate(fixes, questions, mode=mode, geodetic=False) == locate(shuffled, questions, mode=mode, geodetic=False)
    cut = [f for f in fixes if f.time_ns < 101 * NS]
    assert locate(cut, questions[:2], mode="live", geodetic=False) == locate(fixes, questions, mode="live", geodetic=False)[:2]


def test_a_track_alone_and_among_others_is_the_same():
    fixes = plane("a", walk(1)) + plane("b", walk(2, 40)) + plane("c", walk(3, 120))
    both = locate(fixes, ask("a", 77.0) + ask("b", 99.0), mode="smoothed", geodetic=False)
    alone = locate(plane("b", walk(2, 40)), ask("b", 99.0), mode="smoothed", geodetic=False)
    assert both[1].e_m == pytest.approx(alone[0].e_m, abs=1e-9)


def test_before_the_first_fix_and_of_unknown_tracks():
    fixes = plane("a", [(t, 10.0 * t, 0.0) for t in range(0, 100, 5)])
    live = locate(fixes, ask("a", 0.0, -10.0) + ask("b", 5.0), mode="live", geodetic=False)
    assert live == [None, None, None]
    smoothed = locate(fixes, ask("a", -10.0) + ask("b", 5.0), mode="smoothed", geodetic=False)
    assert smoothed[0].e_m == pytest.approx(-100.0, abs=15.0) and smoothed[1] is None


def test_a_parked_van_stays_and_its_ellipse_is_small():
    rng = random.Random(2)
    fixes = plane("a", [(t, rng.gauss(0, 5), rng.gauss(0, 5)) for t in range(0, 600, 5)])
    a = locate(fixes, ask("a", 630.0), mode="live", geodetic=False)[0]
    assert math.hypot(a.e_m, a.n_m) < 5.0 and a.p_ee < 60**2


def geo(track: str, rows) -> list[PastFix]:
    return [PastFix(track_id=track, time_ns=round(t * NS), x=lon, y=lat, sigma_m=10.0) for t, lat, lon in rows]


def test_one_fix_far_away_changes_nothing_and_a_real_jump_is_followed():
    rows = [(10.0 * k, 50.0 + k * 5e-4, -1.0) for k in range(60)]
    clean = locate(geo("v", rows), ask("v", 585.0), mode="live", geodetic=True)[0]
    bad = [*rows, (333.0, 20.0, 30.0), (444.0, -50.0, 179.0)]
    for mode in ("live", "smoothed"):
        a = locate(geo("v", bad), ask("v", 585.0), mode=mode, geodetic=True)[0]
        assert (a.y, a.x) == pytest.approx((clean.y, clean.x), abs=3e-5)
    moved = rows[:30] + [(t, lat + 0.2, lon) for t, lat, lon in rows[30:]]
    a = locate(geo("v", moved), ask("v", 585.0), mode="live", geodetic=True)[0]
    assert a.y == pytest.approx(clean.y + 0.2, abs=1e-4)


@pytest.mark.parametrize("lat0, lon0", [(50.0, -1.0), (78.0, 15.0), (0.0, 179.9)])
def test_a_long_voyage_crosses_pieces(lat0, lon0):
    """900 km at 10 m/s along a meridian and then the parallel, asked between fixes 100 s apart."""
    rows, lat, lon = [], lat0, lon0
    for k in range(900):
        frame = LocalFrame(lat_deg=lat, lon_deg=lon)
        rows.append((100.0 * k, lat, lon))
        lat, lon = frame.geodetic(0.0, 1000.0) if k < 200 else frame.geodetic(1000.0, 0.0)
    asked = [12_340.0, 45_670.0, 88_850.0]
    for a, t in zip(locate(geo("v", rows), ask("v", *asked), mode="smoothed", geodetic=True), asked, strict=True):
        i = int(t // 100)
        frame = LocalFrame(lat_deg=rows[i][1], lon_deg=rows[i][2])
        along = (t - 100.0 * i) * 10.0
        e, n = frame.en(lat_deg=a.y, lon_deg=a.x)
        assert (e, n) == pytest.approx((0.0, along) if i < 200 else (along, 0.0), abs=20.0)


def test_a_stated_velocity_helps():
    rows = [(60.0 * k, 600.0 * k, 0.0) for k in range(4)]
    plain = locate(plane("a", rows[:2]), ask("a", 110.0), mode="live", geodetic=False)[0]
    with_v = [
        PastFix(track_id="a", time_ns=round(t * NS), x=x, y=y, sigma_m=5.0, ve_mps=10.0, vn_mps=0.0) for t, x, y in rows[:2]
    ]
    told = locate(with_v, ask("a", 110.0), mode="live", geodetic=False)[0]
    assert abs(told.e_m - 1100) < abs(plain.e_m - 1100) and told.p_ee < plain.p_ee


def test_transitions_are_a_chain():
    dt = np.array([0.0, 1.0, 30.0, 1e6])
    t = banks.transitions(dt, MODES)
    assert np.allclose(t.sum(axis=2), 1.0) and np.allclose(t[0], np.eye(len(MODES)))
    one = banks.transitions(np.array([12.0]), MODES)[0]
    assert np.allclose(banks.transitions(np.array([24.0]), MODES)[0], one @ one, atol=1e-12)


def test_p_stays_positive_definite_in_the_bank():
    rng = np.random.default_rng(1)
    bank = banks.new_bank(np.zeros((20, 2)), np.full(20, 25.0))
    for _ in range(300):
        dt = 10.0 ** rng.uniform(-2, 4, 20)
        bank = banks.propagated(banks.mixed(bank, dt, MODES), dt, MODES)
        bank, _ = banks.updated(bank, rng.normal(0, 50, (20, 2)), 10.0 ** rng.uniform(-0.5, 4, 20))
        assert np.linalg.eigvalsh(bank.p).min() > 0 and np.isfinite(bank.x).all()
    assert isinstance(bank, Bank)


def test_a_gap_gone_in_parts_is_the_same_gap():
    """One motion: eight parts are one. Many motions: a gap in parts knows that what was parked may have left and come back."""
    rng = np.random.default_rng(5)
    for mode in (Mode(0.5, 60.0, 1.0), Mode(0.01, 0.0, 1.0)):
        bank = banks.new_bank(rng.normal(0, 100, (5, 2)), np.full(5, 25.0), (mode,))
        bank.x[:, :, 1::2] = rng.normal(0, 8, (5, 1, 2))
        dt = np.array([0.0, 3.0, 47.0, 130.0, 4000.0])
        one, many = banks.ahead(bank, dt, (mode,)), banks.ahead(bank, dt, (mode,), parts=8)
        assert np.allclose(one.x, many.x, rtol=1e-9, atol=1e-9) and np.allclose(one.p, many.p, rtol=1e-9, atol=1e-9)
    still = banks.new_bank(np.zeros((1, 2)), np.array([25.0]))
    still.mu[:] = np.eye(len(MODES))[0]
    one, many = (banks.ahead(still, np.array([80.0]), MODES, parts=n) for n in (1, 8))
    assert many.p[0, 0, 0, 0] > one.p[0, 0, 0, 0] and np.allclose(one.mu, many.mu, atol=1e-9)


def test_the_interaction_keeps_mean_and_covariance_of_the_mixture():
    """Mixing only re-sorts what is believed: the moments of the whole stay, also 200 km from the frame's origin."""
    rng = np.random.default_rng(8)
    bank = banks.new_bank(np.array([[2e5, -2e5], [0.0, 0.0]]), np.array([25.0, 4.0]))
    bank.x += rng.normal(0, 30, bank.x.shape)
    # (but for the speed that what was parked goes off with)
    modes = tuple(msgspec.structs.replace(mode, kick=0.0) for mode in MODES)
    after = banks.mixed(bank, np.array([7.0, 70.0]), modes)

    def moments(b: Bank) -> tuple[np.ndarray, np.ndarray]:
        mean = np.einsum("bm,bmd->bd", b.mu, b.x)
        d = b.x - mean[:, None]
        return mean, np.einsum("bm,bmde->bde", b.mu, b.p + d[..., :, None] * d[..., None, :])

    for one, two in zip(moments(bank), moments(after), strict=True):
        assert np.allclose(one, two, rtol=1e-9, atol=1e-6)
    assert np.linalg.eigvalsh(after.p).min() > 0.0


def test_a_fix_that_is_in_the_file_twice_counts_once():
    """Two logs of one device put together: the same fix again says nothing new, in whatever order, velocity or not."""
    rows = walk(6, 30)
    fixes = plane("a", rows)
    full = [
        PastFix(track_id="a", time_ns=f.time_ns, x=f.x, y=f.y, sigma_m=5.0, ve_mps=8.0, vn_mps=3.0) if k % 3 == 0 else f
        for k, f in enumerate(fixes)
    ]
    bare = [PastFix(track_id="a", time_ns=f.time_ns, x=f.x, y=f.y) for f in fixes]
    questions = ask("a", 42.0, 101.0, 144.0)
    for mode in ("live", "smoothed"):
        want = locate(full, questions, mode=mode, geodetic=False)
        assert locate(full + full, questions, mode=mode, geodetic=False) == want
        both = bare + full + fixes
        random.Random(3).shuffle(both)
        assert locate(both, questions, mode=mode, geodetic=False) == want


@pytest.mark.parametrize("every_s", [60, 300, 900])
@pytest.mark.parametrize("kind", ["parked", "van", "straight"])
def test_what_reports_seldom_has_an_honest_ellipse(kind, every_s):
    """An auditor's: errors just as stated, each 5 min and more; fixes were believed to be three times as good (inside .23)."""
    inside = []
    for seed in range(4):
        rng, t = np.random.default_rng(100 * seed + every_s), np.arange(100) * every_s
        speed = {"parked": 0.0, "van": 8.0, "straight": 20.0}[kind]
        turns = np.cumsum(rng.normal(0.0, 0.8, len(t))) if kind == "van" else np.full(len(t), 0.7)
        steps = speed * every_s * np.column_stack((np.sin(turns), np.cos(turns))) * (rng.random((len(t), 1)) < 0.8)
        way = np.cumsum(steps if kind == "van" else speed * every_s * np.column_stack((np.sin(turns), np.cos(turns))), axis=0)
        seen = way + rng.normal(0.0, 5.0, way.shape)
        fixes = [PastFix(track_id="1", time_ns=int(s) * NS, x=float(e), y=float(n), sigma_m=5.0, klass="van")
                 for s, (e, n) in zip(t, seen, strict=True)]  # fmt: skip
        asked = [Question(track_id="1", time_ns=f.time_ns) for f in fixes]
        for one, there in zip(locate(fixes, asked, mode="smoothed", geodetic=False), way, strict=True):
            d, p = there - (one.e_m, one.n_m), np.array([[one.p_ee, one.p_en], [one.p_en, one.p_nn]])
            inside.append(d @ np.linalg.solve(p, d) <= 5.991)
    assert np.mean(inside) > 0.88


def errands(seed: int, n: int = 48, dt: int = 5) -> list[tuple[float, float, float]]:
    """A courier on foot, a fix each dt s: to a door, back to the van, to the next door, and stands a while at each end."""
    rng = random.Random(seed)
    at = [(0.0, 0.0)] * rng.randint(1, 30)
    while len(at) < n * dt:
        course, speed, seconds = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(1.0, 1.6), rng.randint(10, 30)
        out = [(speed * k * math.sin(course), speed * k * math.cos(course)) for k in range(seconds)]
        at += out + [out[-1]] * rng.randint(3, 20) + out[::-1] + [out[0]] * rng.randint(3, 20)
    return [(float(k), e + rng.gauss(0, 1), n_ + rng.gauss(0, 1)) for k, (e, n_) in list(enumerate(at))[: n * dt : dt]]


def test_who_goes_to_and_fro_on_foot_is_not_carried_on_as_by_a_walk_that_goes_on():
    live, hold, inside = [], [], []
    for seed in range(120):
        rows = errands(seed)
        known, hidden = rows[:36], rows[36:]
        answers = locate(plane("c", known, 1.0), ask("c", *(t for t, _, _ in hidden)), mode="live", geodetic=False)
        for answer, (_, e, n) in zip(answers, hidden, strict=True):
            assert answer is not None
            off = np.array((e - answer.e_m, n - answer.n_m))
            s = np.array(((answer.p_ee, answer.p_en), (answer.p_en, answer.p_nn))) + np.eye(2)
            live.append(math.hypot(*off))
            hold.append(math.hypot(e - known[-1][1], n - known[-1][2]))
            inside.append(off @ np.linalg.inv(s) @ off <= 5.991)
    ratios = np.percentile(live, (50, 95)) / np.percentile(hold, (50, 95))
    assert ratios[0] <= 1.1 and ratios[1] <= 1.45, ratios
    assert np.mean(inside) >= 0.95


@pytest.mark.parametrize(("every_s", "speed"), [(60, 250.0), (300, 20.0), (900, 20.0), (1800, 8.0)])
def test_a_long_way_is_smoothed_across_the_cuts_of_its_pieces(every_s, speed):
    """An auditor's: each 200 km a point was up to 35 km from its own fix: that piece had neither that fix nor one after it."""
    rng, home, fixes = np.random.default_rng(every_s), LocalFrame(lat_deg=50.0, lon_deg=8.0), []
    for k in range(round(900_000 / (speed * every_s))):
        lat, lon = home.geodetic(speed * every_s * k * 0.6 + rng.normal(0, 5), speed * every_s * k * 0.8 + rng.normal(0, 5))
        fixes.append(PastFix(track_id="1", time_ns=k * every_s * NS, x=lon, y=lat, sigma_m=5.0, klass="van"))
    times_ns = [f.time_ns + dt for f in fixes[3:-3] for dt in (0, every_s * NS // 2)]
    asked = [Question(track_id="1", time_ns=time_ns) for time_ns in times_ns]
    off = []
    for q, one in zip(asked, locate(fixes, asked, mode="smoothed", geodetic=True), strict=True):
        k = q.time_ns / NS / every_s
        e, n = home.en(lat_deg=one.y, lon_deg=one.x)
        off.append(math.hypot(e - speed * every_s * k * 0.6, n - speed * every_s * k * 0.8))
    assert max(off[::2]) < 60.0, "at its fixes"
    assert max(off[1::2]) < 60.0 + 0.05 * speed * every_s, "between them"
