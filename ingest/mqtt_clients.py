"""What the endpoint remembers of MQTT clients from one connection to the next; all of it bounded, and gone with the process."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from typing import Any

from ingest.door import veiled

log = logging.getLogger(__name__)

#: A client id that is taken over so often within so long is one that two devices have, or the link of one breaks.
CONTESTS, CONTEST_S = 3, 60.0
#: A client that comes back within so long after a cut may send again without DUP what it has no PUBACK for.
UNSURE_S = 10.0
#: A client that asks again and again for what it is refused is answered later each time; anew when it was quiet so long.
PATIENCE_S, LONGEST_WAIT_S = 60.0, 5.0
#: Refused CONNECTs that are told apart, and lines of log about them a minute.
REFUSED_KEPT, LOG_LINES = 50, 10
_CONTESTS_KEPT = 1_000
_CLIENTS_KEPT = 20_000


class Clients:
    """By client id: how far its packet ids had come, which of them are in doubt, how often it was taken over."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._unsure: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._contests: OrderedDict[str, deque[float]] = OrderedDict()
        self._refused: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._heedless: OrderedDict[str, None] = OrderedDict()

    def heedless(self, client_id: str) -> bool:
        """Whether a client was told Maximum Packet Size and sent a larger message all the same."""
        return client_id in self._heedless

    def heeds_nothing(self, client_id: str) -> None:
        """The other side of ``heedless``."""
        _keep(self._heedless, client_id, None, _CLIENTS_KEPT)

    def epoch(self, client_id: str) -> tuple[int, int] | None:
        """How far a client's packet ids had come on its last connection, (epoch, last id); None: not of this start."""
        return self._epochs.get(client_id)

    def unsure(self, client_id: str, now_s: float) -> int:
        """Of a client's last connection, where it was cut just now: the low packet ids that it may send again, as bits."""
        ended_s, ids = self._unsure.pop(client_id, (0.0, 0))
        return ids if now_s - ended_s <= UNSURE_S else 0

    def ended(self, client_id: str, epoch: tuple[int, int], unsure: int, now_s: float) -> None:
        """The other side of ``epoch`` and ``unsure``."""
        if unsure:
            _keep(self._unsure, client_id, (now_s, unsure), _CLIENTS_KEPT)
        if epoch != (0, 0):
            _keep(self._epochs, client_id, epoch, _CLIENTS_KEPT)

    def taken_over(self, client_id: str, now_s: float) -> None:
        """A connection of this client ended because another one came."""
        times = self._contests.get(client_id) or deque(maxlen=CONTESTS)
        times.append(now_s)
        _keep(self._contests, client_id, times, _CONTESTS_KEPT)

    def wait_s(self, client_id: str, now_s: float) -> float:
        """How late to answer one more SUBSCRIBE of which something is refused: the first at once, the 17th after 5 s.

        ChirpStack subscribes again at once, 20,000 times a second (its src/integration/mqtt.rs).
        """
        count, last_s = self._refused.get(client_id, (0, now_s))
        count = count + 1 if now_s - last_s <= PATIENCE_S else 1
        wait_s = min(0.02 * (count - 1) ** 2, LONGEST_WAIT_S)
        _keep(self._refused, client_id, (count, now_s + wait_s), _CLIENTS_KEPT)
        return wait_s

    def contested(self, now_s: float) -> list[str]:
        """The client ids that are taken over again and again, the latest last."""
        since_s = now_s - CONTEST_S
        return [name for name, times in self._contests.items() if len(times) == CONTESTS and times[0] > since_s]


class RefusedConnects:
    """Who did not get past CONNECT: in no journal (a port scan must not fill it), but in the log, /healthz and the console.

    Args:
        name: the endpoint's; leads the log's lines.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: OrderedDict[tuple[str, str, str], list[int]] = OrderedDict()  # [count, first, last]
        self._lines: deque[float] = deque(maxlen=LOG_LINES)
        self._unsaid = 0

    def add(self, address: str, client_id: str, reason: str) -> None:
        """One more.  ``client_id`` may be any text; it is shown with escapes, and never begins a line of its own."""
        key = (address, veiled(client_id[:80]), reason)
        now_ns = time.time_ns()
        row = self._rows.setdefault(key, [0, now_ns, now_ns])
        row[0], row[2] = row[0] + 1, now_ns
        self._rows.move_to_end(key)
        if len(self._rows) > REFUSED_KEPT:
            self._rows.popitem(last=False)
        if str(row[0]).strip("0") == "1":  # the 1st, the 10th, the 100th …
            self._say(key, row[0])

    def rows(self) -> list[dict[str, Any]]:
        """The newest first."""
        return [
            {"source": self._name, "address": address, "client_id": client_id, "reason": reason, "count": count,
             "first_ns": first_ns, "last_ns": last_ns}
            for (address, client_id, reason), (count, first_ns, last_ns) in reversed(self._rows.items())
        ]

    def _say(self, key: tuple[str, str, str], count: int) -> None:
        now_s = time.monotonic()
        if len(self._lines) == LOG_LINES and now_s - self._lines[0] < 60.0:
            self._unsaid += 1
            return
        self._lines.append(now_s)
        more = f"; {self._unsaid} more lines of this kind were left out" if self._unsaid else ""
        self._unsaid = 0
        log.warning("%s: CONNECT refused from %s, client id %a: %s; %d so far%s", self._name, *key, count, more)


def _keep(known: OrderedDict[str, Any], client_id: str, value: Any, most: int) -> None:
    known[client_id] = value
    known.move_to_end(client_id)
    if len(known) > most:
        known.popitem(last=False)
