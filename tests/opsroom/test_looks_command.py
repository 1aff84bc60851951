"""`birddog looks`: what `/v1/looks` answers, of a journal: ranked, and never what no authority allows."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest

from birddog.journal import open_writer
from birddog.model import Attachment, Device, Draft, Fix, FrameBody, Operation, pack
from birddog.units import NS, iso_from_ns
from opsroom.cli import main
from opsroom.console.foreseen import LooksView

NOW_S = 1_790_000_000
EAST = 1.0 / (111_195.0 * math.cos(math.radians(52.0)))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """(journal, archive): a tag of a case that goes east on a lane, its case beside one that is closed."""
    folder, rng = tmp_path_factory.mktemp("looks"), np.random.default_rng(1)
    lines = ["id,t,lat,lon"]
    for boat in range(8):
        begun, speed = NOW_S - 5 * 86_400 + 1800 * boat, rng.uniform(5, 7)
        lines += [f"b{boat},{begun + 60 * k},52.0,{4.0 + speed * 60 * k * EAST:.6f}" for k in range(90)]
    (folder / "past.csv").write_text("\n".join(lines) + "\n")
    assert main(["archive", "build", str(folder / "past.csv"), "--to", str(folder / "archive"), "--horizons", ""]) == 0
    url = f"sqlite:///{folder}/j.db"
    writer = open_writer(url, mode="live")
    drafts = []

    def enter(kind, body, operation="", received_s=NOW_S - 3000):
        drafts.append(Draft(kind=kind, received_ns=received_s * NS, operation=operation, source="test",
                            ident=len(drafts).to_bytes(16, "big"), body=pack(body)))

    for name in ("JAY", "OVER"):
        enter("operation", Operation(operation=name))
        enter("device", Device(device=f"tag-{name}", owner="x"))
        enter("attachment", Attachment(device=f"tag-{name}", shipment=name, operation=name, from_ns=0))
    for k in range(40):
        for name in ("JAY", "OVER"):
            fix = Fix(device=f"tag-{name}", time_ns=(NOW_S - 60 * (40 - k)) * NS, lat_deg=52.0, lon_deg=4.0 + 360.0 * k * EAST,
                      sigma_m=5.0)  # fmt: skip
            body = FrameBody(format="owntracks", version=1, payload=b"x", device=fix.device, observations=(fix,))
            enter("frame", body, name, NOW_S - 60 * (40 - k))
    enter("operation", Operation(operation="OVER", closed=True), received_s=NOW_S)
    writer.append(drafts)
    writer.close()
    return url, str(folder / "archive")


def tracks(url, capsys):
    """The case -> its track's id."""
    assert main(["track", "--journal", url, "--every", "600"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()[1:]]
    return {row[2]: row[1] for row in rows}


def test_looks_are_ranked_as_the_api_ranks_them_and_what_is_barred_says_why(case, capsys):
    url, archive = case
    ids = tracks(url, capsys)
    words = ["--journal", url, "--archive", archive]
    assert main(["looks", ids["tag-JAY"], *words, "--at", iso_from_ns(NOW_S * NS), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    answer = msgspec.convert(said, LooksView)  # the API's words
    assert {look.look for look in answer.looks} == {"wake_tag", "task_tile"}  # a partner's hour is as long as the horizon
    assert all(look.after_km2 <= look.before_km2 for look in answer.looks)
    gains = [look.per_cost_km2 for look in answer.looks]
    assert gains == sorted(gains, reverse=True) and not answer.barred and not answer.why
    assert main(["looks", ids["tag-JAY"], *words]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("look") and "wake_tag" in out and "km²" in out
    assert main(["looks", ids["tag-OVER"], *words, "--json"]) == 0
    over = json.loads(capsys.readouterr().out)
    assert over["looks"] == [] and over["why"] == "no authority allows any"
    assert {b["look"] for b in over["barred"]} == {"wake_tag", "task_tile", "ask_partner"}
    assert {b["why"] for b in over["barred"]} == {"the case is closed"}


@pytest.mark.parametrize("words, said", [
    (["T999"], "no track of this id"),
    (["T999", "--horizon", "0"], "--horizon: expected minutes from 1 to 44640"),
    (["T999", "--horizon", "60000"], "--horizon: expected minutes from 1 to 44640"),
    (["T999", "--at", "yesterday"], "--at"),
])  # fmt: skip
def test_what_cannot_be_asked_is_one_line(case, capsys, words, said):
    url, archive = case
    assert main(["looks", *words, "--journal", url, "--archive", archive]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert main(["looks", "T1", "--journal", url]) == 2
    assert "no tracks of the past" in capsys.readouterr().err
    assert main(["looks", "T1", "--journal", url, "--archive", "/nowhere"]) == 2
    assert "/nowhere" in capsys.readouterr().err


def test_archive_and_costs_may_stand_in_the_configuration_and_what_is_wrong_there_is_one_line(case, tmp_path, capsys):
    url, archive = case
    track, config = tracks(url, capsys)["tag-JAY"], tmp_path / "birddog.toml"
    config.write_text(f'[forecast]\narchive = "{archive}"\n[forecast.looks.task_tile]\ncost = 0.25\n')
    words = ["looks", track, "--journal", url, "--at", iso_from_ns(NOW_S * NS), "--config", str(config)]
    assert main([*words, "--json"]) == 0
    costs = {look["look"]: look["cost"] for look in json.loads(capsys.readouterr().out)["looks"]}
    assert costs == {"wake_tag": 1.0, "task_tile": 0.25}
    wrong = (("[forecast.looks.ask_oracle]\ncost = 1\n", "ask_oracle"), ("[forecast]\nhorizons_min = []\n", "horizons_min"),
             ("[forecast\n", "birddog.toml:1"), ("[forecast]\n", "no tracks of the past"))  # fmt: skip
    for text, said in wrong:
        config.write_text(text)
        assert main(words) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.splitlines()) == 1 and "fault" not in err
    assert main([*words[:-1], str(tmp_path / "none.toml")]) == 2
    assert "none.toml: cannot be read" in capsys.readouterr().err


def test_looks_of_a_past_moment_rest_on_nothing_of_later(tmp_path, capsys):
    """The journal and the archive go on after the moment, or end there: the same looks, at a moment that nobody chose."""
    rng = np.random.default_rng(4)
    boats = [(f"b{boat}", NOW_S - 7200 + 1800 * boat + 60 * k, 4.0 + speed * 60 * k * EAST)
             for boat in range(-8, 5) for speed in [rng.uniform(5, 7)] for k in range(90)]  # fmt: skip

    def made(name, until_s):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "past.csv").write_text("id,t,lat,lon\n" + "".join(
            f"{who},{t},52.0,{lon:.6f}\n" for who, t, lon in boats if t <= until_s))  # fmt: skip
        words = ["archive", "build", str(folder / "past.csv"), "--to", str(folder / "archive"), "--horizons", ""]
        assert main(words) == 0
        url = f"sqlite:///{folder}/j.db"
        bodies = [("operation", Operation(operation="JAY"), "", NOW_S - 3000),
                  ("device", Device(device="tag", owner="x"), "", NOW_S - 3000),
                  ("attachment", Attachment(device="tag", shipment="JAY", operation="JAY", from_ns=0), "",
                   NOW_S - 3000)]  # fmt: skip
        for k in range(40):
            at_s = NOW_S - 60 * (40 - k)
            fix = Fix(device="tag", time_ns=at_s * NS, lat_deg=52.0, lon_deg=4.0 + 360.0 * k * EAST, sigma_m=5.0)
            bodies.append(("frame", FrameBody(format="owntracks", version=1, payload=b"x", device="tag", observations=(fix,)),
                           "JAY", at_s))  # fmt: skip
        writer = open_writer(url, mode="live")
        writer.append([Draft(kind=kind, received_ns=at_s * NS, operation=operation, source="test",
                             ident=k.to_bytes(16, "big"), body=pack(body))
                       for k, (kind, body, operation, at_s) in enumerate(bodies) if at_s <= until_s])  # fmt: skip
        writer.close()
        capsys.readouterr()
        return url, str(folder / "archive")

    whole = made("whole", NOW_S + 86_400)
    track = tracks(whole[0], capsys)["tag"]
    for n, at_s in enumerate(rng.integers(NOW_S - 1800, NOW_S - 60, 1).tolist()):
        told = []
        for url, archive in (whole, made(f"cut{n}", at_s)):
            words = ["--journal", url, "--archive", archive, "--at", iso_from_ns(at_s * NS), "--json"]
            assert main(["looks", track, *words]) == 0
            answer = json.loads(capsys.readouterr().out)
            answer.pop("archive", None)  # its hash and span are those of each
            told.append(answer)
        assert told[0]["looks"] and told[0] == told[1]
