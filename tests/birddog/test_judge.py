"""The one judge: whose an observation is, by what basis and in what state; what it remembers is what it would find again."""

from __future__ import annotations

import random

import msgspec
import pytest

from birddog.directory import Directory
from birddog.judge import Judge, judged
from birddog.model import (
    Attachment,
    Device,
    Fix,
    FrameBody,
    Operation,
    Reject,
    Sighting,
    TagRead,
    Verdict,
    pack,
)

EPC, STRANGERS = "urn:epc:tag:sgtin-96:1.0614141.112345.400", "urn:epc:tag:sgtin-96:1.0614141.112345.999"
NEVER_HEARD_OF = "244999999"


def registers() -> Directory:
    directory = Directory()
    for body in (
        Operation(operation="A"), Operation(operation="B"), Operation(operation="C", closed=True),
        Device(device="phone"), Attachment(device="phone", shipment="one", operation="A", from_ns=10, to_ns=20),
        Device(device="loose"), Device(device="gone", retired=True),
        Device(device="244000001"), Attachment(device="244000001", shipment="coaster", operation="B", from_ns=0),
        Device(device="buoy", basis="open"), Device(device="theirs", basis="partner"),
        Device(device="mast", basis="own_sensor"), Device(device="roof", basis="open"),
        Device(device="portal", basis="own_sensor"),
        Device(device="van-reader", basis="own_sensor"),
        Attachment(device="van-reader", shipment="van", operation="A", from_ns=0),
        Attachment(device=EPC, shipment="one", operation="A", from_ns=0),
        Device(device="closed"), Attachment(device="closed", shipment="x", operation="C", from_ns=0),
    ):  # fmt: skip
        directory.apply(body)
    return directory


def fix(device: str, time_ns: int | None = 15) -> Fix:
    return Fix(device=device, time_ns=time_ns, lat_deg=1.0, lon_deg=2.0)


def read(epc: str, reader: str) -> TagRead:
    return TagRead(device=reader, time_ns=15, epc=epc)


REFUSED, NOBODYS = Verdict(state="refused"), Verdict()
COASTER = Verdict("B", "coaster", "open", "open")
OPEN_TO_ALL = Verdict("open", "", "open", "open")
#: observation, sender, of a broadcast format; the verdict live and in an exercise.
TABLE = [
    (fix("phone"), "phone", False, Verdict("A", "one", "warrant"), None),
    (fix("phone", 10), "phone", False, Verdict("A", "one", "warrant"), None),  # from … to is half-open
    (fix("phone", 20), "phone", False, REFUSED, Verdict("open", "", "warrant")),
    (fix("phone", None), "", False, Verdict("A", "one", "warrant"), None),  # as it arrived
    (fix("loose"), "loose", False, REFUSED, Verdict("open", "", "warrant")),
    (fix("gone"), "gone", False, REFUSED, NOBODYS),
    (fix("closed"), "closed", False, REFUSED, Verdict("open", "", "warrant")),
    (fix("stranger"), "stranger", False, REFUSED, Verdict("open", "", "exercise")),
    (fix("phone"), "loose", False, REFUSED, Verdict("A", "one", "warrant")),  # speaks for another
    (fix("phone"), "portal", False, Verdict("A", "one", "warrant"), None),
    (fix("theirs"), "theirs", False, Verdict("open", "", "partner"), None),
    (fix("mast"), "mast", False, Verdict("open", "", "own_sensor"), None),
    (fix("buoy"), "buoy", False, OPEN_TO_ALL, None),
    (fix(NEVER_HEARD_OF), "roof", True, OPEN_TO_ALL, None),
    (fix(NEVER_HEARD_OF), "portal", True, OPEN_TO_ALL, None),  # any gateway may hand on what is in the air
    (fix(NEVER_HEARD_OF), "portal", False, REFUSED, Verdict("open", "", "own_sensor")),
    (fix(NEVER_HEARD_OF), "loose", True, REFUSED, OPEN_TO_ALL),
    (fix("gone"), "roof", True, OPEN_TO_ALL, None),  # that we retired it says nothing to everybody
    (fix("244000001"), "roof", True, COASTER, None),
    (fix("244000001"), "roof", False, COASTER, None),
    (fix("244000001"), "portal", True, COASTER, None),
    (fix("244000001"), "", True, COASTER, None),
    (fix("244000001"), "244000001", True, Verdict("B", "coaster", "warrant"), None),  # its own tag, not the air
    (read(EPC, "portal"), "portal", False, Verdict("A", "one", "warrant"), None),
    (read(EPC, "van-reader"), "van-reader", False, Verdict("A", "one", "warrant"), None),
    (read(EPC, "loose"), "loose", False, REFUSED, Verdict("A", "one", "warrant")),
    (read(STRANGERS, "portal"), "portal", False, NOBODYS, Verdict("open", "", "exercise")),
    (read(STRANGERS, "van-reader"), "van-reader", False, Verdict("A", "", "own_sensor"), Verdict("open", "", "exercise")),
    (Sighting(device="mast", time_ns=15, lat_deg=1.0, lon_deg=2.0, r_ee=1.0, r_en=0.0, r_nn=1.0), "mast", False,
     Verdict("open", "", "own_sensor"), None),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(TABLE)))
