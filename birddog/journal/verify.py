"""Every entry of a journal hashed again and held against its log: what was changed since is named by entry and column.

What is found: a changed byte in any column of an entry that the log covers, a missing or exchanged entry, a leaf that is not
the signed one, a checkpoint that does not hold or is gone, an entry that was emptied or has lost its key though nothing says
that its operation was erased.  A changed byte is looked for: the one column is named of which a single byte, put otherwise,
gives the leaf again; where several were changed, it is said that it is one of several.

What is not: entries older than the log (said), those committed within the last second (said), and what whoever holds the
journal *and* its keys rewrote whole: for that a witness's checkpoint is given (``witnessed``).

Over 400 lines: one pass over the entries, and the search for the byte that was changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path

import msgspec

from birddog.errors import BirddogError, JournalError
from birddog.journal.beside import Home
from birddog.journal.given_up import Former, Losses, former
from birddog.journal.head import damaged
from birddog.journal.keys import ERASED_KEY, Keys, erased_ident
from birddog.journal.log_files import Known, LogFiles, checked
from birddog.journal.log_keys import LogKeys
from birddog.journal.store import Reader, Stored
from birddog.keyring import KeyDestroyed, KeyringError, KeysClosed, KeysDamaged, SealBroken
from birddog.leaves import MANY, Key, leaves_of, load
from birddog.merkle import VerificationError
from birddog.model import Erasure
from birddog.note import Checkpoint, Verifier, opened
from birddog.passersby import holder_of, is_period
from birddog.record import stated
from birddog.tiles import WIDTH, GrowingTiles, tile_path

#: Bytes that are put otherwise to find the one that was changed; longer columns are named by being what is left.
_LOOKED_AT = 4096
#: The same of so many entries in a row is said once.
_IN_A_ROW = 5
_NUMBERED = re.compile(r" after entry \d+(?=:)")
#: Of so many entries the changed column is looked for; it costs a second each.
_LOOKED_FOR = 20
_TEXTS = ("kind", "operation", "source", "actor", "key_id")


class Finding(msgspec.Struct, frozen=True):
    """What is wrong: ``seq`` 0 where it is about no single entry, ``column`` "" where about none.

    ``last``: the same of every entry from ``seq`` to that one; 0 where it is about one.
    """

    seq: int
    column: str
    words: str
    last: int = 0

    def line(self) -> str:
        """For a person."""
        which = f"entries {self.seq} to {self.last}" if self.last else f"entry {self.seq}"
        where = which + (f", column {self.column}" if self.column else "") + ": " if self.seq else ""
        return where + self.words


class Verified(msgspec.Struct):
    """What was looked at, and what was found."""

    entries: int = 0
    before: int = 0  # older than the log
    unsigned: int = 0  # behind the newest checkpoint
    erased: int = 0
    under_way: int = 0  # erased by an entry, and to be emptied by the writer
    keys_under_way: int = 0  # of periods all of whose entries are empty, and to be destroyed by the writer
    origin: str = ""
    size: int = 0
    root: str = ""
    keys: list[str] = []
    #: Of checkpoints of logs that were given up, where nothing of what they signed was lost; and what was accepted to be lost.
    given_up: list[str] = []
    losses: list[str] = []
    findings: list[Finding] = []


def verify(journal: Reader, home: Home, *, witnessed: Sequence[tuple[str, bytes, Sequence[Verifier]]] = (),
           trusted: Verifier | None = None) -> Verified:
    """Hash every entry of a journal again.

    Args:
        trusted: a key of the log that was handed over: the log is signed by it, or by one that it named.
        witnessed: checkpoints from elsewhere: (where from, the note, keys of who signed it; () = the log's own).

    Raises:
        KeysClosed: the master key cannot be had, without which nothing can be hashed.
        JournalError: the journal cannot be read at all.
    """
    out, files, keys = Verified(findings=[]), LogFiles(home.log), Keys(home, make=False)
    known, point = files.known(), None
    if known is None:
        out.before = out.entries = journal.last_seq()
        if out.entries and any(row.leaf for row in journal.rows(out.entries - 1, 1)):
            out.findings.append(Finding(0, "", f"{files.folder} is not there, the log of this journal"))
        return out
    out.origin, out.keys = known.origin, [key.verifier for key in known.keys]
    try:
        keys.ring.look(wanted=True)
    except KeysDamaged as error:
        out.findings.append(Finding(0, "", f"{error}; no entry could be hashed"))
        return out
    try:
        point = files.checkpoint(known)
    except VerificationError as error:
        out.findings.append(Finding(0, "", f"{files.folder / 'checkpoint'}: {error}"))
    marks, formers = _marks(out, known, point, witnessed, home)
    named = LogKeys(known, trusted, lambda seq, words: out.findings.append(Finding(seq, "", words)))
    if point is None and not out.findings:
        out.findings.append(Finding(0, "", f"{files.folder / 'checkpoint'} is not there: it was taken away"))
    if journal.last_seq() > 10 * MANY:
        load()
    tree, bad, emptied, losses = GrowingTiles(), dict[int, Stored](), _Emptied(), Losses()
    before = 0
    for row, leaf in _hashed(_rows(journal, out), keys):
        out.entries += 1
        if row.seq != before + 1:
            out.findings.append(Finding(before + 1, "", f"is missing: entry {row.seq} follows {before}"))
        before = row.seq
        for one in formers:
            one.take(row.seq, row.leaf)
        if row.kind == "loss":
            losses.take(row)
        if row.seq < known.begins:
            out.before += 1
            continue
        if row.leaf is None or len(row.leaf) != 32:
            out.findings.append(Finding(row.seq, "leaf", "has no hash"))
            continue
        out.erased += row.erased
        if leaf is None:
            fault = _fault(row, keys, emptied)
        else:
            fault = None if leaf == row.leaf else Finding(row.seq, "?", "was changed")
        if fault is not None:
            bad[row.seq] = row
            out.findings.append(fault)
        elif row.erased:
            out.findings += _not_as_emptied(row)
            emptied.take(row, "is empty")
        elif row.key_id is not None and is_period(row.key_id):
            emptied.held[row.key_id] = emptied.held.get(row.key_id, 0) + 1
        elif row.kind == "erasure":
            emptied.erased(row)
        elif row.kind == "rotation":
            named.take(row)
        tree.append([row.leaf])
        _tiles(out, files, tree, point)
        if (mark := marks.pop(tree.size, None)) is not None:
            _hold(out, mark, tree, files, known)
    if known.begins > before + 1 and point is not None and point.size:
        out.findings.append(Finding(0, "", f"the journal ends at entry {before}, before its log begins ({known.begins})"))
    for size, mark in sorted(marks.items()):
        last = known.begins + size - 1
        for where, _ in mark:
            words = f"the journal ends at entry {before}, and {where} was signed up to entry {last}"
            out.findings.append(Finding(0, "", f"{words}: it was cut, or is an older copy"))
    for one in formers:
        here, words = one.end(losses)
        if here:
            out.given_up.append(words)
        else:
            out.findings.append(Finding(0, "", words))
    out.losses = [f"entry {seq}: a loss was accepted: {loss.text}" for seq, loss in losses.said]
    out.findings += emptied.findings()
    out.findings += _destroyed(emptied, keys, out)
    out.under_way = sum(count for key, count in emptied.held.items() if key in emptied.keys)
    try:
        out.findings += [Finding(seq, "", words) for seq, words in journal.faults()]
    except JournalError as error:  # what it is about was said above, as far as it can be read
        out.findings.append(Finding(0, "", str(error)))
    out.findings += _beside(home, keys)
    named.end(point.size if point is not None else 2**63)
    out.size, out.root = (point.size, point.root.hex()) if point is not None else (0, "")
    out.unsigned = max(0, tree.size - out.size)
    _name(out, bad, keys, files, known)
    out.findings = _together(out.findings)
    return out


def _together(findings: Iterable[Finding]) -> list[Finding]:
    """The same of many entries in a row is said once: a page that is gone, a key that is not there."""
    out: list[Finding] = []
    for _, same in groupby(enumerate(findings), lambda one: (one[1].seq - one[0] if one[1].seq else 0, one[1].column,
                                                             _plain(one[1]))):
        some = [finding for _, finding in same]
        if len(some) < _IN_A_ROW or not some[0].seq:
            out += some
        else:
            out.append(msgspec.structs.replace(some[0], words=_plain(some[0]), last=some[-1].seq))
    return out


def _plain(finding: Finding) -> str:
    """The words of a finding but for which entry could not be read: the finding says that itself."""
    return _NUMBERED.sub("", finding.words)


def _beside(home: Home, keys: Keys) -> Iterator[Finding]:
    """What is wrong with the bytes of the keys and of the head file, asked for by an entry or not."""
    try:
        yield from (Finding(0, "", f"{home.keys}: {words}") for words in keys.ring.faults())
        if words := damaged(home.head):
            yield Finding(0, "", f"{home.head}: {words}")
    except (KeyringError, JournalError) as error:
        yield Finding(0, "", str(error))


def _marks(out: Verified, known: Known, point: Checkpoint | None,
           witnessed: Sequence[tuple[str, bytes, Sequence[Verifier]]],
           home: Home) -> tuple[dict[int, list[tuple[str, Checkpoint]]], list[Former]]:
    """The checkpoints to be held against, by their size; and those of logs that were given up."""
    marks: dict[int, list[tuple[str, Checkpoint]]] = {}
    formers: list[Former] = []
    if point is not None and point.size:
        marks[point.size] = [("its log", point)]
    for where, note, verifiers in witnessed:
        try:
            if verifiers:
                seen = Checkpoint.of(opened(note, verifiers)[0])
                if seen.origin != known.origin:
                    raise VerificationError(f"it is of the log {seen.origin!r}, not of {known.origin!r}")
            else:
                seen = checked(note, known)
        except VerificationError as error:
            old = former(home, where, note, verifiers)
            if old is not None:
                formers.append(old)
            else:
                out.findings.append(Finding(0, "", f"{where}: {error}"))
            continue
        if seen.size:
            marks.setdefault(seen.size, []).append((where, seen))
    return marks, formers


def _hashed(rows: Iterator[list[Stored]], keys: Keys) -> Iterator[tuple[Stored, bytes | None]]:
    """Each row, and its leaf made again; None where it cannot be: ``_fault`` says why."""
    for some in rows:
        read, under, found = list[Stored](), list[Key](), list[int]()
        for n, row in enumerate(some):
            if row.erased or not all(_is_text(getattr(row, name)) for name in _TEXTS):
                continue
            try:
                clear = row.body if row.key_id is None else keys.opened(row.seq, row.operation, row.key_id, row.body)
                salter = keys.salter(row.key_id)
            except KeysClosed:
                raise
            except KeyringError:
                continue
            read.append(row if row.key_id is None else msgspec.structs.replace(row, body=clear))
            under.append(Key(row.key_id or "", salter))
            found.append(n)
        leaves: list[bytes | None] = [None] * len(some)
        for n, leaf in zip(found, leaves_of([row.seq for row in read], read, under), strict=True):
            leaves[n] = leaf
        yield from zip(some, leaves, strict=True)


def _rows(journal: Reader, out: Verified) -> Iterator[list[Stored]]:
    after, last = 0, journal.last_seq()
    while after < last:
        try:
            rows = journal.rows(after)
        except JournalError:
            rows = []
            for one in range(after, min(after + 1000, last)):  # one at a time, to name the one that cannot be read
                try:
                    rows += journal.rows(one, 1)[:1] if one >= after + len(rows) else []
                except JournalError as error:
                    out.findings.append(Finding(one + 1, "", f"cannot be read: {error}"))
                    break
            if not rows:
                after += 1
                continue
        if not rows:
            return
        yield rows
        after = rows[-1].seq


def _tiles(out: Verified, files: LogFiles, tree: GrowingTiles, point: Checkpoint | None) -> None:
    """Tiles that are full now, and at the checkpoint's size those that are not, are what the leaves make."""
    held = [(level, number, hashes) for (level, number), hashes in tree.full.items()]
    tree.full.clear()
    if point is None or tree.size > point.size:
        return
    if tree.size == point.size:
        held += tree.partial()
    for level, number, hashes in held:
        try:
            raw = files.tile(level, number, len(hashes))
        except VerificationError:
            continue  # it is made again from the journal at the next start
        if raw != b"".join(hashes):
            where = files.folder / tile_path(level, number, len(hashes))
            out.findings.append(Finding(0, "", f"{where} is not what the entries make"))


def _hold(out: Verified, mark: list[tuple[str, Checkpoint]], tree: GrowingTiles, files: LogFiles, known: Known) -> None:
    root = tree.root()
    for where, point in mark:
        if root != point.root:
            out.findings.append(Finding(0, "", f"the first {point.size} entries of the log have another root than {where} "
                                               "signed: entries were changed, exchanged or forked, leaves and all"))


def _destroyed(emptied: _Emptied, keys: Keys, out: Verified) -> Iterator[Finding]:
    """Where the keys that are gone, and what the entries say of it, are two matters."""
    try:
        there = {name: is_there for _, name, is_there in keys.ring.listed()}
        gone = {name: whose for whose, name, is_there in keys.ring.listed() if not is_there}
    except KeyringError:
        return  # said as a fault of the file
    for name, whose in gone.items():
        if whose not in emptied.gone and whose not in emptied.unsaid:
            yield Finding(0, "", f"the key {name!r} was destroyed, and no entry says that {whose!r} was erased")
    for name, seq in emptied.keys.items():
        if there.get(name) and name not in emptied.held:
            if is_period(name):  # emptied between commits, its key behind the last of them: a running system is seen so
                out.keys_under_way += 1
                continue
            yield Finding(seq, "", f"says that the key {name!r} was destroyed, and it is still there: the next start of a "
                                   "writer destroys it")
    for name, (seq, whose) in emptied.under.items():
        if name not in there and whose in emptied.gone:
            yield Finding(seq, "", f"lay under the key {name!r}, of which nothing is there, not even that it was destroyed: "
                                   "another could be given its name")


class _Emptied:
    """Entries that cannot be read any more, until an entry says that their operation was erased.

    Whoever empties one, or destroys a case's key, without saying so is found.
    """

    def __init__(self) -> None:
        self._of: dict[str, list[Finding]] = {}
        #: What was erased, and of each key that was said to be destroyed which entry says so.
        self.gone: set[str] = set()
        self.keys: dict[str, int] = {}
        #: Of each key under which an erased entry lay: the first of them, and whose it was.
        self.under: dict[str, tuple[int, str]] = {}
        #: Of passers-by, under which keys how many entries can still be read.
        self.held: dict[str, int] = {}

    def take(self, row: Stored, words: str) -> None:
        holder = holder_of(row.operation, row.key_id)
        if row.erased and row.key_id not in (None, ERASED_KEY):
            self.under.setdefault(row.key_id or "", (row.seq, holder_of(row.operation, row.key_id)))
        said = f"{words}, and no entry behind it says that {holder!r} was erased"
        self._of.setdefault(holder, []).append(Finding(row.seq, "body", said))

    def erased(self, row: Stored) -> None:
        """An entry says of an operation that it was."""
        try:
            said = msgspec.msgpack.decode(row.body, type=Erasure)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # it is not its leaf's, or says nothing: those before it stay
        self._of.pop(said.erased, None)
        self.gone.add(said.erased)
        for key in said.keys:
            self.keys.setdefault(key, row.seq)

    @property
    def unsaid(self) -> frozenset[str]:
        """Whose entries cannot be read, though nobody said that they were erased."""
        return frozenset(self._of)

    def findings(self) -> list[Finding]:
        """What nobody said."""
        return sorted([one for some in self._of.values() for one in some], key=lambda one: one.seq)


def _not_as_emptied(row: Stored) -> list[Finding]:
    """Columns of an erased entry that are not what its statement says, or what erasing leaves; its leaf holds."""
    try:
        said = stated(row.body)
    except ValueError:
        return [Finding(row.seq, "body", "was changed, and its leaf with it")]
    left = {"seq": said.seq, "kind": said.kind, "received_ns": said.received_ns, "operation": said.operation,
            "key_id": said.key_id or ERASED_KEY, "source": "", "actor": "", "ident": erased_ident(row.seq)}  # fmt: skip
    return [Finding(row.seq, column, "was changed") for column, value in left.items() if getattr(row, column) != value]


def _fault(row: Stored, keys: Keys, emptied: _Emptied) -> Finding | None:
    """What is wrong with a row by itself; the column is named later."""
    wrong = next((name for name in _TEXTS if not _is_text(getattr(row, name))), "")
    if wrong:
        return Finding(row.seq, wrong, "was changed: it is no text")
    try:
        made = keys.statement(row)
    except SealBroken:
        return Finding(row.seq, "body", "was changed: it does not open under its key")
    except KeyDestroyed:
        emptied.take(row, "has lost its key")  # else its operation's erasure is under way
        return None
    except KeyringError as error:
        return Finding(row.seq, "key_id", f"cannot be opened: {error}")
    if sha256(b"\x00" + made).digest() != row.leaf:
        return Finding(row.seq, "?", "was changed")
    return None


def _is_text(text: str | None) -> bool:
    try:
        return text is None or bool(text.encode()) or True
    except UnicodeEncodeError:
        return False


def _name(out: Verified, bad: dict[int, Stored], keys: Keys, files: LogFiles, known: Known) -> None:
    """The column that was changed of each entry that is not its leaf's."""
    found, looked = [], 0
    for finding in out.findings:
        if finding.column not in ("?", "key_id", "body") or finding.seq not in bad:
            found.append(finding)
            continue
        row = bad[finding.seq]
        looked += 1
        index = row.seq - known.begins
        signed = _tile_leaf(files, index, out.size) if index < out.size else None
        column = finding.column
        if signed is not None and signed != row.leaf:
            column = "leaf" if _leaf(row, keys) == signed else finding.column
        if column == "?" or (column != "leaf" and finding.column in ("key_id", "body")):
            column = (_changed(row, keys, signed or row.leaf or b"") if looked <= _LOOKED_FOR else "") or finding.column
        if column == "?":
            found.append(Finding(row.seq, "", "was changed: more than one byte of it, or more than one column"))
        elif column == finding.column == "key_id":
            found.append(finding)
        else:
            found.append(Finding(row.seq, column, "was changed"))
    out.findings = found


def _tile_leaf(files: LogFiles, index: int, size: int) -> bytes | None:
    number = index // WIDTH
    try:
        raw = files.tile(0, number, min(WIDTH, size - number * WIDTH))
    except (VerificationError, BirddogError):
        return None
    at = index % WIDTH * 32
    return raw[at : at + 32] or None


def _leaf(row: Stored, keys: Keys) -> bytes | None:
    try:
        return sha256(b"\x00" + keys.statement(row)).digest()
    except (KeyringError, UnicodeEncodeError):
        return None


def _changed(row: Stored, keys: Keys, leaf: bytes) -> str:
    """The column of which one byte, put otherwise, makes the row its leaf's again; "" where there is none."""
    if row.erased:
        return "body" if _leaf(row, keys) != leaf else ""  # of what was erased the body alone is hashed
    columns: list[tuple[str, Iterable[int] | Iterable[str | None]]] = [
        ("received_ns", _numbers_like(row.received_ns)), ("operation", ["", *_texts_like(row.operation)]),
        ("kind", _texts_like(row.kind)), ("key_id", [None, *_texts_like(row.key_id or "")]),
    ]  # fmt: skip
    for column, others in columns:
        if row.key_id is None and column != "key_id":
            continue  # below, many at once
        if any(_leaf(msgspec.structs.replace(row, **{column: other}), keys) == leaf for other in others):
            return column
    try:
        salter = keys.salter(row.key_id)
    except KeyringError:
        return ""  # nothing of it can be read, whatever it is
    try:
        clear = row.body if row.key_id is None else keys.opened(row.seq, row.operation, row.key_id, row.body)
    except KeyringError:
        return "body"
    said, key = msgspec.structs.replace(row, body=clear), Key(row.key_id or "", salter)
    parts: list[tuple[str, Iterable[object]]] = [("ident", _bytes_like(row.ident)), ("source", ["", *_texts_like(row.source)]),
               ("actor", ["", *_texts_like(row.actor)])]  # fmt: skip
    if row.key_id is None:
        parts[:0] = [("received_ns", _numbers_like(row.received_ns)), ("operation", ["", *_texts_like(row.operation)]),
                       ("kind", _texts_like(row.kind))]  # fmt: skip
    if len(clear) <= _LOOKED_AT:
        parts.append(("body", _bytes_like(clear)))
    for column, alike in parts:
        if _among((msgspec.structs.replace(said, **{column: other}) for other in alike), key, leaf):
            return column
    return "body" if len(clear) > _LOOKED_AT else ""


def _among(tried: Iterable[Stored], key: Key, leaf: bytes) -> bool:
    """Whether one of these has the leaf."""
    some = iter(tried)
    while many := list(islice(some, 1000)):
        if leaf in leaves_of([row.seq for row in many], many, [key] * len(many)):
            return True
    return False


def _bytes_like(value: bytes) -> Iterator[bytes]:
    """Bytes with one of them put otherwise, each in each way."""
    for at in range(len(value)):
        for byte in range(1, 256):
            yield value[:at] + bytes([value[at] ^ byte]) + value[at + 1 :]


def _texts_like(value: str) -> Iterator[str]:
    for raw in _bytes_like(value.encode("utf-8", "surrogateescape")):
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            continue


def _numbers_like(value: int) -> Iterator[int]:
    for raw in _bytes_like(value.to_bytes(8, "big", signed=True)):
        yield int.from_bytes(raw, "big", signed=True)


def note_file(path: Path) -> bytes:
    """A checkpoint that lies in a file.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
