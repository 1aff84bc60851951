"""Tags that are nobody's: where warrants rule, that something was read stays, and nowhere in any file what it was."""

from __future__ import annotations

import base64
import json

import pytest

from birddog.journal import home, open_writer
from birddog.model import Attachment, Device, Frame, Operation, RefusalBody, TagRead, unpack
from birddog.units import NS
from devices import codec
from devices.epc_uri import tag_bytes
from ingest.admission import BYSTANDER
from ingest.control import drafts_of, wanted
from ingest.desk import Desk
from ingest.intake import Entries

T0 = 1_790_000_000 * NS
CASE = "urn:epc:tag:sgtin-96:1.0614141.112345.400"
OWN = "urn:epc:tag:sgtin-96:1.0614141.112345.500"
#: Bystanders' tags.
NOBODYS = [f"urn:epc:tag:sgtin-96:1.0614142.{100_000 + n}.{70_000_001 + n}" for n in range(40)]


class Source:
    name = "mqtt"

    def __init__(self):
        self.answered = 0

    def acknowledge(self, results):
        self.answered += len(results)


def open_desk(folder, *, ruled=True, exercise=False):
    desk = Desk(open_writer(f"sqlite:///{folder}/j.db", mode="exercise" if exercise else "live"), exercise=exercise,
                refusal_key=b"k" * 32)
    said = [Operation(operation="A", requires_warrant=ruled), Device(device="gate", basis="own_sensor"),
            Device(device=OWN, basis="own_sensor"), Device(device=CASE, basis="partner"),
            Attachment(device=CASE, shipment="box", operation="A", from_ns=0)]
    desk.take([Entries(drafts_of([wanted(body, source="op") for body in said]), lambda numbers: None)], T0)
    return desk


def heard(desk, *epcs, at=0):
    """The entries that reads of tags leave, a message each, and how many of the messages were acknowledged."""
    before, source, impinj = desk.journal.last_seq(), Source(), codec.load("impinj")
    frames = []
    for n, epc in enumerate(epcs):
        at_ns = T0 + (at + n) * NS
        payload = impinj.encode(reader="gate", time_ns=at_ns, epc_uri=epc, rssi_dbm=-50.0)
        frames.append(Frame(source="mqtt", format="impinj", payload=payload, received_ns=at_ns, device="gate", session="s",
                            packet=at + n + 1))
    desk.take([(source, frames)], T0 + (at + len(epcs)) * NS)
    return [unpack(e) for e in desk.journal.read(before) if e.kind in ("frame", "refusal")], source.answered


def forms(epc):
    """What of a tag could stand somewhere: its URI, its bytes, their digits, its serial number."""
    raw = tag_bytes(epc)
    return [epc.encode(), epc.rpartition(":")[2].encode(), epc.rpartition(".")[2].encode(), raw, raw.hex().encode(),
            raw.hex().upper().encode(), base64.b64encode(raw)]  # fmt: skip


def test_of_a_bystanders_tag_nothing_is_in_any_file(tmp_path):
    desk = open_desk(tmp_path)
    got, answered = heard(desk, *NOBODYS[:20], CASE, OWN, *NOBODYS[20:], CASE)
    assert answered == len(NOBODYS) + 3  # the reader is answered as ever
    kept = [o.epc for body in got for o in body.observations]
    assert kept == [CASE, OWN, CASE]
    desk.commit(desk.rest(T0 + 3600 * NS))
    rows = [unpack(e) for e in desk.journal.read(0) if e.kind == "refusal"]
    rejects = [(r.reason, r.detail, r.device) for body in rows for r in body.rejects]
    assert set(rejects) == {("unknown_device", BYSTANDER, "gate")} and len(rows) < len(NOBODYS)
    assert sum(body.count for body in rows) == len(NOBODYS)  # each is counted
    desk.journal.close()
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert home(f"sqlite:///{tmp_path}/j.db").base in whole
    for epc in NOBODYS:
        for form in forms(epc):
            assert not any(form in data for data in whole.values()), form
    # the search finds what is there: a case's tag
    assert any(OWN.encode() in data for data in whole.values())


def test_one_message_with_both_keeps_the_cases_tag_only(tmp_path, monkeypatch):
    read = {"device": "gate", "time_ns": T0, "reader": "gate"}
    said = codec.Decoded(observations=tuple(TagRead(epc=epc, **read) for epc in (NOBODYS[0], CASE, NOBODYS[1])))

    class Parrot:
        VERSION, STREAM = 1, False

        class Decoder:
            def decode(self, message):
                return said

    known, load = codec.known, codec.load
    monkeypatch.setattr(codec, "known", lambda name: name == "parrot" or known(name))
    monkeypatch.setattr(codec, "load", lambda name: Parrot if name == "parrot" else load(name))
    desk = open_desk(tmp_path)
    frame = Frame(source="mqtt", format="parrot", payload=json.dumps(NOBODYS[:2]).encode(), received_ns=T0, device="gate",
                  session="s", packet=1)
    desk.take([(Source(), [frame])], T0)
    rows = [unpack(e) for e in desk.journal.read(0) if e.kind in ("frame", "refusal")]
    assert [o.epc for body in rows for o in body.observations] == [CASE]
    assert sum(r.count for body in rows for r in body.rejects) == 2 and all(isinstance(body, RefusalBody) for body in rows)
    desk.journal.close()
    whole = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(form in whole for epc in NOBODYS[:2] for form in forms(epc))


@pytest.mark.parametrize("more", [{"ruled": False}, {"exercise": True}])
def test_where_no_warrant_rules_and_in_an_exercise_all_reads_stay(tmp_path, more):
    desk = open_desk(tmp_path, **more)
    got, _ = heard(desk, NOBODYS[0], CASE)
    assert [o.epc for body in got for o in body.observations] == [NOBODYS[0], CASE]
    desk.journal.close()


def test_a_tag_is_a_cases_from_the_entry_that_says_so(tmp_path):
    desk = open_desk(tmp_path)
    assert [b.observations for b in heard(desk, NOBODYS[0])[0]] == [()]
    said = (Device(device=NOBODYS[0], basis="partner"), Attachment(device=NOBODYS[0], shipment="s", operation="A", from_ns=0))
    desk.take([Entries(drafts_of([wanted(body, source="op") for body in said]), lambda numbers: None)], T0 + 5 * NS)
    [body] = heard(desk, NOBODYS[0], at=10)[0]
    assert [o.epc for o in body.observations] == [NOBODYS[0]]
    desk.journal.close()
