"""Names and topics as weapons, through the real desk into a real journal: no statement, no line of the log, no long search."""

from __future__ import annotations

import logging
import sqlite3

import pytest

from birddog.directory import Directory
from birddog.journal import open_writer
from birddog.model import Device, Frame, Reject, unpack
from ingest.desk import Desk
from ingest.permit import DirectoryPermit, ExercisePermit

NOW = 1_795_521_600 * 10**9
NAMES = [
    "x'); DROP TABLE entry;--", '" OR ""="', "a\nforged: line", "a\r\n\x1b[2Jb", "=cmd|'/c calc'!A1", "../../etc/passwd",
    "a\x00b", "<script>alert(1)</script>", "%s%s%n", "{0.__class__}", "x" * 60_000, "\u202eevil", "𝓊𝓃𝒾", "",
]  # fmt: skip


class Source:
    name = "mqtt"

    def __init__(self):
        self.results = []

    def acknowledge(self, results):
        self.results += results


@pytest.mark.parametrize("exercise", [True, False])
def test_names_are_data(tmp_path, caplog, exercise):
    """Faults F54 (SQL), F57 (log forging), F58 (paths)."""
    writer = open_writer(f"sqlite:///{tmp_path}/j.db", mode="exercise" if exercise else "live")
    desk, source = Desk(writer, exercise=exercise, refusal_key=b"k" * 32), Source()
    schema = _schema(tmp_path)
    desk.tick(NOW - 10**9)  # with the first entry, the log and its keys
    files = sorted(p.name for p in tmp_path.iterdir())
    frames = []
    with caplog.at_level(logging.DEBUG):
        for n, name in enumerate(NAMES):
            for format in ("owntracks", name[:300], "impinj"):
                payload = b'{"_type":"location","lat":51.9,"lon":4.1,"tst":%d,"tid":"\\u202e"}' % (NOW // 10**9 - n)
                frames.append(Frame(source="mqtt", format=format, payload=payload, received_ns=NOW, device=name, channel=name,
                                    session=f"s{n}", packet=n + 1))
        desk.take([(source, frames)], NOW)
    assert len(source.results) == len(frames) and desk.crashes == 0
    entries = [unpack(entry) for entry in writer.tail(len(frames))]
    assert {entry.device for entry in entries} >= set(NAMES)
    writer.close()
    assert _schema(tmp_path) == schema
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(("-wal", "-shm"))) == [
        f for f in files if not f.endswith(("-wal", "-shm"))
    ]
    assert not [r for r in caplog.records if "\n" in r.getMessage() or "\x1b" in r.getMessage()]


def _schema(folder) -> list:
    with sqlite3.connect(folder / "j.db") as db:
        return db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_no_topic_makes_the_search_long():
    """Fault F61: every pattern on a topic is linear; where one is not, this test does not end."""
    directory = Directory()
    directory.apply(Device(device="gw", format="impinj", basis="own_sensor", topics=("a/" * 500,)))
    half = "/".join(["json"] * 12_000)
    evil = [
        "msh/" + "a/" * 32_000, "msh/" + half, "zebra" * 13_000, "DATA/clients/data" * 3_800,
        "x/DATA/clients/data1event" * 2_500, "application/" + "a" * 65_000,
        "application/a/device/b/event/" + "a" * 65_000 + "!", "v3/" + "a" * 30_000 + "/devices/" * 3_000,
        "v3/a/devices/b/" + "a/" * 32_000 + "!", "owntracks/" + "/" * 65_000, "birddog/v1/" + "/" * 65_000, "a/" * 32_700,
    ]  # fmt: skip
    for permit in (ExercisePermit(), DirectoryPermit(directory)):
        for topic in evil:
            answer = permit.permit("gw", topic)
            assert isinstance(answer, Reject) or answer[0] in ("meshtastic", "ttn", "chirpstack", "owntracks", "impinj")
