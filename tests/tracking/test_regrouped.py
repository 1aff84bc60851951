"""Which receivers are one thing, and what a contact is, as an operator decides it: obeyed from then on, taken back by undo.

Over 400 lines: each kind of decision made, undone, refused, and all of them in other orders than they were made.
"""

from __future__ import annotations

import msgspec
import pytest

from birddog.geo import LocalFrame, distance_m
from birddog.model import Alarm, Attachment, Decision, Device, Fix, Flag, Operation, Scan, Sighting, Tick, Track
from birddog.units import NS

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=52.0, lon_deg=4.0)
RING = tuple((4.0 + dx, 52.0 + dy) for dx, dy in ((-.2, -.1), (.2, -.1), (.2, .1), (-.2, .1), (-.2, -.1)))  # fmt: skip


def fix(device: str, t: float, e: float, n: float = 0.0) -> Fix:
    lat, lon = HOME.geodetic(e, n)
    return Fix(device=device, time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=5.0)


def scan(t: float, *places: tuple[float, float], flags: bool = False) -> Scan:
    at_ns, seen = T0 + round(t * NS), []
    for k, (e, n) in enumerate(places):
        lat, lon = HOME.geodetic(e, n)
        if flags:
            seen.append(Flag(flag_id=f"f{t}.{k}", detector="cfar", score=9.0, pfa=1e-6, col=0, row=0, bbox_px=(0, 0, 1, 1),
                             length_px=9.0, lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0))  # fmt: skip
        else:
            seen.append(Sighting(device="radar", time_ns=at_ns, lat_deg=lat, lon_deg=lon, r_ee=100.0, r_en=0.0, r_nn=100.0))
    return Scan(scan_id=f"s{t}", sensor="sat" if flags else "radar", time_ns=at_ns, footprint=RING, pd=0.9,
                clutter_per_km2=0.01, **{"flags" if flags else "sightings": tuple(seen)})  # fmt: skip


def away_m(row: Track, e: float, n: float = 0.0) -> float:
    lat, lon = HOME.geodetic(e, n)
    return distance_m(lat1_deg=row.lat_deg, lon1_deg=row.lon_deg, lat2_deg=lat, lon2_deg=lon)


def decide(action: str, subject: str, **words) -> Decision:
    return Decision(action=action, subject=subject, by="anna", **words)


def plain(rows) -> list[Track]:
    return [msgspec.structs.replace(row, track_id="", name="", contact_ns=0, attributes={}) for row in rows]


def told(said) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in said.events("decided", "decided_nothing")]


# --- merge --------------------------------------------------------------------------------------------------------------


def case(journal, *devices: tuple[str, str], **words):
    """A case with devices attached to shipments."""
    said = journal(exercise=False, restart=True, **words)
    said.add(0, Operation(operation="A", area=RING))
    for device, shipment in devices:
        said.add(0, Device(device=device, klass="van", interval_s=10.0))
        said.add(0, Attachment(device=device, shipment=shipment, operation="A", from_ns=T0))
    return said


def test_two_tracks_are_one_and_two_again(journal):
    """One pallet was entered as two shipments: merged it is as if it had had two receivers from the first."""
    said, as_one = case(journal, ("a", "S1"), ("b", "S2")), case(journal, ("a", "S1"), ("b", "S1"))
    for t in range(10, 70, 10):
        for one in (said, as_one):
            one.say(t, fix("a", t, 10.0 * t))
            one.say(t + 4, fix("b", t + 4, 10.0 * (t + 4)))
    first, second = (row.track_id for row in said.now(65))
    said.add(66, decide("merge", first, other=second))
    [row] = said.now(67)
    assert row.track_id == first and row.identities == ("a", "b") and row.name == "S1"
    assert said.rows()[second].status == "deleted" and second in said.changes[-1].ended
    for one in (said, as_one):
        one.say(70, fix("a", 70, 700.0))
        one.say(74, fix("b", 74, 740.0))
    assert plain(said.now(75)) == plain(as_one.now(75))
    assert [row.name for row in said.now(75)] == ["S1"], "what b says does not rename it"
    said.add(76, decide("undo", f"D{said.seq - 2}"))
    apart = case(journal, ("a", "S1"), ("b", "S2"))
    for t in range(10, 80, 10):
        apart.say(t, fix("a", t, 10.0 * t))
        apart.say(t + 4, fix("b", t + 4, 10.0 * (t + 4)))
    assert plain(said.now(77)) == plain(apart.now(77)) and [row.track_id for row in said.now(77)] == [first, second]
    assert [kind for kind, _ in told(said)] == ["decided", "decided"]
    said.say(80, fix("b", 80, 800.0))
    assert [row.updated_ns for row in said.now(81)] == [T0 + 70 * NS, T0 + 80 * NS]


