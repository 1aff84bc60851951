"""A view shows the rows of the operations that somebody has a right to, and no other: lists, single rows, trails and frames."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from pathlib import Path

import msgspec
import pytest

from birddog.journal import open_writer
from birddog.model import Alert, Draft, Event, Start, Track, TrackPoint, pack
from opsroom.console.feed import Feed
from opsroom.console.health import Health
from opsroom.console.settings import Settings
from opsroom.console.source import Source
from opsroom.picture_rows import Asked, Awaited, FlagRow, Refused
from opsroom.picture_store import PictureReader, PictureWriter
from opsroom.picture_view import ALL, LOST_MOST, Rights, View

T0 = 1_790_000_000 * 1_000_000_000
KEYS = {"tracks": "track_id", "alerts": "alert_id", "events": "event_id", "flags": "flag_id", "points": "track_id",
        "refused": "refused_id"}  # fmt: skip
A, B = Rights(frozenset({"A"})), Rights(frozenset({"B", "open"}))


def track(name: str, operation: str, **more) -> Track:
    fields = dict(
        track_id=name, operation=operation, status="confirmed", time_ns=T0, lat_deg=51.0, lon_deg=4.0, ve_mps=0.0, vn_mps=0.0,
        p_ee=1.0, p_en=0.0, p_nn=1.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0, updated_ns=T0, contact_ns=T0, first_ns=T0, hits=1,
    )  # fmt: skip
    return Track(**(fields | more))


def rows_of(operation: str, number: int) -> list:
    """One of each kind."""
    name = f"T{number}"
    return [
        track(name, operation),
        TrackPoint(track_id=name, seq=1, time_ns=T0, lat_deg=51.0, lon_deg=4.0, ve_mps=0.0, vn_mps=0.0, p_ee=1.0, p_en=0.0,
                   p_nn=1.0, origin="fix"),
        Event(event_id=f"E{number}", kind="silent", operation=operation, seq=number, start_ns=T0, track_ids=(name,)),
        Alert(alert_id=f"AE{number}", kind="silent", severity="warning", operation=operation, raised_ns=T0, track_id=name),
        FlagRow(flag_id=f"F{number}", scan_id="s", scene_sha256="", scene_name="", sensor="sar", time_ns=T0, detector="d",
                score=1.0, pfa=0.1, lat_deg=51.0, lon_deg=4.0, length_m=None, truncated=False, dark=False, operation=operation),
        Refused(refused_id=f"R{number}", source="t", device="d", format="x", reason="clock", detail="", count=1, first_ns=T0,
                last_ns=T0, operation=operation),
    ]  # fmt: skip


class Kept:
    """A journal with a start, and a derived store that a test fills."""

    def __init__(self, folder: Path):
        self.journal = open_writer(f"sqlite:///{folder}/j.db", mode="exercise")
        self.seq, self.path = 0, folder / "p"
        self.store = PictureWriter(self.path)
        self.publish()

    def publish(self, *rows, now_ns: int = T0) -> int:
        self.seq += 1
        self.journal.append([Draft(kind="start", received_ns=T0 + self.seq, source="t", ident=b"%d" % self.seq,
                                   body=pack(Start(version="x", presets={})))])
        self.store.begin()
        self.store.set_meta("now", b"%d" % now_ns)
        for row in rows:
            match row:
                case TrackPoint():
                    self.store.put_point(row)
                case FlagRow():
                    self.store.put_flag(row, self.seq, b"chip")
                case _:
                    table = type(row).__name__.lower()
                    self.store.put(table, getattr(row, f"{table}_id"), self.seq, row)
        self.store.commit(self.seq)
        return self.seq


@pytest.fixture
def kept(tmp_path):
    kept = Kept(tmp_path)
    yield kept
    kept.store.close()
    kept.journal.close()


def test_every_question_of_a_view_is_about_its_own_operations(kept):
    asked = Asked(thresholds={"A": {"share": 0.1}, "B": {"share": 0.2}, "open": {}})
    kept.store.begin()
    kept.store.set_meta("budget", msgspec.msgpack.encode(asked))
    waiting = [Awaited(operation=name, device=name, shipment="s", interval_s=5.0) for name in ("A", "B", "open")]
    kept.store.set_meta("awaited", msgspec.msgpack.encode(waiting))
    kept.store.commit(1)
    kept.publish(*rows_of("A", 1), *rows_of("B", 2), *rows_of("open", 3), *rows_of("", 4))
    reader = PictureReader(kept.path)
    for rights, numbers in ((ALL, "1234"), (A, "1"), (B, "23"), (Rights(frozenset()), "")):
        view = reader.view(rights)
        assert [t.track_id for _, t in view.tracks()] == [f"T{n}" for n in numbers]
        assert [t.track_id for _, t in view.present()] == [f"T{n}" for n in numbers]
        assert [t.track_id for _, t in view.standing()] == [f"T{n}" for n in numbers]
        assert [p.track_id for p in view.points()] == [f"T{n}" for n in numbers]
        assert [e.event_id for _, e in view.events()] == [f"E{n}" for n in numbers]
        assert [e.event_id for _, e in view.events(newest=9)] == [f"E{n}" for n in numbers]
        assert [a.alert_id for _, a in view.alerts()] == [f"AE{n}" for n in numbers]
        assert [a.alert_id for _, a in view.open_alerts()] == [f"AE{n}" for n in numbers] and view.closed_alerts(9) == []
        assert [f.flag_id for _, f in view.flags()] == [f"F{n}" for n in numbers]
        assert [r.refused_id for _, r in view.refused()] == [f"R{n}" for n in numbers]
        assert "".join(sorted(view.asked().thresholds)) == "".join(name for name in ("A", "B", "open") if rights.may(name))
        assert [one.device for one in view.awaited()] == [name for name in ("A", "B", "open") if rights.may(name)]
        assert sum(view.statuses().values()) == len(numbers) == len(view.operations())
        for n in "1234":
            there = n in numbers
            found = [view.track(f"T{n}"), view.alert(f"AE{n}"), view.event(f"E{n}"), view.between(f"T{n}", 0, 2 * T0, 9),
                     view.flag(f"F{n}"), view.thumbnail(f"F{n}"),
                     view.points(f"T{n}"), view.points(f"T{n}", limit=5), view.trail(f"T{n}", since_ns=0, limit=9)[0]]
            found += [view.until(f"T{n}", T0, 9), view.measured_before(f"T{n}", 2 * T0), view.last_place(f"T{n}", T0)]
            assert all(bool(one) is there for one in found), (rights, n)
    over = dict(acknowledged_ns=T0 + 9, cleared_ns=T0 + 9)
    kept.publish(*[msgspec.structs.replace(alert, **over) for _, alert in reader.view(ALL).alerts()])
    for rights, numbers in ((ALL, "1234"), (A, "1"), (B, "23"), (Rights(frozenset()), "")):
        view = reader.view(rights)
        assert sorted(a.alert_id for a in view.closed_since(T0 + 9)) == [f"AE{n}" for n in numbers]
        assert view.closed_since(T0 + 10) == []
    reader.close()
    # a question that is added here must be asked above as well
    questions = {name for name, _ in inspect.getmembers(View, inspect.isfunction) if not name.startswith("_")}
    asked = set(re.findall(r"view\.(\w+)\(", inspect.getsource(test_every_question_of_a_view_is_about_its_own_operations)))
    # `apart` is the same view on a connection of its own, `close` lets go of it
    assert questions - asked == {"store", "cursor", "now_ns", "apart", "close"}


def test_nobody_reads_rows_past_a_view():
    import opsroom

    for file in Path(opsroom.__file__).parent.rglob("*.py"):
        if file.name not in ("picture_view.py", "picture_store.py"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"FROM (track|point|event|alert|flag|refused)\b", text), file
            assert not re.search(r"source\.reader\.|self\.reader\.(?!view\b|store\b)", text), file


def test_tabs_of_equal_rights_share_one_frame_and_see_nothing_of_others(kept):
    kept.publish(*rows_of("A", 1), *rows_of("B", 2))
    reader = PictureReader(kept.path)
    encoded = []

    async def scene() -> None:
        source = Source(reader, kept.journal, lambda: T0)
        feed = Feed(Settings(poll_ms=10, beat_s=60.0), source, Health(lambda: {}, lambda: T0))
        real = feed._frame

        async def counted(kind, changes):
            encoded.append([t.track_id for t in changes.tracks])
            return await real(kind, changes)

        feed._frame = counted
        async with feed.running():
            tabs = [await feed.subscribe(0, "", rights) for rights in (A, A, B, ALL)]
            seen = [{t["track_id"] for t in json.loads(first.text)["tracks"]} for _, first in tabs]
            assert seen == [{"T1"}, {"T1"}, {"T2"}, {"T1", "T2"}] and feed.tabs == 4
            kept.publish(*rows_of("A", 5), *rows_of("open", 6))

            async def until(tab, name):
                while True:
                    frame = await asyncio.wait_for(tab.get(), 30.0)
                    body = json.loads(frame.text)
                    everything = {row[key] for kind, key in KEYS.items() for row in body[kind]}
                    if name in everything:
                        return frame, everything

            (one, mine), (same, _) = [await until(tab, "T5") for tab, _ in tabs[:2]]
            other, theirs = await until(tabs[2][0], "T6")
            assert one is same and one is not other
            assert mine & {"T5", "AE5", "E5", "F5", "R5"} == {"T5", "AE5", "E5", "F5", "R5"}
            assert not [name for name in mine if name[-1] in "26"] and not [name for name in theirs if name[-1] in "15"]
            for tab, _ in tabs:
                feed.leave(tab)
            assert feed.tabs == 0 and list(feed._groups) == [ALL]
        source.close()

    asyncio.run(scene())
    reader.close()


def test_of_what_is_lost_in_open_a_present_picture_has_the_newest_and_those_with_an_alert(kept):
    lost = [track(f"T{n}", "open", status="silent") for n in range(1, LOST_MOST + 51)]
    for row in lost[:50]:
        kept.publish(row)
    kept.publish(*lost[50:], track("T900", "A", status="silent"), track("T901", "open", status="deleted"),
                 Alert(alert_id="AE7", kind="silent", severity="warning", operation="open", raised_ns=T0, track_id="T7"))
    reader = PictureReader(kept.path)
    present = {t.track_id for _, t in reader.present()}
    assert present == {*(f"T{n}" for n in range(51, LOST_MOST + 51)), "T7", "T900"}
    assert len(reader.tracks()) == LOST_MOST + 52 and len(reader.standing()) == LOST_MOST + 51, "the list itself is whole"
    reader.close()


def test_what_lapses_has_done_so_by_the_pictures_time_without_a_row_that_says_so(kept):
    """20,000 vessels heard at once are lost at once; the store holds of each when, and every question knows it."""
    s = 1_000_000_000
    lapsing = [track(f"T{n}", "open", lapses_ns=(T0 + 300 * s, T0 + 1200 * s, T0 + 86_400 * s)) for n in range(1, 301)]
    kept.publish(*lapsing, track("T900", "A"), track("T901", "open", status="silent", lapses_ns=(T0, T0, T0 + 86_400 * s)),
                 Alert(alert_id="AE1", kind="silent", severity="warning", operation="open", raised_ns=T0, track_id="T1"))
    reader = PictureReader(kept.path)
    for second, counts, present in (
        (0, {"confirmed": 301, "silent": 1}, 302), (300, {"coasting": 300, "confirmed": 1, "silent": 1}, 302),
        (1200, {"silent": 301, "confirmed": 1}, 202), (86_400, {"deleted": 301, "confirmed": 1}, 1),
    ):  # fmt: skip
        kept.publish(now_ns=T0 + second * s)
        assert reader.statuses() == counts
        assert len(reader.present()) == present and len(reader.standing()) == 302 - counts.get("deleted", 0)
        status = next(iter(counts))
        assert reader.track("T1").status == status and {t.status for _, t in reader.tracks()} == {*counts}
        assert {t.status for _, t in reader.standing()} == {*counts} - {"deleted"}
        if status == "silent":
            assert {"T1", "T300", "T900"} <= {t.track_id for _, t in reader.present()}, "the newest, those of an alert, ours"
    reader.close()


def test_a_step_of_a_trail_is_asked_for_as_it_is_believed_now_and_as_it_was(kept):
    def step(second: int, believed_at: int, lat_deg: float, **more) -> TrackPoint:
        return TrackPoint(track_id="T1", seq=believed_at, time_ns=T0 + second, lat_deg=lat_deg, lon_deg=4.0, ve_mps=0.0,
                          vn_mps=0.0, p_ee=1.0, p_en=0.0, p_nn=1.0, origin="fix", device="d", believed_at=believed_at, **more)

    kept.publish(track("T1", "A"), step(1, 2, 51.1), step(2, 2, 51.2), step(3, 2, 51.3))
    kept.publish(step(2, 3, 51.25), step(3, 3, 51.35), step(3, 3, 51.36))  # the last word of an entry holds
    kept.publish(step(3, 4, 0.0, withdrawn=True))
    kept.publish(step(3, 5, 51.5, alone=True), step(1, 5, 51.9, alone=True))
    reader = PictureReader(kept.path)
    for at, lats in ((None, [51.1, 51.9, 51.25, 51.5]), (1, []), (2, [51.1, 51.2, 51.3]), (3, [51.1, 51.25, 51.36]),
                     (4, [51.1, 51.25]), (5, [51.1, 51.9, 51.25, 51.5])):  # fmt: skip
        assert [p.lat_deg for p in reader.points("T1", believed_at=at)] == lats
        assert [p.lat_deg for p in reader.points("T1", limit=2, believed_at=at)] == lats[-2:]
        assert [p.lat_deg for p in reader.trail("T1", since_ns=0, limit=9, believed_at=at)[0]] == lats
    assert [p.lat_deg for p in reader.trail("T1", since_ns=0, limit=2, believed_at=3)[0]] == [51.1, 51.36]
    reader.close()
