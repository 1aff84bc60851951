"""Every export and every share is an entry, written before anything leaves: who took what, in which form, to whom and why."""

from __future__ import annotations

from birddog.errors import JournalError
from birddog.keyring import KeysClosed
from birddog.model import Access
from ingest import control
from opsroom.commands.common import say
from opsroom.registers import user_name


def record(url: str, access: Access) -> None:
    """Write the entry; the person is this system's user where none is named.

    A journal that cannot be written (a copy on a stick) has no such entry: that is said on stderr.

    Raises:
        KeysClosed: its keys cannot be opened: then nothing leaves.
    """
    try:
        control.enter(url, [access], source="operator", actor=access.by)
    except KeysClosed:
        raise
    except (JournalError, PermissionError) as error:
        say(f"this {access.action} is not recorded: {error}")


def person(name: str) -> str:
    """A person as named on the command line, else this system's user."""
    return name or user_name()
