"""`birddog archive`: what is in one, what was left out, that its hash stands for it, and that no kill leaves half of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from birddog.journal import entries, open_reader, open_writer
from birddog.model import Draft, Fix, FrameBody, Verdict, pack
from opsroom import archive_store
from opsroom.archive_store import differing
from opsroom.cli import main
from opsroom.ways_of import sha256_of


def tracks(path, lat_deg: float = 30.0, more: str = "", vessels: int = 4, days: float = 0.0):
    rows = "".join(f"v{k},{1_780_000_000 + 300 * i + round(86_400 * days)},{lat_deg + 0.01 * i:.6f},{32.0 + 0.01 * k:.6f}\n"
                   for k in range(vessels) for i in range(12))  # fmt: skip
    path.write_text("id,t,lat,lon\n" + rows + more, encoding="utf-8")
    return path


def build(source, to, *more) -> int:
    return main(["archive", "build", str(source), "--to", str(to), "--horizons", "", *more])


def test_an_archives_hash_is_that_of_all_that_is_in_it(tmp_path):
    build(tracks(tmp_path / "a.csv"), tmp_path / "one")
    build(tracks(tmp_path / "b.csv", lat_deg=35.0), tmp_path / "two")
    build(tmp_path / "a.csv", tmp_path / "again")
    assert sha256_of(str(tmp_path / "one")) == sha256_of(str(tmp_path / "again"))
    assert sha256_of(str(tmp_path / "one")) != sha256_of(str(tmp_path / "two"))


def test_a_part_that_is_not_what_was_built_is_named(tmp_path, capsys):
    build(tracks(tmp_path / "a.csv"), tmp_path / "a")
    assert main(["archive", "show", str(tmp_path / "a"), "--verify"]) == 0
    with open(tmp_path / "a" / "fixes.npy", "r+b") as part:
        part.seek(-3, os.SEEK_END)
        part.write(b"\x5a")
    capsys.readouterr()
    assert main(["archive", "show", str(tmp_path / "a"), "--verify"]) == 1
    assert "fixes.npy: is not what archive.json says" in capsys.readouterr().err
    # one of before says that there is nothing to go by
    said = json.loads((tmp_path / "a" / "archive.json").read_text())
    del said["sha256"]
    (tmp_path / "a" / "archive.json").write_text(json.dumps(said))
    assert differing(str(tmp_path / "a")) is None and main(["archive", "show", str(tmp_path / "a"), "--verify"]) == 1


def test_what_was_left_out_is_counted_and_stays_said(tmp_path, capsys):
    bad = "v0,2026-06-01T00:00:00,30,32\nv0,1780000000,nan,32\nv0,1780000000,0,0\n,1780000000,30,32\nv0,1780000001\n"
    assert build(tracks(tmp_path / "a.csv", more=bad), tmp_path / "a", "--json") == 0
    built = json.loads(capsys.readouterr().out)
    assert built["refused"] == {"a row that cannot be read": 4, "position 0, 0": 1}
    assert main(["archive", "show", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == built
    assert main(["archive", "show", str(tmp_path / "a")]) == 0
    assert "left out: 4 × a row that cannot be read" in capsys.readouterr().err


def test_a_part_whose_head_is_torn_is_one_line(tmp_path, capsys):
    build(tracks(tmp_path / "a.csv"), tmp_path / "a")
    part = tmp_path / "a" / "places.npy"
    part.write_bytes(part.read_bytes()[:128] + b"\xff" * 400)
    capsys.readouterr()
    assert main(["archive", "show", str(tmp_path / "a")]) == 2
    err = capsys.readouterr().err
    assert "is no archive of Birddog that can be read" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("hashed", (True, False))
@pytest.mark.parametrize("filled", (b"\0", b"\xff", b"\x41"))
def test_a_column_whose_body_is_torn_is_named_in_one_line(tmp_path, capsys, monkeypatch, hashed, filled):
    """Small archives are hashed at opening, of large ones what does not fit, and what fails while it is read, is named."""
    if not hashed:
        monkeypatch.setattr(archive_store, "HASHED_BYTES", -1)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    build(tracks(tmp_path / "a.csv", vessels=12), whole, "--horizons", "15")
    asked = tracks(tmp_path / "c.csv", vessels=1, days=30.0)
    (tmp_path / "at.csv").write_text(f"id,t0,horizon_min\nv0,{1_780_001_800 + 30 * 86_400},15\n")
    ask = ["--tracks", str(asked), "--at", str(tmp_path / "at.csv")]
    named = set()
    for part in sorted(whole.glob("*.npy")):
        body = part.read_bytes()
        begin = 10 + int.from_bytes(body[8:10], "little")
        if not set(body[begin:]) - set(filled):
            continue
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(whole, torn)
        (torn / part.name).write_bytes(body[:begin] + filled * (len(body) - begin))
        capsys.readouterr()
        status = main(["forecast", "--archive", str(torn), *ask])
        err = capsys.readouterr().err
        assert status == (2 if hashed else status) and status in (0, 2), (part.name, err)
        if status == 2:
            assert len(err.splitlines()) == 1 and str(torn / part.name) in err, (part.name, err)
            named.add(part.name)
    assert {"begin.npy", "place_begin.npy", "fixes.npy"} <= named


def test_a_build_that_ends_early_leaves_the_archive_of_before(tmp_path, monkeypatch):
    build(tracks(tmp_path / "a.csv"), tmp_path / "a")
    before = sha256_of(str(tmp_path / "a"))
    tracks(tmp_path / "a.csv", lat_deg=40.0)

    def killed(*_, **__):
        raise KeyboardInterrupt

    # whatever it is about to delete, what stood there is still whole, or the new one is
    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(shutil, "rmtree", killed)
        assert build(tmp_path / "a.csv", tmp_path / "a") != 0
    assert differing(str(tmp_path / "a")) == [] and sha256_of(str(tmp_path / "a")) != before


def test_what_a_killed_build_left_beside_is_cleared_away(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, runs, other = (tmp_path / name for name in (f".a-{ended.pid}-x", f".a-{os.getpid()}-y", ".a-mine"))
    for folder in (left, runs, other):
        folder.mkdir()
    build(tracks(tmp_path / "a.csv"), tmp_path / "a")
    assert not left.exists() and runs.exists() and other.exists()


def test_an_archive_of_other_places_gives_no_width_of_its_own(tmp_path, capsys):
    """What it measured where it was, lanes along which nobody strays, says nothing of a place that it does not know."""
    here, elsewhere = tracks(tmp_path / "a.csv", -40.0, vessels=12), tracks(tmp_path / "b.csv", vessels=12)
    asked = tracks(tmp_path / "c.csv", -40.0, vessels=1, days=30.0)
    (tmp_path / "at.csv").write_text(f"id,t0,horizon_min\nv0,{1_780_001_800 + 30 * 86_400},15\n")
    widths = []
    for archive in (here, elsewhere):
        assert main(["forecast", "--archive", str(archive), "--tracks", str(asked), "--at", str(tmp_path / "at.csv")]) == 0
        out, err = capsys.readouterr()
        assert ("knows nobody at this place before t0" in err) == (archive == elsewhere)
        widths.append(float(out.splitlines()[1].split(",")[6]))
    assert widths[1] > 0.5 * 1112.0 / 300.0 * 900.0 > 5.0 * widths[0]


def test_an_archive_of_a_journal_says_of_which_cases_it_is(tmp_path, capsys):
    """What everybody may hear, and what is of no case, is nobody's own."""
    whose = {
        "tag": Verdict("NIGHTJAR", "crate", "warrant"),
        "ais": Verdict("NIGHTJAR", "ship", "open", "open"),
        "boat": Verdict("open"),
    }
    drafts = []
    for k, (device, verdict) in enumerate((d, v) for d, v in whose.items() for _ in range(3)):
        fix = Fix(device=device, time_ns=(1_780_000_000 + 300 * k) * 10**9, lat_deg=30.0, lon_deg=32.0 + 0.01 * k)
        body = FrameBody(format="x", version=1, payload=b"", device=device, observations=(fix,), verdicts=(verdict,))
        drafts.append(Draft(kind="frame", received_ns=fix.time_ns, operation=verdict.operation, source="test",
                            ident=bytes([k]) * 16, body=pack(body)))  # fmt: skip
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    writer.append(drafts)
    writer.close()
    # live events of every case rest on what is used: nothing of it may be learned of a case
    use = ["--journal", f"sqlite:///{tmp_path}/j.db"]
    assert main(["archive", "use", str(tmp_path / "j.db"), *use]) == 2
    said = capsys.readouterr().err
    assert "holds fixes of the cases NIGHTJAR" in said and len(said.splitlines()) == 1
    assert build(f"sqlite:///{tmp_path}/j.db", tmp_path / "a", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cases"] == {"NIGHTJAR": 3}
    assert main(["archive", "show", str(tmp_path / "a")]) == 0
    assert "of case NIGHTJAR: 3 fixes" in capsys.readouterr().err
    assert main(["archive", "use", str(tmp_path / "a"), *use]) == 2
    assert "holds fixes of the cases NIGHTJAR" in capsys.readouterr().err
    reader = open_reader(f"sqlite:///{tmp_path}/j.db")
    assert [e.kind for e in entries(reader)].count("ways") == 0
    reader.close()
    assert build(f"sqlite:///{tmp_path}/j.db", tmp_path / "c", "--open-only", "--json") == 0
    built = json.loads(capsys.readouterr().out)
    assert (built["cases"], built["refused"], built["fixes"]) == ({}, {"of a case": 3}, 6)
    # of one that was built before archives said so, nobody knows
    said = json.loads((tmp_path / "c" / "archive.json").read_text())
    assert said.pop("cases") == {}
    (tmp_path / "c" / "archive.json").write_text(json.dumps(said))
    assert main(["archive", "use", str(tmp_path / "c"), *use]) == 2
    assert "built before archives said of which cases they are" in capsys.readouterr().err
    build(tracks(tmp_path / "b.csv"), tmp_path / "b", "--json")
    assert json.loads(capsys.readouterr().out)["cases"] == {}
