"""What leaves says of each value what it was validated to: by the simulator's truth, through the journal, in every format.

Over 400 lines: each format, and each thing that a bound hangs on, is held to the same words of the same records."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import xml.etree.ElementTree as ET
import zipfile

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from birddog import __version__, validation
from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.journal import open_reader, open_writer
from birddog.model import (
    Attachment,
    Device,
    Fix,
    FrameBody,
    Operation,
    Start,
    Track,
    TrackPoint,
    Validation,
    Verdict,
    unpack,
)  # fmt: skip
from birddog.units import NS
from birddog.validated import NOT, UNITS, Validated, checked
from birddog.validation import Rows, compare
from ingest import control
from opsroom import validating
from opsroom.cli import main
from sim import scenario as scenarios
from sim.measured import Measured
from sim.tables import Faults

START = 1_790_000_000
SCENARIO = """
[scenario]
title = "EXERCISE a van"
origin = [51.95, 4.05]
start = "2026-03-02T06:00:00Z"
duration_s = 3600.0

[[route]]
name = "loop"
points = [[300, -300], [1500, -200], [2600, 100], [3000, 900], [2400, 1500], [1500, 1200], [900, 700], [500, 200]]

[[thing]]
name = "van"
klass = "van"
route = "loop"
speed_mps = 11.0


[[tracker]]
id = "356307042441013"
on = "van"
transport = "tcp"
"""


def drive(seed: int, seconds: int = 2000, every_s: int = 2) -> tuple[Rows, Rows]:
    """(reference, fixes) of a drive: the simulator's truth each second, and what its receiver says between two of them."""
    world, rng = scenarios.build(scenarios.loads(SCENARIO, file="s"), seed), random.Random(seed)
    truth = [world.state("van", t) for t in range(seconds)]
    reference = [(START + t, s.lat_deg, s.lon_deg, s.speed_mps, s.course_deg) for t, s in enumerate(truth)]
    fixes = []
    for k in range(1, seconds - 2, every_s):
        m = Measured(world, "van", k + 0.5, 5.0, rng, Faults())
        fixes.append((START + k + 0.5, m.lat_deg, m.lon_deg, m.speed_mps, m.course_deg))
    return Rows.of(reference), Rows.of(fixes)


def test_bounds_hold_on_other_drives_of_the_simulator():
    """Asked for: 93 to 97 % on held-out parts; of what the device reports and of what the tracker makes of it."""
    drives = [drive(seed) for seed in range(1, 6)]
    for made in (lambda fixes: fixes, lambda fixes: validating.estimated(fixes, "van")):
        values = [(reference, made(fixes)) for reference, fixes in drives]
        found = [compare(reference, rows).bounds for reference, rows in values]
        for quantity in UNITS:
            assert all(0.93 <= one[quantity].held_out <= 0.97 for one in found), quantity
            # each drive's bound held against the errors of all others, which it has never seen
            wrong = [errors(reference, rows, quantity) for reference, rows in values]
            held = [float(np.mean(np.concatenate([w for n, w in enumerate(wrong) if n != k]) <= one[quantity].bound))
                    for k, one in enumerate(found)]
            assert 0.93 <= np.mean(held) <= 0.97, (quantity, held)


def errors(reference: Rows, fixes: Rows, quantity: str) -> np.ndarray:
    """The errors of one quantity, one fix at a time and by hand: the truth at the fix's moment is that between two seconds."""
    out = []
    for t, lat, lon, sog, cog in zip(fixes.t, fixes.lat, fixes.lon, fixes.sog, fixes.cog, strict=True):
        k = int(t - reference.t[0])
        share = t - reference.t[k]
        at_lat, at_lon, at_sog = (column[k] + share * (column[k + 1] - column[k])
                                  for column in (reference.lat, reference.lon, reference.sog))
        turn = (reference.cog[k + 1] - reference.cog[k] + 180) % 360 - 180
        at_cog = math.radians(reference.cog[k] + share * turn)
        e, n = (lon - at_lon) * 111_320 * math.cos(math.radians(at_lat)), (lat - at_lat) * 111_250
        if quantity == "position":
            out.append(math.hypot(e, n))
        elif quantity == "speed":
            out.append(abs(sog - at_sog))
        elif quantity == "course" and at_sog >= 1.5:
            out.append(abs((cog - math.degrees(at_cog) + 180) % 360 - 180))
        elif quantity == "time" and at_sog >= 3.0:
            out.append(abs(e * math.sin(at_cog) + n * math.cos(at_cog)) / at_sog)
    return np.array(out)


