"""A device that is attached and never heard is a row, before it is an alert and after it (issue 11, clause 7)."""

from __future__ import annotations

import time

import httpx
import pytest

from birddog.journal import open_reader
from birddog.model import Attachment, Device, Draft, Fix, FrameBody, Operation, RefusalBody, Reject, Start, Tick, Verdict, pack
from birddog.units import NS, iso_from_ns
from opsroom.picture import Picture
from opsroom.picture_view import PictureReader, Rights

KINDS = {Attachment: "attachment", Device: "device", FrameBody: "frame", Operation: "operation", RefusalBody: "refusal",
         Start: "start", Tick: "tick"}


class Case:
    """A journal that a test writes, folded into the stage's picture as it is written."""

    def __init__(self, stage):
        self.stage, self.reader, self.count = stage, open_reader(stage.url), 0
        self.picture = Picture(self.reader, stage.picture)
        self.began_ns = time.time_ns() - 85 * NS
        self.told(0, Start(version="test", presets={}, exercise=True), Operation(operation="nightjar"),
                  Device(device="tag-z", basis="warrant", interval_s=5.0, klass="parcel"))
        self.attach()

    def attach(self, device="tag-z", shipment="crate-z", to_s=None) -> None:
        to_ns = None if to_s is None else self.began_ns + int(to_s * NS)
        from_ns = self.began_ns + NS
        self.told(1, Attachment(device=device, shipment=shipment, operation="nightjar", from_ns=from_ns, to_ns=to_ns))

    def told(self, at_s: float, *bodies) -> None:
        """Entries of so many seconds after the beginning."""
        for body in bodies:
            self.count += 1
            self.stage.writer.append([Draft(kind=KINDS[type(body)], received_ns=self.began_ns + int(at_s * NS), source="test",
                                            ident=b"n%07d" % self.count, body=pack(body))])  # fmt: skip
        while self.picture.step():
            pass

    def heard(self, at_s: float, device="tag-z") -> None:
        fix = Fix(device=device, time_ns=self.began_ns + int(at_s * NS), lat_deg=52.0, lon_deg=4.0, sigma_m=5.0)
        self.told(at_s, FrameBody(format="x", version=1, payload=b"", device=device, observations=(fix,)))

    def close(self) -> None:
        self.picture.close()
        self.reader.close()


def refusal(device: str) -> RefusalBody:
    verdict = Verdict("nightjar", "crate-z", "warrant", "refused")
    rejects = (Reject("unauthorised", "no_warrant", device=device, verdict=verdict),)
    return RefusalBody(format="x", version=1, device=device, rejects=rejects, payload_hash=b"h")


@pytest.fixture
def case(make_stage):
    made = Case(make_stage())
    yield made
    made.close()


@pytest.fixture
def waiting(case):
    """``waiting()``: what the API says of devices that are not heard."""
    address = case.stage.start()
    return lambda: httpx.get(f"{address}/v1/devices?waiting=1").raise_for_status().json()["devices"]


def test_a_device_says_since_when_it_is_attached_and_that_it_was_never_heard(case, waiting):
    [row] = waiting()
    assert row["attached"] == iso_from_ns(case.began_ns + NS) and row["last_contact"] is None
    assert (row["device"], row["shipment"], row["never_heard"], row["not_admitted"], row["expected_s"]) == (
        "tag-z", "crate-z", True, "", 5.0)  # fmt: skip
    every = {d["device"]: d for d in httpx.get(f"http://127.0.0.1:{case.stage.port}/v1/devices").json()["devices"]}
    assert every["tag-z"] == row
    assert every["bd-0001"]["attached"] is None and every["bd-0001"]["never_heard"] is False
    assert every["bd-0001"]["expected_s"] is None
    case.told(40, Tick())  # the alert changes nothing of it
    assert waiting() == [row]


