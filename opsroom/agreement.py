"""Before a run begins: the journal must hold what was acknowledged, as its head file and its picture remember it.

What does not agree is refused in one line that says which of the two is newer; ``--accept-loss`` goes on
all the same, keeps aside what the other one held, and says so in an entry of kind ``loss``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from birddog.errors import JournalDisagrees, JournalFull, JournalHeld
from birddog.journal import Reader, exists, open_reader, open_writer, presence
from birddog.model import Draft, Loss, pack
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.picture_store import Stood, stood
from opsroom.witnesses import fetched


def check(plan: Plan, *, accept_loss: bool) -> None:
    """Open the journal as its writer would, once, before any process of the run is started; made where it is absent.

    Raises:
        JournalDisagrees: it is not the newest that was acknowledged.
        JournalError: it cannot be written.
    """
    if "ingest" in plan.roles:
        _as_writer(plan, accept_loss)
    elif "picture" in plan.roles and exists(plan.config.journal.url):
        reader = open_reader(plan.config.journal.url)
        try:
            words = reader.disagreement() or _against_picture(reader, plan.home.base, stood(plan.home.picture))
        finally:
            reader.close()
        if words:
            raise JournalDisagrees(f"{words}: `birddog run` says what to do")


def _as_writer(plan: Plan, accept_loss: bool) -> None:
    path, picture, url = plan.home.base, plan.home.picture, plan.config.journal.url
    pictured = stood(picture)
    words = ""
    if presence(url) == "absent" and pictured is not None and pictured.cursor:
        words = f"{path} is not there, and {picture} stands at entry {pictured.cursor} of it"
        if not accept_loss:
            raise _refused(words, "an empty one")
    if exists(url):
        for words in fetched(plan.config.witness, plan.home):
            say(f"birddog run: {words}")
    try:
        settings = plan.config.journal
        writer = open_writer(url, mode="exercise" if plan.exercise else "live", accept_loss=accept_loss, log=settings.log,
                             master=settings.master_key)
    except JournalHeld:
        return  # the ingest process says so, when it has waited for its forerunner to end
    except JournalFull:
        if not exists(url):
            raise
        return  # waited for
    try:
        words = words or _against_picture(writer, path, pictured)
        last = writer.tail(1)
        if words and not accept_loss:
            raise _refused(words, f"entry {last[0].seq}" if last else "an empty one")
        if not words and not writer.lost:
            return
        if words and pictured is not None:
            words += f"; that picture is kept as {_aside(picture)}"
        text = "; ".join(filter(None, (writer.lost, words)))
        received_ns = max(time.time_ns(), last[0].received_ns if last else 0)
        body = Loss(after=last[0].seq if last else 0, text=text)
        writer.append([Draft(kind="loss", received_ns=received_ns, source="run", ident=os.urandom(16), body=pack(body))])
    finally:
        writer.close()
    say(f"birddog run: accepted, and recorded in the journal: {text}")


def _against_picture(journal: Reader, path: Path, pictured: Stood | None) -> str:
    """Why a journal is not the one, or ends before, its picture was made from; "" where the two agree."""
    if pictured is None or pictured.cursor == 0:
        return ""
    last = journal.last_seq()
    if last < pictured.cursor:
        return (f"{path} ends at entry {last}, and its picture stands at entry {pictured.cursor}: an older copy was put in the "
                "journal's place, or its newest part was lost")
    first, at = journal.read(0, 1), journal.read(pictured.cursor - 1, 1)
    if first[0].ident != pictured.first or at[0].ident != pictured.at:
        return f"{path} is not the journal that its picture was made from, up to entry {pictured.cursor}"
    return ""


def _refused(words: str, after: str) -> JournalDisagrees:
    return JournalDisagrees(f"{words}: put the newer journal back with its -wal; or `birddog run --accept-loss` goes on after "
                            f"{after} and records it")


def _aside(picture: Path) -> Path:
    aside = picture.with_name(f"{picture.name}.aside-{os.urandom(4).hex()}")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{picture}{suffix}"):
            os.rename(f"{picture}{suffix}", f"{aside}{suffix}")
    return aside
