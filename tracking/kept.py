"""A filter that is kept with the ring of its track: bytes, for a third of its memory as a noun.

First numbers, as the machine has them: which of how many motions are awake, x, what ``core.Core`` has of its anchor, bias, spot
and stay, ``white`` and ``way``; then of each motion its chance and, where it is awake, its state.  Behind them in MessagePack
what is no number.  ``kernel.squeeze`` writes the same numbers of a filter that runs.
"""

from __future__ import annotations

import struct

import msgspec

from tracking.arms import Receivers
from tracking.core import Core, Rival
from tracking.kernel import ASLEEP, HEAD, MOTIONS, WIDTH
from tracking.learnt import DeviceNoises
from tracking.motion import Bank
from tracking.sides import Sides

#: What of a filter is no number of the kernel's.
Words = tuple[
    int, int, int, int, int, int | None, Rival | None, int, int, bool, str, int, bool, DeviceNoises, Sides | None, Receivers
]
_ENCODE, _DECODER = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Words)
_HEAD, _ASLEEP = struct.Struct(f"{HEAD}d"), struct.pack("d", ASLEEP)
#: What of a sleeping motion stands behind its chance.
_SLEEPS = bytes(32) + _ASLEEP + bytes(72)


def kept(numbers: bytes, words: Words) -> bytes:
    """A filter that is kept, of its numbers and its words."""
    return numbers + _ENCODE(words)


def packed(core: Core) -> bytes:
    """A filter that is kept."""
    data, parts, m, awake = core.bank.data, [], len(core.bank), 0
    for i in range(m):
        k = 8 * WIDTH * i
        if data[k + 40 : k + 48] == _ASLEEP:
            parts.append(data[k : k + 8])
        else:
            awake |= 1 << i
            parts.append(data[k : k + 8 * WIDTH])
    head = _HEAD.pack(
        m * MOTIONS + awake, *core.x, core.lat0_deg, core.lon0_deg, core.bias, core.spot_e, core.spot_n, core.stay_e,
        core.stay_n, core.stay_s, *core.white, *core.way,
    )  # fmt: skip
    return kept(head + b"".join(parts), (
        core.time_ns, core.updated_ns, core.first_ns, core.hits, core.refused, core.moved_ns, core.rival, core.run, core.recent,
        core.fixed, core.device, core.fix_ns, core.lent, core.noise, core.sides, core.receivers,
    ))  # fmt: skip


def unpacked(core: Core | bytes | None) -> Core | None:
    """A filter again, to the last digit.

    Raises:
        msgspec.DecodeError: the bytes are of none.
    """
    if not isinstance(core, bytes):
        return core
    if len(core) < _HEAD.size:
        raise msgspec.DecodeError("a kept filter is cut off")
    head = _HEAD.unpack_from(core)
    m, awake = divmod(int(head[0]), MOTIONS)
    parts, k = [], _HEAD.size
    for i in range(m):
        if awake >> i & 1:
            parts.append(core[k : k + 8 * WIDTH])
            k += 8 * WIDTH
        else:
            parts.append(core[k : k + 8] + _SLEEPS)
            k += 8
    words = _DECODER.decode(core[k:])
    time_ns, updated_ns, first_ns, hits, refused, moved_ns, rival, run, recent, fixed, device, fix_ns, lent, *rest = words
    noise, sides, receivers = rest
    lat0, lon0, bias, spot_e, spot_n, stay_e, stay_n, stay_s = head[15:23]
    return Core(
        time_ns, lat0, lon0, Bank(b"".join(parts)), head[1:15], updated_ns, first_ns, bias, hits, refused, spot_e, spot_n,
        moved_ns, rival, run, recent, fixed, device, fix_ns, lent, noise, stay_e, stay_n, stay_s, sides, receivers, head[23:28],
        head[28:35],
    )  # fmt: skip
