"""A witness: another agency that signs a log's checkpoint when, and only when, it goes on from the one that it signed before.

C2SP tlog-witness: ``add-checkpoint`` has the old size, a consistency proof (RFC 6962, section 2.1.2) and the checkpoint; the
answer is the witness's cosignature (C2SP tlog-cosignature, v1), or why not, by the status of HTTP.  The same request lies in a
file on a stick, and the answer to it is the checkpoint with the cosignature under it.

``Ledger`` is the witness's side: a folder with its key and, for each log, one file: the log's keys that it trusts, the newest
checkpoint that it signed, and those that it was shown and that do not go on from it (the evidence of a fork).  What it signs is
on disk before it answers, or it could be made to sign two histories by pulling its plug.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec

from birddog.errors import UsageError
from birddog.keyfile import key_file, put_whole
from birddog.merkle import EMPTY, SIZE, VerificationError, verify_consistency
from birddog.note import WITNESSES, Checkpoint, Signer, Verifier, opened, signed

#: A request is some hundred bytes: 63 hashes at most, and a checkpoint with a few signatures.
MOST_BYTES, MOST_STEPS = 65_536, 63
#: Checkpoints that are kept as evidence of a fork, for each log.
MOST_DISPUTED = 20
SIZE_TYPE = "text/x.tlog.size"


class Request(msgspec.Struct, frozen=True):
    """What a log asks of a witness.

    Args:
        old: how many entries the checkpoint had that the witness signed before, 0 for none.
        proof: that the log of ``old`` entries is the beginning of this one.
        note: the checkpoint, signed.
    """

    old: int
    proof: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """The body of ``add-checkpoint``."""
        steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in self.proof)
        return f"old {self.old}\n{steps}\n{self.note}"

    @classmethod
    def of(cls, raw: bytes) -> Request:
        """The request of its body.

        Raises:
            VerificationError: it is none.
        """
        if len(raw) > MOST_BYTES:
            raise VerificationError(f"a request of {len(raw)} bytes is none")
        try:
            lead, empty, note = raw.decode().partition("\n\n")
        except UnicodeDecodeError as error:
            raise VerificationError(f"the request is not UTF-8 at byte {error.start}") from error
        first, *steps = lead.split("\n")
        word, space, number = first.partition(" ")
        if not empty or word != "old" or not space or not _is_size(number):
            raise VerificationError("a request begins with the line `old SIZE` and has an empty line before the checkpoint")
        if len(steps) > MOST_STEPS:
            raise VerificationError(f"a proof has {MOST_STEPS} steps at most, not {len(steps)}")
        return cls(int(number), tuple(_step(step) for step in steps), note)


class Answer(msgspec.Struct, frozen=True):
    """What a witness says: a status of HTTP, the answer's body, and words for the witness's own people."""

    status: int
    body: str
    words: str = ""
    kind: str = "text/plain; charset=utf-8"


class Log(msgspec.Struct):
    """One log as a witness knows it.

    Args:
        keys: those that were trusted, the newest last: it alone signs now.
        note: the newest checkpoint that this witness signed, "" = none.
        disputed: checkpoints, signed by the log, that do not go on from it.
    """

    origin: str
    keys: list[str]
    note: str = ""
    disputed: list[str] = []

    @property
    def size(self) -> int:
        """How many entries the checkpoint has that was signed last."""
        return Checkpoint.of(self.note.rpartition("\n\n")[0] + "\n").size if self.note else 0

    @property
    def root(self) -> bytes:
        """Its root."""
        return Checkpoint.of(self.note.rpartition("\n\n")[0] + "\n").root if self.note else EMPTY


class Ledger:
    """The witness's folder; several processes may use one.

    Args:
        name: who signs, as it shall stand in the notes; makes folder and key where they are not there.

    Raises:
        UsageError: there is no witness there and no ``name``, or it has another name.
    """

    def __init__(self, folder: Path, name: str = ""):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.folder, named = folder, folder / "name"
        try:
            if name and not named.exists():
                Signer(name, Ed25519PrivateKey.generate(), kind=WITNESSES)  # whether the name can stand in a note
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                key_file(folder / "key")
                put_whole(named, f"{name}\n".encode())
            held = named.read_text(encoding="utf-8").strip()
            private = key_file(folder / "key", make=False)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("is no witness's folder: birddog witness init makes one", file=str(folder)) from error
        except ValueError as error:
            raise UsageError(str(error), field="NAME") from error
        if name and name != held:
            raise UsageError(f"is the witness {held!r}, not {name!r}", file=str(folder))
        self.signer = Signer(held, Ed25519PrivateKey.from_private_bytes(private), kind=WITNESSES)

    def trust(self, text: str) -> Log:
        """Take in a log by its public key; or, by the note in which the old key names the new one, its next key.

        Raises:
            VerificationError: it is no key, or a note that no trusted key signed.
            UsageError: a log of this name has another key: only its own rotation makes a new one trusted.
        """
        from birddog.rotation import rotation_of

        text = text.strip("\n") + "\n"
        if "\n\n" not in text:
            key = Verifier.of(text)
            if key.kind == WITNESSES:
                raise VerificationError("this is a witness's key, not a log's")
            with self._locked(key.name) as log:
                if log.keys and key.text() not in log.keys:
                    raise UsageError(f"the log {key.name} has another key here: give the note of `birddog evidence rotate`, in "
                                     "which its old key names the new one")
                log.keys = log.keys or [key.text()]
                self._keep(log)
                return log
        rotation = rotation_of(text)
        with self._locked(rotation.origin) as log:
            if not log.keys:
                raise UsageError(f"the log {rotation.origin} is not known here: trust its first key first")
            if rotation.new.text() not in log.keys:
                if rotation.old.text() != log.keys[-1]:
                    raise VerificationError("the note goes on from another key than the newest that is trusted here")
                log.keys.append(rotation.new.text())
                self._keep(log)
            return log

    def logs(self) -> list[Log]:
        """Every log that is known, by name."""
        found = [self._read(path) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda log: log.origin)

    def add(self, raw: bytes, time_s: int) -> Answer:
        """``add-checkpoint``: sign a checkpoint, or say why not (C2SP tlog-witness, section add-checkpoint).

        Args:
            time_s: POSIX seconds of now, which are signed.
        """
        try:
            request = Request.of(raw)
            text = request.note.rpartition("\n\n")[0] + "\n"
            point = Checkpoint.of(text)
        except VerificationError as error:
            return _no(400, str(error))
        with self._locked(point.origin) as log:
            if not log.keys:
                return _no(404, f"the log {point.origin!r} is not known here")
            try:
                opened(request.note, [Verifier.of(log.keys[-1])])
            except VerificationError as error:
                return _no(403, str(error))
            if request.old > point.size:
                return _no(400, f"old {request.old} is more than the checkpoint's {point.size}")
            if request.old != log.size:
                words = f"the newest checkpoint that was signed has {log.size} entries, not {request.old}"
                return Answer(409, f"{log.size}\n", words, SIZE_TYPE)
            if request.old == point.size and point.root != log.root:
                words = f"the log {log.origin} was signed with another root of {log.size} entries: it was forked"
                return self._disputed(log, request, Answer(409, f"{log.size}\n", words, SIZE_TYPE))
            try:
                if request.old == 0 or request.old == point.size:
                    if request.proof:
                        raise VerificationError("a proof from nothing, or of no step, is empty")
                else:
                    verify_consistency(request.old, point.size, request.proof, log.root, point.root)
            except VerificationError as error:
                return self._disputed(log, request, _no(422, str(error)))
            line = self.signer.line(text, time_s=time_s)
            log.note = _under(request.note, [line], self.signer.verifier)
            self._keep(log)
            return Answer(200, line, f"{log.origin}: {point.size} entries, root {point.root.hex()}")

    def _disputed(self, log: Log, request: Request, answer: Answer) -> Answer:
        """The log's own signature stands under what does not go on from what it signed before: that is kept."""
        if request.note not in log.disputed:
            log.disputed = [*log.disputed, request.note][:MOST_DISPUTED]
            self._keep(log)
        return answer

    # --- the folder --------------------------------------------------------------------------------

    def _path(self, origin: str) -> Path:
        return self.folder / f"{sha256(origin.encode()).hexdigest()[:24]}.json"

    @contextmanager
    def _locked(self, origin: str) -> Iterator[Log]:
        """A log, alone with it: between asking what was signed last and writing what is signed now nobody else may."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self._path(origin)
            yield self._read(path) if path.exists() else Log(origin, [])
        finally:
            os.close(lock)

    def _read(self, path: Path) -> Log:
        try:
            log = msgspec.json.decode(path.read_bytes(), type=Log)
            log.size  # noqa: B018 - whether it can be read
            return log
        except (msgspec.DecodeError, UnicodeDecodeError, VerificationError, OSError) as error:
            words = f"is damaged: {error}; nothing of this log is signed until it is put back"
            raise UsageError(words, file=str(path)) from error

    def _keep(self, log: Log) -> None:
        put_whole(self._path(log.origin), msgspec.json.format(msgspec.json.encode(log)))


def cosigned(note: str, lines: str, witness: Verifier) -> tuple[str, int]:
    """(the checkpoint with a witness's signature under it, the time that it signed, POSIX seconds).

    Args:
        lines: what the witness answered; lines of keys that are not its are left out.

    Raises:
        VerificationError: it did not sign this checkpoint.
    """
    text = note.rpartition("\n\n")[0] + "\n"
    _, found = opened(signed(text, lines.splitlines(keepends=True)), [witness])
    time_s = found[0].time_s
    assert time_s is not None
    own = [line for line in lines.splitlines(keepends=True) if line.split(" ")[1:2] == [witness.name]]
    return _under(note, own, witness), time_s


def of_witness(note: str | bytes, witnesses: Sequence[Verifier]) -> tuple[Checkpoint, dict[str, int]]:
    """(a checkpoint, name -> time of each witness whose signature holds).

    Raises:
        VerificationError: a signature of one of them does not hold, or none of them signed.
    """
    text, found = opened(note, witnesses)
    return Checkpoint.of(text), {one.name: one.time_s for one in found if one.time_s is not None}


def _under(note: str, lines: list[str], whose: Verifier) -> str:
    """A note with a key's signatures in the place of those that it had before."""
    text = note.rpartition("\n\n")[0] + "\n"
    before = note[len(text) + 1 :].splitlines(keepends=True)
    return signed(text, [*(line for line in before if line.split(" ")[1:2] != [whose.name]), *lines])


def _no(status: int, words: str) -> Answer:
    return Answer(status, words + "\n", words)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or not text.startswith("0")) and len(text) < 20


def _step(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("a step of the proof is no base64") from None
    if len(found) != SIZE:
        raise VerificationError(f"a step of the proof has {SIZE} bytes, not {len(found)}")
    return found
