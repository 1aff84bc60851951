"""A ring of rows is the list of its measurements, whatever is done with it, and through a snapshot."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from tracking.measurement import Measurement
from tracking.ring import Ring, hook, unhook
from tracking.track_state import in_order


def some(rng: random.Random, time_ns: int) -> Measurement:
    has_v = rng.random() < 0.5
    return Measurement(
        time_ns, rng.choice("abcdefgh"), rng.choice(["fix", "tag_read"]), rng.uniform(-90, 90), rng.uniform(-180, 180),
        rng.choice([25.0, 64.0]), rng.choice([0.0, -3.0]), 25.0, rng.gauss(0, 9) if has_v else None,
        -0.0 if has_v else None, rng.choice([1.0, 4.0]), rng.random() < 0.5, rng.random() < 0.1, rng.random() < 0.1,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_it_is_a_list(seed):
    rng, ring, plain = random.Random(seed), Ring(), list[Measurement]()
    for k in range(600):
        what, i = rng.random(), rng.randrange(len(plain)) if plain else 0
        m = some(rng, (k if not plain or what < 0.7 else plain[i].time_ns) * rng.choice([1, 1, -1]))
        if what < 0.5 or not plain:
            m = msgspec.structs.replace(m, time_ns=max([k, *[one.time_ns for one in plain[-1:]]]))
            ring.append(m, 3.0, 0.25)
            plain.append(m)
            assert ring.became(len(ring) - 1) == (3.0, 0.25)
        elif what < 0.7:
            at = next((j for j, one in enumerate(plain) if in_order(one) >= in_order(m)), len(plain))
            ring.insert(at, m)
            plain.insert(at, m)
        elif what < 0.8:
            m = msgspec.structs.replace(m, time_ns=plain[i].time_ns)
            ring[i] = plain[i] = m
            ring.judge(i, 1.0, 7.5)
            assert ring.became(i) == (1.0, 7.5)
        elif what < 0.9:
            del ring[i], plain[i]
        elif what < 0.97:
            del ring[:i], plain[:i]
        elif what < 0.98:
            ring.clear()
            plain.clear()
        assert len(ring) == len(plain) and list(ring) == plain and ring[1:4] == plain[1:4]
        assert list(ring.times_ns) == [one.time_ns for one in plain]
        assert not plain or (ring[-1] == plain[-1] and ring.newest_ns == plain[-1].time_ns)
    assert list(reversed(ring)) == plain[::-1] and all(one in ring for one in plain)
    assert some(rng, 5_000) not in ring


def test_of_equal_rings_a_snapshot_has_the_same_bytes():
    rng, ring = random.Random(1), Ring()
    for k in range(200):
        ring.append(some(rng, k), 2.0, 1.5)
    del ring[:150]
    data = msgspec.msgpack.encode(ring, enc_hook=hook)
    again = msgspec.msgpack.decode(data, type=Ring, dec_hook=unhook)
    assert list(again) == list(ring) and again.newest_ns == ring.newest_ns
    assert data == msgspec.msgpack.encode(Ring(list(ring)), enc_hook=hook) == msgspec.msgpack.encode(again, enc_hook=hook)
    assert again.became(3) == (0.0, 0.0)  # nobody knows any more: it is run again
    assert Ring.unpacked(Ring().packed()).packed() == ([], b"")


def test_what_is_no_ring_is_refused():
    kinds, said = Ring([some(random.Random(2), 1)]).packed()
    wrong = np.frombuffer(said).copy()
    wrong[8] = 1.0
    for bad in ((kinds, said[:-1]), (kinds, wrong.tobytes()), ([], said), (["x"], said), 7):
        with pytest.raises(msgspec.ValidationError):
            Ring.unpacked(bad)


def test_it_is_small():
    """88 bytes a row: a hundred thousand tracks with full rings are 2 GiB."""
    ring = Ring(some(random.Random(k), k) for k in range(70))
    assert len(ring._rows) <= 88 * 80
