"""Who was shown what is an entry: once for each person and view, not once for each request; and nothing of who is nobody."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from birddog.errors import JournalError
from birddog.model import Access, unpack
from opsroom.console.health import Health
from opsroom.console.seen import AGAIN_S, MOST, Seen

TOKENS = {"anna": "correct-horse-battery", "ben": "another-secret-of-ben"}


def noted(stage):
    return [(a.by, a.form, a.operation, a.track) for a in
            (unpack(e) for e in stage.journal.read(0, 1000) if e.kind == "access") if a.action == "read"]  # fmt: skip


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_view_of_each_person_is_noted_once(make_stage, makers):
    stage = make_stage(tokens=TOKENS)
    stage.publish(makers["track"](1))
    address = stage.start()
    anna, ben = ({"authorization": f"Bearer {token}"} for token in TOKENS.values())
    for _ in range(5):
        assert httpx.get(f"{address}/v1/tracks", headers=anna).status_code == 200
        assert httpx.get(f"{address}/v1/tracks/T1", headers=anna).status_code == 200
    assert httpx.get(f"{address}/v1/tracks/T99", headers=anna).status_code == 404  # was shown nothing
    assert httpx.get(f"{address}/v1/tracks").status_code == 401
    assert httpx.get(f"{address}/v1/session", headers=anna).status_code == 200
    assert httpx.get(f"{address}/healthz", headers=anna).status_code in (200, 503)
    assert httpx.get(f"{address}/v1/events?operation=nightjar", headers=ben).status_code == 200
    until(lambda: len(noted(stage)) >= 3)
    assert sorted(noted(stage)) == [("anna", "/v1/tracks", "", ""), ("anna", "/v1/tracks", "", "T1"),
                                    ("ben", "/v1/events", "nightjar", "")]  # fmt: skip
    [to] = {unpack(e).to for e in stage.journal.read(0, 1000) if e.kind == "access"}
    assert to == "127.0.0.1"


def test_each_question_about_places_and_hours_is_noted(make_stage):
    stage = make_stage(tokens=TOKENS)
    address = stage.start()
    anna = {"authorization": f"Bearer {TOKENS['anna']}"}
    for query in ("", "?kind=stop", "?cell_m=5000&kind=stop", "?cell_m=1000&kind=stop&teams=4", "?kind=stop&cell_m=1000"):
        assert httpx.get(f"{address}/v1/patterns{query}", headers=anna, timeout=60).status_code == 200
    until(lambda: len(noted(stage)) >= 4)
    assert sorted(form for _, form, _, _ in noted(stage)) == [
        "/v1/patterns", "/v1/patterns?kind=stop", "/v1/patterns?kind=stop&cell_m=1000", "/v1/patterns?kind=stop&cell_m=5000",
    ]  # fmt: skip


def test_where_nobody_has_a_name_nothing_is_noted(stage):
    address = stage.start()
    assert httpx.get(f"{address}/v1/tracks").status_code == 200
    stage.stop()
    assert [e.kind for e in stage.writer.read(0, 1000) if e.kind == "access"] == []


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})


def ask(seen, path, who="anna"):
    async def run():
        async def send(message):
            pass

        query = path.partition("?")[2].encode()
        scope = {"type": "http", "path": path.partition("?")[0], "query_string": query, "state": {"who": who}, "client": None}
        await seen(scope, None, send)
        while seen._tasks:
            await asyncio.sleep(0)

    asyncio.run(run())


def test_it_is_noted_again_after_an_hour_and_what_could_not_be_written_until_it_is():
    written, clock, fails, health = [], Clock(), [True, True, True], Health(dict, time.time_ns)
    said = []

    def record(access: Access) -> int:
        said.append(health.warnings())
        if fails.pop() if fails else False:
            raise JournalError("the disk is full")
        written.append(access)
        return 1

    seen = Seen(answer, record, health.unrecorded, clock, 0.0)
    for path in ("/v1/tracks", "/v1/tracks", "/v1/tracks"):  # nobody looks again: it is asked for all the same
        ask(seen, path)
    assert len(written) == 1
    assert said == [[]] + [["console: what persons were shown is not recorded yet (1 entries): the disk is full"]] * 3
    assert health.warnings() == []
    clock.now_s = AGAIN_S - 1
    ask(seen, "/v1/tracks")
    assert len(written) == 1
    clock.now_s = AGAIN_S
    ask(seen, "/v1/tracks")
    assert len(written) == 2


@pytest.mark.parametrize("n", [3 * MOST])
def test_who_looks_at_everything_does_not_flood_the_journal(n):
    written = []
    seen = Seen(answer, lambda access: written.append(access) or 1, clock=Clock())
    for k in range(n):
        ask(seen, f"/v1/tracks/T{k}")
    assert len(written) == MOST + 1 and written[-1].form == "/v1/*"
    ask(seen, "/v1/tracks/T1", who="ben")
    assert written[-1].by == "ben"
