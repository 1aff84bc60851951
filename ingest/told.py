"""Tells a device whose warrant has ended to sleep: with the answer to a message that was refused for it, once a minute."""

from __future__ import annotations

from typing import Protocol

from devices import commands
from ingest.intake import Result
from ingest.permit import ROOT

#: A device that goes on sending is told again after so long; of so many it is remembered when they were told.
AGAIN_S, KEPT = 60.0, 10_000


class Client(Protocol):
    """A connection, as far as it is asked here."""

    identity: str

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message, if it has subscribed to that topic."""


class Told:
    """When each device was told."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def look(self, client: Client, result: Result, now_s: float) -> None:
        """A message of this client was refused."""
        device = client.identity
        said = commands.told(device, result.rejects)
        if said is not None and now_s - self._at.get(device, -AGAIN_S) >= AGAIN_S:
            if len(self._at) > KEPT:
                self._at.clear()
            if client.publish(f"{ROOT}{device}/command", said):
                self._at[device] = now_s
