"""Every export and every share is an entry, written before anything leaves: who took what, in which form, to whom and why.

What cannot be written down does not leave.  One thing is excepted, a journal in which nobody can write anything: a copy on a
stick or a disc, or one that this user may read only and that nobody writes.
"""

from __future__ import annotations

import os

from birddog.errors import JournalError
from birddog.journal import Home, home
from birddog.keyring import KeysClosed
from birddog.model import Access
from ingest import control
from opsroom.commands.common import say
from opsroom.registers import user_name


def record(url: str, access: Access) -> None:
    """Write the entry; the person is this system's user where none is named.

    A copy that can only be read has no such entry: that is said on stderr.

    Raises:
        KeysClosed: its keys cannot be opened.
        JournalError: it cannot be written now: the disk is full, a writer holds it or does not answer.  Then nothing leaves.
    """
    try:
        control.enter(url, [access], source="operator", actor=access.by)
    except KeysClosed:
        raise
    except (JournalError, PermissionError) as error:
        if only_to_read(home(url)):
            say(f"this {access.action} is not recorded: {error}")
        elif isinstance(error, JournalError):
            raise
        else:
            raise JournalError(f"this {access.action} cannot be recorded, and nothing leaves: {error}") from error


def only_to_read(journal: Home) -> bool:
    """Whether a journal lies where this user can write nothing, and no writer has its socket there."""
    beside = journal.base.resolve()
    return not os.path.lexists(journal.socket) and not (os.access(beside, os.W_OK) and os.access(beside.parent, os.W_OK))


def person(name: str) -> str:
    """A person as named on the command line, else this system's user."""
    return name or user_name()
