"""A refusal that comes a thousand times: a few rows, one with a count, and every message in the counters on disk."""

from __future__ import annotations

import json

import msgspec
import pytest

from birddog.journal import open_reader, open_writer
from birddog.model import Device, Draft, Frame, FrameBody, RefusalBody, Reject, Verdict, pack, unpack
from birddog.units import NS
from ingest.desk import Desk
from ingest.intake import Entries
from ingest.repeats import QUIET_NS, ROWS, Repeats, key_of
from opsroom.refusals import Refusals

NOW = 1_795_521_600 * NS


class Source:
    name = "mqtt"

    def __init__(self):
        self.results = []

    def acknowledge(self, results):
        self.results += results


def fix(n: int, device="stranger", **how) -> Frame:
    payload = json.dumps({"_type": "location", "lat": 51.9, "lon": 4.2, "acc": 5, "tst": NOW // NS - 3000 + n}).encode()
    said = {"source": "mqtt", "format": "owntracks", "payload": payload, "received_ns": NOW, "device": device,
            "channel": f"birddog/v1/{device}/owntracks", "session": "s", "packet": n + 1}
    return Frame(**(said | how))


def state(n: int) -> Frame:
    """What chirpstack-mqtt-forwarder publishes after each refused SUBSCRIBE (its src/mqtt.rs)."""
    reject = Reject("format", "no format goes with this topic", device="gw")
    return fix(n, "gw", format="conn", packet=0, reject=reject, payload=b'{"state":"ONLINE"}',
               channel="gateway/0016c001f153a14c/state/conn")


@pytest.fixture
def opened(tmp_path):
    def make(exercise=False):
        url = f"sqlite:///{tmp_path}/{'exercise' if exercise else 'live'}.db"
        return url, Desk(open_writer(url, mode="exercise" if exercise else "live"), exercise=exercise, refusal_key=b"k")

    return make


def rows(url: str) -> list:
    bodies = map(unpack, open_reader(url).read(0, 100_000))
    return [body for body in bodies if isinstance(body, FrameBody | RefusalBody)]


def counted(url: str) -> int:
    """What the operator sees."""
    refusals = Refusals()
    for entry in open_reader(url).read(0, 100_000):
        body = unpack(entry)
        if isinstance(body, FrameBody | RefusalBody):
            refusals.count(entry, body)
    return sum(row.count for row in refusals.rows.values())


@pytest.mark.parametrize("batch", [1, 7, 1000])
@pytest.mark.parametrize(("make", "exercise", "reason"), [(fix, False, "unknown_device"), (state, True, "format")])
def test_the_same_refusal_a_thousand_times(opened, batch, make, exercise, reason):
    url, desk = opened(exercise)
    source = Source()
    for at in range(0, 1000, batch):
        desk.take([(source, [make(n) for n in range(at, min(at + batch, 1000))])], NOW + at * NS // 100)
    # acknowledged is on disk: the counters, also where the row with the count is still to come
    assert [r.frame.packet for r in source.results] == [make(n).packet for n in range(1000)]
    assert {r.outcome for r in source.results} == {"refused"}
    counts = desk.journal.counts()
    assert (counts.frames, counts.rejects, counts.duplicates) == (1000, {reason: 1000}, 0)
    assert ROWS < len(rows(url)) <= ROWS + 5
    desk.take([], NOW + 70 * NS)
    assert sum(row.count for row in rows(url)) == counted(url) == 1000
    counts = desk.journal.counts()
    assert (counts.frames, counts.rejects) == (1000, {reason: 1000})


def test_a_run_that_ends_writes_what_it_has_only_counted(opened):
    url, desk = opened()
    desk.take([(Source(), [fix(n) for n in range(100)])], NOW)
    assert counted(url) < 100
    desk.commit(desk.rest(NOW))
    assert counted(url) == 100 and desk.journal.counts().frames == 100


def test_a_file_that_is_played_twice_is_known_again(opened):
    url, desk = opened()
    frames = [fix(n, mark=b"%020d" % n) for n in range(200)]
    for _ in range(2):
        desk.take([(Source(), frames)], NOW)
    counts = desk.journal.counts()
    assert (counts.frames, counts.duplicates, len(rows(url))) == (200, 200, 200)


def test_a_slow_refusal_keeps_its_rows(opened):
    url, desk = opened()
    for n in range(100):
        desk.take([(Source(), [fix(n)])], NOW + n * 61 * NS)
    assert [row.count for row in rows(url)] == [1] * 100


def test_other_senders_reasons_and_bytes_stand_apart(opened):
    url, desk = opened(True)
    frames = [fix(n, f"d{n % 50}", payload=b"{") for n in range(500)]
    frames += [fix(n, "tag", payload=b"{%d" % n) for n in range(500)]  # malformed, and each kept: none is dropped for another
    desk.take([(Source(), frames)], NOW)
    assert len(rows(url)) == 1000 and all(row.count == 1 for row in rows(url))


def test_the_same_bytes_refused_twice_are_a_duplicate_as_ever(opened):
    url, desk = opened()
    source = Source()
    desk.take([(source, [fix(n) for n in range(ROWS)])], NOW)
    for _ in range(10):
        desk.take([(source, [fix(3)])], NOW)
    assert [r.outcome for r in source.results[ROWS:]] == ["duplicate"] * 10
    assert desk.journal.counts().frames == ROWS and desk.journal.counts().duplicates == 10


def test_an_admitted_message_between_them_is_untouched(opened):
    url, desk = opened()
    device = Device(device="good", basis="own_sensor")
    desk.take([Entries([Draft(kind="device", received_ns=0, source="t", ident=b"d", body=pack(device))], lambda n: None)], NOW)
    source = Source()
    frames = [fix(n, "good" if n % 2 else "stranger") for n in range(400)]
    desk.take([(source, frames)], NOW)
    assert [r.frame for r in source.results] == frames
    assert [r.outcome for r in source.results] == ["refused", "stored"] * 200
    assert sum(len(row.observations) for row in rows(url)) == 200
    desk.take([(source, frames)], NOW)
    assert [r.outcome for r in source.results[400:]][1::2] == ["duplicate"] * 200


def test_many_senders_stay_bounded(opened, monkeypatch):
    monkeypatch.setattr("ingest.repeats._RUNS_KEPT", 10)
    url, desk = opened()
    for n in range(20):
        desk.take([(Source(), [fix(m, f"d{n}") for m in range(30)])], NOW)
    assert len(desk._repeats._runs) == 10
    desk.commit(desk.rest(NOW))
    assert counted(url) == 600 and desk._repeats.held == 0


def test_what_waits_to_be_counted_is_written_when_it_is_quiet_for_long_and_begins_anew():
    """A mutant that wrote nothing of them survived all the others."""
    repeats, draft = Repeats(), Draft(kind="refusal", received_ns=NOW, source="mqtt", ident=b"i", body=pack(
        RefusalBody(format="owntracks", version=1, device="d", channel="", rejects=(), payload_hash=b"")))
    written = [repeats.take(("k",), draft, NOW, known=lambda: False) for _ in range(ROWS + 4)]
    assert sum(row is not None for row in written) == ROWS + 1 and repeats.held == 3
    assert repeats.take(("k",), draft, NOW + QUIET_NS + 1, known=lambda: False) is draft
    (row,) = repeats.due(NOW + QUIET_NS + 1)
    assert ROWS + 1 + 3 == len(written) and unpack_body(row).count == 3 and repeats.held == 0


def unpack_body(draft: Draft) -> RefusalBody:
    return msgspec.msgpack.decode(draft.body, type=RefusalBody)


def test_refusals_for_want_of_a_warrant_are_counted_apart_by_case_and_by_why():
    """They are rows of a case's authority: one of another case, or for another reason, is no further one of the same."""
    draft = Draft(kind="refusal", received_ns=NOW, source="mqtt", ident=b"i", body=b"")

    def key(reason: str, operation: str, detail: str):
        verdict = Verdict(operation=operation, shipment="", basis="warrant", state="refused")
        return key_of(fix(1), draft, (Reject(reason, detail, device="d", verdict=verdict),))

    assert len({key("unauthorised", *of) for of in (("A", "no warrant"), ("B", "no warrant"), ("A", "expired"))}) == 3
    assert key("clock", "A", "3 s ahead") == key("clock", "A", "4 s ahead")
