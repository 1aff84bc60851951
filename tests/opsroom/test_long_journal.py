"""A long journal of every kind of entry: a live picture, killed again and again in another process, is what a rebuild makes.

BIRDDOG_LONG_JOURNAL=200000 makes it long; without it a few thousand entries are folded.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from birddog.journal import open_reader, open_writer
from birddog.model import (
    Alarm,
    Attachment,
    Body,
    Decision,
    Device,
    Draft,
    Fix,
    Flag,
    FrameBody,
    Operation,
    Placement,
    Reading,
    RefusalBody,
    Reject,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    pack,
)
from birddog.units import NS

ENTRIES = int(os.environ.get("BIRDDOG_LONG_JOURNAL", "4000"))
T0 = 1_795_521_600 * NS
RING = ((4.0, 51.9), (4.2, 51.9), (4.2, 52.0), (4.0, 52.0), (4.0, 51.9))
TAGS = [f"tag{i}" for i in range(24)]


def bodies(rng: random.Random) -> Iterator[tuple[str, Body, str]]:
    """(kind, body, operation) for ever: two cases, 24 tags, a reader, looks from above, strangers, decisions; 0.2 s apart."""
    yield "start", Start(version="t", presets={}, exercise=True), ""
    for case in ("HERON", "NIGHTJAR"):
        yield "operation", Operation(operation=case, area=RING), case
    for i, tag in enumerate(TAGS):
        yield "device", Device(device=tag, interval_s=5.0 + i, klass=("van", "vessel", "walker", "")[i % 4]), ""
        yield "attachment", Attachment(device=tag, shipment=f"S{i}", operation=("HERON", "NIGHTJAR")[i % 2], from_ns=0), ""
    yield "attachment", Attachment(device="urn:epc:id:sscc:1.2", shipment="S0", operation="HERON", from_ns=0), ""
    for name in ("portal", "shed"):
        yield "placement", Placement(device=name, lat_deg=51.95, lon_deg=4.1, range_m=30.0, from_ns=0), ""
    silent: dict[str, int] = {}
    for n in itertools.count():
        time_ns = T0 + n * NS // 5
        kind = rng.random()
        tag = rng.choice(TAGS)
        east, north = 4.02 + (n % 90_000) * 1.5e-6 + TAGS.index(tag) * 2e-3, 51.92 + 0.02 * math.sin(n / 9000 + TAGS.index(tag))
        if kind < 0.03:
            yield "tick", Tick(), ""
        elif kind < 0.06:
            name = f"stranger{n}"
            why = (Reject("unknown_device", "not enrolled", name),)
            yield "refusal", RefusalBody(format="owntracks", version=1, device=name, rejects=why, payload_hash=b"h"), ""
        elif kind < 0.063:
            yield "decision", Decision(action="acknowledge", subject=f"AE{n % 40}", by="A. Keeper"), ""
        elif kind < 0.07:
            seen = tuple(Sighting(device="sar", time_ns=time_ns, lat_deg=51.92 + rng.random() * 0.06, r_ee=400.0, r_en=0.0,
                                  lon_deg=4.02 + rng.random() * 0.15, r_nn=400.0) for _ in range(rng.randrange(6)))
            flags = tuple(Flag(flag_id=f"F{n}-{i}", detector="cfar", score=9.0, pfa=1e-6, col=1.0, row=1.0,
                               bbox_px=(0, 0, 2, 2), lat_deg=s.lat_deg, lon_deg=s.lon_deg) for i, s in enumerate(seen))
            yield "scan", Scan(scan_id=f"{n:032x}", sensor="sar", time_ns=time_ns, footprint=RING, pd=0.8, clutter_per_km2=0.05,
                               sightings=seen, flags=flags), ""
        else:
            if kind < 0.09:
                what = TagRead(device="portal", time_ns=time_ns, epc="urn:epc:id:sscc:1.2", reader="portal")
            elif kind < 0.1:
                what = Reading(device="shed", time_ns=time_ns, quantity="door_open", value=rng.random() < 0.5)
            elif kind < 0.102:
                what = Alarm(device=tag, time_ns=time_ns, alarm="tamper")
            else:
                if rng.random() < 0.001:
                    silent[tag] = n + 4000
                if silent.get(tag, 0) > n:
                    yield "tick", Tick(), ""
                    continue
                late = rng.randrange(30) if rng.random() < 0.05 else 0
                wild = rng.random() < 0.002
                what = Fix(device=tag, time_ns=time_ns - late * NS, lat_deg=north + rng.gauss(0, 4e-5) + wild * 0.5,
                           lon_deg=east + rng.gauss(0, 6e-5), sigma_m=6.0 if rng.random() < 0.8 else None,
                           speed_mps=rng.choice((None, 4.0)))
            yield "frame", FrameBody(format="owntracks", version=1, payload=b"x", device=what.device, observations=(what,)), ""


LIVE = """
    import logging, os, random, signal, sys
    from pathlib import Path
    from birddog.journal import open_reader
    from opsroom import picture as module
    from opsroom.picture import Picture
    module.SNAPSHOT_ENTRIES = min(5000, int(sys.argv[4]) // 8)
    rng = random.Random(int(sys.argv[3]))
    journal = open_reader(sys.argv[1])
    picture = Picture(journal, Path(sys.argv[2]))
    steps = rng.randrange(4, 40) * int(sys.argv[4]) // 20_000 + 4
    while picture.step(rng.choice((1, 7, 60, 333, 500))):
        steps -= picture.cursor >= picture.published
        if not steps and len(sys.argv) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    print(picture.cursor)
"""


@pytest.mark.slow
def test_killed_live_and_rebuilt_are_identical(tmp_path):
    url, store = f"sqlite:///{tmp_path}/j.db", tmp_path / "j.db.picture"
    writer = open_writer(url, mode="exercise")
    rows = (Draft(kind=kind, received_ns=T0 + n * NS // 5, source="t", ident=b"%d" % n, body=pack(body), operation=operation)
            for n, (kind, body, operation) in enumerate(itertools.islice(bodies(random.Random(4)), ENTRIES)))
    while batch := list(itertools.islice(rows, 2000)):
        writer.append(batch)
    writer.close()

    def live(seed: int, *more: str) -> subprocess.CompletedProcess:
        words = [sys.executable, "-c", textwrap.dedent(LIVE), url, str(store), str(seed), str(ENTRIES), *more]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})

    for seed in range(1, 7):
        done = live(seed)
        assert done.returncode in (0, -9), done.stderr
    done = live(7, "to the end")
    assert done.returncode == 0 and int(done.stdout) == ENTRIES, done.stderr
    words = [sys.executable, "-m", "opsroom.cli", "rebuild", "--journal", url]
    rebuilt = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "99"})
    assert rebuilt.returncode == 0 and rebuilt.stdout.splitlines()[-1] == "identical", rebuilt.stdout + rebuilt.stderr
    counted = {line.split()[0]: int(line.split()[1]) for line in rebuilt.stdout.splitlines()[1:-1]}
    assert min(counted[name] for name in ("track", "point", "event", "alert", "flag", "refused")) > 0, counted
    reader = open_reader(url)
    assert reader.last_seq() == ENTRIES and Path(store).stat().st_size > 100_000
    reader.close()
