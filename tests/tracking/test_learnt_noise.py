"""What the live filter learns of a device that does not say how good its fixes are: right, bounded, in order of time."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.geo import LocalFrame
from birddog.units import NS
from tracking import kernel
from tracking.engine import positive
from tracking.kernel import NOISE_LEAST, NOISE_MOST, rested
from tracking.learnt import NOISE_DEVICES
from tracking.measurement import Measurement
from tracking.presets import Presets
from tracking.step import Core, Model, advance, lasting, placed
from tracking.track_state import LiveTrack, TrackState

FRAME = LocalFrame(lat_deg=51.9, lon_deg=4.1)


def model(klass: str) -> Model:
    presets = Presets()
    return Model(preset=presets.of(klass), presets=presets)


def voyage(seed: int, klass: str, sigma_m: float, sigma_v: float | None, n: int = 150, dt_s: float = 6.0, stated: bool = False):
    """[(measurement, truth)]: straight on at 7 m/s with a slow bend, as a receiver of these sigmas has it."""
    rng, preset, out = random.Random(seed), model(klass).preset, []
    for k in range(n):
        a = 0.002 * k * dt_s
        ve, vn = 7.0 * math.cos(a), 7.0 * math.sin(a)
        truth = (7.0 / 0.002 * math.sin(a), 7.0 / 0.002 * (1.0 - math.cos(a)))
        lat, lon = FRAME.geodetic(truth[0] + rng.gauss(0, sigma_m), truth[1] + rng.gauss(0, sigma_m))
        r = (sigma_m if stated else preset.sigma_m) ** 2
        v = (None, None) if sigma_v is None else (ve + rng.gauss(0, sigma_v), vn + rng.gauss(0, sigma_v))
        m = Measurement(round(k * dt_s * NS), "d", "fix", lat, lon, r, 0.0, r, *v, preset.velocity_sigma_mps**2, stated)
        out.append((m, truth))
    return out


def followed(rows, klass: str) -> tuple[Core, list[float]]:
    """The last filter, and the normalised squared error after each measurement."""
    core, out = None, []
    for m, truth in rows:
        core, _, _ = advance(core, m, model(klass))
        e0, n0 = FRAME.en(lat_deg=core.lat0_deg, lon_deg=core.lon0_deg)
        d = np.array([core.x[0] + e0 - truth[0], core.x[2] + n0 - truth[1]])
        out.append(float(d @ np.linalg.solve(np.array([[core.x[4], core.x[6]], [core.x[6], core.x[11]]]), d)))
    return core, out


@pytest.mark.parametrize(("klass", "sigma_m"), [("vessel", 4.0), ("lorry", 3.5), ("van", 16.0)])
def test_the_ellipse_becomes_that_of_the_device_not_of_the_class(klass, sigma_m):
    """Seen in the exercise: AIS and Teltonika state no sigma, the class's is twice theirs, NEES 0.6 where 2 is right."""
    found, learnt = [], []
    for seed in range(6):
        core, nees = followed(voyage(seed, klass, sigma_m, 0.15), klass)
        found += nees[40:]
        learnt.append(math.sqrt(core.noise[0].r))
    assert 1.2 <= np.mean(found) <= 3.0
    assert 0.9 <= np.mean([x <= 5.991 for x in found]) <= 0.995
    assert np.mean(learnt) == pytest.approx(sigma_m, rel=0.2)


def test_a_stated_sigma_is_taken_at_its_word():
    stated, _ = followed(voyage(1, "vessel", 4.0, None, stated=True), "vessel")
    wrong = [(Measurement(m.time_ns, "d", "fix", m.lat_deg, m.lon_deg, 400.0, 0.0, 400.0, stated=True), t)
             for m, t in voyage(1, "vessel", 4.0, None)]  # fmt: skip
    wide, _ = followed(wrong, "vessel")
    assert wide.x[4] > 2.0 * stated.x[4]


