"""`track` on detections: late data, order, no peeking, identity, crossing, silence. Truth has seeds."""

from __future__ import annotations

import math
import random

import pytest

from tracking.offline import Believed, Detection, Follower, Sensor

RADAR = Sensor(name="radar", pd=0.9, clutter_per_m2=2 / 16e6, period_s=2.0, area=(-2000, 2000, -2000, 2000))
GPS = Sensor(name="gps", pd=0.95)


class World:
    """Detections with numbers in order of making."""

    def __init__(self, seed: int):
        self.rng, self.made = random.Random(seed), []

    def see(self, t: float, e: float, n: float, *, sensor="radar", tag="", sigma: float = 10.0, late: float = 0.2):
        self.made.append(
            Detection(
                number=len(self.made), t_s=t, arrival_s=t + late, sensor=sensor, kind="gps_tag" if tag else "radar", tag_id=tag,
                e_m=e + self.rng.gauss(0, sigma), n_m=n + self.rng.gauss(0, sigma), r_ee=sigma**2, r_en=0.0, r_nn=sigma**2,
            )
        )  # fmt: skip

    def clutter(self, t: float, count: int = 2):
        for _ in range(count):
            self.see(t, self.rng.uniform(-2000, 2000), self.rng.uniform(-2000, 2000))


def follow(made: list[Detection], taus: list[float], *sensors: Sensor) -> dict[float, list[Believed]]:
    follower, out = Follower({s.name: s for s in sensors}), {}
    waiting = sorted(made, key=lambda d: d.arrival_s)
    for tau in taus:
        while waiting and waiting[0].arrival_s <= tau:
            follower.add(waiting.pop(0))
        out[tau] = follower.believed(tau)
    return out


def near(believed: list[Believed], e: float, n: float, within: float = 40.0) -> list[Believed]:
    return [b for b in believed if math.hypot(b.e_m - e, b.n_m - n) < within]


@pytest.mark.parametrize("seed", range(3))
def test_two_that_cross_in_clutter_keep_their_ids(seed):
    w, taus = World(seed), [2.0 * k for k in range(1, 61)]
    for k in range(60):
        t = 2.0 * k
        for sign in (1, -1):
            if w.rng.random() < 0.9:
                w.see(t, -900 + 15 * t, sign * (300 - 5 * t))
        w.clutter(t)
    found = follow(w.made, taus, RADAR)
    ids = {1: set(), -1: set()}
    extra = held = asked = 0
    for t in taus[10:]:
        for sign in (1, -1):
            there = near(found[t], -900 + 15 * t, sign * (300 - 5 * t))
            if abs(300 - 5 * t) > 60:
                held, asked = held + (len(there) == 1), asked + 1
                ids[sign] |= {b.track_id for b in there}
        extra += max(0, len(found[t]) - 2)
    assert len(ids[1]) == len(ids[-1]) == 1 and ids[1] != ids[-1]
    assert held / asked > 0.95 and extra <= 4


def test_late_and_shuffled_reports_end_as_in_order_and_nothing_peeks():
    w = World(3)
    for k in range(30):
        w.see(4.0 * k, 10.0 * k, 0, sigma=30)
        w.see(4.0 * k + 2, 10.0 * k + 5, 0, sensor="drone", sigma=5, late=w.rng.uniform(5, 20))
        w.clutter(4.0 * k, 1)
    drone = Sensor(name="drone", period_s=4.0, phase_s=2.0, latency_s=20.0, prompt=False, clutter_per_m2=1e-7)
    taus = [2.0 * k for k in range(1, 75)]
    late = follow(w.made, taus, RADAR, drone)
    prompt = follow([d for d in w.made if d.arrival_s <= 150], [148.0], RADAR, drone)
    assert [(b.e_m, b.n_m, b.p_ee) for b in late[148.0]] == [(b.e_m, b.n_m, b.p_ee) for b in prompt[148.0]]
    cut = follow([d for d in w.made if d.arrival_s <= 60], taus, RADAR, drone)
    assert all(cut[t] == late[t] for t in taus if t <= 60)


def test_a_tag_and_a_radar_see_one_object_and_the_tag_outlives_the_radar():
    w, taus = World(4), [2.0 * k for k in range(1, 80)]
    for k in range(40):
        t = 2.0 * k
        w.see(t, 8 * t - 300, 100)
        if k % 5 == 0:
            w.see(t + 0.5, 8 * (t + 0.5) - 300, 100, sensor="gps", tag="TAG-A", sigma=8)
    found = follow(w.made, taus, RADAR, GPS)
    for t in taus[12:38]:
        assert [b.tag_id for b in found[t]] == ["TAG-A"]
    silent = [b for t in taus[45:] for b in found[t] if b.tag_id == "TAG-A"]
    assert len(silent) == len(taus[45:]) and len({b.track_id for b in silent}) == 1
    sizes = [b.p_ee for b in silent]
    assert sizes == sorted(sizes) and sizes[-1] > 4 * sizes[0]


def test_one_wrong_tag_report_does_not_move_the_track():
    w = World(5)
    for k in range(30):
        w.see(2.0 * k, 20.0 * k, 0, sensor="gps", tag="A", sigma=8)
    w.see(60.0, 590, 900, sensor="gps", tag="A", sigma=8)
    at = follow(w.made, [61.0], GPS)[61.0]
    assert len(at) == 1 and near(at, 610, 0)


def test_two_tags_of_one_kind_are_two_objects():
    w = World(6)
    for k in range(20):
        for tag in ("A", "B"):
            w.see(2.0 * k, 10.0 * k, 0, sensor="gps", tag=tag, sigma=8)
    assert sorted(b.tag_id for b in follow(w.made, [39.0], GPS)[39.0]) == ["A", "B"]


def test_clutter_alone_is_no_track():
    w = World(7)
    for k in range(100):
        w.clutter(2.0 * k, 3)
    found = follow(w.made, [2.0 * k for k in range(1, 101)], RADAR)
    assert sum(len(v) for v in found.values()) <= 5


def test_an_empty_look_counts_only_where_the_sensor_looks():
    w = World(8)
    for k in range(10):
        w.see(2.0 * k, 0, 0)
    away = Sensor(name="radar", pd=0.9, clutter_per_m2=1e-7, period_s=2.0, area=(5000, 6000, 5000, 6000))
    assert follow(w.made, [20.0, 36.0], RADAR)[36.0] == []
    assert len(follow(w.made, [20.0, 36.0], away)[36.0]) == 1