@pytest.mark.parametrize("since_s", [0, 100, 300])
def test_what_was_merged_by_mistake_is_in_no_filter_of_the_track_once_that_is_undone(journal, since_s):
    """A shipment 3 km off was merged and that undone: counts, refusals, place and ellipse are as if it had never been.

    An auditor's: 11 of the other's fixes stayed refused, for good, and as many were among its hits.
    """
    said, alone = case(journal, ("a", "S1"), ("b", "S2")), case(journal, ("a", "S1"))
    for t in range(10, 1200 + since_s, 10):
        if t == 1200:
            first, second = (row.track_id for row in said.now(1199))
            said.add(1199, decide("merge", first, other=second))
            merged = said.seq
        for one in (said, alone):
            one.say(t, fix("a", t, 10.0 * t))
        said.say(t + 4, fix("b", t + 4, 10.0 * t, 3_000.0))
    if since_s == 0:
        first, second = (row.track_id for row in said.now(1199))
        said.add(1199, decide("merge", first, other=second))
        merged = said.seq
    end = 1200 + since_s
    said.add(end, decide("undo", f"D{merged}"))
    for t in range(end + 10, end + 60, 10):
        for one in (said, alone):
            one.say(t, fix("a", t, 10.0 * t))
        said.say(t + 4, fix("b", t + 4, 10.0 * t, 3_000.0))
    back, other = said.now(end + 60)
    [truth] = alone.now(end + 60)
    assert (back.hits, back.refused) == (truth.hits, truth.refused) and truth.refused == 0
    assert plain([back]) == plain([truth]) and away_m(other, 10.0 * (end + 50), 3_000.0) < 120.0


def test_what_was_merged_falls_silent_as_one(journal):
    said = case(journal, ("a", "S1"), ("b", "S2"))
    for t in range(10, 70, 10):
        said.say(t, fix("a", t, 0.0))
        said.say(t, fix("b", t, 0.0))
    first, second = (row.track_id for row in said.now(65))
    said.add(66, decide("merge", first, other=second))
    for t in range(70, 300, 10):
        said.say(t, fix("b", t, 0.0))
    assert not said.happened("silent"), "one of its receivers speaks"
    for t in range(300, 500, 10):
        said.say(t, fix("stranger", t, 9.0))
    assert [e.track_ids for e in said.happened("silent")] == [(first,)]


@pytest.mark.parametrize("other", ["", "T99", "T1", "self"])
def test_what_cannot_be_merged_is_told(journal, other):
    said = case(journal, ("a", "S1"))
    said.say(10, fix("a", 10, 0.0))
    [row] = said.now(10)
    said.add(11, decide("merge", row.track_id, other=row.track_id if other == "self" else other))
    assert [kind for kind, _ in told(said)] == ["decided_nothing"] and said.now(12)[0].track_id == row.track_id


def test_a_merged_track_is_merged_again_and_all_is_taken_back(journal):
    said = case(journal, ("a", "S1"), ("b", "S2"), ("c", "S3"))

    def speak(t: float) -> None:
        for device in "abc":
            said.say(t, fix(device, t, 5.0 * t))

    for t in range(10, 50, 10):
        speak(t)
    one, two, three = (row.track_id for row in said.now(45))
    said.add(46, decide("merge", two, other=three))
    said.add(47, decide("merge", one, other=two))
    speak(50)
    [row] = said.now(51)
    assert row.track_id == one and row.updated_ns == T0 + 50 * NS and row.identities == ("a", "b", "c")
    said.add(52, decide("undo", f"D{said.seq - 3}"))
    assert {row.track_id for row in said.now(53)} == {one, two}
    said.add(54, decide("undo", f"D{said.seq - 5}"))
    speak(60)
    rows = said.now(61)
    assert {row.track_id for row in rows} == {one, two, three} and {row.updated_ns for row in rows} == {T0 + 60 * NS}
    assert sorted(row.identities for row in rows) == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("b_until", [60, 120])
