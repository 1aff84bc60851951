"""What a bundle holds, asked of one that was exported: each thing that docs/evidence.md promises, and nothing that loads."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zipfile

import msgspec
import pytest

from birddog import __version__
from birddog.journal import open_writer
from birddog.model import Access, Attachment, Custody, Device, Fix, FrameBody, Operation, Start, Verdict, WarrantAct
from birddog.units import NS
from ingest import control
from opsroom import cli, verifier

T0 = 1_790_000_000 * NS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A case with a device, a warrant's acts, a thing in custody and a model; beside it a case and a vessel of nobody's."""
    folder = tmp_path_factory.mktemp("case")
    url = f"sqlite:///{folder}/j.db"
    said = [Start(version="x", presets={}), Operation(operation="A"), Operation(operation="B"),
            Device(device="d", basis="own_sensor", model="FMB920"), Device(device="244660920", basis="open"),
            Attachment(device="d", shipment="van", operation="A", from_ns=0),
            WarrantAct(warrant="W-1", action="revoke", by="bea", operation="A", at_ns=T0, note="<script>alert(1)</script>"),
            Custody(item="tag-7", action="seize", by="noor", operation="A", at_ns=T0, place="quay 4"),
            Access(action="export", by="ann", form="csv", to="-", operation="A")]

    def frame(k, name, verdict, fmt):
        fix = Fix(device=name, time_ns=T0 + k * NS, lat_deg=51.9 + k * 1e-4, lon_deg=4.0)
        return FrameBody(format=fmt, version=3, payload=b"p%d" % k, device=name, verdicts=(verdict,), observations=(fix,))

    frames = [frame(k, "d", Verdict("A", "van", "own_sensor"), "owntracks") for k in range(20)]
    frames += [frame(k, "244660920", Verdict("open", "", "open", "open"), "ais") for k in range(20)]
    drafts = [control.own(body, source="t") for body in (*said, *frames)]
    of = {"d": "A", "244660920": "open"}
    writer = open_writer(url, mode="live")
    writer.append([msgspec.structs.replace(d, received_ns=T0 + n * NS, operation=of[b.device] if isinstance(b, FrameBody) else
                                           d.operation) for n, (d, b) in enumerate(zip(drafts, (*said, *frames), strict=True))])
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(folder / "a.zip")]) == 0
    return folder / "a.zip"


@pytest.fixture
def files(made):
    with zipfile.ZipFile(made) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_each_thing_that_is_promised_is_in_it(made, files):
    assert cli.main(["evidence", "verify", str(made), "--recompute"]) == 0
    assert {"README.txt", "bundle.json", "bundle.note", "case.html", "certificate.txt", "checkpoint", "records.jsonl",
            "tracks.csv", "verify.html", "verify.py"} <= set(files)
    manifest = json.loads(files["bundle.json"])
    assert manifest["codecs"] == {"owntracks": [3]}
    assert manifest["software"]["birddog"] == manifest["software"]["tracker"] == __version__
    assert {"python", "msgspec", "numpy", "numba", "scipy"} <= set(manifest["software"])
    rows = [json.loads(line) for line in files["records.jsonl"].splitlines()]
    kinds = {verifier.stated(base64.b64decode(row["statement"]))[2] for row in rows}
    assert {"warrant", "custody", "device", "attachment", "frame", "operation", "access", "start"} <= kinds
    for words in ("902(13)", "902(14)", "Plain statement", "A in this bundle", verifier.key_of(
            manifest["log"]["keys"][-1]["verifier"])[0], manifest["files"]["records.jsonl"], "withheld: none."):  # fmt: skip
        assert words in files["certificate.txt"].decode()
    lines = files["certificate.txt"].decode().splitlines()
    assert all(len(line) <= 80 for line in lines if "+" not in line)  # a page of plain text; the key is one word


