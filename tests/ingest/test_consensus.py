"""Whose clock is wrong: when several devices agree on another time than ours, it is ours, and that is said within a minute."""

from __future__ import annotations

import pytest

from birddog.journal import open_writer
from birddog.model import ClockSet, Fix, Frame, Reading, unpack
from birddog.units import NS
from ingest.clock import Clock
from ingest.consensus import Consensus, stated
from ingest.desk import Desk

T0 = 1_795_900_000


def fix(device: str, time_s: float, **more) -> Fix:
    return Fix(device=device, time_ns=round(time_s * NS), lat_deg=50.0, lon_deg=1.0, **more)


class World:
    """A clock, the machine's wall that is wrong by ``wrong_s``, and devices that know the time."""

    def __init__(self, wrong_s: float = 0.0, last_s: float = 0.0):
        self.true_s, self.wrong_s = float(T0), wrong_s
        self.clock = Clock("wall", round(last_s * NS))

    @property
    def wall_ns(self) -> int:
        return round((self.true_s + self.wrong_s) * NS)

    def passes(self, seconds: float, devices: int, *, every_s: float = 1.0, says=lambda device, true_s: true_s,
               flags=(), admitted=lambda device: True, until=lambda world: False) -> float:
        """Let time pass; how long it took till ``until``."""
        for second in range(round(seconds)):
            self.true_s += 1.0
            self.clock.see(self.wall_ns)
            for device in range(devices):
                if (second + device * 7) % every_s == 0:
                    seen = fix(f"d{device}", says(device, self.true_s) - 0.4, flags=flags)
                    frame = Frame(source="mqtt", format="owntracks", payload=b"", received_ns=self.wall_ns, device=f"d{device}")
                    self.clock.received(frame, (seen,), lambda device=device: admitted(device))
            self.clock.see(self.wall_ns)
            if until(self):
                return second + 1.0
        return seconds

    def said_s(self) -> float | None:
        agreed = self.clock.devices_say
        return None if agreed is None else agreed.offset_ns / NS


@pytest.mark.parametrize("wrong_s", [300, 3600, -900, -300, 90, 86_400, -86_400])
@pytest.mark.parametrize("devices,every_s", [(3, 1), (5, 1), (40, 1), (5, 30), (8, 50)])
def test_a_wrong_clock_is_said_within_a_minute_whichever_way(wrong_s, devices, every_s):
    world = World(wrong_s)
    took_s = world.passes(60, devices, every_s=every_s, until=lambda w: w.said_s() is not None)
    assert took_s <= 60 and abs(world.said_s() + wrong_s) < 5


@pytest.mark.parametrize("wrong_s,devices,more", [
    (0, 5, {}),
    (20, 5, {}),  # good enough
    (3600, 2, {}),  # two may have one maker
    (0, 5, {"says": lambda device, true_s: true_s - 40_000 + (true_s - T0) * 9}),  # sends what it had stored
    (0, 5, {"says": lambda device, true_s: true_s - 600 * device}),  # each is late in its own way
    (0, 5, {"says": lambda device, true_s: true_s - (3600 if device == 0 else 0)}),  # that one's is wrong
    (300, 5, {"flags": ("backlog",)}),
    (300, 5, {"admitted": lambda device: False}),  # somebody whom nobody knows says nothing of our clock
    (300, 5, {"admitted": lambda device: device > 2}),
])
def test_and_nothing_is_said_where_it_need_not_be(wrong_s, devices, more):
    world = World(wrong_s)
    world.passes(120, devices, until=lambda w: w.said_s() is not None, **more)
    assert world.said_s() is None
    assert world.clock.was_set_back() is None


def test_one_device_whose_own_clock_is_wrong_does_not_hide_ours():
    world = World(3600)
    world.passes(30, 5, says=lambda device, true_s: 1e9 if device == 0 else true_s)
    assert abs(world.said_s() + 3600) < 2


def test_what_was_said_is_over_when_the_clock_is_right_or_nobody_speaks():
    world = World(3600)
    world.passes(30, 5)
    assert world.said_s() is not None
    world.passes(120, 0)
    assert world.said_s() is None


