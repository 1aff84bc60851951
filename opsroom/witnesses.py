"""The witnesses of a run: other agencies that are asked by HTTP to sign the log's checkpoints (C2SP tlog-witness).

One thread for all: each is asked again when the log has grown and ``every_s`` have passed.  A witness that cannot be reached is
a warning; one that has signed what this log does not hold is a problem that /healthz names, and its word is kept, so that the
next start is refused (docs/evidence.md).  Nothing waits for a witness: messages are acknowledged as before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from birddog.errors import ConfigError, JournalError
from birddog.journal import Home
from birddog.journal.log_files import LogFiles
from birddog.journal.witnessed import Contradiction, kept, request, take
from birddog.merkle import VerificationError
from birddog.note import WITNESSES, Verifier
from birddog.units import iso_from_ns
from birddog.witness import MOST_BYTES, SIZE_TYPE
from opsroom.callee import Callee
from opsroom.callee import Refusal as Refusal

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[witness]]``: an agency that signs our checkpoints.

    Args:
        name: what we call it.
        key: its public key, NAME+HASH+KEY, as it was handed over.
        url: its submission prefix; ``http`` on this machine only.
        ca: PEM of who signed its certificate; cert, key_file: ours, where it asks for one.
        every_s: how often it is asked while the log grows; timeout_s: how long it may take.
    """

    name: str
    key: str
    url: str
    ca: str = ""
    cert: str = ""
    key_file: str = ""
    every_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)] = 60.0
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=60.0)] = 5.0


class Witness:
    """One witness, to be asked.

    Raises:
        ConfigError: its row cannot be used.
    """

    def __init__(self, settings: Settings):
        self.settings, field = settings, f"witness {settings.name!r}"
        try:
            self.verifier = Verifier.of(settings.key)
        except VerificationError as error:
            raise ConfigError(str(error), field=f"{field}.key") from error
        if self.verifier.kind != WITNESSES:
            raise ConfigError("is a log's key, not a witness's", field=f"{field}.key")
        self._callee = Callee(f"the witness {settings.name}", settings.url, field=f"{field}.", ca=settings.ca,
                              cert=settings.cert, key_file=settings.key_file, timeout_s=settings.timeout_s,
                              most_bytes=MOST_BYTES)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, str]:
        """(status, the answer's kind, the answer).

        Raises:
            Refusal: it cannot be reached, or what answers is no witness.
        """
        status, kind, raw = self._callee.call(method, path, body)
        return status, kind, raw.decode("utf-8", "replace")

    def newest(self, home: Home) -> bool:
        """Fetch what it signed last of this log, and keep it; whether there was something (ours to answer, not the standard's).

        Raises:
            Refusal: it cannot be reached.
            Contradiction: it has signed what this log does not hold.
        """
        known = LogFiles(home.log).known()
        if known is None:
            return False
        status, _, text = self.call("GET", f"/checkpoint/{sha256(known.origin.encode()).hexdigest()}")
        if status != 200:
            return False
        try:
            take(home, text, text.rpartition("\n\n")[2], self.verifier)
        except Contradiction:
            raise
        except VerificationError as error:
            raise Refusal(f"the witness {self.settings.name} gives a checkpoint that does not hold: {error}") from error
        return True

    def ask(self, home: Home) -> tuple[int, int]:
        """Have the newest checkpoint signed: (entries, when, POSIX seconds).

        Raises:
            Refusal: it cannot be reached, or does not sign.
            Contradiction: it has signed what this log does not hold.
            JournalError: the log cannot be read.
        """
        held, name = kept(home, self.verifier), self.settings.name
        known = LogFiles(home.log).known()
        old = held.size if held is not None and known is not None and held.origin == known.origin else 0
        for _ in range(3):
            try:
                asked, point = request(home, old)
            except Contradiction:
                self.newest(home)  # its word is kept
                raise
            status, kind, text = self.call("POST", "/add-checkpoint", asked.text().encode())
            if status == 200:
                try:
                    _, time_s = take(home, asked.note, text, self.verifier)
                except Contradiction:
                    raise
                except VerificationError as error:
                    raise Refusal(f"the witness {name} answers with a signature that does not hold: {error}") from error
                return point.size, time_s
            if status == 409 and kind.split(";")[0] == SIZE_TYPE and text.strip().isdigit() and len(text) < 22:
                if int(text) != old:
                    old = int(text)
                    continue
                status = 422  # it has signed another root of as many entries
            if status == 422:
                self.newest(home)
                raise Contradiction(f"the witness {name} has signed other first {old} entries of the log {point.origin}: "
                                    "it was forked or written anew")
            if status in (403, 404):
                raise Refusal(f"the witness {name} does not sign ({status}): it must be given this log's key, or the note of "
                              f"its rotation: {text.strip()[:200]}")
            raise Refusal(f"the witness {name} answers {status}: {text.strip()[:200]}")
        raise Refusal(f"the witness {name} signs for others while we ask: it is asked again")