def test_no_decision_changes_what_a_track_of_a_closed_case_is_called(journal, b_until):
    """Any one made a row that was ``silent`` when the case was closed ``coasting`` for good, also one that did nothing."""
    said = case(journal, ("a", "S1"), ("a2", "S1"), ("b", "S2"))
    for t in range(10, 130, 10):
        if t <= 60:
            said.say(t, fix("a", t, 10.0 * t))
            said.say(t + 2, fix("a2", t + 2, 10.0 * (t + 2)))
        if t <= b_until:
            said.say(t + 4, fix("b", t + 4, 10.0 * (t + 4), 30.0))
    said.add(124, Tick())
    said.add(124, Operation(operation="A", area=RING, closed=True))
    one, two = said.rows()
    b_then = "silent" if b_until == 60 else "confirmed"
    then = {one: "silent", two: b_then}
    called = lambda: {row.track_id: row.status for row in said.now(9000)}  # noqa: E731
    assert called() == then
    said.add(8000, decide("take_over", one))
    said.add(8001, decide("false_fix", one, device="a", time_ns=T0 + 60 * NS))
    assert called() == then == {row.track_id: row.status for row in said.rows().values()}
    said.add(8002, decide("split", one, device="a2"))
    [parted] = called().keys() - then.keys()
    assert called() == {**then, parted: "silent"}
    said.add(8003, decide("undo", f"D{said.seq}"))
    assert called() == then
    said.add(8004, decide("merge", one, other=two))
    assert called() == {one: b_then}
    said.add(8005, decide("undo", f"D{said.seq}"))
    assert called() == then and all(event.end_ns is not None for event in said.happened("silent"))
    said.add(8006, Operation(operation="A", area=RING))
    said.add(8010, Tick())
    assert set(called().values()) == {"silent"}


# --- split --------------------------------------------------------------------------------------------------------------


def parted(journal):
    """Two receivers of one shipment, of which one stays behind from 60 s on."""
    said = case(journal, ("a", "S"), ("b", "S"))
    for t in range(10, 130, 10):
        said.say(t, fix("a", t, 10.0 * t))
        said.say(t + 4, fix("b", t + 4, 10.0 * min(t + 4, 60), 30.0))
    return said


def test_a_receiver_that_parted_goes_its_own_way_and_comes_back(journal):
    said = parted(journal)
    [row] = said.now(125)
    assert said.happened("parted")[-1].end_ns is None
    said.add(126, decide("split", row.track_id, device="b"))
    goods, tag = said.now(127)
    assert goods.track_id == row.track_id and goods.identities == ("a",) and away_m(goods, 1_270.0) < 20.0
    assert tag.track_id == f"T{said.seq}" and tag.identities == ("b",) and tag.name == "S (b)"
    assert away_m(tag, 600.0, 30.0) < 20.0 and goods.rival_hits == 0
    assert said.happened("parted")[-1].end_ns is not None
    alone = case(journal, ("a", "S"))
    for t in range(10, 130, 10):
        alone.say(t, fix("a", t, 10.0 * t))
    assert plain([goods]) == plain(alone.now(127)), "as if the other had never been on it"
    said.say(130, fix("a", 130, 1_300.0))
    said.say(134, fix("b", 134, 600.0, 30.0))
    assert [row.updated_ns for row in said.now(135)] == [T0 + 130 * NS, T0 + 134 * NS]
    assert [row.name for row in said.now(135)] == ["S", "S (b)"]
    whole = parted(journal)
    for one in (said, whole):
        one.say(140, fix("a", 140, 1_400.0))
    said.add(141, decide("undo", f"D{int(tag.track_id[1:])}"))
    [row] = said.now(142)
    assert row.identities == ("a", "b") and said.rows()[tag.track_id].status == "deleted"
    whole = parted(journal)
    for device, t, e, n in (("a", 130, 1_300.0, 0.0), ("b", 134, 600.0, 30.0), ("a", 140, 1_400.0, 0.0)):
        whole.say(t, fix(device, t, e, n))
    assert plain([row]) == plain(whole.now(142))


def speak(one, t: int) -> None:
    """One receiver goes on, the other stands from the first minute on."""
    one.say(t, fix("a", t, 10.0 * t))
    one.say(t + 4, fix("b", t + 4, 10.0 * min(t + 4, 60), 30.0))


