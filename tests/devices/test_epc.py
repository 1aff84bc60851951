"""EPC tag URIs against epcpy, both ways."""

from __future__ import annotations

import binascii
import json
import re
import string
from pathlib import Path

import pytest
from epcpy.epc_schemes.sgtin import SGTIN, SGTINFilterValue
from epcpy.epc_schemes.sscc import SSCC, SSCCFilterValue
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.errors import DeviceError
from devices.codec import Message
from devices.epc_uri import raw_uri, tag_bytes, tag_name, tag_uri
from devices.formats import epc

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


def read(payload: bytes) -> tuple[list[str], list[str]]:
    """(URIs, reasons) of one memory."""
    said = epc.Decoder().decode(Message(payload=payload))
    return [o.epc for o in said.observations], [r.reason for r in said.rejects]


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(string.digits, min_size=1, max_size=40), st.text("0123456789ABCDEFabcdef", min_size=1, max_size=40),
                 st.text(string.printable[:95], min_size=1, max_size=40)))  # fmt: skip
def test_printed_text_is_read_as_hexadecimal_or_refused(label):
    """Of random labels of twelve digits 30 % were tags that do not exist: "0" is 0x30."""
    uris, reasons = read(label.encode())
    digits = re.sub(r"(?<=[0-9A-Fa-f])[ :-](?=[0-9A-Fa-f])", "", label.strip()).removeprefix("0x").removeprefix("0X")
    if uris:
        assert re.fullmatch("(?:[0-9A-Fa-f]{2})+", digits) and len(digits) >= 16
        assert uris == read(bytes.fromhex(digits))[0]
    else:
        assert len(reasons) == 1 and reasons[0] in ("format", "type", "length", "value")


@pytest.mark.parametrize("label", ["012345678905", "500000000001", "400638133393", "0128CAFE0001"])
def test_labels_and_memories_of_48_bits_are_no_tags(label):
    for payload in (label.encode(), bytes.fromhex(label)):
        uris, reasons = read(payload)
        assert not uris and reasons[0] in ("type", "length")


@pytest.mark.parametrize("text", ["3036 142C 8C00 8F80 0005 3244", "30:36:14:2C:8C:00:8F:80:00:05:32:44",
                                  "0x3036142c8c008f8000053244", " 30-36-14-2C-8C-00-8F-80-00-05-32-44\r\n"])  # fmt: skip
def test_hexadecimal_text_in_groups(text):
    assert read(text.encode()) == (["urn:epc:tag:sgtin-96:1.8719139.000574.340548"], [])


@settings(max_examples=200, deadline=None)
@given(uris(), st.sampled_from(["bare", "pc", "crc pc", "pc crc", "filled"]), st.integers(0, 255))
def test_the_whole_bank_is_the_same_tag(uri, how, attributes):
    memory = tag_bytes(uri)
    pc = bytes([0x30 | attributes >> 6 & 4, attributes & 0x3F])
    crc = (binascii.crc_hqx(pc + memory, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")
    banks = {"bare": memory, "pc": pc + memory, "crc pc": crc + pc + memory, "pc crc": pc + memory + crc}
    said = epc.Decoder().decode(Message(payload=banks.get(how, memory + bytes(4))))
    assert [o.epc for o in said.observations] == [uri]
    assert ("pc" in said.observations[0].attributes) == ("pc" in how)


def test_tds_2_says_its_scheme_and_key():
    """Examples of GS1 TDS 2.3, annex E.3; those of "++" with the headers of table 14-1."""
    for memory, wanted in {
        "F73795211411234538566CB0AFC4": {"scheme": "sgtin+", "gtin": "79521141123453"},
        "FB342CDE795211411234538566CB0AFC40": {"scheme": "dsgtin+", "gtin": "79521141123453"},
        "F900952012345678912350": {"scheme": "sscc+", "sscc": "095201234567891235"},
        "F2395211411234548566CB0AFC40": {"scheme": "sgln+", "gln": "9521141123454"},
        "F13095211411234548566CB0AFC4": {"scheme": "grai+", "grai": "09521141123454"},
        "FA3952114132E83C2BF100": {"scheme": "giai+"},
        "F439521141123456789060": {"scheme": "gsrn+", "gsrn": "952114112345678906"},
        "F539521141123456789060": {"scheme": "gsrnp+", "gsrnp": "952114112345678906"},
        "F6395211411234540458B8": {"scheme": "gdti+", "gdti": "9521141123454"},
        "F0395211415E87A145BAFB4D19A8C0E4": {"scheme": "cpi+"},
        "F839521141678909509338": {"scheme": "sgcn+", "gcn": "9521141678909"},
        "F3309521141123454010266AE27FDF35": {"scheme": "itip+", "itip": "095211411234540102"},
        "FD3795211411234538566CB0AFC525065F1876F0D996D800": {"scheme": "sgtin++", "gtin": "79521141123453"},
        "EF009520123456789123592832F8C3B786CCB6C0": {"scheme": "sscc++", "sscc": "095201234567891235"},
    }.items():
        assert tag_name(bytes.fromhex(memory)) == (raw_uri(bytes.fromhex(memory)), wanted)
    with pytest.raises(DeviceError, match="SGTIN|sgtin"):
        tag_uri(bytes.fromhex("F73795211411234538566CB0AFC4"))


@pytest.mark.shared
@pytest.mark.skipif(not VECTORS.is_file(), reason="../shared/data/ingest/epc is not here")
def test_vectors():
    for line in VECTORS.read_text().splitlines():
        row = json.loads(line)
        assert tag_uri(bytes.fromhex(row["hex"])) == row["tag_uri"]
