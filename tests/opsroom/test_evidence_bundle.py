"""Evidence bundles: what is in one holds, what was changed in it is named, what is no bundle is refused.

Over 400 lines: one bundle, and all that is asked of it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from birddog.journal import home, open_reader, open_writer
from birddog.model import Attachment, Device, Draft, Frame, Operation, Start, Tick, pack, unpack
from birddog.units import NS
from devices import codec
from ingest.control import own
from ingest.desk import Desk
from ingest.intake import Entries
from opsroom import bundle as bundle_room
from opsroom import cli, verifier
from opsroom.bundle import export
from opsroom.commands import evidence
from opsroom.disclosed import Record
from opsroom.rebuilding import make

T0 = 1_790_000_000 * NS


class Source:
    name = "mqtt"

    def acknowledge(self, results):
        assert {r.outcome for r in results} == {"stored"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A journal of two cases, of which the log has more than one full tile, and a bundle of the case A."""
    folder = tmp_path_factory.mktemp("case")
    url = f"sqlite:///{folder}/j.db"
    writer = open_writer(url, mode="live")
    desk = Desk(writer, exercise=False, refusal_key=b"k" * 32)
    said = [Start(version="x", presets={}), Operation(operation="A", name="Nachtigall"), Operation(operation="B")]
    for name in ("a", "b"):
        said += [Device(device=f"phone-{name}"),
                 Attachment(device=f"phone-{name}", shipment=f"van-{name}", operation=name.upper(), from_ns=0)]
    desk.take([Entries([own(body, source="op") for body in said], lambda numbers: None)], T0)
    phone = codec.load("owntracks")
    for k in range(1, 141):
        at = T0 + k * 10 * NS
        for name in ("a", "b"):
            if name == "a" and k > 20:
                continue
            payload = phone.encode(time_ns=at, lat_deg=51.93 + k * 1e-4, lon_deg=4.05 + k * 2e-4, accuracy_m=8)
            frame = Frame(source="mqtt", format="owntracks", payload=payload, received_ns=at, device=f"phone-{name}",
                          session="s", packet=k)
            desk.take([(Source(), [frame])], at)
        desk.tick(at + 1)
    assert writer.last_seq() > 300
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(folder / "a.zip")]) == 0
    return folder


@pytest.fixture
def bundle(folder, tmp_path):
    return Path(shutil.copy(folder / "a.zip", tmp_path / "a.zip"))


@pytest.fixture(scope="module")
def key(folder):
    return json.loads((folder / "j.db.log" / "keys.json").read_text())["keys"][-1]["verifier"]


def said(bundle, key=None):
    """The lines of a verification."""
    lines = []
    faults = verifier.verify(str(bundle), key, lines.append)
    return faults, lines


def files_of(bundle):
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path, files):
    """A zip as ours are, of any files."""
    headers = verifier.Headers()
    out = b"".join(headers.local(name, verifier.zlib.crc32(data), len(data)) + data for name, data in files.items())
    path.write_bytes(out + headers.end())
    return path


def records(bundle):
    return [json.loads(line) for line in files_of(bundle)["records.jsonl"].splitlines()]


def shown(bundle: Path) -> bytes:
    """All values that the records show."""
    return b"".join(base64.b64decode(field[2]) for row in records(bundle) for field in row["fields"] if len(field) == 3)


def test_a_bundle_holds_with_the_key_and_nothing_else(bundle, key, capsys):
    faults, lines = said(bundle, key)
    assert faults == 0 and lines[-1].startswith("signed by birddog/")
    assert cli.main(["evidence", "verify", str(bundle), "--key", key, "--recompute"]) == 0
    assert "bit for bit" in capsys.readouterr().out
    faults, lines = said(bundle)
    assert faults == 0 and "no public key was given" in lines[-1]


