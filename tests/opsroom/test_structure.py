"""The cases of ../shared/cases/structure, from the bytes of devices through the door, the journal and the fold.

Each stands here with variations of its own; what the case says is right is the assertion.  (The store that is
made anew, ``resume_after_remake``, is tests/opsroom/console/test_console_live.py; a late fix's trail in every order
tests/tracking/test_steps.py.)

Longer than 400 lines: every case with its variations, and all of them share one house.
"""

from __future__ import annotations

import itertools
import re
import sys
from functools import partial
from pathlib import Path
from types import FrameType

import msgspec
import pytest

from birddog.directory import OPEN
from birddog.geo import LocalFrame
from birddog.journal import open_reader, open_writer
from birddog.model import (
    Attachment,
    Body,
    Device,
    Entry,
    Flag,
    Frame,
    FrameBody,
    Operation,
    Placement,
    Scan,
    Sighting,
    Tick,
    Track,
    pack,
    unpack,
)
from birddog.units import NS
from devices import codec
from ingest.control import Wanted, drafts_of, wanted
from ingest.desk import Desk
from ingest.intake import Entries
from opsroom.alerts import Alerts
from opsroom.picture import Picture
from tracking.book import Changes
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=50.9, lon_deg=-1.4)
EPC = "urn:epc:tag:sgtin-96:1.0614141.112345.400"
encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Silent:
    """A transport that does not mind what becomes of its frames."""

    name = "mqtt"

    def acknowledge(self, results):
        """Nothing to do."""


class House:
    """A live journal with its door: registers go in as an operator enters them, messages as bytes."""

    def __init__(self, folder):
        self.url, self._packet = f"sqlite:///{folder}/j.db", 0
        self.writer = open_writer(self.url, mode="live")
        self.desk = Desk(self.writer, exercise=False, refusal_key=b"k" * 32)

    def enter(self, *bodies: Body | Wanted, at_s: float = 0.0) -> list[int]:
        """Entries that an operator asks for, or asks for again; their numbers, 0 where it was there."""
        numbers: list[int] = []
        asked = [body if isinstance(body, Wanted) else wanted(body, source="op") for body in bodies]
        self.desk.take([Entries(drafts_of(asked), numbers.extend)], T0 + round(at_s * NS))
        return numbers

    def hear(self, at_s: float, form: str, device: str, payload: bytes) -> None:
        """A message, as it is received."""
        self._packet += 1
        now_ns = T0 + round(at_s * NS)
        frame = Frame(source="mqtt", format=form, payload=payload, received_ns=now_ns, device=device, session="s",
                      packet=self._packet)
        self.desk.take([(Silent(), [frame])], now_ns)

    def phone(self, at_s: float, device: str, time_s: float, e: float, n: float = 0.0) -> None:
        """A phone's fix, 5 m good."""
        lat, lon = HOME.geodetic(e, n)
        self.hear(at_s, "owntracks", device, codec.load("owntracks").encode(
            lat_deg=lat, lon_deg=lon, time_ns=T0 + round(time_s * NS), accuracy_m=5.0))

    def ais(self, at_s: float, *vessels: tuple[int, float, float], device: str = "rx") -> None:
        """One message of a receiver, of vessels (MMSI, east, north)."""
        payload = b""
        for mmsi, e, n in vessels:
            lat, lon = HOME.geodetic(e, n)
            payload += codec.load("ais").encode(mmsi=mmsi, lat_deg=lat, lon_deg=lon, time_ns=T0 + round(at_s * NS),
                                                speed_mps=5.0, course_deg=90.0, station=device)
        self.hear(at_s, "ais", device, payload)

    def entries(self) -> list[Entry]:
        """The journal."""
        return list(itertools.chain(*iter_of(self.url)))


def iter_of(url: str):
    """The journal's entries in lots."""
    reader = open_reader(url)
    try:
        after = 0
        while lot := reader.read(after, 1000):
            yield lot
            after = lot[-1].seq
    finally:
        reader.close()


def folded(entries: list[Entry]) -> list[Changes]:
    """What the fold makes of each entry."""
    fold = Fold()
    return [fold.apply(entry) for entry in entries]


def rows(changes: list[Changes], operation: str | None = None) -> list[Track]:
    """Every row that was told, in order."""
    return [t for c in changes for t in c.tracks if operation in (None, t.operation)]


