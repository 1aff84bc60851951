"""The folder of a journal's evidence log, to read.

    PATH.log/checkpoint     the newest signed note (C2SP tlog-checkpoint): origin, how many entries, their root
    PATH.log/tile/…         C2SP tlog-tiles, as birddog.tiles has them
    PATH.log/keys.json      origin, the entry at which the log begins, and the public keys, each from a size on
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from birddog.errors import JournalError, JournalTrouble
from birddog.merkle import VerificationError
from birddog.note import Checkpoint, Verifier, opened
from birddog.tiles import TileTree, tile_path

_HASH = 32
#: So often a tile is looked for: between the list of a folder and the file a live log may have put a longer one in its place.
_LOOKS = 3


class PublicKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key of the log, the size from which on it signs, and the note in which the key before named it."""

    verifier: str
    from_size: int = 0
    note: str = ""


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``keys.json``: what the log is called, the entry at which it begins, and its public keys, the oldest first."""

    origin: str
    begins: int
    keys: tuple[PublicKey, ...]


class LogFiles:
    """The folder of a journal's log, to read."""

    def __init__(self, folder: Path):
        self.folder = folder

    def known(self) -> Known | None:
        """What the log is, None where there is none.

        Raises:
            JournalError: it cannot be read.
        """
        try:
            return msgspec.json.decode((self.folder / "keys.json").read_bytes(), type=Known)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalTrouble(f"{self.folder}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalError(f"{self.folder / 'keys.json'} is damaged: {error}") from error

    def there(self) -> tuple[Known, bytes]:
        """What the log is, and its newest checkpoint as it is signed.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        known, note = self.known(), self.note()
        if known is None or note is None:
            raise JournalError(f"{self.folder} is not there: the journal has no evidence log")
        return known, note

    def note(self) -> bytes | None:
        """The newest checkpoint as it is signed, None where there is none."""
        try:
            return (self.folder / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalTrouble(f"{self.folder}: {error.strerror}") from error

    def checkpoint(self, known: Known) -> Checkpoint | None:
        """The newest checkpoint, its signature checked; None where there is none.

        Raises:
            VerificationError: it is none, or nobody we know signed it.
        """
        note = self.note()
        return None if note is None else checked(note, known)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """The bytes of a tile; of a part of it where a longer one is there.

        Raises:
            VerificationError: it is not there.
        """
        full = tile_path(level, number)
        partial = self.folder / f"{full}.p"
        for _ in range(_LOOKS):
            names = [full]
            try:
                names += [f"{full}.p/{name}" for name in sorted(os.listdir(partial), key=int) if int(name) >= width]
            except (FileNotFoundError, ValueError):
                pass
            for name in names:
                try:
                    return (self.folder / name).read_bytes()[: _HASH * width]
                except FileNotFoundError:
                    continue
        raise VerificationError(f"{self.folder / full} is not there")

    def tree(self, size: int) -> TileTree:
        """The tree of the first so many entries, of the tiles."""
        return TileTree(size, self.tile)


def checked(note: bytes | str, known: Known) -> Checkpoint:
    """The checkpoint of a note that the right one of the log's keys signed.

    Raises:
        VerificationError: it is another log's, or signed by no key of this one, or by one whose time it was not.
    """
    verifiers = [Verifier.of(key.verifier) for key in known.keys]
    text, _ = opened(note, verifiers)
    point = Checkpoint.of(text)
    if point.origin != known.origin:
        raise VerificationError(f"the checkpoint is of the log {point.origin!r}, not of {known.origin!r}")
    at = [key for key in known.keys if key.from_size <= point.size][-1:]
    opened(note, [Verifier.of(key.verifier) for key in at])
    return point
