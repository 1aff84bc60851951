"""Play a scenario: merge what the devices send, in order of time, and hand it to the targets.

Into a folder it goes as fast as it can be written and ends after the scenario's duration.  Against live targets time
is kept (``speed`` times life) and it goes on until ``stop`` is set.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from birddog.errors import UsageError
from birddog.stop import Asked
from birddog.units import NS
from sim import devices, emit
from sim import scenario as scenarios
from sim.emission import Emission
from sim.emit_files import FolderEmitter
from sim.tables import Scenario
from sim.truth import TruthWriter
from sim.world import World

#: So long a target may take to acknowledge what is under way when the run ends.
CLOSE_S = 10.0


class Played(msgspec.Struct, frozen=True):
    """What a run did: emissions sent by transport, seconds of the scenario, and words for the operator."""

    sent: dict[str, int]
    seconds: float
    remarks: tuple[str, ...]


def emissions(s: Scenario, world: World, seed: int, start_ns: int) -> Iterator[Emission]:
    """Everything that all devices send, in the order of time, for ever."""
    streams = [devices.emissions(d, s, world, seed, start_ns) for d in s.devices()]
    return heapq.merge(*streams, key=lambda e: e.at_ns)


def play(
    name: str | Scenario,
    targets: Iterable[str],
    *,
    seed: int = 1,
    start_ns: int | None = None,
    speed: float = 1.0,
    stop: Asked | None = None,
    truth_path: str | Path | None = None,
    for_s: float | None = None,
    say: Callable[[str], None] | None = None,
    certs: str = "",
    wait_s: float = 0.0,
    now: Callable[[], int] | None = None,
) -> Played:
    """Play a scenario until it ends or ``stop`` is set; may run in a child process.

    Args:
        name: a scenario's name, a TOML file, or a loaded scenario.
        targets: as ``--to`` takes them.
        seed: the same seed gives the same bytes for the same start.
        start_ns: when the scenario begins; None: its fixed start, for a folder only (the caller has the clock).
        speed: scenario seconds a second against live targets.
        stop: ends the run early.
        truth_path: where the truth is written.
        for_s: scenario seconds to play; None: its duration into a folder, for ever against live targets.
        say: gets words of progress.
        certs: for ``mqtts://``: a folder with ``ca.pem`` and, a device, ``ID.pem`` and ``ID.key``.
        wait_s: for so long live targets that must listen are waited for; the lines that are made here are there before.
        now: the time, in place of ``start_ns``: it begins when they listen.

    Raises:
        UsageError: a target is wrong, missing or cannot be reached.
    """
    entered_s = time.monotonic()  # the caller's start is now: what is slow below must not set the devices' clocks back
    if not speed > 0.0 or speed > 10_000.0:
        raise UsageError("wants a number above 0, at most 10000", field="--speed")
    s = scenarios.load(name) if isinstance(name, str) else name
    aims = [emit.parse(t, certs) for t in targets]
    assigned = emit.assign(s, aims)
    live = emit.is_live(aims)
    if start_ns is None and now is None:
        if live:
            raise UsageError("a live target wants a start", field="--start")
        start_ns = s.start_ns
    stop = stop or threading.Event()
    world = scenarios.build(s, seed)
    if for_s is None and not live:
        for_s = s.scenario.duration_s
    emitters = emit.open_all(assigned, wait_s, stop.is_set)
    if start_ns is None:
        assert now is not None, "whoever gives no start gives the clock"
        start_ns, entered_s = now(), time.monotonic()
    truth = None
    sent: dict[str, int] = {}
    at_s = 0.0
    remarks: list[str] = []
    try:
        everything = emissions(s, world, seed, start_ns)
        first = next(everything)  # every device has measured once: what is slow to begin with is behind us
        truth = TruthWriter(Path(truth_path), s, world, start_ns) if truth_path is not None else None
        for emitter in _once(emitters):
            if isinstance(emitter, FolderEmitter):
                takes = {transport for transport, e in emitters.items() if e is emitter}
                emitter.begin(start_ns, scenarios.registers(s, start_ns), watched=live and takes == {"scenes"})
        if say:
            say(f"{s.scenario.title}: {len(s.devices())} devices, seed {seed}")
        clock = _Clock(speed, stop, entered_s) if live else None
        for emission in itertools.chain((first,), everything):
            at_s = emission.at_ns / NS
            if for_s is not None and at_s > for_s:
                at_s = for_s
                break
            if clock is not None and not clock.reach(at_s, truth):
                at_s = clock.now_s()
                break
            if stop.is_set():
                break
            if emission.idle:
                continue
            emitters[emission.transport].send(emission)
            sent[emission.transport] = sent.get(emission.transport, 0) + 1
        if clock is not None and for_s is not None:
            clock.reach(for_s, truth)
        if truth is not None:
            truth.until(at_s)
    finally:
        for emitter in _once(emitters):
            remarks += emitter.close(CLOSE_S)
        if truth is not None:
            truth.close()
    return Played(sent, at_s, tuple(remarks))


class _Clock:
    """Scenario time against life."""

    def __init__(self, speed: float, stop: Asked, begun_s: float):
        self._speed, self._stop, self._begun = speed, stop, begun_s

    def now_s(self) -> float:
        """Seconds of the scenario that have passed."""
        return (time.monotonic() - self._begun) * self._speed

    def reach(self, at_s: float, truth: TruthWriter | None) -> bool:
        """Wait until a second of the scenario; False when the run was stopped.  The truth is written meanwhile."""
        while True:
            now_s = self.now_s()
            if truth is not None:
                truth.until(min(now_s, at_s))
            left_s = (at_s - now_s) / self._speed
            if left_s <= 0.0:
                return not self._stop.is_set()
            if self._stop.wait(min(left_s, 1.0)):
                return False


def _once(emitters: dict[Any, Any]) -> list[Any]:
    out: list[Any] = []
    for emitter in emitters.values():
        if emitter not in out:
            out.append(emitter)
    return out
