"""Logs that were given up: somebody accepted that a journal had lost what was signed, and another log goes on.

The old one stands beside it (``PATH.log.lost-MARK``), and an entry ``loss`` says what was known of it.  A checkpoint of it that
somebody kept is held against it, and its leaves against those of the entries of now: what was lost is named by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from birddog.errors import JournalError
from birddog.journal.beside import Home
from birddog.journal.log_files import Known, LogFiles, checked
from birddog.journal.store import Stored
from birddog.merkle import VerificationError
from birddog.model import Loss
from birddog.note import Checkpoint, Verifier, opened
from birddog.tiles import WIDTH, GrowingTiles

_MARK, _HASH = ".lost-", 32


def aside(path: Path, mark: str) -> Path:
    """Where what belongs to a log that is given up is put."""
    return path.with_name(f"{path.name}{_MARK}{mark}")


def given_up(home: Home) -> Iterator[tuple[LogFiles, Known]]:
    """The logs that were given up and can still be read."""
    for folder in sorted(home.log.parent.glob(f"{home.log.name}{_MARK}*")):
        files = LogFiles(folder)
        try:
            known = files.known()
        except JournalError:
            continue  # a folder that holds none of it says nothing of any
        if known is not None:
            yield files, known


def former(home: Home, where: str, note: bytes, verifiers: Sequence[Verifier]) -> Former | None:
    """A checkpoint that belongs to a log that was given up, None where it does not."""
    for files, known in given_up(home):
        try:
            if verifiers:
                point = Checkpoint.of(opened(note, verifiers)[0])
                if point.origin == known.origin:
                    return Former(where, files, known, point)
            else:
                return Former(where, files, known, checked(note, known))
        except VerificationError:
            continue
    return None


class Losses:
    """The losses that a journal says were accepted."""

    def __init__(self) -> None:
        self.said: list[tuple[int, Loss]] = []

    def take(self, row: Stored) -> None:
        """An entry of kind ``loss``."""
        try:
            self.said.append((row.seq, msgspec.msgpack.decode(row.body, type=Loss)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # its leaf holds, or was said not to

    def of(self, folder: Path) -> str:
        """What is said of a log that is kept there; of one whose entry does not name it, what was said last."""
        named = [(seq, loss) for seq, loss in self.said if folder.name in loss.text] or self.said[-1:]
        return "".join(f" (entry {seq}: {loss.text})" for seq, loss in named)


class Former:
    """What somebody kept of a log that was given up, held against the entries of now, which are taken in order."""

    def __init__(self, where: str, files: LogFiles, known: Known, point: Checkpoint):
        self.where, self._files, self._known, self._point = where, files, known, point
        self._tile, self._leaves = -1, b""
        self._others: list[list[int]] = []  # from, to: numbers whose entry is not the one that was signed
        self._next = known.begins
        tree, self._fault = GrowingTiles(), ""
        try:
            for number in range((point.size + WIDTH - 1) // WIDTH):
                raw = self._leaves_of(number)
                tree.append([raw[at : at + _HASH] for at in range(0, len(raw), _HASH)])
                tree.full.clear()
            if tree.root() != point.root:
                raise VerificationError("its tiles are not those that were signed")
        except VerificationError as error:
            self._fault = str(error)

    def _leaves_of(self, number: int) -> bytes:
        return self._files.tile(0, number, min(WIDTH, self._point.size - number * WIDTH))

    def take(self, seq: int, leaf: bytes | None) -> None:
        """An entry of now."""
        if self._fault or not self._next <= seq < self._known.begins + self._point.size:
            return
        if seq > self._next:
            self._other(self._next, seq - 1)
        self._next = seq + 1
        index = seq - self._known.begins
        if self._tile != index // WIDTH:
            self._tile = index // WIDTH
            self._leaves = self._leaves_of(self._tile)
        at = index % WIDTH * _HASH
        if leaf != self._leaves[at : at + _HASH]:
            self._other(seq, seq)

    def _other(self, first: int, last: int) -> None:
        if self._others and self._others[-1][1] == first - 1:
            self._others[-1][1] = last
        else:
            self._others.append([first, last])

    def end(self, losses: Losses) -> tuple[bool, str]:
        """(Whether all that was signed is here, words), when all entries were taken."""
        last = self._known.begins + self._point.size - 1
        if self._next <= last and not self._fault:
            self._other(self._next, last)
        lead = (f"{self.where}: signed {self._point.size} entries of the log {self._known.origin}, which was given up when a "
                f"loss was accepted{losses.of(self._files.folder)}; it is kept as {self._files.folder}")
        if self._fault:
            return False, f"{lead}, and does not hold: {self._fault}"
        if not self._others:
            return True, f"{lead}; all of those entries are here as they were signed"
        said = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in self._others[:5])
        more = f" and {len(self._others) - 5} runs more" if len(self._others) > 5 else ""
        return False, f"{lead}; of those entries {said}{more} are not here, or others stand under their numbers"
