"""Time stamps of the log's checkpoints by an outside authority (RFC 3161): ``[evidence]`` of a run, ``PATH.stamps``.

What is stamped is the signed note as it stands in ``PATH.log/checkpoint``, so that the authority's clock says by when those
entries were there, and signed.  ``SIZE.tsr`` is what the authority answered, ``SIZE.note`` what it is over.  One thread: it is
asked when the log has grown and ``tsa_every_s`` have passed, a minute later where it did not answer.  Nothing waits for it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec

from birddog.errors import ConfigError, JournalError, JournalTrouble, UsageError
from birddog.journal import Home
from birddog.journal.log_files import Known, LogFiles, checked
from birddog.keyfile import put_whole
from birddog.merkle import VerificationError
from birddog.note import Checkpoint
from opsroom.callee import Callee, Refusal
from opsroom.timestamp import MOST_BYTES, NotStamped, authorities, library, question, stamped_by
from opsroom.verifier import Wrong, stamp_of

log = logging.getLogger(__name__)

#: Seconds after which an authority that did not answer is asked again, where its turn is not sooner.
AGAIN_S = 60.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[evidence]``: a time stamping authority; none by default.

    Args:
        tsa_url: where it answers (RFC 3161, section 3.4); ``http`` on this machine only.
        tsa_ca: PEM of the certificates by which its stamps are trusted.
        tsa_tls_ca: PEM of who signed its server's certificate; tsa_cert, tsa_key_file: ours, where it asks for one.
        tsa_every_s: how often it is asked while the log grows; tsa_timeout_s: how long it may take.
    """

    tsa_url: str
    tsa_ca: str
    tsa_tls_ca: str = ""
    tsa_cert: str = ""
    tsa_key_file: str = ""
    tsa_every_s: Annotated[float, msgspec.Meta(ge=1.0, le=604_800.0)] = 3600.0
    tsa_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=60.0)] = 10.0


class Authority:
    """The authority of the settings.

    Raises:
        ConfigError: it cannot be asked so.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        try:
            library()
            self._trusted = authorities(settings.tsa_ca)
        except UsageError as error:
            raise ConfigError(str(error), field="evidence.tsa_ca" if error.file else "evidence.tsa_url") from error
        self._callee = Callee("the time stamping authority", settings.tsa_url, field="evidence.tsa_", ca=settings.tsa_tls_ca,
                              ca_field="tls_ca", cert=settings.tsa_cert, key_file=settings.tsa_key_file,
                              timeout_s=settings.tsa_timeout_s, most_bytes=MOST_BYTES)

    def stamp(self, data: bytes) -> bytes:
        """Its answer over some bytes, which holds.

        Raises:
            Refusal: it cannot be reached, or does not stamp them.
        """
        asked, nonce = question(data)
        status, kind, answer = self._callee.call("POST", "", asked, "application/timestamp-query")
        if status != 200 or kind.split(";")[0].strip() != "application/timestamp-reply":
            raise Refusal(f"the time stamping authority answers {status} {kind}")
        try:
            stamp_of(answer)
            stamped_by(answer, data, self._trusted, nonce)
        except (Wrong, NotStamped) as error:
            raise Refusal(f"the time stamping authority's answer {error}") from error
        return answer


def stamp(home: Home, authority: Authority) -> tuple[int, str]:
    """Have the newest checkpoint stamped, where it is not yet: (entries, when).

    Raises:
        Refusal: the authority does not.
        JournalError: there is no log, or what was answered cannot be kept.
    """
    known, note = LogFiles(home.log).there()
    point = checked(note, known)
    held = newest(home, known)
    if held is not None and held[0].size == point.size:
        return held[0].size, held[1]
    answer = authority.stamp(note)
    folder = home.stamps
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for ending, data in ((".note", note), (".tsr", answer)):  # a stamp is never there without what it is over
            path = folder / f"{point.size}{ending}"
            put_whole(path, data, made=path.with_name(f".{path.name}.{os.getpid()}.new"))
    except OSError as error:
        raise JournalTrouble(f"{folder}: {error.strerror}") from error
    return point.size, stamp_of(answer)[1]


def stamps(home: Home, known: Known, most: int = 2**63) -> Iterator[tuple[Checkpoint, bytes, bytes]]:
    """(checkpoint, its note, the answer) of each stamp of this log, the smallest first; what is none, or another log's, is not.

    Args:
        most: entries that it may be over.
    """
    if not home.stamps.is_dir():
        return
    found = [path for path in home.stamps.iterdir() if path.suffix == ".tsr" and path.stem.isascii() and path.stem.isdigit()]
    for path in sorted(found, key=lambda path: int(path.stem)):
        try:
            note, answer = path.with_suffix(".note").read_bytes(), path.read_bytes()
            point = checked(note, known)
            stamp_of(answer)
        except (VerificationError, Wrong, OSError) as error:
            log.warning("%s: %s", path, error)
            continue
        if point.size == int(path.stem) <= most:
            yield point, note, answer


def newest(home: Home, known: Known) -> tuple[Checkpoint, str] | None:
    """The newest stamp of this log: (its checkpoint, when)."""
    last = None
    for point, _, answer in stamps(home, known):
        last = point, stamp_of(answer)[1]
    return last


class StampThread(threading.Thread):
    """Asks the authority, again and again."""

    def __init__(self, settings: Settings, home: Home):
        super().__init__(name="time stamps", daemon=True)
        self._authority, self._home = Authority(settings), home
        self._ended = threading.Event()
        self._said, self._stamped = "", (0, "")

    def run(self) -> None:
        """Until ``stop``."""
        due = 0.0
        while not self._ended.wait(0.5):
            if time.monotonic() >= due:
                every_s = self._authority.settings.tsa_every_s
                due = time.monotonic() + (every_s if self._one() else min(every_s, AGAIN_S))

    def _one(self) -> bool:
        """Whether it was stamped, or nothing is there to be."""
        try:
            files = LogFiles(self._home.log)
            known = files.known()
            point = None if known is None else files.checkpoint(known)
            if point is not None and point.size and point.size != self._stamped[0]:
                self._stamped = stamp(self._home, self._authority)
            words = ""
        except (Refusal, JournalError, VerificationError) as error:
            words = str(error)
        if words and words != self._said:
            log.warning("%s", words)
        self._said = words
        return not words

    def stop(self) -> None:
        """Ask it to end."""
        self._ended.set()

    def problems(self) -> list[str]:
        """None: an authority that does not answer is no fault of the log's."""
        return []

    def warnings(self) -> list[str]:
        """Why nothing is stamped, and since when."""
        size, when = self._stamped
        return [self._said + (f"; it stamped {size} entries at {when}" if size else "")] if self._said else []

    def counts(self) -> dict[str, int]:
        """Entries that are stamped."""
        return {"stamped_entries": self._stamped[0]}
