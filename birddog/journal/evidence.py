"""The evidence log of a journal: a leaf in each entry's row, tiles and signed checkpoints in ``PATH.log``.

The writer commits row and leaf in one transaction (``Evidence.rows``) and signs a checkpoint over what was committed at
most a second later (``checkpoint``).  A crash leaves committed entries that no checkpoint covers yet: the next one does.

The files: ``birddog.journal.log_files``.  Bodies of an operation's entries stand encrypted under its key
(``birddog.keyring``); those of ``open`` and of none in clear, unless they are kept for a period (``Draft.period``).

What is checked when the writer opens the journal: the checkpoint's signature, that its root is that of the tiles, that the
journal holds so many entries, and that the last of them are those of the tiles: a journal that was cut, put back or forked
since is refused and named.  ``birddog.journal.verify`` re-hashes all of it.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from birddog.directory import OPEN
from birddog.errors import JournalDisagrees, JournalError, JournalFull, JournalTrouble
from birddog.journal.beside import Home
from birddog.journal.given_up import aside
from birddog.journal.keys import Keys, Row, aad_of
from birddog.journal.log_files import Known, LogFiles, PublicKey, checked
from birddog.keyfile import put_whole
from birddog.keyring import KeyringError, KeysClosed, KeysDamaged
from birddog.leaves import Key, leaves_of
from birddog.master import NONCE_BYTES
from birddog.merkle import VerificationError
from birddog.model import Draft
from birddog.note import Checkpoint, Signer, Verifier, signed
from birddog.rotation import rotation_of
from birddog.sealer import Sealer
from birddog.tiles import WIDTH, GrowingTiles, tile_path

log = logging.getLogger(__name__)

_HASH = 32
#: What stands in clear.
_CLEAR = frozenset(("", OPEN))


class _Point(NamedTuple):
    """A checkpoint, and the tiles that go with it."""

    size: int
    root: bytes
    full: dict[tuple[int, int], list[bytes]]
    partial: list[tuple[int, int, list[bytes]]]


class Evidence:
    """The writer's side of the log.

    Args:
        home: where the journal lies.
        master: see ``Keyring``.

    Raises (also every method):
        JournalError: the log's files cannot be read or written, or the keys (``KeysClosed``: none of them).
    """

    def __init__(self, home: Home, *, master: str = ""):
        self.keys = Keys(home, make=True, master=master)
        self.files = LogFiles(home.log)
        self._home = home
        self.known = self.files.known()
        self._had_keys = home.keys.exists()
        if self.known is not None and not self._had_keys:
            raise KeysDamaged(f"{home.keys} is not there, the keys of {home.base}", "put it back")
        self.tiles = GrowingTiles()
        self._signed = 0  # entries that the newest checkpoint covers
        self._waits = False  # something was committed since
        self._signer: Signer | None = None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._going_on: tuple[_Point, Future[None]] | None = None  # the checkpoint that is being written
        self._partials: dict[int, str] = {}  # of a level, once it is known: the partial tile that is there, "" for none

    @property
    def signed(self) -> int:
        """How many entries the newest checkpoint covers."""
        return self._signed

    # --- opening -----------------------------------------------------------------------------------

    def agree(self, journal: str, last: int, leaves: Callable[[int, int], list[bytes]]) -> None:
        """Hold the journal against its checkpoint and go on from it.

        Args:
            last: the journal's newest entry.
            leaves: those of the entries behind a number, up to another.

        Raises:
            JournalDisagrees: it does not hold what was signed.
        """
        if self.known is None:
            if last and leaves(last - 1, last):
                if self._had_keys:
                    raise JournalDisagrees(f"{journal} has an evidence log, and {self.files.folder} is not there")
                log.warning("%s is a copy without its evidence log: another log begins", journal)
            return
        begins = self.known.begins
        try:
            point = self.files.checkpoint(self.known)
        except VerificationError as error:
            raise JournalDisagrees(f"{self.files.folder / 'checkpoint'}: {error}") from error
        if point is None:
            raise JournalDisagrees(f"{self.files.folder / 'checkpoint'} is not there, which says what of {journal} was signed")
        try:
            self._signer = Signer(self.known.origin, self.keys.signing_key(Verifier.of(self.known.keys[-1].verifier).public))
        except KeysClosed:
            raise  # nothing is known to be lost
        except (KeyringError, VerificationError) as error:
            raise JournalDisagrees(f"{error}: an older copy of it was put back, or it was lost") from error
        size = point.size
        if last - begins + 1 < size:
            raise JournalDisagrees(f"{journal} ends at entry {last}, and its log was signed up to entry {begins + size - 1}: "
                                   "it was cut, or an older copy was put in its place")
        full = (size - 1) // WIDTH * WIDTH if size else 0
        try:
            if size and self.files.tree(size).root() != point.root:
                raise VerificationError("the tiles are not those of the root that was signed")
            tiles = self._stood(full)
        except VerificationError as error:
            log.warning("%s: %s; they are made again from the journal", self.files.folder, error)
            full, tiles = 0, GrowingTiles()
        held = leaves(begins + full - 1, last)
        tiles.append(held[: size - full])
        if tiles.root() != point.root:
            raise JournalDisagrees(f"{journal} is not the journal whose log was signed up to entry {begins + size - 1}: its "
                                   f"entries from {begins + full} on are others (it was changed, or put back and gone on with)")
        tiles.append(held[size - full :])
        self._witnessed(journal, size)
        self.tiles, self._signed = tiles, size
        if tiles.size > size or tiles.full:
            self._waits = True

    def _witnessed(self, journal: str, size: int) -> None:
        """Hold the log against the checkpoints that others kept: whoever has the journal's keys cannot sign those away."""
        known, folder = self.known, self._home.witness
        assert known is not None
        for path in [*(sorted(folder.iterdir()) if folder.is_dir() else ()), *self._stamped(known)]:
            try:
                seen = checked(path.read_bytes(), known)
                if seen.size > size:
                    raise VerificationError(f"it has {seen.size} entries, and the log {size}: it was cut, or is an older copy")
                if seen.size and self.files.tree(seen.size).root() != seen.root:
                    raise VerificationError(f"its first {seen.size} entries are others: the log was forked or written anew")
            except OSError as error:
                raise JournalTrouble(f"{path}: {error.strerror}") from error
            except VerificationError as error:
                raise JournalDisagrees(f"{journal} is not what {path} has seen: {error}") from error

    def _stamped(self, known: Known) -> list[Path]:
        """The note of the greatest checkpoint of this log that an authority stamped, where one is there: all others are its
        beginnings, or it contradicts them itself."""
        found = [path for path in self._home.stamps.glob("*.note") if path.stem.isascii() and path.stem.isdigit()]
        for path in sorted(found, key=lambda path: int(path.stem), reverse=True):
            try:
                checked(path.read_bytes(), known)
            except VerificationError:
                continue  # of another log, or none
            except OSError as error:
                raise JournalTrouble(f"{path}: {error.strerror}") from error
            return [path]
        return []

    def _stood(self, full: int) -> GrowingTiles:
        """The tree of full tiles of entries, with what stands in the tiles above."""
        tiles = GrowingTiles()
        tiles.size = full
        level, count = 1, full // WIDTH
        while count:
            width = count % WIDTH
            raw = self.files.tile(level, count // WIDTH, width) if width else b""
            tiles.levels.append([raw[n : n + _HASH] for n in range(0, len(raw), _HASH)])
            level, count = level + 1, count // WIDTH
        return tiles

    def lost(self, last: int, leaves: Callable[[int, int], list[bytes]]) -> str:
        """What was signed is not what is there, and somebody accepted that: another log goes on, this one is put aside.

        Returns:
            Which log it was and where it is kept, in words.
        """
        self.keys.signing_key()  # before anything is put aside: where no key can be opened (a wrong PIN) nothing is lost
        folder, begins = self.files.folder, 1 if self.known is None else self.known.begins
        mark, words = os.urandom(4).hex(), ""
        if self.known is not None and folder.exists():
            words = f"the log {self.known.origin} is kept as {aside(folder, mark)}"
        for one in (folder, self._home.witness, self._home.stamps):
            if one.exists():
                os.rename(one, aside(one, mark))
        self.known, self.tiles, self._signer = None, GrowingTiles(), None
        held = leaves(begins - 1, last)
        self.begin(last - len(held) + 1)
        self.tiles.append(held)
        self._waits = bool(held)
        return words

    # --- writing -----------------------------------------------------------------------------------

    def begin(self, seq: int) -> None:
        """The log begins at an entry that is about to be written."""
        if self.known is None:
            origin = f"birddog/{os.urandom(8).hex()}"
            self._signer = signer = Signer(origin, self.keys.signing_key())
            self.known = Known(origin, seq, (PublicKey(signer.verifier.text()),))
            self._sign(0, GrowingTiles().root())  # before its name: a log without a checkpoint had it taken away
            self._put("keys.json", msgspec.json.format(msgspec.json.encode(self.known)), sync=True)

    def rows(self, numbers: Sequence[int], drafts: Sequence[Draft]) -> list[Row]:
        """What the rows of drafts hold: bodies as they are stored, and leaves."""
        keys = self.keys
        own = Key("", keys.salter(None))
        if all(d.operation in _CLEAR and not d.period for d in drafts):
            leaves = leaves_of(numbers, drafts, [own] * len(drafts))
            return [Row(d.body, None, leaf) for d, leaf in zip(drafts, leaves, strict=True)]
        under, stored, sealers = list[Key](), list[tuple[bytes, str | None]](), dict[str, tuple[Sealer, Key]]()
        nonces = os.urandom(NONCE_BYTES * len(drafts))
        for n, (seq, d) in enumerate(zip(numbers, drafts, strict=True)):
            of = d.period or d.operation
            if of in _CLEAR:
                under.append(own)
                stored.append((d.body, None))
                continue
            if of not in sealers:
                sealer = keys.sealer(of)
                sealers[of] = sealer, Key(sealer.name, keys.salter(sealer.name))
            sealer, key = sealers[of]
            under.append(key)
            stored.append((sealer(d.body, aad_of(seq), nonces[NONCE_BYTES * n : NONCE_BYTES * (n + 1)]), sealer.name))
        return [Row(*held, leaf) for held, leaf in zip(stored, leaves_of(numbers, drafts, under), strict=True)]

    def take(self, rows: Sequence[Row]) -> None:
        """These were committed."""
        self.tiles.append([row.leaf for row in rows if row.leaf is not None])
        self._waits = True

    def checkpoint(self, *, wait: bool = True) -> bool:
        """Sign what was committed since the last one; whether anything was.

        Args:
            wait: until its files are written.  Otherwise they are written meanwhile, on a thread: the next call says whether
                that went well, and one that comes too early does nothing.

        Raises:
            JournalError: the log's files cannot be written.
        """
        ended = self._end(wait)
        if not self._waits or self._going_on is not None:
            return ended
        assert self.known is not None
        tiles, self._waits = self.tiles, False
        partial = [(level, number, list(row)) for level, number, row in tiles.partial()]
        point, tiles.full = _Point(tiles.size, tiles.root(), tiles.full, partial), {}
        self._going_on = point, self._thread.submit(self._write, point)
        return wait and self._end(True) or ended

    def _end(self, wait: bool) -> bool:
        """Take the end of the checkpoint that is being written; whether there was one."""
        if self._going_on is None or not (wait or self._going_on[1].done()):
            return False
        (point, written), self._going_on = self._going_on, None
        try:
            written.result()
        except JournalError:
            self.tiles.full, self._waits = {**point.full, **self.tiles.full}, True
            raise
        self._signed = point.size
        return True

    def _write(self, point: _Point) -> None:
        for (level, number), row in point.full.items():
            self._put(tile_path(level, number), b"".join(row))
            if self._partials.get(level, "?"):  # of this one, or of a tile that an earlier process left
                shutil.rmtree(self.files.folder / f"{tile_path(level, number)}.p", ignore_errors=True)
                self._partials[level] = ""
        for level, number, row in point.partial:
            name = tile_path(level, number, len(row))
            if self._partials.get(level) != name:
                self._put(name, b"".join(row))
                self._alone(self.files.folder / name)
                self._partials[level] = name
        self._sign(point.size, point.root)

    def close(self) -> None:
        """Wait for what is being written; nothing more is signed."""
        self._thread.shutdown()

    def _sign(self, size: int, root: bytes) -> None:
        assert self.known is not None
        if self._signer is None:
            public = Verifier.of(self.known.keys[-1].verifier).public
            self._signer = Signer(self.known.origin, self.keys.signing_key(public))
        text = Checkpoint(self.known.origin, size, root).text()
        self._put("checkpoint", signed(text, [self._signer.line(text)]).encode(), sync=True)

    def turn(self, seq: int, note: str) -> bool:
        """An entry that was committed holds a note of a new key: where it goes on from ours, checkpoints that cover it are the
        new key's, and the old one is destroyed.  Whether it was taken.

        Called again for an entry that was taken (after a kill), it does nothing; one that does not hold stands and counts for
        nothing.
        """
        self._end(True)  # by the old key
        known = self.known
        assert known is not None
        try:
            rotation = rotation_of(note)
            new = self.keys.signing_key(rotation.new.public)
        except KeysClosed:
            raise  # it is taken when they can be opened
        except (VerificationError, KeyringError) as error:
            log.error("entry %d names a key that is not taken: %s", seq, error)
            return False
        if rotation.origin != known.origin or rotation.old.text() != known.keys[-1].verifier:
            if rotation.new.text() == known.keys[-1].verifier:  # taken, and the disk was full before the old one was destroyed
                self.checkpoint()
                self.retire_old_keys()
            return False
        row = PublicKey(rotation.new.text(), seq - known.begins + 1, note)
        now = msgspec.structs.replace(known, keys=(*known.keys, row))
        self._put("keys.json", msgspec.json.format(msgspec.json.encode(now)), sync=True)
        self.known = now
        self._signer = Signer(known.origin, new)
        self._waits = True
        self.checkpoint()
        self.retire_old_keys()
        return True

    def retire_old_keys(self) -> None:
        """Destroy the private halves of keys that sign nothing any more: with them an older history could be signed."""
        for key in self.known.keys[:-1] if self.known is not None else ():
            self.keys.retire_signing_key(Verifier.of(key.verifier).public)

    def _alone(self, path: Path) -> None:
        """Of a tile's partial ones only the newest stays: the others are its beginnings."""
        for other in path.parent.iterdir():
            if other != path:
                other.unlink(missing_ok=True)

    def _put(self, name: str, data: bytes, *, sync: bool = False) -> None:
        path, made = self.files.folder / name, self.files.folder / ".new"
        try:
            try:
                put_whole(path, data, made=made, sync=sync)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                put_whole(path, data, made=made, sync=sync)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise JournalFull(f"{path}: the disk is full") from error
            raise JournalTrouble(f"{path}: {error.strerror}") from error

