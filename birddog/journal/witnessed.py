"""What witnesses said of a journal's log: one file each in ``PATH.witness``, and what they are asked.

A file is the newest checkpoint that a witness signed, with the log's own signature and the witness's under it.  The writer
holds the journal against each when it opens (``Evidence.agree``): it needs no key but the log's own to see that the log once
said otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from birddog.errors import JournalError, JournalTrouble
from birddog.journal.beside import Home
from birddog.journal.log_files import Known, LogFiles, checked
from birddog.keyfile import put_whole
from birddog.merkle import VerificationError
from birddog.note import Checkpoint, Verifier
from birddog.witness import Request, cosigned


class Contradiction(VerificationError):
    """A witness has signed what this log does not hold: it was cut, forked, written anew, or is an older copy."""


def file_of(home: Home, witness: Verifier) -> Path:
    """Where the newest checkpoint that a witness signed lies."""
    return home.witness / (quote(witness.name, safe=" ") + ".note")


def kept(home: Home, witness: Verifier) -> Checkpoint | None:
    """The newest checkpoint that a witness signed and that came back, None where there is none."""
    try:
        note = file_of(home, witness).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise JournalTrouble(f"{file_of(home, witness)}: {error.strerror}") from error
    try:
        return Checkpoint.of(note.rpartition("\n\n")[0] + "\n")
    except VerificationError:
        return None


def request(home: Home, old: int) -> tuple[Request, Checkpoint]:
    """What a witness is asked that has seen ``old`` entries: the newest checkpoint, and that it goes on from there.

    Raises:
        JournalError: there is no log, or its tiles do not hold.
        Contradiction: it has fewer entries.
    """
    files = LogFiles(home.log)
    for last in (False, True):
        known, note = files.there()
        try:
            point = checked(note, known)
            if old > point.size:
                raise Contradiction(f"the witness has signed {old} entries of this log, which has {point.size}: it was cut, "
                                    "or is an older copy")
            proof = files.tree(point.size).consistency_proof(old) if 0 < old < point.size else []
            return Request(old, tuple(proof), note.decode()), point
        except Contradiction:
            raise
        except VerificationError as error:  # the writer has filled a tile while we read
            if last:
                raise JournalError(f"{files.folder}: {error}") from error
    raise AssertionError


def take(home: Home, note: str, lines: str, witness: Verifier) -> tuple[Checkpoint, int]:
    """Keep a checkpoint with a witness's signature, where it is newer than what is kept; (it, POSIX seconds of the signature).

    Raises:
        VerificationError: it is not this log's, or the witness did not sign it.
        Contradiction: it is, and this log does not hold it; it is kept, and the next start is refused.
        JournalError: it cannot be written.
    """
    files = LogFiles(home.log)
    known, _ = files.there()
    point = checked(note, known)
    whole, time_s = cosigned(note, lines, witness)
    held = kept(home, witness)
    if held is None or held.origin != point.origin or held.size < point.size:
        _keep(home, file_of(home, witness), whole.encode())
    against(files, known, point, witness.name)
    return point, time_s


def against(files: LogFiles, known: Known, point: Checkpoint, who: str) -> None:
    """Hold the log against a checkpoint that was signed.

    Raises:
        Contradiction: it has fewer entries, or others.
    """
    own = files.checkpoint(known)
    size = own.size if own is not None else 0
    if point.size > size:
        raise Contradiction(f"{who} has signed {point.size} entries of the log {known.origin}, which has {size}: it was cut, "
                            "or is an older copy")
    if point.size and files.tree(point.size).root() != point.root:
        raise Contradiction(f"{who} has signed other first {point.size} entries of the log {known.origin}: it was forked or "
                            "written anew")


def _keep(home: Home, path: Path, data: bytes) -> None:
    # made beside the folder, of which every file is read as a checkpoint
    made = home.witness.with_name(f"{home.witness.name}.{os.getpid()}.new")
    try:
        home.witness.mkdir(mode=0o700, exist_ok=True)
        put_whole(path, data, made=made)
    except OSError as error:
        raise JournalTrouble(f"{path}: {error.strerror}") from error