def check(rows: Sequence[Settings]) -> None:
    """Raises:
        ConfigError: a row cannot be used.
    """
    for row in rows:
        Witness(row)


def fetched(rows: Sequence[Settings], home: Home) -> list[str]:
    """Before a start: fetch what each witness signed last, so that the writer is held against it; what could not be asked."""
    out = []
    for row in rows:
        try:
            Witness(row).newest(home)
        except Contradiction as error:
            log.info("%s", error)  # it is kept: the writer that opens the journal now refuses, or accepts the loss
        except (Refusal, JournalError) as error:
            out.append(f"{error}; this start is not held against it")
    return out


class WitnessThread(threading.Thread):
    """Asks all witnesses, again and again."""

    def __init__(self, rows: Sequence[Settings], home: Home):
        super().__init__(name="witnesses", daemon=True)
        self._witnesses, self._home = [Witness(row) for row in rows], home
        self._ended = threading.Event()
        self._said: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._signed: dict[str, tuple[int, int]] = {}

    def run(self) -> None:
        """Until ``stop``."""
        due = dict.fromkeys(range(len(self._witnesses)), 0.0)
        while True:
            for n, witness in enumerate(self._witnesses):
                if time.monotonic() >= due[n] and not self._ended.is_set():
                    due[n] = time.monotonic() + witness.settings.every_s
                    self._one(witness)
            if self._ended.wait(0.5):
                return

    def _one(self, witness: Witness) -> None:
        name = witness.settings.name
        try:
            known, held = LogFiles(self._home.log).known(), kept(self._home, witness.verifier)
            point = None if known is None else LogFiles(self._home.log).checkpoint(known)
            if point is None or not point.size or (held is not None and name in self._signed and held.size == point.size):
                return
            size, time_s = witness.ask(self._home)
            self._signed[name] = size, time_s
            self._problems.pop(name, None)
            words = ""
        except Contradiction as error:
            self._problems[name] = words = str(error)
        except (Refusal, JournalError, VerificationError) as error:
            words = str(error)
        if words and words != self._said.get(name):
            log.warning("%s", words)
        self._said[name] = words

    def stop(self) -> None:
        """Ask it to end."""
        self._ended.set()

    def problems(self) -> list[str]:
        """What a witness knows better than this log."""
        return list(self._problems.values())

    def warnings(self) -> list[str]:
        """Who does not sign, and since when."""
        out = []
        for name, words in self._said.items():
            if words and name not in self._problems:
                size, time_s = self._signed.get(name, (0, 0))
                out.append(words + (f"; it signed {size} entries at {iso_from_ns(time_s * 10**9)}" if size else ""))
        return out

    def counts(self) -> dict[str, int]:
        """Entries that each has signed."""
        return {f"witness:{name}_signed_entries": size for name, (size, _) in self._signed.items()}