def test_sentences_without_a_sigma_have_that_of_the_ones_with_it():
    """RMC comes before the GGA of its second: what is given out then must not be the class's ellipse."""
    rows = voyage(3, "vessel", 3.0, 0.15, stated=True)
    core, _ = followed(rows[:-1], "vessel")
    last = rows[-1][0]
    r = model("vessel").preset.sigma_m ** 2
    rmc = Measurement(last.time_ns, "d", "fix", last.lat_deg, last.lon_deg, r, 0.0, r, stated=False)
    after, verdict, _ = advance(core, rmc, model("vessel"))
    assert verdict == "used" and after.x[4] < 3.0**2


def test_late_fixes_teach_the_same_as_fixes_in_time():
    rows = [m for m, _ in voyage(5, "van", 3.0, 0.3, n=50)]
    late = list(rows)
    random.Random(2).shuffle(late)
    cores = []
    for some in (rows, late):
        live = LiveTrack(TrackState(track_id="T1", operation="open", key="d:d"))
        for m in some:
            live.insert(m, model("van"))
        cores.append(live.core(model("van")))
    assert cores[0] == cores[1] and cores[0].noise


def test_one_wild_velocity_or_fix_does_not_undo_what_was_learnt():
    rows = voyage(7, "vessel", 4.0, 0.15)
    core, _ = followed(rows[:-1], "vessel")
    last = rows[-1][0]
    r = model("vessel").preset.sigma_m ** 2
    wild = Measurement(last.time_ns, "d", "fix", last.lat_deg, last.lon_deg, r, 0.0, r, 300.0, -300.0, 0.09)
    after, _, _ = advance(core, wild, model("vessel"))
    assert after.noise[0].r_v < 1.5 * core.noise[0].r_v and after.noise[0].r < 1.6 * core.noise[0].r
    far = Measurement(last.time_ns + 6 * NS, "d", "fix", last.lat_deg + 0.5, last.lon_deg, r, 0.0, r)
    again, verdict, _ = advance(after, far, model("vessel"))
    assert verdict == "refused" and again.noise == after.noise


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([f"d{k}" for k in range(12)]), st.floats(0.0, 4000.0),
            st.floats(-2000, 2000), st.floats(-2000, 2000),
            st.one_of(st.none(), st.tuples(st.floats(-100, 100), st.floats(-100, 100))), st.booleans(),
        ),
        min_size=2, max_size=60,
    ),
    st.sampled_from(["walker", "van", "vessel", "aircraft", ""]),
)  # fmt: skip
def test_whatever_comes_the_filter_stays_a_filter(rows, klass):
    this, core, t = model(klass), None, 0.0
    base = this.preset.sigma_m**2
    for device, dt, e, n, v, stated in rows:
        t += dt
        lat, lon = FRAME.geodetic(e, n)
        r = 25.0 if stated else base
        ve, vn = v or (None, None)
        m = Measurement(round(t * NS), device, "fix", lat, lon, r, 0.0, r, ve, vn, this.preset.velocity_sigma_mps**2, stated)
        core, _, nis = advance(core, m, this)
        assert positive(core.x) and nis >= 0.0
        assert len(core.noise) <= NOISE_DEVICES and len({x.device for x in core.noise}) == len(core.noise)
        for x in core.noise:
            assert NOISE_LEAST**2 * base <= x.r <= NOISE_MOST**2 * base and math.isfinite(x.r_v) and x.r_v > 0.0


@pytest.mark.parametrize("widest,near,far", [(1.0, 29.0, 31.0), (100.0, 29.0, 31.0), (400.0, 59.0, 61.0), (1e4, 299.0, 301.0)])
def test_it_has_left_its_spot_beyond_thirty_metres_or_three_sigmas(widest, near, far):
    """``rested``: nearer it stays, and where it stays is the mean of what was seen there; further it stays somewhere else."""
    for angle in (0.0, 1.0, 2.5, 4.0):
        e, n = math.cos(angle), math.sin(angle)
        stood = rested(near * e, near * n, widest, 10.0, 0.0, 0.0, 0.0, 0.0, 600.0)
        left, spot_e, spot_n, stay_e, stay_n, stay_s, away2 = stood
        assert (left, spot_e, spot_n) == (False, 0.0, 0.0) and stay_s == 610.0
        assert 0.0 < math.hypot(stay_e, stay_n) < 0.02 * near and away2 == pytest.approx(near * near / 2.0)
        moved = rested(far * e, far * n, widest, 10.0, 0.0, 0.0, 0.0, 0.0, 600.0)
        assert moved == (True, far * e, far * n, far * e, far * n, 0.0, 0.0)


