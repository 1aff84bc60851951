"""EPC tag URIs against epcpy, both ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from epcpy.epc_schemes.sgtin import SGTIN, SGTINFilterValue
from epcpy.epc_schemes.sscc import SSCC, SSCCFilterValue
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.errors import DeviceError
from devices.epc_uri import raw_uri, tag_bytes, tag_uri

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "epc" / "epc_vectors.jsonl"


@st.composite
def uris(draw) -> str:
    digits = draw(st.integers(6, 12))
    company = draw(st.integers(0, 10**digits - 1))
    filter_value = draw(st.integers(0, 7))
    if draw(st.booleans()):
        item = draw(st.integers(0, 10 ** (13 - digits) - 1))
        serial = draw(st.integers(0, 2**38 - 1))
        return f"urn:epc:tag:sgtin-96:{filter_value}.{company:0{digits}d}.{item:0{13 - digits}d}.{serial}"
    serial = draw(st.integers(0, 10 ** (17 - digits) - 1))
    return f"urn:epc:tag:sscc-96:{filter_value}.{company:0{digits}d}.{serial:0{17 - digits}d}"


@settings(max_examples=300, deadline=None)
@given(uris())
def test_both_ways_as_epcpy(uri):
    memory = tag_bytes(uri)
    assert tag_uri(memory) == tag_uri(memory + b"\0\0") == uri
    filter_value = uri.split(":")[-1][0]
    if "sgtin" in uri:
        scheme, how = SGTIN, (SGTIN.BinaryCodingScheme.SGTIN_96, SGTINFilterValue(filter_value))
    else:
        scheme, how = SSCC, (SSCCFilterValue(filter_value),)
    assert int(scheme.from_tag_uri(uri).binary(*how), 2).to_bytes(12, "big") == memory
    assert scheme.from_hex(memory.hex().upper()).tag_uri(*how) == uri


@given(st.binary(max_size=70))
def test_any_memory_is_answered_or_refused(memory):
    try:
        uri = tag_uri(memory)
    except DeviceError as error:
        assert error.reason in ("length", "value", "type")
    else:
        assert uri.startswith("urn:epc:tag:") and uri.isascii()


@given(st.binary(min_size=12, max_size=12))
def test_what_is_read_can_be_written(memory):
    try:
        uri = tag_uri(bytes([0x30 + memory[0] % 2]) + memory[1:])
    except DeviceError:
        return
    assert tag_uri(tag_bytes(uri)) == uri


def test_raw():
    assert raw_uri(bytes.fromhex("e280116060")) == "urn:epc:raw:40.xE280116060"
    assert tag_bytes("urn:epc:raw:40.xE280116060") == bytes.fromhex("e280116060")


@pytest.mark.parametrize("uri", ["urn:epc:tag:sgtin-96:8.0614141.812345.1", "urn:epc:tag:sgtin-96:3.06141.812345.1",
                                 "urn:epc:tag:sgtin-96:3.0614141.812345.274877906944",
                                 "urn:epc:tag:sscc-96:2.9501234.123456789",
                                 "urn:epc:id:sgtin:0614141.812345.1", "nonsense"])  # fmt: skip
def test_what_cannot_be_written(uri):
    with pytest.raises(ValueError):
        tag_bytes(uri)


@pytest.mark.shared
@pytest.mark.skipif(not VECTORS.is_file(), reason="../shared/data/ingest/epc is not here")
def test_vectors():
    for line in VECTORS.read_text().splitlines():
        row = json.loads(line)
        assert tag_uri(bytes.fromhex(row["hex"])) == row["tag_uri"]
