"""UDP as a target: one datagram a message.  Nothing comes back; what the other side drops, it drops."""

from __future__ import annotations

import socket

from birddog.errors import UsageError
from sim.emission import Emission
from sim.emit import Target


class UdpEmitter:
    """Every UDP stream of a scenario to one address; each stream has a port of its own, as each receiver would."""

    def __init__(self, target: Target):
        self._target = target
        try:
            family, _, _, _, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise UsageError(f"{target.text}: {error.strerror}", field="--to") from error
        self._family, self._address = family, address
        self._sockets: dict[str, socket.socket] = {}
        self._refused = 0

    def send(self, emission: Emission) -> None:
        """Send one datagram."""
        sock = self._sockets.get(emission.stream)
        if sock is None:
            sock = self._sockets[emission.stream] = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            sock.sendto(emission.payload, self._address)
        except OSError:
            self._refused += 1  # nobody listens there now: said at the end, as UDP goes

    def close(self, wait_s: float) -> list[str]:
        """Close the sockets."""
        for sock in self._sockets.values():
            sock.close()
        return [f"{self._target.text}: {self._refused} datagrams could not be sent"] if self._refused else []


def open_target(target: Target) -> UdpEmitter:
    """Resolve the address."""
    return UdpEmitter(target)