def long_parted(journal):
    """Two receivers of one shipment that parted before the window of late data."""
    one = case(journal, ("a", "S"), ("b", "S"))
    for t in range(10, 1_010, 10):
        speak(one, t)
    return one


@pytest.mark.parametrize("later", [0, 100])
def test_nothing_is_left_where_the_one_that_was_split_off_said_long_before(journal, later):
    """Its refused fixes that are older than the window had left a rival with the track: a second symbol where nothing is."""
    said, whole = long_parted(journal), long_parted(journal)
    [row] = said.now(1_005)
    assert row.rival_device == "b" and row.rival_hits > 70 and row.refused > 70
    said.add(1_006, decide("split", row.track_id, device="b"))
    decision = said.seq
    goods, tag = said.now(1_007)
    assert (goods.rival_device, goods.rival_hits, goods.rival_lat_deg) == ("", 0, None) and goods.refused < 5
    assert goods.track_id == row.track_id and away_m(goods, 10_070.0) < 20.0 and away_m(tag, 600.0, 30.0) < 20.0
    for t in range(1_010, 1_010 + 10 * later, 10):
        for one in (said, whole):
            speak(one, t)
    if later:
        goods, _ = said.now(1_010 + 10 * later)
        assert goods.rival_hits == 0 and goods.refused < 5 and said.happened("parted")[-1].end_ns is not None
    end = 1_010 + 10 * later
    said.add(end, decide("undo", f"D{decision}"))
    [row], [want] = said.now(end + 1), whole.now(end + 1)
    assert (row.rival_device, row.rival_hits > 70, row.refused > 70) == ("b", True, True)
    if not later:
        assert plain([row]) == plain([want]), "as if nothing had been decided"


@pytest.mark.parametrize("later", [0, 100])
def test_what_is_left_when_the_one_that_was_followed_is_split_off_is_where_its_own_receiver_says(journal, later):
    """It had parted before the window: the row stayed where the one that left had been, 8 to 44 km away from the one receiver
    that it still had, for up to 100 reports, and `parted` of one receiver was told (an auditor, by clicking)."""
    said, whole = long_parted(journal), long_parted(journal)
    [row] = said.now(1_005)
    assert away_m(row, 10_050.0) < 40.0 and row.rival_device == "b"
    said.add(1_006, decide("split", row.track_id, device="a"))
    decision = said.seq
    goods, tag = said.now(1_007)
    assert (goods.track_id, goods.identities, goods.rival_hits) == (row.track_id, ("b",), 0)
    assert away_m(goods, 600.0, 30.0) < 20.0 and away_m(tag, 10_070.0) < 40.0
    for t in range(1_010, 1_010 + 10 * later, 10):
        speak(said, t)
        speak(whole, t)
        goods, tag = said.now(t + 5)
        assert away_m(goods, 600.0, 30.0) < 20.0 and goods.rival_hits == 0 and away_m(tag, 10.0 * (t + 5)) < 40.0
    assert said.happened("parted")[-1].end_ns is not None and not said.happened("contradicted")
    end = 1_010 + 10 * later
    said.add(end, decide("undo", f"D{decision}"))
    [row], [want] = said.now(end + 1), whole.now(end + 1)
    assert (row.identities, row.sources) == (want.identities, want.sources)  # in their order
    if not later:
        assert plain([row]) == plain([want]), "as if nothing had been decided"


