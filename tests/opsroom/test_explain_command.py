"""`birddog explain` and `/v1/tracks/{id}/explain`: the picture's own reasons, at any time of a journal."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from birddog.journal import open_reader, open_writer
from birddog.model import Device, Draft, Fix, FrameBody, Start, pack
from birddog.units import NS
from opsroom.cli import main
from opsroom.console.server import Settings, make_app
from opsroom.explained import Apart
from opsroom.picture_store import PictureReader
from opsroom.rebuilding import make

T0 = 1_790_000_000 * NS


@pytest.fixture
def url(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    bodies = [("start", 0, Start(version="1.2", presets={}, exercise=True)),
              ("device", 0, Device(device="gps", klass="van", basis="own_sensor", interval_s=10.0))]  # fmt: skip
    for t in range(10, 110, 10):
        fix = Fix(device="gps", time_ns=T0 + t * NS, lat_deg=52.5 if t == 70 else 52.0, lon_deg=4.0 + 2e-4 * t, sigma_m=5.0)
        bodies.append(("frame", t, FrameBody(format="x", version=1, payload=b"", device="gps", observations=(fix,))))
    writer.append([
        Draft(kind=kind, received_ns=T0 + t * NS, source="test", ident=f"{kind}{t}".encode(), body=pack(body))
        for kind, t, body in bodies
    ])  # fmt: skip
    writer.close()
    return f"sqlite:///{tmp_path}/j.db"


def explain(capsys, *args) -> dict:
    assert main(["explain", *args]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_says_why(url, capsys):
    said = explain(capsys, "T3", "--at", str(T0 // NS + 75), "--journal", url)
    assert said["version"] == "1.2" and said["entries"] == 9 and len(said["used"]) == 6
    assert [one["entry"] for one in said["refused"]] == [9] and len(said["hypotheses"]) == 2
    later = explain(capsys, "T3", "--at", str(T0 // NS + 105), "--journal", url)
    assert len(later["used"]) == 9 and len(later["hypotheses"]) == 1
    for words in (["T9", "--at", "1790000075"], ["T3", "--at", "1790000000"], ["T3", "--at", "noon"]):
        assert main(["explain", *words, "--journal", url]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_console_says_the_same(url, capsys, tmp_path):
    journal = open_reader(url)
    make(journal, tmp_path / "j.db.picture")
    reader = PictureReader(tmp_path / "j.db.picture")
    settings = Settings(port=0, exercise=True)
    app = make_app(settings, reader, journal, dict, lambda decision: 0, explain=Apart(url), smooth=Apart(url).smoothed,
                   now_ns=lambda: T0 + 105 * NS)

    async def asked(*paths: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.get("/v1/tracks/" + path) for path in paths]

    paths = ("T3/explain?at=1790000075", "T3/explain", "T3/explain?at=1790000000", "T8/explain", "T3/explain?at=noon",
             "T3/smoothed", "T8/smoothed", "T3/smoothed?at=noon")  # fmt: skip
    then, now, before, nobody, wrong, where, nowhere, never = asyncio.run(asked(*paths))
    assert len(where.json()["points"]) == 9 and where.json()["late"] == 0  # the refused fix is in neither
    assert [nowhere.status_code, never.status_code] == [404, 422]
    assert then.json() == explain(capsys, "T3", "--at", str(T0 // NS + 75), "--journal", url)
    assert len(now.json()["used"]) == 9
    assert [before.status_code, nobody.status_code, wrong.status_code] == [404, 404, 422]
    reader.close()
    journal.close()


def test_the_smoothed_history_of_a_journal_has_what_came_too_late(tmp_path, capsys):
    """Fixes each ten seconds, of which ten minutes come in at once at the end: they moved nothing, and are in it."""
    def told(*, late: bool) -> str:
        url = f"sqlite:///{tmp_path}/{late}.db"
        rows = []
        for t in range(0, 2400, 10):
            lat = 52.0 + 1e-4 * (t // 100 % 7)
            fix = Fix(device="gps", time_ns=T0 + t * NS, lat_deg=lat, lon_deg=4.0 + 2e-5 * t, sigma_m=5.0)
            rows.append((2401 + t / 100 if late and 300 <= t < 900 else t + 1, fix))
        bodies = [("start", 0, Start(version="1.2", presets={}, exercise=True))]
        bodies += [("frame", at, FrameBody(format="x", version=1, payload=b"", device="gps", observations=(fix,)))
                   for at, fix in sorted(rows, key=lambda row: row[0])]  # fmt: skip
        writer = open_writer(url, mode="exercise")
        writer.append([Draft(kind=kind, received_ns=T0 + int(at * NS), source="test", ident=b"%d" % k, body=pack(body))
                       for k, (kind, at, body) in enumerate(bodies)])  # fmt: skip
        writer.close()
        return url

    def located(url: str, *more: str) -> list[list[str]]:
        assert main(["locate", "--journal", url, "--mode", "smoothed", *more]) == 0
        return [line.split(",") for line in capsys.readouterr().out.splitlines()]

    in_time, late = told(late=False), told(late=True)
    head, *want = located(in_time)
    assert head == ["track_id", "t", "lat_deg", "lon_deg", "e_m", "n_m", "p_ee", "p_en", "p_nn"] and len(want) > 230
    assert located(late, "--track", "T2", "--operation", "open")[1:] == want
    assert located(late, "--operation", "other")[1:] == []
    of_console = Apart(late).smoothed("T2", T0 + 8000 * NS)
    assert of_console["late"] == 60 and [p["time"] for p in of_console["points"]] == [row[1] for row in want]
    assert all(abs(p["lat_deg"] - float(row[2])) < 2e-7 for p, row in zip(of_console["points"], want, strict=True))
    assert len(Apart(late).smoothed("T2", T0 + 600 * NS)["points"]) == 30 and Apart(late).smoothed("T9", T0 + 600 * NS) is None
    for words in (["--track", "T9"], ["--mode", "live"], ["--fixes", "x.csv"]):
        assert main(["locate", "--journal", late, "--mode", "smoothed", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["locate", "--mode", "smoothed"]) == 2 and main(["locate", "--mode", "live", "--track", "T2"]) == 2
