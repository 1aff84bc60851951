"""Judges every device format found in devices/formats: its form, its samples, what it does with damage.

A new format needs no line here.  Its samples are NAME.samples.toml beside it:

    [[sample]]  name, provenance, text or hex; optional topic, device, received, session (samples of one session
                share a decoder, in order), observations (in order; the named fields must be so), rejects (reasons,
                in order), unread (names, in order), absent (fields that must be null in every observation), reply_hex
    [[encode]]  fields (arguments of ``encode``), optional topic, device, received, session, and observations that
                decoding what was encoded must give
"""

from __future__ import annotations

import json
import random
import re
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import devices.formats
from birddog.geo import null_island, valid_position
from birddog.model import REJECT_REASONS, Fix, FrameBody, Sighting, pack
from birddog.units import ns_from_text
from devices import codec, ranges
from devices.codec import Decoded, Message
from devices.crc import crc16_ibm, fletcher8, xor8
from opsroom.observation_json import observation_json

FORMATS = codec.names()
FOLDER = Path(next(iter(devices.formats.__path__)))
#: No decoder or framer may hold more than this after any number of messages, in bytes.
MOST_STATE = 2_000_000


def samples(name: str, table: str = "sample") -> list[dict]:
    beside = Path(codec.load(name).__file__).with_suffix(".samples.toml")
    return tomllib.loads(beside.read_text("utf-8")).get(table, [])


def payload_of(sample: dict) -> bytes:
    return bytes.fromhex(sample["hex"]) if "hex" in sample else sample["text"].encode()


def message_of(sample: dict, payload: bytes) -> Message:
    received = sample.get("received")
    return Message(
        payload=payload,
        topic=sample.get("topic", ""),
        device=sample.get("device", ""),
        received_ns=None if received is None else ns_from_text(received),
    )


