"""The picture process: folds what arrives into the derived store, the only one that writes it."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from birddog.errors import BirddogError
from birddog.journal import Reader, exists, open_reader
from opsroom.app import Plan
from opsroom.collecting import collect_seldom
from opsroom.commands.common import say
from opsroom.following import Following
from opsroom.picture import STEP_ENTRIES
from opsroom.picture_store import PictureDamaged, PictureError, hold, remove
from opsroom.signals import LEAVE_S, Stop
from opsroom.status import Board
from tracking import crowd_kernel
from tracking.kernel import compiled

#: How often the journal is asked for news.
POLL_S = 0.1
#: So long without having reached the journal's end, an operator is told.
BEHIND_S = 10.0
#: A killed process lets go of its lock at once; longer than ingest waits for its own, so that ingest says what both would.
LOCK_PATIENCE_S = 15.0
#: What takes longer is said, and said again, so that it is no want of life.
SIGN_S = 1.0


def run(plan: Plan) -> int:
    """Fold until a signal; the fold's state is stored on the way out.

    Whatever fails (a full disk, a damaged entry) is one line and exit 1: the store is derived, and ingest
    goes on without it.
    """
    asked = Stop(leave_s=LEAVE_S)
    collect_seldom()
    while not exists(plan.config.journal.url):
        if asked.wait(POLL_S):
            return 0
    path = plan.home.picture
    lock = hold(path)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while lock is None:
        if asked.wait(POLL_S):
            return 0
        if time.monotonic() > deadline:
            raise PictureError(f"another process is writing {path}")
        lock = hold(path)
    board = Board(plan.home, "picture")
    board.write({"problem": "is starting"})
    try:
        journal = open_reader(plan.config.journal.url)
        try:
            while (words := journal.disagreement()) and not asked.is_set():
                # what the picture has is newer than the journal: it is kept till that is put right, or the loss accepted
                board.write({"problem": f"waits: {words}"})
                asked.wait(1.0)
            if not asked.is_set():
                _follow(journal, plan, asked, board)
        finally:
            journal.close()
    except BirddogError as error:
        if isinstance(error, PictureDamaged):
            remove(path)  # derived: the next start makes it again
        board.write({"problem": str(error)})
        say(f"birddog picture: {error}")
        return 1
    finally:
        os.close(lock)
    board.remove()
    return 0


def _follow(journal: Reader, plan: Plan, asked: Stop, board: Board) -> None:
    path = plan.home.picture
    _compile(asked, board)
    following = Following(journal, path)
    try:
        say(f"picture: {path}, at entry {following.picture.published}")
        written_at, level_at = 0.0, time.monotonic()
        while not asked.is_set():
            done = following.step(asked=asked.is_set)
            picture, anew = following.picture, following.anew
            now = time.monotonic()
            if done < STEP_ENTRIES and picture.cursor >= picture.published:
                level_at = now
            if now - written_at >= 1.0 or written_at == 0.0:
                written_at = now
                behind = journal.last_seq() - picture.cursor
                problems = [f"the picture is {behind} entries behind the journal"] if now - level_at > BEHIND_S else []
                if picture.left_out:
                    problems.append(f"entry {picture.left_out[-1]} could not be folded and is left out"
                                    f" ({len(picture.left_out)} in all): the log says where")
                board.write({"cursor": picture.cursor, "behind": behind, "left_out": len(picture.left_out),
                             "anew": None if anew is None else anew.cursor, "problem": "; ".join(problems)})
            if not done and following.anew is None:
                asked.wait(POLL_S)
        following.save()
    finally:
        following.close()


def _compile(asked: Stop, board: Board) -> None:
    """The tracker's step is compiled, which a first start on a machine waits for (some ten seconds of a processor); what is
    compiled is kept, and the next start reads it.
    """

    def work() -> None:
        with contextlib.suppress(Exception):  # boundary: the fold asks for it again, and says what is wrong
            compiled()
            crowd_kernel.compiled()

    worker = threading.Thread(target=work, name="compile", daemon=True)
    begun_at = time.monotonic()
    worker.start()
    worker.join(SIGN_S)
    while worker.is_alive() and not asked.is_set():
        passed_s = time.monotonic() - begun_at
        board.write({"problem": f"compiles the tracker, as at each first start: for {passed_s:.0f} s now"})
        worker.join(SIGN_S)
