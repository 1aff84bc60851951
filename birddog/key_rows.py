"""``PATH.keys`` as it is written: where its master key lies, and each key as that wraps it, in the order of their making."""

from __future__ import annotations

import msgspec

#: What this program writes and reads.
FORM = 1


class KeyRow(msgspec.Struct, omit_defaults=True):
    """One key: ``wrapped`` in base64, "" where it was destroyed."""

    operation: str
    number: int
    purpose: str = ""
    wrapped: str = ""

    @property
    def name(self) -> str:
        """As ``key_name`` has it."""
        return key_name(self.operation, self.purpose, self.number)


class KeyFile(msgspec.Struct):
    """All of it; ``master``: "" beside the journal, else a file's path or a token's URI."""

    form: int
    master: str
    keys: list[KeyRow]

    def written(self) -> bytes:
        """Its bytes."""
        return msgspec.json.format(msgspec.json.encode(self))


def key_name(operation: str, purpose: str, number: int) -> str:
    """A key's name, as it stands in an entry's ``key_id``."""
    return f"{operation}/{purpose}/{number}" if purpose else f"{operation}/{number}"
