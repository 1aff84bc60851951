"""chirpstack, ttn, meshtastic and impinj: documented examples, and what gateways do that one sample cannot show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birddog.model import Fix, TagRead
from birddog.units import ns_from_text
from devices.codec import Message
from devices.formats import chirpstack, impinj, meshtastic, ttn

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "ingest" / "iot_json" / "examples.jsonl"
UP = {"dev_eui": "a81758fffe0523db", "time_ns": 1_761_990_000_000_000_000, "lat_deg": 51.9, "lon_deg": 4.1, "event": "up"}
TOPIC = "application/1/device/a81758fffe0523db/event/"


def test_two_deliveries_are_one_message_and_two_events_of_one_uplink_are_two():
    decoder = chirpstack.Decoder()
    first, again = (
        decoder.decode(Message(payload=chirpstack.encode(**UP, unique="u1", rssi_dbm=rssi), topic=TOPIC + "up"))
        for rssi in (-90, -70)
    )
    other = decoder.decode(Message(payload=chirpstack.encode(**UP, unique="u2"), topic=TOPIC + "up"))
    place = decoder.decode(
        Message(payload=chirpstack.encode(**{**UP, "event": "location"}, unique="u1"), topic=TOPIC + "location")
    )
    assert first.key == again.key and len({first.key, other.key, place.key}) == 3 and first.key is not None
    assert decoder.decode(Message(payload=chirpstack.encode(**UP), topic=TOPIC + "up")).key is None


def test_the_event_is_known_without_a_topic():
    for event, kinds in (("location", ["fix"]), ("up", ["fix", "reading"])):
        decoded = chirpstack.Decoder().decode(Message(payload=chirpstack.encode(**{**UP, "event": event})))
        assert [o.__struct_config__.tag for o in decoded.observations] == kinds


def test_ttn_two_deliveries_are_one_and_another_counter_or_content_is_another():
    said = {"dev_eui": "a81758fffe0523db", "time_ns": UP["time_ns"], "lat_deg": 51.9, "lon_deg": 4.1, "session": "s"}
    first, again, later, other = (
        ttn.Decoder().decode(Message(payload=ttn.encode(**said | more)))
        for more in ({}, {"rssi_dbm": -70}, {"count": 1}, {"lat_deg": 51.8})
    )
    assert first.key == again.key and len({first.key, later.key, other.key}) == 3 and first.key is not None
    solved = [ttn.Decoder().decode(Message(payload=ttn.encode(**said | {"event": "location", "lat_deg": lat}))).key
              for lat in (51.9, 51.8, 51.9)]  # fmt: skip
    assert solved[0] == solved[2] != solved[1]


def test_ttn_wrapped_as_the_console_and_the_storage_integration_do():
    """home-assistant/core#121249: what people copy from the console."""
    plain = ttn.encode(**UP)
    wanted = ttn.Decoder().decode(Message(payload=plain)).observations
    for wrapped in (b'{"name":"as.up.data.forward","data":%s}' % plain, b'{"result":%s}' % plain):
        assert ttn.Decoder().decode(Message(payload=wrapped)).observations == wanted and wanted


def test_ttn_and_chirpstack_give_one_device_one_name():
    names = {module.Decoder().decode(Message(payload=module.encode(**UP))).device for module in (chirpstack, ttn)}
    assert names == {"a81758fffe0523db"}


def test_meshtastic_a_packet_that_two_gateways_repeat_is_one():
    said = {"node": 0x01020304, "time_ns": UP["time_ns"], "lat_deg": 51.9, "lon_deg": 4.1}
    first, again, other = (meshtastic.Decoder().decode(Message(payload=meshtastic.encode(**said | more)))
                           for more in ({}, {"rssi_dbm": -50.0, "gateway": 7}, {"packet": 2}))  # fmt: skip
    assert first.key == again.key != other.key and first.device == "!01020304"


@pytest.mark.parametrize("bits", [10, 13, 16, 24, 32])
def test_meshtastic_sigma_is_that_of_the_cell(bits):
    """A thousand places in a cell: their own spread about what is sent is the sigma that is stated."""
    errors, sigmas = [], set()
    for k in range(1000):
        lat = 51.0 + k * 0.0137
        said = {"node": 5, "time_ns": UP["time_ns"], "lat_deg": lat, "lon_deg": 4.1, "precision_bits": bits}
        fix = meshtastic.Decoder().decode(Message(payload=meshtastic.encode(**said))).observations[0]
        errors.append((fix.lat_deg - lat) * 111_320)
        sigmas.add(fix.sigma_m)
    (sigma_m,) = sigmas
    spread = (sum(e * e for e in errors) / len(errors)) ** 0.5
    assert spread < 0.01 if bits == 32 else spread == pytest.approx(sigma_m, rel=0.15)


def test_impinj_reads_of_one_message_keep_their_order():
    lines = [
        impinj.encode(reader="r1", time_ns=1_761_990_000_000_000_000 + k, epc_uri=f"urn:epc:tag:sgtin-96:3.0614141.812345.{k}")
        for k in range(50)
    ]
    decoded = impinj.Decoder().decode(Message(payload=b"\n".join(lines) + b"\n"))
    assert [o.epc.rsplit(".", 1)[1] for o in decoded.observations] == [str(k) for k in range(50)]
    broken = impinj.Decoder().decode(Message(payload=b"\n".join([lines[0], b"{", lines[1]])))
    assert len(broken.observations) == 2 and len(broken.rejects) == 1


def test_impinj_over_several_lines():
    said = json.loads(impinj.encode(reader="r1", time_ns=10**18, epc_uri="urn:epc:tag:sgtin-96:3.0614141.812345.1"))
    decoded = impinj.Decoder().decode(Message(payload=json.dumps(said, indent=2).encode()))
    assert isinstance(decoded.observations[0], TagRead)


@pytest.mark.shared
@pytest.mark.skipif(not EXAMPLES.is_file(), reason="../shared/data/ingest/iot_json is not here")
def test_documented_examples():
    seen = 0
    for line in EXAMPLES.read_text().splitlines():
        row = json.loads(line)
        if row["format"] != "chirpstack_v4":
            continue
        seen += 1
        message = Message(payload=json.dumps(row["payload"]).encode(), topic=row["topic"])
        decoded, expected = chirpstack.Decoder().decode(message), row["expected"]
        assert not decoded.rejects
        fixes = [o for o in decoded.observations if isinstance(o, Fix)]
        if expected["kind"] == "position":
            (fix,) = fixes
            assert (fix.lat_deg, fix.lon_deg, fix.alt_m) == (expected["lat"], expected["lon"], expected["alt_m"])
            assert fix.time_ns // 1_000_000 == ns_from_text(expected["time"][:23] + "Z") // 1_000_000
        else:
            assert not fixes and decoded.device == expected["device_id"] and expected["dedup_id"].encode() in decoded.key
    assert seen >= 2