def test_the_verifier_in_it_runs_alone_with_python_only(bundle, key, tmp_path):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "verify.py").write_bytes(files_of(bundle)["verify.py"])
    done = subprocess.run([sys.executable, "-I", "-S", "verify.py", str(bundle), "--key", key], cwd=tmp_path / "alone",
                          text=True, capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and "0 faults" in done.stdout
    allowed = {"argparse", "base64", "binascii", "hashlib", "json", "os", "struct", "sys", "time", "zipfile", "zlib"}
    assert set(re.findall(r"^\s*(?:import|from) (\w+)", files_of(bundle)["verify.py"].decode(), re.MULTILINE)) == allowed


def test_it_is_the_same_bytes_each_time_and_holds_nothing_of_another_case(folder, bundle, tmp_path):
    url = f"sqlite:///{folder}/j.db"
    reader = open_reader(url)
    for name in ("b.zip", "c.zip"):
        export(reader, home(url), "A", tmp_path / name)
    reader.close()
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "c.zip").read_bytes()
    raw = b"".join(files_of(bundle).values()) + shown(bundle)
    assert b"phone-a" in raw and b"van-a" in raw and b"Nachtigall" in raw
    assert b"phone-b" not in raw and b"van-b" not in raw


def test_its_tracks_are_those_of_the_picture(folder, bundle, tmp_path):
    reader = open_reader(f"sqlite:///{folder}/j.db")
    make(reader, tmp_path / "picture")
    reader.close()
    db = sqlite3.connect(tmp_path / "picture")
    own = {row[0] for row in db.execute("SELECT id FROM track WHERE operation = 'A'")}
    seen = db.execute("SELECT track, count(*) FROM point GROUP BY track").fetchall()
    db.close()
    rows = files_of(bundle)["tracks.csv"].decode().splitlines()[2:]
    made = {name: sum(row.split(",")[0] == name for row in rows) for name in own}
    assert {name: n for name, n in seen if name in own} == made
    assert len(own) == 1 and len(rows) >= 20


def test_any_flipped_bit_is_found(bundle, key, tmp_path):
    whole, rng = bundle.read_bytes(), random.Random(7)
    for at in [*range(0, 40, 2), *range(len(whole) - 830, len(whole), 23), *(rng.randrange(len(whole)) for _ in range(30))]:
        other = bytearray(whole)
        other[at] ^= 1 << rng.randrange(8)
        (tmp_path / "x.zip").write_bytes(other)
        try:
            assert said(tmp_path / "x.zip", key)[0] > 0, at
        except verifier.Refused:
            pass


def test_a_flipped_bit_in_a_record_names_it(bundle, key, tmp_path):
    files, rng = files_of(bundle), random.Random(9)
    lines = files["records.jsonl"].splitlines(keepends=True)
    for _ in range(40):
        n = rng.randrange(len(lines))
        line = bytearray(lines[n])
        at = rng.randrange(20, len(line))
        line[at] ^= 1 << rng.randrange(8)
        changed = [*lines[:n], bytes(line), *lines[n + 1 :]]
        zipped(tmp_path / "x.zip", files | {"records.jsonl": b"".join(changed)})
        seq = json.loads(lines[n])["seq"]
        assert any(out.startswith(f"record {seq} (line {n + 1})") for out in said(tmp_path / "x.zip", key)[1]), (n, at)


@pytest.mark.parametrize("harm,words", [
    ("delete", "records hold; the manifest says"), ("swap", "stands behind record"), ("repeat", "stands behind record"),
    ("truncate", "records hold; the manifest says"), ("forge", "fields are not those that were committed to"),
    ("other", "is not the one in the log"),
])  # fmt: skip
def test_records_taken_out_exchanged_or_forged(bundle, key, tmp_path, harm, words):
    files = files_of(bundle)
    lines = files["records.jsonl"].splitlines(keepends=True)
    if harm == "delete":
        del lines[10]
    elif harm == "swap":
        lines[10], lines[11] = lines[11], lines[10]
    elif harm == "truncate":
        del lines[20:]
    elif harm == "repeat":
        lines.insert(11, lines[10])
    else:
        row = json.loads(lines[10])
        if harm == "forge":
            field = next(field for field in row["fields"] if field[0] == "observations.0.lat_deg")
            field[2] = base64.b64encode(base64.b64decode(field[2])[:-1] + b"\0").decode()
        else:
            raw = bytearray(base64.b64decode(row["statement"]))
            raw[15] ^= 1
            row["statement"] = base64.b64encode(raw).decode()
        lines[10] = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    zipped(tmp_path / "x.zip", files | {"records.jsonl": b"".join(lines)})
    faults, out = said(tmp_path / "x.zip", key)
    assert any(words in line for line in out), out
    assert any(line.startswith("records.jsonl: was changed") for line in out)
    # and also where whoever did it made a manifest to match, which he cannot sign
    manifest = json.loads(files["bundle.json"])
    held = b"".join(lines)
    manifest["files"]["records.jsonl"], manifest["records"] = hashlib.sha256(held).hexdigest(), len(lines)
    zipped(tmp_path / "y.zip", files | {"records.jsonl": held, "bundle.json": json.dumps(manifest, indent=1).encode()})
    assert any(line.startswith("bundle.note: ") for line in said(tmp_path / "y.zip", key)[1])


