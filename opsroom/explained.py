"""``birddog explain``: a journal folded up to a time, with one track watched on the way (``tracking.explain``)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

import msgspec

from birddog.errors import BirddogError
from birddog.model import TIMELESS, Entry, unpack
from tracking.explain import Watch
from tracking.fold import Fold

#: The console waits no longer for an explanation, s.
LONGEST_S = 60


def explained(journal: Iterable[Entry], track_id: str, at_ns: int) -> dict[str, Any] | None:
    """What was known of a track at a time, from the entries received by then; None: no track of this id was shown then.

    The same entries make the row of ``birddog track --journal`` at this time.

    Raises:
        JournalError: an entry is damaged.
    """
    fold, now_ns = Fold(), 0
    watch = Watch(fold, track_id)
    for entry in journal:
        if entry.kind not in TIMELESS:
            if entry.received_ns > at_ns:
                break
            now_ns = max(now_ns, entry.received_ns)
        watch.after(entry, unpack(entry), fold.apply(entry))
    return watch.answer(max(at_ns, now_ns)) if watch.last is not None else None


class Apart:
    """Explains in a process of its own, one at a time: folding a long journal must not hold up those who read the picture.

    Args:
        url: the journal.
    """

    def __init__(self, url: str):
        self.url = url
        self._one = threading.Lock()

    def __call__(self, track_id: str, at_ns: int) -> dict[str, Any] | None:
        """``explained``; blocks.

        Raises:
            BirddogError: it took longer than ``LONGEST_S``, or the journal cannot be read; the words say what to do.
        """
        command = [sys.executable, "-m", "opsroom.explained", self.url, str(at_ns), track_id]
        with self._one:
            try:
                done = subprocess.run(command, capture_output=True, timeout=LONGEST_S, stdin=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired as error:
                words = f"not explained within {LONGEST_S} s, the journal is long; birddog explain has no limit"
                raise BirddogError(words) from error
        if done.returncode:
            raise BirddogError(" ".join(done.stderr.decode(errors="replace").split())[-300:] or "it could not be explained")
        return msgspec.json.decode(done.stdout)


def _main(url: str, at_ns: str, track_id: str) -> int:
    from birddog.journal import entries, open_reader

    try:
        journal = open_reader(url)
        try:
            found = explained(entries(journal), track_id, int(at_ns))
        finally:
            journal.close()
    except BirddogError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:4]))
