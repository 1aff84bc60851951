"""What a verified bundle holds, for ``opsroom.case_uco``: records, rows of tracks, and who is who."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from birddog.custody import Thing, custody_of
from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.model import REGISTERS, Attachment, Custody, unpack
from birddog.record import Stated, stated
from birddog.validated import checked, number
from opsroom import verifier
from opsroom.case_nodes import uuid_of
from opsroom.disclosed import Record, entry_of, shown_of

#: Time goes on: no record of anything that was seen or done.
LEFT_OUT = frozenset({"tick"})


class Bundle:
    """What a verified bundle holds, read again and again."""

    def __init__(self, archive: zipfile.ZipFile):
        self.archive = archive
        self.manifest: dict[str, Any] = json.loads(archive.read("bundle.json"))
        self.case = str(self.manifest["case"])
        self.origin = str(self.manifest["log"]["origin"])

    def records(self) -> Iterator[Record]:
        """Its records, in order."""
        with self.archive.open("records.jsonl") as file:
            for line in file:
                yield Record(*verifier.record_of(line[:-1]))

    def rows(self) -> Iterator[dict[str, str]]:
        """The rows of ``tracks.csv``; none where what it needs was withheld."""
        if "tracks.csv" not in self.manifest["files"]:
            return
        with self.archive.open("tracks.csv") as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            text.readline()  # the program's version
            yield from csv.DictReader(text)


class Registers:
    """Who is who in a bundle, from one reading of it: what a node of a device, a warrant, a thing needs to know first."""

    def __init__(self, records: Iterable[Record]):
        self.directory, custody = Directory(), list[tuple[int, Custody]]()
        #: Of the entries of custody that are shown whole: the name of the record's node, and when it was received.
        self.custody_records = dict[int, tuple[str, int]]()
        self.attached: list[Attachment] = []
        #: Warrants that an act names, those of whose acts something is withheld, and whether that is so of custody.
        self.warrants, self.hidden, self.custody_hidden = set[str](), set[str](), False
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.left_out = 0
        for record in records:
            said = stated(record.statement)
            self.left_out += said.kind in LEFT_OUT
            if said.kind == "frame":
                self.first_ns = said.received_ns if self.first_ns is None else self.first_ns
                self.last_ns = said.received_ns
            if record.fields and (said.kind in REGISTERS or said.kind == "custody"):
                self._register(record, said, custody)
        self.things: dict[str, Thing] = custody_of(custody)
        self.chained = {step.seq for thing in self.things.values() for step in thing.steps}

    def _register(self, record: Record, said: Stated, custody: list[tuple[int, Custody]]) -> None:
        entry = entry_of(record)
        warrant = shown_of(record).get("warrant") if said.kind == "warrant" else None
        if isinstance(warrant, str):
            self.warrants.add(warrant)
            self.hidden |= {warrant} if entry is None else set()
        if entry is None:
            self.custody_hidden |= said.kind == "custody"
            return
        body = unpack(entry)
        if isinstance(body, Custody):
            self.custody_records[record.seq] = uuid_of(verifier.leaf_of(record.statement).hex()), said.received_ns
            custody.append((record.seq, body))
            return
        self.directory.apply(body)
        if isinstance(body, Attachment):
            self.attached.append(body)

    def reported(self, device: str) -> str:
        """What a position is worth as the device itself reports it, which is not what the tracker makes of it."""
        known = self.directory.devices.get(device)
        held = None if known is None else self.directory.validations.get(known.model)
        if held is None or not held.said:
            return "not validated"
        try:
            part = checked(held)["position"]
        except BirddogError:
            return "not validated"
        return f"validated to {number(part['bound_m'])} m" if part["validated"] else "not validated"