def same(wanted, got, key: str = "") -> bool:
    """Whether ``got`` is as wanted: degrees of a position to 1e-7, other floats to 1e-3."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(k in got and same(value, got[k], k) for k, value in wanted.items())
    if isinstance(wanted, float) and isinstance(got, int | float) and not isinstance(got, bool):
        return abs(wanted - got) <= (1.01e-7 if key in ("lat_deg", "lon_deg") else 1e-3)
    return wanted == got and isinstance(wanted, bool) == isinstance(got, bool)


def judge(decoded: Decoded, sample: dict) -> None:
    got = [observation_json(o) for o in decoded.observations]
    wanted = sample.get("observations", [])
    assert len(got) == len(wanted), f"{sample.get('name')}: {got}, rejects {decoded.rejects}"
    for w, g in zip(wanted, got, strict=True):
        assert same(w, g), f"{sample.get('name')}: wanted {w}, got {g}"
    for field in sample.get("absent", []):
        assert all(g.get(field) is None for g in got), f"{sample.get('name')}: {field} is there"
    assert [r.reason for r in decoded.rejects] == sample.get("rejects", []), decoded.rejects
    if "unread" in sample:
        assert list(decoded.unread) == sample["unread"], f"{sample.get('name')}: {decoded.unread}"
    if "reply_hex" in sample:
        assert (decoded.reply or b"").hex() == sample["reply_hex"]


def sound(decoded: Decoded, payload: bytes = b"", *, whole: bool = True) -> None:
    """What must hold of any answer, whatever the bytes were; ``whole``: it came by ``decode_whole``, as in the desk."""
    assert isinstance(decoded, Decoded)
    if whole:
        assert ranges.checked(decoded.observations) == (decoded.observations, ()), "a value that physics forbids"
    for reject in decoded.rejects:
        assert reject.reason in REJECT_REASONS and isinstance(reject.detail, str) and len(reject.detail) <= 300
    assert decoded.unread == codec.unread(decoded.unread), "names of a closed form, each once"
    for o in decoded.observations:
        assert isinstance(o.device, str)
        if isinstance(o, Fix | Sighting):
            assert valid_position(o.lat_deg, o.lon_deg) and not null_island(o.lat_deg, o.lon_deg)
        if isinstance(o, Fix):
            assert o.sigma_m is None or o.sigma_m > 0.0
            assert o.speed_mps is None or o.speed_mps >= 0.0
            assert o.course_deg is None or 0.0 <= o.course_deg < 360.0
        json.dumps(observation_json(o), allow_nan=False).encode()  # finite, and its time can be written
    # what the journal does with it
    pack(FrameBody(format="x", version=1, payload=payload, observations=decoded.observations, rejects=decoded.rejects))


def pieces_of(module, cuts: list[bytes]) -> list[codec.Piece]:
    framer = module.Framer()
    return [p for cut in cuts for p in framer.feed(cut)] + framer.finish()


@pytest.fixture(params=FORMATS)
def name(request) -> str:
    return request.param


def test_names_of_what_was_not_understood_are_of_a_closed_form():
    assert codec.unread(["b", "a.b-1_c", "b"]) == ("b", "a.b-1_c")
    assert len(codec.unread(f"element_{i}" for i in range(100))) == codec.UNREAD_MOST
    for name in ("", "51.95,4.05", "Anna's van", "x" * 41, "-1", "Äpfel", "a\n"):
        with pytest.raises(ValueError):
            codec.unread([name])


def test_joined_answers_name_a_part_once():
    parts = [Decoded(unread=("a", "b")), Decoded(), Decoded(unread=("b", "c"))]
    assert codec.join(parts).unread == ("a", "b", "c")


def test_there_are_formats():
    assert "owntracks" in FORMATS


def test_form(name):
    module = codec.load(name)
    assert isinstance(module.VERSION, int) and module.VERSION >= 1
    assert isinstance(module.STREAM, bool)
    assert callable(module.Decoder) and callable(module.encode)
    assert hasattr(module, "Framer") == module.STREAM
    text = module.__doc__ or ""
    assert len(text) > 400 and "Source" in text and "::\n" in text, "the docstring draws the layout and names its source"
    code = module.encode.__code__
    assert code.co_argcount == 0 and code.co_kwonlyargcount > 0, "encode takes keywords only"


def test_facts(name):
    """What others ask of a format stands in its own file, and its samples bear it out."""
    module = codec.load(name)
    assert all(isinstance(getattr(module, fact, False), bool) for fact in ("TEXT", "NAMELESS", "BROADCAST", "NAMES_DEVICE"))
    topic, level = getattr(module, "GATEWAY_TOPIC", None), codec.device_level(name)
    assert topic is None or topic.pattern.endswith(r"\Z")
    assert not level or topic.match(f"application/1/{level}/0101/event/up")
    assert dict(codec.gateway_topics()).get(name) == topic
    good = [sample for sample in samples(name) if not sample.get("rejects")]
    if codec.is_text(name):  # what is text may be told a person so: no sample of it has to be given as bytes
        assert any("text" in sample for sample in good)
    if codec.is_nameless(name):
        said = [codec.decode_whole(module, module.Decoder(), msgspec.structs.replace(message_of(sample, payload_of(sample)),
                                                                                     device="whoever")) for sample in good]
        assert {o.device for decoded in said for o in decoded.observations} >= {"whoever"}


def test_samples(name):
    module, found = codec.load(name), samples(name)
    assert found, "a format has samples beside it"
    assert any(s.get("observations") for s in found) and any(s.get("rejects") for s in found)
    decoders: dict = {}
    for sample in found:
        assert sample["name"] and sample["provenance"]
        decoder = decoders.setdefault(sample.get("session", object()), module.Decoder())
        payload = payload_of(sample)
        decoded = codec.decode_whole(module, decoder, message_of(sample, payload))
        judge(decoded, sample)
        sound(decoded, payload)


def test_encode_then_decode(name):
    module, found = codec.load(name), samples(name, "encode")
    assert found, "a format's samples have [[encode]] tables"
    decoders: dict = {}
    for table in found:
        payload = module.encode(**table["fields"])
        assert isinstance(payload, bytes)
        decoder = decoders.setdefault(table.get("session", object()), module.Decoder())
        decoded = codec.decode_whole(module, decoder, message_of(table, payload))
        judge(decoded, table)
        sound(decoded, payload)


def stream_of(name: str) -> bytes:
    return b"".join(payload_of(s) for s in samples(name))


@pytest.mark.parametrize("name", [n for n in FORMATS if codec.load(n).STREAM])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_stream_may_be_cut_anywhere(name, data):
    module = codec.load(name)
    stream = data.draw(mutated(name))
    whole = pieces_of(module, [stream])
    assert b"".join(p.data for p in whole) == stream
    assert [p.offset for p in whole] == [sum(len(q.data) for q in whole[:i]) for i in range(len(whole))]
    assert all(p.data and len(p.data) <= codec.MAX_FRAME for p in whole)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=40)))
    cuts = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert pieces_of(module, cuts) == whole
    assert pieces_of(module, [stream[i : i + 1] for i in range(len(stream))]) == whole


CHANGE = st.tuples(st.sampled_from("fcid"), st.integers(0, 5000), st.integers(0, 60), st.binary(max_size=8))


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Samples of a format joined in any order, with bytes flipped, cut out, put in and doubled."""
    real = [payload_of(s) for s in samples(name)]

    @st.composite
    def draw(draw) -> bytes:
        b = bytearray(b"".join(draw(st.lists(st.sampled_from(real), min_size=1, max_size=4))))
        for kind, a, c, new in draw(
            st.lists(
                st.tuples(st.sampled_from("fcid"), st.integers(0, 5000), st.integers(0, 60), st.binary(max_size=8)), max_size=4
            )
        ):
            at = a % (len(b) + 1)
            if kind == "f" and at < len(b):
                b[at] ^= 1 << c % 8
            elif kind == "c":
                del b[at : at + c]
            elif kind == "i":
                b[at:at] = new
            elif kind == "d":
                b[at:at] = b[at : at + c]
        return bytes(b)

    return draw()


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_bytes_raise(name, data):
    module, decoder = codec.load(name), codec.load(name).Decoder()
    for _ in range(3):
        payload = data.draw(st.one_of(mutated(name), st.binary(max_size=200)))
        received = data.draw(st.sampled_from([None, 0, 1_761_990_000_000_000_000]))
        message = Message(payload=payload, device=data.draw(st.sampled_from(["", "d1"])), received_ns=received)
        sound(codec.decode_whole(module, decoder, message), payload)
        sound(decoder.decode(message), payload, whole=False)  # a transport's own framing may hand over anything


