"""Each verdict on both sides of its boundary, and a second model written from the rules alone.

Over 400 lines: warrants, areas and the model that is held against both, which a lawyer reads together.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from birddog import areas
from birddog.areas import UNIT, area_of, check_holes
from birddog.authority import VERDICTS, Authority
from birddog.errors import UsageError
from birddog.units import NS, ns_from_text
from birddog.warrant_json import warrant_of, warrants_of
from opsroom import cli

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "predict" / "authority"
BOX = {"type": "Polygon", "coordinates": [[[10, 50], [12, 50], [12, 52], [10, 52], [10, 50]]]}
SAID = {
    "id": "W1",
    "device": "D1",
    "issued": "2026-03-01T00:00:00Z",
    "install_by": "2026-03-11T00:00:00Z",
    "installed": "2026-03-05T12:00:00Z",
    "use_from": "2026-03-05T13:00:00Z",
    "use_until": "2026-03-20T00:00:00+01:00",
    "jurisdiction": BOX,
    "revoked_at": "2026-03-15T00:00:00.000Z",
}


def verdict(t="2026-03-10T00:00:00Z", lat=51.0, lon=11.0, device="D1", **changed) -> str:
    said = {name: value for name, value in (SAID | changed).items() if value is not ...}
    return Authority([warrant_of(said)]).verdict(device, ns_from_text(t), lat_deg=lat, lon_deg=lon)


@pytest.mark.parametrize(
    "said, words",
    [
        ("accept", {}),
        ("no_authority", dict(device="D2")),
        ("accept", dict(installed="2026-03-11T00:00:00Z")),
        ("installed_late", dict(installed="2026-03-11T00:00:00.000000001Z")),
        ("before_start", dict(t="2026-03-05T12:59:59.999999999Z")),
        ("accept", dict(t="2026-03-05T14:00:00+01:00")),
        ("accept", dict(t="2026-03-19T22:59:59.999Z", revoked_at=...)),
        ("expired", dict(t="2026-03-19T23:00:00Z")),
        ("accept", dict(t="2026-03-14T23:59:59.999Z")),
        ("revoked", dict(t="2026-03-15T00:00:00Z")),
        ("accept", dict(lat=50.0)),
        ("accept", dict(lat=52.0)),
        ("accept", dict(lon=10.0)),
        ("accept", dict(lat=52.0, lon=12.0)),
        ("outside_jurisdiction", dict(lat=49.999999999)),
        ("outside_jurisdiction", dict(lon=12.000000001)),
        ("accept", dict(lat=-89.0, lon=0.0, jurisdiction=None)),
        # the first that holds is the verdict
        ("installed_late", dict(installed="2026-03-12T00:00:00Z", t="2026-03-01T00:00:00Z", lat=0.0)),
        ("before_start", dict(t="2026-03-01T00:00:00Z", revoked_at="2026-03-01T00:00:00Z", lat=0.0)),
        ("expired", dict(t="2026-03-21T00:00:00Z", lat=0.0)),
        ("revoked", dict(t="2026-03-16T00:00:00Z", lat=0.0)),
        ("accept", dict(installed=..., t="2026-03-06T00:00:00Z")),
    ],
)
def test_each_verdict_on_both_sides_of_its_boundary(said, words):
    assert verdict(**words) == said


def test_of_several_warrants_one_that_accepts_is_enough():
    first = warrant_of(SAID)
    then = warrant_of(
        {**SAID, "id": "W2", "use_from": "2026-04-01T00:00:00Z", "use_until": "2026-04-02T00:00:00Z", "revoked_at": None}
    )
    for order in ([first, then], [then, first]):
        authority = Authority(order)
        asked = [
            authority.verdict("D1", ns_from_text(t), lat_deg=51.0, lon_deg=11.0)
            for t in ("2026-03-10T00:00:00Z", "2026-03-25T00:00:00Z", "2026-04-01T12:00:00Z", "2026-04-03T00:00:00Z")
        ]
        assert asked == ["accept", "expired", "accept", "expired"]


def ring(*positions):
    return {"type": "Polygon", "coordinates": [[list(p) for p in (*positions, positions[0])]]}


@pytest.mark.parametrize(
    "written",
    [
        ring((179, -1), (-179, -1), (-179, 1), (179, 1)),
        ring((179, -1), (181, -1), (181, 1), (179, 1)),
        ring((-181, 1), (-179, 1), (-179, -1), (-181, -1)),
        {
            "type": "MultiPolygon",
            "coordinates": [
                ring((179, -1), (180, -1), (180, 1), (179, 1))["coordinates"],
                ring((-180, -1), (-179, -1), (-179, 1), (-180, 1))["coordinates"],
            ],
        },
    ],
    ids=["jump", "beyond", "below", "two"],
)
def test_an_area_over_the_antimeridian_however_it_is_written(written):
    area = area_of(written)
    inside = {
        lon: area.contains(lat_deg=0.0, lon_deg=lon)
        for lon in (180.0, -180.0, 179.0, -179.0, 179.5, -179.5, 178.999, -178.999, 0.0)
    }
    assert inside == dict.fromkeys((180.0, -180.0, 179.0, -179.0, 179.5, -179.5), True) | dict.fromkeys(
        (178.999, -178.999, 0.0), False
    )


def test_a_hole_is_outside_and_its_edge_inside():
    area = area_of(
        {
            "type": "Polygon",
            "coordinates": [*BOX["coordinates"], [[10.5, 50.5], [11.5, 50.5], [11.5, 51.5], [10.5, 51.5], [10.5, 50.5]]],
        }
    )
    assert [area.contains(lat_deg=51.0, lon_deg=lon) for lon in (10.25, 10.5, 10.500000001, 11.0, 11.5, 11.75)] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]


def test_a_slanted_edge_is_decided_exactly_whichever_way_it_is_written():
    """1/3 has no last digit: the edge from (0, 0) to (3, 1) passes exactly through (0.3, 0.1), which no binary number is."""
    corners = [(0, 0), (3, 1), (0, 1)]
    for order in (corners, corners[::-1], corners[1:] + corners[:1]):
        area = area_of(ring(*order))
        assert area.contains(lat_deg=0.1, lon_deg=0.3)
        assert not area.contains(lat_deg=0.099999999, lon_deg=0.3)


def test_edges_are_straight_on_the_map_unless_the_area_says_great_circles():
    """From (0, 60) to (90, 60) the great circle passes the meridian 45 at atan(tan 60 / cos 45) = 67.79 degrees."""
    box = ring((0, 60), (90, 60), (90, 80), (0, 80))
    north = math.degrees(math.atan(math.tan(math.radians(60)) / math.cos(math.radians(45))))
    assert area_of(box).contains(lat_deg=60.0, lon_deg=45.0)
    arcs = area_of(box | {"edges": "geodesic"})
    assert not arcs.contains(lat_deg=north - 1e-6, lon_deg=45.0)
    assert arcs.contains(lat_deg=north + 1e-6, lon_deg=45.0)


def test_a_long_ring_answers_as_a_short_one(monkeypatch):
    rng = random.Random(7)
    for kind in ("straight", "geodesic"):
        turns = [(n * math.tau / 200, rng.uniform(2.0, 3.0)) for n in range(200)]
        corners = [(179 + r * math.cos(a), 50 + r * math.sin(a)) for a, r in turns]
        area = area_of(ring(*[(round(x, 3), round(y, 3)) for x, y in corners]) | {"edges": kind})
        asked = [(rng.uniform(175, 183), rng.uniform(46, 54)) for _ in range(300)] + list(area.polygons[0][0])
        asked = [(x / UNIT, y / UNIT) if isinstance(x, int) else (x, y) for x, y in asked]

        def answers(area=area, asked=asked):
            return [area.contains(lat_deg=y, lon_deg=x if x <= 180 else x - 360) for x, y in asked]

        found = answers()
        monkeypatch.setattr("birddog.areas.LONG", 10**9)
        assert answers() == found and 50 < sum(found) < len(found) - 50
        monkeypatch.undo()


def naive(said: dict, t: Fraction, x: Fraction, y: Fraction) -> str:
    """The rules once more, from the text of docs/authority.md alone, in fractions."""
    s = {
        name: Fraction(ns_from_text(said[name]), NS)
        for name in ("install_by", "installed", "use_from", "use_until", "revoked_at")
        if name in said
    }
    if s["installed"] > s["install_by"]:
        return "installed_late"
    if t < s["use_from"]:
        return "before_start"
    if t >= s["use_until"]:
        return "expired"
    if "revoked_at" in s and t >= s["revoked_at"]:
        return "revoked"
    outer, *holes = said["jurisdiction"]["coordinates"]
    if naive_ring(outer, x, y) == "out" or any(naive_ring(hole, x, y) == "in" for hole in holes):
        return "outside_jurisdiction"
    return "accept"


def naive_ring(ring: list, x: Fraction, y: Fraction) -> str:
    """Rays to the east, where birddog.areas looks north."""
    odd = False
    vertices = [(Fraction(str(a)), Fraction(str(b))) for a, b in ring]
    for (x0, y0), (x1, y1) in zip(vertices, vertices[1:], strict=False):
        if min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1) and (x1 - x0) * (y - y0) == (y1 - y0) * (x - x0):
            return "on"
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return "in" if odd else "out"


def test_a_second_model_of_the_rules_agrees_on_random_warrants_and_pings():
    rng, seen = random.Random(1988), dict.fromkeys(VERDICTS[1:], 0)
    for _ in range(400):
        said, pings = _made(rng)
        warrant = warrant_of(said)
        for t, x, y in pings:
            found = warrant.verdict(int(t * NS), lat_deg=float(y), lon_deg=float(x))
            assert found == naive(said, t, x, y), (said, t, x, y)
            seen[found] += 1
    assert min(seen.values()) > 100, seen


def _made(rng: random.Random) -> tuple[dict, list[tuple[Fraction, Fraction, Fraction]]]:
    """A warrant of few numbers, so that pings meet its boundaries exactly."""
    base = 1_770_000_000
    begin, end = sorted(rng.sample(range(20), 2))
    step = rng.choice((0.1, 0.25, 1.0))
    x0, y0 = rng.randrange(-170, 170), rng.randrange(-80, 80)

    def box(a, b):
        return [
            [round(x0 + step * px, 3), round(y0 + step * py, 3)]
            for px, py in ((a, a), (b, a), (b, b), (rng.choice((a, (a + b) / 2)), b), (a, a))
        ]

    said = {
        "id": "W",
        "device": "D",
        "issued": str(base - 1000),
        "install_by": str(base),
        "installed": str(base + rng.choice((-2, -1, 0, 1))),
        "use_from": str(base + begin),
        "use_until": str(base + end),
        "jurisdiction": {"type": "Polygon", "coordinates": [box(0, 8), box(2, 4)]},
    }
    if rng.random() < 0.4:
        said["revoked_at"] = str(base + rng.randrange(20))
    pings = [
        (
            Fraction(2 * base + rng.randrange(-2, 42), 2),
            Fraction(str(round(x0 + step * rng.randrange(-1, 10), 3))),
            Fraction(str(round(y0 + step * rng.randrange(-1, 10), 3))),
        )
        for _ in range(25)
    ]
    return said, pings


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(use_from="2026-03-05T13:00:00"), "use_from"),
        (dict(use_until="2026-03-05T13:00:00Z"), "use_until: not after use_from"),
        (dict(install_by="2026-02-01T00:00:00Z"), "install_by: not after issued"),
        (dict(jurisdiction=...), "jurisdiction: missing"),
        (dict(device=" "), "device"),
        (dict(id=7), "id"),
        (dict(until="x"), "until: not known"),
        (dict(installed=True), "installed"),
        (dict(jurisdiction={"type": "Point", "coordinates": [1, 2]}), "Polygon"),
        (dict(jurisdiction=ring((0, 0), (1, 1), (1, 0), (0, 1))), "crosses itself"),
        (dict(jurisdiction=ring((0, 0), (1, 1))), "four positions"),
        (dict(jurisdiction=ring((0, 0), (1, 1), (2, 2))), "encloses nothing"),
        (dict(jurisdiction={"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}), "not closed"),
        (dict(jurisdiction=ring((0, 0), (1, 0), (1, 95))), "no position on Earth"),
        (dict(jurisdiction=ring((0, 0), (1, 0), (1, "1"))), "longitude, latitude"),
        (dict(jurisdiction=ring((-120, 60), (0, 60), (120, 60))), "round a pole"),
        (dict(jurisdiction=BOX | {"edges": "rhumb"}), "edges"),
        (dict(jurisdiction=BOX | {"radius": 3}), "unknown member 'radius'"),
    ],
)
def test_a_warrant_that_cannot_stand_is_refused_by_line_and_member(change, words, tmp_path, capsys):
    said = {name: value for name, value in (SAID | change).items() if value is not ...}
    (tmp_path / "w.json").write_text(json.dumps([SAID | {"id": "W0"}])[:-1] + ",\n" + json.dumps(said) + "]")
    (tmp_path / "p.csv").write_text("device,t,lat,lon\nD1,2026-03-10T00:00:00Z,51,11\n")
    assert cli.main(["authority", "check", "--warrants", str(tmp_path / "w.json"), "--pings", str(tmp_path / "p.csv")]) == 2
    out, err = capsys.readouterr()
    assert not out and words in err and "w.json:2: " in err and err.count("\n") == 1


def test_a_file_that_can_be_read_once_alone_is_read_once(tmp_path):
    """Warrants through a pipe: the member that cannot stand is named by its line all the same."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as pipe:
        pipe.write(json.dumps([SAID | {"id": "W0"}])[:-1] + ",\n" + json.dumps(SAID | {"until": "x"}) + "]")
    (tmp_path / "p.csv").write_text("device,t,lat,lon\n")
    words = ["authority", "check", "--warrants", f"/dev/fd/{read}", "--pings", str(tmp_path / "p.csv")]
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], pass_fds=(read,), capture_output=True, text=True,
                          timeout=60)
    os.close(read)
    assert done.returncode == 2 and f"/dev/fd/{read}:2: " in done.stderr