def test_a_step_that_was_foretold_where_something_was_measured_is_not_in_it(tmp_path):
    """The third fix came in 17 s late, when the tracker had foretold a step at 35 s; at 95 s nothing was on its way."""
    url, of = f"sqlite:///{tmp_path}/j.db", Verdict("A", "van", "own_sensor")
    said = [Start(version="x", presets={}), Operation(operation="A"), Device(device="d", basis="own_sensor", interval_s=10.0),
            Attachment(device="d", shipment="van", operation="A", from_ns=0)]  # fmt: skip
    at_s = [0.0] * 4
    for k, come_s in ((0, 0.5), (10, 10.5), (24, 41.0), (42, 42.5), (50, 50.5), (60, 60.5), (70, 70.5), (130, 130.5)):
        fix = Fix(device="d", time_ns=T0 + k * NS, lat_deg=51.9 + k * 1e-4, lon_deg=4.0)
        at_s.append(come_s)
        said.append(FrameBody(format="owntracks", version=3, payload=b"p%d" % k, device="d", verdicts=(of,),
                              observations=(fix,)))  # fmt: skip
    writer = open_writer(url, mode="live")
    writer.append([msgspec.structs.replace(control.own(body, source="t"), received_ns=T0 + int(s * NS), operation="A")
                   for body, s in zip(said, at_s, strict=True)])  # fmt: skip
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(tmp_path / "a.zip")]) == 0
    assert cli.main(["evidence", "verify", str(tmp_path / "a.zip"), "--recompute"]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        rows = [line.split(",") for line in archive.read("tracks.csv").decode().splitlines()[2:]]
    coasts = [row[1] for row in rows if row[9] == "coast"]
    assert [time[17:19] for time in coasts] == ["55", "20"], coasts  # 95 s: coasting, 120 s: silent


def test_its_page_says_it_and_loads_and_runs_nothing(files):
    page = files["case.html"].decode()
    for words in ("<h2>Warrants</h2>", "<h2>Custody</h2>", "<td>tag-7", "<td>quay 4", "<td>FMB920", "<polyline",
                  "<h2>Timeline</h2>", "<th>device<th class=n>positions", "51.9000° N", "4.000° E", " m</text>",
                  "not validated (there is no validation record of this model)", "default-src 'none'"):  # fmt: skip
        assert words in page, words
    assert "<script" not in page and not re.search(r"(?:src|href)\s*=|url\(|@import", page)


def test_vessels_and_cases_that_it_is_not_about_are_in_no_byte_of_it(files):
    held = b"".join(files.values())
    for row in files["records.jsonl"].splitlines():
        held += b"".join(base64.b64decode(word) for field in json.loads(row)["fields"] for word in field[1:])
    assert b"244660920" not in held and b"van" in held


def hostile(files):
    """Bundles that are none, by what is said of them."""
    whole = _zip(files)
    yield "cut or damaged|no zip", whole[:-30]
    yield "leaves the folder", _zip(files | {"../../etc/cron.d/x": b"x"})
    yield "leaves the folder", _zip(files | {"a\nb": b"x"})
    yield "is there twice", _zip(files, twice="tracks.csv")
    yield "zipped twice", _zip({"a.evidence.zip": whole})
    yield "is a link or a device", _patched(whole, 38, struct.pack("<I", 0o120777 << 16))
    yield "is a link or a device", _patched(whole, 38, struct.pack("<I", 0o60666 << 16))
    yield "is encrypted", _patched(whole, 8, struct.pack("<H", 1))
    yield "is compressed", _patched(whole, 10, struct.pack("<H", 8))
    yield "bytes: too many", _patched(whole, 24, struct.pack("<I", 0xFFFFFFFF), wide=2**50)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b"0" * 20_000_000)
    yield "is compressed, [0-9]+ bytes for 20000000", bomb.getvalue()


def _zip(files, twice=""):
    headers = verifier.Headers()
    rows = [*files.items(), *([(twice, files[twice])] if twice else [])]
    return b"".join(headers.local(n, verifier.zlib.crc32(d), len(d)) + d for n, d in rows) + headers.end()


def _patched(whole, at, data, *, wide=0):
    """The zip with a field of its first file changed in the directory; ``wide``: a zip64 size behind it."""
    begins = struct.unpack("<I", whole[-6:-2])[0]
    entry = bytearray(whole[begins:-22])
    entry[at : at + len(data)] = data
    if wide:
        name = struct.unpack("<H", entry[28:30])[0]
        extra = struct.pack("<HHQ", 1, 8, wide)
        entry[30:32] = struct.pack("<H", len(extra))
        entry[46 + name : 46 + name] = extra
    end = bytearray(whole[-22:])
    end[12:16] = struct.pack("<I", len(entry))
    return whole[:begins] + bytes(entry) + bytes(end)


def test_hostile_bundles_are_named_and_refused_in_one_line(files, tmp_path, capsys):
    for number, (words, data) in enumerate(hostile(files)):
        (tmp_path / "x.zip").write_bytes(data)
        capsys.readouterr()
        assert cli.main(["evidence", "verify", str(tmp_path / "x.zip")]) == 2, (number, words)
        said = capsys.readouterr().err
        assert re.search(words, said) and said.count("\n") == 1, (number, words, said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]
