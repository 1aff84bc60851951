"""A watched folder: each scene that appears in it becomes one look, once, whatever happens to the process.

A file is opened when two steps in a row found it unchanged.  A ledger (SQLite, FULL) keyed by the scene's SHA-256
and the parameters knows what was sent and what was refused, with the reason; neither is done again, also under
another name.  What is sent has an id made from the same hashes, so that a look whose sending was cut off by a
kill is sent again as the same look, and the journal keeps one.  Files are never moved or changed: they may be
evidence.  The polarisations of one pass that lie there together are one look.  Of every file that is refused or passed
over the status says the name and the reason for as long as it lies there, and the log says it once.

Over 400 lines: what may happen to a file between two steps, and what the ledger says of it, is one promise.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from birddog.errors import ConfigError, UsageError, printable
from birddog.model import Scan
from birddog.stop import Asked
from imagery import detector as contract
from imagery.folder import SUFFIXES, look_into, pass_of
from imagery.look import scan_of, together
from imagery.only import only_of
from imagery.scan import params_hash, scan
from imagery.scene import SceneChanged, SceneError, sha256_of
from imagery.settings import Settings

__all__ = ["LEDGER_NAME", "SUFFIXES", "Settings", "Watch"]

LEDGER_NAME = ".birddog-imagery.db"
#: A scene whose scan was begun this often and never ended (it kills the process) is refused.
MOST_ATTEMPTS = 25

#: So many lines about files stand in the status; the others are counted.
MOST_TOLD = 40
#: Begins the ledger's reason of a file that was passed over and is no refusal.
_PASSED = "passed over: "

#: What is wrong with the machine and not with the file: it is tried again, after so many steps at most.
_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.EAGAIN,
                      errno.EBUSY, errno.ENOTCONN, errno.EHOSTDOWN})
LONGEST_REST = 64

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scene (
    sha256 TEXT NOT NULL, params TEXT NOT NULL, scan_id TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('begun', 'sent', 'refused')),
    attempts INTEGER NOT NULL DEFAULT 0, flags INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (sha256, params)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    name TEXT NOT NULL, params TEXT NOT NULL, stamp TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (name, params)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class _Later(Exception):
    """This file cannot be dealt with now, through no fault of its own."""


class Watch:
    """One watched folder.

    Args:
        send: takes a look to the journal; when it returns, the look is on disk there.
        tell: takes a line for the log.

    Raises:
        ConfigError: a setting is wrong, or the folder or ledger cannot be used.
    """

    def __init__(self, settings: Settings, send: Callable[[Scan], None], tell: Callable[[str], None] = lambda line: None):
        _check(settings)
        self.settings, self._send, self._tell = settings, send, tell
        self.folder = Path(settings.folder)
        try:
            os.scandir(self.folder).close()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigError(f"there is no folder {settings.folder}", field="imagery.folder") from error
        except OSError as error:
            raise ConfigError(f"{settings.folder} cannot be read: {error.strerror}", field="imagery.folder") from error
        kernel = contract.find(settings.detector)
        pfa = kernel.PFA if settings.pfa is None else settings.pfa
        self._only = only_of(settings)
        said = (params_hash(settings.detector, pfa, self._only), settings.sensor, settings.pd, settings.geolocation_sigma_m)
        self.params = hashlib.sha256(repr(said).encode()).hexdigest()
        ledger = Path(settings.ledger) if settings.ledger else self.folder / LEDGER_NAME
        self._own = frozenset(ledger.name + end for end in ("", "-wal", "-shm", "-journal", ".lock"))
        self._ledger = _open_ledger(ledger)
        self._seen_before: dict[str, str] = {}
        self._problem = ""
        self._waiting = 0
        self._now = ""
        self._rests: dict[str, tuple[int, int]] = {}
        self._last_refused = self._left_out = ""
        self._doubts: dict[str, tuple[str, ...]] = {}
        self._here: frozenset[str] = frozenset()
        self._passed: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def step(self, stop: Asked | None = None) -> int:
        """One look into the folder: scans what is new and has come to rest; returns how many looks were sent.

        Args:
            stop: between two files it is asked whether to go on.

        Raises:
            whatever ``send`` raises: that look is sent again by a later step.
        """
        try:
            return self._step(stop)
        except sqlite3.OperationalError as error:
            # a full disk, mostly: nothing is lost, for what the ledger does not know is done again as the same look
            self._problem = f"the ledger cannot be used: {error}"
            return 0

    def _step(self, stop: Asked | None) -> int:
        sent, waiting = 0, 0
        try:
            found = {name: stamp for name, stamp in self._files() if not self._known(name, stamp)}
        except OSError as error:
            self._problem = f"{self.folder} cannot be read: {error.strerror}"
            return 0
        self._problem, self._waiting = "", len(found)
        self._rests = {name: rest for name, rest in self._rests.items() if name in found}
        for _, group in groupby(sorted(found, key=lambda name: (pass_of(name), name)), key=pass_of):
            names = list(group)
            if stop is not None and stop.is_set():
                return sent
            if any(self._seen_before.get(name) != found[name] for name in names) or self._resting(names[0]):
                waiting += len(names)
                continue
            try:
                sent += self._take(names, found)
                self._rests.pop(names[0], None)
            except SceneChanged:
                for name in names:
                    found.pop(name)
                waiting += len(names)
            except _Later as error:
                steps = min(2 * self._rests.get(names[0], (0, 0))[1] + 1, LONGEST_REST)
                self._rests[names[0]] = steps, steps
                self._problem = f"{error}; tried again"
                waiting += len(names)
            self._waiting -= len(names)
        self._seen_before, self._waiting = found, waiting
        return sent

    def run(self, stop: Asked) -> None:
        """Step until told to stop."""
        try:
            while not stop.is_set():
                self.step(stop)
                stop.wait(self.settings.poll_s)
        finally:
            self.close()

    def status(self) -> dict[str, Any]:
        """For the health page; from any thread."""
        sent, refused = 0, []
        try:
            with self._lock:
                sent = self._ledger.execute("SELECT count(*) FROM scene WHERE params = ? AND state = 'sent'",
                                            (self.params,)).fetchone()[0]
            refused = self.refused()
        except sqlite3.ProgrammingError:
            pass  # closed: the process is ending
        except sqlite3.Error as error:
            self._problem = f"the ledger cannot be used: {error}"
        last = self._last_refused or (f"{refused[-1][0]}: {refused[-1][1]}" if refused else "")
        here = [(name, f"refused: {reason}") for name, reason in refused if name in self._here]
        here += [(name, f"passed over: {reason}") for name, reason in sorted(self.passed_over().items())]
        lines = [printable(f"{name} {reason}") for name, reason in here[:MOST_TOLD]]
        if len(here) > MOST_TOLD:
            lines.append(f"and {len(here) - MOST_TOLD} more files refused or passed over")
        doubtful = [printable(f"{name} {doubt}") for name, doubts in list(self._doubts.items()) for doubt in doubts]
        lines += doubtful[-MOST_TOLD:]
        if self._left_out:
            lines.append(f"left out: {self._left_out}")
        return {"sent": sent, "refused": len(refused), "passed_over": len(self.passed_over()), "waiting": self._waiting,
                "scanning": self._now, "problem": self._problem, "last_refused": last, "left_out": self._left_out,
                "warnings": lines}

    def passed_over(self) -> dict[str, str]:
        """Name and reason of every file in the folder that is not refused, and not scanned either."""
        with self._lock:
            rows = self._ledger.execute("SELECT name, reason FROM file WHERE params = ? AND reason LIKE ?",
                                        (self.params, _PASSED + "%")).fetchall()
        return self._passed | {name: reason[len(_PASSED):] for name, reason in rows if name in self._here}

    def refused(self) -> list[tuple[str, str]]:
        """(name, reason) of every file that is no scene, in order of name."""
        with self._lock:
            rows = self._ledger.execute(
                "SELECT name, reason FROM scene WHERE params = ? AND state = 'refused' UNION "
                "SELECT name, reason FROM file WHERE params = ? AND reason != '' AND reason NOT LIKE ? ORDER BY 1",
                (self.params, self.params, _PASSED + "%")).fetchall()
        return [(name, reason) for name, reason in rows]

    # --- inside -----------------------------------------------------------------------------------

    def _files(self) -> list[tuple[str, str]]:
        """(name, stamp) of each file that may be a scene."""
        out = []
        seen = look_into(self.folder, self._own)
        for name, reason in seen.passed.items():
            self._say_once(name, f"passed over: {reason}")
        scenes = [(name.encode("utf-8", "backslashreplace").decode(), name, stamp) for name, stamp in seen.scenes]
        self._passed, self._here = seen.passed, frozenset(shown for shown, _, _ in scenes)
        for shown, name, stamp in scenes:
            if shown == name:
                out.append((name, stamp))
            elif not self._known(shown, stamp):
                self._settle(shown, stamp, "its name is no UTF-8; rename it")
        return out

    def _say_once(self, name: str, words: str) -> None:
        if (name, words) not in self._told:
            self._told.add((name, words))
            self._tell(printable(f"imagery: {name} {words}"))

    def _resting(self, name: str) -> bool:
        """Whether a file that could not be dealt with shall wait for another step."""
        left, steps = self._rests.get(name, (0, 0))
        if left:
            self._rests[name] = left - 1, steps
        return left > 0

    def _known(self, name: str, stamp: str) -> bool:
        return self._one("SELECT 1 FROM file WHERE name = ? AND params = ? AND stamp = ?", name, self.params, stamp) is not None

    def _take(self, names: list[str], stamps: dict[str, str]) -> int:
        """Scan and send the files of one pass, unless their like was done before; returns how many looks were sent."""
        todo: list[tuple[str, str]] = []
        for name in names:
            digest = self._new(name, stamps[name])
            if digest is not None and digest not in [d for _, d in todo]:
                todo.append((name, digest))
        if not todo:
            return 0
        done = self._done_of_pass(todo[0][0])
        if done:
            for name, _ in todo:
                why = f"is of the same pass as {printable(done)}, which was looked at before it came"
                self._settle(name, stamps[name], _PASSED + why)
            return 0
        looks: list[tuple[str, str, Scan]] = []
        every = 0
        for name, digest in todo:
            scan_id = hashlib.sha256(f"{digest}|{self.params}".encode()).hexdigest()
            found = self._look(name, stamps[name], digest, scan_id)
            if found is not None:
                looks.append((name, digest, found[0]))
                every += found[1]
        if not looks:
            return 0
        seen = looks[0][2] if len(looks) == 1 else together([one for _, _, one in looks])
        told = sum(len(one.flags) for _, _, one in looks)
        if told < every:
            self._left_out = f"{printable(looks[0][0])}: {every - told} of {every} flags, the weakest or off their scene"
            self._say_once("left out of", self._left_out)
        if seen.time_source == "server":
            self._say_once(looks[0][0], f"does not say when it was taken; a guess stands for it: {seen.time_by}")
        self._send(seen)
        for name, digest, one in looks:
            self._do("UPDATE scene SET state = 'sent', flags = ? WHERE sha256 = ? AND params = ?",
                     len(one.flags), digest, self.params)
            self._settle(name, stamps[name])
        return 1

    def _new(self, name: str, stamp: str) -> str | None:
        """The hash of a file that is to be looked at; None where there is nothing to do about it."""
        path = self.folder / name
        try:
            digest = sha256_of(path)
        except SceneChanged:
            raise
        except SceneError as error:
            if _passing(error):
                raise _Later(str(error)) from error
            if path.exists():
                self._settle(name, stamp, str(error).removeprefix(f"{path}: "))
            return None
        row = self._one("SELECT state, attempts, name, reason FROM scene WHERE sha256 = ? AND params = ?", digest, self.params)
        if row and row[0] == "sent":
            same = row[2] == name
            self._settle(name, stamp, "" if same else f"{_PASSED}is the same file as {printable(row[2])} (SHA-256)")
            return None
        if row and row[0] == "refused":
            self._settle(name, stamp, row[3])
            return None
        if row and row[1] >= MOST_ATTEMPTS:
            why = f"its scan was begun {MOST_ATTEMPTS} times and never ended"
            self._refuse(digest, why)
            self._settle(name, stamp, why)
            return None
        return digest

    def _done_of_pass(self, name: str) -> str:
        """The file of the same pass that was looked at before, if it still lies here."""
        key = pass_of(name)
        if key == name:
            return ""
        for other in sorted(self._here):
            if other != name and pass_of(other) == key and self._one(
                    "SELECT 1 FROM scene WHERE name = ? AND params = ? AND state = 'sent'", other, self.params):
                return other
        return ""

    def _look(self, name: str, stamp: str, digest: str, scan_id: str) -> tuple[Scan, int] | None:
        """(the look of one file, how many flags its scan had); None where it is refused."""
        path = self.folder / name
        self._do("INSERT INTO scene (sha256, params, scan_id, name, state, attempts) VALUES (?, ?, ?, ?, 'begun', 1) "
                 "ON CONFLICT (sha256, params) DO UPDATE SET attempts = attempts + 1, name = excluded.name",
                 digest, self.params, scan_id, name)
        self._now = name
        try:
            s = self.settings
            result = scan(path, detector=s.detector, pfa=s.pfa, tile=s.tile, threads=s.threads, only=self._only)
            if result.sha256 != digest:
                raise SceneChanged("is another file than a moment ago", file=str(path))
            seen = scan_of(result, scan_id=scan_id, sensor=s.sensor, pd=s.pd, geolocation_sigma_m=s.geolocation_sigma_m)
        except SceneChanged:
            self._ended(digest)
            raise
        except SceneError as error:
            if _passing(error) or not _still(path, digest):
                self._ended(digest)
                raise _Later(str(error)) from error
            why = str(error).removeprefix(f"{path}: ")
            self._refuse(digest, why)
            self._settle(name, stamp, why)
            return None
        finally:
            self._now = ""
        self._ended(digest)
        for doubt in result.doubts:
            self._say_once(name, doubt)
        if result.doubts:
            self._doubts = {k: v for k, v in self._doubts.items() if k in self._here and k != name} | {name: result.doubts}
        return seen, len(result.flags)

    def _ended(self, digest: str) -> None:
        """It is no file that kills: what follows may be tried for ever."""
        self._do("UPDATE scene SET attempts = 0 WHERE sha256 = ? AND params = ?", digest, self.params)

    def _refuse(self, digest: str, reason: str) -> None:
        self._do("UPDATE scene SET state = 'refused', reason = ? WHERE sha256 = ? AND params = ?", reason, digest, self.params)

    def _settle(self, name: str, stamp: str, reason: str = "") -> None:
        """This file needs no second look while it stays as it is."""
        if reason.startswith(_PASSED):
            self._say_once(name, reason)
        elif reason:
            self._last_refused = f"{name}: {reason}"
            self._say_once(name, f"refused: {reason}")
        self._do("INSERT INTO file (name, params, stamp, reason) VALUES (?, ?, ?, ?) "
                 "ON CONFLICT (name, params) DO UPDATE SET stamp = excluded.stamp, reason = excluded.reason",
                 name, self.params, stamp, reason)

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        with self._lock:
            return self._ledger.execute(sql, values).fetchone()

    def _do(self, sql: str, *values: Any) -> None:
        with self._lock, self._ledger:
            self._ledger.execute(sql, values)


def _passing(error: BaseException | None) -> bool:
    """Whether the machine is at fault (no memory, no descriptor, a disk or share that does not answer)."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _PASSING):
            return True
        error = error.__cause__
    return False