# --- through the journal --------------------------------------------------------------------------------------

VERDICT = Verdict("A", "van", "own_sensor", "admitted")
KEY = Ed25519PrivateKey.from_private_bytes(b"v" * 32)


def journal_of(tmp_path, *said, silent: bool = False) -> str:
    url = f"sqlite:///{tmp_path}/j.db"
    open_writer(url, mode="live").close()
    reference, fixes = drive(3, seconds=200)
    bodies = [Start(version="x", presets={}), Operation(operation="A"), *said,
              Attachment(device="imei", shipment="van", operation="A", from_ns=0)]
    frames = [FrameBody(format="x", version=1, payload=b"%d" % n, device="imei", verdicts=(VERDICT,), observations=(
        Fix(device="imei", time_ns=round(t * NS), lat_deg=lat, lon_deg=lon,
            speed_mps=None if silent else sog, course_deg=None if silent else cog),))
        for n, (t, lat, lon, sog, cog) in enumerate(zip(*(c.tolist() for c in columns(fixes)), strict=True))]
    writer = open_writer(url, mode="live")
    drafts = [control.own(body, source="t") for body in (*bodies, *frames)]
    writer.append([msgspec.structs.replace(d, operation="A" if d.kind in ("frame", "operation", "attachment") else "",
                                           received_ns=(START + 2 * n) * NS) for n, d in enumerate(drafts)])
    writer.close()
    (tmp_path / "r.csv").write_text("t,lat,lon,sog_mps,cog_deg\n" + "".join(
        f"{t!r},{lat!r},{lon!r},{sog!r},{cog!r}\n" for t, lat, lon, sog, cog in
        zip(*(c.tolist() for c in columns(reference)), strict=True)))
    return url


def columns(rows: Rows):
    return rows.t, rows.lat, rows.lon, rows.sog, rows.cog


def exported(url: str, name: str, capsys) -> str:
    capsys.readouterr()
    assert main(["export", "--format", name, "--journal", url]) == 0
    return capsys.readouterr().out