@pytest.mark.parametrize(("says", "least"), [(1.0, 0.93), (0.7, 0.86)])
def test_a_receiver_that_calls_itself_better_than_it_is_is_found_out(says, least):
    """A phone whose 68 % radius is too small by three tenths: its ellipse held 0.78 of what it should."""
    held = []
    for seed in range(6):
        rows = voyage(seed, "van", 5.0, None, n=200, dt_s=20.0, stated=True)
        rows = [(msgspec.structs.replace(m, r_ee=says**2 * m.r_ee, r_nn=says**2 * m.r_nn), truth) for m, truth in rows]
        held += [nis < 5.991 for nis in followed(rows, "van")[1][40:]]
    assert least < sum(held) / len(held)


def test_who_is_modest_is_believed_and_who_boasts_is_believed_in_part():
    assert kernel.boasts(30.0, 16.0, 25.0, 25.0, 1.0) == 1.0
    assert kernel.boasts(30.0, 30.0, 20.0, 20.0, 1.0) == pytest.approx(1.425)
    assert kernel.boasts(30.0, 30.0, 20.0, 20.0, 0.0) == pytest.approx(1.65), "what no floor holds is believed to be more"
    assert kernel.boasts(30.0, 9000.0, 20.0, 20.0, 1.0) == kernel.BOASTS_MOST
    assert kernel.boasts(kernel.BOASTS_COUNT - 1.0, 9000.0, 20.0, 20.0, 1.0) == 1.0, "so few fixes say nothing of it"


def drive(seed: int, dt_s: float, lasts_s: float, speed_mps: float, n: int = 260, sigma_m: float = 5.0):
    """[(measurement, truth)] on a straight road, of a receiver that states its sigma: a fifth of it white, the rest lasting for
    so long; 0: all of it white."""
    rng, out = random.Random(seed), []
    slow = 0.0 if lasts_s == 0.0 else math.sqrt(0.96) * sigma_m
    white, keep = math.sqrt(sigma_m**2 - slow**2), math.exp(-dt_s / lasts_s) if lasts_s else 0.0
    e, n_ = rng.gauss(0, slow), rng.gauss(0, slow)
    for k in range(n):
        truth = (speed_mps * k * dt_s, 0.0)
        lat, lon = FRAME.geodetic(truth[0] + e + rng.gauss(0, white), truth[1] + n_ + rng.gauss(0, white))
        r = sigma_m**2
        out.append((Measurement(round(k * dt_s * NS), "d", "fix", lat, lon, r, 0.0, r, stated=True), truth))
        step = slow * math.sqrt(1.0 - keep * keep)
        e, n_ = keep * e + rng.gauss(0, step), keep * n_ + rng.gauss(0, step)
    return out


def shown(rows, klass: str) -> list[float]:
    """The normalised squared error of what is shown at each measurement."""
    core, out = None, []
    for m, truth in rows:
        core, _, _ = advance(core, m, model(klass))
        x = lasting(core, core.x)
        at = FRAME.en(**dict(zip(("lat_deg", "lon_deg"), placed(core, core.x)[:2], strict=True)))
        d = np.array([at[0] - truth[0], at[1] - truth[1]])
        out.append(float(d @ np.linalg.solve(np.array([[x[4], x[6]], [x[6], x[11]]]), d)))
    return out


@pytest.mark.parametrize("dt_s", [3.0, 10.0, 30.0])
def test_errors_that_do_not_last_have_no_floor(dt_s):
    """With a floor of one sigma the ellipse held all of them, each time (NEES 0.6 to 0.9 where 2 is right)."""
    found = [nees for seed in range(8) for nees in shown(drive(seed, dt_s, 0.0, 20.0), "van")[80:]]
    assert 0.92 <= np.mean([nees <= 5.991 for nees in found]) <= 0.989 and 1.15 <= np.mean(found) <= 2.4


