"""Bits of a journal's file, wherever they lie: `journal verify` finds each that means something, and never stumbles.

The whole sweep (every byte that is no free room, each with each bit) takes minutes; here is a part of it, drawn by chance.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from birddog.errors import BirddogError
from birddog.journal import home, open_reader, open_writer
from birddog.journal.verify import Finding, _together, verify
from birddog.model import Device, Draft, Fix, FrameBody, Operation, Start, Tick, pack
from opsroom import cli

T0 = 1_790_000_000 * 10**9


def draft(kind, body, n, operation=""):
    return Draft(kind=kind, received_ns=T0 + n, source="mqtt", ident=b"id%06d" % n, operation=operation, body=pack(body))


def fix(n, operation):
    body = FrameBody(format="owntracks", version=1, payload=b"p" * 40, device="tag",
                     observations=(Fix(device="tag", time_ns=T0, lat_deg=51.0, lon_deg=4.0),))
    return draft("frame", body, n, operation)


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([draft("start", Start(version="x", presets={}), 1), draft("operation", Operation(operation="A"), 2, "A"),
                   draft("device", Device(device="tag"), 3), fix(4, "A"), draft("tick", Tick(), 5), fix(6, "open")])
    writer.close()
    return url


def said(url):
    """What is found, or the refusal to open it."""
    try:
        reader = open_reader(url)
    except BirddogError as error:
        return [str(error)]
    try:
        return [one.line() for one in verify(reader, home(url)).findings]
    finally:
        reader.close()


def pages_of(base):
    """Of each page of the file which table or index it is of; the first is SQLite's description of them."""
    db = sqlite3.connect(f"file:{base}?mode=ro", uri=True)
    named = {root: name for name, root in db.execute("SELECT name, rootpage FROM sqlite_schema")}
    db.close()
    return named | {1: "description"}


def test_a_changed_bit_is_found_wherever_it_means_something(url):
    base = home(url).base
    whole, pages = base.read_bytes(), pages_of(base)
    held = [at for at, byte in enumerate(whole) if byte]
    rng = random.Random(7)
    for at in rng.sample(held, 150):
        base.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        found = said(url)
        page = pages[at // 4096 + 1]
        # the header's counters, the statistics and the sessions are no evidence; the rest of the file is
        bookkeeping = at < 100 or page in ("counter", "sqlite_autoindex_counter_1", "session", "session_device")
        assert found or bookkeeping, (page, at % 4096)
        assert len(found) < 25 and not any("\n" in line for line in found), found
    base.write_bytes(whole)
    assert said(url) == []


@pytest.mark.parametrize("old,new,name", [
    (b"'refusal', 'tick'", b"'refusal', 'tics'", "entry_said"), (b"leaf        BLOB,", b"leaf        BLOB ", ""),
    (b"ident       BLOB    NOT NULL UNIQUE", b"idens       BLOB    NOT NULL UNIQUE", "entry"),
])
def test_a_table_that_is_described_otherwise_is_named(url, old, new, name):
    base = home(url).base
    whole = base.read_bytes()
    assert whole.count(old) == 1
    base.write_bytes(whole.replace(old, new))
    found = said(url)
    assert found and (not name or any(f"{name!r} is not described as it was made" in line or "idens" in line or "ident" in line
                                      for line in found))


def test_what_was_put_into_the_file_is_named(url):
    db = sqlite3.connect(home(url).base)
    db.execute("CREATE TRIGGER later AFTER INSERT ON entry BEGIN DELETE FROM counter; END")
    db.commit()
    db.close()
    assert said(url) == ["the journal's file: holds a trigger 'later', which no journal of ours has"]


def test_a_journal_that_was_migrated_is_described_as_that_makes_it(tmp_path):
    base = tmp_path / "j.db"
    shutil.copy(Path(__file__).parents[1] / "journals" / "live-v1.db", base)
    assert cli.main(["journal", "migrate", "--journal", f"sqlite:///{base}"]) == 0
    assert not [line for line in said(f"sqlite:///{base}") if "described" in line or "which no journal" in line]


def test_a_page_that_is_gone_is_one_line_and_not_one_for_each_of_its_entries(url, capsys):
    writer = open_writer(url, mode="live")
    writer.append([fix(100 + n, "open") for n in range(300)])
    writer.close()
    base = home(url).base
    whole = base.read_bytes()
    marks = [at // 4096 for at in range(len(whole)) if whole.startswith(b"id000200", at)]
    for page in marks:  # the table's and the index's
        whole = whole[: page * 4096] + b"\xff" * 4096 + whole[page * 4096 + 4096 :]
    base.write_bytes(whole)
    assert cli.main(["journal", "verify", "--journal", url]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 25, lines
    assert any(line.startswith("entries ") and "cannot be read" in line for line in lines), lines


def test_the_same_of_many_in_a_row_is_said_once():
    rows = [Finding(n, "body", "was changed") for n in (3, 4, 5, 6, 7, 9, 10)] + [Finding(0, "", "x")] * 7
    told = [one.line() for one in _together(rows)]
    assert told == ["entries 3 to 7, column body: was changed", "entry 9, column body: was changed",
                    "entry 10, column body: was changed", *["x"] * 7]
    reads = [Finding(n, "", f"cannot be read: j.db cannot be read after entry {n - 1}: malformed") for n in range(3, 9)]
    assert [one.line() for one in _together(reads)] == ["entries 3 to 8: cannot be read: j.db cannot be read: malformed"]
