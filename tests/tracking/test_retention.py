"""How long a case may be kept: told of in time by the time of the entries, also of a closed case, until it is erased."""

from __future__ import annotations

import msgspec
import pytest

from birddog.model import ClockSet, Operation, Tick
from birddog.units import NS
from opsroom.alerts import SEVERITY
from opsroom.recurring import RECURRING

T0 = 1_790_000_000 * NS
D = 86_400 * NS
CASE = Operation(operation="A", keep_until_ns=T0 + 100 * D, keep_reason="order 7")


class Life:
    """A journal whose fold is put down and taken up again at every entry; what is told: (kind, over, since)."""

    def __init__(self, journal):
        self.journal = journal(begun=False, restart=True)

    def enter(self, body, at_ns):
        changes = self.journal.add((at_ns - T0) / NS, body)
        return [(e.kind, e.end_ns is not None, e.start_ns) for e in changes.events]

    def tick(self, at_ns):
        return self.enter(Tick(), at_ns)


@pytest.fixture
def life(journal):
    return Life(journal)


def test_the_day_is_told_of_before_and_after_also_when_the_case_is_closed(life):
    assert life.enter(CASE, T0) == []
    assert life.enter(msgspec.structs.replace(CASE, closed=True), T0) == []
    assert life.tick(T0 + 86 * D - NS) == []
    assert life.tick(T0 + 86 * D) == [("retention_due", False, T0 + 86 * D)]
    assert life.tick(T0 + 90 * D) == []  # once
    assert life.tick(T0 + 103 * D) == [("retention_due", True, T0 + 86 * D), ("retention_overdue", False, T0 + 100 * D)]
    assert life.tick(T0 + 110 * D) == []
    later = msgspec.structs.replace(CASE, closed=True, keep_until_ns=T0 + 200 * D)
    assert life.enter(later, T0 + 110 * D) == [("retention_overdue", True, T0 + 100 * D)]
    assert life.tick(T0 + 185 * D) == []
    assert life.tick(T0 + 186 * D) == [("retention_due", False, T0 + 186 * D)]


def test_a_case_without_a_limit_or_with_one_lifted_is_silent(life):
    life.enter(Operation(operation="B"), T0)
    life.enter(CASE, T0)
    assert life.tick(T0 + 99 * D) == [("retention_due", False, T0 + 86 * D)]
    assert life.enter(Operation(operation="A"), T0 + 99 * D) == [("retention_due", True, T0 + 86 * D)]
    assert life.tick(T0 + 400 * D) == []


def test_a_clock_that_was_ahead_takes_back_what_it_told(life):
    life.enter(CASE, T0)
    assert life.tick(T0 + 100 * D) == [("retention_overdue", False, T0 + 100 * D)]
    assert life.enter(ClockSet(from_ns=T0 + 100 * D, to_ns=T0), T0) == [("retention_overdue", True, T0 + 100 * D)]
    assert life.tick(T0 + 86 * D) == [("retention_due", False, T0 + 86 * D)]


def test_both_are_alerts():
    assert (SEVERITY["retention_due"], SEVERITY["retention_overdue"]) == ("warning", "critical")
    assert {"retention_due", "retention_overdue"} <= RECURRING
