"""Whose sighting it is when something drives off between two reports: what went takes its track along."""

from __future__ import annotations

import math

from birddog.model import Device, Track

AREA = (-6000.0, 6000.0, -6000.0, 6000.0)
LOOK_S, PD = 10.0, 0.9


def stands(e: float, n: float):
    return lambda t: (e, n)


def sets_off(e: float, n: float, at_s: float, speed_mps: float, course_deg: float):
    """Stands until it sets off, by 1.5 m/s²."""

    def at(t: float) -> tuple[float, float]:
        s, ta = max(0.0, t - at_s), speed_mps / 1.5
        gone = 0.75 * min(s, ta) ** 2 + speed_mps * max(0.0, s - ta)
        return e + gone * math.sin(math.radians(course_deg)), n + gone * math.cos(math.radians(course_deg))

    return at


def seen(World, seed: int, things, tag, reports, *, look_s: float = LOOK_S, until: float = 700.0):
    """A radar that looks each ``look_s`` sees all things; the tag says where it is at its reports."""
    w = World(seed)
    times = [0.4 + look_s * k for k in range(int(until / look_s))]
    for t in times:
        for thing in things:
            if w.rng.random() < PD:
                w.see(t, *thing(t))
    w.end(times=times, pd=PD, clutter=0.001, area=AREA)
    for t in reports:
        w.fix(t, *tag(t))
    return w.made


def rows(Told, made, reports, taus) -> dict[float, Track]:
    """The tag's row at some times."""
    device = Device(device="TAG", basis="own_sensor", interval_s=reports[1] - reports[0])
    return {t: next(r for r in some if r.tag_id == "TAG") for t, some in Told.follow(made, taus, device).items()}


def holds(Told, World, row: Track, e: float, n: float) -> bool:
    """Whether a place lies in the row's 95 % ellipse, or within 60 m of its second symbol."""
    x, y = (a - b for a, b in zip(Told.where(row), (e, n), strict=True))
    inside = (row.p_nn * x * x - 2 * row.p_en * x * y + row.p_ee * y * y) / (row.p_ee * row.p_nn - row.p_en**2) < 5.991
    if inside or row.rival_lat_deg is None:
        return inside
    other = World.HOME.en(lat_deg=row.rival_lat_deg, lon_deg=row.rival_lon_deg)
    return math.dist(other, (e, n)) < 60.0


def test_what_drives_off_between_two_looks_takes_its_track_along(World, Told):
    """Parked and alone, a report each 300 s, a look each 10 s: no later than 60 s after it drove off the row is where it is."""
    reports, good, doubts, count = [10.0, 310.0, 610.0], 0, 0, 0
    for seed in range(10):
        lorry = sets_off(0.0, 0.0, 350.0, 10.0 + seed, 36.0 * seed)
        told = rows(Told, seen(World, seed, [lorry], lorry, reports), reports, [410.0 + 10 * k for k in range(20)])
        good += sum(holds(Told, World, row, *lorry(t)) for t, row in told.items())
        doubts += sum(row.rival_lat_deg is not None for row in told.values())
        count += len(told)
        assert max(math.sqrt(row.p_ee + row.p_nn) for row in told.values()) < 250.0
    assert good >= 0.95 * count
    assert doubts <= 0.05 * count