@pytest.mark.parametrize("speed_mps", [0.0, 20.0])
@pytest.mark.parametrize("dt_s", [3.0, 10.0])
def test_errors_that_last_keep_their_floor(dt_s, speed_mps):
    """However many fixes agree: of what goes the residuals are small, of what stands they are like the ones before."""
    lasts_s = 240.0
    found = [x for seed in range(12) for x in shown(drive(seed, dt_s, lasts_s, speed_mps), "van")[80:]]
    core = followed(drive(1, dt_s, lasts_s, speed_mps), "van")[0]
    assert core.lasting >= 0.99 * kernel.DOUBT * 25.0, "somewhat more than it states: it may be off by more"
    assert np.mean([nees <= 5.991 for nees in found]) >= 0.96


@pytest.mark.parametrize(
    ("says", "lasts_s", "least"), [(0.5, 300.0, 0.86), (0.35, 300.0, 0.86), (0.35, 0.0, 0.86), (1.0, 300.0, 0.95)]
)
def test_a_receiver_whose_errors_last_is_found_out_where_it_stands(says, lasts_s, least):
    """It states 5 m and is 10 or 14: its fixes agree with each other, and only where it stays is seen how far they wander."""
    rows = [
        (msgspec.structs.replace(m, r_ee=says**2 * m.r_ee, r_nn=says**2 * m.r_nn), truth)
        for seed in range(5) for m, truth in drive(seed, 30.0, lasts_s, 0.0, n=300)
    ]  # fmt: skip
    held = [nees <= 5.991 for seed in range(5) for nees in shown(rows[300 * seed : 300 * seed + 300], "van")[80:]]
    assert np.mean(held) >= least


def test_what_is_seen_of_lasting_errors_counts_against_what_is_stated():
    doubted = kernel.DOUBT * 25.0
    assert kernel.unsaid(0.0, 0.0, 25.0, 25.0, 1.0) == doubted, "nothing was seen"
    assert kernel.unsaid(0.0, 0.0, 100.0, 25.0, 1.0) == 100.0, "what is believed to be worse is not doubted as well"
    assert kernel.unsaid(2.0, 100.0, 25.0, 25.0, 1.0) == (doubted + 100.0) / 2.0
    assert kernel.unsaid(10.0, 1.0, 25.0, 25.0, 1.0) == doubted, "of fixes that agree nobody knows how far they are all off"
    assert kernel.unsaid(30.0, 100.0, 25.0, 25.0, 0.05) > 90.0, "what was seen to last does, whatever else is white"
    assert kernel.unsaid(10.0, 1e6, 25.0, 25.0, 1.0) == kernel.BOASTS_MOST * 25.0


@pytest.mark.parametrize(("says", "lasts_s"), [(1.0, 240.0), (0.66, 240.0), (0.8, 600.0), (0.66, 0.0)])
@pytest.mark.parametrize("dt_s", [5.0, 60.0])
def test_phones_that_are_off_by_more_than_they_say_are_in_their_ellipse_on_the_move(dt_s, says, lasts_s):
    """A circle that holds 68 % of nothing in particular: on the move no residual tells of it (0.82 before)."""
    held = []
    for seed in range(10):
        rows = [(msgspec.structs.replace(m, r_ee=says**2 * m.r_ee, r_nn=says**2 * m.r_nn), truth)
                for m, truth in drive(seed, dt_s, lasts_s, 20.0, n=120)]  # fmt: skip
        held += [nees <= 5.991 for nees in shown(rows, "van")[20:]]
    assert 0.86 <= np.mean(held)


