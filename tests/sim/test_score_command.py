"""`birddog sim score`, `enrol`, `list` and `check` on a journal made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from birddog.geo import LocalFrame
from birddog.journal import open_reader, open_writer
from birddog.model import Draft, Fix, FrameBody, Start, pack
from birddog.units import NS, iso_from_ns
from opsroom import cli

FRAME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
T0 = 1_772_431_200 * NS


def birddog(*args: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "opsroom.cli", *args], capture_output=True, text=True, timeout=120, cwd=cwd,
                          env={**os.environ})  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A van that drives east at 10 m/s for two minutes, told right each 5 s; the truth of it and of a ship nobody reports."""
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="exercise")
    drafts = [Draft(kind="start", received_ns=T0, source="test", ident=b"start",
                    body=pack(Start(version="1", presets={}, exercise=True)))]
    for k in range(25):
        at_ns = T0 + 5 * k * NS
        lat, lon = FRAME.geodetic(50.0 * k, 0.0)
        fix = Fix(device="tag", time_ns=at_ns, lat_deg=lat, lon_deg=lon, sigma_m=5.0, speed_mps=10.0, course_deg=90.0)
        body = FrameBody(format="owntracks", version=1, payload=b"{}", device="tag", observations=(fix,))
        drafts.append(Draft(kind="frame", received_ns=at_ns, source="test", ident=b"f%d" % k, body=pack(body), observations=1))
    writer.append(drafts)
    writer.close()
    rows = ["t,truth_id,lat_deg,lon_deg,ve_mps,vn_mps,carries"]
    for second in range(121):
        for name, e, n, carries in (("van", 10.0 * second, 0.0, "tag"), ("ship", -3000.0, 500.0, "")):
            lat, lon = FRAME.geodetic(e, n)
            speed = 10.0 if carries else 0.0
            rows.append(f"{iso_from_ns(T0 + second * NS)},{name},{lat:.7f},{lon:.7f},{speed:.3f},0.000,{carries}")
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    return tmp_path, url


def test_score_rebuilds_what_is_missing_and_prints_the_four_figures(run):
    folder, url = run
    ran = birddog("sim", "score", "--truth", str(folder / "truth.csv"), "--journal", url, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (folder / "j.db.picture").exists()
    assert found["steps"] == 24 and found["truths"] == 2 and found["tracks"] == 1
    assert found["missed_share"] == 0.5 and found["false_per_step"] == 0.0 and found["id_switches"] == 0
    assert found["loc_rmse_m"] < 5.0
    assert 70.7 < found["gospa_m"] < 72.5  # sqrt(100² / 2) for the ship that nobody reports
    assert found["inside_95"] == 1.0 and found["nees"] < 2.0 and found["estimates"] == 25
    ran = birddog("sim", "score", "--truth", str(folder / "truth.csv"), "--journal", url)
    for words in ("GOSPA", "ID switches", "NEES", "inside 95 %", "van ", "ship "):
        assert words in ran.stdout


def test_rebuild_says_of_a_store_that_it_had_to_make_too_whether_it_is_identical(run):
    folder, url = run
    first = birddog("rebuild", "--journal", url, "--json")
    assert first.returncode == 0 and "there was no derived store" in first.stderr
    found = json.loads(first.stdout)
    assert (found["identical"], found["made"], found["entries"]) == (True, True, 26)
    assert found["tables"]["track"] == {"rows": 1, "differ": 0}
    again = json.loads(birddog("rebuild", "--journal", url, "--json").stdout)
    assert again == {key: found[key] for key in ("identical", "tables", "up_to", "behind", "damaged")}
    (folder / "j.db.picture").unlink()
    assert birddog("rebuild", "--journal", url).stdout.splitlines()[-1] == "identical"


def move(folder, name, other):
    """A journal with its log and all else that lies beside it, but for its picture, to another name."""
    for path in list(folder.glob(f"{name}*")):
        if ".picture" not in path.name:
            path.rename(folder / (other + path.name.removeprefix(name)))


def test_a_picture_that_lags_its_journal_or_is_of_another_is_not_what_is_scored(run):
    folder, url = run
    words = ("sim", "score", "--truth", str(folder / "truth.csv"), "--journal", url, "--json")
    whole = birddog(*words)
    assert whole.stderr == ""
    picture, of_all = folder / "j.db.picture", json.loads(whole.stdout)

    # the store of a shorter life of this journal
    move(folder, "j.db", "all.db")
    writer = open_writer(url, mode="exercise")
    reader = open_reader(f"sqlite:///{folder}/all.db")
    entries = reader.read(0, 10)
    reader.close()
    writer.append([Draft(kind=e.kind, received_ns=e.received_ns, source=e.source, ident=e.ident, body=e.body) for e in entries])
    writer.close()
    picture.unlink()
    assert birddog("rebuild", "--journal", url).returncode == 0
    move(folder, "j.db", "short.db")
    move(folder, "all.db", "j.db")
    kept = picture.read_bytes()
    ran = birddog(*words)
    assert "stands at entry 10 of 26" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert json.loads(ran.stdout) == of_all and picture.read_bytes() == kept

    # the store of another journal
    other = f"sqlite:///{folder}/other.db"
    writer = open_writer(other, mode="exercise")
    writer.append([Draft(kind="start", received_ns=T0, source="test", ident=b"another",
                         body=pack(Start(version="1", presets={}, exercise=True)))])
    writer.close()
    assert birddog("rebuild", "--journal", other).returncode == 0
    (folder / "other.db.picture").replace(picture)
    ran = birddog(*words)
    assert "is not of this journal" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert json.loads(ran.stdout) == of_all
    picture.write_bytes(b"x" * 10_000)
    ran = birddog(*words)
    assert "is damaged" in ran.stderr and len(ran.stderr.splitlines()) == 1 and json.loads(ran.stdout) == of_all


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--every", "0.5"], "--every: wants whole seconds"),
        (["--truth", "none.csv"], "none.csv: cannot be read"),
        (["--journal", "sqlite:///none.db"], "there is no journal"),
    ],
)
def test_wrong_input_is_one_line(run, change, said):
    folder, url = run
    ran = birddog("sim", "score", "--truth", "truth.csv", "--journal", url, *change, cwd=folder)
    assert ran.returncode == 2 and said in ran.stderr and len(ran.stderr.splitlines()) == 1 and ran.stdout == ""


