"""Notes on paper: the symbol is read by another program (zxing-cpp), and what comes back is what was signed."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from birddog.errors import UsageError
from birddog.journal import home, open_writer
from birddog.journal.witnessed import kept
from birddog.model import Draft, Tick, pack
from birddog.units import NS
from birddog.witness import Ledger
from opsroom import cli, paper

T0 = 1_790_000_000 * NS
NOTE = "a.example/log\n5\nqqqq\n\n\u2014 a.example/log AAAA+/AA==\n\u2014 w.example/w BBBBBBB=\n"


def scanned(svg: bytes) -> str:
    """What a reader sees in the picture: the strokes of its path are modules (M x y, m dx dy, h n)."""
    zxingcpp = pytest.importorskip("zxingcpp")
    text = svg.decode()
    size = int(float(re.search(r'd="M0 0h([\d.]+)v', text)[1]))
    seen = np.full((size, size), 255, np.uint8)
    x = y = 0.0
    for kind, one, _, other in re.findall(r"([Mmh])(-?[\d.]+)( (-?[\d.]+))?", re.search(r'stroke="#000" d="([^"]*)"', text)[1]):
        if kind == "h":
            seen[int(y), int(x) : int(x + float(one))] = 0
            x += float(one)
        else:
            x, y = (float(one), float(other)) if kind == "M" else (x + float(one), y + float(other))
    found = zxingcpp.read_barcodes(np.kron(seen, np.ones((4, 4), np.uint8)))
    assert len(found) == 1
    return found[0].text


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    fill(url, 300)
    return url


def fill(url: str, count: int, first: int = 0) -> None:
    writer = open_writer(url, mode="live")
    writer.append([Draft(kind="tick", received_ns=T0 + n * NS, source="t", ident=b"%d" % n, body=pack(Tick()))
                   for n in range(first, first + count)])  # fmt: skip
    writer.close()


def test_a_note_is_drawn_and_read_by_another_program():
    for text in (NOTE, "x", "\u2014" * 900, "a" * paper.MOST_BYTES):
        assert scanned(paper.qr_svg(text)) == text
    with pytest.raises(UsageError, match="2954 bytes are more"):
        paper.qr_svg("a" * (paper.MOST_BYTES + 1))


@pytest.mark.parametrize("mangled", [
    NOTE.replace("\n", "\r\n"), NOTE.replace("\n", "\r"), NOTE.rstrip("\n"), "\n\n" + NOTE + "\n\n", NOTE.replace("\n", "  \n"),
    "\ufeff" + NOTE, NOTE.replace("\u2014", "-"), NOTE.replace("\u2014", "--"), NOTE.replace("\u2014", "\u2013"),
    NOTE.replace("\u2014", "\u2014".encode().decode("latin-1")), NOTE.replace("\u2014", "\u00e2\u20ac\u201d"), NOTE,
])  # fmt: skip
def test_what_paper_does_to_a_note_is_undone(mangled):
    assert paper.read_back(mangled.encode()) == NOTE.encode()


def test_nothing_else_of_a_note_is_touched():
    for text in (NOTE.replace("5", "6"), NOTE.replace("AA==", "AB=="), "old 3\nqqq=\nrrr=\n\n" + NOTE, "x\n"):
        assert paper.read_back(text.encode()) == text.encode()
    assert paper.read_back(b"\xff\x00\n") == b"\xff\x00\n"
    assert paper.read_back(b"") == b"\n"


def test_a_witness_signs_what_came_on_paper_and_its_answer_goes_back_on_paper(url, tmp_path, capsys):
    ledger = Ledger(tmp_path / "w", "customs.example/w")
    ledger.trust(json.loads((home(url).log / "keys.json").read_text())["keys"][-1]["verifier"])
    key, one, other = ledger.signer.verifier.text(), tmp_path / "one", tmp_path / "other"
    for count in (300, 400):
        assert cli.main(["witness", "request", "--key", key, "--journal", url, "--qr", f"{one}.svg"]) == 0
        asked = capsys.readouterr().out
        read = scanned(one.with_suffix(".svg").read_bytes())
        assert read == asked
        one.write_text(read.rstrip("\n").replace("\u2014", "-"), newline="\r\n")
        assert cli.main(["witness", "sign", str(one), "--store", str(tmp_path / "w"), "--qr", f"{other}.svg"]) == 0
        capsys.readouterr()
        other.write_text(scanned(other.with_suffix(".svg").read_bytes()).rstrip("\n"), newline="\r\n")
        assert cli.main(["witness", "take", str(other), "--key", key, "--journal", url]) == 0
        assert kept(home(url), ledger.signer.verifier).size == count
        fill(url, 100, first=1000 + count)


def test_a_checkpoint_on_paper_is_held_against_the_journal(url, tmp_path, capsys):
    assert cli.main(["evidence", "seal", "--journal", url, "--qr", str(tmp_path / "c.svg")]) == 0
    note = capsys.readouterr().out
    typed = tmp_path / "typed"
    typed.write_text(scanned((tmp_path / "c.svg").read_bytes()).replace("\u2014", "-").strip(), newline="\r\n")
    fill(url, 10, first=1000)
    assert cli.main(["journal", "verify", "--journal", url, "--witness", str(typed)]) == 0
    typed.write_text(note.replace("300", "301"))
    assert cli.main(["journal", "verify", "--journal", url, "--witness", str(typed)]) == 1
    assert cli.main(["evidence", "seal", "--journal", url, "--qr", str(tmp_path / "none" / "c.svg")]) == 2
    capsys.readouterr()
