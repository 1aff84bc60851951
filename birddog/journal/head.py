"""The head file, ``PATH.head``: which entry was acknowledged last, and which files it stands in.

It is what a journal that was put back, cut or mixed with another one's write-ahead log is held against
when it is opened (docs/decisions/0006): it may lag behind the journal, it never leads it, for it is
written after the commit and before anybody is told of it.

Two slots of ``SLOT`` bytes, written in turn, in place and without a sync of their own: a torn slot is
known by its digest, and the other one is at most one commit older.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from pathlib import Path

import msgspec

from birddog.errors import JournalTrouble

SLOT = 512
_DIGEST = 16
#: The SQLite file's header (sqlite.org/fileformat2.html, section 1.3); bytes 28 to 31: its size in pages.
HEADER = 100
#: The write-ahead log's header (section 4.1); bytes 16 to 23: the salts of its frames.
WAL_HEADER = 32
_WAL_MAGIC = (0x377F0682, 0x377F0683)


class Head(msgspec.Struct, frozen=True):
    """What was acknowledged, as of one commit.

    Args:
        turn: counts what was written to the file: the greater one is the newer.
        seq, ident: the last entry, 0 and b"" while there is none.
        header: a digest of the journal file's header as the last checkpoint left it.
        pages: the size that this header states.
        moving: a checkpoint was going on: the header is that from before it.
        salts: of the write-ahead log, b"" where it holds nothing.
    """

    turn: int = 0
    seq: int = 0
    ident: bytes = b""
    header: bytes = b""
    pages: int = 0
    moving: bool = False
    salts: bytes = b""


class HeadFile:
    """The head file of a journal, open for writing by the journal's one writer.

    Raises (also ``sync``):
        JournalTrouble: it cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._open()

    def _open(self) -> None:
        path = self.path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            missing = 2 * SLOT - os.fstat(self._fd).st_size
            if missing > 0:  # its blocks are there from the beginning: a full disk does not stop it
                os.pwrite(self._fd, b" " * missing, 2 * SLOT - missing)
            # the kernel has what is stored here, as after a write, at a tenth of its price (3 of 36 µs a commit)
            self._slots = mmap.mmap(self._fd, 2 * SLOT)
        except OSError as error:
            raise JournalTrouble(f"{path}: {error.strerror}") from error

    def write(self, head: Head) -> None:
        """Put down the next state."""
        slot = _written(head)
        assert len(slot) == SLOT, "idents are short"
        at = head.turn % 2 * SLOT
        self._slots[at : at + SLOT] = slot

    def sync(self) -> None:
        """Bring it to disk: now and then, so that a power cut does not take it far back; put it back if it was taken away."""
        try:
            if not self._in_place():
                slots = bytes(self._slots)
                self.close()
                self.path.unlink(missing_ok=True)
                self._open()
                self._slots[:] = slots
            os.fdatasync(self._fd)
        except OSError as error:
            raise JournalTrouble(f"{self.path}: {error.strerror}") from error

    def _in_place(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
        os.close(self._fd)


def read(path: Path) -> Head | None:
    """The newest whole slot of the head file at ``path``; None where there is none.

    Raises:
        JournalTrouble: it is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalTrouble(f"{path}: {error.strerror}") from error
    slots = [head for i in (0, SLOT) if (head := _slot(data[i : i + SLOT])) is not None]
    return max(slots, key=lambda head: head.turn, default=None)


def damaged(path: Path) -> str:
    """What is wrong with the bytes of a head file that ``read`` passes over; "" where each slot is whole or was never written.

    A running writer may be at one of them: what it is at is another at the next look.

    Raises:
        JournalTrouble: it is there and cannot be read.
    """
    fault = ""
    for _ in range(3):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise JournalTrouble(f"{path}: {error.strerror}") from error
        if len(data) != 2 * SLOT:
            return f"has {len(data)} bytes, not {2 * SLOT}"
        slots = [(data[at : at + SLOT], n) for n, at in enumerate((0, SLOT))]
        torn = [n for slot, n in slots if slot.strip(b" ") and ((head := _slot(slot)) is None or _written(head) != slot)]
        if not torn:
            return ""
        fault = f"slot {torn[0]} was changed, or torn when the power failed (then the next two commits mend it)"
    return fault


def _written(head: Head) -> bytes:
    body = msgspec.json.encode(head)
    return (body + b" " + _digest(body).hex().encode()).ljust(SLOT - 1) + b"\n"


def _slot(data: bytes) -> Head | None:
    body, _, digest = data.strip().rpartition(b" ")
    if not body or digest != _digest(body).hex().encode():
        return None
    try:
        return msgspec.json.decode(body, type=Head)
    except msgspec.DecodeError:
        return None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def header_of(data: bytes) -> tuple[bytes, int]:
    """The digest of a journal file's first bytes, and the size in pages that they state."""
    header = data[:HEADER]
    return _digest(header), struct.unpack(">I", header[28:32])[0] if len(header) == HEADER else 0


def wal_salts(data: bytes) -> bytes:
    """The salts in a write-ahead log's first bytes, b"" where they are no header."""
    if len(data) < WAL_HEADER or struct.unpack(">I", data[:4])[0] not in _WAL_MAGIC:
        return b""
    return data[16:24]


def mixed(path: Path, head: Head) -> str:
    """What is wrong with the files of a journal that nobody has open, before SQLite plays one into the other.

    A write-ahead log is played into the file that it finds, whichever that is: into an older copy of the
    journal it makes a third thing that nobody wrote.  "" where the two belong together, as far as can be told.
    """
    try:
        wal = _first(Path(f"{path}-wal"), WAL_HEADER + 1)
        if len(wal) <= WAL_HEADER or not (salts := wal_salts(wal)):
            return ""
        header, pages = header_of(_first(path, HEADER))
    except OSError as error:
        raise JournalTrouble(f"{path}: {error.strerror}") from error
    if head.header and header != head.header and not (head.moving and pages >= head.pages):
        return f"{path} is not the file that {path}-wal was written for: another one, or an older copy, was put in its place"
    if head.salts and salts != head.salts and not _follows(salts, head.salts):
        return f"{path}-wal is not the one that {path} was acknowledged in: another one was put in its place"
    return ""


def _follows(salts: bytes, before: bytes) -> bool:
    """Whether a log was begun anew once since: the first salt counts up by one (fileformat2, section 4.1)."""
    one: int = struct.unpack(">I", salts[:4])[0]
    other: int = struct.unpack(">I", before[:4])[0]
    return one == (other + 1) % 2**32


def _first(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        return b""
