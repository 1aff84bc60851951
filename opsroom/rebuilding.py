"""The picture made again from the whole journal: ``birddog rebuild``, and a store where there is none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from birddog.errors import JournalError
from birddog.journal import Reader, entries
from birddog.keyring import KeysClosed
from birddog.model import unpack
from opsroom.collecting import collect_never
from opsroom.picture import STEP_ENTRIES, Picture, is_of
from opsroom.picture_store import TABLES, PictureError, PictureWriter, copy, differences, hold, remove


def rebuild(journal: Reader, path: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """Fold the whole journal again and compare it with the store at ``path``, which may be being written.

    The comparison is at the entry that ``path`` stands at, row by row, byte by byte.

    Args:
        folder: an empty one for the copy of ``path`` and the fresh store.

    Returns:
        For each table (rows in the fresh store, rows that differ or stand in one store only).

    Raises:
        PictureError: ``path`` is damaged, of another version, or was not made from this journal.
        JournalError: an entry is damaged.
    """
    held, fresh = folder / "held", folder / "fresh"
    copy(path, held)
    try:
        at, rested = _stands_at(journal, held)
        _fold_to(journal, fresh, at, rests=rested == at)
        return differences(fresh, held, (*TABLES, "now") if rested == at else TABLES)
    except PictureError as error:
        # what is wrong with the copy is wrong with the store
        raise type(error)(str(error).replace(str(held), str(path))) from error


def behind(journal: Reader, path: Path) -> tuple[int, int, str]:
    """What the journal holds behind the entry that a store stands at, which a rebuild does not compare.

    Returns:
        The entry that the store stands at, how many are behind it, and why one of them cannot be read ("" where all can).
    """
    store = PictureWriter(path, keep=True)
    try:
        at = store.number("cursor")
    finally:
        store.close()
    count = 0
    try:
        for entry in entries(journal, at):
            unpack(entry)
            count += 1
    except KeysClosed:
        raise  # it says nothing of the entries
    except JournalError as error:
        return at, count, str(error)
    return at, count, ""


def _stands_at(journal: Reader, path: Path) -> tuple[int, int]:
    """(the entry that a store stands at, the one at which it last said what is believed)."""
    store = PictureWriter(path, keep=True)
    try:
        if not is_of(journal, store):
            raise PictureError(f"{path} was not made from this journal, or the journal was put back to an earlier time")
        if due := store.number("due"):
            raise PictureError(f"{path} still has rows of what entry {due} erased: `birddog run` makes another beside it "
                               "and puts it in its place; ask again then, or delete it")
        return store.number("cursor"), store.number("rested")
    finally:
        store.close()


def _fold_to(journal: Reader, path: Path, until: int, *, rests: bool) -> None:
    picture = Picture(journal, path, resumes=False)
    try:
        with collect_never():
            while picture.cursor < until and picture.step(min(STEP_ENTRIES, until - picture.cursor)):
                pass
            picture.finish(rests=rests)
    finally:
        picture.close()


def make(journal: Reader, path: Path) -> int:
    """Make a derived store where there is none, from the whole journal; the entry it stands at.

    It is made beside and put in place when it is complete, unless a picture process has begun meanwhile:
    that one makes its own.
    """
    with tempfile.TemporaryDirectory(prefix=path.name + ".made-", dir=path.parent) as folder:
        picture = Picture(journal, Path(folder) / "picture", resumes=False)
        try:
            with collect_never():
                while picture.step():
                    pass
                picture.save()
        finally:
            picture.close()
        lock = hold(path)
        if lock is not None:
            if not path.exists():
                remove(path)  # what may be left beside a file that was deleted alone
                os.rename(Path(folder) / "picture", path)
            os.close(lock)
        return picture.cursor
