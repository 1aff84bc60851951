"""A journal's URL: which backend it names, and where everything lies that stands beside the journal.

Nobody else looks into a URL or makes the name of a file from a journal's: what another backend needs is one
module with the functions of ``Backend`` and one line in ``BACKENDS`` (docs/architecture.md, "To add something").
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Literal, Protocol, cast

from birddog.errors import UsageError
from birddog.journal.beside import Home
from birddog.journal.store import Mode, Reader, Writer
from birddog.journal.upgrade import Migrated

#: Scheme -> the module that reads and writes such a journal; imported when one is opened.
BACKENDS = {"sqlite": "birddog.journal.sqlite"}
#: What a person may write, in the words of every message about a URL.
FORMS = "sqlite:///relative/path or sqlite:////absolute/path"

Presence = Literal["there", "moved", "absent"]


class Backend(Protocol):
    """What a backend's module offers; ``tests/conformance/test_journals.py`` judges every one."""

    def home(self, url: str) -> Home:
        """Where the things beside the journal lie; ``url`` has this backend's scheme.

        Raises:
            UsageError: the URL is not well formed.
        """

    def presence(self, url: str) -> Presence:
        """Whether the journal is there; "moved" where only its newest part was left behind."""

    def open_writer(self, url: str, *, mode: Mode, create: bool, accept_loss: bool, log: bool, master: str) -> Writer:
        """See ``open_writer`` below."""

    def open_reader(self, url: str, *, older: bool) -> Reader:
        """See ``open_reader`` below."""

    def migrate(self, url: str) -> Migrated:
        """See ``migrate`` below."""


def _backend(url: str) -> Backend:
    module = BACKENDS.get(url.partition(":")[0])
    if module is not None:
        return cast(Backend, import_module(module))
    shown = re.sub(r"//[^/@]*@", "//…@", url)  # a password is not for a log
    if re.match(r"postgres(ql)?://", url):
        raise UsageError(f"{shown!r}: this version has no PostgreSQL backend: write {FORMS}")
    raise UsageError(f"{shown!r} is no journal URL: write {FORMS}")


def url_of(text: str) -> str:
    """The URL of a journal that a person named by it, or by the name of its file alone."""
    return text if is_url(text) else f"sqlite:///{text}"


def is_url(text: str) -> bool:
    """Whether a person named a journal by its URL, also by one that this version cannot open."""
    return re.match(rf"({'|'.join(BACKENDS)}|postgres(ql)?):", text) is not None


def home(url: str) -> Home:
    """Where everything lies that stands beside a journal, whether the journal is there or not.

    Raises:
        UsageError: the URL is wrong.
    """
    return _backend(url).home(url)


def presence(url: str) -> Presence:
    """Whether a journal is there; "moved" where only its newest part (a write-ahead log) was left behind.

    Raises:
        UsageError: the URL is wrong.
    """
    return _backend(url).presence(url)


def exists(url: str) -> bool:
    """Whether a journal is there.

    Raises:
        UsageError: the URL is wrong.
    """
    return presence(url) == "there"


def open_writer(url: str, *, mode: Mode, create: bool = True, accept_loss: bool = False, log: bool = True,
                master: str = "") -> Writer:
    """Open a journal for writing; creates it, with this mode, where it is absent.

    Args:
        accept_loss: go on with a journal that is not the one, or does not hold all, that had been acknowledged;
            ``lost`` of the writer says what it was.
        log: keep the evidence log, and cases' entries sealed; a journal that has begun so goes on so.
        master: where the master key of its keys lies, "" beside the journal or where its keys were made with.

    Raises:
        JournalDisagrees: it is not the one, or does not hold all, that had been acknowledged.
        JournalTrouble: the disk refuses now; it may come back.
        UsageError: the URL is wrong, or the journal is absent and ``create`` is False.
        JournalHeld: another process is writing it.
        JournalFull: no room to open it.
        JournalError: it is of the other mode, of a newer version, or damaged.
    """
    return _backend(url).open_writer(url, mode=mode, create=create, accept_loss=accept_loss, log=log, master=master)


def open_reader(url: str, *, older: bool = False) -> Reader:
    """Open a journal for reading.

    Args:
        older: read one of an older version as it is, without what it did not write down (whose an observation is).

    Raises:
        UsageError: the URL is wrong or there is no journal.
        JournalError: it is not a journal, of another version, or damaged.
    """
    return _backend(url).open_reader(url, older=older)


def migrate(url: str) -> Migrated:
    """Bring a journal of an older version to the present one, in one transaction; one of the present version stays.

    Raises:
        UsageError, JournalHeld, JournalFull, JournalError: as ``open_writer``; nothing was changed.
    """
    return _backend(url).migrate(url)
