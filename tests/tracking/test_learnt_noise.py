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
from tracking.step import Core, Model, advance
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
    assert kernel.boasts(30.0, 16.0, 25.0, 25.0) == 1.0 and kernel.boasts(30.0, 30.0, 20.0, 20.0) == pytest.approx(1.425)
    assert kernel.boasts(30.0, 9000.0, 20.0, 20.0) == kernel.BOASTS_MOST
    assert kernel.boasts(kernel.BOASTS_COUNT - 1.0, 9000.0, 20.0, 20.0) == 1.0, "so few fixes say nothing of it"
