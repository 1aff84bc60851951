"""The evidence log: what was committed is signed; changed, cut, put back, forked is named; what was erased stays provable.

Over 400 lines: one journal and all that may happen to it.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog import leaves, merkle
from birddog.errors import JournalDisagrees, JournalError
from birddog.journal import entries, evidence, home, keys, open_reader, open_writer
from birddog.journal.log_files import LogFiles
from birddog.journal.store import Stored
from birddog.journal.verify import verify
from birddog.keyring import KeysDamaged
from birddog.leaves import Key, leaf_of, leaves_of, load
from birddog.model import Draft, Erased, Erasure, Fix, FrameBody, Loss, Operation, Tick, Verdict, pack, unpack
from birddog.note import Verifier, opened
from birddog.record import Fields, Salter, body_of, fields_of, stated, statement_of
from birddog.tiles import GrowingTiles
from opsroom import cli

T0 = 1_790_000_000 * 10**9


def fix(k: int, operation: str) -> Draft:
    where = Fix(device="phone-a", time_ns=T0 + k, lat_deg=51.9 + k * 1e-4, lon_deg=4.0, speed_mps=2.0,
                attributes={"batt": 70 + k % 7})
    body = FrameBody(format="owntracks", version=3, payload=b"PLAIN %d" % k, device="phone-a", channel="owntracks/u/phone-a",
                     observations=(where,), verdicts=(Verdict(operation, "van", "warrant", "admitted"),))
    return Draft(kind="frame", received_ns=T0 + k, source="mqtt", ident=b"ident%06d" % k, body=pack(body), operation=operation,
                 observations=1)


def fill(url: str, count: int, *, first: int = 0, mode: str = "live") -> None:
    writer = open_writer(url, mode=mode)
    for at in range(first, first + count, 50):
        writer.append([fix(k, ("CASE", "OTHER", "open", "")[k % 4]) for k in range(at, min(at + 50, first + count))])
    writer.close()


@pytest.fixture
def url(tmp_path):
    fill(f"sqlite:///{tmp_path}/j.db", 600)
    return f"sqlite:///{tmp_path}/j.db"


def found(url: str, **more):
    reader = open_reader(url)
    try:
        return verify(reader, home(url), **more)
    finally:
        reader.close()


def change(url: str, sql: str, *values) -> None:
    db = sqlite3.connect(home(url).base, isolation_level=None)
    assert db.execute(sql, values).rowcount > 0
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def flip(url: str, column: str, seq: int, at: int) -> None:
    """One bit of a column, whatever stands there."""
    reader = open_reader(url)
    held = getattr(reader.rows(seq - 1, 1)[0], column)
    reader.close()
    change(url, f"UPDATE entry SET {column} = ? WHERE seq = ?", held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :], seq)


# --- a record ------------------------------------------------------------------------------------


def test_every_field_stands_by_its_name():
    fields = fields_of(fix(3, "CASE").body, b"id", "mqtt", "Noor")
    said = {name: msgspec.msgpack.decode(value) for name, value in zip(fields.names, fields.values, strict=True)}
    assert len(said) == len(fields.names) and fields.names[:3] == ("@source", "@actor", "@ident")
    assert (said["@source"], said["@actor"], said["@ident"]) == ("mqtt", "Noor", b"id")
    assert (said["payload"], said["format"], said["device"]) == (b"PLAIN 3", "owntracks", "phone-a")
    assert [said[f"observations.0.{name}"] for name in ("lat_deg", "lon_deg", "speed_mps")] == [51.9003, 4.0, 2.0]
    assert said["observations.0.attributes"] == {"batt": 73} and said["observations.0.time_ns"] == T0 + 3
    assert "observations" not in said


#: Bodies that ``msgspec`` writes, and others that look like some of it.
BODIES = st.one_of(
    st.sampled_from([fix(3, "CASE").body, pack(Operation(operation="A", name="x"))]),
    st.binary(max_size=80),
    st.dictionaries(
        st.one_of(st.sampled_from(["observations", "sightings", "observations.0.x", "*", "@source", "", "é", "a.b"]),
                  st.text("abc", min_size=1, max_size=40)),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False),
                      st.text(max_size=40), st.binary(max_size=300)),
            lambda inner: st.one_of(st.lists(inner, max_size=18), st.dictionaries(st.text(max_size=3), inner, max_size=18)),
            max_leaves=20,
        ),
        max_size=20,
    ).map(msgspec.msgpack.encode),
    st.lists(st.dictionaries(st.text("abc", min_size=1, max_size=33), st.integers(0, 2**64 - 1), max_size=17), max_size=18).map(
        lambda rows: msgspec.msgpack.encode({"kind": "k", "observations": rows, "z": 1})
    ),
    st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=3)), max_size=4).map(
        lambda pairs: bytes([0x80 | len(pairs)]) + b"".join(bytes([0xA0 | len(k)]) + k + v for k, v in pairs)
    ),
)  # fmt: skip


@given(body=BODIES, data=st.data())
def test_whatever_a_body_is_a_changed_bit_of_it_changes_what_is_committed(body, data):
    if not body:
        return
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    other = bytearray(body)
    other[bit // 8] ^= 1 << bit % 8
    assert fields_of(body, b"i", "s", "") != fields_of(bytes(other), b"i", "s", "")


@given(body=BODIES, ident=st.binary(max_size=300), source=st.text(max_size=40), actor=st.text(max_size=3))
def test_fields_make_the_entry_again_whatever_it_is(body, ident, source, actor):
    try:
        actor.encode(), source.encode()
    except UnicodeEncodeError:
        return
    fields = fields_of(body, ident, source, actor)
    assert body_of(fields) == (body, ident, source, actor)


@given(bodies=st.lists(BODIES, min_size=1, max_size=6), seq=st.integers(1, 2**62), ns=st.integers(-(2**63), 2**63 - 1),
       ident=st.binary(max_size=300), texts=st.lists(st.text("aé.", max_size=300), min_size=5, max_size=5))  # fmt: skip
def test_many_leaves_at_once_are_those_of_each(bodies, seq, ns, ident, texts):
    """Compiled or not, by one key or several: ``record`` is what holds."""
    load()
    kind, operation, key_id, source, actor = texts
    salters = [Salter(bytes([n]) * 32) for n in range(2)]
    entries = [Stored(0, kind, ns, operation, source, ident, body, actor, None, None) for body in bodies * 64]
    seqs, keys = range(seq, seq + len(entries)), [Key(key_id, salters[n // 3 % 2]) for n in range(len(entries))]
    once = {entry.body: n for n, entry in enumerate(entries)}
    found = leaves_of(seqs, entries, keys)
    for n in {*once.values(), *range(min(9, len(entries)))}:
        assert found[n] == leaf_of(seqs[n], entries[n], keys[n])


@pytest.mark.parametrize("body", [{"*": b"x"}, {"*": 1}, {"a": 1, "*": 2}])
def test_a_field_that_has_the_name_of_a_whole_body_is_no_other_entry(body):
    packed = msgspec.msgpack.encode(body)
    assert body_of(fields_of(packed, b"i", "s", "")) == (packed, b"i", "s", "")
    load()
    asked = range(9), [Stored(0, "k", 1, "", "s", b"i", packed, "", None, None)] * 9, [Key("", Salter(bytes(32)))] * 9
    assert leaves_of(*asked) == list(map(leaf_of, *asked))


def test_many_large_bodies_are_hashed_some_at_a_time(monkeypatch):
    load()
    kernel, seen = leaves._loading.found, []
    if kernel is None:
        pytest.skip("nothing compiles here")

    def cut(data, *rest):
        seen.append(data.size)
        return kernel.cut(data, *rest)

    monkeypatch.setattr(leaves._loading, "found", kernel._replace(cut=cut))
    bodies = [msgspec.msgpack.encode({"payload": bytes([n]) * 600_000}) for n in range(40)]
    entries = [Stored(0, "k", 1, "", "s", b"i", body, "", None, None) for body in bodies]
    asked = range(40), entries, [Key("", Salter(bytes(32)))] * 40
    assert leaves_of(*asked) == list(map(leaf_of, *asked))
    assert len(seen) > 4 and max(seen) < 2 * leaves.MOST_BYTES


def test_fields_that_are_none():
    fields = fields_of(fix(3, "CASE").body, b"id", "mqtt", "Noor")
    for names, values in (
        (fields.names[1:], fields.values[1:]), (fields.names, fields.values[1:]), (fields.names, (b"\xc1", *fields.values[1:])),
        (fields.names, (b"\x01", *fields.values[1:])), ((*fields.names, "observations.9.x"), (*fields.values, b"\x01")),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            body_of(Fields(names, values))


def test_a_statement_is_taken_apart_again():
    fields, salter = fields_of(b"\x80", b"i", "s", ""), Salter(bytes(32))
    made = stated(statement_of(7, "frame", -5, "CÄSE", "CÄSE/1", fields, salter))
    assert (made.seq, made.kind, made.received_ns, made.operation, made.key_id) == (7, "frame", -5, "CÄSE", "CÄSE/1")
    salts = salter(7, 3)
    hashes = [sha256(salts[16 * n :][:16] + value).digest() for n, value in enumerate((b"\xa1s", b"\xa0", b"\xc4\x01i"))]
    assert made.committed == sha256(b"\x93\xa7@source\xa6@actor\xa6@ident" + b"".join(hashes)).digest()
    with pytest.raises(ValueError):
        stated(b"BDR2")


def test_tiles_grow_as_the_tree_does():
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(70_000)]
    tiles, at = GrowingTiles(), 0
    for size in (1, 2, 3, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000):
        tiles.append(leaves[at:size])
        at = size
        assert tiles.root() == merkle.root(leaves[:size]), size


# --- a journal -----------------------------------------------------------------------------------


def test_what_was_committed_is_signed_in_tiles_that_prove_it(url):
    result = found(url)
    assert (result.entries, result.size, result.unsigned, result.before, result.findings) == (600, 600, 0, 0, [])
    files = LogFiles(home(url).log)
    known = files.known()
    text, _ = opened(files.note(), [Verifier.of(known.keys[0].verifier)])
    assert text.split("\n")[:2] == [known.origin, "600"]
    tree, leaves = files.tree(600), [row.leaf for row in open_reader(url).rows(0)]
    assert tree.root() == merkle.root(leaves)
    for index in (0, 255, 256, 511, 512, 599):
        merkle.verify_inclusion(index, 600, leaves[index], tree.inclusion_proof(index), tree.root())


def test_cases_are_sealed_and_everybody_who_may_reads_them(url, tmp_path):
    data = b"".join(path.read_bytes() for path in tmp_path.glob("j.db*") if path.is_file())
    assert data.count(b"PLAIN") == 300  # those of open and of none
    bodies = [unpack(entry) for entry in entries(open_reader(url))]
    assert [body.payload for body in bodies] == [b"PLAIN %d" % k for k in range(600)]
    rows = open_reader(url).rows(0)
    assert {row.key_id for row in rows} == {"CASE/1", "OTHER/1", None}


def test_a_kill_between_commit_and_checkpoint_is_made_good_at_the_next_start(tmp_path):
    first = f"sqlite:///{tmp_path}/j.db"
    fill(first, 300)
    writer = open_writer(first, mode="live")
    writer.append([fix(k, "CASE") for k in range(300, 340)])
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed, ignore=shutil.ignore_patterns("*.lock", "*-shm", "killed"))
    writer.close()
    second = f"sqlite:///{killed}/j.db"
    assert found(second).unsigned == 40
    again = open_writer(second, mode="live")
    assert again.checkpoint()
    again.close()
    assert (found(second).size, found(second).findings) == (340, [])


COLUMNS = {
    "kind": "UPDATE entry SET kind = 'fsame' WHERE seq = ?",
    "received_ns": "UPDATE entry SET received_ns = received_ns + 4 WHERE seq = ?",
    "operation": "UPDATE entry SET operation = substr(operation, 1, length(operation) - 1) || 'X' WHERE seq = ?",
    "source": "UPDATE entry SET source = 'mqtu' WHERE seq = ?", "actor": "UPDATE entry SET actor = 'x' WHERE seq = ?",
    "ident": "UPDATE entry SET ident = CAST('xdent' || substr(ident, 6) AS BLOB) WHERE seq = ?",
    "leaf": "", "body": "",
}  # fmt: skip


@pytest.mark.parametrize("seq", [1, 3], ids=["sealed", "in clear"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_byte_is_named(url, column, seq, capsys):
    if column in ("leaf", "body"):
        flip(url, column, seq, 20)
    else:
        change(url, COLUMNS[column], seq)
    assert cli.main(["journal", "verify", "--journal", url]) == 1
    out = capsys.readouterr().out
    said = out.splitlines()[0]
    assert said.startswith(f"entry {seq}"), out
    if column not in ("actor", "operation") or seq == 3 and column == "operation":  # a byte more is not a byte put otherwise
        assert said == f"entry {seq}, column {column}: was changed", out


@pytest.mark.parametrize("column", ["source", "actor", "operation", "key_id"])
def test_words_where_there_were_none_are_named(url, column):
    change(url, f"UPDATE entry SET {column} = 'mallory' WHERE seq = 4")
    expected = (4, column)
    if column == "source":  # something stood there
        change(url, "UPDATE entry SET source = '' WHERE seq = 4")
        expected = (4, "")
    assert [(f.seq, f.column) for f in found(url).findings] == [expected]


def test_keys_that_are_gone_are_no_changed_body(url, tmp_path):
    (tmp_path / "j.db.keys").unlink()
    [finding] = found(url).findings
    assert finding.seq == 0 and "j.db.keys is not there: put it back; no entry could be hashed" in finding.words


def test_any_flipped_byte_of_a_row_is_found(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    fill(url, 12)
    base = home(url).base
    whole = base.read_bytes()
    db = sqlite3.connect(base)
    bodies = [row[0] for row in db.execute("SELECT body FROM entry")]
    db.close()
    rng = random.Random(5)
    for k in range(20):
        n = rng.randrange(12)
        at = whole.index(bodies[n]) + rng.randrange(len(bodies[n]))
        base.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        findings = found(url).findings
        assert [(f.seq, f.column) for f in findings] == [(n + 1, "body")], k


@pytest.mark.parametrize("sql,seq,said", [
    ("DELETE FROM entry WHERE seq = 300", 300, "is missing"),
    ("UPDATE entry SET leaf = NULL WHERE seq = 9", 9, "has no hash"),
])  # fmt: skip
def test_deletion_is_named(url, sql, seq, said):
    change(url, sql)
    assert any(f.seq == seq and said in f.words for f in found(url).findings)


def test_two_entries_exchanged_are_named(url):
    for old, new in ((4, -1), (8, 4), (-1, 8)):
        change(url, "UPDATE entry SET seq = ? WHERE seq = ?", new, old)
    assert {f.seq for f in found(url).findings} >= {4, 8}


def test_a_row_rewritten_with_its_leaf_does_not_have_the_signed_root(url):
    writer = open_writer(url, mode="live")
    row = writer.rows(299, 1)[0]
    writer.close()
    other = msgspec.structs.replace(row, received_ns=row.received_ns + 1)
    leaf = merkle.leaf_hash(keys.Keys(home(url), make=False).statement(other))
    change(url, "UPDATE entry SET received_ns = ?, leaf = ? WHERE seq = 300", other.received_ns, leaf)
    assert any("another root than its log signed" in f.words for f in found(url).findings)


@pytest.mark.parametrize("accident,said", [("cut", "was cut"), ("restored", "an older copy"), ("forked", "are others")])
def test_a_log_that_was_cut_put_back_or_forked_is_refused_at_the_start_and_named(url, tmp_path, accident, said):
    older, first = tmp_path / "older", (tmp_path / "j.db.log" / "checkpoint").read_bytes()
    shutil.copytree(tmp_path, older, ignore=shutil.ignore_patterns("older"))
    fill(url, 100, first=600)
    witness = (tmp_path / "j.db.log" / "checkpoint").read_bytes()
    (tmp_path / "j.db.head").unlink()  # it would have said so first
    if accident == "cut":
        change(url, "DELETE FROM entry WHERE seq > 650")
    else:
        shutil.copy(older / "j.db", tmp_path / "j.db")
    if accident == "forked":
        log = tmp_path / "j.db.log"
        aside = tmp_path / "aside"
        log.rename(aside)
        shutil.copytree(older / "j.db.log", log)
        fill(url, 150, first=9000)
        shutil.rmtree(log)
        aside.rename(log)
        (tmp_path / "j.db.head").unlink()
    with pytest.raises(JournalDisagrees, match=said):
        open_writer(url, mode="live")
    assert found(url, witnessed=[("stick", witness, ())]).findings
    writer = open_writer(url, mode="live", accept_loss=True)
    assert writer.lost
    writer.append([fix(20_000, "CASE")])
    writer.close()
    [kept] = tmp_path.glob("j.db.log.lost-*")
    assert found(url).findings == [] and str(kept) in writer.lost
    [finding] = found(url, witnessed=[("stick", witness, ())]).findings
    origin = LogFiles(kept).known().origin
    assert finding.words.startswith(f"stick: signed 700 entries of the log {origin}, which was given up when a loss was acc")
    lost = {"cut": "651 to 700", "restored": "601 to 700", "forked": "601 to 700"}[accident]
    assert f"it is kept as {kept}; of those entries {lost} are not here, or others stand under" in finding.words
    assert found(url, witnessed=[("stick", first, ())]).findings == []
    [words] = found(url, witnessed=[("stick", first, ())]).given_up
    assert f"it is kept as {kept}; all of those entries are here as they were signed" in words
    (kept / "tile" / "0" / "000").write_bytes(b"x" * 8192)
    [finding] = found(url, witnessed=[("stick", witness, ())]).findings
    assert f"{kept}, and does not hold: " in finding.words


@pytest.mark.parametrize("accident,said", [("restored", "it has 700 entries, and the log 600"),
                                           ("forked", "its first 700 entries are others")])  # fmt: skip
def test_what_was_stamped_is_held_against_the_log_at_the_start_too(url, tmp_path, accident, said):
    """The whole folder was put back but for the stamps: nothing else remembers."""
    older, stamps = tmp_path / "older", home(url).stamps
    shutil.copytree(tmp_path, older, ignore=shutil.ignore_patterns("older"))
    fill(url, 100, first=600)
    stamps.mkdir()
    shutil.copy(older / "j.db.log" / "checkpoint", stamps / "600.note")
    shutil.copy(tmp_path / "j.db.log" / "checkpoint", stamps / "700.note")
    (stamps / "800.note").write_text("none")  # is no checkpoint, and says nothing
    open_writer(url, mode="live").close()
    for name in ("j.db", "j.db.head"):
        shutil.copy(older / name, tmp_path / name)
    shutil.rmtree(tmp_path / "j.db.log")
    shutil.copytree(older / "j.db.log", tmp_path / "j.db.log")
    if accident == "forked":
        stamps.rename(tmp_path / "aside")
        fill(url, 200, first=9000)
        (tmp_path / "aside").rename(stamps)
    with pytest.raises(JournalDisagrees, match=f"is not what .*700.note has seen: {said}"):
        open_writer(url, mode="live")
    writer = open_writer(url, mode="live", accept_loss=True)
    assert "700.note has seen" in writer.lost and not stamps.exists()
    writer.close()
    open_writer(url, mode="live").close()


def test_a_copy_that_was_put_back_with_its_log_goes_on_in_another_log_and_what_was_lost_is_said(url, tmp_path, capsys):
    """It went on under the same name: the log's own key had signed two histories."""
    older = tmp_path / "older"
    shutil.copytree(tmp_path, older, ignore=shutil.ignore_patterns("older"))
    fill(url, 100, first=600)
    note = tmp_path / "seen.note"
    shutil.copy(tmp_path / "j.db.log" / "checkpoint", note)
    shutil.rmtree(tmp_path / "j.db.log")
    shutil.copytree(older / "j.db.log", tmp_path / "j.db.log")
    shutil.copy(older / "j.db", tmp_path / "j.db")  # the head file remembers
    writer = open_writer(url, mode="live", accept_loss=True)
    origin, [kept] = LogFiles(tmp_path / "j.db.log").known().origin, tmp_path.glob("j.db.log.lost-*")
    assert origin != LogFiles(kept).known().origin and str(kept) in writer.lost
    body = pack(Loss(after=600, text=writer.lost))
    writer.append([Draft(kind="loss", received_ns=T0 + 10**7, source="run", ident=b"loss", body=body)])
    writer.close()
    # the copy of the log that was put back cannot show what it had signed later; that is said, and where it is kept
    assert cli.main(["journal", "verify", "--journal", url, "--witness", str(note)]) == 1
    out = capsys.readouterr().out
    assert f"{note}: signed 700 entries of the log {LogFiles(kept).known().origin}, which was given up" in out
    assert f"(entry 601: {writer.lost}); it is kept as {kept}, and does not hold: " in out
    assert f"entry 601: a loss was accepted: {writer.lost}" in out.splitlines()


