"""A capture of one's own becomes a journal, at the capture's own times, and rebuilds identically."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from birddog.errors import JournalError, UsageError
from birddog.journal import open_reader, open_writer
from birddog.units import NS, iso_from_ns
from opsroom.capture import take
from opsroom.picture import Picture
from opsroom.picture_store import PictureReader

T0 = 1_500_000_000


def capture(path: Path, count: int = 60) -> Path:
    lines = []
    for i in range(count):
        said = {"_type": "location", "lat": 51.9 + i * 1e-4, "lon": 4.1, "acc": 8, "tst": T0 + 10 * i}
        row = {"format": "owntracks", "text": json.dumps(said), "topic": "owntracks/u/boat", "session": "one"}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines) + "\nnot json\n")
    return path


def test_old_messages_keep_their_time_and_make_tracks(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    counts = take([capture(tmp_path / "c.jsonl")], url, format_name="", device="")
    assert (counts.frames, counts.observations, sum(counts.rejects.values())) == (61, 60, 1)
    journal = open_reader(url)
    entries = journal.read(0)
    assert entries[0].kind == "start" and entries[0].received_ns // NS == T0
    assert entries[-1].received_ns // NS <= T0 + 600
    picture = Picture(journal, tmp_path / "p")
    while picture.step():
        pass
    picture.close()
    [(_, track)] = PictureReader(tmp_path / "p").tracks()
    assert track.tag_id == "u/boat" and track.lat_deg == pytest.approx(51.9059, abs=2e-4)
    assert iso_from_ns(track.updated_ns) == iso_from_ns((T0 + 590) * NS)
    journal.close()


def test_a_table_sorted_by_vessel_is_taken_in_order_of_time(tmp_path):
    vessels = (("a", 0), ("b", 3))
    rows = [f"{vessel},{T0 + 10 * i + offset},51.9{i:02d},4.{offset}1" for vessel, offset in vessels for i in range(30)]
    rows.insert(20, "a,yesterday,51.9,4.01")
    (tmp_path / "c.csv").write_text("id,t,lat,lon\n" + "\n".join(rows))
    url = f"sqlite:///{tmp_path}/j.db"
    counts = take([tmp_path / "c.csv"], url, format_name="positions", device="")
    assert (counts.observations, counts.rejects) == (60, {"value": 1})
    journal = open_reader(url)
    times = [e.received_ns for e in journal.read(0)]
    assert times == sorted(times)
    picture = Picture(journal, tmp_path / "p")
    while picture.step():
        pass
    picture.close()
    assert sorted(t.tag_id for _, t in PictureReader(tmp_path / "p").tracks()) == ["a", "b"]
    journal.close()


def test_a_live_journal_and_a_missing_file_are_refused(tmp_path):
    live = f"sqlite:///{tmp_path}/live.db"
    open_writer(live, mode="live").close()
    with pytest.raises(JournalError, match="refuses exercise data"):
        take([capture(tmp_path / "c.jsonl")], live, format_name="", device="")
    with pytest.raises(UsageError, match="cannot be read"):
        take([tmp_path / "none.jsonl"], f"sqlite:///{tmp_path}/j.db", format_name="", device="")


@pytest.mark.shared
def test_real_receiver_logs(tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "ingest" / "gpsd"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/ingest/gpsd")
    logs = [folder / "eXplorist210.log", folder / "garmin38.log"]
    counts = take(logs, f"sqlite:///{tmp_path}/j.db", format_name="nmea", device="")
    assert counts.observations > 20