@pytest.mark.parametrize("ahead_s", [300, 3600, 86_400])
@pytest.mark.parametrize("devices,within_s", [(5, 2), (3, 2), (1, 62), (0, None)])
def test_after_a_start_with_the_clock_put_right_the_journal_goes_back_at_once(ahead_s, devices, within_s):
    """One alone is waited for a minute: the first to speak may be the one that is as wrong as we are."""
    world = World(last_s=T0 + ahead_s)
    took_s = world.passes(90, devices, until=lambda w: w.clock.now_ns <= w.wall_ns)
    assert (took_s <= within_s) if within_s else (took_s == 90 and world.clock.behind_s > 1)
    told = world.clock.was_set_back()
    assert (told is None) == (within_s is None) and world.clock.was_set_back() is None
    if told:
        assert told[0] == (T0 + ahead_s) * NS and told[1] == world.wall_ns and world.clock.behind_s == 0.0


@pytest.mark.parametrize("wrong_s", [300, 3600, -300, -900, 20, -20])
def test_while_we_run_too(wrong_s):
    world = World(wrong_s)
    world.passes(30, 5)
    world.wrong_s = 0.0
    world.clock.stepped(-wrong_s * NS)
    took_s = world.passes(30, 5, until=lambda w: w.clock.not_believed_s == 0.0)
    assert took_s <= 3
    world.passes(25, 5)
    assert world.clock.now_ns == world.wall_ns and (world.clock.was_set_back() is not None) == (wrong_s > 60)


def test_a_clock_that_is_set_wrong_while_we_run_is_said_and_not_followed():
    world = World()
    world.passes(30, 5)
    world.wrong_s = -3600.0
    world.clock.stepped(-3600 * NS)
    world.passes(30, 5)
    assert abs(world.said_s() - 3600) < 2 and world.clock.not_believed_s == -3600
    assert world.clock.now_ns == round(world.true_s * NS)


def test_what_waited_while_the_clock_was_set_says_nothing():
    world = World(300)
    world.passes(20, 5)
    old = world.wall_ns
    world.wrong_s = 0.0
    world.clock.stepped(-300 * NS)
    world.clock.see(world.wall_ns)
    for device in range(5):
        world.clock.received(Frame(source="mqtt", format="x", payload=b"", received_ns=old), (fix(f"d{device}", T0 + 20),),
                             lambda: True)
    assert world.passes(10, 5, until=lambda w: w.clock.not_believed_s == 0.0) <= 2


def test_of_a_message_its_newest_time_counts_that_is_its_own():
    late = fix("d", 5)
    assert stated((fix("d", 1), late, fix("d", 3))) is late
    assert stated(()) is None
    assert stated((fix("d", 9, time_source="gateway"), fix("d", 8, flags=("backlog",)), late)) is late
    assert stated((Reading(device="d", time_ns=None, quantity="q", value=1, unit=""),)) is None


def test_what_is_kept_is_bounded():
    consensus = Consensus()
    for n in range(5000):
        consensus.heard(f"d{n}", n, 0)
    for n in range(5000):
        consensus.heard("d4999", n, 0)
    assert len(consensus._heard) == 1000 and len(consensus._heard["d4999"]) == 60


class Source:
    name = "mqtt"

    def acknowledge(self, results):
        self.results = results


def test_time_goes_back_by_an_entry_that_says_so(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise")
    desk = Desk(writer, exercise=True, refusal_key=b"k")
    wrong_ns, right_ns = (T0 + 3600) * NS, T0 * NS
    desk.tick(wrong_ns)
    desk = Desk(writer, exercise=True, refusal_key=b"k")  # started again, the clock put right

    def say(second: int) -> None:
        frames = [Frame(source="mqtt", format="owntracks", received_ns=right_ns + second * NS, device=f"d{n}", session=f"s{n}",
                        payload=b'{"_type":"location","lat":50.0,"lon":1.0,"acc":9,"tst":%d}' % (T0 + second))
                  for n in range(4)]
        desk.take([(Source(), frames)], right_ns + second * NS)

    say(0)
    say(1)
    say(2)
    entries = writer.read(0)
    [entry] = [e for e in entries if e.kind == "clock"]
    body = unpack(entry)
    assert isinstance(body, ClockSet) and (body.from_ns, body.to_ns) == (wrong_ns, entry.received_ns)
    assert entries[0].received_ns == wrong_ns and entry.seq == 6
    after = [e.received_ns for e in entries if e.seq >= entry.seq]
    assert after == sorted(after) and after[0] == body.to_ns >= right_ns and len(after) >= 5
    # the next start stands there, not where the journal had stood
    desk = Desk(writer, exercise=True, refusal_key=b"k")
    assert desk.clock.now_ns == after[-1]
    writer.close()
