"""Each operation has its own fold: what happens in one changes no row, id or event of another, nor of ``open``."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgspec
import pytest

from birddog.directory import OPEN
from birddog.geo import LocalFrame
from birddog.model import (
    ENTRY_BODIES,
    Alarm,
    Attachment,
    Device,
    Entry,
    Fix,
    Flag,
    FrameBody,
    Operation,
    Placement,
    Reading,
    Scan,
    Sighting,
    Start,
    TagRead,
    Tick,
    pack,
)
from birddog.units import NS
from tracking.fold import Changes, Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)
KIND = {body: kind for kind, body in ENTRY_BODIES.items()}
EPC = "urn:epc:id:sgtin:1.2."
encode = msgspec.msgpack.Encoder(order="deterministic").encode


def at(e: float, n: float) -> dict[str, float]:
    lat, lon = HOME.geodetic(e, n)
    return {"lat_deg": lat, "lon_deg": lon}


def square(e: float, n: float, half: float) -> tuple:
    places = [at(e + de, n + dn) for de, dn in ((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))]
    return tuple((p["lon_deg"], p["lat_deg"]) for p in places)


def said(fmt: str, *observations, device: str = "") -> FrameBody:
    return FrameBody(format=fmt, version=1, payload=b"", device=device, observations=observations)


def fix(device: str, t: float, e: float, n: float, **more) -> Fix:
    return Fix(device=device, time_ns=T0 + round(t * NS), sigma_m=8.0, **at(e, n), **more)


def story(seed: int) -> list[tuple[float, str, object]]:
    """(seconds, whose it is, body): two cases on one ground, what is public there, and silences that begin and end."""
    rng = random.Random(seed)
    rows: list[tuple[float, str, object]] = [(0, "", Start(version="x", presets={}, exercise=True))]
    for name in ("A", "B"):
        rows.append((0, name, Operation(operation=name, area=square(0, 0, 3000))))
        for device in ("gps", "phone", "vessel"):
            one = f"{device}-{name}" if device != "vessel" else {"A": "244000001", "B": "244000002"}[name]
            rows += [(0, name, Device(device=one, interval_s=10.0, basis="open" if device == "vessel" else "warrant")),
                     (0, name, Attachment(device=one, shipment=f"{device}s", operation=name, from_ns=T0))]
        rows.append((0, name, Attachment(device=EPC + name, shipment="gpss", operation=name, from_ns=T0)))
    for sensor, place in (("portal", (400, 0)), ("door", (300, 100)), ("geophone", (600, 50))):
        rows.append((0, "", Placement(device=sensor, range_m=40.0, **at(*place))))
    rows.append((0, "", Device(device="rx", basis="own_sensor", format="ais")))
    t = 1.0
    for k in range(260):
        t += rng.choice((0.5, 1.0, 2.0)) if rng.random() > 0.01 else 400.0
        who = rng.choice("AABB ")
        pick = rng.random()
        if who in "AB" and pick < 0.5:
            device = rng.choice(("gps-", "phone-")) + who
            far = 5000.0 * (rng.random() < 0.05)
            rows.append((t, who, said("owntracks", fix(device, t - rng.random(), 5.0 * t % 900 + far, 40.0 * (who == "B"),
                                                       attributes={"batt": k}))))
        elif who in "AB" and pick < 0.6:
            rows.append((t, who, said("zebra", TagRead(device="portal", time_ns=T0 + round(t * NS), epc=EPC + who))))
        elif who in "AB" and pick < 0.7:
            rows.append((t, who, said("x", Alarm(device="gps-" + who, time_ns=None, alarm="tamper"))))
        elif pick < 0.8:
            ship = rng.choice(("244000001", "244000002", "244000003", "244000004"))
            rows.append((t, "", said("ais", fix(ship, t, 3.0 * t, 900.0 + 300.0 * int(ship[-1]), attributes={"msg_type": 1}),
                                     device="rx")))
        elif pick < 0.87:
            quantity = rng.choice(("door_open", "seismic"))
            sensor = "door" if quantity == "door_open" else "geophone"
            on = rng.random() < 0.6
            rows.append((t, "", said("modbus", Reading(device=sensor, time_ns=None, quantity=quantity, value=on))))
        else:
            seen = tuple(
                Sighting(device="radar", time_ns=T0 + round(t * NS), r_ee=400.0, r_en=0.0, r_nn=400.0,
                         **at(rng.uniform(-2500, 2500), rng.uniform(-2500, 2500))) for _ in range(rng.randrange(4)))
            flags = (Flag(flag_id=f"f{k}", detector="d", score=9, pfa=1e-6, col=0, row=0, bbox_px=(0, 0, 1, 1)),) * (k % 2)
            rows.append((t, "", Scan(scan_id=f"s{k}", sensor="radar", time_ns=T0 + round(t * NS), footprint=square(0, 0, 4000),
                                     pd=0.9, clutter_per_km2=0.05, sightings=seen, flags=flags)))
    return [*rows, *((t + 60.0 * k, "", Tick()) for k in range(1, 200))]


def folded(rows, without: str = "", *, leave_row: bool = True) -> list[Changes]:
    """Every entry's changes; of an operation that is left out an entry keeps its number and time, or is not there at all."""
    fold, out = Fold(), []
    for seq, (t, whose, body) in enumerate(rows, 1):
        erased = whose == without != ""
        if erased and not leave_row:
            continue
        shown = Tick() if erased else body
        entry = Entry(seq=seq, kind=KIND[type(shown)], received_ns=T0 + round(t * NS), source="t", ident=b"%d" % seq,
                      body=pack(shown))  # fmt: skip
        if erased and isinstance(body, Operation | Device | Attachment):
            entry = msgspec.structs.replace(entry, received_ns=0)  # a register says nothing of what time it is
        out.append(fold.apply(entry))
    return out


