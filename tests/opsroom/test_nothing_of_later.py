"""No answer rests on what came after its t0: everything later is dropped, moved or hurried, and the same bytes come out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from birddog.units import NS, ns_from_text
from opsroom.cli import main

BEGIN_S, EVERY_S = 1_780_000_000, 300
T0_S = BEGIN_S + 16 * 3600 + 600


def passage(begun_s, speed_mps, rng):
    """East for 20 km, then north; an hour at anchor; on."""
    rows = []
    for k in range(60):
        s = speed_mps * EVERY_S * (k if k < 14 else max(14, k - 12))
        rows.append((begun_s + EVERY_S * k, 30.0 + max(s - 20_000.0, 0.0) / 111_195.0 + rng.normal(0, 2e-5),
                     32.0 + min(s, 20_000.0) / 96_300.0 + rng.normal(0, 2e-5)))  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def rows():
    """(archive, asked): passages an hour apart over t0, and one that is on its way then, one that stands."""
    rng = np.random.default_rng(6)
    archive = [(f"v{k}", *row) for k in range(24) for row in passage(BEGIN_S + 3600 * k, rng.uniform(5.0, 7.0), rng)]
    begun = {"a": T0_S - 1500, "c": T0_S - 5400}
    return archive, [(name, *row) for name, t in begun.items() for row in passage(t, 6.0, rng)]


def dropped(rows):
    return [r for r in rows if r[1] <= T0_S]


def moved(rows):
    return [r if r[1] <= T0_S else (r[0], r[1], r[2] + 0.02, r[3] - 0.03) for r in rows]


def hurried(rows):
    return [r if r[1] <= T0_S else (r[0], T0_S + (r[1] - T0_S) // 7 + 1, r[2] + 0.2, r[3]) for r in rows]


def shuffled(rows):
    order = np.random.default_rng(1).permutation(len(rows))
    return [rows[k] for k in order]


def write(path, rows):
    path.write_text("id,t,lat,lon\n" + "".join(f"{i},{t},{a:.7f},{o:.7f}\n" for i, t, a, o in rows), encoding="utf-8")
    return str(path)


ASKED = {
    "forecast": ("id,t0,horizon_min", ("15", "60")),
    "eta": ("id,t0,dest_lat,dest_lon,radius_m", ("30.05,32.2077,800", "29.0,32.0,500")),
    "intercept": ("id,t0,unit_lat,unit_lon,speed_mps,unit", ("30.06,32.1,12,boat",)),
}


@pytest.mark.parametrize("command", ASKED)
def test_forecasts_arrivals_and_meetings(rows, tmp_path, capsys, command):
    head, questions = ASKED[command]
    at = tmp_path / "at.csv"
    at.write_text(head + "\n" + "".join(f"{i},{T0_S},{q}\n" for i in "ac" for q in questions), encoding="utf-8")
    answers = {}
    for name, others, own in (("as it is", list, list), ("dropped", dropped, hurried), ("moved", moved, shuffled),
                              ("hurried", hurried, dropped)):  # fmt: skip
        archive, asked = write(tmp_path / "archive.csv", others(rows[0])), write(tmp_path / "asked.csv", own(rows[1]))
        words = [command, "--archive", archive, "--tracks", asked, "--at", str(at)]
        if command == "forecast":
            words += ["--regions", str(tmp_path / "regions.json")]
        assert main(words) == 0
        answers[name] = capsys.readouterr().out
        if command == "forecast":
            answers[name] += (tmp_path / "regions.json").read_text(encoding="utf-8")
    first = answers.pop("as it is")
    assert len(first.splitlines()) >= 3 and any(line.count(",,") == 0 for line in first.splitlines()[1:])
    for name, answer in answers.items():
        assert answer == first, name


@pytest.mark.parametrize("command", ("forecast", "eta"))
def test_questions_in_another_order_or_alone_and_of_others_beside(rows, tmp_path, capsys, command):
    head, questions = ASKED[command]
    archive = write(tmp_path / "archive.csv", rows[0])
    asked = [f"{i},{t0},{q}" for t0 in (T0_S, T0_S - 9000, T0_S + 3600) for i in "ac" for q in questions]
    strange = [("z", t, a + 0.01, o) for _, t, a, o in rows[1]]

    def answers(lines, tracks):
        at = tmp_path / "at.csv"
        at.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
        assert main([command, "--archive", archive, "--tracks", write(tmp_path / "t.csv", tracks), "--at", str(at)]) == 0
        return capsys.readouterr().out.splitlines()[1:]

    together = answers(asked, rows[1])
    assert answers(asked[::-1], rows[1])[::-1] == together
    assert [line for one in asked[::3] for line in answers([one], [*strange, *rows[1]])] == together[::3]


def test_one_identity_of_two_things_is_parted_by_what_was_known(tmp_path, capsys):
    """Two vessels under one identity, and strands of one or two fixes that have more later."""
    rng = np.random.default_rng(2)
    archive = [(f"v{k}", *row) for k in range(16) for row in passage(BEGIN_S + 3600 * k, rng.uniform(5.0, 7.0), rng)]
    far = [("v3", t + 7, a + 4.0, o) for i, t, a, o in archive if i == "v3"]
    jumps = [("v14", T0_S + s, 34.0, 40.0 + s / 1e5) for s in (-70, -11, 90, 400, 800)]
    asked = [("a", *row) for row in passage(T0_S - 1500, 6.0, rng)]
    at = tmp_path / "at.csv"
    at.write_text(f"id,t0,horizon_min\na,{T0_S},15\na,{T0_S},60\n", encoding="utf-8")
    told = []
    for change in (list, dropped, hurried):
        words = ["--archive", write(tmp_path / "archive.csv", change([*archive, *far, *jumps])), "--at", str(at)]
        assert main(["forecast", *words, "--tracks", write(tmp_path / "asked.csv", asked)]) == 0
        told.append(capsys.readouterr().out)
    assert len(told[0].splitlines()) == 3 and told.count(told[0]) == 3


def test_events_that_had_ended(rows, tmp_path, capsys):
    both = [*rows[0], *rows[1]]
    told = []
    for change in (list, dropped, moved, hurried):
        assert main(["events", "--tracks", write(tmp_path / "t.csv", change(both))]) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        # that a silence, or the lack of company, has ended something is known an hour later
        over = [e for e in events if e["end"] is not None and ns_from_text(e["end"]) < (T0_S - 3600) * NS]
        told.append(sorted(json.dumps(e, sort_keys=True) for e in over))
    assert told[0] and told.count(told[0]) == len(told)
    assert "stop" in {json.loads(e)["kind"] for e in told[0]}


def cut(rows, t0_s):
    return [r for r in rows if r[1] <= t0_s]


@pytest.mark.parametrize("command", ASKED)
def test_at_random_times_the_cut_input_gives_the_same_answer(rows, tmp_path, capsys, command):
    """Both the archive and the asked are cut at moments that nobody chose, on no minute and in no pause."""
    head, questions = ASKED[command]
    at = tmp_path / "at.csv"
    rng = np.random.default_rng([5, len(command)])
    answered = 0
    for t0_s in rng.integers(BEGIN_S + 5 * 3600, BEGIN_S + 24 * 3600, 2).tolist():
        asked = [("a", *row) for row in passage(t0_s - int(rng.integers(1200, 6000)), 6.0, rng)]
        at.write_text(head + "\n" + "".join(f"a,{t0_s},{q}\n" for q in questions), encoding="utf-8")
        told = []
        for archive, own in ((rows[0], asked), (cut(rows[0], t0_s), cut(asked, t0_s)), (cut(rows[0], t0_s), asked)):
            words = ["--archive", write(tmp_path / "archive.csv", archive), "--tracks", write(tmp_path / "t.csv", own)]
            assert main([command, *words, "--at", str(at)]) == 0
            told.append(capsys.readouterr().out)
        answered += sum(line.count(",,") == 0 for line in told[0].splitlines()[1:])
        assert told.count(told[0]) == len(told), t0_s
    assert answered


def test_events_that_had_ended_at_random_times(rows, tmp_path, capsys):
    """And what began before the cut and lasts over it is open in the cut file, with the same beginning."""
    both = [*rows[0], *rows[1]]

    def events(some):
        assert main(["events", "--tracks", write(tmp_path / "t.csv", some)]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    whole, open_stops = events(both), 0
    for t0_s in np.random.default_rng(8).integers(BEGIN_S + 4 * 3600, BEGIN_S + 26 * 3600, 5).tolist():
        then = events(cut(both, t0_s))
        over = [sorted(json.dumps(e, sort_keys=True) for e in some
                       if e["end"] is not None and ns_from_text(e["end"]) < (t0_s - 3600) * NS) for some in (whole, then)]
        assert over[0] and over[0] == over[1], t0_s
        began = {(e["id"] if "id" in e else json.dumps(e.get("ids")), e["start"]) for e in whole if e["kind"] == "stop"}
        lasting = [e for e in then if e["kind"] == "stop" and e["end"] is None]
        open_stops += len(lasting)
        assert all((e["id"] if "id" in e else json.dumps(e.get("ids")), e["start"]) in began for e in lasting), t0_s
    assert open_stops