def test_a_record_is_an_entry_and_everything_that_leaves_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = journal_of(tmp_path, Device(device="imei", klass="van", basis="own_sensor"))
    words = {row[f"{q}_validated"] for row in csv.DictReader(io.StringIO(exported(url, "csv", capsys))) for q in UNITS}
    assert words == {NOT}
    why = json.loads(exported(url, "geojson", capsys))["validated"]
    assert why[0]["speed"] == f"{NOT}: its device is enrolled without a model"
    assert main(["validate", "FMB920", "--reference", "r.csv", "--journal", url]) == 2  # no device is one
    assert main(["device", "model", "imei", "FMB920", "--journal", url]) == 0
    assert main(["validate", "FMB920", "--reference", "r.csv", "--journal", url, "--actor", "noor", "--out", "v.json"]) == 0
    assert "FMB920: entry" in capsys.readouterr().err
    record = json.loads((tmp_path / "v.json").read_text())
    assert record["fixes"]["device"] == "imei" and record["estimated"]["tracker"] == __version__
    reader = open_reader(url)
    [entry] = [e for e in reader.registers() if e.kind == "validation"]
    reader.close()
    assert entry.actor == "noor" and json.loads(unpack(entry).said) == record
    wanted = {q: f"validated to {record['estimated'][q][f'bound_{unit}']:g} {said}" for q, (unit, said) in UNITS.items()}

    rows = list(csv.DictReader(io.StringIO(exported(url, "csv", capsys))))
    first = wanted | {"position": f"validated to {record['position']['bound_m']:g} m"}  # one fix alone: as it was reported
    assert first != wanted and (of_rows := [first] + [wanted] * (len(rows) - 1))
    assert [{q: row[f"{q}_validated"] for q in UNITS} for row in rows] == of_rows
    found = json.loads(exported(url, "geojson", capsys))
    assert [f["properties"]["validated"] for f in found["features"]] == of_rows
    assert f"s) {first['position']}" in found["validated"][0]["position"]
    assert "entered by noor" in found["validated"][0]["time"]
    found = json.loads(exported(url, "mf-json", capsys))["features"][0]["temporalProperties"][0]
    assert all(found[f"{q}_validated"]["values"] == [of[q] for of in of_rows] for q in UNITS)
    found = json.loads(exported(url, "epcis", capsys))["epcisBody"]["eventList"]
    assert [{q: event[f"birddog:{q}Validated"] for q in UNITS} for event in found] == of_rows
    marks = list(ET.fromstring(exported(url, "gpx", capsys)).iter("{urn:birddog:gpx:1}validated"))
    assert [mark.attrib for mark in marks] == of_rows
    for q in UNITS:
        count = sum(of[q] == wanted[q] for of in of_rows)
        assert exported(url, "kml", capsys).count(f"<gx:value>{wanted[q]}</gx:value>") == count
    cot = exported(url, "cot", capsys)
    assert cot.count(f"; speed {wanted['speed']}") == len(rows) and "FMB920" not in cot
    assert main(["evidence", "export", "A", "--journal", url, "--out", "a.zip"]) == 0
    assert main(["evidence", "verify", "a.zip", "--recompute"]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        head, *lines = bundle.read("tracks.csv").decode().splitlines()[1:]
        assert head.endswith("position_validated,speed_validated,course_validated,time_validated")
        assert len(lines) >= len(rows) and all(line.endswith("," + ",".join(wanted.values())) for line in lines[1:])
        assert lines[0].endswith("," + ",".join(first.values()))
        assert first["position"] in bundle.read("case.html").decode()

    assert main(["validate", "FMB920", "--withdraw", "--journal", url, "--actor", "noor"]) == 0
    assert "withdrawn by noor" in exported(url, "geojson", capsys)
    assert main(["validate", "FMB920", "--enter", "v.json", "--journal", url]) == 0
    assert f'"speed":"{wanted["speed"]}"' in exported(url, "geojson", capsys)


def signed(model="FMB920", **more):
    body = validation.record(model, compare(*drive(1, seconds=300)), made="2026-03-01T10:00:00.000Z", version=__version__,
                             reference={}, fixes={}, method="")  # fmt: skip
    return validation.sign(body | more, KEY.public_key().public_bytes_raw(), KEY.sign)


def test_a_record_that_is_none_is_not_written(tmp_path):
    url = journal_of(tmp_path)
    good = signed()
    changed = json.dumps(good | {"level": 0.5})
    bad = {"is no JSON": "{", "signature does not hold": changed, "of the model 'FMB921'": json.dumps(signed("FMB921")),
           "has no speed": json.dumps(signed(speed={"validated": True, "n": 3, "bound_mps": -1.0})),
           "has no position": json.dumps(signed(estimated={"tracker": __version__}))}  # fmt: skip
    for words, said in bad.items():
        with pytest.raises(control.Denied, match=words):
            control.enter(url, [Validation(model="FMB920", by="x", said=said)], source="t")
    assert control.enter(url, [Validation(model="FMB920", by="x", said=json.dumps(good))], source="t")


def test_what_was_not_measured_is_not_promised():
    def worth(said: dict | None, *, device=True):
        directory = Directory()
        if device:
            directory.apply(Device(device="d", model="M"))
        if said is not None:
            directory.apply(Validation(model="M", by="x", said=json.dumps(said)))
        return Validated(directory)

    both = estimated()
    good = worth(signed("M", estimated=both))
    assert good.of("d").words["speed"].startswith("validated to 0.") and good.of("other").words == dict.fromkeys(UNITS, NOT)
    for words, said in {
        "no validation record": None, "what the device reports": signed("M"),
        "version 0.0.0 of the tracker": signed("M", estimated=both | {"tracker": "0.0.0"}),
        "signature does not hold": signed("M", estimated=both) | {"made": "x"},
    }.items():  # fmt: skip
        found = worth(said).of("d")
        assert set(found.words.values()) == {NOT} and words in found.why["speed"]
    part = {"validated": False, "n": 0, "reason": "nothing moves"}
    found = worth(signed("M", estimated=both | {"speed": part})).of("d")
    assert found.words["speed"] == NOT and found.why["speed"] == "nothing moves" and found.words["time"] != NOT


def estimated(**more) -> dict:
    """The part of a record that says what the tracker makes of a drive at 2 to 20 m/s, with a fix each 10 s."""
    from_mps = {"course": {"from_mps": 1.5}, "time": {"from_mps": 3.0}}
    out = {q: {"validated": True, f"bound_{unit}": 0.5, f"median_{unit}": 0.1, "n": 99, "held_out": 0.95,
               **from_mps.get(q, {})} for q, (unit, _) in UNITS.items()}  # fmt: skip
    return out | {"tracker": __version__, "speeds_mps": [2.0, 20.0], "longest_step_s": 10.0, "speed_stated": False} | more


def step(speed_mps: float, **more) -> TrackPoint:
    fields = dict(track_id="T", seq=1, time_ns=100 * NS, lat_deg=0.0, lon_deg=0.0, ve_mps=0.6 * speed_mps,
                  vn_mps=0.8 * speed_mps, p_ee=1.0, p_en=0.0, p_nn=1.0, origin="fix", device="d", nis=0.1)  # fmt: skip
    return TrackPoint(**(fields | more))


def of_record(**more) -> Validated:
    directory = Directory()
    directory.apply(Device(device="d", model="M"))
    directory.apply(Validation(model="M", by="x", said=json.dumps(signed("M", estimated=estimated(**more)))))
    return Validated(directory)


GOOD = {quantity: f"validated to 0.5 {words}" for quantity, (_, words) in UNITS.items()}


@pytest.mark.parametrize(
    "speed_mps, since_s, stated, holds",
    [
        (10.0, 5.0, False, "position speed course time"),
        (0.0, None, False, "reported"),  # a track's first: of one fix that says no speed
        (0.0, None, True, "reported"),  # or that says 0, which cannot be told from it
        (10.0, None, False, "reported"),
        (10.0, None, True, "reported speed course time"),  # of one fix, whose speed it is
        (10.0, 10.0, False, "position speed course time"),  # as long a step as the drive's longest
        (10.0, 11.0, False, "reported"),  # a longer one: of two places an hour apart comes no speed of now
        (10.0, 3600.0, True, "reported speed course time"),
        (20.5, 5.0, False, "position speed course time"),  # a speed of 20 may be told as this
        (20.6, 5.0, False, "position"), (20.6, 5.0, True, "position"), (340.0, 5.0, True, "position"),
        (1.5, 5.0, False, "position speed course"),  # 2, told as this; time was not measured below 3
        (1.49, 5.0, False, "position"),
        (2.99, 5.0, False, "position speed course"), (3.0, 5.0, False, "position speed course time"),
    ],
)
def test_a_bound_holds_where_it_was_measured(speed_mps, since_s, stated, holds):
    validated = of_record(speed_stated=stated)
    before_ns = None if since_s is None else round((100 - since_s) * NS)
    found = validated.step(step(speed_mps), before_ns)
    wanted = {q: GOOD[q] if q in holds.split() else NOT for q in UNITS}
    if "reported" in holds:  # one fix alone: not what the tracker makes of several
        wanted["position"] = f"validated to {signed()['position']['bound_m']:g} m"
        assert wanted["position"] in validated.of("d").why["position"]
    assert found.words == wanted
    assert all(found.why[q] for q in UNITS) and ("2 to 20 m/s" in validated.of("d").why["speed"])
    track = Track(track_id="T", operation="A", identities=("d",), status="confirmed", time_ns=100 * NS, updated_ns=100 * NS,
                  contact_ns=100 * NS, first_ns=0, hits=3, lat_deg=0.0, lon_deg=0.0, ve_mps=0.6 * speed_mps,
                  vn_mps=0.8 * speed_mps, p_ee=1.0, p_en=0.0, p_nn=1.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0)  # fmt: skip
    assert validated.now(track, lambda: before_ns).words == found.words
    mixed = msgspec.structs.replace(track, identities=("d", "other"))
    assert set(validated.now(mixed, lambda: before_ns).words.values()) == {NOT}
    assert set(validated.now(msgspec.structs.replace(track, status="coasting"), lambda: before_ns).words.values()) == {NOT}


@pytest.mark.parametrize("reported, words", [
    ({"validated": True, "n": 99, "bound_m": 9.64}, "validated to 9.64 m"),
    ({"validated": True, "n": 99, "bound_m": 0.4}, GOOD["position"]),
    ({"validated": False, "n": 3, "reason": "too few"}, NOT)])  # fmt: skip
def test_a_position_of_one_fix_is_worth_what_the_device_reports(reported, words):
    """The estimate's bound is of many fixes; one fix by itself, the first or after a silence, is no better."""
    directory = Directory()
    directory.apply(Device(device="d", model="M"))
    directory.apply(Validation(model="M", by="x", said=json.dumps(signed("M", estimated=estimated(), position=reported))))
    validated = Validated(directory)
    for before_ns, said in ((None, words), (80 * NS, words), (95 * NS, GOOD["position"])):
        found = validated.step(step(10.0), before_ns)
        assert found.words["position"] == said and (said != NOT or "too few" in found.why["position"])


def test_what_no_fix_made_is_not_validated():
    validated = of_record()
    for odd in (dict(origin="coast"), dict(origin="tag_read"), dict(origin="sighting"), dict(alone=True), dict(withdrawn=True)):
        assert set(validated.step(step(10.0, **odd), 95 * NS).words.values()) == {NOT}, odd


def test_a_record_that_does_not_say_at_which_speeds_promises_the_position_alone():
    """A record of before the speeds were asked: read as ever, and less is promised, not more."""
    said = estimated()
    for name in ("speeds_mps", "longest_step_s", "speed_stated"):
        del said[name]
    directory = Directory()
    directory.apply(Device(device="d", model="M"))
    directory.apply(Validation(model="M", by="x", said=json.dumps(signed("M", estimated=said))))
    found = Validated(directory)
    # nor after which silence: the position is worth no more than one fix is
    wanted = dict.fromkeys(UNITS, NOT) | {"position": f"validated to {signed()['position']['bound_m']:g} m"}
    assert found.of("d").words == wanted == found.step(step(10.0), 95 * NS).words
    assert "at which speeds" in found.of("d").why["time"]


@pytest.mark.parametrize("odd", [dict(speeds_mps=[3.0]), dict(speeds_mps=[5.0, 2.0]), dict(speeds_mps="2 to 20"),
                                 dict(longest_step_s=None), dict(speeds_mps=[True, 2.0])])
def test_speeds_that_are_none_are_no_record(odd):
    with pytest.raises(BirddogError, match="has no (speeds_mps|longest_step_s)"):
        checked(Validation(model="M", by="x", said=json.dumps(signed("M", estimated=estimated(**odd)))))


def test_a_record_says_what_its_drive_had():
    reference, fixes = drive(1, seconds=300)
    silent = Rows(fixes.t, fixes.lat, fixes.lon, *np.full((2, len(fixes.t)), math.nan))
    for rows, stated in ((fixes, True), (silent, False)):
        made = compare(reference, validating.estimated(rows, "van"))
        body = validation.record("M", compare(reference, rows), made="x", version=__version__, reference={}, fixes={},
                                 method="", estimated=made)
        part = body["estimated"]
        assert part["speeds_mps"] == pytest.approx([reference.sog.min(), reference.sog.max()], abs=0.5) == body["speeds_mps"]
        assert part["longest_step_s"] == pytest.approx(2.0) and part["speed_stated"] is stated


def test_every_format_says_of_a_first_point_without_a_speed_that_it_is_not_validated(tmp_path, capsys, monkeypatch):
    """Commonwealth v. Davis: the speed of a track's first point, of one fix that states none, was said to be validated."""
    monkeypatch.chdir(tmp_path)
    url = journal_of(tmp_path, Device(device="imei", klass="van", basis="own_sensor", model="FMB920"), silent=True)
    assert main(["validate", "FMB920", "--reference", "r.csv", "--journal", url, "--actor", "noor", "--out", "v.json"]) == 0
    rows = list(csv.DictReader(io.StringIO(exported(url, "csv", capsys))))
    words = [tuple(row[f"{q}_validated"] for q in UNITS) for row in rows]
    assert float(rows[0]["speed_mps"]) == 0.0 and words[0][0] != NOT and set(words[0][1:]) == {NOT}
    record = json.loads((tmp_path / "v.json").read_text())
    bounds = [f"validated to {part['position']['bound_m']:g} m" for part in (record, record["estimated"])]
    assert bounds[0] != bounds[1] and [of[0] for of in words] == [bounds[0]] + bounds[1:] * (len(words) - 1)
    assert NOT not in words[20]
    found = json.loads(exported(url, "geojson", capsys))["features"]
    assert [tuple(f["properties"]["validated"].values()) for f in found] == words
    found = json.loads(exported(url, "mf-json", capsys))["features"][0]["temporalProperties"][0]
    assert list(zip(*(found[f"{q}_validated"]["values"] for q in UNITS), strict=True)) == words
    found = json.loads(exported(url, "epcis", capsys))["epcisBody"]["eventList"]
    assert [tuple(event[f"birddog:{q}Validated"] for q in UNITS) for event in found] == words
    marks = ET.fromstring(exported(url, "gpx", capsys)).iter("{urn:birddog:gpx:1}validated")
    assert [tuple(mark.attrib[q] for q in UNITS) for mark in marks] == words
    kml = ET.fromstring(exported(url, "kml", capsys)).iter("{http://www.google.com/kml/ext/2.2}SimpleArrayData")
    columns = {one.get("name"): [value.text for value in one] for one in kml}
    assert list(zip(*(columns[f"{q}_validated"] for q in UNITS), strict=True)) == words
    cot = exported(url, "cot", capsys).splitlines()[1:-1]
    assert all(f"{q} {said}" in line for line, of in zip(cot, words, strict=True) for q, said in zip(UNITS, of, strict=True))
    assert "speed not validated" in cot[0] and "speed validated to" in cot[20]
    # cut by time, the first of the rest has the one before it still
    assert main(["export", "--format", "csv", "--from", rows[20]["time"], "--journal", url]) == 0
    rest = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [tuple(row[f"{q}_validated"] for q in UNITS) for row in rest] == words[20:]
    assert main(["evidence", "export", "A", "--journal", url, "--out", "a.zip"]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        lines = list(csv.DictReader(io.StringIO(bundle.read("tracks.csv").decode().partition("\n")[2])))
        assert {tuple(row[f"{q}_validated"] for q in UNITS) for row in lines if row["time"] == rows[0]["time"]} == {words[0]}
        assert [tuple(row[f"{q}_validated"] for q in UNITS) for row in lines if row["origin"] != "coast"] == words
        page = bundle.read("case.html").decode()
    assert f"else {NOT}" in page and "steps of 2 s at most" in page


def test_a_sheet_without_registers_promises_nothing():
    assert set(Validated(Directory()).step(step(10.0), 95 * NS).words.values()) == {NOT}