@pytest.mark.parametrize("cut", [lambda key: key[:-6] + "AAAAAA", lambda key: "nonsense", lambda key: ""])
def test_a_key_that_is_none_is_said_to_be_none(bundle, key, tmp_path, cut):
    """Mistyped on the command line of the verifier that is in the bundle."""
    assert said(bundle, cut(key))[0] > 0  # an empty file of a key is not "no key was given": its own would be trusted
    alone = tmp_path / "alone.py"
    alone.write_bytes(files_of(bundle)["verify.py"])
    words = [sys.executable, "-I", "-S", str(alone), str(bundle), "--key", cut(key)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and ran.stderr.startswith("--key: ") and len(ran.stderr.splitlines()) == 1


def test_a_replaced_verifier_a_file_more_and_one_less(bundle, key, tmp_path):
    files = files_of(bundle)
    zipped(tmp_path / "x.zip", files | {"verify.py": b"print('0 faults')\n"})
    assert any("do not use it to verify with" in line for line in said(tmp_path / "x.zip", key)[1])
    zipped(tmp_path / "x.zip", files | {"more.html": b"x"})
    assert "more.html: was put in" in said(tmp_path / "x.zip", key)[1]
    del files["case.html"]
    zipped(tmp_path / "x.zip", files)
    assert "case.html: was taken out" in said(tmp_path / "x.zip", key)[1]


def test_what_an_export_reads_back_is_what_a_verifier_reads(folder, bundle, key, tmp_path):
    redacted = tmp_path / "r.zip"
    url = f"sqlite:///{folder}/j.db"
    assert cli.main(["evidence", "export", "A", "--journal", url, "--redact", "place", "--out", str(redacted)]) == 0
    for path in (bundle, redacted):
        (tmp_path / "lines").write_bytes(held := files_of(path)["records.jsonl"])
        read = list(bundle_room._read(tmp_path / "lines"))
        strict = [Record(*verifier.record_of(line)) for line in held.splitlines()]
        assert [(one.seq, one.statement, list(one.fields)) for one in read] == \
            [(one.seq, one.statement, list(one.fields)) for one in strict]
        assert b"".join(one.line() for one in read) == held


def test_files_in_another_order_are_found(bundle, key, tmp_path):
    files = files_of(bundle)
    names, rng = list(files), random.Random(4)
    assert verifier.out_of_order(names) == "" and all(map(verifier.place_of, names))
    for n in range(len(names) - 1):
        moved = [*names[:n], names[n + 1], names[n], *names[n + 2 :]]
        faults, lines = said(zipped(tmp_path / "x.zip", {name: files[name] for name in moved}), key)
        assert (faults, lines[0]) == (1, f"{names[n]}: stands behind {names[n + 1]}: the files were put in another order")
    rng.shuffle(names)
    assert said(zipped(tmp_path / "x.zip", {name: files[name] for name in names}), key)[0] == 1


def test_the_order_of_witnesses_and_stamps_is_that_of_an_export():
    whole = [f"witness/{name}.{kind}" for name in ("a%2Fb", "a", "a.note b") for kind in ("note", "proof")]
    whole += [f"stamp/{size}.{kind}" for size in (9, 10, 600, 70000) for kind in ("note", "proof", "tsr")]
    assert whole[:6] == [f"witness/{name[:-5]}.{kind}" for name in sorted(("a%2Fb.note", "a.note", "a.note b.note"))
                         for kind in ("note", "proof")]  # fmt: skip
    assert sorted(whole, key=verifier.place_of) == whole and verifier.out_of_order(whole) == ""
    assert verifier.out_of_order(whole[::-1]).startswith("stamp/70000.proof: stands behind stamp/70000.tsr")
    for other in ("witness/a", "stamp", "tile", "checkpoint/x", "else", "records.jsonl/", "verify.py2"):
        assert verifier.place_of(other) == ""


@pytest.mark.parametrize("behind", ["own, changed", "own again", "a stranger's", "short", "\r\n", "words\n"])
def test_anything_behind_the_signature_of_the_manifest_is_found(bundle, key, tmp_path, behind):
    """No hash in the manifest covers ``bundle.note``: so it holds that one signature, and nothing else."""
    files = files_of(bundle)
    own = files["bundle.note"].decode().splitlines(keepends=True)[-1]
    raw = bytearray(base64.b64decode(own.split()[2]))
    raw[20] ^= 1
    more = {"own again": own, "own, changed": f"{own.rpartition(' ')[0]} {base64.b64encode(raw).decode()}\n",
            "a stranger's": f"\u2014 x {base64.b64encode(bytes(68)).decode()}\n", "short": "\u2014 x AAAA\n"}  # fmt: skip
    changed = zipped(tmp_path / "x.zip", files | {"bundle.note": files["bundle.note"] + more.get(behind, behind).encode()})
    faults, lines = said(changed, key)
    assert faults == 1 and lines[0].startswith("bundle.note: ")


def over_one_another(count: int) -> bytes:
    """A zip whose many files are all the same bytes: some megabytes that would be read as many gigabytes."""
    held = bytes(5000)
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 33, 0, len(held), len(held), 11, 0) + b"bundle.json"
    names = [b"bundle.json", *(b"f%d" % n for n in range(count))]
    size, begins = len(held), len(head) + len(held)
    directory = b"".join(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x314, 20, 0, 0, 0, 33, 0, size, size, len(name), 0, 0,
                                     0, 0, 0o600 << 16, 0) + name for name in names)  # fmt: skip
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(names), len(names), len(directory), begins, 0)
    return head + held + directory + end