@pytest.mark.parametrize("size", [600, 512, 300])
def test_a_history_written_anew_and_signed_with_the_journals_own_keys_is_refused_where_a_witness_has_seen_it(tmp_path, size):
    url, witness = f"sqlite:///{tmp_path}/j.db", home(f"sqlite:///{tmp_path}/j.db").witness
    fill(url, size)
    witness.mkdir()
    shutil.copy(tmp_path / "j.db.log" / "checkpoint", witness / "other agency")
    fill(url, 300, first=size)
    assert found(url).findings == []  # what was seen is the beginning of what is there
    known = (tmp_path / "j.db.log" / "keys.json").read_bytes()
    for name in ("j.db", "j.db.head"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "j.db.log")
    (tmp_path / "j.db.log").mkdir()
    (tmp_path / "j.db.log" / "keys.json").write_bytes(known)  # the same log by name and key, of another history
    evidence.Evidence(home(url))._sign(0, GrowingTiles().root())
    witness.rename(tmp_path / "aside")
    fill(url, size + 400, first=5000)
    assert found(url).findings == []
    (tmp_path / "aside").rename(witness)
    with pytest.raises(JournalDisagrees, match="other agency has seen: its first .*forked or written anew"):
        open_writer(url, mode="live")
    (witness / "other agency").write_bytes(b"nonsense")
    with pytest.raises(JournalDisagrees, match="the note has no signatures"):
        open_writer(url, mode="live")
    writer = open_writer(url, mode="live", accept_loss=True)
    assert "other agency" in writer.lost
    writer.close()
    open_writer(url, mode="live").close()


