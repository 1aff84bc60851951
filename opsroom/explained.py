"""What is asked of a whole journal again: why a track is where it is, and where it was by all that was ever measured.

``birddog explain``: the journal folded up to a time, with one track watched on the way (``tracking.explain``); the smoothed
histories of ``birddog locate --journal``: the same with all measurements noted (``tracking.smoothed``).
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from birddog.errors import BirddogError
from birddog.model import TIMELESS, Entry, Track, unpack
from birddog.units import iso_from_ns
from tracking.explain import Watch
from tracking.fold import Fold
from tracking.smoothed import Past, Record

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


def histories(
    journal: Iterable[Entry], *, track_id: str | None = None, operation: str | None = None, at_ns: int | None = None
) -> Iterator[tuple[Track, list[Past]]]:
    """(newest row, smoothed history) of each identified track, from the entries received by a time, in the order in which they
    began.

    Args:
        track_id, operation: only this track, only those of this operation.

    Raises:
        JournalError: an entry is damaged.
    """
    fold = Fold()
    record = Record(fold, track_id)
    for entry in journal:
        if at_ns is not None and entry.kind not in TIMELESS and entry.received_ns > at_ns:
            break
        record.after(fold.apply(entry))
    for name in record.tracks():
        row = record.rows[name]
        if operation in (None, row.operation):
            yield row, record.history(name)


def smoothed(journal: Iterable[Entry], track_id: str, at_ns: int) -> dict[str, Any] | None:
    """The smoothed history of one track as ``/v1/tracks/{id}/smoothed`` has it; None: nothing is known of such a track."""
    found = next(histories(journal, track_id=track_id, at_ns=at_ns), None)
    if found is None:
        return None
    return {"track_id": track_id, "at": iso_from_ns(at_ns), "late": sum(one.late for one in found[1]), "points": [
        {"time": iso_from_ns(one.time_ns), "lat_deg": round(one.answer.y, 7), "lon_deg": round(one.answer.x, 7),
         "p_ee": one.answer.p_ee, "p_en": one.answer.p_en, "p_nn": one.answer.p_nn, "origin": one.origin, "device": one.device,
         "late": one.late} for one in found[1]
    ]}  # fmt: skip


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
        return self._asked("explain", track_id, at_ns)

    def smoothed(self, track_id: str, at_ns: int) -> dict[str, Any] | None:
        """``smoothed``; blocks, and raises as the call does."""
        return self._asked("locate", track_id, at_ns)

    def _asked(self, what: str, track_id: str, at_ns: int) -> dict[str, Any] | None:
        command = [sys.executable, "-P", "-m", "opsroom.explained", what, self.url, str(at_ns), track_id]
        with self._one:
            try:
                done = subprocess.run(command, capture_output=True, timeout=LONGEST_S, stdin=subprocess.DEVNULL, check=False)
            except subprocess.TimeoutExpired as error:
                words = f"no answer within {LONGEST_S} s, the journal is long; birddog {what} has no limit"
                raise BirddogError(words) from error
        if done.returncode:
            raise BirddogError(" ".join(done.stderr.decode(errors="replace").split())[-300:] or "it could not be explained")
        return msgspec.json.decode(done.stdout)


def _main(what: str, url: str, at_ns: str, track_id: str) -> int:
    from birddog.journal import entries, open_reader

    try:
        journal = open_reader(url)
        try:
            found = (explained if what == "explain" else smoothed)(entries(journal), track_id, int(at_ns))
        finally:
            journal.close()
    except BirddogError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:5]))
