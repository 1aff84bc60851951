"""What goes wrong on the way: each fault does what it says, and the same each time."""

from __future__ import annotations

from birddog.units import NS
from sim import faults
from sim.emission import Emission
from sim.tables import Faults
from sim.world import stream


def sent(n: int = 200) -> list[Emission]:
    return [
        Emission(at_ns=k * NS, device="d", stream="d", transport="mqtt", format="x", payload=f"message {k:05d}".encode())
        for k in range(n)
    ]


def through(bad: Faults, n: int = 200, seed: int = 1) -> list[Emission]:
    return [e for e in faults.apply(sent(n), bad, stream(seed, "faults", "d")) if not e.idle]


def test_without_faults_nothing_changes():
    assert through(Faults()) == sent()


def test_the_order_of_time_is_kept_whatever_happens():
    bad = Faults(loss=0.1, duplicate=0.1, reorder=0.2, truncate=0.1, bit_flip=0.1, garbage=0.1, buffered=((20.0, 60.0),),
                 silent=((100.0, 120.0),))
    out = through(bad)
    assert [e.at_ns for e in out] == sorted(e.at_ns for e in out)
    assert out == through(bad)
    assert out != through(bad, seed=2)


def test_loss_and_duplicates():
    out = through(Faults(loss=0.5), 2000)
    assert 900 < len(out) < 1100  # 1000 ± 4.5 sigma
    twice = through(Faults(duplicate=0.25), 2000)
    assert 2400 < len(twice) < 2600
    assert len({e.payload for e in twice}) == 2000


def test_silent_windows_send_nothing_and_come_again():
    out = through(Faults(silent=((10.0, 20.0),), period_s=100.0))
    assert {e.at_ns // NS for e in out} == set(range(200)) - set(range(10, 20)) - set(range(110, 120))
    once = through(Faults(silent=((10.0, 20.0),)))
    assert len(once) == 190


def test_what_was_buffered_comes_after_the_window_whole_and_in_order():
    out = through(Faults(buffered=((10.0, 20.0),)))
    assert len(out) == 200 and {e.payload for e in out} == {e.payload for e in sent()}
    late = [e for e in out if 10 <= int(e.payload[-5:]) < 20]
    assert all(e.at_ns >= 20 * NS for e in late)
    assert [int(e.payload[-5:]) for e in late] == list(range(10, 20))


def test_a_buffer_is_flushed_even_if_the_device_says_no_more():
    out = through(Faults(buffered=((190.0, 1e6),)))
    assert len(out) == 200


def test_reordered_messages_are_overtaken():
    out = through(Faults(reorder=0.3))
    numbers = [int(e.payload[-5:]) for e in out]
    assert sorted(numbers) == list(range(200)) and numbers != sorted(numbers)


def test_damage_is_marked_and_never_empty():
    cut = [e for e in through(Faults(truncate=1.0)) if e.damaged]
    assert len(cut) == 200 and all(0 < len(e.payload) < 13 for e in cut)
    flipped = through(Faults(bit_flip=1.0))
    for was, now in zip(sent(), flipped, strict=True):
        different = int.from_bytes(was.payload, "big") ^ int.from_bytes(now.payload, "big")
        assert now.damaged and different.bit_count() == 1
    rubbish = through(Faults(garbage=1.0))
    assert len(rubbish) == 400 and sum(e.damaged for e in rubbish) == 200


def test_windows():
    assert faults.inside(((10.0, 20.0),), 10.0) == (10.0, 20.0)
    assert faults.inside(((10.0, 20.0),), 20.0) is None
    assert faults.inside(((10.0, 20.0),), 115.0, 100.0) == (110.0, 120.0)
    assert faults.inside((), 5.0, 100.0) is None


def test_a_device_with_nothing_to_say_does_not_hold_up_the_others():
    """Portals that never read anything and windows that never end: the merge of all devices goes on."""
    import itertools

    import msgspec

    from sim import devices, run
    from sim import scenario as scenarios

    s = scenarios.load("harbour")
    quiet = msgspec.structs.replace(s, epc=(), attach=(), camera=())
    world = scenarios.build(quiet, 1)
    some = list(itertools.islice(run.emissions(quiet, world, 1, quiet.start_ns), 5000))
    assert some[-1].at_ns > 300 * NS
    assert not [e for e in some if e.format == "impinj" and not e.idle]
    mute = msgspec.structs.replace(quiet.phone[0], faults=Faults(silent=((0.0, 1e12),)))
    first = list(itertools.islice(devices.emissions(mute, quiet, world, 1, quiet.start_ns), 50))
    assert len(first) == 50 and all(e.idle for e in first)
