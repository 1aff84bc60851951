"""The picture as its process keeps it: the one that is shown goes on while another is made beside it.

What was erased of the vessels that no case is about (``birddog.passersby``) leaves the journal a period at a time, and what
was folded of it must leave the derived store.  A case that is erased takes the whole store with it at once: a person asked for
it.  A period ends by itself, some times a day, and a page that is empty till a long journal has been folded again would be the
price.  So the store that is shown goes on, and another is folded in ``PATH.anew`` of what is left, between two steps; when
it stands where the shown one stands, it is put in its place.  Until then the shown one says in its ``due`` which entry it still
has to obey.  A kill anywhere is gone on from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from birddog.journal import Reader
from opsroom.picture import STEP_ENTRIES, Picture
from opsroom.picture_store import beside, remove

#: So many entries of the one beside are folded at once: what has come in meanwhile is shown some 20 ms later.
BESIDE_ENTRIES = 100
#: While the shown one has not reached the journal's end, the one beside has every so many steps one.
_EACH = 4


class Following:
    """A picture that is followed: ``Picture``, its file deleted or not, and the one that is made beside it.

    Args and errors are those of ``Picture``.
    """

    def __init__(self, journal: Reader, path: Path):
        self._journal, self._path, self._turn = journal, path, 0
        self._anew: Picture | None = None
        self.picture = self._open()

    def _open(self) -> Picture:
        picture = Picture(self._journal, self._path)
        if not picture.due:
            remove(beside(self._path))  # of a store that was deleted alone
        return picture

    @property
    def anew(self) -> Picture | None:
        """The picture that is being made beside the shown one, or None."""
        return self._anew

    def step(self, limit: int = STEP_ENTRIES, asked: Callable[[], bool] = lambda: False) -> int:
        """Fold the next entries of the shown one, and some of the one beside; of the shown one how many there were.

        Args:
            asked: between two entries, whether to leave it at those that are done.
        """
        if self.picture.store.gone():
            # the derived store may be deleted at any time: make it again
            self.close()
            self.picture = self._open()
        done = self.picture.step(limit, asked)
        self._turn += 1
        if not asked() and (done < limit or self._turn % _EACH == 0):
            self._step_beside(asked)
        return done

    def _step_beside(self, asked: Callable[[], bool]) -> None:
        if self._anew is not None and (not self.picture.due or self._anew.store.gone()):
            # a case was erased meanwhile: that took both files, and the shown one is made of what is left already
            self._anew.close()
            self._anew = None
        if not self.picture.due:
            return
        if self._anew is None:
            self._anew = Picture(self._journal, beside(self._path))
            if self._anew.erased_to < self.picture.due:
                self._anew.begin_again()
        behind = self.picture.cursor - self._anew.cursor
        if behind > 0:
            self._anew.step(min(BESIDE_ENTRIES, behind), asked)
        elif self._anew.cursor >= self.picture.published:
            shown, self.picture, self._anew = self.picture, self._anew, None
            shown.close()
            self.picture.take_place(self._path)

    def save(self) -> None:
        """Store the state of each, so that the next start folds nothing again."""
        self.picture.save()
        if self._anew is not None:
            self._anew.save()

    def close(self) -> None:
        """Let go of the files."""
        self.picture.close()
        if self._anew is not None:
            self._anew.close()
            self._anew = None
