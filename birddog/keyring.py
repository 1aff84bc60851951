"""Keys by operation: what is sealed under one can be read as long as its key is there, and never again after ``destroy``.

A data key is 32 random bytes of AES-256-GCM (NIST SP 800-38D) and lies in ``PATH.keys`` beside the journal, wrapped by the
master key (AES-256-GCM too, its name as associated data).  The master key is a file of mode 0600; where it lies is written
in ``PATH.keys`` when that is made, so that whoever reads the journal finds it.

A key's name is ``OPERATION/NUMBER`` or ``OPERATION/PURPOSE/NUMBER``, numbers from 1; the operation "" is the journal's own.
Names are never used again: after ``destroy`` a new key of the operation has the next number.  How sealed bytes look:
``birddog.sealer``.

What ``destroy`` cannot reach: a copy of both ``PATH.keys`` and the master key that somebody took before.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hmac
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from birddog.hsm import SCHEME, TokenMaster
from birddog.journal.beside import Home
from birddog.key_rows import FORM, KeyFile, KeyRow, key_name
from birddog.keyfile import KEY_BYTES, sync_folder
from birddog.master import NONCE_BYTES, FileMaster, KeyDestroyed, KeyringError, KeysClosed, KeysDamaged, Master, SealBroken
from birddog.sealer import Sealer, number_of, unsealed

if TYPE_CHECKING:  # imported late
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KeyDestroyed", "Keyring", "KeyringError", "KeysClosed", "KeysDamaged", "SealBroken", "key_name"]

_MOST_NUMBER = 0xFFFF


class Keyring:
    """The keys of one journal.

    Args:
        journal: where it lies.
        master: where the master key is kept, where the keys are made now: "" beside the journal, or a file's path.
        make: whether keys are made where there are none (a reader makes none).

    Raises (also every method):
        KeysClosed: the keys cannot be opened, or ``master`` names another place than that which they were made with.
    """

    def __init__(self, journal: Home, *, master: str = "", make: bool = True):
        self._path, self._make = journal.keys, make
        self._asked, self._journal = master, journal
        self._master: Master | None = None
        self._rows: dict[str, KeyRow] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._aes: dict[str, AESGCM] = {}
        self._derived: dict[tuple[str, str], bytes] = {}
        self._where = master
        self._stood: tuple[int, int, int] | None = None
        self._read()
        if master and self._stood is not None and self._where != master:
            where = self._where or "beside the journal"
            raise KeysClosed(f"{self._path} was made with the master key {where}, not {master}",
                             "correct [journal] master_key, or put back the keys that belong to it")

    # --- sealing ---------------------------------------------------------------------------------

    def seal(self, operation: str, plaintext: bytes, aad: bytes = b"", *, purpose: str = "") -> bytes:
        """Encrypt under the present key of an operation, which is made where there is none.

        Args:
            aad: what is not hidden and must be the same to open it: where it stands.
            purpose: "" is the records' own key; others (``sealed``) are kept apart, and destroyed together.
        """
        return self.sealer(operation, purpose)(plaintext, aad, os.urandom(NONCE_BYTES))

    def sealer(self, operation: str, purpose: str = "") -> Sealer:
        """``seal`` of one operation's present key, for many."""
        if self._stand() != self._stood:  # another process made or destroyed keys
            self._read()
        number = self._newest.get((operation, purpose)) or self._made(operation, purpose)
        name = key_name(operation, purpose, number)
        return Sealer(self._cipher(name), name, number)

    def open(self, operation: str, sealed: bytes, aad: bytes = b"", *, purpose: str = "") -> bytes:
        """Decrypt what ``seal`` of the same operation, purpose and ``aad`` gave.

        Raises:
            KeyDestroyed: its key was destroyed.
            SealBroken: it was changed, or belongs to another place.
        """
        if self._stand() != self._stood:  # another process destroyed keys, perhaps
            self._read()
        name = key_name(operation, purpose, number_of(sealed))
        return unsealed(self._cipher(name), name, sealed, aad)

    def derived(self, name: str, label: str) -> bytes:
        """A secret of 32 bytes that goes with a key and is gone with it (HMAC-SHA-256 of the label).

        Raises:
            KeyDestroyed: it is gone.
        """
        found = self._derived.get((name, label))
        if found is None:
            found = self._derived[name, label] = hmac.digest(self._unwrapped(name), label.encode(), "sha256")
        return found

    def key_id(self, operation: str, *, purpose: str = "") -> str:
        """The name of the present key of an operation, which is made where there is none."""
        return key_name(operation, purpose, self._newest.get((operation, purpose)) or self._made(operation, purpose))

    def another(self, operation: str, *, purpose: str = "") -> str:
        """The name of a new key of an operation, made beside those that there are."""
        return key_name(operation, purpose, self._made(operation, purpose, another=True))

    def names(self, operation: str, *, purpose: str = "") -> list[str]:
        """The names of the keys that an operation has for a purpose, the oldest first."""
        if self._stand() != self._stood:  # another process made or destroyed keys
            self._read()
        rows = self._rows.values()
        return [row.name for row in rows if (row.operation, row.purpose) == (operation, purpose) and row.wrapped]

    def has(self, operation: str) -> bool:
        """Whether an operation has, or had, a key."""
        return any(row.operation == operation for row in self._rows.values())

    def destroyed(self, name: str) -> bool:
        """Whether a key of this name was there and was destroyed."""
        row = self._row(name)
        return row is not None and not row.wrapped

    def look(self, *, wanted: bool = False) -> None:
        """Open a key, to see whether any can be opened.

        Args:
            wanted: there must be some; otherwise all is well where none were made yet.

        Raises:
            KeysClosed: none can.
        """
        if self._stand() != self._stood:
            self._read()
        name = next((row.name for row in self._rows.values() if row.wrapped), "")
        try:
            if name or wanted:
                self._unwrapped(name)
        except KeysClosed:
            raise
        except KeyringError:
            return  # this one was changed, others are not

    def faults(self) -> list[str]:
        """What is wrong with the file, every key of it opened: changed bytes that no entry would ask for today."""
        try:
            raw = self._path.read_bytes()
            held = msgspec.json.decode(raw, type=KeyFile)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            return [f"cannot be read: {error}"]
        self.look()
        said = [] if held.written() == raw else ["is not written as it was: it was changed"]
        for row in held.keys:
            try:
                if row.wrapped:
                    self._unwrapped(row.name)
            except KeyringError as error:
                said.append(f"the key {row.name!r} cannot be opened: {error}")
        return said

    def destroy(self, operation: str) -> int:
        """Destroy every key of an operation, whatever its purpose; how many there were.

        On disk when it returns: what stood in the file before is overwritten.
        """
        if not operation:
            raise KeyringError("the journal's own keys are not an operation's: nothing was destroyed")
        gone = self._destroyed(lambda row: row.operation == operation)
        for pair in [pair for pair in self._newest if pair[0] == operation]:
            del self._newest[pair]
        return gone

    def destroy_named(self, names: Iterable[str]) -> int:
        """Destroy keys of operations by their names; how many of them were there.  On disk when it returns."""
        wanted = frozenset(names)
        if not wanted.intersection(self.there()):
            return 0
        gone = self._destroyed(lambda row: row.name in wanted and row.operation != "")
        self._read()  # which are the newest
        return gone

    def listed(self) -> list[tuple[str, str, bool]]:
        """The keys of operations, in the order in which they were made: whose, its name, and whether it is still there."""
        if self._stand() != self._stood:  # another process made or destroyed keys
            self._read()
        return [(row.operation, row.name, bool(row.wrapped)) for row in self._rows.values() if row.operation]

    def there(self, operation: str = "") -> list[str]:
        """The names of the keys that operations, or one, still have, whatever their purpose."""
        return [name for whose, name, there in self.listed() if there and operation in ("", whose)]

    def retire(self, name: str) -> None:
        """Destroy one key that a newer one of its purpose has taken the place of; on disk when it returns.

        Raises:
            KeyringError: it is the newest of its purpose.
        """
        if name in {key_name(operation, purpose, number) for (operation, purpose), number in self._newest.items()}:
            raise KeyringError(f"the key {name!r} is the newest of its purpose: nothing was destroyed")
        self._destroyed(lambda row: row.name == name)

    def _destroyed(self, which: Callable[[KeyRow], bool]) -> int:
        with self._locked():
            gone = [row for row in self._rows.values() if row.wrapped and which(row)]
            for row in gone:
                row.wrapped = ""
            if gone:
                self._write()
        for row in gone:
            self._aes.pop(row.name, None)
            for key in [key for key in self._derived if key[0] == row.name]:
                del self._derived[key]
        return len(gone)

    # --- the file ----------------------------------------------------------------------------------

    def _cipher(self, name: str) -> AESGCM:
        found = self._aes.get(name)
        if found is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            found = self._aes[name] = AESGCM(self._unwrapped(name))
        return found

    def _unwrapped(self, name: str) -> bytes:
        row = self._row(name)
        if row is None:
            if self._stood is None:
                raise KeysDamaged(f"{self._path} is not there", "put it back")
            raise KeyringError(f"{self._path} has no key {name!r}")
        if not row.wrapped:
            raise KeyDestroyed(f"the key {name!r} was destroyed")
        try:
            return self._unlocked(row)
        except KeysClosed:
            self._master = None  # a token that was pulled and put back is asked anew
            raise
        except KeyringError as error:
            if self._opens_another(row):
                raise KeyringError(f"{self._path} is damaged: the key {name!r} was changed") from error
            raise KeysClosed(str(error), f"put back what {self._path} was made with") from error

    def _unlocked(self, row: KeyRow) -> bytes:
        try:
            wrapped = base64.b64decode(row.wrapped, validate=True)
        except (binascii.Error, ValueError):
            raise KeyringError(f"the key {row.name!r} in {self._path} was changed") from None
        return self._masters().unwrap(wrapped, row.name.encode())

    def _opens_another(self, but: KeyRow) -> bool:
        """Whether the master key opens any other key: then it is the right one, and what it did not open was changed."""
        for row in self._rows.values():
            if row.wrapped and row is not but:
                try:
                    self._unlocked(row)
                except KeysClosed:
                    raise
                except KeyringError:
                    continue
                return True
        return False

    def _row(self, name: str) -> KeyRow | None:
        row = self._rows.get(name)
        if row is None and self._stand() != self._stood:  # made since by the writer
            self._read()
            row = self._rows.get(name)
        return row

    def _masters(self) -> Master:
        if self._master is None:
            # where keys are there already, a master key that is missing is never made anew: it would read none of them
            make = self._make and not self._rows
            if self._where.startswith(SCHEME):
                self._master = TokenMaster(self._where, make=make)
            else:
                self._master = FileMaster(Path(self._where) if self._where else self._journal.master_key, make=make)
        return self._master

    def _made(self, operation: str, purpose: str, *, another: bool = False) -> int:
        if not self._make:
            if self._stood is None:
                raise KeysDamaged(f"{self._path} is not there", "put it back")
            raise KeyringError(f"there is no key of {operation!r} in {self._path}")
        if "/" in purpose:
            raise ValueError(f"{purpose!r} is no purpose")
        with self._locked():
            number = max((row.number for row in self._rows.values()
                          if (row.operation, row.purpose) == (operation, purpose)), default=0)
            held = self._rows.get(key_name(operation, purpose, number))
            if another or held is None or not held.wrapped:  # nobody else made one meanwhile
                number += 1
                if number > _MOST_NUMBER:
                    raise KeyringError(f"{operation!r} has had {_MOST_NUMBER} keys")
                row = KeyRow(operation, number, purpose)
                row.wrapped = base64.b64encode(self._masters().wrap(os.urandom(KEY_BYTES), row.name.encode())).decode()
                self._rows[row.name] = row
                self._write()
            self._newest[operation, purpose] = number
        return number

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file, and with what stands in it now."""
        path = f"{self._path}.lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeyringError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._stand() != self._stood:
                self._read()
            yield
        finally:
            os.close(lock)

    def _stand(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeysClosed(f"{self._path}: {error.strerror}", "give it to the user that runs birddog") from error
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _read(self) -> None:
        stood = self._stand()
        if stood is None:
            if self._rows:  # names are never used again: none is made in the place of those that were there
                raise KeysDamaged(f"{self._path} was taken away", "put it back")
            self._newest, self._stood = {}, None
            return
        try:
            held = msgspec.json.decode(self._path.read_bytes(), type=KeyFile)
        except OSError as error:
            raise KeysClosed(f"{self._path}: {error.strerror}", "give it to the user that runs birddog") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeysDamaged(f"{self._path} is damaged: {error}", "put back a copy of it") from error
        if held.form != FORM:
            raise KeysDamaged(f"{self._path} is of form {held.form}; this program reads form {FORM}",
                              "put back a copy of it, or take the program that wrote it")
        self._where, self._stood = held.master, stood
        self._rows = {row.name: row for row in held.keys}
        self._newest = {}
        for row in held.keys:  # numbers go up
            if row.wrapped:
                self._newest[row.operation, row.purpose] = row.number
            else:
                self._newest.pop((row.operation, row.purpose), None)
                self._aes.pop(row.name, None)

    def _write(self) -> None:
        data = KeyFile(FORM, self._where, list(self._rows.values())).written()
        made = self._path.with_name(f"{self._path.name}.new")
        try:
            made.unlink(missing_ok=True)
            self._put(made, os.O_CREAT | os.O_EXCL, data)
            before = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC) if self._stood is not None else None
            os.rename(made, self._path)
            sync_folder(self._path.parent)
            if before is not None:  # what a destroyed key was wrapped as shall not lie in free blocks
                try:
                    os.pwrite(before, b"\0" * os.fstat(before).st_size, 0)
                    os.fsync(before)
                finally:
                    os.close(before)
        except OSError as error:
            raise KeyringError(f"{self._path}: {error.strerror}") from error
        self._stood = self._stand()

    @staticmethod
    def _put(path: Path, flags: int, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
