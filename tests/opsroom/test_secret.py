"""The key of refused payloads' hashes: whole or not there, ours alone, the same for all who ask."""

from __future__ import annotations

import os
import threading

import pytest

from birddog import keyfile
from birddog.errors import ConfigError
from birddog.journal import Home
from opsroom import secret


def key_of(place: Home) -> bytes:
    return secret.refusal_keys(place, exercise=False).key


def test_made_once_and_for_its_owner_only(tmp_path):
    key = key_of(Home(tmp_path / "j.db"))
    assert len(key) == 32 and key_of(Home(tmp_path / "j.db")) == key
    [path] = tmp_path.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == ("j.db.refusal-key", 0o600)


def test_an_end_at_the_worst_moment_leaves_no_half_key(tmp_path, monkeypatch):
    def killed(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keyfile.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        key_of(Home(tmp_path / "j.db"))
    monkeypatch.undo()
    assert not (tmp_path / "j.db.refusal-key").exists()
    assert len(key_of(Home(tmp_path / "j.db"))) == 32


def test_two_that_make_it_at_once_have_one(tmp_path):
    start, keys = threading.Barrier(8), []

    def ask() -> None:
        start.wait(30)
        keys.append(key_of(Home(tmp_path / "j.db")))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(keys) == 8 and len(set(keys)) == 1 and len(list(tmp_path.iterdir())) == 1


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuses(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(keyfile.os, "link", refuses)
    assert key_of(Home(tmp_path / "j.db")) == key_of(Home(tmp_path / "j.db"))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31, "\xff"])
def test_what_is_no_key(tmp_path, text):
    path = tmp_path / "j.db.refusal-key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no key of 32 bytes"):
        key_of(Home(tmp_path / "j.db"))


def test_what_others_can_read_is_refused(tmp_path):
    key_of(Home(tmp_path / "j.db"))
    os.chmod(tmp_path / "j.db.refusal-key", 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        key_of(Home(tmp_path / "j.db"))
