"""A tracker that reports each few seconds on its way and once in an hour where it stands: learnt after two stops."""

from __future__ import annotations

import math
import random

import pytest

from birddog.geo import LocalFrame
from birddog.model import Attachment, Device, Fix, Operation, Tick
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
SLEEP_S, BEAT_S, RUN_S, STOP_S, STOPS = 1800, 10, 603, 5400, 4


def way(stops: int = STOPS, tail_s: int = 0):
    """(east m, speed m/s) at each second: a way and a stop, and so on; at last so long on its way again."""
    e, v, out = 0.0, 0.0, []
    legs = [leg for _ in range(stops) for leg in ((RUN_S, 16.0), (STOP_S, 0.0))] + [(tail_s, 16.0)]
    for long_s, want in legs:
        for _ in range(long_s):
            v += max(-1.5, min(1.5, want - v))
            out.append((e, v))
            e += v
    return out


def told(journal, on, *, states: bool, interval_s: float = 0.0, until_s: int | None = None, restart: bool = False):
    """The silences told of a lorry's tracker on a way: when they began, the texts, the journal; heard until ``until_s``."""
    rng, j = random.Random(5), journal(restart=restart)
    j.add(0, Operation(operation="op"))
    j.add(0, Device(device="a", klass="lorry", interval_s=interval_s))
    j.add(0, Attachment(device="a", shipment="goods", operation="op", from_ns=0))
    last, before = -math.inf, 0.0
    for t, (e, v) in enumerate(on):
        if t % 60 == 0 and t:
            j.add(t + 0.5, Tick())
        goes = v > 0.5
        if (until_s is None or t <= until_s) and (t - last >= (BEAT_S if goes else SLEEP_S) or goes != (before > 0.5)):
            lat, lon = HOME.geodetic(e + rng.gauss(0, 3.0), rng.gauss(0, 3.0))
            speed = {"speed_mps": v, "course_deg": 90.0} if states else {}
            j.say(t + 0.9, Fix(device="a", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=lon, sigma_m=5.0, **speed))
            last = t
        before = v
    began = [(event.start_ns - T0) / NS for event in j.happened("silent")]
    return began, [event.text for event in j.happened("silent")], j


def stopped(on) -> list[int]:
    return [t for t in range(1, len(on)) if on[t][1] <= 0.5 < on[t - 1][1]]


@pytest.mark.parametrize("states", [True, False])
def test_what_sleeps_where_it_stands_is_silent_at_its_first_two_stops_and_at_no_later_one(journal, states):
    on = way()
    began, _, j = told(journal, on, states=states)
    assert [round(t) for t in began] == [t + 1 for t in stopped(on)[:2]]
    assert not j.happened("jumped", "reacquired", "contradicted")


def test_what_falls_silent_on_its_way_is_told_as_ever_whatever_was_learnt_of_its_stops(journal):
    on = way(tail_s=1500)
    last = STOPS * (RUN_S + STOP_S) + 400
    began, texts, _ = told(journal, on, states=True, until_s=last)
    assert len(began) == 3
    assert last - BEAT_S <= began[2] <= last + 1
    assert texts[2] == "no message for 300 s, expected every 60 s"


def test_what_is_never_heard_again_where_it_stood_is_told_when_it_should_have_waked_twice(journal):
    on = way() + [(way()[-1][0], 0.0)] * 7200
    stop = stopped(on)[-1]
    began, texts, _ = told(journal, on, states=True, until_s=stop)
    assert [round(t) for t in began] == [t + 1 for t in (*stopped(on)[:2], stop)]
    assert texts[-1] == "no message for 4500 s, expected every 1800 s where it stands"


def test_an_interval_that_was_given_holds(journal):
    """Who says each ten seconds wants to know of each silence: none is learnt."""
    on = way()
    began, _, _ = told(journal, on, states=True, interval_s=10.0)
    assert {round(t) - 1 for t in began} >= set(stopped(on))


def test_what_stood_and_is_found_elsewhere_did_not_sleep_and_two_stops_are_learnt_anew(journal):
    three = way(stops=3)
    on = three + [(three[-1][0] + 5000.0 + e, v) for e, v in three]
    began, _, _ = told(journal, on, states=True, restart=True)
    stops = stopped(on)
    assert [round(t) - 1 for t in began if round(t) - 1 in stops] == [*stops[:2], *stops[3:5]]
