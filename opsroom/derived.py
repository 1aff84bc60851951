"""The derived store as it must be at the journal's end, for a command that reads it once: exports, shares, scores.

Where there is none it is made; where it lags, is damaged or of another journal, the journal is folded to its end in a
temporary folder and the store is left as it is (a picture process may be at work on it).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from birddog.directory import OPEN, Directory
from birddog.journal import Reader, home, open_reader
from birddog.journal.store import entries
from birddog.model import KINDS, Entry, unpack
from birddog.validated import Validated
from opsroom.collecting import collect_never
from opsroom.commands.common import say
from opsroom.exports import Sheet, journal_name
from opsroom.picture import Picture, is_of
from opsroom.picture_store import PictureDamaged, PictureError, PictureReader, PictureWriter, copy
from opsroom.rebuilding import make

#: Kinds that the picture takes nothing of: a store that lacks no other is at the journal's end.
_UNSEEN = frozenset(kind.name for kind in KINDS if not kind.folds)


class Derived(msgspec.Struct, frozen=True):
    """A journal and its picture at its end.

    Args:
        name: of the journal, short, and another for each journal: the ident of its first entry.
    """

    view: PictureReader
    name: str
    made_ns: int
    exercise: bool
    operations: frozenset[str]
    validated: Validated
    directory: Directory

    def sheet(self, **asked: object) -> Sheet:
        """What is exported of it; ``asked`` as ``Sheet`` takes it."""
        return Sheet(self.view, self.name, made_ns=self.made_ns, exercise=self.exercise, validated=self.validated, **asked)  # type: ignore[arg-type]


def operations_of(registers: Iterable[Entry]) -> frozenset[str]:
    """What may be asked for by ``--operation``: every case that was entered, and ``open``."""
    return frozenset({OPEN, *(e.operation for e in registers if e.kind == "operation")})


@contextlib.contextmanager
def derived(url: str) -> Iterator[Derived]:
    """The picture of a journal, with all of its entries.

    Raises:
        JournalError: the journal cannot be read.
        PictureError: the store cannot be read or made.
    """
    path, journal = home(url).picture, open_reader(url)
    try:
        with tempfile.TemporaryDirectory(prefix="birddog-derived-") as folder:
            if not path.exists():
                with contextlib.suppress(PermissionError):  # a journal on a stick that cannot be written is folded elsewhere
                    make(journal, path)
            view = PictureReader(_up_to_date(journal, path, Path(folder)))
            try:
                registers, directory = journal.registers(), Directory()
                for entry in registers:
                    directory.apply(unpack(entry))
                yield Derived(view, journal_name(journal), journal.clock_ns(), journal.mode == "exercise",
                              operations_of(registers) | view.operations(), Validated(directory), directory)
            finally:
                view.close()
    finally:
        journal.close()


def _up_to_date(journal: Reader, path: Path, folder: Path) -> Path:
    """A copy of a derived store that has all of the journal; what it lacks is folded here, the store stays as it is."""
    held, last = folder / "held", journal.last_seq()
    if not path.exists():
        return _folded(journal, folder / "fresh")
    try:
        copy(path, held)
        store = PictureWriter(held, keep=True)
        try:
            cursor = store.number("cursor") if is_of(journal, store) else None
            due = store.number("due")
        finally:
            store.close()
        why = f"stands at entry {cursor} of {last}" if cursor is not None else "is not of this journal"
        if due:
            cursor, why = None, f"still has rows of what entry {due} erased"
    except PictureDamaged:
        cursor, why = None, "is damaged"
    except PictureError as error:
        if not held.exists():
            raise
        cursor, why = None, str(error).partition(f"{held} ")[2] or str(error)
    if cursor is not None and all(entry.kind in _UNSEEN for entry in entries(journal, cursor)):
        return held
    say(f"{path} {why}: the journal is folded to its end for this, the store is left as it is")
    return _folded(journal, held if cursor is not None else folder / "fresh")


def _folded(journal: Reader, path: Path) -> Path:
    """A derived store folded to the journal's end."""
    picture = Picture(journal, path)
    try:
        with collect_never():
            while picture.step() or picture.due:
                if picture.due and picture.cursor >= picture.published:
                    picture.begin_again()  # a period was erased meanwhile
    finally:
        picture.close()
    return picture.store.path
