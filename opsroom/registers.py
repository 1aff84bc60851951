"""Entries of the registers from the command line: checked against the journal, then handed to the writer."""

from __future__ import annotations

import os
import time

from birddog.directory import Directory
from birddog.errors import UsageError
from birddog.journal import exists, home, open_reader, open_writer
from birddog.model import Body, unpack
from birddog.units import iso_from_ns
from ingest import control


class Registers:
    """The registers of one journal, as of now.

    Args:
        url: the journal.
        create: make the journal where it is absent (a case is opened before the first message).
        exercise: the mode of a journal that is made.
        actor: the person who enters something; this system's user where none is named.
    """

    def __init__(self, url: str, *, create: bool = False, exercise: bool = False, actor: str = ""):
        self.url, self.path = url, home(url).base
        self.actor = actor or user_name()
        self.created = False
        if create and not exists(url):
            open_writer(url, mode="exercise" if exercise else "live").close()
            self.created = True
        reader = open_reader(url)
        self.mode = reader.mode
        self.directory = Directory()
        for entry in reader.registers():
            self.directory.apply(unpack(entry))
        self.now_ns = time.time_ns()
        #: What is later is to come: by this machine's clock, and of an exercise by that of its messages.
        self._latest_ns = max(self.now_ns, reader.clock_ns()) if self.mode == "exercise" else self.now_ns
        reader.close()

    def enter(self, *bodies: Body) -> list[int]:
        """Append entries, by the running writer or by ourselves; returns their numbers."""
        return control.enter(self.url, bodies, source="operator", actor=self.actor)

    def past(self, time_ns: int, field: str) -> int:
        """The time of something that was done.

        Raises:
            UsageError: it is to come: nothing was done then.
        """
        if time_ns > self._latest_ns:
            raise UsageError(f"{iso_from_ns(time_ns)} is to come (it is {iso_from_ns(self._latest_ns)}): when it was done was "
                             "expected", field=field)
        return time_ns

    def operation(self, name: str) -> None:
        """Raises:
            UsageError: there is no such operation, or it is closed.
        """
        operation = self.directory.operations.get(name)
        if operation is None:
            raise UsageError(f"no operation {name!r}; birddog operation add {name}", field="operation")
        if operation.closed:
            raise UsageError(f"operation {name!r} is closed", field="operation")


def user_name() -> str:
    """The name of the user whose process this is, as the system has it; a number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