def of(changes: list[Changes], operation: str) -> list[bytes]:
    """What was told of one operation, entry by entry."""
    out = []
    for c in changes:
        ids = {t.track_id for t in c.tracks if t.operation == operation}
        out += [encode(row) for row in (
            *(t for t in c.tracks if t.operation == operation), *(e for e in c.events if e.operation == operation),
            *(p for p in c.points if p.track_id in ids))]
    return out


@pytest.mark.parametrize("seed", range(3))
def test_an_operation_that_is_erased_changes_no_byte_of_another(seed):
    rows = story(seed)
    whole = folded(rows)
    for gone, other in (("A", "B"), ("B", "A")):
        left = folded(rows, gone)
        for name in (other, OPEN):
            assert len(of(whole, name)) > 100 and of(left, name) == of(whole, name)
        assert not [r for r in of(left, gone) if b"gps-" in r]
    kinds = {e.kind for c in whole for e in c.events}
    assert {"silent", "door_opened", "tamper", "outlier"} <= kinds, "the story has something to tell"


def test_the_last_rows_are_the_same_also_where_the_entries_are_not_there_at_all():
    rows = story(5)

    def last(changes):
        return {t.track_id: encode(t) for c in changes for t in c.tracks if t.operation == "B"}

    assert last(folded(rows, "A", leave_row=False)) == last(folded(rows))


def test_ids_are_unique_and_stand_in_a_url_as_they_are():
    whole = folded(story(1))
    ids = [(t.track_id, t.operation, t.first_ns) for c in whole for t in c.tracks]
    assert len({i[0] for i in ids}) == len(set(ids)) > 10
    assert all(re.fullmatch(r"T[0-9]+(\.[0-9]+)?(-[0-9]+)?", name) for name, _, _ in ids)
    begun = {}
    for e in (e for c in whole for e in c.events):
        assert begun.setdefault(e.event_id, (e.kind, e.operation, e.start_ns)) == (e.kind, e.operation, e.start_ns)
        assert re.fullmatch(r"E[0-9]+(\.[0-9]+)?(-[0-9]+)?", e.event_id)


def test_a_message_of_several_begins_tracks_whose_ids_do_not_depend_on_one_another():
    rows = [(0, "", Start(version="x", presets={})), (0, "", Device(device="rx", basis="own_sensor"))]
    for name in ("A", "B"):
        rows += [(0, name, Operation(operation=name)), (0, name, Device(device="tag-" + name)),
                 (0, name, Attachment(device="tag-" + name, shipment="s", operation=name, from_ns=T0))]
    both = said("chirpstack", Reading(device="tag-A", time_ns=None, quantity="battery_voltage", value=3.7),
                fix("tag-A", 1, 0, 0), fix("tag-B", 1, 900, 0), device="gateway")
    found = {t.operation: t.track_id for t in folded([*rows, (1, "", both)])[-1].tracks}
    assert found == {"A": "T9", "B": "T9.2"}


@pytest.mark.parametrize("basis", ["warrant", "open"])
def test_whether_a_vessel_is_watched_changes_nothing_in_open(basis):
    """Registers of the case, its enrolment by warrant among them, say who is watched: nobody sees them in ``open``."""
    area = square(0, 0, 9000)
    enrolled = Device(device="244000001", name="the coaster", klass="lorry", interval_s=5.0, basis=basis)
    rows = [(0, "", Start(version="x", presets={})), (0, "", Device(device="rx", basis="own_sensor", format="ais"))]
    rows += [(0, "A", Operation(operation="A", area=area)), (0, "A" if basis == "warrant" else "", enrolled),
             (0, "A", Attachment(device="244000001", shipment="coaster", operation="A", from_ns=T0))]
    name = Reading(device="244000001", time_ns=None, quantity="ship_name", value="COASTER")
    rows += [(t, "", said("ais", fix("244000001", t, 5.0 * t, 0), name, device="rx")) for t in range(1, 60, 5)]
    seen = Sighting(device="sar", time_ns=T0 + 60 * NS, r_ee=400.0, r_en=0.0, r_nn=400.0, **at(300, 0))
    rows.append((62, "", Scan(scan_id="s", sensor="sar", time_ns=T0 + 60 * NS, footprint=square(0, 0, 4000), pd=0.9,
                              clutter_per_km2=0.001, sightings=(seen,))))
    rows += [(62 + 60 * k, "", Tick()) for k in range(1, 1500)]
    watched, not_watched = folded(rows), folded(rows, "A")
    assert of(watched, OPEN) == of(not_watched, OPEN)
    assert not [e for c in watched for e in c.events if e.operation == OPEN]
    view = [t for c in watched for t in c.tracks if t.operation == "A" and t.tag_id]
    assert {(t.track_id, t.name) for t in view} == {("T6-3", "coaster")} and view[-1].status == "silent"
    shown = [t for c in watched for t in c.tracks if t.operation == OPEN]
    names = {t.name for t in shown if t.track_id == "T6"}
    assert names == ({"the coaster"} if basis == "open" else {"COASTER"}) and len({t.track_id for t in shown}) == 1
    assert [e.kind for c in watched for e in c.events if e.operation == "A"] == ["silent"], "the case is told"
    assert shown[-1].status == "deleted", "in open it has left"


