"""What seals the entries of cases, opens them, and commits to all: a journal's keyring, its ciphers and salts at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from birddog.journal.beside import Home
from birddog.journal.store import Stored
from birddog.keyring import Keyring, KeyringError, KeysClosed
from birddog.passersby import holder_of
from birddog.record import Salter, fields_of, statement_of
from birddog.sealer import Sealer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: The purposes of the journal's own keys: of the log's signature, and of the salts where no operation's key gives them.
LOG_PURPOSE, SALTS_PURPOSE = "log", "salts"
_SALTS, _SIGNS = "salts", "ed25519"
#: Stands in the place of a key's name where an erased entry had none: it was older than the log.
ERASED_KEY = "erased"


def erased_ident(seq: int) -> bytes:
    """What stands in the place of an erased entry's identity."""
    return b"erased" + seq.to_bytes(8, "big")


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a row holds beside what its draft says."""

    body: bytes
    key_id: str | None
    leaf: bytes | None


def aad_of(seq: int) -> bytes:
    """What an entry's body is bound to: its number."""
    return b"entry %d" % seq


class Keys:
    """What reads the bodies, and commits to them: the keyring, and of each key the cipher and the salts.

    Args:
        make: whether keys are made (the writer) or only read.
    """

    def __init__(self, home: Home, *, make: bool, master: str = ""):
        self._home, self._make, self._master = home, make, master
        self._ring: Keyring | None = None
        self._salters: dict[str, Salter] = {}
        self._sealers: dict[str, Sealer] = {}
        self._own = ""

    @property
    def ring(self) -> Keyring:
        """The keyring, opened when it is first asked for."""
        if self._ring is None:
            self._ring = Keyring(self._home, master=self._master, make=self._make)
        return self._ring

    def sealer(self, operation: str) -> Sealer:
        """What seals an operation's bodies."""
        found = self._sealers.get(operation)
        if found is None:
            found = self._sealers[operation] = self.ring.sealer(operation)
        return found

    def salter(self, key_id: str | None) -> Salter:
        """The salts of entries under a key, ``None`` the journal's own.

        Raises:
            KeyDestroyed: they are gone.
        """
        found = self._salters.get(key_id or "")
        if found is None:
            name = key_id or self.own
            found = self._salters[key_id or ""] = Salter(self.ring.derived(name, _SALTS))
        return found

    @property
    def own(self) -> str:
        """The name of the journal's own key, whose salts hide what no operation's key does."""
        if not self._own:
            self._own = self.ring.key_id("", purpose=SALTS_PURPOSE)
        return self._own

    def opened(self, seq: int, operation: str, key_id: str, body: bytes) -> bytes:
        """The body of an entry that is sealed.

        Raises:
            KeyringError: it cannot be read: no key, another one, or changed bytes.
            KeysClosed: no entry can.
        """
        return self.ring.open(holder_of(operation, key_id), body, aad_of(seq))

    def statement(self, row: Stored) -> bytes:
        """What the leaf of a row shall be the hash of, made of its columns; of an erased one what it kept.

        Raises:
            KeyringError: the body is sealed, and cannot be read.
        """
        if row.erased:
            return row.body
        clear = row.body if row.key_id is None else self.opened(row.seq, row.operation, row.key_id, row.body)
        fields = fields_of(clear, row.ident, row.source, row.actor)
        salter = self.salter(row.key_id)
        return statement_of(row.seq, row.kind, row.received_ns, row.operation, row.key_id or "", fields, salter)

    def forget(self, operation: str) -> None:
        """Destroy the keys of an operation, and what was made of them."""
        self.ring.destroy(operation)
        self._forgotten()

    def destroy(self, names: Sequence[str]) -> None:
        """Destroy keys by their names, and what was made of them; none of the journal's own, nothing where they are gone."""
        if self.ring.destroy_named(names):
            self._forgotten()

    def there(self) -> frozenset[str]:
        """The names of the operations' keys that are there."""
        return frozenset(self.ring.there())

    def _forgotten(self) -> None:
        for name in [name for name in self._salters if self.ring.destroyed(name)]:
            del self._salters[name]
        for holder in [holder for holder, sealer in self._sealers.items() if self.ring.destroyed(sealer.name)]:
            del self._sealers[holder]

    def signing_key(self, public: bytes | None = None) -> Ed25519PrivateKey:
        """The private key of the log.

        Args:
            public: the public half of the one that is asked for; None: the newest.

        Raises:
            KeyringError: its private half is not there.
        """
        ring = self.ring
        if public is None:
            return self._private(ring.key_id("", purpose=LOG_PURPOSE))
        return self._private(self._log_key(public))

    def _private(self, name: str) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.ring.derived(name, _SIGNS))

    def _log_key(self, public: bytes) -> str:
        for name in reversed(self.ring.names("", purpose=LOG_PURPOSE)):
            if self._private(name).public_key().public_bytes_raw() == public:
                return name
        raise KeyringError(f"{self._home.keys} does not hold the private half of the log's key")

    def next_signing_key(self) -> Ed25519PrivateKey:
        """A new private key of the log, which signs nothing until an entry names it (``birddog.rotation``)."""
        return self._private(self.ring.another("", purpose=LOG_PURPOSE))

    def retire_signing_key(self, public: bytes) -> None:
        """Destroy a private key of the log that another has taken the place of; nothing where it is gone already."""
        try:
            name = self._log_key(public)
        except KeysClosed:
            raise
        except KeyringError:
            return
        self.ring.retire(name)


