"""The table of entry kinds: every row is complete, everything that asks follows from it, and one is added in one file."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from birddog.directory import Directory
from birddog.journal import open_reader, open_writer
from birddog.journal.sqlite_reader import SAID
from birddog.model import ENTRY_BODIES, KINDS, REGISTERS, Draft, Entry, pack, unpack
from ingest import control
from tracking.fold import Fold

ROOT = Path(__file__).parents[2]
#: A value for each type of a field that has no default.
SAMPLE = {str: "x", int: 1, float: 1.0, bytes: b"x", dict: {}, tuple: ()}
#: Kinds whose word is not the struct's.
NAMES = {"frame": "FrameBody", "refusal": "RefusalBody", "clock": "ClockSet", "warrant": "WarrantAct", "ways": "UsedWays"}
#: What else must be said so that a body fits together: a table of no cells.
FITS = {"UsedWays": {"cell_m": 1000.0, "cells": b"", "moved": b"", "stood": b"", "quartile": b"", "sectors": b""}}
T0 = 1_790_000_000 * 10**9


def sample(body: type[msgspec.Struct]) -> msgspec.Struct:
    """A body with something in every field that must be given."""
    given = {}
    for field in msgspec.structs.fields(body):
        if not field.required:
            continue
        kind = msgspec.inspect.type_info(field.type)
        if isinstance(kind, msgspec.inspect.LiteralType):
            given[field.name] = kind.values[0]
        else:
            word = type(kind).__name__.removesuffix("Type").lower().replace("vartuple", "tuple")
            given[field.name] = {t.__name__: v for t, v in SAMPLE.items()}[word]
    return body(**given | FITS.get(body.__name__, {}))


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_row_is_complete(kind, tmp_path):
    """Name, words, round trip; a register is taken in and asked for, what does not fold changes nothing in the picture."""
    assert re.fullmatch(r"[a-z]{3,12}", kind.name) and kind.body.__name__ == NAMES.get(kind.name, kind.name.capitalize())
    assert f"kind ``{kind.name}``" in inspect.getdoc(kind.body)
    body = sample(kind.body)
    entry = Entry(seq=1, kind=kind.name, received_ns=T0, source="t", ident=b"1", body=pack(body))
    assert unpack(entry) == body
    assert Directory().apply(body) == kind.register
    assert not kind.register or (kind.asked and kind.folds)
    url = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind=kind.name, received_ns=T0, source="t", ident=b"1", body=pack(body))])
    writer.close()
    reader = open_reader(url)
    assert [e.kind for e in reader.registers()] == ([kind.name] if kind.register else [])
    assert unpack(reader.read(0)[0]) == body
    reader.close()
    fold = Fold()
    changes = fold.apply(entry)
    if not kind.folds:
        assert not (changes.tracks or changes.points or changes.events) and fold.directory.version == 0


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_what_may_be_asked_for_is_what_the_table_says(kind):
    request = control.wanted(sample(kind.body), source="t")
    assert request.kind == kind.name
    if kind.asked:
        assert control.drafts_of([request])[0].kind == kind.name
    else:
        with pytest.raises(control.Denied, match="by the desk only"):
            control.drafts_of([request])


def test_names_and_bodies_stand_once():
    assert len({kind.name for kind in KINDS}) == len({kind.body for kind in KINDS}) == len(KINDS) == len(ENTRY_BODIES)
    # the index of what was said holds every register
    assert not any(f"'{name}'" in SAID for name in REGISTERS)


def test_the_table_in_the_docs_is_this_one():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", page, flags=re.MULTILINE)
    said = {name: tuple(word.strip() == "yes" for word in words) for name, *words in rows}
    assert said == {kind.name: (kind.register, kind.asked, kind.folds) for kind in KINDS}


ADDED = '''
class Lending(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind ``lending``: who holds a thing from now on."""

    thing: str
    by: str


class Denial('''
USES_IT = """
import json, sys
from birddog.journal import open_reader, open_writer
from birddog.model import Lending, unpack
from ingest import control
from opsroom import cli
url = sys.argv[1]
open_writer(url, mode="live").close()
assert control.enter(url, [Lending(thing="crate", by="Noor")], source="operator") == [1]
reader = open_reader(url)
entry = reader.read(0)[0]
assert (entry.kind, entry.actor, unpack(entry)) == ("lending", "Noor", Lending(thing="crate", by="Noor"))
assert [e.seq for e in reader.registers()] == [1]
reader.close()
assert cli.main(["journal", "export", "--journal", url]) == 0
"""


def test_a_kind_is_added_in_one_file(tmp_path):
    """A copy of the program with a struct and a row more: asked for, written, a register, exported."""
    for room in ("birddog", "devices", "ingest", "tracking", "opsroom"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "static", "*.db"))
    page = tmp_path / "birddog" / "model.py"
    text = page.read_text().replace("\nclass Denial(", ADDED, 1)
    row = '    KindOfEntry("lending", Lending, register=True, asked=True),\n'
    page.write_text(text.replace('    KindOfEntry("denial"', f'{row}    KindOfEntry("denial"', 1))
    done = subprocess.run([sys.executable, "-c", USES_IT, f"sqlite:///{tmp_path}/j.db"], cwd=tmp_path, text=True,
                          capture_output=True, check=False, env={"PYTHONPATH": str(tmp_path), "PATH": ""})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"kind":"lending"' in done.stdout and '"thing":"crate"' in done.stdout and '"actor":"Noor"' in done.stdout
