"""Custody: who has a thing is known from entries alone; a transfer counts when both have signed the same words."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest

from birddog.custody import custody_of
from birddog.journal import entries, open_reader, open_writer
from birddog.model import Custody, unpack
from opsroom import cli

AT = ("--at", "2026-05-01T12:00:00Z")


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    open_writer(url, mode="live").close()
    assert cli.main(["operation", "add", "A", "--journal", url]) == 0
    for name in ("Noor", "Ben Ott"):
        assert custody(url, "key", "--actor", name, "--out", str(tmp_path / f"{name}.key")) == 0
    return url


def custody(url, *words):
    return cli.main(["custody", *words, "--journal", url])


def listed(url, capsys):
    capsys.readouterr()
    assert custody(url, "list", "--json") == 0
    return {thing["item"]: thing for thing in json.loads(capsys.readouterr().out)}


def test_what_happens_to_a_thing_is_of_its_case_unless_another_is_named(url, tmp_path):
    """A transfer that stood outside the case would be missed in the case's bundle: open there for ever."""
    assert custody(url, "add", "tag-1", "seize", "--operation", "A", "--actor", "Noor", *AT) == 0
    assert custody(url, "give", "tag-1", "--to", "Ben Ott", "--key", str(tmp_path / "Noor.key"), "--actor", "Noor", *AT) == 0
    assert custody(url, "receive", "tag-1", "--key", str(tmp_path / "Ben Ott.key"), "--actor", "Ben Ott", *AT) == 0
    assert custody(url, "add", "tag-2", "seize", "--actor", "Noor", *AT) == 0
    said = [entry for entry in entries(open_reader(url)) if entry.kind == "custody"][2:]  # behind two keys
    assert [entry.operation for entry in said] == ["A", "A", "A", ""]
    assert [unpack(entry).operation for entry in said] == ["A", "A", "A", ""]


def test_a_transfer_is_open_until_both_have_signed(url, tmp_path, capsys):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"jpeg")
    assert custody(url, "add", "tag-7", "seize", "--actor", "Noor", "--operation", "A", "--where", "Kai 4", *AT) == 0
    assert custody(url, "add", "tag-7", "photo", "--actor", "Noor", "--file", str(photo), *AT) == 0
    assert custody(url, "give", "tag-7", "--to", "Ben Ott", "--key", str(tmp_path / "Noor.key"), "--actor", "Noor", *AT) == 0
    thing = listed(url, capsys)["tag-7"]
    assert (thing["holder"], thing["waits"]) == ("Noor", thing["steps"][-1]["seq"])
    assert thing["steps"][1]["body"]["sha256"] == hashlib.sha256(b"jpeg").hexdigest()
    assert custody(url, "receive", "tag-7", "--key", str(tmp_path / "Ben Ott.key"), "--actor", "Ben Ott", *AT) == 0
    thing = listed(url, capsys)["tag-7"]
    assert (thing["holder"], thing["waits"]) == ("Ben Ott", 0) and not any(step["fault"] for step in thing["steps"])
    assert thing["steps"][0]["body"]["place"] == "Kai 4" and thing["steps"][0]["body"]["at_ns"] == 1_777_636_800 * 10**9


def test_who_has_it_not_cannot_give_it_and_nobody_receives_for_another(url, tmp_path, capsys):
    assert custody(url, "add", "tag-7", "seize", "--actor", "Noor") == 0
    ben, noor = str(tmp_path / "Ben Ott.key"), str(tmp_path / "Noor.key")
    assert custody(url, "give", "tag-7", "--to", "Noor", "--key", ben, "--actor", "Ben Ott") == 1
    assert "Noor has it, not Ben Ott" in capsys.readouterr().err
    assert custody(url, "give", "tag-7", "--to", "Ben Ott", "--key", ben, "--actor", "Noor") == 1
    assert "no key that we know has signed" in capsys.readouterr().err
    assert custody(url, "receive", "tag-7", "--key", ben, "--actor", "Ben Ott") == 2
    assert custody(url, "give", "tag-7", "--to", "Ben Ott", "--key", noor, "--actor", "Noor") == 0
    assert custody(url, "receive", "tag-7", "--key", noor, "--actor", "Noor") == 1
    assert "it was given to Ben Ott" in capsys.readouterr().err
    assert custody(url, "receive", "tag-7", "--key", noor, "--actor", "Ben Ott") == 1
    assert listed(url, capsys)["tag-7"]["waits"] > 0
    assert custody(url, "receive", "tag-7", "--key", ben, "--actor", "Ben Ott") == 0
    assert custody(url, "add", "tag-7", "seize", "--actor", "Noor") == 1
    assert "a transfer is missing" in capsys.readouterr().err
    assert custody(url, "give", "x", "--to", "Noor", "--key", str(tmp_path / "none"), "--actor", "Noor") == 2
    assert custody(url, "key", "--actor", "Noor", "--out", noor) == 2
    assert custody(url, "add", "y", "photo", "--file", str(tmp_path / "none")) == 2
    assert custody(url, "add", "y", "photo", "--operation", "Z") == 2
    capsys.readouterr()


def test_words_that_were_changed_after_the_signature_do_not_count(url, tmp_path):
    custody(url, "add", "tag-7", "seize", "--actor", "Noor")
    custody(url, "give", "tag-7", "--to", "Ben Ott", "--key", str(tmp_path / "Noor.key"), "--actor", "Noor")
    custody(url, "receive", "tag-7", "--key", str(tmp_path / "Ben Ott.key"), "--actor", "Ben Ott")
    reader = open_reader(url)
    said = [(entry.seq, unpack(entry)) for entry in entries(reader) if entry.kind == "custody"]
    reader.close()
    assert custody_of(said)["tag-7"].holder == "Ben Ott"
    for field, value in (("to", "Eve"), ("place", "elsewhere"), ("sha256", "00"), ("at_ns", 1), ("by", "Eve")):
        thing = custody_of([(seq, msgspec.structs.replace(body, **{field: value}) if body.action == "give" else body)
                            for seq, body in said])["tag-7"]
        assert thing.holder == "Noor" and any(step.fault for step in thing.steps), field


def test_a_second_key_of_a_person_does_not_count(url, tmp_path, capsys):
    assert custody(url, "key", "--actor", "Noor", "--out", str(tmp_path / "second.key")) == 0
    assert "has another key already" in listed(url, capsys)["key of Noor"]["steps"][0]["fault"]


def test_an_empty_custody_is_a_body_like_any(url):
    assert custody_of([(1, Custody(item="x", action="end", by=""))])["x"].holder == ""