def test_no_single_flip_of_a_sample_raises_or_misplaces(name):
    module, rng = codec.load(name), random.Random(5)
    for sample in samples(name):
        payload = payload_of(sample)
        for at in range(len(payload)):
            for bit in (rng.randrange(8),) if len(payload) > 60 else range(8):
                flipped = bytearray(payload)
                flipped[at] ^= 1 << bit
                sound(codec.decode_whole(module, module.Decoder(), message_of(sample, bytes(flipped))))
            sound(codec.decode_whole(module, module.Decoder(), message_of(sample, payload[:at])))


def _lines(b: bytes) -> bytes:
    """Every sentence with the sum that its bytes have."""
    return re.sub(rb"([$!])([^*\r\n$!]*)\*..", lambda m: m[1] + m[2] + b"*%02X" % xor8(m[2]), b)


def _frames(b: bytes) -> bytes:
    """Every UBX frame whose length fits, with the sum that its bytes have."""
    out = bytearray(b)
    for m in re.finditer(rb"\xb5\x62", b):
        end = m.start() + 6 + int.from_bytes(b[m.start() + 4 : m.start() + 6], "little")
        if end + 2 <= len(b):
            out[end : end + 2] = fletcher8(bytes(out[m.start() + 2 : end]))
    return bytes(out)


def _packets(b: bytes) -> bytes:
    """Every Teltonika packet whose length fits, with the sum that its bytes have."""
    out = bytearray(b)
    for m in re.finditer(rb"\0\0\0\0", b):
        end = m.start() + 8 + int.from_bytes(b[m.start() + 4 : m.start() + 8], "big")
        if m.start() + 8 < end <= len(b) - 4:
            out[end : end + 4] = crc16_ibm(bytes(out[m.start() + 8 : end])).to_bytes(4, "big")
    return bytes(out)