def test_another_key_and_another_log(bundle, key, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/other.db"
    writer = open_writer(url, mode="live")
    body = pack(Operation(operation="A"))
    writer.append([Draft(kind="operation", received_ns=T0, source="t", ident=b"1", operation="A", body=body)])
    writer.close()
    other = json.loads((tmp_path / "other.db.log" / "keys.json").read_text())["keys"][0]["verifier"]
    faults, lines = said(bundle, other)
    assert faults and any("is not signed by" in line for line in lines)
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / "o.zip")]) == 0
    mixed = files_of(bundle) | {"checkpoint": files_of(tmp_path / "o.zip")["checkpoint"]}
    assert any(line.startswith("checkpoint: ") for line in said(zipped(tmp_path / "x.zip", mixed), key)[1])
    assert cli.main(["evidence", "verify", str(bundle), "--key", "nonsense"]) == 2
    capsys.readouterr()


@pytest.mark.parametrize("fields,names", [
    ("device", {"device"}), ("lat_deg", {"lat_deg"}), ("place,speed_mps", {"lat_deg", "lon_deg", "speed_mps"}),
    ("payload", set()),
])  # fmt: skip
def test_what_is_withheld_is_nowhere_and_the_rest_verifies(folder, key, tmp_path, fields, names, capsys):
    out = tmp_path / "r.zip"
    url = f"sqlite:///{folder}/j.db"
    assert cli.main(["evidence", "export", "A", "--journal", url, "--redact", fields, "--out", str(out)]) == 0
    faults, lines = said(out, key)
    assert faults == 0 and not re.search(" 0 withheld", lines[0])
    kept = set()
    for row in records(out):
        for name, *rest in row["fields"]:
            base = name.rpartition(".")[2].lstrip("@")
            assert len(rest) == 1 or base not in names | {"payload", "ident"}
            kept |= {base} if len(rest) == 2 else set()
    assert {"format", "time_ns"} <= kept and (fields != "lat_deg" or {"lon_deg", "device"} <= kept)
    raw = b"".join(files_of(out).values()) + shown(out)
    assert b'"lat":' not in raw
    if fields == "device":
        assert b"phone-a" not in raw  # nor in the topic, which is another field
    if names & {"lat_deg"}:
        assert not re.search(rb"(?<!:)51\.93", raw) and struct.pack(">d", 51.93)[:6] not in raw
    assert ("tracks.csv" in files_of(out)) == (fields == "payload")
    assert cli.main(["evidence", "verify", str(out), "--key", key, "--recompute"]) == (0 if fields == "payload" else 1)
    capsys.readouterr()