def told(changes: list[Changes], operation: str) -> list[bytes]:
    """All that was published of one operation, byte for byte."""
    ids = {t.track_id for t in rows(changes, operation)}
    return [encode(row) for c in changes for row in (
        *(t for t in c.tracks if t.operation == operation), *(e for e in c.events if e.operation == operation),
        *(p for p in c.points if p.track_id in ids))]


def case(house: House, operation: str, shipment: str, *devices: Device) -> None:
    """A case with a shipment that these devices ride."""
    house.enter(Operation(operation=operation), *devices,
                *(Attachment(device=d.device, shipment=shipment, operation=operation, from_ns=T0 - NS) for d in devices))


# --- class_flip, epc_class ------------------------------------------------------------------------


@pytest.mark.parametrize("late", [9, 14, 20])
@pytest.mark.parametrize("classes", [
    ("lorry", "lorry"), ("walker", "lorry"), ("lorry", "walker"), ("", "lorry"), ("parcel", "vessel"),
])  # fmt: skip
def test_devices_of_two_classes_on_one_shipment_are_one_track_of_one_class(tmp_path, classes, late):
    """``class_flip``: a fix that comes 15 s late is put in its place, to the same digits as if it had come in time."""
    times = list(range(1, 30))
    last = []
    for k, order in enumerate((times, [t for t in times if t != late] + [late])):
        (tmp_path / str(k)).mkdir()
        house = House(tmp_path / str(k))
        case(house, "OP", "crate", Device(device="phone", klass=classes[0]), Device(device="tracker", klass=classes[1]))
        for arrival, t in enumerate(order):
            house.phone(100 + arrival, "phone" if t % 2 else "tracker", t, 10.0 * t + (40.0 if t == late else 0.0))
        found = rows(folded(house.entries()), "OP")
        said = [klass for klass, _ in itertools.groupby(row.klass for row in found)]
        assert said == list(dict.fromkeys(said)) and len(said) <= (1 if classes[0] else 2), "it does not change with who speaks"
        last.append(msgspec.structs.replace(found[-1], sources=(), identities=(), attributes={}, tag_id=""))
    assert last[0].hits >= 28 and last[0] == last[1]


@pytest.mark.parametrize("klass", ["", "parcel", "walker", "vessel"])
def test_a_passive_tag_does_not_change_the_class_of_what_it_rides_on(tmp_path, klass):
    """``epc_class``: the class is that of the device that gives the fixes; a read of a portal 1 km away refuses no fix."""
    house = House(tmp_path)
    case(house, "OP", "crate", Device(device="van-tracker", klass="van", interval_s=8.0), Device(device=EPC, klass=klass))
    place = dict(zip(("lat_deg", "lon_deg"), HOME.geodetic(1000.0, 300.0), strict=True))
    house.enter(Device(device="portal", basis="own_sensor", format="impinj"), Placement(device="portal", range_m=5.0, **place))
    fixes = 0
    for t in range(0, 100):
        if t % 8 == 0:
            house.phone(t, "van-tracker", t, 3.0, 9.0 * t)
            fixes += 1
        if 40 <= t <= 60:
            house.hear(t + 0.2, "impinj", "portal", codec.load("impinj").encode(
                reader="portal", time_ns=T0 + round((t + 0.2) * NS), epc_uri=EPC, rssi_dbm=-60.0))
    found = rows(folded(house.entries()), "OP")
    assert {row.klass for row in found} == {"van"}
    assert found[-1].hits == fixes, "every fix is used; the reads, of a portal elsewhere, change nothing but their own count"
    for row in found:
        e, n = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
        assert abs(e - 3.0) < 30.0 and abs(n - 9.0 * (row.time_ns - T0) / NS) < 60.0


# --- dark_attached --------------------------------------------------------------------------------


def scan_at(t: float, e: float, n: float) -> Scan:
    """An image that shows one thing, at a place."""
    lat, lon = HOME.geodetic(e, n)
    corners = [HOME.geodetic(*c)[::-1] for c in ((-3e3, -3e3), (3e3, -3e3), (3e3, 3e3), (-3e3, 3e3), (-3e3, -3e3))]
    seen = dict(lat_deg=lat, lon_deg=lon, r_ee=400.0, r_en=0.0, r_nn=400.0)
    return Scan(
        scan_id="s1", sensor="sar", time_ns=T0 + round(t * NS), footprint=tuple(corners), pd=0.9, clutter_per_km2=0.001,
        sightings=(Sighting(device="sar", time_ns=T0 + round(t * NS), scan="s1", **seen),),
        flags=(Flag(flag_id="f1", detector="cfar", score=20.0, pfa=1e-6, col=1, row=1, bbox_px=(0, 0, 2, 2), **seen),),
    )