#: Formats with a check sum: damage made whole again, so that what is behind the sum is reached.
SEALS = {"nmea": _lines, "ais": _lines, "ubx": _frames, "teltonika": _packets}


@pytest.mark.parametrize("name", SEALS)
def test_damage_behind_a_right_check_sum_is_answered(name):
    """Each byte of each sample changed, its sum made right again: sound answers, and whoever speaks is never lost."""
    module, rng, seal = codec.load(name), random.Random(8), SEALS[name]
    passed = 0
    for sample in samples(name):
        payload = payload_of(sample)
        for at in range(len(payload)):
            for byte in {payload[at] ^ 1 << rng.randrange(8), rng.choice((0, 0x2C, 0x2D, 0x30, 0x39, 0x7F, 0x80, 0xFF))}:
                broken = seal(payload[:at] + bytes([byte]) + payload[at + 1 :])
                decoded = codec.decode_whole(module, module.Decoder(), message_of(sample, broken))
                sound(decoded, broken)
                passed += not any(r.reason == "checksum" for r in decoded.rejects)
    assert passed > 300


def test_deep_and_long_input(name):
    module = codec.load(name)
    for payload in (b"", b"[" * 100_000, b'{"a":' * 60_000, *(bytes([b]) * 70_000 for b in b"$!9+\xb5\xff\x00")):
        decoded = codec.decode_whole(module, module.Decoder(), Message(payload=payload, device="d"))
        assert not decoded.observations
        sound(decoded, b"")


def test_state_is_bounded(name):
    module = codec.load(name)
    decoder, rng, found = module.Decoder(), random.Random(1), [payload_of(s) for s in samples(name)]
    framer = module.Framer() if module.STREAM else None
    for n in range(3000):
        b = bytearray(rng.choice(found))
        if b and n % 2:
            b[rng.randrange(len(b))] ^= 1 << rng.randrange(8)
        codec.decode_whole(module, decoder, Message(payload=bytes(b), device="d"))
        if framer is not None:
            framer.feed(bytes(b[: rng.randrange(len(b) + 1)]))
    assert deep_size(decoder, set()) < MOST_STATE
    assert framer is None or deep_size(framer, set()) < MOST_STATE


def deep_size(o, seen: set[int]) -> int:
    """Bytes held by an object and what it refers to, modules and types not counted."""
    if id(o) in seen or isinstance(o, type) or callable(o) and hasattr(o, "__code__"):
        return 0
    seen.add(id(o))
    size = sys.getsizeof(o)
    if isinstance(o, dict):
        return size + sum(deep_size(k, seen) + deep_size(v, seen) for k, v in o.items())
    if isinstance(o, list | tuple | set | frozenset) or type(o).__name__ in ("deque", "OrderedDict"):
        return size + sum(deep_size(item, seen) for item in o)
    held = list(getattr(o, "__dict__", {}).values())
    held += [getattr(o, slot) for klass in type(o).__mro__ for slot in getattr(klass, "__slots__", ()) if hasattr(o, slot)]
    return size + sum(deep_size(item, seen) for item in held)


def test_details_hold_no_position(name):
    """Damage to a position is refused in words: no digits of a latitude of the samples stand in any detail."""
    module = codec.load(name)
    for sample in samples(name):
        payload = payload_of(sample)
        for at in range(0, len(payload), 3):
            broken = payload[:at] + b"~" + payload[at + 1 :]
            for reject in codec.decode_whole(module, module.Decoder(), message_of(sample, broken)).rejects:
                assert not re.search(r"\d\.\d{3}", reject.detail), reject.detail


def test_answers_can_be_kept_and_read_again(name):
    module = codec.load(name)
    for sample in samples(name):
        decoded = codec.decode_whole(module, module.Decoder(), message_of(sample, payload_of(sample)))
        body = FrameBody(format=name, version=module.VERSION, payload=b"", observations=decoded.observations)
        assert msgspec.msgpack.decode(pack(body), type=FrameBody) == body
