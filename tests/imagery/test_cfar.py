"""The rate of false alarms asked for is the one measured; a pixel's score does not depend on its window."""

from __future__ import annotations

import numpy as np
import pytest

from imagery import tail
from imagery.detector import Sample
from imagery.detectors import cfar

EVERYTHING = (slice(None), slice(None))


def clutter(seed: int, kind: str, shape=(1100, 1300)) -> np.ndarray:
    """Amplitude: gamma of one or four looks, or K (gamma texture of order 4 times four looks)."""
    rng = np.random.default_rng(seed)
    looks = 1.0 if kind == "L1" else 4.0
    i = rng.gamma(looks, 1.0 / looks, shape)
    if kind == "K":
        i = i * rng.gamma(4.0, 0.25, shape)
    return np.sqrt(i).astype(np.float32)


def with_targets(a: np.ndarray, seed: int) -> np.ndarray:
    """Blocks of 5 x 5 bright pixels, about 1 % of all; returns which they are."""
    rng, hot = np.random.default_rng(seed), np.zeros(a.shape, bool)
    for r in range(24, a.shape[0] - 24, 50):
        for c in range(24, a.shape[1] - 24, 50):
            y, x = r + int(rng.integers(-15, 16)), c + int(rng.integers(-15, 16))
            hot[y : y + 5, x : x + 5] = True
    a[hot] = np.sqrt(rng.uniform(30.0, 90.0, int(hot.sum())))
    return hot


@pytest.mark.parametrize("kind", ["L1", "L4", "K"])
@pytest.mark.parametrize("targets", [False, True])
def test_the_rate_measured_is_the_rate_asked(kind, targets):
    """1.43 Mpx: 143 are expected at 1e-4, so the bounds lie three of their sigmas away from the fit's own 10 %."""
    a = clutter(hash_of(kind, targets), kind)
    hot = with_targets(a, 5) if targets else np.zeros(a.shape, bool)
    near = hot.copy()
    for _ in range(4):
        near[1:-1] |= near[:-2] | near[2:]
        near[:, 1:-1] |= near[:, :-2] | near[:, 2:]
    for pfa, low, high in ((1e-3, 0.9, 1.1), (1e-4, 0.7, 1.35)):
        model = cfar.fit([Sample(a, None, EVERYTHING)], pfa, 0.0)
        over = cfar.respond(a, None, model).over
        assert low * pfa < over[~near].mean() < high * pfa
        if targets:
            assert over[hot].mean() > 0.98


def hash_of(kind: str, targets: bool) -> int:
    return {"L1": 10, "L4": 20, "K": 30}[kind] + targets


def test_the_textbook_gaussian_would_be_far_off():
    a = clutter(3, "K")
    z = cfar.z_image(a, None, cfar.local(a, None))
    assert (z > 3.719).mean() > 20 * 1e-4, "so that the test above shows something"


def test_any_scale_and_offset_of_the_data_gives_the_same_answer():
    a = clutter(4, "L4", (512, 640))
    with_targets(a, 6)
    first = cfar.respond(a, None, cfar.fit([Sample(a, None, EVERYTHING)], 1e-4, 0.0)).over
    b = (a * np.float32(2.0**10)).astype(np.float32)
    assert (cfar.respond(b, None, cfar.fit([Sample(b, None, EVERYTHING)], 1e-4, 0.0)).over == first).all()
    db = (a * 4.0 - 40.0).astype(np.float32)
    other = cfar.respond(db, None, cfar.fit([Sample(db, None, EVERYTHING)], 1e-4, 0.0)).over
    assert (other != first).mean() < 1e-5


def test_a_window_with_its_halo_gives_every_pixel_the_same_score_to_the_last_bit():
    a = clutter(7, "K", (900, 1100))
    with_targets(a, 8)
    valid = np.ones(a.shape, bool)
    valid[300:420, 500:] = False
    a[~valid] = 0.0
    whole = cfar.z_image(a, valid, cfar.local(a, valid))
    for r0, c0, r1, c1 in ((256, 320, 512, 704), (0, 0, 192, 192), (704, 896, 900, 1100), (64, 0, 900, 1100)):
        top, left = max(r0 - cfar.HALO_PX, 0), max(c0 - cfar.HALO_PX, 0)
        bottom, right = min(r1 + cfar.HALO_PX, 900), min(c1 + cfar.HALO_PX, 1100)
        part, mask = a[top:bottom, left:right].copy(), valid[top:bottom, left:right].copy()
        got = cfar.z_image(part, mask, cfar.local(part, mask))
        trim = cfar.HALO_PX - cfar.BLIND_PX
        ys = slice(max(r0 - trim, 0), min(r1 + trim, 900) if bottom < 900 else 900)
        xs = slice(max(c0 - trim, 0), min(c1 + trim, 1100) if right < 1100 else 1100)
        inside = got[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]
        assert np.array_equal(inside, whole[ys, xs], equal_nan=True)


