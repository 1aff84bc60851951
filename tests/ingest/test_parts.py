"""The parts of a message, over random ones: each holds what is of its operation, all of it, and nothing else."""

from __future__ import annotations

import random

from birddog.directory import OPEN
from birddog.model import Fix, Reject, Verdict
from ingest.parts import counted, is_one, parted

VERDICTS = (
    Verdict("A", "one", "warrant"), Verdict("A", "two", "warrant"), Verdict("B", "three", "warrant"),
    Verdict("A", "", "own_sensor"), Verdict(OPEN, "", "own_sensor"),
    Verdict(OPEN, "", "open", "open"), Verdict("A", "hull", "open", "open"),
    Verdict("B", "hull", "open", "open"), Verdict(),
)  # fmt: skip


def message(chance: random.Random):
    some = chance.sample(VERDICTS, chance.randint(1, 4))
    verdicts = [chance.choice(some) for _ in range(chance.randint(0, 5))]
    observations = tuple(Fix(device=f"d{i}", time_ns=i, lat_deg=1.0, lon_deg=2.0) for i in range(len(verdicts)))
    if verdicts and len(set(verdicts)) == 1:
        verdicts = verdicts[:1]  # one stands for all
    rejects = tuple(
        Reject("clock", device=f"r{i}", verdict=chance.choice((None, *some))) for i in range(chance.randint(0, 2))
    )
    return observations, tuple(verdicts), rejects


def test_each_part_holds_what_is_of_its_operation_and_all_of_it():
    chance = random.Random(7)
    several = 0
    for _ in range(3000):
        observations, verdicts, rejects = message(chance)
        if is_one(verdicts, rejects):
            said = {v.operation for v in (*verdicts, *[r.verdict for r in rejects]) if v is not None}
            assert len(said) <= 1
            continue
        several += 1
        parts = parted(observations, verdicts, rejects)
        each = verdicts * len(observations) if len(verdicts) < len(observations) else verdicts
        assert len({part.operation for part in parts}) == len(parts)
        for part in parts:
            assert all(v.operation == part.operation for v in part.verdicts) and len(part.verdicts) == len(part.observations)
            assert all(r.verdict is None or r.verdict.operation == part.operation for r in part.rejects)
            wanted = [o for o, v in zip(observations, each, strict=True)
                      if v.operation == part.operation or (v.state == "open" and part.operation == OPEN)]  # fmt: skip
            assert part.observations == wanted
            assert {v.state for v in part.verdicts} <= ({"admitted", "open"} if part.operation == OPEN else {"admitted"})
            # its bytes stay only where nothing of another operation can be in them, but for what everybody may hear
            said = (*each, *[r.verdict for r in rejects if r.verdict is not None])
            others = [v for v in said if v.operation != part.operation]
            assert not (part.whole and others) or (part.operation == OPEN and all(v.state == "open" for v in others))
        assert sorted(r.device for part in parts for r in part.rejects) == sorted(r.device for r in rejects)
        assert sum(counted(parts)) == len(observations)
        assert all(part.operation for part in parts[:-1])  # what is nobody's is never the message's first entry
    assert several > 500