def test_half_an_hour_of_standing_tells_of_errors_that_last_on_the_way():
    """It states 2.5 m of 5: seen where it stood, it holds on the move (0.86 before)."""
    held = []
    for seed in range(10):
        rows = drive(seed, 10.0, 300.0, 0.0, n=360)
        rows = [(msgspec.structs.replace(m, r_ee=m.r_ee / 4.0, r_nn=m.r_nn / 4.0), truth) for m, truth in rows]
        moves = [max(0.0, 20.0 * 10.0 * (k - 180)) for k in range(360)]
        gone = []
        for (m, truth), e in zip(rows, moves, strict=True):
            at = FRAME.en(lat_deg=m.lat_deg, lon_deg=m.lon_deg)
            lat, lon = FRAME.geodetic(at[0] + e, at[1])
            gone.append((msgspec.structs.replace(m, lat_deg=lat, lon_deg=lon), (truth[0] + e, truth[1])))
        held += [nees <= 5.991 for nees in shown(gone, "van")[190:]]
    assert np.mean(held) >= 0.9


def test_whether_errors_last_is_learnt_of_one_receiver_that_states_its_sigma():
    rows = [m for m, _ in drive(3, 10.0, 0.0, 20.0)]
    core, _ = followed(zip(rows, [(0.0, 0.0)] * len(rows), strict=True), "van")
    assert core.lasting < 0.75 * 25.0
    last = rows[-1]
    for other in (msgspec.structs.replace(last, time_ns=last.time_ns + 10 * NS, device="other"),
                  msgspec.structs.replace(last, time_ns=last.time_ns + 10 * NS, stated=False)):  # fmt: skip
        after, verdict, _ = advance(core, other, model("van"))
        assert verdict == "used" and after.white[:2] == (0.0, 0.0) and after.lasting == after.bias
    seldom, _ = followed(drive(3, 200.0, 0.0, 0.0), "van")
    assert seldom.white[:2] == (0.0, 0.0), "what lies minutes apart says nothing of minutes"


def test_what_is_learnt_of_lasting_errors_is_bounded():
    assert kernel.lasting_share(0.0, 0.0) == kernel.lasting_share(30.0, 100.0) == 1.0
    assert kernel.lasting_share(63.0, 100.0) == kernel.WHITE_FLOOR
    white, white_n = 0.0, 0.0
    for _ in range(2000):
        white, white_n = kernel.whiter(white, white_n, 1e6, 0.0, -1e6, 0.0, 0.2, 25.0)
    assert white == pytest.approx(white_n) and white_n == pytest.approx(kernel.WHITE_MEMORY)
    assert kernel.whiter(3.0, 5.0, 1.0, 1.0, 2.0, 2.0, 0.99, 25.0) == (3.0, 5.0), "a fix with all the weight says nothing"


@pytest.mark.parametrize(("radius", "every"), [(60.0, 1), (90.0, 1), (90.0, 2)])
def test_a_turn_is_not_read_as_the_noise_of_the_receiver(radius, every):
    """A launch of 23 m/s that turns at .6 to .9 g and states no speed: residuals that turned slowly were believed to be noise,
    sigma 9.9 for 3.3, so that the filter lagged, and so on: 12 to 30 m off fixes of 3 m that are a second or two old."""
    vessel, rng, core, off = model("vessel"), random.Random(3), None, []
    e = n = heading = 0.0
    for t in range(400):
        speed = 0.0 if t < 60 else min(23.0, 0.8 * (t - 60))
        if t % every == 0:
            lat, lon = FRAME.geodetic(e + rng.gauss(0.0, 3.0), n + rng.gauss(0.0, 3.0))
            m = Measurement(10**18 + t * NS, "a", "fix", lat, lon, 10.9, 0.0, 10.9, stated=True)
            core = advance(core, m, vessel)[0]
            lat, lon, _ = placed(core, core.x)
            at = FRAME.en(lat_deg=lat, lon_deg=lon)
            off.append(math.hypot(at[0] - e, at[1] - n))
        for _ in range(10):
            heading += speed / radius / 10.0 if t > 90 else 0.0
            e, n = e + speed * math.sin(heading) / 10.0, n + speed * math.cos(heading) / 10.0
    assert math.sqrt(core.noise[0].r) < 7.0
    assert sorted(off[200 // every :])[100 // every] < (7.0 if every == 1 else 12.0)