def test_enrol_enters_the_registers_and_refuses_a_live_journal(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    assert birddog("sim", "enrol", "harbour", "--journal", url).returncode == 0
    listed = birddog("device", "list", "--journal", url)
    assert "tag-17" in listed.stdout and "crate-17" in listed.stdout
    live = f"sqlite:///{tmp_path}/live.db"
    open_writer(live, mode="live").close()
    ran = birddog("sim", "enrol", "harbour", "--journal", live)
    assert ran.returncode == 2 and "refuses exercise data" in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_list_and_check(tmp_path):
    listed = [row["scenario"] for row in json.loads(birddog("sim", "list", "--json").stdout)]
    assert listed == ["harbour", "smuggler", "smuggler-calm"]
    ran = birddog("sim", "check", "harbour")
    assert ran.returncode == 0 and "mqtt: phone-team1, tag-17, tag-18" in ran.stdout
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[scenario]\ntitle = "x"\norigin = [1, 2]\nstarts = "2026-03-02T06:00:00Z"\n')
    ran = birddog("sim", "check", str(wrong))
    assert ran.returncode == 2 and f"{wrong}:4: scenario.starts: no such key; did you mean start?" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_check_says_what_run_could_not_play_and_takes_a_byte_order_mark(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = """[scenario]
title = "x"
origin = [51.9, 4.0]
start = "2026-03-02T06:00:00Z"
[[route]]
name = "r"
points = [[0, 0], [100, 0]]
[[thing]]
name = "v"
klass = "van"
route = "r"
speed_mps = 5.0
"""
    (tmp_path / "s.toml").write_text(text)
    for words in (["check", "s.toml"], ["run", "s.toml", "--to", "out"]):
        assert cli.main(["sim", *words]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("birddog sim: s.toml: no device: ") and said.err.count("\n") == 1
    phone = '[[phone]]\nid = "p"\non = "v"\ntransport = "mqtt"\n'
    (tmp_path / "s.toml").write_bytes(b"\xef\xbb\xbf" + (text + phone).encode())
    assert cli.main(["sim", "check", "s.toml"]) == 0
    assert capsys.readouterr().out == "mqtt: p\n"
    (tmp_path / "s.toml").write_bytes(b"\n\xff")
    assert cli.main(["sim", "check", "s.toml"]) == 2
    assert "s.toml:2: is not UTF-8" in capsys.readouterr().err
