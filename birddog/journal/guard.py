"""Whether the writer's files are still its own: looked at before and after each commit, before it is acknowledged.

Somebody copies an older journal over the one that is being written, empties its write-ahead log or takes it
away: SQLite goes on without a word, into files that nobody will find or read again.  One writer writes the
journal, and only it checkpoints; so between two of its own steps nothing of what is looked at may change:

- the journal file: device, inode, size, time of change, and its header;
- the write-ahead log: device, inode, its header's salts, and the last frame, whose checksum holds all those
  before it, where the shared index says that it is (sqlite.org/walformat.html, sections 1.2 and 2.2);
- the shared index itself, by which readers find what was committed.

Costs, with the head file, some 0.1 ms of CPU a commit: +3 to +6 % of one of 500 entries, +70 % of one that brings
a single entry (docs/decisions/0006 says where it goes).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from birddog.errors import JournalChanged, JournalGone, JournalTrouble
from birddog.journal.head import HEADER, WAL_HEADER, header_of, wal_salts

_FRAME_HEADER = 24
#: The index: its header, of which a second copy follows, then how many frames were brought into the journal.
_INDEX_HEADER, _INDEX = 48, 100


def _said(look: Callable[[Guard], None]) -> Callable[[Guard], None]:
    """What the system refuses, as an error of ours."""

    @wraps(look)
    def said(guard: Guard) -> None:
        try:
            look(guard)
        except OSError as error:
            raise JournalTrouble(f"{guard.path}: {error.strerror}") from error

    return said


class Guard:
    """Knows the files of one open journal.

    Descriptors of its own on the journal and the index are closed only when the connection is: closing one
    lets go of every lock that this process has on the file (fcntl(2)), SQLite's too.

    Args:
        path: the journal file, no link.
        page_bytes: the size of its pages.

    Raises (also every method):
        JournalChanged, JournalGone: the files are not what they were.
        JournalTrouble: they cannot be read.
    """

    def __init__(self, path: Path, page_bytes: int):
        self.path, self._page_bytes = str(path), page_bytes
        self._wal, self._index = f"{path}-wal", f"{path}-shm"
        self._fds: list[int] = []
        try:
            self._main_fd = self._opened(self.path)
            self._index_fd = self._opened(self._index)
            self._wal_fd = self._opened(self._wal)
        except OSError as error:
            self.close()
            raise JournalTrouble(f"{error.filename}: {error.strerror}") from error
        self._main_as: tuple[int, ...] = ()
        self._header_as = b""
        self._index_as = self._place(self._index)
        self._wal_as = self._place(self._wal)
        self._wal_stood = self._wal_now = (0, 0)
        self._index_stood = b""
        self.header, self.pages = b"", 0
        self.frames, self.salts = 0, b""

    def _opened(self, name: str) -> int:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Let go of the files; after the connection has."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    @_said
    def settle(self) -> None:
        """What the files are now is right: after the opening, and after a checkpoint of ours."""
        self._main_as, self._header_as = self._main(), os.pread(self._main_fd, HEADER, 0)
        self.header, self.pages = header_of(self._header_as)
        self.after()

    @_said
    def end(self) -> None:
        """The connection is closed: what lies there from now on."""
        self.header, self.pages = header_of(os.pread(self._main_fd, HEADER, 0))
        try:
            with open(self._wal, "rb") as file:
                self.salts = wal_salts(file.read(WAL_HEADER))
        except FileNotFoundError:
            self.salts = b""

    @_said
    def before(self) -> None:
        """Before a step of ours: nothing has changed since the last one."""
        self.in_place()
        if self._wal_now != self._wal_stood:
            raise JournalChanged(f"{self._wal} was changed while it was being written")
        if os.pread(self._index_fd, _INDEX_HEADER, 0) != self._index_stood:
            raise JournalChanged(f"another program wrote to {self.path} while it was being written")

    @_said
    def in_place(self) -> None:
        """At any moment, also within a step of ours: the files are those that we opened."""
        self._main_is_ours(header=True)
        self._wal_is_ours()
        if self._place(self._index) != self._index_as:
            raise JournalChanged(f"{self._index} was taken away while the journal was being written")

    @_said
    def after(self) -> None:
        """After a commit: it stands in our files, under their names; what can wait for the next step is looked at then."""
        self._main_is_ours(header=False)
        self._wal_is_ours()
        self._log_is_whole()
        self._wal_stood = self._wal_now

    def _wal_is_ours(self) -> None:
        try:
            stat = os.stat(self._wal)
        except FileNotFoundError:
            stat = None
        if stat is None or (stat.st_dev, stat.st_ino) != self._wal_as:
            raise JournalChanged(f"{self._wal} was taken away, or another one put in its place, while it was being written")
        self._wal_now = stat.st_size, stat.st_mtime_ns

    def _log_is_whole(self) -> None:
        """What the index says was committed last stands in the log that we have open."""
        index = os.pread(self._index_fd, _INDEX_HEADER, 0)
        if len(index) < _INDEX_HEADER:
            raise JournalChanged(f"{self._index} was cut while the journal was being written")
        (self.frames,), (one, two) = struct.unpack("=I", index[16:20]), struct.unpack("=II", index[24:32])
        self.salts = index[32:40] if self.frames else b""
        if self.frames:
            if wal_salts(os.pread(self._wal_fd, WAL_HEADER, 0)) != self.salts:
                raise JournalChanged(f"{self._wal} was changed while it was being written")
            at = WAL_HEADER + (self.frames - 1) * (_FRAME_HEADER + self._page_bytes)
            frame = os.pread(self._wal_fd, _FRAME_HEADER, at)
            if frame[8:16] != self.salts or frame[16:24] != struct.pack(">II", one, two):
                raise JournalChanged(f"{self._wal} was cut or changed while it was being written")
        self._index_stood = index

    def log_is_whole(self) -> bool:
        """Whether the write-ahead log was only taken away by its name: what we have open holds all of it still."""
        try:
            self._main_is_ours(header=True)
            self._log_is_whole()
        except (JournalChanged, OSError):
            return False
        return self._place(self._wal) != self._wal_as and self._place(self._index) == self._index_as

    def _main_is_ours(self, *, header: bool) -> None:
        main = self._main()
        if main == self._main_as and (not header or os.pread(self._main_fd, HEADER, 0) == self._header_as):
            return
        if main[:2] != self._main_as[:2]:
            raise JournalGone(f"{self.path} was moved or deleted while it was being written; "
                              f"its newest entries are in {self._wal}: keep the two together")
        raise JournalChanged(f"{self.path} was overwritten while it was being written; its newest entries are in {self._wal}")

    def _main(self) -> tuple[int, ...]:
        # a change of its rights or links is nobody's business: the times of those are not looked at
        try:
            stat = os.stat(self.path)
        except OSError:
            return (0, 0, 0, 0)
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _place(self, name: str) -> tuple[int, int]:
        try:
            stat = os.stat(name)
        except OSError:
            return 0, 0
        return stat.st_dev, stat.st_ino


def stale_index(path: Path) -> bool:
    """Whether the shared index beside a journal sends readers to a write-ahead log that is not there any more.

    As long as somebody reads, SQLite believes the index and not the log, but for what stands in the journal already.
    """
    try:
        with open(f"{path}-shm", "rb") as file:
            index = file.read(_INDEX)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalTrouble(f"{path}-shm: {error.strerror}") from error
    if len(index) < _INDEX or index[16:20] == index[96:100]:
        return False
    try:
        with open(f"{path}-wal", "rb") as file:
            return wal_salts(file.read(WAL_HEADER)) != index[32:40]
    except FileNotFoundError:
        return True
