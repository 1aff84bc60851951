"""The change of a log's key: a note in which the old key names the new one, signed by both.

The note stands in the journal as an entry of kind ``rotation``; checkpoints that cover that entry are signed by the new key.
Whoever was handed the first key follows the notes to the one of today; who holds neither key can make none.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from birddog.merkle import VerificationError
from birddog.note import SIGNS, Signer, Verifier, opened, signed

_FIRST = "birddog log key"


class Turned(msgspec.Struct, frozen=True):
    """A note taken apart: it holds."""

    origin: str
    old: Verifier
    new: Verifier


def rotation(old: Signer, new: Signer) -> str:
    """The note in which an old key names the new one, signed by both."""
    text = f"{_FIRST}\n{old.verifier.name}\n{old.verifier.text()}\n{new.verifier.text()}\n"
    return signed(text, [old.line(text), new.line(text)])


def rotation_of(note: str | bytes) -> Turned:
    """The note taken apart.

    Raises:
        VerificationError: it is none, or not signed by both keys.
    """
    raw = note.decode("utf-8", "replace") if isinstance(note, bytes) else note
    lines = raw.rpartition("\n\n")[0].split("\n")
    if len(lines) != 4 or lines[0] != _FIRST:
        raise VerificationError("this is no note of a new key")
    old, new = Verifier.of(lines[2]), Verifier.of(lines[3])
    if (old.kind, new.kind) != (SIGNS, SIGNS) or not old.name == new.name == lines[1] or old == new:
        raise VerificationError("the note names keys of another log, or one key twice")
    for key in (old, new):
        opened(note, [key])
    return Turned(lines[1], old, new)


def follow(first: Verifier, notes: Sequence[str]) -> list[Verifier]:
    """The keys of a log from one that is trusted on, as its notes name them.

    Raises:
        VerificationError: a note does not hold, or does not go on from the key before.
    """
    keys, begun = [first], False
    for note in notes:
        rotation = rotation_of(note)
        if rotation.old == keys[-1]:
            keys.append(rotation.new)
            begun = True
        elif begun:
            raise VerificationError("a note goes on from another key than the one before it")
    return keys
