"""A parcel's tag that is put on a lorry with a tracker of its own, beside a radar: it goes along with that, and is no liar."""

from __future__ import annotations

import math

import pytest

from birddog.model import Device, Scan

#: Both lorries come to stand, part, and are asked of until then, s.
STANDS, PARTS, UNTIL = 120.0, 240.0, 700.0
#: How fast they go, m/s, and how they gather speed, m/s².
SPEED, STARTS = 11.0, 1.2
HALF_M = 6000.0


def gone_m(t: float) -> float:
    """How far a lorry is that sets off at 0."""
    begins_s = SPEED / STARTS
    return 0.0 if t <= 0.0 else 0.5 * STARTS * t * t if t < begins_s else SPEED * (t - begins_s / 2.0)


def lorry(t: float, comes: float, goes: float, n: float, creeps: float, parts: float = PARTS) -> tuple[float, float]:
    """Where a lorry is that stands about (0, n) from STANDS until it parts, or creeps on east, m/s; its courses in degrees."""
    e, goes = creeps * (min(max(t, STANDS), parts) - STANDS), math.radians(goes)
    before, after = -SPEED * max(0.0, STANDS - t), gone_m(t - parts)
    comes = math.radians(comes)
    return e + before * math.sin(comes) + after * math.sin(goes), n + before * math.cos(comes) + after * math.cos(goes)


def meeting(
    World, seed: int, every: float, *, gap: float, creeps: float, own: str, says=None, parts: float = PARTS, period: float = 4.0
):
    """Two lorries meet; a tag goes from the first to the second half-way; the lorries have trackers L1, L2 where ``own`` says.

    Args:
        says: where the tag says that it is at a time, if not where it is.
        parts: when the second lorry goes; period: of the radar.
    """
    w = World(seed)
    ways = [
        lambda t: lorry(t, 90.0, 50.0, 0.0, creeps),
        lambda t: lorry(t, 90.0 if creeps else 250.0, 200.0, gap, creeps, parts),
    ]

    def tag(t: float) -> tuple[float, float]:
        return ways[t > (STANDS + PARTS) / 2.0](t)

    times = [period * k for k in range(int(UNTIL / period))]
    for t in times:
        for way in ways:
            if w.rng.random() < 0.9:
                w.see(t, *way(t))
        w.clutter(t, 1)
    w.end(times=times, clutter=0.01, area=(-HALF_M, HALF_M, -HALF_M, HALF_M))
    for name, way in {"TAG": says or tag, "L1": ways[0], "L2": ways[1]}.items():
        if name == "TAG" or name in own:
            first = w.rng.uniform(0.0, every)
            for k in range(int((UNTIL - first) / every)):
                w.fix(first + every * k, *way(first + every * k), tag=name, sigma=5.0)
    return w.made, tag


def devices(every: float) -> list[Device]:
    return [Device(device=name, basis="own_sensor", interval_s=every, klass="parcel" if name == "TAG" else "lorry")
            for name in ("TAG", "L1", "L2")]  # fmt: skip


def rows(Told, told, t: float, name: str):
    return [row for row in told.at(t) if row.tag_id == name]


def holds(Told, row, place: tuple[float, float]) -> bool:
    """Whether a row's 95 % ellipse holds a place."""
    de, dn = (a - b for a, b in zip(Told.where(row), place, strict=True))
    det = row.p_ee * row.p_nn - row.p_en**2
    return (row.p_nn * de * de - 2.0 * row.p_en * de * dn + row.p_ee * dn * dn) / det < 5.991