@pytest.mark.parametrize("heard", ["open", "own_sensor", "partner"])
@pytest.mark.parametrize("where", ["own", "elsewhere"])
@pytest.mark.parametrize("basis", ["warrant", "open"])
def test_whether_a_vessel_is_watched_nobody_sees_in_the_public_picture(tmp_path, basis, where, heard):
    """``dark_attached``: it reports, so that it is no dark vessel; and what is none of its reports is one, watched or not.

    So by any receiver: of one that the door admitted enrolled vessels from only, who was watched had a track and nobody else.
    """
    found = []
    for watched in (True, False):
        (tmp_path / str(watched)).mkdir()
        house = House(tmp_path / str(watched))
        # as many entries, so that numbers are the same: the other case watches somebody who is not here
        mmsi = "244000001" if watched else "244000009"
        house.enter(Device(device="rx", basis=heard, format="ais"))
        case(house, "NIGHTJAR", "coaster", Device(device=mmsi, basis=basis, format="ais"))
        for t in range(1, 60, 5):
            house.ais(t, (244_000_001, 5.0 * t, 0.0))
        house.enter(scan_at(60.0, *((300.0, 0.0) if where == "own" else (300.0, 2000.0))), at_s=62.0)
        entries = house.entries()
        changes = folded(entries)
        dark = [e for c in changes for e in c.events if e.kind == "dark_vessel" and e.operation == OPEN]
        assert len(dark) == (0 if where == "own" else 1)
        reporting = {t.track_id for t in rows(changes, OPEN) if t.tag_id == "244000001"}
        assert len(reporting) == 1 and len({t.track_id for t in rows(changes, OPEN)}) == (1 if where == "own" else 2)
        assert bool(rows(changes, "NIGHTJAR")) == watched
        # its message stands once more, in the case: the numbers after it differ, and nothing else may
        found.append([(t.status, t.hits, t.lat_deg, t.lon_deg, t.p_ee, t.klass, t.name, t.attributes)
                      for t in rows(changes, OPEN)])
    assert found[0] == found[1]


@pytest.mark.parametrize("heard", ["open", "own_sensor", "partner"])
def test_a_broken_sentence_takes_no_vessel_of_the_air_with_it(tmp_path, heard):
    """A receiver's lot with a sentence cut off: the vessels beside it come in, whoever they are, and the bytes stay."""
    house = House(tmp_path)
    house.enter(Device(device="rx", basis=heard, format="ais"))
    lat, lon = HOME.geodetic(0.0, 0.0)
    good = codec.load("ais").encode(mmsi=244_000_001, lat_deg=lat, lon_deg=lon, time_ns=T0 + NS, station="rx")
    house.hear(1.0, "ais", "rx", good + good[:-9] + b"\r\n")
    assert [(e.kind, [o.device for o in unpack(e).observations], bool(unpack(e).payload))
            for e in house.entries() if e.kind in ("frame", "refusal")] == [("frame", ["244000001"], True)]


@pytest.mark.parametrize("heard", ["own_sensor", "partner"])
def test_what_is_not_broadcast_comes_in_of_who_is_enrolled_only(tmp_path, heard):
    """A gateway that is enrolled may not bring strangers' positions in a format that is no broadcast."""
    house = House(tmp_path)
    house.enter(Device(device="rx", basis=heard))
    house.hear(1.0, "owntracks", "rx", codec.load("owntracks").encode(
        lat_deg=50.9, lon_deg=-1.4, time_ns=T0 + NS, accuracy_m=5.0))
    assert [e.kind for e in house.entries()][-1] == "frame", "of itself it may"
    house._packet += 1
    stranger = Frame(source="mqtt", format="owntracks", payload=codec.load("owntracks").encode(
        lat_deg=50.9, lon_deg=-1.4, time_ns=T0 + 2 * NS, accuracy_m=5.0), received_ns=T0 + 2 * NS, device="rx",
        subject="phone", session="s", packet=house._packet)  # fmt: skip
    house.desk.take([(Silent(), [stranger])], T0 + 2 * NS)
    assert [e.kind for e in house.entries()][-1] == "refusal"