def test_a_checkpoint_that_was_taken_away_is_missed_and_what_was_cut_behind_it_not_gone_on_with(url, tmp_path, capsys):
    """Without it nothing said that the journal had gone on."""
    (tmp_path / "j.db.log" / "checkpoint").unlink()
    (tmp_path / "j.db.head").unlink()
    change(url, "DELETE FROM entry WHERE seq > 500")
    assert cli.main(["journal", "verify", "--journal", url]) == 1
    assert "checkpoint is not there: it was taken away" in capsys.readouterr().out
    with pytest.raises(JournalDisagrees, match=r"checkpoint is not there"):
        open_writer(url, mode="live")
    writer = open_writer(url, mode="live", accept_loss=True)
    assert "checkpoint is not there" in writer.lost
    writer.close()
    assert found(url).findings == []


def test_a_kill_before_the_first_checkpoint_is_no_checkpoint_that_was_taken_away(tmp_path):
    first, killed = f"sqlite:///{tmp_path}/j.db", tmp_path / "killed"
    writer = open_writer(first, mode="live")
    writer.append([fix(0, "CASE")])
    shutil.copytree(tmp_path, killed, ignore=shutil.ignore_patterns("*.lock", "*-shm", "killed"))
    writer.close()
    second = f"sqlite:///{killed}/j.db"
    assert (found(second).unsigned, found(second).findings) == (1, [])
    open_writer(second, mode="live").close()
    assert (found(second).size, found(second).findings) == (1, [])


