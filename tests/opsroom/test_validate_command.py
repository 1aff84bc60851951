"""``birddog validate``: a record of a drive's files, and its check."""

from __future__ import annotations

import json
import os
import stat

import pytest

from opsroom.cli import main


@pytest.fixture
def files(tmp_path):
    """A straight drive at 10 m/s; fixes 3 m north of it and 0.5 m/s too fast; one row of each is broken."""
    reference, fixes = ["t,lat,lon,sog_mps,cog_deg"], ["cog_deg,t,lat,lon,sog_mps"]
    for k in range(120):
        reference.append(f"{1_790_000_000 + k},0.0,{k * 10 / 111319.49:.9f},10,90")
        fixes.append(f"91,{1_790_000_000 + k + 0.5},{3 / 110574:.9f},{(k + 0.5) * 10 / 111319.49:.9f},10.5")
    fixes[7] = "91,yesterday,0,0,10"
    (tmp_path / "r.csv").write_text("\n".join(reference))
    (tmp_path / "f.csv").write_text("\n".join(fixes))
    return ["validate", "FMB920", "--reference", str(tmp_path / "r.csv"), "--fixes", str(tmp_path / "f.csv"),
            "--key", str(tmp_path / "k")]


def test_a_record_is_made_signed_and_checked(files, tmp_path, capsys):
    out = tmp_path / "record.json"
    assert main([*files, "--method", "RTK on the same mast", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "f.csv:8: t:" in said and "position: validated to 3" in said and "made the signing key" in said
    found = json.loads(out.read_text())
    assert found["model"] == "FMB920" and found["position"]["bound_m"] == pytest.approx(3.0, rel=0.01)
    assert found["speed"]["bound_mps"] == pytest.approx(0.5, abs=1e-3)
    assert found["course"]["bound_deg"] == pytest.approx(1.0, abs=1e-3)
    assert found["fixes"]["compared"] == 118 and found["fixes"]["outside"] == 1
    assert stat.S_IMODE(os.stat(tmp_path / "k").st_mode) == 0o600
    assert main(["validate", "FMB920", "--check", str(out), "--public", found["signature"]["key"]]) == 0
    assert main(["validate", "FMB120", "--check", str(out)]) == 1
    assert main(["validate", "FMB920", "--check", str(out), "--public", "A" * 43 + "="]) == 1
    out.write_text(out.read_text().replace('"FMB920"', '"FMB921"'))
    assert main(["validate", "FMB921", "--check", str(out)]) == 1
    assert "signature does not hold" in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line(files, tmp_path, capsys):
    assert main(["validate", "FMB920"]) == 2
    assert main([*files[:4], "--fixes", str(tmp_path / "absent")]) == 2
    (tmp_path / "k").write_text("x")
    assert main(files) == 2
    (tmp_path / "k").unlink()
    (tmp_path / "f.csv").write_text("t,lat,lon\n1790000000,0,0\n")
    assert main(files) == 1  # no quantity has a bound
    said = capsys.readouterr()
    assert "NOT VALIDATED" in said.err and "Traceback" not in said.err