def test_which_field_is_withheld_is_proven(folder, key, tmp_path):
    """Another name, another order, a commitment as a value: the record falls."""
    out = tmp_path / "r.zip"
    url = f"sqlite:///{folder}/j.db"
    assert cli.main(["evidence", "export", "A", "--journal", url, "--redact", "lat_deg", "--out", str(out)]) == 0
    files, rows = files_of(out), records(out)
    at = next(n for n, row in enumerate(rows) if any(field[0].endswith(".lat_deg") for field in row["fields"]))
    place = next(n for n, field in enumerate(rows[at]["fields"]) if field[0].endswith(".lat_deg"))

    def harmed(change) -> list[str]:
        row = json.loads(json.dumps(rows[at]))
        change(row["fields"])
        lines = [json.dumps(row if n == at else one, separators=(",", ":")).encode() + b"\n" for n, one in enumerate(rows)]
        zipped(tmp_path / "x.zip", files | {"records.jsonl": b"".join(lines)})
        return [line for line in said(tmp_path / "x.zip", key)[1] if line.startswith(f"record {row['seq']} ")]

    assert any("fields are not those" in line for line in harmed(lambda f: f[place].__setitem__(0, "observations.0.alt_m")))
    assert any("fields are not those" in line for line in harmed(lambda f: f.insert(0, f.pop())))
    assert any("fields are not those" in line for line in harmed(lambda f: f.pop(place)))
    assert any("no commitment or no salt" in line for line in harmed(lambda f: f[place].__setitem__(1, "AAAA")))
    assert any("has a field" in line for line in harmed(lambda f: f[place].append("AAAA") or f[place].append("AAAA")))
    assert harmed(lambda f: None) == []


def test_a_part_of_the_time(folder, key, tmp_path):
    out = tmp_path / "t.zip"
    times = ["--from", "2026-09-21T14:14:00Z", "--to", "2026-09-21T14:15:00Z"]
    assert cli.main(["evidence", "export", "A", "--journal", f"sqlite:///{folder}/j.db", *times, "--out", str(out)]) == 0
    kinds = [verifier.stated(base64.b64decode(row["statement"]))[2] for row in records(out)]
    assert 0 < kinds.count("frame") < 20 and "attachment" in kinds and said(out, key)[0] == 0


