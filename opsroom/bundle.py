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
import binascii
import hashlib
import json
import platform
import textwrap
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import IO

import msgspec

from birddog import __version__
from birddog.directory import OPEN
from birddog.errors import BirddogError, UsageError
from birddog.journal import Reader
from birddog.journal.beside import Home
from birddog.journal.keys import Keys
from birddog.journal.log_files import Known, LogFiles, checked
from birddog.keyring import KeyDestroyed, Keyring
from birddog.merkle import SIZE, VerificationError
from birddog.model import (
    TrackPoint,
)  # fmt: skip
from birddog.note import Checkpoint, Signer, Verifier, signed
from birddog.record import stated
from birddog.tiles import WIDTH, tile_path
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated
from opsroom import verifier
from opsroom.case_page import case_html
from opsroom.csv_rows import quoted
from opsroom.disclosed import PAYLOAD, Record, entry_of, records_of, shown_of, withheld_of
from opsroom.stamps import stamps
from opsroom.timestamp import certificates_of
from tracking.fold import Fold

#: Packages on whose arithmetic ``tracks.csv`` rests.
_MAKES_ROWS = ("msgspec", "numpy", "numba", "scipy")

# --- what is made of the records ---------------------------------------------------------------------


def tracks_csv(records: Iterable[Record], operation: str) -> bytes | None:
    """Each step of each track of the case as the tracker makes it of these records; None where they do not show enough."""
    fold, own = Fold(), set[str]()
    out: list[tuple[str, TrackPoint, int | None]] = []
    measured: dict[str, list[int]] = {}  # the times of each track's steps that are believed, in order
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
                times = measured.setdefault(p.track_id, [])
                at = bisect_left(times, p.time_ns)
                if p.withdrawn:
                    del times[at : bisect_right(times, p.time_ns)]
                elif p.origin != "coast" and times[at : at + 1] != [p.time_ns]:
                    times.insert(at, p.time_ns)
                out.append((f"{p.track_id},{iso_from_ns(p.time_ns)},{p.lat_deg:.7f},{p.lon_deg:.7f},{p.ve_mps:.3f},"
                            f"{p.vn_mps:.3f},{p.p_ee:.6g},{p.p_en:.6g},{p.p_nn:.6g},{p.origin},{quoted(p.device)}", p,
                            times[at - 1] if at else None))
    validated = Validated(fold.directory)
    rows = [",".join((row, *validated.step(p, before_ns).words.values())) + "\n" for row, p, before_ns in out]
    head = "track_id,time,lat_deg,lon_deg,ve_mps,vn_mps,p_ee,p_en,p_nn,origin,device"
    names = ",".join(f"{quantity}_validated" for quantity in UNITS)
    return "".join([f"# birddog {__version__}\n{head},{names}\n", *rows]).encode()


