"""What every transport keeps: one protocol in one flavour, the settings behind it, and the thread of those that block.

A transport is told to start and to stop on the event loop of the ingest process, hands *lists* of frames to the
intake, and is told there what is on disk (``Source.acknowledge``); only then may it answer a device.
tests/conformance/test_transports.py judges every one that ``ingest.transports`` knows; tools/templates/transport.py
is one to copy.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from birddog.directory import Directory
from birddog.errors import place_of
from ingest.intake import Intake, Result, Source

log = logging.getLogger(__name__)

#: A body that crashed is run again after this.
AGAIN_S = 5.0
#: How long ``stop`` waits for a body's thread: longer than any body waits for the desk.
STOP_PATIENCE_S = 5.0


class Transport(Source, Protocol):
    """How bytes arrive.  Everything but ``acknowledge`` belongs to the loop's thread.

    ``ports`` are those that it listens on since ``start``; empty where it calls others.
    """

    ports: list[int]

    async def start(self) -> None:
        """Take messages from now on; what is only away for the moment (a broker, a port) is tried again, not an error.

        Raises:
            UsageError: it can never work: a taken port, a certificate that cannot be read.
        """

    async def stop(self) -> None:
        """Read no more, wait a while for what was read to be on disk and answered, and let go of everything."""

    def status(self) -> dict[str, Any]:
        """Counters since the start by name for /metrics and /healthz; ``acknowledged`` (or ``acknowledged_total``) is one.

        Of these /healthz speaks: ``connected`` and ``subscribed`` (False is a problem), ``last_error`` (its words),
        ``contested`` (a warning), ``tls_expires_unix_s``, ``refused_connects`` (rows).
        """


class Room(msgspec.Struct, frozen=True):
    """What the ingest process gives a transport.

    Args:
        intake: where frames go.
        exercise: this is no live run.
        directory: the registers, as the desk keeps them.
        crashed: told the name of a transport and its fault.
    """

    intake: Intake
    exercise: bool
    directory: Directory
    crashed: Callable[[str, Exception], None]


class Kind(msgspec.Struct, frozen=True):
    """One kind of transport; the module that has it says ``KIND = Kind(...)``.

    Args:
        section: its name in the TOML.
        settings: the struct of that section.
        check: refuses settings with which it could not work, and opens nothing to find that out.
        make: the transport of such settings; it holds nothing open before ``start``.
        many: ``[[section]]``, any number; else ``[section]``, exactly one.
    """

    section: str
    settings: type[msgspec.Struct]
    check: Callable[[Any, bool], object]
    make: Callable[[Any, Room], Transport]
    many: bool = True


class Body(Source, Protocol):
    """A transport that blocks: ``run`` is the body of a thread of its own; the rest may be called from any."""

    def run(self, intake: Intake) -> None:
        """Take messages until ``stop``."""

    def stop(self) -> None:
        """Ask ``run`` to end."""

    def status(self) -> dict[str, Any]:
        """See ``Transport.status``."""


class Threaded:
    """The transport of a body: a thread that runs it, and again where it crashed, until ``stop``."""

    def __init__(self, body: Body, room: Room):
        self.body, self.name = body, body.name
        self.ports: list[int] = []
        self._room = room
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=body.name, daemon=True)

    def acknowledge(self, results: list[Result]) -> None:
        """The body's; frames come from it, so the desk asks it directly."""
        self.body.acknowledge(results)

    def status(self) -> dict[str, Any]:
        """The body's."""
        return self.body.status()

    async def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Ask the body to end, and wait for it."""
        self._ending.set()
        self.body.stop()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, STOP_PATIENCE_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                return self.body.run(self._room.intake)
            except Exception as error:  # noqa: BLE001 - boundary: one transport's fault must not end it for good, nor the others
                log.error("%s crashed and is run again: %s", self.name, place_of(error))
                self._room.crashed(self.name, error)
                self._ending.wait(AGAIN_S)
