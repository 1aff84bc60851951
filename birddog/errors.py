"""Whose fault it is: every error that Birddog raises on purpose says so by its class.

``DeviceError`` is what a device (or a file standing in for one) sent; ``UsageError`` is what the
person or program calling us asked; ``JournalError`` is the store.  The command line turns each into
one line on stderr and an exit status; none of them ever reaches a user as a traceback.
"""

from __future__ import annotations

from typing import Literal

#: Why something that a device sent is refused.
RejectReason = Literal[
    "framing", "format", "size", "length", "checksum", "type", "value", "clock", "replayed", "encrypted",
    "exercise", "identity", "unknown_device", "unauthorised",
]


class BirddogError(Exception):
    """Base of everything raised on purpose; ``exit_code`` is what the command line ends with."""

    exit_code = 2


class UsageError(BirddogError):
    """The caller asked for something that cannot be done: a wrong option, file or setting.

    Args:
        message: what is wrong and what was expected.
        file, line, field: where, as far as known; they lead the printed line.
    """

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None, field: str | None = None):
        where = ":".join(str(part) for part in (file, line) if part is not None)
        lead = f"{where}: " if where else ""
        what = f"{field}: " if field else ""
        super().__init__(f"{lead}{what}{message}")
        self.message, self.file, self.line, self.field = message, file, line, field


class ConfigError(UsageError):
    """The TOML file is wrong; the message names file, line and key."""


class DeviceError(BirddogError):
    """What a device sent breaks its format.  Raised inside a codec only; it becomes a Reject there.

    Args:
        reason: one of ``birddog.model.REJECT_REASONS``.
        detail: words for the operator, without any position.
    """

    def __init__(self, reason: RejectReason, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason: RejectReason = reason
        self.detail = detail


class JournalError(BirddogError):
    """The journal cannot be opened, is of another version or mode, or is held by another writer."""


class JournalFull(JournalError):
    """No room on disk: the transaction was rolled back whole and may be tried again."""


class JournalHeld(JournalError):
    """Another process is writing the journal."""


class JournalTrouble(JournalError):
    """The disk or the file system refuses now; it may come back, in a process that opens the journal anew."""


class JournalChanged(JournalError):
    """Somebody else changed the journal's files while it was being written; nothing is acknowledged from then on."""


class JournalGone(JournalChanged):
    """The journal's file is not in its place any more."""


class JournalDisagrees(JournalError):
    """The journal is not the one, or does not hold all, that had been acknowledged; nothing was written to it."""


class VerificationError(BirddogError):
    """A proof does not hold."""

    exit_code = 1


def printable(text: str) -> str:
    """The text with everything that could move a terminal's cursor or forge a line escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def place_of(error: BaseException) -> str:
    """An unexpected error for the log, in one line and without its words (they may hold what a device sent):
    its type, and file and line of each call, the innermost first."""
    import traceback  # a third of what a command's help takes, and seldom wanted

    calls = reversed(traceback.extract_tb(error.__traceback__))
    return f"{type(error).__name__} at " + " < ".join(f"{call.filename}:{call.lineno}" for call in calls)