# --- erase_renumbers, gateway_two_ops -------------------------------------------------------------


@pytest.mark.parametrize("heard", ["open", "own_sensor"])
@pytest.mark.parametrize("order", list(itertools.permutations(("A", "B", "C"))), ids="".join)
def test_each_vessel_of_a_gateways_message_goes_to_its_own_case_and_one_erased_leaves_the_others(tmp_path, order, heard):
    """``gateway_two_ops``, ``erase_renumbers``: one AIS message with a vessel of each of two cases, and one of nobody's."""
    house = House(tmp_path)
    house.enter(Device(device="rx", basis=heard, format="ais"))
    mmsi = {"A": 244_000_001, "B": 244_000_002, "C": 244_000_003}
    for name in ("A", "B"):
        case(house, name, "s" + name, Device(device=str(mmsi[name]), format="ais"))
    for t in range(1, 9):
        house.ais(t, *((mmsi[name], 10.0 * t, 900.0 * "ABC".index(name)) for name in order))
    entries = house.entries()
    whose = {str(number): name for name, number in mmsi.items()}
    frames = [(e, unpack(e)) for e in entries if e.kind == "frame"]
    for entry, body in frames:
        assert isinstance(body, FrameBody)
        names = {whose[o.device] for o in body.observations}
        assert entry.operation == OPEN or names == {entry.operation}, "a case's entry holds what is of that case"
    assert {e.operation for e, _ in frames} == {"A", "B", OPEN}
    assert all(e.actor == "" or e.operation for e in entries)
    whole = folded(entries)
    for gone, other in (("A", "B"), ("B", "A")):
        emptied = {e.seq: msgspec.structs.replace(e, kind="tick", body=pack(Tick()))
                   for e in entries if e.operation == gone and e.kind == "frame"}
        left = folded([emptied.get(e.seq, e) for e in entries])
        assert len(told(whole, other)) > 8
        for name in (other, OPEN):
            assert told(left, name) == told(whole, name)
        assert not rows(left, gone)


# --- late_points ----------------------------------------------------------------------------------


@pytest.mark.parametrize("late,by", [(50, 1), (50, 6), (20, 9), (100, 1)])
def test_the_trail_after_a_late_fix_is_that_of_the_order_in_which_things_happened(tmp_path, late, by):
    """``late_points``: the published steps as they are believed in the end."""
    trails = []
    for k, lag in enumerate((0, by)):
        (tmp_path / str(k)).mkdir()
        house = House(tmp_path / str(k))
        case(house, "OP", "crate", Device(device="phone"))
        for arrival, t in enumerate(sorted(range(10, 120, 10), key=lambda t: t + 10.0 * lag * (t == late) + 0.5 * (t == late))):
            house.phone(200 + arrival, "phone", t, 10.0 * t + (25.0 if t == 50 else 0.0))
        steps: dict[int, tuple[float, float]] = {}
        for c in folded(house.entries()):
            for p in c.points:
                steps.pop(p.time_ns, None) if p.withdrawn else steps.update({p.time_ns: (p.lat_deg, p.lon_deg)})
        trails.append(dict(sorted(steps.items())))
    assert trails[0] == trails[1] and len(trails[0]) >= 11


# --- open_never_ends ------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", ["open", "own_sensor"])
def test_what_was_heard_once_ends_and_cries_for_nobody(tmp_path, heard):
    """``open_never_ends``: lost after 20 minutes, gone after a day, no alert; and then a tick and a snapshot cost nothing."""
    house = House(tmp_path)
    house.enter(Device(device="rx", basis=heard, format="ais"))
    empty = Fold()
    for entry in house.entries():
        empty.apply(entry)
    small = len(empty.snapshot())
    for k in range(0, 300, 20):
        house.ais(1 + k / 100, *((200_000_000 + i, 50.0 * i, 40.0 * (i % 7)) for i in range(k, k + 20)))
    fold, alerts, last = Fold(), Alerts(), {}
    entries = house.entries()

    def take(entry: Entry) -> Changes:
        changes = fold.apply(entry)
        for event in changes.events:
            alerts.event(event)
        last.update({t.track_id: t for t in changes.tracks})
        return changes

    for entry in entries:
        take(entry)
    assert len(last) == 300
    seq = entries[-1].seq
    for t, status in ((600.0, "coasting"), (1500.0, "silent"), (80_000.0, "silent"), (90_000.0, "deleted")):
        seq += 1
        take(Entry(seq=seq, kind="tick", received_ns=T0 + round(t * NS), source="t", ident=b"%d" % seq, body=pack(Tick())))
        assert {row.status for row in last.values()} == {status}, t
    assert not [a for a in alerts.snapshot() if a.open], "who sailed on is no alert"
    later = take(Entry(seq=seq + 1, kind="tick", received_ns=T0 + 90_005 * NS, source="t", ident=b"n", body=pack(Tick())))
    assert not later.tracks and not later.events and len(fold.snapshot()) < small + 2000