def _still(path: Path, digest: str) -> bool:
    """Whether a file that GDAL could not read can be read to its end, as it was: then it is damaged, and not its disk."""
    try:
        return sha256_of(path) == digest
    except SceneError:
        return False


def _check(s: Settings) -> None:
    def no(field: str, why: str) -> ConfigError:
        return ConfigError(why, field=f"imagery.{field}")

    try:
        kernel = contract.find(s.detector)
    except UsageError as error:
        raise no("detector", f"there is no detector {s.detector!r}") from error
    if kernel.BANDS == "pair" or kernel.PFA is None:
        raise no("detector", f"{s.detector} compares two scenes; a folder wants one that looks at one")
    if not s.sensor or not s.sensor.isprintable():
        raise no("sensor", "wants a name")
    if s.pfa is not None and not 1e-12 <= s.pfa <= 0.01:
        raise no("pfa", "wants a probability from 1e-12 to 0.01")
    if not 0.0 < s.pd < 1.0:
        raise no("pd", "wants a probability between 0 and 1")
    if not 0.0 < s.geolocation_sigma_m <= 1e5:
        raise no("geolocation_sigma_m", "wants metres above 0")
    if not 0.05 <= s.poll_s <= 3600.0:
        raise no("poll_s", "wants 0.05 to 3600 s")
    if not 64 <= s.tile <= 65_536:
        raise no("tile", "wants 64 to 65536 px")
    if not 1 <= s.threads <= 16:
        raise no("threads", "wants 1 to 16")


def _open_ledger(path: Path) -> sqlite3.Connection:
    try:
        ledger = sqlite3.connect(path, timeout=10.0, check_same_thread=False, isolation_level="IMMEDIATE")
        version = ledger.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, 1):
            raise ConfigError(f"{path} is a ledger of version {version}; this program knows 1", field="imagery.ledger")
        ledger.execute("PRAGMA synchronous = FULL")
        ledger.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise ConfigError(f"{path} cannot be used as the ledger: {error}", field="imagery.ledger") from error
    return ledger