def test_what_is_no_bundle_is_named_and_refused(bundle, tmp_path, capsys):
    def refused(data, words, name="x.zip"):
        path = tmp_path / name
        path.write_bytes(data)
        assert cli.main(["evidence", "verify", str(path)]) == 2
        err = capsys.readouterr().err
        assert re.search(words, err) and err.count("\n") == 1, err

    whole = bundle.read_bytes()
    refused(b"", "no zip")
    refused(b"hello" * 50, "no zip")
    for at in (3, 30, 1000, len(whole) // 2, len(whole) - 1):
        refused(whole[:at], "no zip|cut or damaged")
    for name, words in (("../evil", "leaves the folder"), ("/etc/passwd", "leaves the folder"), ("a\\b", "leaves the folder"),
                        ("C:x", "leaves the folder")):  # fmt: skip
        refused(zipped(tmp_path / "made", files_of(bundle) | {name: b"x"}).read_bytes(), words)
    refused(zipped(tmp_path / "made", {"a.zip": whole}).read_bytes(), "zipped twice: the bundle is 'a.zip'")
    refused(zipped(tmp_path / "made", {"a.txt": b"x"}).read_bytes(), "bundle.json is not in it")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b"0" * 50_000_000)
    refused(bomb.getvalue(), "is compressed, [0-9]+ bytes for 50000000")
    refused(over_one_another(9), "its files have 50000 bytes, and it has [0-9]+: they lie over one another")
    with zipfile.ZipFile(bomb := io.BytesIO(), "w") as archive:
        link = zipfile.ZipInfo("bundle.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    refused(bomb.getvalue(), "is a link")
    another = zipped(tmp_path / "made", files_of(bundle) | {"bundle.json": b'{"form": 9}'})
    refused(another.read_bytes(), "bundle.json: is of form 9")
    assert said(zipped(tmp_path / "deep", files_of(bundle) | {"bundle.json": b"[" * 100_000}))[0] > 0
    renamed = tmp_path / "photo.jpg"
    renamed.write_bytes(whole)
    assert cli.main(["evidence", "verify", str(renamed)]) == 0
    capsys.readouterr()


def test_that_it_was_exported_is_an_entry_before_it_leaves_and_the_bundle_holds_it(folder, key, tmp_path, capsys):
    url, out = f"sqlite:///{folder}/j.db", tmp_path / "r.zip"
    words = ["--reason", "for the court", "--actor", "ann", "--redact", "words", "--from", "2026-09-21T14:14:00Z"]
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(out), *words]) == 0
    reader = open_reader(url)
    (entry,) = reader.tail(1)
    reader.close()
    body = unpack(entry)
    assert (entry.kind, entry.operation, entry.actor) == ("access", "A", "ann")
    assert (body.form, body.to, body.reason) == ("evidence, withheld: words", "r.zip", "for the court")
    last = verifier.stated(base64.b64decode(records(out)[-1]["statement"]))
    assert (last[0], last[2]) == (entry.seq, "access") and said(out, key)[0] == 0
    capsys.readouterr()
    assert cli.main(["oversight", "report", "--journal", url, "--format", "csv", "--table", "log"]) == 0
    assert "export as evidence, withheld: words to r.zip" in capsys.readouterr().out


def test_a_copy_that_cannot_be_written_is_exported_and_says_that_it_is_not_recorded(folder, key, tmp_path, capsys,
                                                                                   monkeypatch):
    from birddog.errors import JournalError

    def refused(*_, **__):
        raise JournalError("j.db: Read-only file system")

    url, out = f"sqlite:///{folder}/j.db", tmp_path / "o.zip"
    monkeypatch.setattr("ingest.control.enter", refused)
    monkeypatch.setattr("opsroom.accesses.only_to_read", lambda journal: True)
    reader = open_reader(url)
    last = reader.last_seq()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(out)]) == 0
    assert "this export is not recorded: j.db: Read-only file system" in capsys.readouterr().err
    assert reader.last_seq() == last and said(out, key)[0] == 0
    reader.close()


def copied(folder, to):
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.lock", "*.zip"))
    return f"sqlite:///{to}/j.db"


def test_nothing_leaves_that_could_be_recorded_and_is_not(folder, tmp_path, capsys, monkeypatch):
    """A full disk, a writer that holds the journal or does not answer, a file that is somebody else's."""
    from birddog.errors import JournalFull, JournalHeld
    from ingest.control import NoAnswer

    url, out = copied(folder, tmp_path / "copy"), tmp_path / "o.zip"
    for error in (JournalFull("j.db: the disk is full"), JournalHeld("another process is writing j.db"), NoAnswer("no answer"),
                  PermissionError(13, "Permission denied", "j.db.keys")):
        def refused(*_, error=error, **__):
            raise error

        monkeypatch.setattr("ingest.control.enter", refused)
        for command in (["evidence", "export", "A"], ["export", "--format", "csv"]):
            assert cli.main([*command, "--journal", url, "--out", str(out)]) == 2
            assert not out.exists() and str(error) in capsys.readouterr().err
    monkeypatch.undo()
    from birddog.lock import hold

    held = hold(str(home(url).lock))  # for real, by whoever may open the file
    try:
        monkeypatch.setattr("ingest.control.time.monotonic", iter(range(0, 1000, 10)).__next__)
        assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(out)]) == 2
    finally:
        os.close(held)
    assert not out.exists() and "another process is writing" in capsys.readouterr().err


