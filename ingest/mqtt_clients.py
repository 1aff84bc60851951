"""What the endpoint remembers of MQTT clients from one connection to the next; all of it bounded, and gone with the process."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

#: A client id that is taken over so often within so long is one that two devices have, or the link of one breaks.
CONTESTS, CONTEST_S = 3, 60.0
#: A client that comes back within so long after a cut may send again without DUP what it has no PUBACK for.
UNSURE_S = 10.0
_CONTESTS_KEPT = 1_000
_CLIENTS_KEPT = 20_000


class Clients:
    """By client id: how far its packet ids had come, which of them are in doubt, how often it was taken over."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._unsure: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._contests: OrderedDict[str, deque[float]] = OrderedDict()

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

    def contested(self, now_s: float) -> list[str]:
        """The client ids that are taken over again and again, the latest last."""
        since_s = now_s - CONTEST_S
        return [name for name, times in self._contests.items() if len(times) == CONTESTS and times[0] > since_s]


def _keep(known: OrderedDict[str, Any], client_id: str, value: Any, most: int) -> None:
    known[client_id] = value
    known.move_to_end(client_id)
    if len(known) > most:
        known.popitem(last=False)
