"""``take_over`` is about the second place that the row shows, whatever it is shown by."""

from __future__ import annotations

import math
import random

import pytest

from birddog.model import Decision
from tests.tracking.test_deception import HOME, case, fix, noise

__all__ = ["case"]


def at(row) -> tuple[float, float]:
    return HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("every", [10, 30])
def test_where_a_receiver_is_that_has_parted_can_be_chosen_when_the_other_one_has_just_jumped(case, seed, every):
    """No rival lives then, and the row has the parted one's last place all the same: "no refused fix says another place" (an
    auditor, once in 130).  Where three have said another place since it is told what to do, and nothing is changed.
    """
    said, rng, asked = case("a", "b"), random.Random(seed), []
    for k in range(75):
        for device, phase in (("a", 0.0), ("b", 0.5 * every)):
            t, (de, dn) = every * k + phase, noise(rng, 3.0)
            if device == "a" and 70 <= k < 74:
                continue
            e, n = (14.0 * t, 0.0) if device == "a" else (14.0 * min(t, 40.0 * every), 9_000.0 * (k >= 70))
            said.say(t + 0.2, fix(device, t, e + de, n + dn))
            [row] = said.now(t + 0.3)
            live = said.fold.live(row.track_id)
            core = live.core(said.fold.model(live))
            if core.rival is not None or row.rival_lat_deg is None:
                continue
            asked.append(HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg))
            if len(asked) > 1:
                continue
            said.add(t + 0.3, Decision(action="take_over", subject=row.track_id, by="ann"))
            [told], [after] = said.happened("decided", "decided_nothing"), said.now(t + 0.3)
            if every == 10:
                assert told.kind == "decided_nothing" and "takes it elsewhere: split off" in told.text and after == row
            else:
                assert told.kind == "decided" and (after.rival_device, row.rival_device) == ("b", "a")
                assert math.dist(at(after), asked[0]) < 0.51 * math.dist(at(row), asked[0]), "either, until a reports again"
    assert asked and math.dist(asked[0], (14.0 * 69 * every, 0.0)) < 50.0


@pytest.mark.parametrize("seed", range(2))
def test_what_was_decided_of_two_that_go_by_one_name_is_done_or_said_not_to_be(case, seed):
    """The other one's place is shown, and what was said since may take the track back at once."""
    said, rng, answers = case("a"), random.Random(seed), set()
    for k in range(60):
        for t, n, mps in ((10.0 * k, 0.0, 8.0), (10.0 * k + 4.0, 50_000.0, 0.0)):
            if n and k % 9:
                continue
            de, dn = noise(rng, 3.0)
            said.say(t + 0.2, fix("a", t, mps * t + de, n + dn, speed_mps=mps, course_deg=90.0))
            [row] = said.now(t + 0.3)
            if k > 30 and not n and row.rival_lat_deg is not None and row.rival_hits == 0:
                place = HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
                [told] = said.add(t + 0.3, Decision(action="take_over", subject=row.track_id, by="ann")).events[-1:]
                [after] = said.now(t + 0.3)
                answers.add(told.kind)
                assert math.dist(at(after), place) < 15_000.0 if told.kind == "decided" else after == row
    assert "decided_nothing" in answers, "what it said since would take the track back at once"
