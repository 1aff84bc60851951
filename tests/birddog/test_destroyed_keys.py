"""Which keys were destroyed, and what the entries say of it: where they disagree it is named, both ways."""

from __future__ import annotations

import json

import pytest

from birddog.journal import home, open_reader, open_writer
from birddog.journal.verify import verify
from birddog.keyring import Keyring
from birddog.model import Draft, Erasure, Operation, Tick, pack

T0 = 1_790_000_000 * 10**9


@pytest.fixture
def url(tmp_path):
    """Two cases with two entries each, of which A was erased."""
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="operation", received_ns=T0 + n, source="t", ident=b"%d" % n, operation="AB"[n % 2],
                         body=pack(Operation(operation="AB"[n % 2], name=f"n{n}"))) for n in range(4)])
    erase(writer, "A")
    writer.close()
    return url


def erase(writer, name, keys=None):
    body = Erasure(erased=name, keys=(f"{name}/1",) if keys is None else keys)
    writer.append([Draft(kind="erasure", received_ns=T0 + 99, source="t", ident=b"gone" + name.encode(), body=pack(body))])


def found(url):
    reader = open_reader(url)
    try:
        return [one.line() for one in verify(reader, home(url)).findings]
    finally:
        reader.close()


def rows_of(url):
    return json.loads(home(url).keys.read_bytes())["keys"]


def put(url, change):
    held = json.loads(home(url).keys.read_bytes())
    change(held["keys"])
    # as the program writes it, so that it is not the writing that is found
    home(url).keys.write_text(json.dumps(held, indent=2, ensure_ascii=False))


def of(rows, name):
    [row] = [row for row in rows if f"{row['operation']}/{row['number']}" == name and not row.get("purpose")]
    return row


def test_what_was_erased_agrees(url):
    assert found(url) == [] and "wrapped" not in of(rows_of(url), "A/1")


def test_a_key_that_is_gone_though_no_entry_says_so(url):
    """Also one under which nothing lies any more."""
    ring = Keyring(home(url))
    assert ring.key_id("C") == "C/1"
    assert found(url) == []
    ring.destroy("C")
    assert found(url) == ["the key 'C/1' was destroyed, and no entry says that 'C' was erased"]


def test_a_key_that_is_there_though_an_entry_says_that_it_was_destroyed(url, tmp_path):
    """As after a kill between the two, or by a backup that was put back; the next start of a writer destroys it."""
    writer = open_writer(url, mode="live")
    kept = home(url).keys.read_bytes()
    erase(writer, "B")
    writer.close()
    home(url).keys.write_bytes(kept)
    [line] = found(url)
    assert line.startswith("entry 6: says that the key 'B/1' was destroyed, and it is still there")
    open_writer(url, mode="live").close()
    assert found(url) == [] and "wrapped" not in of(rows_of(url), "B/1")


def test_a_row_of_a_destroyed_key_that_was_taken_away_or_put_in(url):
    put(url, lambda rows: rows.remove(of(rows, "A/1")))
    assert any(line.startswith("entry 1: lay under the key 'A/1', of which nothing is there")
               for line in found(url))
    put(url, lambda rows: rows.insert(0, {"operation": "A", "number": 1}))
    assert not any("'A/1'" in line for line in found(url))
    put(url, lambda rows: rows.append({"operation": "X", "number": 3}))
    assert "the key 'X/3' was destroyed, and no entry says that 'X' was erased" in found(url)


def test_an_operation_that_began_again_after_it_was_erased_has_another_key(url):
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=T0 + 200, source="t", ident=b"again", operation="A", body=pack(Tick()))])
    writer.close()
    open_writer(url, mode="live").close()  # what was said of the first touches no other
    assert found(url) == [] and of(rows_of(url), "A/2")["wrapped"]
