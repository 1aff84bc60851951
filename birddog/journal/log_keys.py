"""The log's keys as ``keys.json`` has them, held against the entries in which each names the next (``birddog.rotation``)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from birddog.journal.log_files import Known
from birddog.journal.store import Stored
from birddog.merkle import VerificationError
from birddog.model import Rotation
from birddog.note import Verifier
from birddog.rotation import rotation_of


class LogKeys:
    """Args:
        known: what ``keys.json`` says.
        trusted: a key that was handed over, if one was.
        say: told what is wrong: the entry that it is about, 0 where about none, and words.
    """

    def __init__(self, known: Known, trusted: Verifier | None, say: Callable[[int, str], None]):
        self._known, self._say = known, say
        self._named: dict[int, str] = {}  # entry -> the note that it holds
        texts = [key.verifier for key in known.keys]
        if trusted is not None and trusted.text() not in texts:
            self._say(0, f"the log is signed by {texts[-1]}, which the key that was given did not name")
        try:
            for before, key in zip(texts, known.keys[1:], strict=False):
                rotation = rotation_of(key.note)
                if (rotation.old.text(), rotation.new.text(), rotation.origin) != (before, key.verifier, known.origin):
                    raise VerificationError(f"the key {key.verifier} was not named by the one before it")
            if texts and (known.keys[0].note or known.keys[0].from_size):
                raise VerificationError("the first key of a log was named by none, and signs from its beginning")
        except VerificationError as error:
            self._say(0, f"keys.json: {error}")

    def take(self, row: Stored) -> None:
        """An entry that names a key."""
        try:
            self._named[row.seq] = msgspec.msgpack.decode(row.body, type=Rotation).signature
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # its leaf holds, or was said not to

    def end(self, signed: int) -> None:
        """All entries were seen, of which so many were signed."""
        keys, begins = self._known.keys, self._known.begins
        for key in keys[1:]:
            if self._named.pop(begins + key.from_size - 1, None) != key.note:
                self._say(begins + key.from_size - 1, f"does not name the key {key.verifier}, as keys.json has it")
        for seq, note in self._named.items():
            try:
                rotation = rotation_of(note)
            except VerificationError:
                continue  # it stands, and counts for nothing
            at = [key for key in keys if key.from_size <= seq - begins][-1:]
            if at and rotation.old.text() == at[0].verifier and seq - begins < signed:
                self._say(seq, f"names the key {rotation.new.text()}, which keys.json does not have")
