"""What the door remembers of whom it admits: never anything that the registers do not say any more."""

from __future__ import annotations

import random

from birddog.directory import Directory
from birddog.model import Attachment, Device, Operation
from ingest.door import Door


def test_what_the_door_remembers_is_what_it_would_find_again():
    """Random registers and questions: the door that was asked before answers as one that never was."""
    chance = random.Random(20)
    for _ in range(60):
        directory = Directory()
        door = Door(directory, exercise=False)
        for _ in range(40):
            device, operation = f"d{chance.randrange(2)}", f"o{chance.randrange(2)}"
            begin, end = chance.randrange(20), chance.choice((None, chance.randrange(25)))
            directory.apply(chance.choice((
                Device(device=device, basis=chance.choice(("warrant", "warrant", "open")), retired=chance.random() < 0.2),
                Attachment(device=device, shipment="s", operation=operation, from_ns=begin, to_ns=end),
                Operation(operation=operation, closed=chance.random() < 0.3),
            )))  # fmt: skip
            for _ in range(6):
                asked = (f"d{chance.randrange(3)}", chance.randrange(30))
                fresh = Door(directory, exercise=False)
                assert door.subject(asked[0], "", asked[1]) == fresh.subject(asked[0], "", asked[1])
                assert door.sender(*asked) == fresh.sender(*asked)