def test_tiles_that_are_gone_are_made_again_and_a_log_that_is_gone_is_missed(url, tmp_path):
    shutil.rmtree(tmp_path / "j.db.log" / "tile")
    fill(url, 10, first=600)
    assert found(url).findings == [] and LogFiles(home(url).log).tree(610).root().hex() == found(url).root
    shutil.rmtree(tmp_path / "j.db.log")
    with pytest.raises(JournalDisagrees, match="is not there"):
        open_writer(url, mode="live")
    assert "is not there" in found(url).findings[0].words


def test_keys_that_are_gone_are_never_made_anew(url, tmp_path):
    (tmp_path / "j.db.keys").unlink()
    with pytest.raises(JournalError, match=r"j\.db\.keys is not there"):
        open_writer(url, mode="live")
    with pytest.raises(KeysDamaged, match=r"j\.db\.keys is not there: put it back"):
        open_reader(url).read(0, 1)
    assert not (tmp_path / "j.db.keys").exists()


def test_a_journal_without_a_log_says_so_and_one_that_begins_later_too(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live", log=False)
    writer.append([fix(k, "CASE") for k in range(5)])
    writer.close()
    assert cli.main(["journal", "verify", "--journal", url]) == 0
    assert "without a log: nothing says whether they were changed" in capsys.readouterr().out
    assert not any((tmp_path / f"j.db.{name}").exists() for name in ("log", "keys", "master-key"))
    fill(url, 7, first=5)
    assert cli.main(["journal", "verify", "--journal", url]) == 0
    out = capsys.readouterr().out
    assert "12 entries, 7 hashed again: ok" in out and "5 entries are older than the log" in out


def test_a_full_disk_is_no_end_of_the_log(url, monkeypatch):
    from birddog.errors import JournalFull

    writer = open_writer(url, mode="live")
    writer.append([fix(600, "CASE")])
    real = evidence.os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evidence.os, "write", full)
    with pytest.raises(JournalFull):
        writer.checkpoint()
    monkeypatch.setattr(evidence.os, "write", real)
    assert writer.checkpoint()
    writer.close()
    assert (found(url).size, found(url).findings) == (601, [])


