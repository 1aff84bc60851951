"""JSON from outside: what two readers could understand differently is refused, by every format that speaks JSON."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import pytest

import devices.formats
from birddog.errors import DeviceError
from birddog.units import ns_from_text
from devices import codec, strict_json
from devices.codec import Message

FOLDER = Path(next(iter(devices.formats.__path__)))


def samples() -> list[tuple[str, dict, dict]]:
    """(format, the sample, its JSON object) of every format whose samples are JSON objects."""
    out = []
    for name in codec.names():
        for sample in tomllib.loads((FOLDER / f"{name.replace('-', '_')}.samples.toml").read_text("utf-8")).get("sample", []):
            try:
                value = json.loads(sample.get("text", ""))
            except ValueError:
                continue
            if isinstance(value, dict) and sample.get("observations"):
                out.append((name, sample, value))
    return out


SAMPLES = samples()
JSON_FORMATS = sorted({name for name, _, _ in SAMPLES})


def answer(name: str, sample: dict, payload: bytes):
    received = sample.get("received")
    module = codec.load(name)
    message = Message(payload=payload, topic=sample.get("topic", ""), device=sample.get("device", "d"),
                      received_ns=None if received is None else ns_from_text(received))
    return codec.decode_whole(module, module.Decoder(), message)


def test_there_are_such_formats():
    assert {"owntracks", "impinj", "chirpstack", "modbus"} <= set(JSON_FORMATS)


@pytest.mark.parametrize("text", [
    '{"a":1,"a":1}', '{"b":{"a":1,"a":2}}', '[{"a":1},{"a":1,"a":2}]', '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}',
    '{"a":1e999}', '{"a":"\\ud800"}', '{"a":1} x', '{"a":1}{"b":2}', '{"a":01}', '{"a":+1}', "{'a':1}", '{"a":1,}', "",
    '{"a":' + "[" * 100_000, '{"\\ud800":1}',
])  # fmt: skip
def test_what_two_readers_could_take_differently_is_refused(text):
    """Faults F36, F40, F41, F42."""
    with pytest.raises(DeviceError) as caught:
        strict_json.loads(text.encode())
    assert caught.value.reason == "format"


@pytest.mark.parametrize(
    "raw", [b'{"a":"\xff"}', b'{"\xff":1}', b'\xef\xbb\xbf{"a":1}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\x00"}']
)
def test_bytes_that_are_no_text_are_refused(raw):
    with pytest.raises(DeviceError):
        strict_json.loads(raw)


def test_numbers_of_five_thousand_digits_are_no_numbers_and_no_crash():
    """Fault F42."""
    for digits in ("9" * 5000, "-" + "9" * 5000, "0." + "9" * 5000, "9" * 400 + ".5"):
        try:
            value = strict_json.loads(b'{"a":%b}' % digits.encode())["a"]
        except DeviceError as error:
            assert error.reason == "format"
        else:
            assert strict_json.number(value) in (None, 1.0)
        said = codec.load("owntracks").Decoder().decode(
            Message(payload=b'{"_type":"location","lat":%b,"lon":4,"tst":1}' % digits.encode(), device="d")
        )
        assert said.rejects or abs(said.observations[0].lat_deg) <= 1.0


def paths(value, here=()):
    """Every place in a JSON value, deepest last."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*here, key)
        yield from paths(item, (*here, key))


OTHERS = [None, "", "x", "1", [], {}, [[]], True, False, -1, 0, 1e300, 2**63, {"a": 1}]


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_each_field_missing_retyped_or_beside_another(name):
    """Fault F46: what is extra is ignored, what is missing or of another type gives less or a reject, and nothing raises."""
    for _, sample, value in (row for row in SAMPLES if row[0] == name):
        plain = answer(name, sample, json.dumps(value).encode())
        for path in list(paths(value)):
            for other in ("gone", "extra", *OTHERS):
                changed = copy.deepcopy(value)
                holder = changed
                for key in path[:-1]:
                    holder = holder[key]
                if other == "gone":
                    del holder[path[-1]]
                elif other == "extra":
                    if not isinstance(holder, dict):
                        continue
                    holder["x-of-a-later-firmware"] = {"lon": "?", "list": [1]}
                else:
                    holder[path[-1]] = other
                said = answer(name, sample, json.dumps(changed).encode())
                assert isinstance(said, codec.Decoded)
                json.dumps([str(o) for o in said.observations], allow_nan=False)
                if other == "extra":
                    assert said.observations == plain.observations and said.rejects == plain.rejects, path


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_a_time_without_a_zone_is_refused(name):
    """Fault F24."""
    for _, sample, value in (row for row in SAMPLES if row[0] == name):
        for path in list(paths(value)):
            changed = copy.deepcopy(value)
            holder = changed
            for key in path[:-1]:
                holder = holder[key]
            text = holder[path[-1]]
            if not (isinstance(text, str) and text[4:5] == "-" and text[10:11] == "T"):
                continue
            if path[-1] not in ("time", "timestamp", "lastSeenTime"):
                continue
            holder[path[-1]] = text[:19]
            said = answer(name, sample, json.dumps(changed).encode())
            if path[-1] == "timestamp" and "lastSeenTime" in json.dumps(value):
                continue  # the tag's own time counts
            assert len(path) > 1 and path[-1] == "time" or [r.reason for r in said.rejects] == ["value"], path
