"""An operator decides for the place that looks have, where a track's second symbol is theirs and not its receiver's."""

from __future__ import annotations

import math

import msgspec
import pytest

from birddog.model import Decision
from tests.tracking.test_unsettled import TAG, holds, world


def goes(t: float) -> tuple[float, float]:
    return 12.0 * t - 1900.0, 0.0


FROZEN = {"TAG": lambda t: goes(min(t, 150.0))}


def until_in_doubt(Told, made, tag_s: float):
    """The fold up to the first row whose second symbol is the sensor's, what is still to come, and when that was."""
    told, waiting = Told(msgspec.structs.replace(TAG, interval_s=tag_s)), list(made)
    for tau in range(140, 330):
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        [row] = [one for one in told.at(tau) if one.tag_id]
        if row.rival_lat_deg is not None and row.rival_device != "TAG":
            return told, waiting, tau, row
    raise AssertionError("no doubt")


def after(told, waiting, tau: int) -> dict:
    rows, waiting = {}, list(waiting)
    for t in range(tau, 326, 2):
        while waiting and waiting[0][0] <= t:
            told.take([waiting.pop(0)])
        [rows[t]] = [one for one in told.at(t) if one.tag_id]
    return rows


@pytest.mark.parametrize(("look_s", "tag_s", "pd"), [(10.0, 20.0, 0.9), (10.0, 20.0, 0.6), (10.0, 60.0, 0.6)])
@pytest.mark.parametrize("seed", [0, 2])
def test_take_over_of_what_looks_see_holds_from_then_on(seed, look_s, tag_s, pd, World, Told):
    made = world(World, seed, [goes], FROZEN, look_s=look_s, tag_s=tag_s, pd=pd)
    told, waiting, tau, row = until_in_doubt(Told, made, tag_s)
    told.add(tau + 0.1, "decision", Decision(action="take_over", subject=row.track_id, by="op"))
    assert told.events("decided_nothing") == []
    assert "goes on seeing" in told.events("decided")[0].text
    rows = after(told, waiting, tau + 1)
    out = [t for t, one in rows.items() if not holds(Told, one, *goes(t))]
    assert len(out) <= 0.07 * len(rows) + 1, (tau, out)
    assert {one.rival_device for one in rows.values()} <= {"TAG", ""}
    assert [event.device for event in told.events("belied")] == ["TAG"]


@pytest.mark.parametrize("seed", [0, 2])
def test_undone_it_is_as_if_it_had_never_been_decided(seed, World, Told):
    made = world(World, seed, [goes], FROZEN, look_s=10.0, tag_s=20.0, pd=0.6)
    told, waiting, tau, row = until_in_doubt(Told, made, 20.0)
    told.add(tau + 0.1, "decision", Decision(action="take_over", subject=row.track_id, by="op"))
    number = told.seq
    more = [one for one in waiting if one[0] < tau + 25]
    told.take(more)
    told.add(tau + 25.1, "decision", Decision(action="undo", subject=f"D{number}", by="op"))
    plain, _, _, _ = until_in_doubt(Told, made, 20.0)
    plain.take(more)
    [one], [other] = ([row for row in some.at(tau + 26) if row.tag_id] for some in (told, plain))
    assert math.dist(Told.where(one), Told.where(other)) < 1e-6 and one.rival_device == other.rival_device
    assert told.events("decided")[-1].about == f"undo D{number}"
