"""How long a case may be kept: told of in time by the time of the entries, also of a closed case, until it is erased."""

from __future__ import annotations

import msgspec

from birddog.model import ClockSet, Entry, Operation, Tick, pack
from birddog.units import NS
from opsroom.alerts import RECURRING, SEVERITY
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
D = 86_400 * NS
CASE = Operation(operation="A", keep_until_ns=T0 + 100 * D, keep_reason="order 7")
KINDS = {Operation: "operation", Tick: "tick", ClockSet: "clock"}


class Life:
    """A fold that is put down and taken up again at every entry, beside one that is not; ``told``: (kind, over, since)."""

    def __init__(self):
        self.fold, self.again, self.seq = Fold(), Fold(), 0

    def enter(self, body, at_ns):
        self.seq += 1
        entry = Entry(seq=self.seq, kind=KINDS[type(body)], received_ns=at_ns, source="t", ident=b"%d" % self.seq,
                      body=pack(body), operation=getattr(body, "operation", ""))
        changes = self.fold.apply(entry)
        self.again = Fold.restore(self.again.snapshot())
        assert msgspec.json.encode(self.again.apply(entry)) == msgspec.json.encode(changes)
        return [(e.kind, e.end_ns is not None, e.start_ns) for e in changes.events]

    def tick(self, at_ns):
        return self.enter(Tick(), at_ns)


def test_the_day_is_told_of_before_and_after_also_when_the_case_is_closed():
    life = Life()
    assert life.enter(CASE, T0) == []
    assert life.enter(msgspec.structs.replace(CASE, closed=True), T0) == []
    assert life.tick(T0 + 86 * D - 1) == []
    assert life.tick(T0 + 86 * D) == [("retention_due", False, T0 + 86 * D)]
    assert life.tick(T0 + 90 * D) == []  # once
    assert life.tick(T0 + 103 * D) == [("retention_due", True, T0 + 86 * D), ("retention_overdue", False, T0 + 100 * D)]
    assert life.tick(T0 + 110 * D) == []
    later = msgspec.structs.replace(CASE, closed=True, keep_until_ns=T0 + 200 * D)
    assert life.enter(later, T0 + 110 * D) == [("retention_overdue", True, T0 + 100 * D)]
    assert life.tick(T0 + 185 * D) == []
    assert life.tick(T0 + 186 * D) == [("retention_due", False, T0 + 186 * D)]


def test_a_case_without_a_limit_or_with_one_lifted_is_silent():
    life = Life()
    life.enter(Operation(operation="B"), T0)
    life.enter(CASE, T0)
    assert life.tick(T0 + 99 * D) == [("retention_due", False, T0 + 86 * D)]
    assert life.enter(Operation(operation="A"), T0 + 99 * D) == [("retention_due", True, T0 + 86 * D)]
    assert life.tick(T0 + 400 * D) == []


def test_a_clock_that_was_ahead_takes_back_what_it_told():
    life = Life()
    life.enter(CASE, T0)
    assert life.tick(T0 + 100 * D) == [("retention_overdue", False, T0 + 100 * D)]
    assert life.enter(ClockSet(from_ns=T0 + 100 * D, to_ns=T0), T0) == [("retention_overdue", True, T0 + 100 * D)]
    assert life.tick(T0 + 86 * D) == [("retention_due", False, T0 + 86 * D)]


def test_both_are_alerts():
    assert (SEVERITY["retention_due"], SEVERITY["retention_overdue"]) == ("warning", "critical")
    assert {"retention_due", "retention_overdue"} <= RECURRING