@pytest.mark.parametrize("exercise", [False, True])
def test_the_verdict(row, exercise):
    observation, sender, broadcast, live, drill = TABLE[row]
    judge = Judge(registers(), exercise=exercise)
    wanted = drill if exercise and drill is not None else live
    for _ in range(2):  # asked again it answers from memory
        assert judge.judge(observation, sender, 15, None, broadcast) == wanted
    device, time_ns = observation.device, 15 if observation.time_ns is None else observation.time_ns
    assert (judge.why(device, sender, time_ns, broadcast) is None) == (wanted.state != "refused")


def test_equal_verdicts_are_one_object():
    judge = Judge(registers(), exercise=False)
    first = judge.judge(fix("phone", 11), "phone", 15)
    assert judge.judge(fix("phone", 12), "portal", 15) is first is judge.judge(read(EPC, "portal"), "portal", 15)


def test_a_time_that_is_not_believed_is_not_asked_with():
    judge = Judge(registers(), exercise=False)
    assert judge.judge(fix("phone", 15), "phone", 30, 30).state == "refused"
    assert judge.judge(fix("phone", 99), "phone", 15, 15).operation == "A"


@pytest.mark.parametrize("row", range(len(TABLE)))
@pytest.mark.parametrize("exercise", [False, True])
def test_an_entry_of_before_there_were_verdicts_gets_those_it_would_have_now(row, exercise):
    observation, sender, broadcast, live, drill = TABLE[row]
    wanted = drill if exercise and drill is not None else live
    if wanted.state == "refused" or sender == "":
        return  # it does not stand in a journal; of the other an old entry names whom the message names
    body = FrameBody(format="ais" if broadcast else "x", version=1, payload=b"", device=sender, observations=(observation,),
                     rejects=(Reject("clock", device=sender), Reject("checksum", device=sender)))  # fmt: skip
    now = judged(body, Judge(registers(), exercise=exercise), 15)
    assert now.verdicts == (wanted,) and now.observations == body.observations
    assert now.rejects[0].verdict is not None and now.rejects[1].verdict is None
    assert judged(now, Judge(Directory(), exercise=False), 15) == now  # never asked again


def test_a_verdict_is_small_in_an_entry():
    body = FrameBody(format="x", version=1, payload=b"", observations=(fix("phone"),))
    verdict = Verdict("A", "one", "warrant")
    assert len(pack(msgspec.structs.replace(body, verdicts=(verdict,)))) < len(pack(body)) + 40


def test_what_the_judge_remembers_is_what_it_would_find_again():
    """Random registers and questions: the judge that was asked before answers as one that never was."""
    chance = random.Random(20)
    for _ in range(60):
        directory = Directory()
        judge = Judge(directory, exercise=False)
        for _ in range(40):
            device, operation = f"d{chance.randrange(2)}", f"o{chance.randrange(2)}"
            begin, end = chance.randrange(20), chance.choice((None, chance.randrange(25)))
            directory.apply(chance.choice((
                Device(device=device, basis=chance.choice(("warrant", "warrant", "open")), retired=chance.random() < 0.2),
                Attachment(device=device, shipment="s", operation=operation, from_ns=begin, to_ns=end),
                Operation(operation=operation, closed=chance.random() < 0.3),
            )))  # fmt: skip
            for _ in range(6):
                sender, broadcast = chance.choice(("", "d0", "d1")), chance.random() < 0.3
                asked = (f"d{chance.randrange(3)}", sender, chance.randrange(30), broadcast)
                fresh = Judge(directory, exercise=False)
                assert judge.of(*asked) == fresh.of(*asked)
                assert judge.sender(asked[0], asked[2]) == fresh.sender(asked[0], asked[2])