def test_a_checkpoint_is_written_while_the_next_entries_are(url, monkeypatch):
    """Whoever waits for an acknowledgement does not wait for tiles; one that comes too early does nothing."""
    writer = open_writer(url, mode="live")
    writer.append([fix(k, "CASE") for k in range(600, 1300)])
    real, goes_on = evidence.put_whole, threading.Event()

    def slow(*args: object, **more: object) -> None:
        assert goes_on.wait(60)
        real(*args, **more)

    monkeypatch.setattr(evidence, "put_whole", slow)
    assert not writer.checkpoint(wait=False)  # it has begun, and is not there
    writer.append([fix(k, "CASE") for k in range(1300, 1600)])
    assert not writer.checkpoint(wait=False)
    assert found(url).unsigned == 1000
    goes_on.set()
    assert writer.checkpoint()
    assert (found(url).size, found(url).unsigned, found(url).findings) == (1600, 0, [])
    writer.close()


def test_a_tile_is_found_though_a_longer_one_took_its_place_after_the_folder_was_listed(url, monkeypatch):
    writer, files, real = open_writer(url, mode="live"), LogFiles(home(url).log), os.listdir
    said = files.tile(0, 600 // 256, 600 % 256)

    def listed(folder):
        names = real(folder)
        monkeypatch.setattr(os, "listdir", real)
        writer.append([fix(600, "CASE")])  # meanwhile the log goes on
        assert writer.checkpoint()
        return names

    monkeypatch.setattr(os, "listdir", listed)
    assert files.tile(0, 600 // 256, 600 % 256) == said
    writer.close()


def test_what_a_checkpoint_could_not_write_is_said_by_the_next_and_written_again(url, monkeypatch):
    from birddog.errors import JournalFull

    writer = open_writer(url, mode="live")
    writer.append([fix(k, "CASE") for k in range(600, 1300)])
    real = evidence.put_whole

    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evidence, "put_whole", full)
    assert not writer.checkpoint(wait=False)
    writer.append([fix(k, "CASE") for k in range(1300, 1600)])
    with pytest.raises(JournalFull, match="the disk is full"):
        writer.checkpoint()
    monkeypatch.setattr(evidence, "put_whole", real)
    assert writer.checkpoint()
    writer.close()
    assert (found(url).size, found(url).findings) == (1600, [])


def test_where_no_key_can_be_opened_the_log_is_not_put_aside(url):
    """With a wrong PIN --accept-loss took the whole log away, and then the right one was refused as well."""
    key = Path(f"{home(url).base}.master-key")
    key.chmod(0o644)
    for accepted in (False, True):
        with pytest.raises(JournalError):
            open_writer(url, mode="live", accept_loss=accepted)
    key.chmod(0o600)
    assert home(url).log.is_dir() and found(url).findings == []
    open_writer(url, mode="live").close()


# --- erasing -------------------------------------------------------------------------------------


def erase(url: str, operation: str, nonce: bytes = b"e") -> None:
    writer = open_writer(url, mode="live")
    body, ident = pack(Erasure(erased=operation, by="Noor")), nonce + operation.encode()
    try:
        writer.append([Draft(kind="erasure", received_ns=T0 + 10**6, source="t", ident=ident, body=body)])
    finally:
        writer.close()


def test_an_erased_operation_is_gone_from_every_file_and_the_log_still_verifies(url, tmp_path):
    before = {entry.seq: entry for entry in entries(open_reader(url))}
    root, size = LogFiles(home(url).log).tree(600).root(), 600
    held = [open_reader(url).rows(seq - 1, 1)[0].body for seq in (1, 5, 597)]
    erase(url, "CASE")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(row in data for row in held), path
            assert b"ident000000" not in data and b"PLAIN 0" not in data, path
    for entry in entries(open_reader(url)):
        if entry.seq <= 600 and before[entry.seq].operation == "CASE":
            assert entry.erased and entry.body == b"" and isinstance(unpack(entry), Erased)
            assert (entry.kind, entry.received_ns) == (before[entry.seq].kind, before[entry.seq].received_ns)
        elif entry.seq <= 600:
            assert entry == before[entry.seq]
    result = found(url)
    assert (result.erased, result.size, result.findings) == (150, 601, [])
    assert LogFiles(home(url).log).tree(size).root() == root
    flip(url, "body", 5, 70)
    assert [(f.seq, f.column) for f in found(url).findings] == [(5, "body")]


@pytest.mark.parametrize("sql", [
    "kind = 'refusal'", "received_ns = received_ns - 86400000000000", "operation = 'OTHER'", "key_id = 'CASE/2'",
    "source = 'mqtt'", "actor = 'Noor'", "ident = x'00'",
])  # fmt: skip
def test_a_changed_column_of_an_erased_entry_is_named(url, sql):
    """Its body is what its leaf is the hash of, and says what the other columns are."""
    erase(url, "CASE")
    change(url, f"UPDATE entry SET {sql} WHERE seq = 5")
    assert (5, sql.partition(" ")[0]) in [(f.seq, f.column) for f in found(url).findings]


def test_an_entry_that_was_emptied_though_nothing_says_that_its_case_was_erased_is_named(url):
    """Its leaf holds, and one inconvenient fix less was 'erased' without an erasure."""
    ring = keys.Keys(home(url), make=False)
    rows = {row.seq: row for row in open_reader(url).rows(0)}
    for seq, name in ((5, "CASE/1"), (6, "OTHER/1")):
        change(url, "UPDATE entry SET body = ?, ident = ?, source = '', key_id = ? WHERE seq = ?", ring.statement(rows[seq]),
               keys.erased_ident(seq), name, seq)
    assert [(f.seq, f.column) for f in found(url).findings] == [(5, "body"), (6, "body")]
    assert "no entry behind it says that 'CASE' was erased" in found(url).findings[0].words
    erase(url, "CASE")
    assert [(f.seq, f.column) for f in found(url).findings] == [(6, "body")]


def test_a_key_that_was_destroyed_though_nothing_says_that_its_case_was_erased_is_named(url):
    writer = open_writer(url, mode="live")
    writer._evidence.keys.forget("CASE")
    writer.close()
    result = found(url)
    assert len(result.findings) == 150 and all("has lost its key" in f.words for f in result.findings)
    erase(url, "OTHER")
    assert len(found(url).findings) == 150


def test_erasing_twice_and_going_on_with_the_operation(url):
    erase(url, "CASE")
    fill(url, 8, first=600)
    erase(url, "OTHER"), erase(url, "CASE", b"f")
    rows = {row.seq: row for row in open_reader(url).rows(0)}
    assert {row.key_id for row in rows.values()} == {"CASE/1", "CASE/2", "OTHER/1", None}
    assert found(url).findings == [] and found(url).erased == 304
    assert sum(entry.erased for entry in entries(open_reader(url))) == 304


def test_erasing_what_is_older_than_the_log(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live", log=False)
    writer.append([fix(k, "CASE") for k in range(8)])
    writer.close()
    erase(url, "CASE")
    assert b"PLAIN" not in home(url).base.read_bytes() and b"phone-a" not in home(url).base.read_bytes()
    assert [entry.erased for entry in entries(open_reader(url))] == [True] * 8 + [False]
    assert found(url).findings == []


def test_a_kill_after_the_commit_of_an_erasure_leaves_nothing_that_reads_as_damage(url, monkeypatch):
    monkeypatch.setattr(keys.Keys, "forget", lambda self, operation: (_ for _ in ()).throw(JournalError("killed")))
    with pytest.raises(JournalError):
        erase(url, "CASE")
    monkeypatch.undo()
    assert sum(entry.erased for entry in entries(open_reader(url))) == 150
    assert found(url).findings == []
    erase(url, "CASE", b"again")
    assert keys.Keys(home(url), make=False).ring.destroyed("CASE/1")


def test_ticks_and_registers_are_in_the_log_as_everything_is(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=T0, source="desk", ident=b"t", body=pack(Tick())),
                   Draft(kind="operation", received_ns=T0, source="op", ident=b"o", operation="CASE", actor="Noor",
                         body=pack(Operation(operation="CASE", name="Nightjar")))])
    writer.close()
    assert b"Nightjar" not in home(url).base.read_bytes()
    reader = open_reader(url)
    assert [unpack(entry) for entry in reader.registers()] == [Operation(operation="CASE", name="Nightjar")]
    assert found(url).size == 2
