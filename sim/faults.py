"""What goes wrong between a device and us: one stream of emissions in, a worse one out.

Loss, duplicates, messages that overtake each other, bytes cut off, bits turned over, rubbish, silent windows, and
windows without a network whose messages come afterwards, all at once.  Everything is drawn from the device's own
random stream, in the order of the emissions: the same seed goes wrong in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import msgspec

from birddog.units import NS
from sim.emission import Emission
from sim.tables import Faults, Window

#: A message that is overtaken comes so much later, seconds.
LATE_S = (2.0, 9.0)
#: Stored messages leave the buffer so far apart, seconds.
FLUSH_S = 0.05


def inside(windows: tuple[Window, ...], t_s: float, period_s: float = 0.0) -> Window | None:
    """The window that a time lies in, moved to that time's period; None: in none."""
    lap = (t_s // period_s) * period_s if period_s > 0.0 else 0.0
    for begin, end in windows:
        if begin <= t_s - lap < end:
            return begin + lap, end + lap
    return None


def apply(emissions: Iterable[Emission], faults: Faults, rng: random.Random) -> Iterator[Emission]:
    """The emissions as they get through; still in the order of ``at_ns``."""
    held: list[Emission] = []  # what comes later than it was made, in order of at_ns
    for emission in emissions:
        ready = [h for h in held if h.at_ns <= emission.at_ns]
        if ready:
            held = [h for h in held if h.at_ns > emission.at_ns]
            yield from ready
        if emission.login or emission.idle:
            yield emission
            continue
        t_s = emission.at_ns / NS
        if inside(faults.silent, t_s, faults.period_s) is not None or (faults.loss and rng.random() < faults.loss):
            yield msgspec.structs.replace(emission, idle=True)
            continue
        for copy in _damaged(emission, faults, rng):
            window = inside(faults.buffered, t_s, faults.period_s)
            if window is not None:
                waiting = sum(1 for h in held if h.at_ns >= int(window[1] * NS))
                held.append(msgspec.structs.replace(copy, at_ns=int((window[1] + FLUSH_S * waiting) * NS)))
            elif faults.reorder and rng.random() < faults.reorder:
                held.append(msgspec.structs.replace(copy, at_ns=copy.at_ns + int(rng.uniform(*LATE_S) * NS)))
            else:
                yield copy
        held.sort(key=lambda h: h.at_ns)
    yield from held


def _damaged(emission: Emission, faults: Faults, rng: random.Random) -> list[Emission]:
    out = [emission]
    if faults.duplicate and rng.random() < faults.duplicate:
        out.append(emission)
    if not emission.payload:
        return out
    payload = emission.payload
    if faults.truncate and rng.random() < faults.truncate:
        payload = payload[: rng.randrange(1, len(payload))] if len(payload) > 1 else payload
    if faults.bit_flip and rng.random() < faults.bit_flip:
        bit = rng.randrange(len(payload) * 8)
        payload = payload[: bit // 8] + bytes([payload[bit // 8] ^ (1 << bit % 8)]) + payload[bit // 8 + 1 :]
    if payload != emission.payload:
        out[-1] = msgspec.structs.replace(emission, payload=payload, damaged=True)
    if faults.garbage and rng.random() < faults.garbage:
        rubbish = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        out.append(msgspec.structs.replace(emission, payload=rubbish, damaged=True))
    return out