def test_posix_seconds_may_have_a_point():
    """As other programs write whole seconds, and as nobody can write half ones otherwise."""
    said = (1772402400, 1772402400.0, "1772402400.0", 1772402400.5)
    made = [warrant_of({**SAID, "use_from": value}).from_ns for value in said]
    assert [ns - made[0] for ns in made] == [0, 0, 0, NS // 2]
    for value in (1e30, True):
        with pytest.raises(UsageError, match="use_from"):
            warrant_of({**SAID, "use_from": value})


def test_two_warrants_of_one_id_are_refused():
    with pytest.raises(UsageError, match="f.json:9: id: 'W1' stands twice"):
        warrants_of([SAID, SAID], file="f.json", lines={0: 1, 1: 9})


def test_the_command_answers_row_by_row_and_names_what_it_leaves_out(tmp_path, capsys):
    (tmp_path / "w.json").write_text("\n[\n" + json.dumps(SAID) + "\n]\n")
    (tmp_path / "p.csv").write_text(
        "lat,lon,device,t\n51,11,D1,2026-03-10T02:00:00+02:00\n51,nan,D1,2026-03-10T00:00:00Z\n91,11,D1,1772000000\n"
        '51,11,"D,2",1773100800\n51,11,D1,2026-03-10\n'
    )
    assert cli.main(["authority", "check", "--warrants", str(tmp_path / "w.json"), "--pings", str(tmp_path / "p.csv")]) == 0
    out, err = capsys.readouterr()
    assert out == 'device,t,verdict\nD1,2026-03-10T00:00:00.000Z,accept\n"D,2",2026-03-10T00:00:00.000Z,no_authority\n'
    assert [line.split(": ")[0].rsplit("/", 1)[1] for line in err.splitlines()] == ["p.csv:3", "p.csv:4", "p.csv:6"]


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not here")
def test_the_public_pings_get_their_verdicts():
    said = json.loads((DATA / "warrants.json").read_text())
    authority = Authority(warrants_of(said, file="warrants.json", lines={}))
    with (DATA / "pings_verdicts.csv").open() as source:
        wrong = [
            row
            for row in csv.DictReader(source)
            if authority.verdict(row["device"], ns_from_text(row["t"]), lat_deg=float(row["lat"]), lon_deg=float(row["lon"]))
            != row["verdict"]
        ]
    assert not wrong


def _box(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


@pytest.mark.parametrize("rings, words", [
    ([_box(0, 0, 10, 10), _box(1, 1, 2, 2)], ""),
    ([_box(0, 0, 10, 10), _box(0, 1, 2, 2)], ""),  # touches
    ([_box(170, 0, 190, 10), _box(-179, 1, -178, 2)], ""),  # the same meridians, written in two ways
    ([_box(-190, 0, -170, 10), [[179, 1], [-179, 1], [-179, 2], [179, 2], [179, 1]]], ""),
    ([_box(0, 0, 10, 10), _box(20, 1, 22, 2)], "[1]: a hole that is not within"),
    ([_box(0, 0, 10, 10), _box(1, 1, 2, 2), _box(8, 1, 12, 2)], "[2]: a hole that is not within"),
    ([_box(0, 0, 10, 10), [[5, -1], [6, -1], [6, 11], [5, 11], [5, -1]]], "not within"),
    ([[[0, 0], [10, 0], [10, 10], [5, 3], [0, 10], [0, 0]], [[0, 9], [10, 9], [10, 9.5], [0, 9.5], [0, 9]]], "not within"),
    ([_box(0, 0, 10, 10), _box(0, 0, 10, 10)], "leaves nothing"),
    ([_box(0, 0, 10, 10), _box(-1, -1, 11, 11)], "leaves nothing"),
])  # fmt: skip
def test_a_hole_is_within_its_polygon(rings, words):
    """Of what is entered; a warrant that stood in a journal before this was asked goes on standing."""
    parts = {"type": "MultiPolygon", "coordinates": [[_box(40, 40, 41, 41)], rings]}
    for area, at in (({"type": "Polygon", "coordinates": rings}, "coordinates"), (parts, "coordinates[1]")):
        if not words:
            check_holes(area_of(area))
            continue
        with pytest.raises(ValueError) as caught:
            check_holes(area_of(area))
        assert words in str(caught.value) and str(caught.value).startswith(at)


def test_a_hole_under_arcs_has_its_corners_inside():
    """At 60 degrees an arc over 90 degrees of longitude bulges to 67.8."""
    box = {"type": "Polygon", "edges": "geodesic", "coordinates": [_box(0, 0, 90, 60), _box(44, 65, 46, 66)]}
    check_holes(area_of(box))
    with pytest.raises(ValueError, match="not within"):
        check_holes(area_of(box | {"edges": "straight"}))


def test_one_object_is_a_file_of_one_warrant(tmp_path, capsys):
    said = json.dumps(SAID)
    for text in (said, f"[{said}]"):
        (tmp_path / "w.json").write_text(text)
        (tmp_path / "p.csv").write_text("device,t,lat,lon\nD1,2026-03-05T13:00:00Z,51,11\nD2,2026-03-05T13:00:00Z,51,11\n")
        assert cli.main(["authority", "check", "--warrants", str(tmp_path / "w.json"), "--pings", str(tmp_path / "p.csv")]) == 0
        assert [row.rpartition(",")[2] for row in capsys.readouterr().out.splitlines()[1:]] == ["accept", "no_authority"]
    (tmp_path / "w.json").write_text(json.dumps(SAID | {"use_until": "x"}))
    assert cli.main(["authority", "check", "--warrants", str(tmp_path / "w.json"), "--pings", str(tmp_path / "p.csv")]) == 2
    assert "w.json:1: use_until: " in capsys.readouterr().err


def test_of_a_few_edges_and_of_many_it_is_asked_alike_whether_they_cross(monkeypatch):
    """A ring that crosses itself is refused however long it is, and whichever way it is looked through."""
    rng, seen = random.Random(7), set()
    for n in (3, 4, 6, 12, 40, 90):
        for grid in (None, 4, 9):
            for _ in range(25):
                star = [(math.cos(turn) * r, math.sin(turn) * r) for turn in sorted(rng.uniform(0, 6.28) for _ in range(n))
                        for r in [rng.uniform(0.2, 1.0)]]  # fmt: skip
                if rng.random() < 0.5:
                    k = rng.randrange(n - 1)
                    star[k], star[k + 1] = star[k + 1], star[k]
                ring = [(round(x * (grid or 1)) * UNIT // grid, round(y * grid) * UNIT // grid) if grid
                        else (round(x * UNIT), round(y * UNIT)) for x, y in star]  # fmt: skip
                ring = [p for k, p in enumerate([*ring, ring[0]]) if k == 0 or p != ring[k - 1]]
                if len(ring) < 3:
                    continue
                wanted = exactly_crosses(ring)
                few = areas._crossing_of_few(ring)
                for pairs in (1, 7, 1 << 19):
                    monkeypatch.setattr(areas, "PAIRS", pairs)
                    many = areas._crossing_of(*areas._ends(ring))
                    assert (few is not None, many is not None) == (wanted, wanted), ring
                seen.add(wanted)
    assert seen == {True, False}


def exactly_crosses(ring) -> bool:
    """In fractions and by hand: two edges cross properly where each parts the ends of the other."""
    def turn(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    edges = list(zip(ring, ring[1:], strict=False))
    return any(turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0
               for n, (a, b) in enumerate(edges) for c, d in edges[n + 1 :])


def test_a_ring_that_touches_itself_on_a_slanted_edge_does_not_cross():
    """0.3 * 0.3 and 0.9 * 0.1 differ in their last digit: what lies on an edge was said to cross it."""
    ring = [[0.0, 0.0], [0.3, 0.9], [-1.0, 0.9], [0.1, 0.3], [-1.0, 0.0], [0.0, 0.0]]
    area = area_of({"type": "Polygon", "coordinates": [ring]})
    assert area.contains(lat_deg=0.3, lon_deg=0.1)


def box(west, south, east, north):
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def test_an_edge_of_half_a_turn_goes_as_it_is_written():
    for west, east, inside, outside in ((0, 180, (0, 90, 180, -180), (-90, -1)), (-90, 90, (0, -90, 90), (91, 179, -91)),
                                        (-180, 0, (-90, 180, 0), (90, 1))):  # fmt: skip
        area = area_of(box(west, -80, east, 80))
        assert all(area.contains(lat_deg=0, lon_deg=x) for x in inside)
        assert not any(area.contains(lat_deg=0, lon_deg=x) for x in outside)


@pytest.mark.parametrize("west, east, stands", [(-20, 180, False), (-100, 100, False), (-134, 135, False), (-135, 135, True),
                                                (170, -170, True), (-170, 170, True), (170, 190, True), (100, 280, True)])
def test_an_edge_that_may_go_either_way_round_is_refused_when_it_is_entered(west, east, stands):
    """A box from -20 to 180 was read as the other half of the world: of a warrant for the one the other was followed."""
    said = [SAID | {"jurisdiction": box(west, -10, east, 10)}]
    if stands:
        assert warrants_of(said, file="w", lines={})
        return
    with pytest.raises(UsageError, match=f"from {west} to {east} may go either way round") as found:
        warrants_of(said, file="w", lines={0: 3})
    assert (found.value.field, found.value.line) == ("jurisdiction", 3)
    assert warrant_of(said[0]).area is not None  # one that stands is in force as it was


@pytest.mark.parametrize("name", ["id", "device", "case"])
def test_a_name_with_a_space_at_its_end_is_nobodys(name):
    with pytest.raises(UsageError, match="a space"):
        warrants_of([SAID | {name: "D1 "}], file="w", lines={})
