"""The picture process: folds what arrives into the derived store, the only one that writes it."""

from __future__ import annotations

import signal
import threading
import time

from birddog.journal import open_reader
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.picture import Picture
from opsroom.picture_store import picture_path
from opsroom.status import Board

#: How often the journal is asked for news.
POLL_S = 0.1


def run(plan: Plan) -> int:
    """Fold until a signal; the fold's state is stored on the way out."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    journal_path = plan.journal_path
    path = picture_path(journal_path)
    while not journal_path.exists():
        if asked.wait(POLL_S):
            return 0
    journal = open_reader(plan.config.journal.url)
    board = Board(journal_path, "picture")
    board.write({"cursor": 0, "behind": journal.last_seq()})
    try:
        picture = Picture(journal, path)
        say(f"picture: {path}, at entry {picture.cursor}")
        written_at = 0.0
        while not asked.is_set():
            if not path.exists():
                # the derived store may be deleted at any time: make it again
                picture.close()
                picture = Picture(journal, path)
            done = picture.step()
            now = time.monotonic()
            if now - written_at >= 1.0:
                written_at = now
                board.write({"cursor": picture.cursor, "behind": journal.last_seq() - picture.cursor})
            if not done:
                asked.wait(POLL_S)
        picture.store.begin()
        picture.save()
        picture.store.commit(picture.cursor)
        picture.close()
    finally:
        journal.close()
        board.remove()
    return 0


