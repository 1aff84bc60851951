"""RFID readers' JSON: however events are strung together, each is read and a broken one costs only itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.model import Reading, TagRead
from birddog.units import ns_from_text
from devices import codec
from devices.codec import Message

T_NS = ns_from_text("2025-11-01T09:40:00Z")
READERS = ("impinj", "zebra")
SGTIN = "urn:epc:tag:sgtin-96:3.0614141.812345.6789"


def event(name: str, serial: int = 6789) -> bytes:
    return codec.load(name).encode(
        reader="r1", time_ns=T_NS, epc_uri=f"urn:epc:tag:sgtin-96:3.0614141.812345.{serial}", antenna=2, rssi_dbm=-54.0)


def said(name: str, payload: bytes, received_ns: int | None = T_NS) -> codec.Decoded:
    module = codec.load(name)
    return codec.decode_whole(module, module.Decoder(), Message(payload=payload, device="gate", received_ns=received_ns))


def changed(name: str, **fields) -> bytes:
    """An event whose tag has other fields; None takes one away."""
    o = json.loads(event(name))
    tag = o["tagInventoryEvent"] if name == "impinj" else o["data"]
    tag.pop("epc", None)
    for key, value in fields.items():
        o.pop(key, None) if key in o else None
        (o if key == "timestamp" else tag)[key] = value
    return json.dumps(o).encode()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_events_in_any_string(name, data):
    """Lines, CR LF, empty lines between (a stream that keeps itself alive), nothing between, lists."""
    serials = data.draw(st.lists(st.integers(0, 2**38 - 1), min_size=1, max_size=8))
    out = data.draw(st.sampled_from([b"", b"\r\n\r\n"]))
    at = 0
    while at < len(serials):
        some = serials[at : at + data.draw(st.integers(1, 3))]
        whole = [event(name, n) for n in some]
        out += b"[" + b",".join(whole) + b"]" if data.draw(st.booleans()) else b"".join(whole)
        out += data.draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n", b" "]))
        at += len(some)
    reads = [o for o in said(name, out).observations if isinstance(o, TagRead)]
    assert [int(o.epc.rpartition(".")[2]) for o in reads] == serials


@pytest.mark.parametrize("name", READERS)
def test_a_broken_event_costs_only_itself(name):
    whole = event(name)
    for broken in (whole[:-1], whole[:40], b'{"x":1}', b"7", whole.replace(b"r1", b"\xff")):
        for stream in (whole + b"\n" + broken + b"\n" + whole, broken + b"\n" + whole + b"\n" + whole):
            answer = said(name, stream)
            assert len(answer.observations) == 2 and len(answer.rejects) == 1, (broken, stream)


@pytest.mark.parametrize("name", READERS)
def test_a_tag_of_another_numbering_system_is_no_epc(name):
    """The PC word's toggle bit: ISO 17367 and its kin, though the first byte may look like a scheme's header."""
    for pc, hexadecimal, good in (("MAA=", "3000", True), ("MaE=", "31a1", False), ("?", "?", True), ("", "", True)):
        payload = changed(name, pc=pc) if name == "impinj" else changed(name, PC=hexadecimal)
        (read,) = said(name, payload).observations
        assert (read.epc == SGTIN) == good and ("low_quality" in read.flags) != good


@pytest.mark.parametrize("name", READERS)
def test_a_reader_whose_clock_was_never_set_dates_nothing(name):
    for stamp in ("1970-01-01T00:03:00Z", "2000-01-01T00:00:09Z"):
        (read,) = said(name, changed(name, timestamp=stamp)).observations
        assert (read.time_ns, read.time_source, read.flags) == (T_NS, "server", ("no_fix_time",))


@pytest.mark.parametrize("name", READERS)
def test_a_signal_that_was_not_measured_is_none(name):
    key, values = ("peakRssiCdbm", (None, 32767, -32768)) if name == "impinj" else ("peakRssi", (None, 0, 127, -999))
    for value in values:
        (read,) = said(name, changed(name, **{key: value})).observations
        assert read.rssi_dbm is None and read.epc == SGTIN


def test_what_is_no_tag_is_a_reading_or_named():
    def impinj(key: str, value: object) -> codec.Decoded:
        return said("impinj", json.dumps({"hostname": "r1", "timestamp": "2025-11-01T09:40:00Z", key: value}).encode())

    for key, value, wanted in (
        ("gpiTransitionEvent", {"gpi": 2, "transition": "high-to-low"}, ("input_2", False)),
        ("antennaDisconnectedEvent", {"antennaPort": 4}, ("antenna_4_connected", False)),
        ("antennaConnectedEvent", {"antennaPort": 4}, ("antenna_4_connected", True)),
        ("inventoryStatusEvent", {"inventoryStatus": "idle"}, ("inventory_status", "idle")),
        ("overflowEvent", {}, ("reads_lost", True)),
    ):
        (reading,) = impinj(key, value).observations
        assert isinstance(reading, Reading) and (reading.device, reading.quantity, reading.value) == ("r1", *wanted)
    for key, value in (("gpiTransitionEvent", {"gpi": 2}), ("inventoryStatusEvent", {"inventoryStatus": "x" * 99}),
                       ("antennaConnectedEvent", {}), ("diagnosticEvent", {}), ("eventType", "new")):  # fmt: skip
        answer = impinj(key, value)
        assert not answer.observations and not answer.rejects and answer.unread == ("event",)
