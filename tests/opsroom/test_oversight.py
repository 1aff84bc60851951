"""``birddog oversight report``: what persons did, who was told, who was refused, and what came of each warrant."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest

from birddog.journal import open_reader, open_writer
from birddog.model import Draft, Fix, FrameBody, RefusalBody, Reject, Verdict, pack, unpack
from birddog.units import NS, iso_from_ns
from opsroom.cli import main

DEVICE = "356307042441013"


def warrant(name: str, from_ns: int, until_ns: int, **more) -> dict:
    return {"id": name, "device": DEVICE, "issued": iso_from_ns(from_ns - 3600 * NS), "install_by": iso_from_ns(until_ns),
            "use_from": iso_from_ns(from_ns), "use_until": iso_from_ns(until_ns), "jurisdiction": None, **more}  # fmt: skip


@pytest.fixture
def case(tmp_path, capsys):
    """A case with a warrant that has ended, one that nobody approved, three positions, two that were refused."""
    url, now_ns = f"sqlite:///{tmp_path}/j.db", time.time_ns()
    begin_ns, end_ns = now_ns - 86_400 * NS, now_ns - 3600 * NS
    (tmp_path / "w.json").write_text(json.dumps([
        warrant("W-1", begin_ns, end_ns, offence="=1+1 <script>", applicant="DI Oak", product_keeper="registry"),
        warrant("W-2", begin_ns, now_ns + 86_400 * NS)]))
    for words in (
        ["operation", "add", "NIGHTJAR", "--requires-warrant"], ["operation", "add", "OTHER"],
        ["device", "enrol", DEVICE, "--class", "lorry"],
        ["device", "attach", DEVICE, "--operation", "NIGHTJAR", "--shipment", "crate", "--from", iso_from_ns(begin_ns)],
        ["warrant", "add", str(tmp_path / "w.json"), "--operation", "NIGHTJAR", "--actor", "ann"],
        ["warrant", "approve", "W-1", "--actor", "bea"],
        ["warrant", "install", "W-1", "--at", iso_from_ns(begin_ns + NS), "--actor", "carl"],
    ):  # fmt: skip
        assert main([*words, "--journal", url]) == 0, words
    admitted = Verdict("NIGHTJAR", "crate", "warrant", "admitted")
    writer = open_writer(url, mode="live", create=False)
    drafts = []
    for k in range(3):
        fix = Fix(device=DEVICE, time_ns=begin_ns + k * 60 * NS, time_source="device", lat_deg=-33.85, lon_deg=151.2 + k)
        body = FrameBody(format="owntracks", version=1, payload=b"", device=DEVICE, observations=(fix,), verdicts=(admitted,))
        drafts.append(Draft(kind="frame", received_ns=now_ns + k, source="mqtt", ident=b"f%d" % k, operation="NIGHTJAR",
                            body=pack(body)))
    for k, (reason, detail) in enumerate((("unauthorised", "expired"), ("unauthorised", "expired"), ("unknown_device", ""))):
        drafts.append(Draft(kind="refusal", received_ns=now_ns + 10 + k, source="mqtt", ident=b"r%d" % k, operation="NIGHTJAR",
                            body=pack(RefusalBody(format="owntracks", version=1, device=DEVICE, payload_hash=b"h",
                                                  rejects=(Reject(reason, detail, DEVICE, verdict=admitted, count=2),)))))
    writer.append(drafts)
    writer.close()
    capsys.readouterr()
    return url


def table(url: str, capsys, name: str, *more: str) -> list[dict]:
    assert main(["oversight", "report", "--format", "csv", "--table", name, "--journal", url, *more]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))


def test_what_came_of_each_warrant(case, capsys):
    (end,) = table(case, capsys, "ends")  # W-2 runs on, and nobody approved it
    assert (end["id"], end["executed"], end["positions"], end["refused"], end["how"]) == ("W-1", "yes", "3", "4", "expired")
    assert "by carl" in end["installed"] and end["retrieved"] == "not recorded" and end["not_retrieved"] == DEVICE
    assert end["device_kind"] == "lorry" and end["product_keeper"] == "registry" and end["product_reviewer"] == "not recorded"
    assert end["places"] == "34°S 151°E (1); 34°S 152°E (1); 34°S 153°E (1)"  # no place closer than its degree
    one, two = table(case, capsys, "warrants")
    assert (one["state"], one["entered_by"], one["approved_by"], one["offence"]) == ("approved", "ann", "bea", "'=1+1 <script>")
    assert (two["state"], two["approved_by"]) == ("entered", "nobody")


def test_who_did_what_and_who_was_refused(case, capsys):
    log = table(case, capsys, "log")
    assert [row["kind"] for row in log] == ["operation", "operation", "device", "attachment", *["warrant"] * 4]
    assert log[6]["who"] == "bea" and log[6]["what"] == "approve W-1" and all(row["who"] != "not recorded" for row in log)
    refusals = table(case, capsys, "refusals")
    assert [(r["reason"], r["detail"], r["count"]) for r in refusals] == [
        ("unauthorised", "expired", "4"), ("unknown_device", "", "2")]
    assert table(case, capsys, "refusals", "--operation", "OTHER") == []
    assert [row["operation"] for row in table(case, capsys, "log", "--operation", "OTHER")] == ["OTHER"]
    assert table(case, capsys, "log", "--to", "2020-01-01T00:00:00Z") == []


def test_the_page_runs_nothing_and_tells_no_place(case, tmp_path, capsys):
    out = tmp_path / "r.html"
    assert main(["oversight", "report", "--journal", case, "--out", str(out)]) == 0
    text = out.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "http" not in re.sub(r"http-equiv", "", text)
    assert "33.85" not in text and "151.2" not in text and text.count("<table") == 5


def test_an_export_is_an_entry_before_it_leaves(case, tmp_path, capsys):
    out = tmp_path / "o.gpx"
    assert main(["export", "--format", "gpx", "--journal", case, "--out", str(out), "--actor", "dora",
                 "--operation", "NIGHTJAR", "--reason", "request 17 of the port"]) == 0
    reader = open_reader(case)
    (entry,) = [e for e in reader.read(0) if e.kind == "access"]
    reader.close()
    body = unpack(entry)
    assert (entry.actor, entry.operation, body.form, body.to) == ("dora", "NIGHTJAR", "gpx", "o.gpx")
    last = table(case, capsys, "log")[-1]
    assert last["who"] == "dora" and last["what"] == "export as gpx to o.gpx, all tracks, request 17 of the port"
    assert main(["export", "--format", "gpx", "--journal", case, "--out", str(out)]) == 0
    assert "folded to its end" not in capsys.readouterr().err  # an access takes nothing from the picture
    assert main(["rebuild", "--journal", case]) == 0


def test_a_journal_that_cannot_be_written_is_said(case, tmp_path, capsys, monkeypatch):
    from ingest import control

    def no(*args, **words):
        raise PermissionError(13, "Permission denied", "j.db")

    monkeypatch.setattr(control, "enter", no)
    monkeypatch.setattr("opsroom.accesses.only_to_read", lambda journal: True)
    assert main(["export", "--format", "csv", "--journal", case]) == 0
    said = capsys.readouterr()
    assert "this export is not recorded" in said.err and said.out.startswith("track_id")


def test_what_cannot_be_done_is_one_line(case, capsys):
    assert main(["oversight", "report", "--journal", case, "--operation", "NONE"]) == 2
    assert main(["oversight", "report", "--journal", case, "--from", "noon"]) == 2
    assert main(["oversight", "report", "--journal", "sqlite:////nowhere/j.db"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
    assert not Path("/nowhere").exists()


def test_after_an_erasure_the_act_is_left(case, capsys):
    assert main(["operation", "close", "NIGHTJAR", "--journal", case]) == 0
    assert main(["operation", "erase", "NIGHTJAR", "--journal", case, "--actor", "eve"]) == 0
    capsys.readouterr()
    log = table(case, capsys, "log")
    assert [row["kind"] for row in log if row["who"] == "eve"] == ["erasure"] and "NIGHTJAR" in log[-1]["what"]
    assert table(case, capsys, "ends") == [] and table(case, capsys, "refusals") == []