@pytest.mark.parametrize(("gap", "creeps", "own"), [(30.0, 0.0, "L2"), (60.0, 0.0, "L1 L2"), (4.0, 2.0, "L2")])
@pytest.mark.parametrize("every", [10.0, 60.0])
def test_a_tag_that_is_put_on_a_lorry_with_a_tracker_goes_along_with_it(every, gap, creeps, own, World, Told):
    held = []
    for seed in range(4):
        made, tag = meeting(World, seed, every, gap=gap, creeps=creeps, own=own)
        told, waiting = Told(*devices(every)), sorted(made, key=lambda pair: pair[0])
        for tau in range(int(PARTS + every + 20), int(UNTIL), 5):  # from the first report on that is from elsewhere
            while waiting and waiting[0][0] <= tau:
                told.take([waiting.pop(0)])
            [row] = rows(Told, told, tau, "TAG")
            held.append(holds(Told, row, tag(tau)))
        assert told.events("belied") == []
    assert sum(held) >= 0.85 * len(held)


@pytest.mark.parametrize("seed", range(3))
def test_it_says_so_and_with_whom_it_goes(seed, World, Told):
    told = Told(*devices(60.0)).take(meeting(World, seed, 60.0, gap=90.0, creeps=0.0, own="L2")[0])
    event, *_ = [event for event in told.events("reacquired") if "goes along with" in event.text]
    assert event.device == "TAG" and "L2" in event.text and "radar goes on seeing what it was on" in event.text


