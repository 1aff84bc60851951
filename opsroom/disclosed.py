"""The records of a case as they leave the house: which entries, and of each the fields that are shown or withheld."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, get_args

import msgspec

from birddog.errors import JournalError, UsageError
from birddog.journal import Reader
from birddog.journal.beside import Home
from birddog.journal.keys import Keys
from birddog.journal.log_files import Known
from birddog.journal.store import Stored
from birddog.keyring import KeyDestroyed, KeyringError, KeysClosed
from birddog.model import (
    KINDS,
    Attachment,
    Device,
    Entry,
    Observation,
    Placement,
    Sighting,
    Validation,
    unpack,
)  # fmt: skip
from birddog.record import SALT_BYTES, WHOLE, Fields, body_of, commitments, committed, fields_of, stated, statement

#: Kinds of entries of no case without which its tracks are not what they were: presets and time.
_ALSO = frozenset({"start", "tick", "clock", "loss", "erasure", "rotation"})
#: Kinds of entries of no case that say who its devices are, or where, what they are worth, or by which warrant.
_SAYS_WHO = frozenset({"device", "placement", "warrant", "validation"})

#: Names for several fields, for ``--redact``.
GROUPS = {
    "who": ("source", "actor", "device", "sender", "subject", "channel", "session", "reader", "epc", "by", "owner", "shipment",
            "sensor", "topics", "rejects", "verdicts", "giver", "receiver", "person", "applicant"),
    "payload": ("ident", "payload", "payload_hash", "mistimed"),
    "place": ("lat_deg", "lon_deg", "alt_m", "alt_ref", "sigma_m", "r_ee", "r_en", "r_nn", "footprint", "area", "zones",
              "points", "range_m", "flags"),
    "motion": ("speed_mps", "course_deg"),
    "words": ("attributes", "text", "note", "name", "detail"),
}  # fmt: skip
PAYLOAD = frozenset(GROUPS["payload"])


class Record(msgspec.Struct, frozen=True):
    """An entry as it goes into a bundle; of each field (name, salt, value), or (name, commitment) where it is withheld."""

    seq: int
    statement: bytes
    fields: Sequence[tuple[str, bytes, bytes] | tuple[str, bytes]]

    def line(self) -> bytes:
        """Its line of ``records.jsonl``."""
        fields = [[name, *(base64.b64encode(held).decode() for held in rest)] for name, *rest in self.fields]
        row = {"seq": self.seq, "statement": base64.b64encode(self.statement).decode(), "fields": fields}
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def plain(name: str) -> str:
    """A field's name without the row in which it stands, and without the mark of a column."""
    return name.rpartition(".")[2].lstrip("@")


def withheld_of(fields: Iterable[str]) -> frozenset[str]:
    """The fields that are withheld where some, or groups, are asked for; always the bytes as they came too, which hold all.

    Raises:
        UsageError: there is no such field or group.
    """
    out: set[str] = set()
    for field in fields:
        named = GROUPS.get(field, (field,))
        if field not in GROUPS and field not in _known():
            raise UsageError(f"no field {field!r}; there are: {', '.join([*GROUPS, *sorted(_known())])}", field="--redact")
        out |= {*named, *PAYLOAD}
    return frozenset(out)


@functools.cache
def _known() -> frozenset[str]:
    """The names of all fields that an entry may have."""
    kinds: list[Any] = [kind.body for kind in KINDS]
    found = {"source", "actor", "ident"}
    for struct in (*kinds, *get_args(Observation), Sighting):
        found |= {field.encode_name for field in msgspec.structs.fields(struct)}
    return frozenset(found)


def records_of(journal: Reader, home: Home, known: Known, size: int, operation: str, from_ns: int, to_ns: int,
               withheld: frozenset[str], signed: Callable[[int], bytes]) -> Iterator[Record]:
    """The records of a case, in order: its own entries within a time, and who is who and what time it was, of it all.

    Args:
        signed: the leaf that the log has at an index.

    Raises:
        JournalError: an entry is not the one that was signed, or is not there: nothing is made of it.
    """
    keys, words = Keys(home, make=False), None

    def held(row: Stored, made: bytes) -> None:
        if sha256(b"\x00" + made).digest() != signed(row.seq - known.begins):
            raise JournalError(f"entry {row.seq} is not the one that was signed: birddog journal verify says what was changed")

    if withheld - PAYLOAD:
        words = _words(_rows_of(journal, known, size, operation, from_ns, to_ns), keys, withheld)
    for row in _rows_of(journal, known, size, operation, from_ns, to_ns, lambda row: held(row, keys.statement(row))):
        record = _record(row, keys, withheld, words)
        held(row, record.statement)
        yield record


