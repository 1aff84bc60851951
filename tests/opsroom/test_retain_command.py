"""``birddog operation retain``: an entry with its person, in the list, the calendar and the report; erased by a person."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from birddog.journal import open_reader
from birddog.model import unpack
from birddog.units import NS, iso_from_ns, ns_from_text
from opsroom.authority import deadline_views
from opsroom.cli import main
from opsroom.registers import Registers

DAY = 86_400 * NS


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a command line on one journal with the open cases A and B: (status, stdout, stderr)."""
    url = f"sqlite:///{tmp_path}/j.db"

    def one(*words: str) -> tuple[int, str, str]:
        try:
            status = main([*words, "--journal", url])
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.out, said.err

    one.url = url
    assert one("operation", "add", "A", "--requires-warrant")[0] == one("operation", "add", "B")[0] == 0
    return one


def kept(run) -> list[dict]:
    said = run("oversight", "report", "--format", "csv", "--table", "retention")[1]
    return list(csv.DictReader(io.StringIO(said, newline="")))


def test_vessels_under_no_case_are_kept_by_a_rule_that_is_an_entry_too(run):
    assert run("operation", "retain", "open", "--hours", "72", "--reason", "Order 5", "--actor", "ann")[0] == 0
    assert Registers(run.url).directory.passersby.hours == 72
    assert "72 h" in run("operation", "list")[1] and "open" not in [row["operation"] for row in
                                                                   json.loads(run("operation", "list", "--json")[1])]
    row = kept(run)[0]
    assert (row["operation"], row["keep_until"], row["set_by"], row["reason"]) == (
        "open", "72 h after it came in", "ann", "Order 5")
    assert run("operation", "retain", "open", "--hours", "0")[0] == 0 and Registers(run.url).directory.passersby is None
    for words, said in (("open --days 3", "--hours"), ("open --hours 99999", "87600"), ("open --hours -1", "hours"),
                        ("A --hours 5", "--hours"), ("open", "required")):
        status, _, err = run("operation", "retain", *words.split())
        assert status == 2 and said in err, words


def test_an_archive_says_how_many_entries_of_a_journal_were_erased(run, capsys, tmp_path):
    from birddog.journal import open_writer
    from birddog.model import Draft, Erasure, pack

    journal = open_writer(run.url, mode="live", create=False)
    frame = Draft(kind="frame", received_ns=2, source="t", ident=b"f", body=b"\x80", period="open@x--y")
    gone = pack(Erasure(erased="open@x--y", keys=("open@x--y/1",)))
    journal.append([frame])
    journal.append([Draft(kind="erasure", received_ns=3, source="t", ident=b"e", body=gone)])
    journal.close()
    assert main(["archive", "build", run.url, "--to", str(tmp_path / "a")]) == 2  # nothing else is in it
    assert "erased" in capsys.readouterr().err


def test_the_day_is_an_entry_with_its_person_and_changes_nothing_else(run):
    until = "2031-05-01T00:00:00Z"
    assert run("operation", "retain", "A", "--until", until, "--reason", "LED Art. 5", "--actor", "ann")[0] == 0
    reader = open_reader(run.url)
    (entry,) = reader.tail(1)
    reader.close()
    body = unpack(entry)
    assert (entry.kind, entry.actor, body.keep_reason) == ("operation", "ann", "LED Art. 5")
    assert body.keep_until_ns == ns_from_text(until) and body.requires_warrant and not body.closed
    rows = {row["operation"]: row for row in map(dict, json.loads(run("operation", "list", "--json")[1]))}
    assert ns_from_text(rows["A"]["keep_until"]) == ns_from_text(until) and rows["B"]["keep_until"] is None
    # closing and opening again keep it
    assert run("operation", "close", "A")[0] == run("operation", "add", "A")[0] == 0
    assert Registers(run.url).directory.operations["A"].keep_until_ns == ns_from_text(until)


def test_days_count_from_now_and_stand_in_the_calendar(run):
    before_ns = time.time_ns()
    assert run("operation", "retain", "B", "--days", "5")[0] == 0
    registers = Registers(run.url)
    until_ns = registers.directory.operations["B"].keep_until_ns
    assert before_ns + 5 * DAY <= until_ns <= registers.now_ns + 5 * DAY
    (row,) = deadline_views(registers.directory, before_ns)
    assert (row.warrant, row.operation, row.what, row.near, row.state) == ("", "B", "retention", True, "due")
    (row,) = deadline_views(registers.directory, until_ns + DAY)
    assert row.near and row.state == "overdue"  # it stays to be done
    (row,) = deadline_views(registers.directory, until_ns - 15 * DAY)
    assert not row.near


@pytest.mark.parametrize("words,said", [
    (["Z", "--days", "5"], "no operation 'Z'"), (["A", "--days", "0"], "--days: wants days from 1"),
    (["A", "--days", "999999"], "--days: wants days from 1"), (["A", "--until", "tomorrow"], "--until"), (["A"], "required"),
    (["A", "--days", "5", "--reason", "a\nb"], "--reason: wants printable"),
])  # fmt: skip
def test_what_cannot_be_is_refused(run, words, said):
    status, out, err = run("operation", "retain", *words)
    assert (status, out) == (2, "") and said in err
    assert Registers(run.url).directory.operations["A"].keep_until_ns is None


def test_the_report_says_what_is_over_its_time_until_a_person_erases_it(run):
    now_ns = time.time_ns()
    assert [(row["operation"], row["keep_until"], row["over_its_time"]) for row in kept(run)] == [
        ("A", "no limit was set", "no"), ("B", "no limit was set", "no")]  # fmt: skip
    status, _, said = run("operation", "retain", "B", "--until", iso_from_ns(now_ns - 3 * DAY - NS), "--reason", "s 12",
                          "--actor", "ann")
    assert status == 0 and "which is over" in said
    assert run("operation", "close", "B", "--actor", "bea")[0] == 0
    row, other = kept(run)
    assert (row["operation"], row["state"], row["over_its_time"], row["set_by"], row["reason"], row["entries"]) == (
        "B", "closed", "3 days over", "ann", "s 12", "3")  # fmt: skip
    assert other["operation"] == "A" and "B" in Registers(run.url).directory.operations  # nothing erases by itself
    assert run("operation", "erase", "B", "--actor", "cy")[0] == 0
    _, row = kept(run)
    assert (row["operation"], row["state"], row["over_its_time"], row["entries"]) == ("B", "erased", "no", "0")
    assert row["erased"].endswith(" by cy") and row["reason"] == ""
    assert run("journal", "verify")[0] == 0