def test_a_halo_too_small_would_show():
    a = clutter(9, "L4", (512, 512))
    whole = cfar.z_image(a, None, cfar.local(a, None))
    part = a[192:384, 192:384]
    inside = cfar.z_image(part, None, cfar.local(part, None))
    assert not np.array_equal(inside, whole[192:384, 192:384])


def test_pixels_and_the_whole_picture_have_the_same_scores():
    a = clutter(10, "L1", (130, 200))
    about = cfar.local(a, None)
    z = cfar.z_image(a, None, about)
    row, col = np.array([0, 64, 129]), np.array([0, 77, 199])
    assert (cfar.z_at(a, about, row, col) == z[row, col]).all()
    assert ((z > 3.0) == cfar.exceedances(a, None, about, 3.0)).mean() > 0.9999


def test_where_nothing_can_be_known_nothing_is_judged():
    a = clutter(11, "L4", (300, 300))
    valid = np.zeros(a.shape, bool)
    valid[140:150, 140:150] = True
    valid[:, :60] = True
    model = cfar.fit([Sample(clutter(12, "L4", (300, 300)), None, EVERYTHING)], 1e-4, 0.0)
    response = cfar.respond(np.where(valid, a, np.float32(0.0)), valid, model)
    assert response.judged is not None
    assert not response.judged[140:150, 140:150].any(), "too little ring"
    assert response.judged[100:200, :60].all()
    assert not response.over[~response.judged].any() and np.isnan(response.image()[~response.judged]).all()
    flat = np.full((200, 200), 7.0, np.float32)
    assert cfar.respond(flat, None, model).over.sum() == 0, "no spread, no answer"


def test_no_false_alarms_along_the_edge_of_what_is_not_valid():
    a = clutter(13, "L4", (1000, 1000))
    valid = np.ones(a.shape, bool)
    valid[:, 400:600] = False
    rows = np.arange(1000)
    for c in range(120):
        valid[rows[(rows + c) % 1000 < 60], c] = False
    a[~valid] = -9999.0
    model = cfar.fit([Sample(np.where(valid, a, np.float32(0.0)), valid, EVERYTHING)], 1e-4, 0.0)
    over = cfar.respond(np.where(valid, a, np.float32(0.0)), valid, model).over
    edge = np.zeros(a.shape, bool)
    edge[:, 360:400] = edge[:, 600:640] = True
    assert over[edge & valid].sum() <= 25, "8 are expected in 80,000 px"


def test_a_long_ship_hides_neither_itself_nor_its_neighbour():
    a = clutter(14, "L4", (512, 512))
    a[200:215, 60:460] = 6.0
    a[232:238, 250:262] = 4.0
    response = cfar.respond(a, None, cfar.fit([Sample(a, None, EVERYTHING)], 1e-5, 0.0))
    assert response.over[200:215, 60:460].mean() > 0.95
    assert response.over[232:238, 250:262].mean() > 0.9


def test_whole_number_pictures_of_a_black_sea_do_not_burst_into_alarms():
    rng = np.random.default_rng(15)
    a = rng.poisson(0.3, (512, 512)).astype(np.float32)
    a[100:110, 100:130] = 200.0
    response = cfar.respond(a, None, cfar.fit([Sample(a, None, EVERYTHING)], 1e-5, 1.0))
    assert response.over[100:110, 100:130].all()
    assert response.over.sum() < 300 + 60


def test_too_few_pixels_are_said_to_be_too_few():
    with pytest.raises(ValueError, match="1,000"):
        cfar.fit([Sample(clutter(1, "L1", (20, 20)), None, EVERYTHING)], 1e-4, 0.0)


# --- the tail -------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw, survive", [
    (lambda g, n: g.exponential(1.0, n), lambda p: -np.log(p)),
    (lambda g, n: g.pareto(5.0, n), lambda p: p ** (-1.0 / 5.0) - 1.0),
    (lambda g, n: g.uniform(0.0, 1.0, n), lambda p: 1.0 - p),
])
@pytest.mark.parametrize("contaminated", [0.0, 0.01])
def test_the_tail_of_known_distributions(draw, survive, contaminated):
    rng = np.random.default_rng(21)
    z = draw(rng, 1_000_000)
    far = survive(1e-7)
    k = int(contaminated * z.size)
    z[:k] = rng.uniform(2.0 * far, 3.0 * far, k)
    found = tail.fit(z.astype(np.float32), 1e-4)
    for p, within in ((1e-3, 0.02), (1e-4, 0.04), (1e-5, 0.12)):
        assert found.threshold(p) == pytest.approx(survive(p), rel=within)


