"""An evidence bundle: the entries of a case with the proof that they are the log's, in one zip that a stranger can verify.

``bundle.json`` is the manifest: what is in it, by hash; ``bundle.note`` its signature by the log's key, ``checkpoint`` the
signed root, ``tile/…`` what leads from each record up to it.  ``records.jsonl`` holds one record a line: number, statement, and
of each field its name, and the salt and the value where it is shown, its commitment where not (``birddog.record``).
``case.html``, ``tracks.csv``, ``certificate.txt`` are made of what is shown there, and of nothing else.
``verify.py`` is ``opsroom/verifier.py``.

The zip is stored, without times and modes, and so the same bytes for the same journal and question.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import platform
import zlib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import IO

import msgspec

from birddog import __version__
from birddog.errors import BirddogError, UsageError
from birddog.journal import Reader
from birddog.journal.beside import Home
from birddog.journal.evidence import Known, LogFiles
from birddog.journal.keys import Keys
from birddog.keyring import KeyDestroyed
from birddog.model import (
    TrackPoint,
)  # fmt: skip
from birddog.note import Checkpoint, Signer, signed
from birddog.record import stated
from birddog.tiles import WIDTH, tile_path
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated
from opsroom import verifier
from opsroom.csv_rows import quoted
from opsroom.disclosed import PAYLOAD, Record, entry_of, records_of, shown_of, withheld_of
from tracking.fold import Fold

# --- what is made of the records ---------------------------------------------------------------------


def tracks_csv(records: Iterable[Record], operation: str) -> bytes | None:
    """Each step of each track of the case as the tracker makes it of these records; None where they do not show enough."""
    fold, own = Fold(), set[str]()
    out: list[tuple[str, TrackPoint]] = []
    for record in records:
        if not record.fields:
            continue
        entry = entry_of(record)
        if entry is None:
            return None
        changes = fold.apply(entry)
        own |= {track.track_id for track in changes.tracks if track.operation == operation}
        for p in changes.points:
            if p.track_id in own:
                out.append((f"{p.track_id},{iso_from_ns(p.time_ns)},{p.lat_deg:.7f},{p.lon_deg:.7f},{p.ve_mps:.3f},"
                            f"{p.vn_mps:.3f},{p.p_ee:.6g},{p.p_en:.6g},{p.p_nn:.6g},{p.origin},{quoted(p.device)}", p))
    validated = Validated(fold.directory)
    rows = [",".join((row, *validated.of(p.device, p.origin).words.values())) + "\n" for row, p in out]
    head = "track_id,time,lat_deg,lon_deg,ve_mps,vn_mps,p_ee,p_en,p_nn,origin,device"
    names = ",".join(f"{quantity}_validated" for quantity in UNITS)
    return "".join([f"# birddog {__version__}\n{head},{names}\n", *rows]).encode()


_STYLE = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #999;padding:2px 6px;"
_MOST_ROWS = 20_000


def case_html(records: Iterable[Record], operation: str) -> bytes:
    """Map and timeline of what is shown, in one file that loads nothing."""
    points: list[tuple[float, float]] = []
    rows = []
    for number, record in enumerate(records):
        said, shown = stated(record.statement), shown_of(record)
        n = 0
        while f"observations.{n}.lat_deg" in shown:
            points.append((shown[f"observations.{n}.lat_deg"], shown.get(f"observations.{n}.lon_deg", 0.0)))
            n += 1
        if number < _MOST_ROWS and said.kind != "tick":
            words = "; ".join(f"{key} {value}" for key, value in shown.items() if not isinstance(value, bytes))[:600]
            words = words if record.fields else "erased"
            cells = (str(record.seq), iso_from_ns(said.received_ns), said.kind, said.operation, words)
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(operation)}</title><style>{_STYLE}"
            "text-align:left}svg{border:1px solid #999;max-width:100%}</style>"
            f"<h1>{html.escape(operation)}</h1>{_map(points)}<h2>Timeline</h2><table><tr><th>record<th>received<th>kind<th>case"
            f"<th>what it says</tr>{''.join(rows)}</table></html>\n").encode()  # fmt: skip


def _map(points: list[tuple[float, float]]) -> str:
    if not points:
        return "<p>No position is shown.</p>"
    lats, lons = [p[0] for p in points], [p[1] for p in points]
    south, west = min(lats), min(lons)
    span = max(max(lats) - south, max(lons) - west, 1e-4)
    step = max(1, len(points) // 5000)
    scale = 760 / span
    line = " ".join(f"{(lon - west) * scale + 20:.1f},{780 - (lat - south) * scale:.1f}" for lat, lon in points[::step])
    said = f"{len(points)} positions, {south:.5f} to {max(lats):.5f} N, {west:.5f} to {max(lons):.5f} E; north is up."
    drawn = f"<polyline fill=none stroke=#06c points='{line}'/>"
    return f"<p>{said}</p><svg viewBox='0 0 800 800' width=800 role=img aria-label=map>{drawn}</svg>"


def certificate(operation: str, known: Known, point: Checkpoint, records: int) -> bytes:
    """A draft that a person completes and signs."""
    return f"""DRAFT - to be completed, checked by counsel and signed by a qualified person

