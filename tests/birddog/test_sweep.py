"""Every byte of a small journal with its log is changed once: it is found, or it is one that says nothing.

A sweep of every bit is the same with ``BIRDDOG_SWEEP=1``.  What says nothing: room in SQLite's pages that no row takes, the
counters and sessions (statistics, and what is known of connections), SQLite's own bookkeeping in headers, and whether a
hexadecimal digit of the master key is written large or small.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from birddog.errors import BirddogError
from birddog.journal import home, open_reader, open_writer
from birddog.journal.verify import verify
from birddog.keyring import Keyring, KeyringError
from birddog.model import Draft, Tick, pack

T0 = 1_790_000_000 * 10**9
ALL = bool(os.environ.get("BIRDDOG_SWEEP"))
PAGE = 4096


def words(url: str) -> list[str]:
    try:
        reader = open_reader(url)
    except BirddogError as error:
        return [str(error)]
    try:
        return [finding.line() for finding in verify(reader, home(url)).findings]
    except BirddogError as error:
        return [str(error)]
    finally:
        reader.close()


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=T0 + k, source="t", ident=b"%d" % k, body=pack(Tick()), actor="Noor",
                         operation=("CASE", "open")[k % 2]) for k in range(4)])  # fmt: skip
    writer.close()
    assert words(url) == []
    return url


def cells(raw: bytes, number: int) -> range:
    """Where the rows of a page of SQLite's lie (sqlite.org/fileformat2.html, section 1.6)."""
    at = (number - 1) * PAGE
    (content,) = struct.unpack(">H", raw[at + 5 : at + 7])
    return range(at + content, at + PAGE)


def changed(path: Path, places, url: str) -> dict[int, list[str]]:
    """Place -> what is said when a bit of the byte there is put otherwise."""
    whole, said = path.read_bytes(), {}
    fd = os.open(path, os.O_RDWR)
    try:
        for at in places:
            for bit in range(8) if ALL else [(at * 5 + 3) % 8]:
                os.pwrite(fd, bytes([whole[at] ^ 1 << bit]), at)
                said[at * 8 + bit] = words(url)
            os.pwrite(fd, whole[at : at + 1], at)
    finally:
        os.close(fd)
    assert path.read_bytes() == whole
    return said


def test_every_byte_of_every_entry_is_found_and_the_entry_named(url):
    import sqlite3

    path = home(url).base
    db = sqlite3.connect(path)
    roots = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
    db.close()
    said = changed(path, cells(path.read_bytes(), roots["entry"]), url)
    assert len(said) > 300 and [at for at, some in said.items() if not some] == []
    unnamed = [at for at, some in said.items() if not any("entry " in line or "damaged" in line for line in some)]
    assert unnamed == []
    index = changed(path, cells(path.read_bytes(), roots["sqlite_autoindex_entry_1"]), url)
    assert [at for at, some in index.items() if not some] == []


def test_every_byte_of_the_logs_files_is_found(url):
    folder = home(url).log
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == 3
    for path in files:
        said = changed(path, range(path.stat().st_size), url)
        assert [at for at, some in said.items() if not some] == [], path


def test_every_byte_of_the_head_is_found_and_the_file_named(url):
    path = home(url).head
    said = changed(path, range(path.stat().st_size), url)
    assert len(said) >= 1024 and [at for at, some in said.items() if not any(str(path) in line for line in some)] == []


def test_every_byte_of_the_keys_is_found_and_the_file_named(url):
    """All of them at the keyring, some through ``verify``, which asks it and then hashes every entry without keys."""
    path = home(url).keys
    whole = path.read_bytes()

    def faults() -> list[str]:
        try:
            return Keyring(home(url), make=False).faults()
        except KeyringError as error:
            return [str(error)]

    assert faults() == []
    silent = []
    for at in range(len(whole)):
        for bit in range(8) if ALL else [(at * 5 + 3) % 8]:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            if not faults():
                silent.append((at, bit))
    assert silent == []
    path.write_bytes(whole)
    for at in (whole.index(b'"log"') + 2, whole.rindex(b"wrapped") + 20, len(whole) - 2):
        assert all(any(str(path) in line for line in some) for some in changed(path, [at], url).values())


def test_a_head_of_one_commit_and_none_say_nothing_and_one_that_was_cut_does(url, tmp_path):
    path = home(url).head
    whole = path.read_bytes()
    one = f"sqlite:///{tmp_path}/one.db"
    writer = open_writer(one, mode="live")
    assert words(one) == []
    writer.close()
    path.write_bytes(whole[:700])
    assert any("has 700 bytes, not 1024" in line for line in words(url))
    path.unlink()
    assert words(url) == []
