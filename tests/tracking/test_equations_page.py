"""The tables of motions and presets in docs/tracking.md are the code's, number by number, and its equations too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tracking import bank, engine
from tracking.presets import DEFAULT_CLASSES, UNKNOWN, ClassPreset
from tracking.step import log_if_false

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"
MOTIONS = {
    **{f"`MODES` {k + 1}": mode for k, mode in enumerate(bank.MODES)}, "`ROUND`": bank.ROUND, "`HARD`": bank.HARD,
    **{f"`MODES_AFTER` {k + 1}": mode for k, mode in enumerate(bank.MODES_AFTER) if mode != bank.MODES[k]},
    **{f"`ANYTHING` {k + 1}": mode for k, mode in enumerate(bank.ANYTHING)},
    **{f"`CONTACT` {k + 1}": mode for k, mode in enumerate(bank.CONTACT)}, "`STANDING`": bank.STANDING[0],
}  # fmt: skip


def table(first: str, second: str = "") -> dict[str, list[str]]:
    """The cells of the table whose head begins so, by its first column."""
    lines = iter(PAGE.read_text("utf-8").splitlines())
    head = next(line for line in lines if line.startswith(f"| {first} | {second}"))
    out: dict[str, list[str]] = {"": [cell.strip() for cell in head.strip("|").split("|")][1:]}
    next(lines)
    for line in lines:
        if not line.startswith("| "):
            return out
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        out[name] = cells
    return out


def test_every_motion_is_in_the_table_as_it_is():
    found = table("set", "motion")
    assert set(found) == {"", *MOTIONS}
    for name, mode in MOTIONS.items():
        _, *numbers, family, kick, leap = found[name]
        said = [float(n) for n in (*numbers, kick)]
        assert said == [mode.q, mode.tau_s, mode.weight, mode.dwell_s, mode.walk, mode.kick], name
        assert (family, leap) == (mode.family or "-", "yes" if mode.leap else "-"), name


def test_every_classs_weights_and_presets_are_in_the_tables_as_they_are():
    weights, presets = table("class", "1 |"), table("class", "`q`")
    assert set(weights) == {"", *bank.CLASS_WEIGHTS} and set(presets) == {"", *DEFAULT_CLASSES, "any other"}
    for name, some in bank.CLASS_WEIGHTS.items():
        assert [float(w) for w in weights[name]] == [*some, bank.ROUND_WEIGHTS.get(name, 1.0), 1.0], name
    assert presets[""] == [f"`{field}`" for field in ClassPreset.__struct_fields__]
    for name, one in {**DEFAULT_CLASSES, "any other": UNKNOWN}.items():
        assert [float(n) for n in presets[name]] == [getattr(one, field) for field in ClassPreset.__struct_fields__], name


@pytest.mark.parametrize("dt_s", [0.1, 7.0, 400.0])
@pytest.mark.parametrize("q, tau_s", [(mode.q, mode.tau_s) for mode in MOTIONS.values() if not mode.parked])
def test_one_motion_goes_on_as_the_page_has_it(dt_s, q, tau_s):
    a, b, *q_said = engine.coefficients(dt_s, q, tau_s)
    if tau_s == 0.0:
        assert (a, b, *q_said) == pytest.approx((1.0, dt_s, q * dt_s**3 / 3, q * dt_s**2 / 2, q * dt_s), rel=1e-12)
        return
    u = dt_s / tau_s
    d = 1.0 - math.exp(-u)
    # Q₁₁ cancels to nothing where u is small: by the integral that it is, ∫ q τ² (1 − exp(−s/τ))² ds
    s, weight = np.polynomial.legendre.leggauss(40)
    s = (s + 1.0) * dt_s / 2.0
    q11 = float(np.sum(weight * (tau_s * np.expm1(-s / tau_s)) ** 2) * q * dt_s / 2.0)
    if u > 0.1:
        assert q11 == pytest.approx(q * tau_s**3 * (u - 2 * d + (1 - math.exp(-2 * u)) / 2), rel=1e-9)
    assert (a, b) == pytest.approx((1 - d, tau_s * d), rel=1e-9)
    assert q_said == pytest.approx([q11, q * tau_s**2 * d**2 / 2, q * tau_s * (1 - math.exp(-2 * u)) / 2], rel=1e-7)


@pytest.mark.parametrize("modes", [bank.MODES, bank.ANYTHING, bank.CONTACT, (bank.ROUND, bank.HARD, *bank.MODES)])
@pytest.mark.parametrize("dt_s", [1.0, 60.0, 7200.0])
def test_motions_change_as_the_page_has_it(modes, dt_s):
    g = np.zeros((len(modes), len(modes)))
    for i, old in enumerate(modes):
        for kin, mean_s in ((True, old.dwell_s), (False, 86_400.0)):
            some = [k for k, new in enumerate(modes) if k != i and (new.family == old.family) is kin]
            for j in some:
                g[i, j] = modes[j].weight / (mean_s * sum(modes[k].weight for k in some))
        g[i, i] = -g[i].sum()
    # exp(G Δt) by squaring
    exact = np.eye(len(modes)) + g * dt_s / 2**24
    for _ in range(24):
        exact = exact @ exact
    np.testing.assert_allclose(bank.transitions(np.array([dt_s]), modes)[0], exact, rtol=1e-4, atol=1e-6)


def test_a_false_fix_is_as_dense_as_the_page_has_it():
    d, r_ee, r_nn, p_ee, p_nn = 730.0, 25.0, 36.0, 900.0, 400.0
    s2 = 500.0**2 + 9.0 * max(r_ee, r_nn) + p_ee + p_nn
    said = math.log(0.01 * math.sqrt(s2) / (2.0 * math.pi * (d**2 + s2) ** 1.5))
    assert log_if_false(d**2, 9.0 * max(r_ee, r_nn), p_ee, p_nn) == pytest.approx(said, rel=1e-12)
