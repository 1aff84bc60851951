"""``birddog epcis check``: what the standard asks passes, each single fault is named with its place."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import pytest

from opsroom.cli import main
from opsroom.epcis_rules import MOST, faults, first

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "predict" / "epcis"
EVENT = {
    "type": "ObjectEvent", "eventTime": "2026-03-01T10:00:00.000+02:00", "eventTimeZoneOffset": "+02:00", "action": "OBSERVE",
    "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8", "bizStep": "shipping", "disposition": "in_transit",
    "epcList": ["urn:epc:id:sgtin:0614141.107346.2017"], "readPoint": {"id": "geo:51.9,4.1"},
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epc:id:gdti:0614141.06012.1234"}],
    "sensorElementList": [{"sensorMetadata": {"time": "2026-03-01T08:00:00Z"},
                           "sensorReport": [{"type": "Temperature", "value": 4.5, "uom": "CEL"}]}],
    "ext:lot": 7,
}  # fmt: skip
CHILDREN = {k: v for k, v in EVENT.items() if k not in ("epcList",)} | {
    "type": "AggregationEvent", "parentID": "urn:epc:id:sscc:0614141.1234567890", "action": "ADD",
    "childEPCs": ["urn:epc:id:sgtin:0614141.107346.2017"]}
MADE = {"type": "TransformationEvent", "eventTime": "2026-03-01T10:00:00Z", "eventTimeZoneOffset": "-14:00",
        "inputEPCList": ["urn:epc:id:sgtin:0614141.107346.1"],
        "outputQuantityList": [{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200, "uom": "KGM"}]}
BOUGHT = {"type": "TransactionEvent", "eventTime": "2026-03-01T10:00:00Z", "eventTimeZoneOffset": "+00:00", "action": "DELETE",
          "bizTransactionList": [{"bizTransaction": "urn:x:1"}]}
THEIRS = {"type": "https://ns.example.com/epcis/SealBroken", "eventTime": "2026-03-01T10:00:00Z",
          "eventTimeZoneOffset": "+00:00", "x": 1}


def document(*events) -> dict:
    return copy.deepcopy({
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"ext": "urn:x:"}],
        "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-03-01T10:00:00Z",
        "epcisBody": {"eventList": list(events)},
    })  # fmt: skip


def test_what_is_right_passes():
    whole = document(EVENT, CHILDREN, CHILDREN | {"type": "AssociationEvent"}, MADE, BOUGHT, THEIRS)
    assert first(whole) == []
    query = {"@context": "urn:x", "type": "EPCISQueryDocument", "epcisBody": {"queryResults": {
        "queryName": "q", "resultsBody": {"eventList": [EVENT]}}}}
    assert first(query) == [] and first(EVENT | {"@context": "urn:x"}) == []
    assert first(document(EVENT | {"bizStep": "https://ns.example.com/epcis/smuggling"})) == []
    assert first(document(EVENT | {"eventTime": "2016-12-31T23:59:60Z"})) == []  # a leap second is a time (RFC 3339, 5.7)


def changed(event, path, value):
    """A document whose one event has another value at a path; ``...`` takes the field out."""
    found = copy.deepcopy(event)
    at = found
    for step in path[:-1]:
        at = at[step]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document(found)


REPORT = ("sensorElementList", 0, "sensorReport", 0)
FAULTS = [
    (EVENT, ("eventTime",), ..., "eventTime: is missing"),
    (EVENT, ("eventTime",), "yesterday", "eventTime: wants a time"),
    (EVENT, ("eventTime",), "2026-03-01T10:00:00", "eventTime: wants a time"),
    (EVENT, ("eventTime",), "2026-02-30T10:00:00Z", "is no time"),
    (EVENT, ("eventTime",), "2026-03-01T24:01:00Z", "is no time"),
    (EVENT, ("eventTime",), "2026-03-01T10:00:00+25:00", "is no time"),
    (EVENT, ("eventTime",), 1772359200, "eventTime: wants a time"),
    (EVENT, ("recordTime",), "2026-03-01 10:00:00Z", "recordTime: wants a time"),
    (EVENT, ("eventTimeZoneOffset",), ..., "eventTimeZoneOffset: is missing"),
    (EVENT, ("eventTimeZoneOffset",), "2:00", "eventTimeZoneOffset: wants an offset"),
    (EVENT, ("eventTimeZoneOffset",), "+15:00", "eventTimeZoneOffset: wants an offset"),
    (EVENT, ("eventTimeZoneOffset",), "+02:00\n", "eventTimeZoneOffset: wants an offset"),
    (EVENT, ("eventTimeZoneOffset",), "+0٢:00", "eventTimeZoneOffset: wants an offset"),
    (EVENT, ("action",), ..., "action: is missing"),
    (EVENT, ("action",), "observe", "action: wants OBSERVE or ADD or DELETE"),
    (EVENT, ("type",), "ShipmentEvent", "type: 'ShipmentEvent' is no event"),
    (EVENT, ("type",), ..., "type: is missing"),
    (EVENT, ("type",), 7, "type: 7 is no event"),
    (EVENT, ("bizStep",), "smuggling", "bizStep: 'smuggling' is no word"),
    (EVENT, ("bizStep",), "urn:epcglobal:cbv:bizstep:shipping", "bizStep"),
    (EVENT, ("bizStep",), "https://ns.gs1.org/cbv/BizStep-shipping", "bizStep"),
    (EVENT, ("disposition",), "lost", "disposition: 'lost' is no word"),
    (EVENT, ("epcList",), "urn:epc:id:sgtin:1.2.3", "epcList: wants a list"),
    (EVENT, ("epcList",), ["07346"], "epcList[0]: wants a URI"),
    (EVENT, ("epcList",), ["urn:x:1", "urn:x:1"], "epcList: holds one value twice"),
    (EVENT, ("readPoint",), {}, "readPoint.id: is missing"),
    (EVENT, ("readPoint", "id"), "dock 4", "readPoint.id: wants a URI"),
    (EVENT, ("lot",), 7, "lot: is no field of the standard"),
    (EVENT, ("ilmd",), {}, "ilmd: stands only with the action ADD"),
    (EVENT, ("bizTransactionList", 0, "type"), "contract", "type: 'contract' is no word"),
    (EVENT, ("bizTransactionList", 0, "note"), "x", "note: is no field"),
    (EVENT, ("persistentDisposition",), {}, "wants set or unset"),
    (EVENT, ("errorDeclaration",), {}, "declarationTime: is missing"),
    (EVENT, ("sensorElementList",), [{}], "sensorReport: is missing"),
    (EVENT, (*REPORT, "value"), "4.5", "value: wants a number"),
    (EVENT, (*REPORT, "value"), True, "value: wants a number"),
    (EVENT, (*REPORT, "type"), "Heat", "type: 'Heat' is no word"),
    (EVENT, (*REPORT, "type"), "https://gs1.org/voc/Temperature", "type: "),
    (EVENT, (*REPORT, "hexBinaryValue"), "zz", "hexBinaryValue: wants hexadecimal"),
    (CHILDREN, ("childEPCs",), [], "wants childEPCs or childQuantityList"),
    (CHILDREN | {"type": "AssociationEvent"}, ("parentID",), ..., "parentID: is missing"),
    (BOUGHT, ("bizTransactionList",), [], "wants at least 1"),
    (BOUGHT, ("action",), "ADD", "wants epcList or quantityList"),
    (MADE, ("inputEPCList",), ..., "wants what went in"),
    (MADE, ("outputQuantityList", 0, "uom"), "kg", "uom: wants a unit"),
    (THEIRS, ("eventTime",), ..., "eventTime: is missing"),
]


@pytest.mark.parametrize("event,path,value,words", FAULTS, ids=lambda v: "" if isinstance(v, dict) else None)
def test_each_single_fault_is_named_with_its_place(event, path, value, words):
    found = first(changed(event, path, value))
    assert len(found) >= 1 and any(words in f for f in found), found
    assert found[0].startswith("epcisBody.eventList[0]")


@pytest.mark.parametrize("field", ["@context", "schemaVersion", "creationDate", "epcisBody"])
def test_a_document_lacks_a_field(field):
    whole = document(EVENT)
    del whole[field]
    assert first(whole) == [f"{field}: is missing"]


def test_what_is_no_document():
    assert first([]) and first("x") and first({}) == ["type: is missing"] and first(None)
    assert first(EVENT) == ["@context: is missing"]
    assert len(first(document(*[{}] * 1000))) == MOST < len(list(faults(document(*[{}] * 1000))))


def test_the_command_says_one_line_a_file(tmp_path, capsys):
    good, bad, no = (tmp_path / n for n in ("good.json", "bad\n.json", "no.json"))
    good.write_text(json.dumps(document(EVENT)))
    bad.write_text(json.dumps(changed(EVENT, ("bizStep",), "smuggling\x1b[2J")))
    no.write_text('{"type": "ObjectEvent", "type": 1}')
    assert main(["epcis", "check", str(good)]) == 0
    assert main(["epcis", "check", str(good), str(bad), str(no)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[1] == f"{good}: ok" and "smuggling" in lines[2] and "\x1b" not in lines[2]
    assert "twice" in lines[3]
    assert main(["epcis", "check", str(tmp_path / "absent.json"), str(good)]) == 2
    said = capsys.readouterr()
    assert "absent.json: cannot be read" in said.err and said.out == f"{good}: ok\n"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_the_official_examples_and_their_broken_copies():
    folder = SHARED
    with open(folder / "labels.csv", newline="") as source:
        for row in csv.DictReader(source):
            found = first(json.loads((folder / row["file"]).read_text(encoding="utf-8-sig")))
            assert (row["label"] == "valid") == (not found), (row, found)