@pytest.mark.parametrize("order", [
    "split false unsplit unfalse", "false split unfalse unsplit", "split false unfalse unsplit",
    "merge false unmerge unfalse", "false merge unfalse unmerge", "false merge unmerge unfalse",
])  # fmt: skip
def test_that_a_fix_is_false_goes_where_its_receiver_goes(journal, order):
    """Decided of a receiver that was split off, it could not be undone once that was: the fix stayed out for ever.
    Decided before, its undo put the fix into the track that the receiver had left."""
    ways = []
    for does in (True, False):
        said = case(journal, ("a", "S1"), ("b", "S1" if "split" in order else "S2"), ("c", "S3"))
        for k in range(8):
            t = 10 * k + 10
            for n, device in enumerate("abc"):
                said.say(t + n, fix(device, t + n, 10.0 * (t + n), 5.0 * n))
        said.say(84, fix("b", 84, 845.0, 9.0))
        numbers = {}
        for k, word in enumerate(order.split()):
            rows = {name: row.track_id for row in said.now(85 + k) for name in row.identities}
            body = {
                "false": decide("false_fix", rows["b"], operation="A", device="b", time_ns=T0 + 84 * NS),
                "split": decide("split", rows["a"], operation="A", device="b"),
                "merge": decide("merge", rows["a"], operation="A", other=rows["b"]),
            }.get(word) or decide("undo", f"D{numbers[word[2:]]}", operation="A")
            said.add(85 + k, body if does else Tick())
            numbers[word] = said.seq
        assert not said.happened("decided_nothing")
        for k in range(9, 12):
            t = 10 * k + 10
            for n, device in enumerate("abc"):
                said.say(t + n, fix(device, t + n, 10.0 * (t + n), 5.0 * n))
        ways.append(sorted(said.now(125), key=lambda row: row.identities))
    for one, other in zip(*ways, strict=True):
        assert one.identities == other.identities and one.hits == other.hits
        for name in ("lat_deg", "lon_deg", "ve_mps", "vn_mps", "p_ee", "p_en", "p_nn"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6, abs=1e-6)


def test_the_tag_that_was_split_off_falls_silent_by_itself(journal):
    said = parted(journal)
    [row] = said.now(125)
    said.add(126, decide("split", row.track_id, device="b"))
    for t in range(130, 400, 10):
        said.say(t, fix("a", t, 10.0 * t))
    assert [(e.device, e.track_ids != (row.track_id,)) for e in said.happened("silent")] == [("b", True)]


@pytest.mark.parametrize(("device", "why"), [("", "no device is no receiver"), ("c", "is no receiver"), ("a", "only receiver")])
def test_what_cannot_be_split_is_told(journal, device, why):
    said = case(journal, ("a", "S"))
    said.say(10, fix("a", 10, 0.0))
    [row] = said.now(10)
    said.add(11, decide("split", row.track_id, device=device))
    [(kind, text)] = told(said)
    assert kind == "decided_nothing" and why in text and len(said.now(12)) == 1


# --- this contact is that shipment --------------------------------------------------------------------------------------


def crate(journal):
    """A crate whose tag was switched off at 60 s, and a lorry that a radar sees pull away from there at 100 s."""
    said = case(journal, ("tag", "crate"))
    for t in range(0, 60, 10):
        said.say(t, fix("tag", t, 0.0))
    for t in range(100, 160, 5):
        said.add(t, scan(t, (8.0 * (t - 100), 40.0)))
    return said


def of_case(rows) -> dict[str, Track]:
    return {row.track_id: row for row in rows if row.operation == "A"}


def test_this_contact_is_that_shipment(journal):
    said = crate(journal)
    tag, contact = of_case(said.now(156)).values()
    assert tag.tag_id == "tag" and contact.tag_id == "" and away_m(tag, 0.0) < 20.0
    said.add(156, decide("identify", contact.track_id, other=tag.track_id, operation="A"))
    [row] = of_case(said.now(157)).values()
    assert row.track_id == tag.track_id and away_m(row, 440.0, 40.0) < 40.0
    assert said.rows()[contact.track_id].status == "deleted"
    for t in range(160, 200, 5):
        said.add(t, scan(t, (8.0 * (t - 100), 40.0)))
    [row] = of_case(said.now(196)).values()
    assert row.track_id == tag.track_id and away_m(row, 760.0, 40.0) < 30.0, "the radar carries it on"
    said.say(198, fix("tag", 198, 8.0 * 98, 42.0))
    assert [kind for kind, _ in told(said)] == ["decided"] and not said.happened("jumped")
    assert away_m(of_case(said.now(199))[tag.track_id], 790.0, 42.0) < 20.0


def test_that_contact_was_not_that_shipment(journal):
    said = crate(journal)
    tag, contact = of_case(said.now(156)).values()
    said.add(156, decide("identify", contact.track_id, other=tag.track_id, operation="A"))
    decision = said.seq
    for t in range(160, 180, 5):
        said.add(t, scan(t, (8.0 * (t - 100), 40.0)))
    said.add(181, decide("undo", f"D{decision}", operation="A"))
    rows = of_case(said.now(182))
    assert set(rows) == {tag.track_id, contact.track_id}
    whole = crate(journal)
    whole.add(156, decide("take_over", "T99"))
    for t in range(160, 180, 5):
        whole.add(t, scan(t, (8.0 * (t - 100), 40.0)))
    assert rows[tag.track_id].lat_deg == of_case(whole.now(182))[tag.track_id].lat_deg
    assert rows[tag.track_id].p_ee == of_case(whole.now(182))[tag.track_id].p_ee
    assert away_m(rows[contact.track_id], 620.0, 40.0) < 60.0


