"""Where everything lies that stands beside a journal: lock, head, socket, status rows, picture, key, ledger."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from birddog.errors import UsageError

#: A Unix socket's address holds 107 bytes, unix(7); some are left for what a system puts before it.
_SOCKET_BYTES = 100


class Home(msgspec.Struct, frozen=True):
    """Where everything lies that stands beside a journal: one base, and an ending for each.

    The picture, the status rows, the key and the ledger are found by the name that the URL gives; what two
    processes must agree on although one of them names the journal by a link (lock, head, socket) by the real one.

    Args:
        base: what the names begin with; of a journal that is a file, this file.
    """

    base: Path

    def _beside(self, ending: str) -> Path:
        return self.base.with_name(self.base.name + ending)

    def _beside_real(self, ending: str) -> Path:
        real = self.base.resolve()
        return real.with_name(real.name + ending)

    @property
    def folder(self) -> Path:
        """The folder that holds all of it."""
        return self.base.parent

    @property
    def lock(self) -> Path:
        """Held by the one process that writes the journal."""
        return self._beside_real(".lock")

    @property
    def head(self) -> Path:
        """What was acknowledged last (``birddog.journal.head``)."""
        return self._beside_real(".head")

    @property
    def picture(self) -> Path:
        """The derived store."""
        return self._beside(".picture")

    @property
    def status(self) -> Path:
        """The folder of the processes' status rows."""
        return self._beside(".status")

    @property
    def refusal_key(self) -> Path:
        """The secret of the hashes that stand for refused payloads."""
        return self._beside(".refusal-key")

    @property
    def keys(self) -> Path:
        """The keys of operations, each wrapped by the master key (``birddog.keyring``)."""
        return self._beside_real(".keys")

    @property
    def master_key(self) -> Path:
        """The master key, where the setting ``[journal] master_key`` names no other place."""
        return self._beside_real(".master-key")

    @property
    def log(self) -> Path:
        """The folder of the evidence log: its tiles, its checkpoints, its keys' public halves."""
        return self._beside_real(".log")

    @property
    def witness(self) -> Path:
        """The folder of checkpoints that came back from others, one a file: the journal is held against each at its start."""
        return self._beside_real(".witness")

    @property
    def stamps(self) -> Path:
        """The folder of time stamps of the log's checkpoints (RFC 3161): SIZE.tsr, and beside it the checkpoint, SIZE.note."""
        return self._beside_real(".stamps")

    @property
    def imagery(self) -> Path:
        """The ledger of the scenes whose looks were sent to this journal."""
        return self._beside(".imagery")

    @property
    def socket(self) -> Path:
        """Where the writer listens for entries; a name too long for a socket gets one in a private folder.

        Raises:
            UsageError: that folder belongs to somebody else.
        """
        own = self._beside_real(".sock")
        if len(os.fsencode(own)) < _SOCKET_BYTES:
            return own
        folder = Path(tempfile.gettempdir()) / f"birddog-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
            raise UsageError(f"{folder} must belong to you alone (mode 0700)")
        digest = hashlib.blake2b(os.fsencode(self.base.resolve()), digest_size=12).hexdigest()
        return folder / f"{digest}.sock"