def test_thresholds_rise_as_the_rate_falls():
    found = tail.fit(np.random.default_rng(22).gamma(4.0, 0.25, 200_000), 1e-4)
    levels = [found.threshold(p) for p in (1e-2, 1e-3, 1e-4, 1e-6, 1e-9)]
    assert levels == sorted(levels) and levels[0] < levels[-1]


# --- clipped data ---------------------------------------------------------------------------------


def chip(seed: int, *, spikes: int, gain: float = 14.0) -> np.ndarray:
    """A 256 px picture of 8 bits, as ship chips are: sea with single bright pixels (sidelobes), three ships, all clipped."""
    rng = np.random.default_rng(seed)
    a = clutter(seed, "L4", (256, 256)) * gain
    at = rng.integers(0, 256, (2, spikes))
    a[at[0], at[1]] += rng.pareto(1.5, spikes) * 25.0
    for r, c in ((60, 50), (130, 150), (200, 90)):
        a[r : r + 8, c : c + 24] = rng.uniform(150.0, 600.0, (8, 24))
    return np.clip(np.rint(a), 0, 255).astype(np.float32)


def test_a_threshold_above_the_scale_of_the_picture_hides_no_ship():
    """The tail says that 1e-6 lies beyond 255, which no pixel can reach; a clipped pixel is asked what the sample shows."""
    a = chip(41, spikes=900)
    model = cfar.fit([Sample(a, None, EVERYTHING)], 1e-7, 1.0)
    z = cfar.z_image(a, None, cfar.local(a, None, quantum=1.0))
    assert model.threshold > z.max(), "so that the test shows something"
    assert model.top == 255.0 and model.top_threshold < model.threshold
    response = cfar.respond(a, None, model)
    for r, c in ((60, 50), (130, 150), (200, 90)):
        assert response.over[r : r + 8, c : c + 24].mean() > 0.5 and response.grown[r : r + 8, c : c + 24].mean() > 0.7
    assert not (response.over & (a < 255.0)).any() and not (response.over & ~response.grown).any()


def test_a_clipped_sea_does_not_burst_into_alarms():
    """2 in 10,000 pixels of the sea itself are clipped: they are as frequent as they are and stand out by no more."""
    a = np.minimum(np.rint(clutter(42, "L4", (900, 900)) * 138.0), 255.0).astype(np.float32)
    assert 1e-4 < (a == 255.0).mean() < 1e-3
    over = cfar.respond(a, None, cfar.fit([Sample(a, None, EVERYTHING)], 1e-6, 1.0)).over
    assert over.mean() < 20.0 / a.size


@pytest.mark.parametrize("kind", ["float", "whole", "few"])
def test_data_that_are_not_clipped_have_no_top(kind):
    a = clutter(43, "K", (300, 300))
    a = {"float": a, "whole": np.rint(a * 30.0), "few": np.minimum(a, np.sort(a.ravel())[-5])}[kind].astype(np.float32)
    assert cfar.fit([Sample(a, None, EVERYTHING)], 1e-4, 0.0 if kind == "float" else 1.0).top is None
    b = np.minimum(a, np.float32(np.quantile(a, 0.998)))
    assert cfar.fit([Sample(b, None, EVERYTHING)], 1e-4, 0.0 if kind == "float" else 1.0).top == pytest.approx(float(b.max()))


def test_how_rare_a_score_is_on_background_follows_from_the_tail():
    """Of background that passes the threshold the rarity is exponential: it reaches x with a chance of e^(-x)."""
    rng = np.random.default_rng(3)
    for scores in (rng.normal(size=400_000), rng.exponential(size=400_000), rng.standard_t(8, size=400_000)):
        found = tail.fit(scores, 1e-3)
        over = scores[scores > found.threshold(1e-3)]
        rarity = np.array([found.rarity(float(score), 1e-3) for score in over])
        assert over.size > 200 and abs(rarity.mean() - 1.0) < 0.25 and (rarity >= 0.0).all()
        assert abs((rarity > 2.0).mean() - np.exp(-2.0)) < 0.06
        assert found.rarity(found.threshold(1e-3), 1e-3) < 1e-9 and found.rarity(1e9, 1e-3) == 50.0 or found.shape > 0.1
