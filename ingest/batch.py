"""A batch: what the desk made of a list of items, on its way to the journal."""

from __future__ import annotations

from birddog.model import Draft
from ingest.intake import Entries, Result, Source


class Batch:
    """What ``Desk.prepare`` made of a list of items; ``Desk.commit`` takes it, once or again."""

    __slots__ = ("answers", "counted", "drafts", "entries", "finished", "sessions")

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.sessions: dict[tuple[str, str], None] = {}
        self.finished: dict[str, None] = {}  # devices that have nothing to repeat of the sessions before these
        self.answers: list[tuple[Source, int, list[Result], list[Result]]] = []  # …, those with a draft, all
        self.counted: dict[str, int] = {}  # counters of refused messages without a row of their own
        self.entries: list[tuple[Entries, int]] = []
