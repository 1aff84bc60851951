"""What transports share: session names that never repeat, waits that grow with each failure, topics' devices, dead links.

A session is one connection (or, where one connection carries many senders, one sender on it): the
desk keeps one decoder's state for each, in order.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

#: What a source connects to may start together with it: so long it is waited for without a warning.
GRACE_S = 5.0
#: Differs for each start of the process, so that no session of an earlier run has the same name.
_START = os.urandom(5).hex()
_COUNTER = itertools.count(1)


def new_session(source: str) -> str:
    """A name for a new connection of ``source``, unique over all runs."""
    return f"{source}/{_START}-{next(_COUNTER)}"


def find_dead_links(sock: socket.socket) -> None:
    """Let the kernel ask a silent peer whether it is still there: after two minutes, and give up after four (not two hours)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Backoff:
    """Waits that double from ``first_s`` to ``most_s``, each shortened by up to half at random.

    The jitter keeps many clients of one server, that all lost it at once, from coming back at once.
    """

    def __init__(self, first_s: float, most_s: float):
        self._first_s, self._most_s = first_s, most_s
        self.failures = 0

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        whole_s = min(self._first_s * 2.0 ** min(self.failures, 30), self._most_s)
        self.failures += 1
        return whole_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin at the first wait again."""
        self.failures = 0
