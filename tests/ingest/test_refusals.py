"""The key of refused messages' hashes: changed each day, destroyed a day later; what is sent again is known."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest

from birddog.journal import entries, open_writer
from birddog.model import Frame, RefusalBody, unpack
from birddog.units import NS
from devices import codec
from ingest import refusals
from ingest.desk import Desk
from ingest.refusals import PERIOD_NS, RefusalKeys

T0 = 1_790_000_000 * NS


class Source:
    name = "mqtt"

    def __init__(self):
        self.outcomes = []

    def acknowledge(self, results):
        self.outcomes += [result.outcome for result in results]


def frame(at_ns: int, said_ns: int | None = None, payload: bytes = b"") -> Frame:
    payload = payload or codec.load("owntracks").encode(time_ns=said_ns or at_ns, lat_deg=51.93, lon_deg=4.05, accuracy_m=8)
    return Frame(source="mqtt", format="owntracks", payload=payload, received_ns=at_ns, device="nobody", session="s", packet=1)


def keys_in(path) -> list[bytes]:
    return [bytes.fromhex(line.split(" ")[0]) for line in path.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path):
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="live")
    desk = Desk(writer, exercise=False, refusal_key=RefusalKeys.of(tmp_path / "key"))
    yield desk
    writer.close()


def test_a_key_is_changed_and_the_one_before_the_last_is_nowhere(tmp_path, desk):
    source, seen = Source(), []
    for day in range(4):
        at = T0 + day * PERIOD_NS + NS
        desk.take([(source, [frame(at)])], at)
        held = keys_in(tmp_path / "key")
        seen += [key for key in held if key not in seen]
        assert held == seen[::-1][:2]
    assert len(seen) == 4
    bodies = [body for entry in entries(desk.journal) if isinstance(body := unpack(entry), RefusalBody)]
    hashed = [hmac.new(key, frame(T0 + day * PERIOD_NS + NS).payload, hashlib.sha256).digest() for day, key in enumerate(seen)]
    assert [body.payload_hash for body in bodies] == hashed  # each under the key of its day
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for key in seen[:2]:  # whoever has every file can try nothing against the first two
        assert key not in files and key.hex().encode() not in files
    # a start in between goes on with what is there
    assert RefusalKeys.of(tmp_path / "key").key == seen[3] and RefusalKeys.of(tmp_path / "key").older == (seen[2],)


@pytest.mark.parametrize("payload", [b"", b"broken {"])
def test_what_is_sent_again_the_day_after_is_known_and_two_days_later_is_counted_again(desk, payload):
    source = Source()
    first = T0 + PERIOD_NS - 60 * NS
    desk.take([(source, [frame(T0)])], T0)
    for at in (first, T0 + PERIOD_NS + 60 * NS, T0 + 2 * PERIOD_NS - 60 * NS):
        again = frame(at, first, payload)
        if at != first:
            again = msgspec.structs.replace(again, dup=True)
        desk.take([(source, [again])], at)
    assert source.outcomes[1] != "duplicate" and source.outcomes[2:] == ["duplicate", "duplicate"]
    late = T0 + 3 * PERIOD_NS + 60 * NS
    desk.take([(source, [frame(late - NS)])], late - NS)
    desk.take([(source, [msgspec.structs.replace(frame(late, first, payload), dup=True)])], late)
    assert source.outcomes[-1] != "duplicate"


def test_a_file_of_before_goes_on_and_an_exercise_keeps_its_key(tmp_path):
    path = tmp_path / "key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    kept = RefusalKeys.of(path, change=False)
    kept.at(T0 + 50 * PERIOD_NS)
    assert (kept.key, kept.older) == (b"\xab" * 32, ())
    keys = RefusalKeys.of(path)
    keys.at(T0)
    assert keys.key == b"\xab" * 32 and path.read_text() == "ab" * 32 + f" {T0}\n"
    keys.at(T0 + PERIOD_NS - 1)
    assert keys.key == b"\xab" * 32
    keys.at(T0 + PERIOD_NS)
    assert keys.key != b"\xab" * 32 and keys.older == (b"\xab" * 32,)
    later = RefusalKeys.of(path)  # nobody was here for a week
    later.at(T0 + 8 * PERIOD_NS)
    assert later.older == () and len(keys_in(path)) == 1
    later.at(T0)  # a clock that is set back changes nothing
    assert len(keys_in(path)) == 1


def test_a_disk_that_refuses_changes_nothing_and_is_asked_again(tmp_path, monkeypatch):
    path = tmp_path / "key"
    keys = RefusalKeys.of(path)
    keys.at(T0)
    before, key = path.read_bytes(), keys.key

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(refusals.os, "fsync", full)
    keys.at(T0 + PERIOD_NS)
    assert (path.read_bytes(), keys.key) == (before, key)
    monkeypatch.undo()
    keys.at(T0 + PERIOD_NS + 30 * NS)
    assert keys.key == key
    keys.at(T0 + PERIOD_NS + 61 * NS)
    assert keys.key != key and keys.older == (key,)