# --- stamp_duplicate ------------------------------------------------------------------------------


@pytest.mark.parametrize("undone", ["detached", "closed", "retired"])
def test_a_register_that_is_asked_for_again_changes_nothing(tmp_path, undone):
    """``stamp_duplicate``: a request with its nonce is safe to repeat, also when what it said has been undone since."""
    house = House(tmp_path)
    attach = Attachment(device="tag", shipment="s", operation="A", from_ns=T0 - NS)
    asked = [wanted(body, source="op") for body in (Operation(operation="A"), Device(device="tag"), attach)]
    assert all(house.enter(*asked))
    house.phone(1.0, "tag", 1.0, 0.0)
    back = {"detached": msgspec.structs.replace(attach, to_ns=T0 + 2 * NS), "closed": Operation(operation="A", closed=True),
            "retired": Device(device="tag", retired=True)}[undone]
    assert all(house.enter(back, at_s=2.0))

    def judged(desk: Desk) -> str | None:
        reject = desk.door.sender("tag", T0 + 5 * NS)
        return None if reject is None else reject.reason

    before = judged(house.desk)
    assert before in ("unauthorised", "unknown_device")
    assert house.enter(*asked, at_s=3.0) == [0, 0, 0]
    assert judged(house.desk) == before == judged(Desk(house.writer, exercise=False, refusal_key=b"k" * 32))
    house.phone(5.0, "tag", 5.0, 10.0)
    assert [e.kind for e in house.entries()][-1] == "refusal"


# --- the walk of docs/architecture.md -------------------------------------------------------------


def walked(do) -> list[tuple[str, str]]:
    """(file, function) of ours in the order in which they are called first."""
    root = Path(__file__).parents[2]
    calls: dict[tuple[str, str], None] = {}

    def called(frame: FrameType, event: str, arg: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(root):
            name = frame.f_code.co_name
            me = frame.f_locals.get("self")
            calls.setdefault((path.relative_to(root).as_posix(), name if me is None else f"{type(me).__name__}.{name}"))

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        do()
    finally:
        sys.setprofile(before)
    return list(calls)


def test_a_ping_goes_the_way_that_the_page_says(tmp_path):
    """docs/architecture.md, "One ping": the middle column, from the desk to the picture's store, as it is called, in order."""
    page = (Path(__file__).parents[2] / "docs/architecture.md").read_text(encoding="utf-8")
    page = page.partition("## One ping")[2].partition("\n## ")[0]
    usual, _, long = page.partition("11 to 13 are the short way")
    stations = re.findall(r"^\| (\d+)\w? \| `([\w/]+\.py)` `([\w.]+)` \|", usual, re.M)
    short = [(file, name) for row, file, name in stations if 6 <= int(row) <= 15 and row not in ("8", "9")]
    first = dict(zip(("11", "12", "13"), re.findall(r"^\| \d+ \| `([\w/]+\.py)` `([\w.]+)` \|", long, re.M), strict=True))
    slow = [first.get(row, (file, name)) for row, file, name in stations if 6 <= int(row) <= 15 and row not in ("8", "9")]
    house = House(tmp_path)
    case(house, "A", "crate", Device(device="phone", klass="van"))
    journal = open_reader(house.url)
    picture = Picture(journal, tmp_path / "p")

    def ping(k: int) -> None:
        house.phone(float(k), "phone", k - 1.0, 10.0 * k)
        while picture.step():
            pass

    try:
        while picture.step():  # what was entered before
            pass
        ways = [walked(partial(ping, k)) for k in range(1, 12)]
    finally:
        picture.close()
        journal.close()
    assert [call for call in ways[0] if call in slow] == slow
    assert [call for call in ways[-1] if call in short] == short