def test_a_wrong_word_about_a_contact_is_refuted_by_the_shipments_own_device(journal):
    said = crate(journal)
    tag, contact = of_case(said.now(156)).values()
    said.add(156, decide("identify", contact.track_id, other=tag.track_id, operation="A"))
    for t in (160, 170, 180):
        said.say(t, fix("tag", t, 0.0))
    assert away_m(of_case(said.now(181))[tag.track_id], 0.0) < 30.0


def test_long_after_it_cannot_be_taken_back_and_that_is_said(journal):
    said = crate(journal)
    tag, contact = of_case(said.now(156)).values()
    said.add(156, decide("identify", contact.track_id, other=tag.track_id, operation="A"))
    decision = said.seq
    for t in range(160, 700, 5):
        said.add(t, scan(t, (8.0 * (t - 100), 40.0)))
    said.add(701, decide("undo", f"D{decision}", operation="A"))
    assert told(said)[-1][0] == "decided_nothing" and "too long ago" in told(said)[-1][1]


@pytest.mark.parametrize("other", ["", "T99"])
def test_a_contact_is_nobody_that_is_not_there(journal, other):
    said = crate(journal)
    contact = list(of_case(said.now(156)).values())[1]
    said.add(156, decide("identify", contact.track_id, other=other, operation="A"))
    assert told(said)[-1][0] == "decided_nothing" and contact.track_id in of_case(said.now(157))


# --- dark vessels -------------------------------------------------------------------------------------------------------


def dark(journal):
    said = journal(restart=True)
    said.add(10, scan(10, (500.0, 0.0), flags=True))
    return said


def test_a_dark_vessel_is_none_and_stays_none(journal):
    said = dark(journal)
    [event] = said.happened("dark_vessel")
    [name] = event.track_ids
    said.add(20, decide("dismiss_dark", name, note="a buoy"))
    [event] = said.happened("dark_vessel")
    assert event.end_ns == T0 + 20 * NS and said.rows()[name].attributes == {"dark": "dismissed"}
    assert told(said) == [("decided", f"anna: {name} is no dark vessel (D{said.seq}): a buoy")]
    decision = said.seq
    for hours in (3, 6, 30):
        said.add(hours * 3600, scan(hours * 3600, (510.0, 5.0), flags=True))
    assert len(said.happened("dark_vessel")) == 1 and said.happened("dark_vessel")[0].end_ns == T0 + 20 * NS
    said.add(30 * 3600 + 60, decide("undo", f"D{decision}"))
    assert [e.end_ns is None for e in said.happened("dark_vessel")] == [False, True] and told(said)[-1][0] == "decided"


def test_a_dark_vessel_is_confirmed(journal):
    said = dark(journal)
    [name] = said.happened("dark_vessel")[0].track_ids
    said.add(20, decide("confirm_dark", name))
    [event] = said.happened("dark_vessel")
    assert event.end_ns is None and event.text == "anna says: a dark vessel"
    assert said.rows()[name].attributes == {"dark": "confirmed"}
    said.add(30, decide("undo", f"D{said.seq}"))
    first, second = said.happened("dark_vessel")
    assert first.end_ns is not None and second.end_ns is None and second.track_ids == (name,)
    assert said.rows()[name].attributes == {}
    said.add(40, decide("confirm_dark", "T99"))
    said.add(41, decide("undo", "Dx"))
    assert [kind for kind, _ in told(said)] == ["decided", "decided", "decided_nothing", "decided_nothing"]


# --- in another order than they were made -------------------------------------------------------------------------------


