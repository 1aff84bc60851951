"""Where the objects of a scenario are: on their way, at their speed, the same for the same seed."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from birddog.directory import Directory
from birddog.errors import ConfigError, UsageError
from sim import scenario as scenarios
from sim import tables
from sim.world import Halt, Mover, stream
from sim.world import Path as Way

SQUARE = [(0.0, 0.0), (400.0, 0.0), (400.0, 400.0), (0.0, 400.0)]

SMALL = """
[scenario]
title = "small"
origin = [51.95, 4.05]
start = "2026-03-02T06:00:00Z"

[[route]]
name = "there"
closed = false
points = [[0, 0], [1000, 0]]

[[thing]]
name = "van"
klass = "van"
route = "there"
speed_mps = 10.0
stops = [{ at_m = 500.0, for_s = 60.0 }]

[[thing]]
name = "crate"
klass = "parcel"
route = "there"
speed_mps = 1.0
aboard = "van"
leaves_s = 70.0

[[phone]]
id = "tag"
on = "crate"
transport = "mqtt"
"""


def test_a_path_keeps_its_straights_and_cuts_its_corners():
    path = Way([(0.0, 0.0), (2000.0, 0.0), (2000.0, 2000.0), (0.0, 2000.0)], closed=True)
    for along in (300.0, 800.0, 1400.0):
        _, n, ue, un = path.at(along)
        assert (round(n, 6), round(ue, 6), round(un, 6)) == (0.0, 1.0, 0.0)
    nearest = min(math.dist(path.at(float(a))[:2], (2000.0, 0.0)) for a in range(8000))
    assert 60.0 < nearest < 120.0
    assert 8000.0 - 4 * 2 * 240.0 < path.length_m < 8000.0
    assert path.at(path.length_m + 10.0) == pytest.approx(path.at(10.0))


def test_a_course_never_jumps():
    path = Way(SQUARE, closed=True)
    courses = [math.atan2(*path.at(float(a))[2:]) for a in range(int(path.length_m))]
    turns = [abs((b - a + math.pi) % math.tau - math.pi) for a, b in zip(courses, courses[1:], strict=False)]
    assert max(turns) < math.radians(15)


def test_position_is_the_integral_of_velocity_and_no_speed_is_exceeded():
    mover = Mover(Way(SQUARE, closed=True), speed_mps=10.0, start_m=0.0, halts=(Halt(300.0, 20.0),), klass="van",
                  rng=stream(3, "thing", "x"))
    e, n = mover.at(0.0)[:2]
    for k in range(1, 2000):
        e1, n1, ve, vn = mover.at(k * 0.1)
        assert math.hypot(e1 - e, n1 - n) <= 10.0 * 1.12 * 0.1 + 1e-6
        assert math.hypot(ve, vn) <= 11.2 + 1e-9
        e, n = e1, n1


def test_a_halt_is_kept_once_a_lap():
    mover = Mover(Way(SQUARE, closed=True), speed_mps=10.0, start_m=0.0, halts=(Halt(300.0, 20.0),), klass="van",
                  rng=stream(3, "thing", "x"))
    standing = [t for t in range(400) if math.hypot(*mover.at(float(t))[2:]) == 0.0]
    runs = [t for t in standing if t - 1 not in standing]
    assert len(runs) == 3  # 1540 m a lap at about 10 m/s: at 30 s, 204 s and 378 s
    assert 18 <= sum(t < runs[1] for t in standing) <= 22
    first = mover.at(float(runs[0] + 5))[:2]
    assert math.dist(first, Way(SQUARE, closed=True).at(300.0)[:2]) < 0.5


def test_an_open_way_ends():
    mover = Mover(Way([(0.0, 0.0), (100.0, 0.0)], closed=False), speed_mps=5.0, start_m=0.0, halts=(), klass="van",
                  rng=stream(1, "a"))
    e, n, ve, vn = mover.at(200.0)
    assert (round(e, 3), round(n, 3), ve, vn) == (100.0, 0.0, 0.0, 0.0)


def test_what_rides_is_where_its_carrier_is_and_leaves_from_there():
    world = scenarios.build(scenarios.loads(SMALL, file="small.toml"), 1)
    assert world.state("crate", 40.0) == world.state("van", 40.0)
    assert world.bearer("crate", 69.9) == "van" and world.bearer("crate", 70.0) == "crate"
    assert world.visible(0.0) == ["van"] and world.visible(70.0) == ["van", "crate"]
    left = world.state("van", 70.0)
    assert math.dist((left.e_m, left.n_m), (500.0, 0.0)) < 1.0  # the van stands at its stop
    after = world.state("crate", 80.0)
    assert 1.0 < math.dist((left.e_m, left.n_m), (after.e_m, after.n_m)) < 12.0  # walks for 10 s at about 1 m/s


def test_a_new_object_moves_no_other():
    base = scenarios.build(scenarios.load("harbour"), 7)
    more = scenarios.loads(SMALL, file="small.toml")
    other = scenarios.build(more, 7)
    again = scenarios.build(scenarios.loads(SMALL.replace('name = "crate"', 'name = "box"').replace('"crate"', '"box"'),
                                            file="s"), 7)
    assert other.state("van", 33.3) == again.state("van", 33.3)
    assert base.state("car-1", 900.0) == scenarios.build(scenarios.load("harbour"), 7).state("car-1", 900.0)
    assert base.state("car-1", 900.0) != scenarios.build(scenarios.load("harbour"), 8).state("car-1", 900.0)


def test_a_random_stream_does_not_depend_on_the_process():
    code = "from sim.world import stream; print(stream(7, 'device', 'tag').random())"
    found = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
                       check=True).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(found) == 1
    assert stream(7, "a", "b").random() != stream(7, "ab").random() != stream(8, "ab").random()


def test_in_harbour_two_objects_move_within_twenty_seconds_and_for_half_an_hour():
    s = scenarios.load("harbour")
    world = scenarios.build(s, 7)
    carried = {d.on for d in s.phone}
    assert len(carried) >= 3
    for t in (0.0, 20.0, 1800.0, 3600.0):
        assert sum(world.state(name, t).speed_mps > 1.0 for name in carried) >= 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('klass = "van"', 'clas = "van"', r"small\.toml:LINE: thing\[1\]\.clas: no such key; did you mean klass\?"),
        ('route = "there"', 'route = "their"', r"small\.toml:LINE: thing\[1\]\.route: there is no route 'their'"),
        ("speed_mps = 10.0", 'speed_mps = "fast"', r"small\.toml:LINE: thing\[1\]\.speed_mps: Expected `float`"),
        ('on = "crate"', 'on = "crat"', r"small\.toml:LINE: phone\[1\]\.on: there is no thing 'crat'"),
        ('aboard = "van"', 'aboard = "crate"', r"there is no earlier thing 'crate'"),
        ("[51.95, 4.05]", "[151.95, 4.05]", r"small\.toml:4: scenario\.origin: wants \[latitude, longitude\]"),
        ("06:00:00Z", "06:00:00", r"small\.toml:5: scenario\.start: .* has no offset"),
        ('transport = "mqtt"', 'transport = "mqt"', r"small\.toml:LINE: phone\[1\]\.transport: Expected 'mqtt' .*, got 'mqt'"),
        ('title = "small"', 'title = "small', r"small\.toml:3: "),
        ("speed_mps = 10.0", "speed_mps = inf", r"small\.toml:LINE: thing\[1\]\.speed_mps: .* finite number"),
        ("[[0, 0], [1000, 0]]", "[[0, 0], [nan, 0]]", r"small\.toml:LINE: route\[1\]\.points\[2\]\[1\]: .* finite number"),
        ("[[0, 0], [1000, 0]]", "[[5, 0], [5, 0]]", r"small\.toml:LINE: route\[1\]\.points: leads nowhere"),
        ('aboard = "van"', "length_m = 1.0", r"thing\[2\]\.leaves_s: leaves what"),
        ('transport = "mqtt"', 'transport = "tcp"', r"small\.toml:LINE: phone\[1\]\.transport: a phone speaks mqtt, not tcp"),
        ('transport = "mqtt"', 'transport = "mqtt"\nfaults = { silent = [[9, 9]] }', r"phone\[1\]\.faults: the window 9 to 9"),
        ('transport = "mqtt"', 'transport = "mqtt"\nfaults = { buffered = [[1, 9]], period_s = 5 }', r"longer than its period"),
        ('transport = "mqtt"', 'transport = "mqtt"\nclock_error_s = nan', r"phone\[1\]\.clock_error_s: .* finite number"),
        ('transport = "mqtt"', 'transport = "mqtt"\ninterval_s = 1e-9', r"phone\[1\]\.interval_s: Expected `float` >= 0\.01"),
    ],
)
def test_a_wrong_scenario_is_refused_with_file_line_and_key(old, new, said):
    assert old in SMALL
    line = SMALL[: SMALL.index(old)].count("\n") + 1
    with pytest.raises(ConfigError, match=said.replace("LINE", str(line))):
        scenarios.loads(SMALL.replace(old, new, 1), file="small.toml")


AIS = '[[ais]]\nid = "244990001"\non = "van"\nship_name = "X"\nreceiver = "tag"\ntransport = "udp"\n'
SENSOR = '[[sensor]]\nid = "s%d"\ntransport = "modbus"\nat = [0, 0]\nunit = %d\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (SENSOR % (1, 4) + SENSOR % (2, 4), r"sensor\[2\]\.unit: a second unit 4"),
        (SENSOR % (1, 4) + "door = [[5.0, 1.0]]\n", r"sensor\[1\]\.door: the window 5 to 1"),
        ('[[epc]]\nuri = "urn:epc:tag:sgtin-96:1.06141.8.9"\non = "van"\n', r"epc\[1\]\.uri: cannot be written to a tag"),
        ('[[portal]]\nid = "p"\ntransport = "mqtt"\nat = [0, 0]\ntopic = "a/#"\n', r"portal\[1\]\.topic: wants a topic"),
        (AIS, r"ais\[1\]\.receiver: 'tag' is another device"),
        ('[[warrant]]\nid = "W"\ndevice = "gone"\noperation = "A"\nuntil_s = 9\n', r"warrant\[1\]\.device: there is no"),
        ('[[warrant]]\nid = "W"\ndevice = "tag"\noperation = "A"\nuntil_s = 9\n', r"warrant\[1\]\.operation: there is no"),
        ('[[operation]]\nid = "A"\n[[warrant]]\nid = "W"\ndevice = "tag"\noperation = "A"\nuntil_s = 9\nrules = "x"\n',
         r"warrant\[1\]\.rules: no pack 'x'"),
        ('[[operation]]\nid = "A"\n[[operation]]\nid = "A"\n', r"operation\[2\]\.id: a second operation 'A'"),
        ('[[operation]]\nid = "A"\narea = [[0, 0], [1, 1]]\n', r"operation\[1\]\.area: wants three points"),
    ],
)
def test_devices_and_cases_that_cannot_be(more, said):
    with pytest.raises(ConfigError, match=rf"small\.toml:\d+: {said}"):
        scenarios.loads(SMALL + more, file="small.toml")


def test_a_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml:1: is not UTF-8"):
        scenarios.load(str(tmp_path / "bytes.toml"))


def test_an_unknown_scenario_names_those_that_there_are(tmp_path):
    with pytest.raises(UsageError, match="there are: .*harbour"):
        scenarios.load("harbor")
    with pytest.raises(UsageError, match="no such file"):
        scenarios.load(str(tmp_path / "none.toml"))


def test_the_example_of_the_docs_is_a_scenario():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    s = scenarios.loads(example, file="docs/simulator.md")
    assert [d.id for d in s.devices()] == ["tag-1"]
    assert scenarios.build(s, 1).visible(61.0) == ["van-1", "bag"]


def test_every_table_and_fault_is_in_the_docs():
    import msgspec

    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z_0-9]+", page))
    fields = [f.name for kind in (tables.Scenario, tables.Faults) for f in msgspec.structs.fields(kind)]
    assert not [name for name in fields if name not in words]


def test_a_warrant_of_a_scenario_stands_from_its_start_until_it_says():
    directory = Directory()
    for body in scenarios.registers(scenarios.load("harbour"), 1_790_000_000_123_456_789):  # between two milliseconds
        directory.apply(body)
    (held,) = directory.warrants.held.values()
    begins_ns, ends_ns = held.warrant.from_ns, held.warrant.ends_ns
    asked = [directory.warrants.verdict("tag-21", "HERON", "", t, lat_deg=51.9, lon_deg=4.0)[0]
             for t in (begins_ns - 1, begins_ns, ends_ns - 1, ends_ns)]
    assert asked == ["before_start", "accept", "accept", "expired"] and list(held.placed) == ["tag-21"]
