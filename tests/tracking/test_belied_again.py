"""A track whose receiver is belied goes by the looks, also where they lose it and find it again; and it is believed again."""

from __future__ import annotations

import math

import pytest

from tests.tracking.test_unsettled import followed, world


def lorry(t: float) -> tuple[float, float]:
    """East at 14 m/s, from 240 s on a stop (6 m/s²) for a minute, then north at 12 m/s, and a stop again."""
    e, n, v = -2300.0, -1500.0, 14.0
    dt = 0.25
    for k in range(int(t / dt)):
        s = k * dt
        if s < 300:
            v = 14.0 if s < 240 else max(0.0, v - 6.0 * dt)
            e += v * dt
        else:
            v = min(12.0, v + 2.0 * dt) if s < 480 else max(0.0, v - 6.0 * dt)
            n += v * dt
    return e, n


@pytest.mark.parametrize(("away_m", "pd", "tag_s"), [(400.0, 0.9, 5.0), (1500.0, 0.9, 5.0), (1500.0, 0.75, 20.0)])
@pytest.mark.parametrize("seed", range(3))
def test_a_tag_that_lied_and_is_right_again_is_believed_also_where_looks_lost_the_track(seed, away_m, pd, tag_s, World, Told):
    says = {"TAG": lambda t: (lorry(t)[0], lorry(t)[1] + away_m * (120 < t < 360))}
    made = world(World, seed, [lorry], says, look_s=4.0, tag_s=tag_s, pd=pd, until=600.0)
    told, rows = followed(Told, made, says, tag_s, range(140, 600, 4))
    off = {t: math.dist(Told.where(some["TAG"]), lorry(t)) for t, some in rows.items()}
    assert [event.device for event in told.events("belied") if event.end_ns is None] == ["TAG"]
    late = [t for t in off if t > 360 + 12 * tag_s]
    assert sum(off[t] > 100.0 for t in off if t <= 360) <= 12, {t: round(m) for t, m in off.items() if m > 100.0}
    assert sum(off[t] > 60.0 + 12.0 * tag_s for t in late) <= 0.05 * len(late), {t: round(off[t]) for t in late}
    assert "belied" not in rows[596]["TAG"].attributes