@pytest.mark.parametrize("every", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_says_for_ever_that_it_is_where_they_met_goes_along_with_nobody(seed, every, World, Told):
    def says(t: float) -> tuple[float, float]:
        return lorry(min(t, PARTS), 90.0, 50.0, 0.0, 0.0)

    told = Told(*devices(every)).take(meeting(World, seed, every, gap=90.0, creeps=0.0, own="L2", says=says)[0])
    assert {event.device for event in told.events("belied")} == {"TAG"}
    assert math.dist(Told.where(rows(Told, told, UNTIL, "TAG")[0]), lorry(UNTIL, 90.0, 50.0, 0.0, 0.0)) < 60.0


@pytest.mark.parametrize("behind", [5.0, 25.0])
@pytest.mark.parametrize("seed", range(3))
def test_looks_that_come_in_late_end_where_those_in_time_do(seed, behind, World, Told):
    ends = []
    for late in (0.2, behind):
        made, _ = meeting(World, seed, 60.0, gap=90.0, creeps=0.0, own="L2")
        made = [(at + late * isinstance(body, Scan), body) for at, body in made]
        told = Told(*devices(60.0)).take(made)
        ends.append({row.tag_id: row for row in told.at(UNTIL + 40.0) if row.tag_id})
    for name in ("TAG", "L2"):
        one, other = ends[0][name], ends[1][name]
        assert math.dist(Told.where(one), Told.where(other)) < 1e-3
        assert one.p_ee == pytest.approx(other.p_ee, rel=1e-9)


#: A lorry that goes on standing, beyond the end.
NEVER = 2.0 * UNTIL


def followed(Told, made, every: float, ways: dict, begins: float):
    """A fold of a scene, and of each track how often its row held the truth from a time on."""
    told, waiting = Told(*devices(every)), sorted(made, key=lambda pair: pair[0])
    held = {name: [] for name in ways}
    for tau in range(int(begins), int(UNTIL), 5):
        while waiting and waiting[0][0] <= tau:
            told.take([waiting.pop(0)])
        for name, way in ways.items():
            [row] = rows(Told, told, tau, name)
            held[name].append(holds(Told, row, way(tau)))
    return told, held


@pytest.mark.parametrize(("gap", "own"), [(20.0, "L2"), (40.0, "L2"), (80.0, "L2"), (40.0, "L1 L2")])
@pytest.mark.parametrize(("every", "period"), [(10.0, 4.0), (60.0, 4.0), (10.0, 10.0)])
def test_a_tag_that_is_carried_over_to_a_lorry_that_stands_on_shares_its_sightings(every, period, gap, own, World, Told):
    held: dict[str, list[bool]] = {"TAG": [], "L2": []}
    for seed in range(3):
        made, tag = meeting(World, seed, every, gap=gap, creeps=0.0, own=own, parts=NEVER, period=period)
        ways = {"TAG": tag, "L2": lambda t, gap=gap: lorry(t, 250.0, 200.0, gap, 0.0, NEVER)}
        told, some = followed(Told, made, every, ways, PARTS + every + 20)
        assert told.events("belied") == []
        for name, of in some.items():
            held[name] += of
    for name, of in held.items():
        assert sum(of) >= 0.9 * len(of), name


@pytest.mark.parametrize("every", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(2))
def test_both_drive_off_together_later(seed, every, World, Told):
    made, tag = meeting(World, seed, every, gap=60.0, creeps=0.0, own="L2", parts=450.0)
    ways = {"TAG": tag, "L2": lambda t: lorry(t, 250.0, 200.0, 60.0, 0.0, 450.0)}
    told, held = followed(Told, made, every, ways, PARTS + every + 20)
    assert told.events("belied") == []
    assert min(sum(of) / len(of) for of in held.values()) >= 0.85


@pytest.mark.parametrize("every", [10.0, 60.0])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_taken_off_again_goes_with_its_own_reports(seed, every, World, Told):
    def says(t: float) -> tuple[float, float]:
        return (0.0, 0.0) if t < 180.0 else (0.0, 80.0) if t < 400.0 else (400.0, -300.0)

    def tag(t: float) -> tuple[float, float]:
        return lorry(t, 90.0, 50.0, 0.0, 0.0) if t < 180.0 else says(t)

    made, _ = meeting(World, seed, every, gap=80.0, creeps=0.0, own="L2", says=tag, parts=NEVER)
    told, held = followed(Told, made, every, {"TAG": tag}, 400.0 + 3.5 * every)
    assert told.events("belied") == []
    assert sum(held["TAG"]) >= 0.9 * len(held["TAG"])


@pytest.mark.parametrize("gap", [30.0, 60.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_says_for_ever_where_it_stood_beside_a_lorry_that_stands_on_is_told(seed, gap, World, Told):
    def says(t: float) -> tuple[float, float]:
        return lorry(min(t, PARTS), 90.0, 50.0, 0.0, 0.0)

    made, _ = meeting(World, seed, 10.0, gap=gap, creeps=0.0, own="L2", says=says, parts=NEVER)
    told = Told(*devices(10.0)).take(made)
    assert {event.device for event in told.events("belied")} == {"TAG"}
    assert math.dist(Told.where(rows(Told, told, UNTIL, "TAG")[0]), lorry(UNTIL, 90.0, 50.0, 0.0, 0.0)) < 60.0


@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_says_the_place_of_a_lorry_it_never_met_is_told(seed, World, Told):
    def says(t: float) -> tuple[float, float]:
        return lorry(t, 90.0, 50.0, 0.0, 0.0) if t < PARTS else (0.0, 500.0)

    made, _ = meeting(World, seed, 10.0, gap=500.0, creeps=0.0, own="L2", says=says, parts=NEVER)
    told = Told(*devices(10.0)).take(made)
    assert {event.device for event in told.events("belied")} == {"TAG"}


@pytest.mark.parametrize("gap", [60.0, 90.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_tag_that_is_belied_for_long_goes_along_with_what_drives_off_with_it(seed, gap, World, Told):
    """It was carried over, and its receiver hung at where it stood for five minutes (told of); then it is right again."""

    def tag(t: float) -> tuple[float, float]:
        return lorry(t, 90.0, 50.0, 0.0, 0.0) if t < 180.0 else lorry(t, 250.0, 200.0, gap, 0.0, 560.0)

    def says(t: float) -> tuple[float, float]:
        return lorry(min(t, PARTS), 90.0, 50.0, 0.0, 0.0) if t < 580.0 else tag(t)

    made, _ = meeting(World, seed, 10.0, gap=gap, creeps=0.0, own="L2", says=says, parts=560.0)
    told = Told(*devices(10.0)).take(made)
    assert {event.device for event in told.events("belied")} == {"TAG"} and told.events("belied")[-1].end_ns is not None
    assert "goes along with L2" in told.events("reacquired")[-1].text
    assert math.dist(Told.where(rows(Told, told, UNTIL, "TAG")[0]), tag(UNTIL)) < 40.0