@pytest.mark.parametrize("how", ["heard", "detached", "retired", "closed"])
def test_it_is_over_when_it_is_heard_detached_retired_or_its_case_is_closed(case, waiting, how):
    assert len(waiting()) == 1
    if how == "heard":
        case.heard(20)
    elif how == "detached":
        case.attach(to_s=2)
    elif how == "retired":
        case.told(20, Device(device="tag-z", basis="warrant", interval_s=5.0, klass="parcel", retired=True))
    else:
        case.told(20, Operation(operation="nightjar", closed=True))
    assert waiting() == []
    every = {d["device"]: d for d in httpx.get(f"http://127.0.0.1:{case.stage.port}/v1/devices").json()["devices"]}
    assert every["tag-z"]["never_heard"] is False
    assert (every["tag-z"]["attached"] is None) == (how in ("detached", "closed"))


def test_what_is_heard_and_refused_for_want_of_a_warrant_says_that(case, waiting):
    case.told(20, refusal("tag-z"))
    [row] = waiting()
    assert (row["never_heard"], row["not_admitted"], row["expected_s"]) == (False, "no_warrant", 5.0)


def test_who_has_no_rights_on_the_case_sees_none(case):
    reader = PictureReader(case.stage.picture)
    try:
        assert [one.device for one in reader.awaited()] == ["tag-z"]
        assert [one.device for one in reader.view(Rights(frozenset({"nightjar"}))).awaited()] == ["tag-z"]
        assert reader.view(Rights(frozenset({"other", "open"}))).awaited() == []
    finally:
        reader.close()


def test_a_picture_that_is_folded_on_still_says_it(case, waiting):
    case.picture.save()
    case.picture.close()
    case.picture = Picture(case.reader, case.stage.picture)
    case.told(30, Tick())
    assert [row["device"] for row in waiting()] == ["tag-z"]


@pytest.mark.browser
def test_the_page_has_a_row_that_counts_on_and_goes_when_it_is_heard(case, watch):
    page = watch(case.stage.start(), map=False)
    row = '#tracks-list [data-device="tag-z"]'
    page.row_says(row, "crate-z", "tag-z", "never heard, attached 1 min ago, expected every 5 s")
    assert page.page.locator("#tracks-none").is_hidden() and "1 never heard" in page.page.locator("#tracks-count").inner_text()
    assert page.page.locator("#tracks-list button").count() == 0  # there is nothing to centre on
    # one that nobody said of how often it reports
    case.told(70, Attachment(device="tag-y", shipment="<b>crate-y</b>", operation="nightjar", from_ns=time.time_ns()))
    other = '#tracks-list [data-device="tag-y"]'
    page.row_says(other, "<b>crate-y</b>", "never heard", "expected every 1 min")
    first = page.page.locator(f"{other} .ages").inner_text()
    page.page.wait_for_function("([s, old]) => document.querySelector(s).innerText !== old", arg=[f"{other} .ages", first])
    page.page.fill("#search", "crate-y never")
    page.page.wait_for_function("s => !document.querySelector(s)", arg=row)
    page.page.fill("#search", "")
    page.page.wait_for_selector(row)
    case.heard(80)
    page.page.wait_for_selector('#tracks-list button[data-track-id]')
    page.page.wait_for_function("s => !document.querySelector(s)", arg=row)
    assert page.page.locator(other).count() == 1
    page.clean()


@pytest.mark.browser
def test_the_page_says_of_many_how_many_and_what_is_refused(case, watch):
    case.told(2, *(Attachment(device=f"d{n:02d}", shipment=f"s{n:02d}", operation="nightjar", from_ns=case.began_ns + NS)
                   for n in range(24)))  # fmt: skip
    case.told(3, refusal("d00"))
    page = watch(case.stage.start(), map=False)
    page.page.wait_for_selector('body[data-unheard="25"]')
    page.row_says('#tracks-list [data-device="d00"]', "heard and refused (no_warrant): nothing of what it says is kept")
    assert page.page.locator("#tracks-list .unheard").count() == 20
    assert "24 never heard" in page.page.locator("#tracks-count").inner_text()  # one is heard, and refused
    assert "and 5 more" in page.page.locator("#tracks-list").inner_text()
    page.clean()