def test_a_log_that_cannot_be_signed_to_its_end_is_no_endless_wait(folder, tmp_path, capsys, monkeypatch):
    """A disk had room for the entry and none for the log: export and seal asked again for ever."""
    from birddog.journal.log_files import LogFiles

    url, out = copied(folder, tmp_path / "copy"), tmp_path / "o.zip"
    point = LogFiles.checkpoint
    monkeypatch.setattr(LogFiles, "checkpoint", lambda files, known: msgspec.structs.replace(point(files, known), size=1))
    monkeypatch.setattr("birddog.journal.open_writer", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr("time.monotonic", iter(range(0, 1000, 2)).__next__)
    for command in (["evidence", "seal"], ["evidence", "export", "A", "--out", str(out)]):
        monkeypatch.setattr("opsroom.accesses.record", lambda *_: None)
        assert cli.main([*command, "--journal", url]) == 2
        assert "is not signed to the journal's end" in capsys.readouterr().err
    assert not out.exists()


def test_only_where_nobody_can_write_and_nobody_does_is_a_journal_only_to_read(folder, tmp_path, monkeypatch):
    from opsroom import accesses

    place = home(copied(folder, tmp_path / "copy"))
    assert not accesses.only_to_read(place)
    monkeypatch.setattr("opsroom.accesses.os.access", lambda path, mode: False)
    assert accesses.only_to_read(place)
    place.socket.touch()  # another user's writer
    assert not accesses.only_to_read(place)


NAMED = "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'phone-', 'phonf-') AS BLOB) WHERE seq = "


@pytest.mark.parametrize("change, named", [
    (NAMED + "4", "entry 4 is not the one"),
    (NAMED + "6", "entry 6 is not the one"),  # of nobody here: perhaps it was
    ("UPDATE entry SET received_ns = received_ns + 1 WHERE seq = 8", "entry 8 is not the one"),
    ("UPDATE entry SET body = zeroblob(length(body)) WHERE seq = 8", "entry 8 cannot be read"),
    ("UPDATE entry SET body = zeroblob(length(body)) WHERE seq = 5", "entry 5"),
    ("UPDATE entry SET operation = 'A' WHERE seq = 9", "entry 9 cannot be read"),
    ("DELETE FROM entry WHERE seq = 8", "entry 8 is not there"),
    ("DELETE FROM entry WHERE seq = 9", "entry 9 is not there"),
])
def test_of_a_damaged_journal_nothing_is_exported_and_the_entry_is_named(folder, tmp_path, capsys, change, named):
    """It was signed as a bundle, with exit 0, and the bundle's own verifier refused it."""
    url, out = copied(folder, tmp_path / "copy"), tmp_path / "o.zip"
    db = sqlite3.connect(tmp_path / "copy" / "j.db")
    db.text_factory = bytes
    with db:
        assert db.execute(change).rowcount == 1
    db.close()
    for redact in ([], ["--redact", "place"]):
        assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(out), *redact]) == 2
        assert named in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_of_a_damaged_log_nothing_is_exported_and_the_tile_is_named(folder, tmp_path, capsys):
    url, out = copied(folder, tmp_path / "copy"), tmp_path / "o.zip"
    tile = tmp_path / "copy" / "j.db.log" / "tile" / "0" / "000"
    raw = bytearray(tile.read_bytes())
    raw[3] ^= 1
    tile.write_bytes(raw)
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(out)]) == 2
    assert "tile/0/000 is not the log's" in capsys.readouterr().err and not out.exists()


def test_an_export_beside_a_live_log_holds_the_checkpoint_that_it_began_with(folder, key, tmp_path, monkeypatch):
    """A live log has another checkpoint within the second, and an export of a large case takes longer."""
    shutil.copytree(folder, tmp_path / "live", ignore=shutil.ignore_patterns("*.lock", "*.zip"))
    url, real = f"sqlite:///{tmp_path}/live/j.db", bundle_room.records_of
    writer = open_writer(url, mode="live")

    def grown(*question):
        yield from real(*question)
        writer.append([Draft(kind="tick", received_ns=T0 + 10**15 + n, source="t", ident=b"tick%d" % n, body=pack(Tick()))
                       for n in range(300)])  # fmt: skip
        assert writer.checkpoint()

    monkeypatch.setattr(bundle_room, "records_of", grown)
    assert export(open_reader(url), home(url), "A", tmp_path / "live.zip") > 0
    writer.close()
    assert said(tmp_path / "live.zip", key)[0] == 0