def _rows_of(journal: Reader, known: Known, size: int, operation: str, from_ns: int, to_ns: int,
             look: Callable[[Stored], None] = lambda _: None) -> Iterator[Stored]:
    """The rows of a case's bundle; ``look`` is shown what says of no case who is who, also where it is of nobody here."""
    devices = _devices(journal, operation)
    models = _models(journal, devices)
    after, end = known.begins - 1, known.begins + size
    while rows := [row for row in journal.rows(after) if row.seq < end]:
        for row in rows:
            after += 1
            if row.seq != after:
                raise JournalError(f"entry {after} is not there, and was signed: birddog journal verify says what is missing")
            if row.kind in _SAYS_WHO and not row.operation and row.key_id is None:
                look(row)
            if row.operation == operation:
                if row.kind in ("frame", "refusal", "scan") and not from_ns <= row.received_ns < to_ns:
                    continue
            elif row.operation or not (row.kind in _ALSO and row.received_ns < to_ns or _names(row, devices, models)):
                continue
            yield row


def _devices(journal: Reader, operation: str) -> frozenset[str]:
    bodies = [unpack(entry) for entry in journal.registers() if entry.operation == operation]
    return frozenset(body.device for body in bodies if isinstance(body, Attachment))


def _models(journal: Reader, devices: frozenset[str]) -> frozenset[str]:
    bodies = [unpack(entry) for entry in journal.registers() if entry.kind == "device"]
    return frozenset(body.model for body in bodies if isinstance(body, Device) and body.device in devices)


def _names(row: Stored, devices: frozenset[str], models: frozenset[str]) -> bool:
    """Whether an entry of no case says who a device of the case is, or where, what it is worth, or by which warrant."""
    if row.kind not in _SAYS_WHO or row.key_id is not None:
        return False
    entry = Entry(seq=row.seq, kind=row.kind, received_ns=row.received_ns, source=row.source, ident=row.ident, body=row.body)
    body = unpack(entry)
    if isinstance(body, Device | Placement):
        return body.device in devices
    if isinstance(body, Validation):
        return body.model in models
    return any(device.encode() in row.body for device in devices)


def _opened(row: Stored, keys: Keys) -> Fields:
    try:
        clear = row.body if row.key_id is None else keys.opened(row.seq, row.operation, row.key_id, row.body)
    except (KeyDestroyed, KeysClosed):
        raise
    except KeyringError as error:
        raise JournalError(f"entry {row.seq} cannot be read: {error}") from error
    return fields_of(clear, row.ident, row.source, row.actor)


def _words(rows: Iterable[Stored], keys: Keys, withheld: frozenset[str]) -> re.Pattern[bytes] | None:
    """What is withheld as a text, wherever it stands: a device's name is also in the topic of its message."""
    found: set[str] = set()
    for row in rows:
        if row.erased:
            continue
        fields = _opened(row, keys)
        for name, value in zip(fields.names, fields.values, strict=True):
            if plain(name) in withheld - PAYLOAD:
                held = msgspec.msgpack.decode(value)
                texts = held if isinstance(held, list) else [held]
                found |= {text for text in texts if isinstance(text, str) and len(text) > 2}
    return re.compile(b"|".join(re.escape(text.encode()) for text in sorted(found))) if found else None


def _record(row: Stored, keys: Keys, withheld: frozenset[str], words: re.Pattern[bytes] | None = None) -> Record:
    if row.erased:
        return Record(row.seq, row.body, ())  # erased: that it was there is all that can be shown
    fields = _opened(row, keys)
    salts = keys.salter(row.key_id)(row.seq, len(fields.names))
    hashes = commitments(fields.values, salts)
    made = statement(row.seq, row.kind, row.received_ns, row.operation, row.key_id or "", committed(fields.names, hashes))
    out: list[tuple[str, bytes, bytes] | tuple[str, bytes]] = []
    for n, (name, value) in enumerate(zip(fields.names, fields.values, strict=True)):
        if name == WHOLE and withheld or plain(name) in withheld or words is not None and words.search(value):
            out.append((name, hashes[n]))
        else:
            out.append((name, salts[n * SALT_BYTES : (n + 1) * SALT_BYTES], value))
    return Record(row.seq, made, out)


#: Stands for the bytes as they came, where they are withheld.
_NOTHING = b"\xc4\x00"


def entry_of(record: Record) -> Entry | None:
    """The entry that a record shows whole; None where something of it is withheld that its track needs.

    Raises:
        ValueError: its fields are none.
    """
    said = stated(record.statement)
    names, values = [], []
    for field in record.fields:
        name, value = field[0], field[-1]
        if len(field) == 2:
            if plain(name) not in PAYLOAD:
                return None
            value = _NOTHING
        names.append(name)
        values.append(value)
    body, ident, source, actor = body_of(Fields(tuple(names), tuple(values)))
    return Entry(seq=said.seq, kind=said.kind, received_ns=said.received_ns, source=source, ident=ident, body=body,
                 operation=said.operation, actor=actor)


def shown_of(record: Record) -> dict[str, Any]:
    """The fields of a record that are shown, by name."""
    return {name.lstrip("@"): msgspec.msgpack.decode(rest[1]) for name, *rest in record.fields
            if len(rest) == 2 and plain(name) not in PAYLOAD}  # fmt: skip
