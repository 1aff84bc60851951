"""Keys by operation: what is sealed opens again, only in its place, only with its keys, and never after they were destroyed."""

from __future__ import annotations

import base64
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birddog.journal import Home
from birddog.keyring import KeyDestroyed, Keyring, KeyringError, KeysClosed, KeysDamaged, SealBroken
from birddog.sealer import OVERHEAD


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "j.db")


def test_what_is_sealed_opens_also_by_another_process(home):
    ring = Keyring(home)
    sealed = ring.seal("NIGHTJAR", b"51.9, 4.0", b"7")
    assert b"51.9" not in sealed and len(sealed) == 9 + OVERHEAD
    assert ring.open("NIGHTJAR", sealed, b"7") == b"51.9, 4.0"
    assert Keyring(home, make=False).open("NIGHTJAR", sealed, b"7") == b"51.9, 4.0"
    assert ring.key_id("NIGHTJAR") == "NIGHTJAR/1" and ring.key_id("NIGHTJAR", purpose="sealed") == "NIGHTJAR/sealed/1"


def test_files_are_their_owners_alone_and_hold_no_key_in_clear(home):
    Keyring(home).seal("A", b"x")
    for path in (home.keys, home.master_key):
        assert path.stat().st_mode & 0o777 == 0o600
    master = bytes.fromhex(home.master_key.read_text())
    [row] = json.loads(home.keys.read_text())["keys"]
    assert (row["operation"], row["number"], len(base64.b64decode(row["wrapped"]))) == ("A", 1, 12 + 32 + 16)
    assert master.hex() not in home.keys.read_text()


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    made = Keyring(Home(tmp_path_factory.mktemp("ring") / "j.db"))
    made.key_id("B"), made.key_id("A", purpose="sealed")
    return made


@given(text=st.binary(max_size=60), aad=st.binary(max_size=10), data=st.data())
def test_any_flipped_bit_and_any_other_place_is_refused(ring, text, aad, data):
    sealed = ring.seal("A", text, aad)
    assert ring.open("A", sealed, aad) == text
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyringError):
        ring.open("A", bytes(changed), aad)
    for operation, purpose, other in (("B", "", aad), ("A", "sealed", aad), ("A", "", aad + b"!")):
        with pytest.raises(SealBroken):
            ring.open(operation, sealed, other, purpose=purpose)
    with pytest.raises(SealBroken):
        ring.open("A", sealed[:10], aad)


def test_destroyed_is_gone_and_a_new_key_has_the_next_number(home):
    ring, reader = Keyring(home), Keyring(home, make=False)
    sealed, order, other = ring.seal("A", b"x"), ring.seal("A", b"y", purpose="sealed"), ring.seal("B", b"z")
    salt = ring.derived("A/1", "salt")
    wrapped = json.loads(home.keys.read_text())["keys"][0]["wrapped"]
    before = os.open(home.keys, os.O_RDONLY)
    assert ring.destroy("A") == 2 and ring.destroy("A") == 0
    assert wrapped not in home.keys.read_text()
    assert not os.pread(before, 10_000, 0).strip(b"\0"), "what stood there before was overwritten"
    os.close(before)
    for each in (ring, reader, Keyring(home)):
        with pytest.raises(KeyDestroyed):
            each.open("A", sealed)
        with pytest.raises(KeyDestroyed):
            each.open("A", order, purpose="sealed")
        with pytest.raises(KeyDestroyed):
            each.derived("A/1", "salt")
        assert each.open("B", other) == b"z"
        assert each.destroyed("A/1") and not each.destroyed("B/1") and not each.destroyed("A/2")
    assert ring.key_id("A") == "A/2" and ring.derived("A/2", "salt") != salt
    assert Keyring(home).open("A", ring.seal("A", b"again")) == b"again"


def test_a_reader_makes_nothing(home, tmp_path):
    with pytest.raises(KeysDamaged, match=r"j\.db\.keys is not there: put it back"):
        Keyring(home, make=False).seal("A", b"x")
    assert list(tmp_path.iterdir()) == []
    Keyring(home).key_id("B")
    with pytest.raises(KeyringError, match="no key of 'A'"):
        Keyring(home, make=False).seal("A", b"x")


def test_a_lost_or_another_master_key_is_said_and_never_replaced(home):
    sealed = Keyring(home).seal("A", b"x")
    home.master_key.write_text("ab" * 32)
    with pytest.raises(KeysClosed, match="not the master key"):
        Keyring(home).open("A", sealed)
    home.master_key.unlink()
    with pytest.raises(KeysClosed, match="the master key .* is not there: put it back"):
        Keyring(home).seal("B", b"x")
    assert not home.master_key.exists()


def test_one_key_that_was_changed_is_told_from_a_master_key_that_is_another(home):
    ring = Keyring(home)
    sealed, other = ring.seal("A", b"x"), ring.seal("B", b"y")
    held = json.loads(home.keys.read_text())
    held["keys"][0]["wrapped"] = "AAAA" + held["keys"][0]["wrapped"][4:]
    home.keys.write_text(json.dumps(held))
    again = Keyring(home, make=False)
    again.look(wanted=True)
    with pytest.raises(KeyringError, match="the key 'A/1' was changed") as caught:
        again.open("A", sealed)
    assert not isinstance(caught.value, KeysClosed) and again.open("B", other) == b"y"
    home.master_key.write_text("ab" * 32)
    with pytest.raises(KeysClosed, match="is not the master key"):
        Keyring(home, make=False).look()


def test_keys_that_are_taken_away_beneath_a_writer_are_not_made_again_under_the_same_names(home):
    ring = Keyring(home)
    ring.seal("A", b"x")
    home.keys.unlink()
    with pytest.raises(KeysDamaged, match="was taken away: put it back"):
        ring.sealer("A")
    assert not home.keys.exists()


def test_a_master_key_of_another_place_is_found_by_readers_too(home, tmp_path):
    place = tmp_path / "safe" / "master"
    place.parent.mkdir()
    sealed = Keyring(home, master=str(place)).seal("A", b"x")
    assert place.stat().st_mode & 0o777 == 0o600 and not home.master_key.exists()
    assert Keyring(home, make=False).open("A", sealed) == b"x"
    with pytest.raises(KeyringError, match="was made with the master key"):
        Keyring(home, master=str(tmp_path / "other"))


@pytest.mark.parametrize("text", ["", "{}", '{"form": 2, "master": "", "keys": []}', "\xff"])
def test_a_damaged_file_is_one_line(home, text):
    home.keys.write_text(text, encoding="latin-1")
    with pytest.raises(KeyringError, match=r"j\.db\.keys"):
        Keyring(home)


def test_two_that_make_keys_at_once_have_the_same(home):
    start, out = threading.Barrier(6), []

    def make() -> None:
        ring = Keyring(home)
        start.wait(30)
        out.append([(name, ring.seal(name, b"x")) for name in ("A", "B", "C")])

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ring = Keyring(home, make=False)
    assert len(out) == 6
    for made in out:
        assert all(ring.open(name, sealed) == b"x" for name, sealed in made)
    assert sorted(row["number"] for row in json.loads(home.keys.read_text())["keys"]) == [1, 1, 1]