def test_nothing_in_tracking_asks_whose_an_observation_is():
    """House rule 9: the verdict stands in the entry.  One place reads it, and one has old entries judged by the one judge."""
    import tracking

    for file in Path(tracking.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        calls = re.findall(r"\.attachment\(|\bJudge\(|\bjudged\(body|CASELESS", text)
        allowed = {"fold.py": ["Judge(", "judged(body"], "expectations.py": [".attachment("]}.get(file.name, [])
        assert sorted(calls) == sorted(allowed), file.name


@pytest.mark.parametrize("interval_s", [float("nan"), float("inf"), -float("inf"), -3e9, 1e300, 0.0])
def test_an_interval_that_is_none_is_as_if_nothing_were_said(interval_s):
    def told(interval_s: float) -> list[bytes]:
        rows = [(0, "", Start(version="x", presets={})), (0, "", Operation(operation="A"))]
        for device in ("heard", "never"):
            rows += [(0, "", Device(device=device, interval_s=interval_s)),
                     (0, "", Attachment(device=device, shipment=device, operation="A", from_ns=T0))]
        rows += [(t, "", said("owntracks", fix("heard", t, 0, 0))) for t in (1, 2, 3)]
        return of(folded([*rows, *((60.0 * k, "", Tick()) for k in range(1, 40))]), "A")

    assert told(interval_s) == told(Device(device="").interval_s)


def test_what_went_on_in_a_case_is_over_when_it_is_closed_and_begins_again_when_it_goes_on(journal):
    told = journal(begun=True, exercise=False, restart=True)
    told.add(0, Operation(operation="A"))
    told.add(0, Device(device="tag", interval_s=5.0))
    told.add(0, Attachment(device="tag", shipment="crate", operation="A", from_ns=T0))
    for t in range(1, 30, 5):
        told.say(t, Fix(device="tag", time_ns=T0 + t * NS, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0))
    told.take([(t, Tick()) for t in range(30, 120, 5)])
    [silent] = [e for c in told.changes for e in c.events]
    assert silent.kind == "silent" and silent.end_ns is None
    [over] = told.add(120, Operation(operation="A", closed=True)).events
    assert (over.event_id, over.end_ns is not None) == (silent.event_id, True)
    told.take([(t, Tick()) for t in range(125, 140, 5)])
    assert not [e for c in told.changes[-3:] for e in c.events]
    told.add(140, Operation(operation="A"))
    told.take([(t, Tick()) for t in range(145, 200, 5)])
    assert [e.kind for c in told.changes[-11:] for e in c.events] == ["silent"]


@pytest.mark.parametrize("last", [3.0, 40.0])
def test_nothing_is_told_of_a_case_while_it_is_closed(journal, last):
    """No row goes on coasting and nobody is missed, however long; what time did meanwhile is told when the case goes on."""
    told = journal(begun=True, exercise=False)
    told.add(0, Operation(operation="A"))
    told.add(0, Device(device="tag", interval_s=5.0))
    told.add(0, Device(device="other", interval_s=5.0))
    for device in ("tag", "other"):
        told.add(0, Attachment(device=device, shipment="s-" + device, operation="A", from_ns=T0))
    for t in range(1, 3):
        told.say(t, Fix(device="tag", time_ns=T0 + t * NS, lat_deg=52.0, lon_deg=4.0, sigma_m=5.0))
    told.take([(t, Tick()) for t in range(3, int(last), 5)])
    told.add(last, Operation(operation="A", closed=True))
    asleep = len(told.changes)
    told.take([(t, Tick()) for t in range(50, 100_000, 5000)])
    assert not [row for c in told.changes[asleep:] for row in (*c.tracks, *c.points, *c.events)]
    told.add(100_000, Operation(operation="A"))
    told.take([(t, Tick()) for t in range(100_005, 110_000, 500)])
    assert {t.status for c in told.changes[asleep:] for t in c.tracks} <= {"silent", "coasting"}
    assert "silent" in {e.kind for c in told.changes[asleep:] for e in c.events}
