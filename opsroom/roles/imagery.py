"""The imagery process: the watched folder; its scans go to the journal's writer as entries."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import msgspec

from birddog.errors import ConfigError, JournalError
from birddog.model import Scan
from imagery.watch import Watch
from ingest import control
from opsroom.app import Plan
from opsroom.commands.common import say
from opsroom.picture_store import hold
from opsroom.signals import LEAVE_S, Stop
from opsroom.status import Board


def run(plan: Plan) -> int:
    """Watch until a signal."""
    asked = Stop(leave_s=LEAVE_S)
    journal = plan.home
    settings = plan.config.imagery
    assert settings is not None
    if settings.ledger is None:
        # what was sent was sent to this journal: another one shall get it too
        settings = msgspec.structs.replace(settings, ledger=str(journal.imagery))
    while (lock := hold(Path(settings.ledger or journal.imagery))) is None:
        # a process that was killed lets go at once; another run's is waited for, ingest refuses the run
        if asked.wait(0.5):
            return 0
    board = Board(journal, "imagery")

    def send(scan: Scan) -> None:
        # the scan's own id is the nonce: the same look is never entered twice
        nonce = bytes.fromhex(scan.scan_id)[:16] if _is_hex(scan.scan_id) else scan.scan_id.encode()
        if not 0 < len(nonce) <= control.MAX_NONCE:
            nonce = hashlib.sha256(nonce).digest()[:16]
        request = control.wanted(scan, source=f"imagery:{settings.sensor}", nonce=nonce)
        while True:
            try:
                control.ask(journal, [request])
                return
            except (control.NoWriter, control.NoAnswer) as error:
                # killed, starting again, or its disk is full: it is asked again, which enters it once
                if asked.wait(0.5):
                    raise _Ending from error

    while True:
        try:
            watch = Watch(settings, send, say)
            break
        except ConfigError as error:
            # at the first start it is a mistake of whoever wrote it; later, a share that is away for a while: the rest goes on
            if error.field != "imagery.folder" or not os.path.exists(settings.ledger or ""):
                raise
            board.write({"problem": str(error)})
            if asked.wait(2.0):
                board.remove()
                return 0
    say(f"imagery: watching {settings.folder}")

    def tell() -> None:
        while not asked.is_set():
            board.write(watch.status())
            time.sleep(1.0)

    threading.Thread(target=tell, name="status", daemon=True).start()
    try:
        watch.run(asked)
    except _Ending:
        pass
    except JournalError as error:
        # a look that the writer refuses is no reason to end the run; the next start tries it again
        asked.set()
        board.write({"problem": str(error)})
        say(f"birddog imagery: {error}")
        return 1
    finally:
        asked.set()
        os.close(lock)
    board.remove()
    return 0


class _Ending(Exception):
    """Told to end while a look waits for the writer: the watch sends it at the next start."""


def _is_hex(text: str) -> bool:
    return len(text) >= 32 and all(c in "0123456789abcdef" for c in text)
