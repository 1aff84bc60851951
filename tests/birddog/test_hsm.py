"""The master key in a token, with SoftHSM: it wraps and unwraps, never leaves, and what is wrong is one line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from birddog.journal import entries, home, open_reader, open_writer
from birddog.keyring import Keyring, KeyringError, KeysClosed
from birddog.model import Draft, Operation, pack, unpack
from opsroom import cli

T0 = 1_790_000_000 * 10**9
PIN = "abcd1234"


@pytest.fixture(scope="module")
def token(softhsm):
    """A folder with the PIN of the tokens."""
    _, folder, _ = softhsm
    (folder / "pin").write_text(PIN + "\n")
    (folder / "pin").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def uri(softhsm):
    module = softhsm[0]

    def made(token: Path, name: str = "master", *, label: str = "birddog", pin: str = "pin") -> str:
        return f"pkcs11:token={label};object={name}?module-path={module}&pin-source=file:{token / pin}"

    return made


def test_a_journal_is_sealed_under_a_key_in_a_token_and_read_by_another_process(token, uri, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live", master=uri(token))
    writer.append([Draft(kind="operation", received_ns=T0, source="t", ident=b"1", operation="A",
                         body=pack(Operation(operation="A", name="Nachtigall")))])  # fmt: skip
    writer.close()
    assert not home(url).master_key.exists()
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Nachtigall" not in files and PIN.encode() not in files
    assert [unpack(entry).name for entry in entries(open_reader(url))] == ["Nachtigall"]
    words = [sys.executable, "-m", "opsroom.cli", "journal", "tail", "--journal", url]
    assert "Nachtigall" in subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert cli.main(["journal", "verify", "--journal", url]) == 0
    # without the token nobody reads it
    words = [sys.executable, "-m", "opsroom.cli", "journal", "tail", "--journal", url]
    empty = tmp_path / "empty.conf"
    (tmp_path / "none").mkdir()
    empty.write_text(f"directories.tokendir = {tmp_path}/none\n")
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "SOFTHSM2_CONF": str(empty)})
    assert done.returncode and "Nachtigall" not in done.stdout and "token 'birddog'" in done.stderr
    assert "Traceback" not in done.stderr
    capsys.readouterr()


def test_the_key_stays_in_the_token_and_erasure_holds(softhsm, token, uri, tmp_path):
    import pkcs11

    ring = Keyring(home(f"sqlite:///{tmp_path}/a.db"), master=uri(token, "kept"))
    sealed = ring.seal("CASE", b"plain", b"aad")
    again = Keyring(home(f"sqlite:///{tmp_path}/a.db"), make=False)
    assert again.open("CASE", sealed, b"aad") == b"plain"
    with pkcs11.lib(softhsm[0]).get_token(token_label="birddog").open() as session:  # logged in: this process is
        key = session.get_key(label="kept")
        assert key[pkcs11.Attribute.SENSITIVE] and not key[pkcs11.Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.VALUE]
    ring.destroy("CASE")
    with pytest.raises(KeyringError, match="was destroyed"):
        again.open("CASE", sealed, b"aad")


def test_another_key_and_changed_bytes_are_refused(token, uri, tmp_path):
    from birddog.hsm import TokenMaster

    one, other = TokenMaster(uri(token, "one"), make=True), TokenMaster(uri(token, "one", label="other"), make=True)
    wrapped = one.wrap(b"k" * 32, b"A/1")
    assert one.unwrap(wrapped, b"A/1") == b"k" * 32 and one.wrap(b"k" * 32, b"A/1") != wrapped
    for wrong in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:20], b""):
        with pytest.raises(KeyringError, match="is not the master key"):
            one.unwrap(wrong, b"A/1")
    for master, name in ((one, b"A/2"), (other, b"A/1")):
        with pytest.raises(KeyringError, match="is not the master key"):
            master.unwrap(wrapped, name)


def test_what_is_wrong_is_one_line(softhsm, token, uri, tmp_path):
    from birddog.hsm import TokenMaster

    (token / "wrong").write_text("0000\n")
    (token / "wrong").chmod(0o600)
    (token / "open").write_text(PIN)
    (token / "open").chmod(0o644)
    assert stat.S_IMODE((token / "open").stat().st_mode) == 0o644
    for bad, said in (
        (uri(token, "never made"), "no key 'never made' in the token"), (uri(token, label="nobody"), "no token 'nobody'"),
        (uri(token, pin="wrong", label="third"), "refuses the PIN in .*/wrong: correct it"),
        (uri(token, pin="open"), "PIN file .*/open can be read by others: chmod 600 "),
        (uri(token, pin="none"), "PIN file .*/none cannot be read: No such file.*: put the PIN of the token"),
        (uri(token).replace(softhsm[0], "/none.so"), "module /none.so cannot be loaded .*: install it"),
        ("pkcs11:token=a", "lacks module-path, object, pin-source"),
        (uri(token) + "&pin-value=1", "'pin-value'"), (uri(token).replace("object=", "id="), "'id'"),
    ):  # fmt: skip
        with pytest.raises(KeysClosed, match=said) as caught:
            TokenMaster(bad, make=False)
        assert "\n" not in str(caught.value) and PIN not in str(caught.value)
    Keyring(home(f"sqlite:///{tmp_path}/a.db"), master=uri(token)).key_id("X")
    with pytest.raises(KeyringError, match="was made with the master key"):
        Keyring(home(f"sqlite:///{tmp_path}/a.db"), master=uri(token, "second"))