def codecs_of(records: Iterable[Record]) -> dict[str, list[int]]:
    """Which versions of which formats' decoders made the records' observations; those that are withheld are not said."""
    found: dict[str, set[int]] = {}
    for record in records:
        if stated(record.statement).kind in ("frame", "refusal"):
            shown = shown_of(record)
            if isinstance(shown.get("format"), str) and isinstance(shown.get("version"), int):
                found.setdefault(shown["format"], set()).add(shown["version"])
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def certificate(operation: str, known: Known, point: Checkpoint, records: int, digest: str, withheld: Iterable[str]) -> bytes:
    """A draft that a person completes and signs; lines that fit a page of plain text.

    Args:
        digest: SHA-256 of ``records.jsonl``.
        withheld: the fields that are.
    """
    names = ", ".join(sorted(withheld)) or "none"
    less = textwrap.fill(f"Fields that were withheld: {names}.", 72, subsequent_indent="   ", break_on_hyphens=False)
    lead = textwrap.fill(
        f"2. The records of case {operation} in this bundle, {records} in number, were generated by Birddog, which writes each "
        "message that it receives, and each decision of a person, to an append-only journal at the time of its receipt. The "
        f"bundle was made by Birddog {__version__}.", 75, subsequent_indent="   ", break_on_hyphens=False)
    return f"""DRAFT - to be completed, checked by counsel and signed by a qualified person

CERTIFICATE OF AUTHENTICITY
of records generated by an electronic process

In the United States after Federal Rules of Evidence 902(11), 902(13) and
902(14); elsewhere the plain statement below.

1. I, ________________________________________ (name, office), am qualified
   to make this certificate by ____________________________________________.

{lead}

3. The process produces an accurate result: each record is committed to by
   SHA-256 in a Merkle tree (RFC 6962) whose root is signed.
   Log      {known.origin}
   Records  {point.size} in the log
   Root     {point.root.hex()}

4. The copies in this bundle are identified by their digital hashes, which
   verify.py recomputes: those of all files stand in bundle.json. The records
   are the file records.jsonl, whose SHA-256 is
   {digest}
   {less}

5. The records were made and kept in the course of a regularly conducted
   activity as a regular practice.

Plain statement: the attached records are those that the system held. I
verified them on ______________________ with the public key
{known.keys[-1].verifier}
and the result was: ______________________________________________________

I declare under penalty of perjury that the foregoing is true and correct.

Date: ____________________  Signature: __________________________________
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


class _Line(msgspec.Struct):
    seq: int
    statement: bytes
    fields: list[list[str]]


def _read(path: Path) -> Iterator[Record]:
    """The records of lines that were just written (``Record.line``), a few times as quickly as who does not know that."""
    of, decoded = msgspec.json.Decoder(_Line).decode, binascii.a2b_base64
    with path.open("rb") as file:
        for line in file:
            row = of(line)
            yield Record(row.seq, row.statement, [(one[0], decoded(one[1]), decoded(one[2])) if len(one) == 3 else
                                                  (one[0], decoded(one[1])) for one in row.fields])


class _Log(verifier.Tree):  # type: ignore[misc]  # the verifier has no types: it runs alone
    """The log's own tiles, believed as a verifier of the bundle will believe them: up to the root that was signed."""

    def __init__(self, files: LogFiles, point: Checkpoint):
        self._files = files
        super().__init__(None, point.size, point.root)

    def _raw(self, level: int, number: int) -> list[bytes]:
        width = min(WIDTH, self.levels[level] - number * WIDTH)
        raw = self._files.tile(level, number, width)
        if len(raw) != SIZE * width:
            raise verifier.Wrong(f"{tile_path(level, number, width)} has {len(raw)} bytes")
        return [raw[n : n + SIZE] for n in range(0, len(raw), SIZE)]

    def leaf(self, index: int) -> bytes:
        """The leaf of a record."""
        return self.tile(0, index // WIDTH)[index % WIDTH]


def can_be_exported(journal: Reader, home: Home, operation: str, redact: Iterable[str]) -> None:
    """Look at a question before it is written down that it was asked.

    Raises:
        UsageError: there is no such case, or no such field.
        BirddogError: the case was erased, or there is no log.
    """
    withheld_of(redact)
    LogFiles(home.log).there()
    if operation == OPEN or any(entry.operation == operation for entry in journal.registers() if not entry.erased):
        return
    if any(whose == operation and not there for whose, _, there in Keyring(home, make=False).listed()):
        raise BirddogError(f"{operation} was erased: nothing of it is left that could be exported")
    after = 0
    while rows := journal.rows(after):  # a case that no register names: of an exercise, or an older journal
        if any(row.operation == operation for row in rows):
            return
        after = rows[-1].seq
    raise UsageError(f"no entry of {operation!r}", field="CASE")


def export(journal: Reader, home: Home, operation: str, to: Path, *, from_ns: int = 0, to_ns: int = 2**63 - 1,
           redact: Iterable[str] = ()) -> int:
    """Write a bundle; how many records it has.

    Raises:
        UsageError: there is no such case, or no such field.
        BirddogError: there is no log, the keys cannot be read, or the log does not hold.
    """
    withheld, files = withheld_of(redact), LogFiles(home.log)
    known, note = files.there()  # once: a live log has another one within the second
    point = checked(note, known)
    lines = to.with_name(f".{to.name}.records")
    made = to.with_name(f".{to.name}.new")
    try:
        count, own, indexes = 0, 0, set[int]()
        stamped = [seen.size for seen, _, _ in stamps(home, known, point.size)]
        earliest = set(stamped[-1:])  # of the time stamps those that say the earliest of some record, and the last
        log = _Log(files, point)
        with lines.open("wb") as out:
            for record in records_of(journal, home, known, point.size, operation, from_ns, to_ns, withheld, log.leaf):
                out.write(record.line())
                count, own = count + 1, own + (stated(record.statement).operation == operation)
                index = record.seq - known.begins
                indexes.add(index // WIDTH)
                earliest |= set(stamped[bisect_right(stamped, index) :][:1])
        if not own:
            raise UsageError(f"no entry of {operation!r}", field="CASE")
        with made.open("wb") as file:
            _fill(_Zip(file), files, known, note, point, operation, lines, count, indexes, earliest, withheld, home,
                  (from_ns, to_ns))
        made.replace(to)
        return count
    except KeyDestroyed as error:
        raise BirddogError(f"{operation} was erased: {error}") from error
    except verifier.Wrong as error:
        raise BirddogError(f"{files.folder}: {error}: birddog journal verify says what was changed") from error
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=str(to)) from error
    finally:
        lines.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _fill(zipped: _Zip, files: LogFiles, known: Known, note: bytes, point: Checkpoint, operation: str, lines: Path, count: int,
          indexes: set[int], earliest: set[int], withheld: frozenset[str], home: Home, span_ns: tuple[int, int]) -> None:
    tracks = tracks_csv(_read(lines), operation) if not withheld - PAYLOAD else None
    zipped.put("README.txt", _README)
    zipped.put("case.html", case_html(_read(lines), operation))
    with lines.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    zipped.put("certificate.txt", certificate(operation, known, point, count, digest, withheld))
    zipped.put("checkpoint", note)
    zipped.put_file("records.jsonl", lines)
    for level, number in _tiles(point.size, indexes):
        width = min(WIDTH, (point.size >> 8 * level) - number * WIDTH)
        zipped.put(tile_path(level, number, width), files.tile(level, number, width))
    if tracks is not None:
        zipped.put("tracks.csv", tracks)
    for name, cosigned, proof in witnessed(home, known, files, point):
        zipped.put(f"witness/{name}.note", cosigned)
        zipped.put(f"witness/{name}.proof", _steps(proof))
    certificates: dict[str, dict[str, str]] = {}
    for seen, stamped, answer in stamps(home, known, point.size):
        if seen.size not in earliest:
            continue
        proof = files.tree(point.size).consistency_proof(seen.size) if seen.size < point.size else []
        zipped.put(f"stamp/{seen.size}.note", stamped)
        zipped.put(f"stamp/{seen.size}.proof", _steps(proof))
        zipped.put(f"stamp/{seen.size}.tsr", answer)
        certificates |= _certificates(answer)
    zipped.put("verify.html", resources.files("opsroom").joinpath("verify.html").read_bytes())
    zipped.put("verify.py", resources.files("opsroom").joinpath("verifier.py").read_bytes())
    manifest = {
        "form": verifier.FORM, "case": operation, "records": count, "from": iso_from_ns(span_ns[0]) if span_ns[0] else None,
        "to": iso_from_ns(span_ns[1]) if span_ns[1] < 2**62 else None, "withheld": sorted(withheld),
        "software": {"birddog": __version__, "python": platform.python_version(), "tracker": __version__,
                     **{name: version(name) for name in _MAKES_ROWS}},
        "codecs": codecs_of(_read(lines)),
        "stamps": [certificates[name] for name in sorted(certificates)],
        "log": msgspec.to_builtins(known), "files": dict(sorted(zipped.hashes.items())),
    }  # fmt: skip
    data = json.dumps(manifest, indent=1).encode()
    zipped.put("bundle.json", data)
    public = Verifier.of(known.keys[-1].verifier).public
    signer = Signer(known.origin, Keys(home, make=False).signing_key(public))
    text = f"birddog evidence bundle\n{base64.b64encode(hashlib.sha256(data).digest()).decode()}\n"
    zipped.put("bundle.note", signed(text, [signer.line(text)]).encode())
    zipped.end()


def _steps(proof: Iterable[bytes]) -> bytes:
    return "".join(f"{base64.b64encode(step).decode()}\n" for step in proof).encode()


def _certificates(answer: bytes) -> dict[str, dict[str, str]]:
    """Whose certificates a time stamp brings, by their SHA-256."""
    from cryptography.hazmat.primitives.serialization import Encoding

    out = {}
    for one in certificates_of(verifier.stamp_of(answer)[2]):
        digest = hashlib.sha256(one.public_bytes(Encoding.DER)).hexdigest()
        out[digest] = {"subject": one.subject.rfc4514_string(), "issuer": one.issuer.rfc4514_string(), "sha256": digest}
    return out


def witnessed(home: Home, known: Known, files: LogFiles, point: Checkpoint) -> Iterator[tuple[str, bytes, list[bytes]]]:
    """(name, checkpoint, proof that the log of a bundle goes on from it) of each that a witness signed of this log."""
    for path in sorted(home.witness.iterdir()) if home.witness.is_dir() else ():
        note = path.read_bytes()
        try:
            seen = checked(note, known)
        except VerificationError:
            continue  # of another log, or none: the next start says so
        if 0 < seen.size <= point.size and path.suffix == ".note":
            proof = files.tree(point.size).consistency_proof(seen.size) if seen.size < point.size else []
            yield path.stem, note, proof


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