def test_what_was_refused_is_no_export(folder, tmp_path, capsys):
    url = f"sqlite:///{folder}/j.db"
    reader = open_reader(url)
    last = reader.last_seq()
    for words in (["Z"], ["A", "--redact", "speed"]):
        assert cli.main(["evidence", "export", *words, "--journal", url, "--out", str(tmp_path / "n.zip")]) == 2
    assert reader.last_seq() == last
    reader.close()
    capsys.readouterr()


def test_what_cannot_be_exported(folder, tmp_path, capsys):
    url = f"sqlite:///{folder}/j.db"
    for words, said_ in ((["Z"], "no entry of 'Z'"), (["A", "--redact", "speed"], "no field 'speed'"),
                         (["A", "--from", "x"], "--from")):  # fmt: skip
        assert cli.main(["evidence", "export", *words, "--journal", url, "--out", str(tmp_path / "n.zip")]) == 2
        assert said_ in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    writer = open_writer(f"sqlite:///{tmp_path}/old.db", mode="live", log=False)
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", f"sqlite:///{tmp_path}/old.db"]) == 2
    assert "has no evidence log" in capsys.readouterr().err


def test_seal_hands_out_the_newest_checkpoint(folder, tmp_path, capsys):
    url = f"sqlite:///{folder}/j.db"
    assert cli.main(["evidence", "seal", "--journal", url, "--out", str(tmp_path / "stick")]) == 0
    assert (tmp_path / "stick").read_bytes() == (home(url).log / "checkpoint").read_bytes()
    assert cli.main(["journal", "verify", "--journal", url, "--witness", str(tmp_path / "stick")]) == 0
    capsys.readouterr()


def test_a_checkpoint_that_finds_no_room_leaves_the_one_of_before(folder, tmp_path, capsys, monkeypatch):
    """A full disk left an empty file in its place; a limit on the size of a file is one that any test can set."""
    words = ["evidence", "seal", "--journal", f"sqlite:///{folder}/j.db", "--out", str(tmp_path / "stick")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(evidence, "signed_to_the_end", lambda url: resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1])))
    for held in ("", "the one of before"):
        if held:
            (tmp_path / "stick").write_text(held)
        try:
            status = cli.main(words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        err = capsys.readouterr().err
        assert (status, err.count("\n")) == (2, 1) and f"{tmp_path}/stick: cannot be written: File too large" in err
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == ([("stick", held)] if held else [])
    monkeypatch.undo()
    assert cli.main(words) == 0 and (tmp_path / "stick").read_text().startswith("birddog/")
    assert cli.main([*words[:-1], "/dev/full"]) == 2 and "/dev/full" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()  # written in place, not replaced


@pytest.mark.shared
def test_the_verifiers_own_ed25519_agrees_with_wycheproof():
    file = Path(__file__).parents[3] / "shared" / "data" / "reliability" / "ed25519" / "ed25519_test.json"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    count = 0
    for group in json.loads(file.read_text())["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            holds = verifier.ed25519_holds(public, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
            assert holds == (test["result"] == "valid"), test
            count += 1
    assert count > 40


def test_the_verifiers_own_ed25519_agrees_with_the_library():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for k in range(6):
        private = Ed25519PrivateKey.from_private_bytes(bytes([k]) * 32)
        public, signature = private.public_key().public_bytes_raw(), private.sign(b"text %d" % k)
        assert verifier.ed25519_holds(public, b"text %d" % k, signature)
        assert not verifier.ed25519_holds(public, b"texT %d" % k, signature)
        beyond = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
        assert not verifier.ed25519_holds(public, b"text %d" % k, signature[:32] + beyond.to_bytes(32, "little"))