class Three:
    """Three shipments, of which the first has two receivers that part; what is decided of them, by words."""

    def __init__(self, journal):
        self.said = case(journal, ("a", "S1"), ("z", "S1"), ("b", "S2"), ("c", "S3"))
        self.t, self.numbers = 0, {}
        for _ in range(12):
            self.speak()

    def speak(self) -> None:
        t = self.t = self.t + 10
        for device, e, n in (("a", 10.0 * t, 0.0), ("z", 10.0 * min(t, 60), 30.0), ("b", 10.0 * t, 5.0), ("c", 10.0 * t, 9.0)):
            self.said.say(t, fix(device, t, e, n))

    def feeds(self) -> dict[str, str]:
        """Which track each device's next fixes feed."""
        before = {row.track_id: row.hits + row.refused for row in self.said.now(self.t)}
        t, found = self.t + 5, {}
        self.t += 10
        for k, (device, n) in enumerate((("a", 0.0), ("z", 30.0), ("b", 5.0), ("c", 9.0))):
            e = 600.0 if device == "z" else 10.0 * t
            self.said.say(t + k, fix(device, t + k, e, n))
            rows = {row.track_id: row.hits + row.refused for row in self.said.now(t + k)}
            [found[device]] = [name for name in rows if rows[name] != before.get(name)]
            before = rows
        return found

    def does(self, word: str, of: str, other: str = "") -> str:
        names = {device: row.track_id for row in self.said.now(self.t) for device in row.identities}
        action = word.rstrip("0123456789")
        body = {
            "merge": lambda: decide("merge", names[of], other=names[other], operation="A"),
            "split": lambda: decide("split", names[of], device=of, operation="A"),
            "undo": lambda: decide("undo", f"D{self.numbers[of]}", operation="A"),
        }[action]()
        self.said.add(self.t + 1, body)
        self.t += 1
        self.numbers[word] = self.said.seq
        return told(self.said)[-1][0]

    def who(self) -> list[tuple[str, ...]]:
        return sorted(row.identities for row in self.said.now(self.t))


@pytest.mark.parametrize("words", [
    "merge a b, split b, undo merge",
    "split z, merge b z, undo split",
    "split z, merge z b, undo split",
    "merge a b, merge1 c a, undo merge",
    "split z, merge c a, undo split",
])  # fmt: skip
def test_what_rests_on_a_decision_is_undone_first(journal, words):
    """Undone before it, another shipment's track ended, a receiver fed one track and stood in another's list, and nothing of
    it could be undone any more (found by an auditor)."""
    three = Three(journal)
    begun = three.feeds()
    *first, wrong = [one.split() for one in words.split(", ")]
    for one in first:
        assert three.does(*one) == "decided"
    feeds, who = three.feeds(), three.who()
    assert three.does(*wrong) == "decided_nothing"
    assert "that one first" in told(three.said)[-1][1] and f"D{three.numbers[first[-1][0]]} " in told(three.said)[-1][1]
    assert three.feeds() == feeds and three.who() == who
    for word, *_ in reversed(first):
        assert three.does("undo", word) == "decided"
    assert three.who() == [("a", "z"), ("b",), ("c",)] and three.feeds() == begun


@pytest.mark.parametrize(
    "words", ["split z, merge c a", "merge a b, split b, merge c a", "split z, merge z b, split b, merge c a"]
)
def test_what_was_split_off_stays_so_when_what_it_left_is_merged_into_another(journal, words):
    three = Three(journal)
    *_, (_, off), _ = decisions = [one.split() for one in words.split(", ")]
    for one in decisions:
        assert three.does(*one) == "decided"
    feeds = three.feeds()
    assert feeds["a"] == feeds["c"] != feeds[off]
    [row] = [row for row in three.said.now(three.t) if row.track_id == feeds[off]]
    assert row.identities == (off,)


def test_a_receiver_that_was_merged_and_split_off_again_falls_silent_by_itself(journal):
    three = Three(journal)
    three.does("merge", "a", "b")
    three.does("split", "b")
    [row] = [row for row in three.said.now(three.t) if row.identities == ("b",)]
    for t in range(three.t + 10, three.t + 200, 10):
        three.said.say(t, fix("a", t, 10.0 * t))
    assert [e.device for e in three.said.happened("silent") if row.track_id in e.track_ids] == ["b"]


def test_what_a_receiver_that_was_split_off_calls_is_told_of_its_own_track(journal):
    said = parted(journal)
    [row] = said.now(125)
    said.add(126, decide("split", row.track_id, device="b"))
    off = f"T{said.seq}"
    said.say(130, Alarm(device="b", alarm="tamper", time_ns=T0 + 130 * NS))
    assert [e.track_ids for e in said.happened("tamper")] == [(off,)]