Certificate of authenticity of records generated by an electronic process
(in the United States after Federal Rules of Evidence 902(13), 902(14) and 902(11); elsewhere the plain statement below)

1. I, ____________________ (name, office), am qualified to make this certificate by ____________________.
2. The records of case {operation} in this bundle, {records} in number, were generated by Birddog {__version__}, which writes
   each message that it receives, and each decision of a person, to an append-only journal at the time of its receipt.
3. The process produces an accurate result: each record is committed to by SHA-256 in a Merkle tree (RFC 6962) whose root is
   signed. Log {known.origin}, {point.size} records, root {point.root.hex()}.
4. The copies in this bundle are identified by their digital hashes, which verify.py recomputes.
5. The records were made and kept in the course of a regularly conducted activity as a regular practice.

Plain statement: the attached records are those that the system held; I verified them on ____________ with the public key
{known.keys[-1].verifier}
and the result was: ____________________

I declare under penalty of perjury that the foregoing is true and correct.

Date: ____________  Signature: ____________________
""".encode()


# --- the file -----------------------------------------------------------------------------------------


class _Zip:
    """Writes what ``verifier.Headers`` says."""

    def __init__(self, file: IO[bytes]):
        self.file, self.headers, self.hashes = file, verifier.Headers(), dict[str, str]()

    def put(self, name: str, data: bytes) -> None:
        self.file.write(self.headers.local(name, zlib.crc32(data), len(data)) + data)
        self.hashes[name] = hashlib.sha256(data).hexdigest()

    def put_file(self, name: str, path: Path) -> None:
        crc, digest = 0, hashlib.sha256()
        with path.open("rb") as source:
            while piece := source.read(1 << 20):
                crc = zlib.crc32(piece, crc)
                digest.update(piece)
            self.file.write(self.headers.local(name, crc, path.stat().st_size))
            source.seek(0)
            while piece := source.read(1 << 20):
                self.file.write(piece)
        self.hashes[name] = digest.hexdigest()

    def end(self) -> None:
        self.file.write(self.headers.end())


def _read(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            yield Record(*verifier.record_of(line[:-1]))


def export(journal: Reader, home: Home, operation: str, to: Path, *, from_ns: int = 0, to_ns: int = 2**63 - 1,
           redact: Iterable[str] = ()) -> int:
    """Write a bundle; how many records it has.

    Raises:
        UsageError: there is no log, no such case, or no such field.
        BirddogError: the keys cannot be read, or the log does not hold.
    """
    withheld, files = withheld_of(redact), LogFiles(home.log)
    known = files.known()
    point = None if known is None else files.checkpoint(known)
    if known is None or point is None or point.size == 0:
        raise UsageError("has no evidence log", field="--journal")
    lines = to.with_name(f".{to.name}.records")
    made = to.with_name(f".{to.name}.new")
    try:
        count, own, indexes = 0, 0, set[int]()
        with lines.open("wb") as out:
            for record in records_of(journal, home, known, point.size, operation, from_ns, to_ns, withheld):
                out.write(record.line())
                count, own = count + 1, own + (stated(record.statement).operation == operation)
                indexes.add((record.seq - known.begins) // WIDTH)
        if not own:
            raise UsageError(f"no entry of {operation!r}", field="CASE")
        with made.open("wb") as file:
            _fill(_Zip(file), files, known, point, operation, lines, count, indexes, withheld, home, (from_ns, to_ns))
        made.replace(to)
        return count
    except KeyDestroyed as error:
        raise BirddogError(f"{operation} was erased: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=str(to)) from error
    finally:
        lines.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _fill(zipped: _Zip, files: LogFiles, known: Known, point: Checkpoint, operation: str, lines: Path, count: int,
          indexes: set[int], withheld: frozenset[str], home: Home, span_ns: tuple[int, int]) -> None:
    note = files.note() or b""
    tracks = tracks_csv(_read(lines), operation) if not withheld - PAYLOAD else None
    zipped.put("README.txt", _README)
    zipped.put("case.html", case_html(_read(lines), operation))
    zipped.put("certificate.txt", certificate(operation, known, point, count))
    zipped.put("checkpoint", note)
    zipped.put_file("records.jsonl", lines)
    for level, number in _tiles(point.size, indexes):
        width = min(WIDTH, (point.size >> 8 * level) - number * WIDTH)
        zipped.put(tile_path(level, number, width), files.tile(level, number, width))
    if tracks is not None:
        zipped.put("tracks.csv", tracks)
    zipped.put("verify.html", resources.files("opsroom").joinpath("verify.html").read_bytes())
    zipped.put("verify.py", resources.files("opsroom").joinpath("verifier.py").read_bytes())
    manifest = {
        "form": verifier.FORM, "case": operation, "records": count, "from": iso_from_ns(span_ns[0]) if span_ns[0] else None,
        "to": iso_from_ns(span_ns[1]) if span_ns[1] < 2**62 else None, "withheld": sorted(withheld),
        "software": {"birddog": __version__, "python": platform.python_version(), "tracker": __version__},
        "log": msgspec.to_builtins(known), "files": dict(sorted(zipped.hashes.items())),
    }  # fmt: skip
    data = json.dumps(manifest, indent=1).encode()
    zipped.put("bundle.json", data)
    signer = Signer(known.origin, Keys(home, make=False).signing_key())
    text = f"birddog evidence bundle\n{base64.b64encode(hashlib.sha256(data).digest()).decode()}\n"
    zipped.put("bundle.note", signed(text, [signer.line(text)]).encode())
    zipped.end()


def _tiles(size: int, indexes: set[int]) -> list[tuple[int, int]]:
    """The tiles that lead from some tiles of leaves up to the root: those, what is above them, and each level's last."""
    found, level, wanted = set[tuple[int, int]](), 0, set(indexes)
    while size >> 8 * level:
        count = size >> 8 * level
        if count % WIDTH:
            wanted.add(count // WIDTH)
        found |= {(level, number) for number in wanted}
        wanted = {number // WIDTH for number in wanted if (number + 1) * WIDTH <= count}
        level += 1
    return sorted(found)


def recomputed(path: Path) -> str:
    """Why ``tracks.csv`` is not what the tracker makes of a verified bundle's records; "" where it is, bit for bit."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("bundle.json"))
        if "tracks.csv" not in manifest["files"]:
            return "tracks.csv is not in the bundle: what it needs was withheld"
        if manifest["software"]["tracker"] != __version__:
            return f"tracks.csv was made by version {manifest['software']['tracker']}; this is {__version__}"
        with archive.open("records.jsonl") as file:
            records = (Record(*verifier.record_of(line[:-1])) for line in file)
            made = tracks_csv(records, manifest["case"])
        held = archive.read("tracks.csv")
    if made == held:
        return ""
    rows = zip(held.split(b"\n"), (made or b"").split(b"\n"), strict=False)
    line = next((n for n, (a, b) in enumerate(rows, 1) if a != b), "the end")
    return f"tracks.csv: line {line} is not what the tracker makes of the records"


_README = b"""An evidence bundle of Birddog.

  python3 verify.py BUNDLE --key KEY     needs nothing but Python; take a copy of verify.py that you trust
  birddog evidence verify BUNDLE --key KEY [--recompute]

KEY is the log's public key, as it was given to you by another way than this file.
case.html shows what is in records.jsonl; certificate.txt is a draft. docs/evidence.md says what all this proves, and what not.
"""
