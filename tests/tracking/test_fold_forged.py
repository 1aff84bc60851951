"""Fixes that can't all be true: one time and two places; a track that is suddenly elsewhere, or in two places in turn."""

from __future__ import annotations

import pytest

from birddog.geo import LocalFrame
from birddog.model import Device, Fix
from birddog.units import NS
from opsroom.alerts import SEVERITY

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)


@pytest.fixture
def begin(journal):
    """``begin()``: a journal in which the van's receiver ``tr`` is known."""
    def begun():
        made = journal(restart=True)
        made.add(0, Device(device="tr", interval_s=10.0, klass="van"))
        return made

    return begun


def fix(t_s: float, e: float, n: float, **more) -> Fix:
    lat, lon = HOME.geodetic(e, n)
    return Fix(device="tr", time_ns=T0 + round(t_s * NS), lat_deg=lat, lon_deg=lon, **{"sigma_m": 5.0, **more})


@pytest.fixture
def run(begin):
    """``run(forged)``: half a minute of an honest receiver, and one forged fix of it or None."""
    def those(forged: Fix | None, *, first: bool = False):
        j = begin()
        for t in range(1, 31):
            said = [fix(t, 10.0 * t, 0.0)]
            if t == 20 and forged is not None:
                said.insert(0 if first else 1, forged)
            for one in said:
                j.say(t, one)
        return j

    return those


# smaller coordinates, larger ones, a smaller sigma; in reach of the gate and far beyond
FORGED = [fix(20, -900, -900), fix(20, 3000, 2000), fix(20, 200, -80, sigma_m=0.5), fix(20, 260, 40), fix(20, 900_000, 0)]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("first", [True, False])
def test_a_forged_fix_of_the_same_time_changes_nothing_and_is_told_once(forged, first, run):
    j, good = run(forged, first=first), run(None)
    assert j.changes[-1].tracks == good.changes[-1].tracks
    assert [(e.device, e.end_ns, e.track_ids) for e in j.events("conflict")] == [("tr", None, ("T3",))]
    assert SEVERITY["conflict"] == "warning"


def test_of_two_first_fixes_the_same_one_stays_whichever_came_first(begin):
    rows = []
    for pair in [(fix(1, 0, 0), fix(1, 900, 0)), (fix(1, 900, 0), fix(1, 0, 0))]:
        j = begin()
        for one in pair:
            j.say(1, one)
        assert len(j.events("conflict")) == 1
        rows.append(j.say(2, fix(2, 0, 0)).tracks)
    assert rows[0] == rows[1]


def test_a_forger_of_every_fix_is_one_alert_and_one_more_after_a_pause(begin):
    j = begin()
    for t in range(1, 60):
        j.say(t, fix(t, 10.0 * t, 0.0))
        j.say(t, fix(t, 10.0 * t, 5000.0))
    assert len(j.events("conflict")) == 1
    for t in (500, 501):
        j.say(t, fix(t, 600.0, 0.0))
    j.say(501, fix(501, 600.0, 5000.0))
    assert len(j.events("conflict")) == 2


def test_two_sentences_of_one_second_that_differ_by_their_noise_are_no_conflict(begin):
    j = begin()
    for t in range(1, 20):
        j.say(t, fix(t, 10.0 * t, 0.0))
        row = j.say(t, fix(t, 10.0 * t + 8.0, -6.0, speed_mps=10.0, course_deg=90.0)).tracks[0]
    assert row.hits == 19 and j.events("conflict") == []


@pytest.fixture
def told(begin):
    """``told(said)``: of fixes (t, e), how many alerts of each kind."""
    def those(said: list[tuple[float, float]]) -> dict[str, int]:
        j = begin()
        for t, e in said:
            j.say(t, fix(t, e, 0.0))
        return {kind: len(j.events(kind)) for kind in ("jumped", "two_places")}

    return those


STAY = [(10.0 * i, 0.0) for i in range(20)]
FAR = 900_000.0


def away(from_s: float, n: int, e: float = FAR, every_s: float = 10.0) -> list[tuple[float, float]]:
    return [(from_s + every_s * i, e) for i in range(n)]


def test_a_track_that_is_elsewhere_faster_than_it_can_drive_has_jumped(told):
    assert told(STAY + away(200, 10)) == {"jumped": 1, "two_places": 0}
    assert SEVERITY["jumped"] == SEVERITY["two_places"] == "warning"


@pytest.mark.parametrize("said", [
    STAY + away(200, 1) + away(210, 10, 0.0),  # one bad fix
    STAY + away(200, 2) + away(220, 10, 0.0),  # two
    away(0, 1) + away(10, 20, 0.0),  # a first one that was false
    STAY + away(190 + 8 * 3600, 10),  # a long gap
    STAY + away(200, 1) + away(210, 5, 0.0) + away(260, 1, -5e5) + away(270, 5, 0.0) + away(320, 1, 3e4) + away(330, 5, 0.0),
    STAY + [one for k in range(4) for one in away(200 + 400 * k, 1) + away(210 + 400 * k, 39, 0.0)],  # now and then
])  # fmt: skip
def test_no_jump_and_no_two_places(said, told):
    assert told(said) == {"jumped": 0, "two_places": 0}


@pytest.mark.parametrize("far", [2000.0, FAR, 5_000_000.0])
def test_a_track_in_two_places_in_turn_is_one_alert(far, told):
    turns = [one for k in range(12) for one in away(200 + 20 * k, 1, far) + away(210 + 20 * k, 1, 0.0)]
    assert told(STAY + turns[:4]) == {"jumped": 0, "two_places": 0}
    assert told(STAY + turns[:5]) == {"jumped": 0, "two_places": 1}
    assert told(STAY + turns) == {"jumped": 0, "two_places": 1}


def test_three_here_and_three_there_is_one_alert_of_each(told):
    assert told(STAY + [one for k in range(6) for one in away(200 + 60 * k, 3) + away(230 + 60 * k, 3, 0.0)]) == {
        "jumped": 1, "two_places": 1,
    }  # fmt: skip
