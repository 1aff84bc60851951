"""Times that stand beside a sentence: tag blocks, groups, logs' own, and what GPS sentences say between AIS reports."""

import pytest
from pyais.encode import encode_dict

from birddog.model import Fix
from birddog.units import iso_from_ns, ns_from_text
from devices import codec, sentences
from devices.codec import Message
from devices.formats import ais, nmea
from devices.sentences import seal

GGA = seal("$", "GPGGA,155431.00,5157.0000,N,00403.0000,E,1,05,1.5,18.0,M,43.0,M,,")
VDM = ais.encode(mmsi=244_060_123, lat_deg=51.95, lon_deg=4.05, time_ns=31 * 10**9)
WHEN = "2023-11-04T15:54:31.000Z"


def tag(block: str) -> bytes:
    return b"\\" + seal("", block)[:-2] + b"\\"


def fixes(module, data: bytes, **context) -> list[Fix]:
    decoded = codec.decode_whole(module, module.Decoder(), Message(payload=data, **context))
    assert not decoded.rejects, decoded.rejects
    return [o for o in decoded.observations if isinstance(o, Fix)]


def told(fix: Fix) -> tuple[str | None, str, tuple[str, ...]]:
    return None if fix.time_ns is None else iso_from_ns(fix.time_ns), fix.time_source, fix.flags


BESIDE = {
    "seconds": (tag("s:s0,c:1699113271"), b""),
    "a fraction": (tag("s:s0,c:1699113271.000705"), b""),
    "an exponent": (tag("c:1.699113271e+09"), b""),
    "ms": (tag("c:1699113271000"), b""),
    "µs": (tag("c:1699113271000705"), b""),
    "ns": (tag("c:1699113271000000705"), b""),
    "two blocks": (tag("s:s0,n:12") + tag("c:1699113271"), b""),
    "a group's first": (tag("g:1-2-7387,s:r003669945,c:1699113271"), b""),
    "a datagram of IEC 61162-450": (b"UdPbC\0" + tag("s:GP0001,c:1699113271"), b""),
    "a line of its own": (tag("s:s0,c:1699113271") + b"\r\n", b""),
    "epoch before": (b"1699113271.000123 ", b""),
    "epoch before, ms": (b"1699113271000,", b""),
    "candump": (b"(1699113271.000123) can0 ", b""),
    "ISO before": (b"2023-11-04T15:54:31Z,", b""),
    "ISO before, zone": (b"[2023-11-04 16:54:31+01:00] ", b""),
    "time before and tag block": (b"2011-01-01T00:00:00Z ", tag("c:1699113271")),
    "coast guard": (b"", b",s26089,d-103,T40.84,r003669945,1699113271"),
    "epoch behind": (b"", b" 1699113271"),
    "ISO behind": (b"", b",2023-11-04T15:54:31.000Z"),
    "tag block behind": (b"", b"\\s:MTb827,c:1699113271000*"),
}


@pytest.mark.parametrize("module", [ais, nmea])
@pytest.mark.parametrize("name", BESIDE)
def test_a_time_beside_a_sentence_is_taken(module, name):
    before, behind = BESIDE[name]
    if behind.startswith(b"\\") and behind.endswith(b"*"):
        before, behind = b"", tag(behind[1:-1].decode())
    elif behind.startswith(b"\\"):
        before, behind = before + behind, b""
    line = (VDM if module is ais else GGA).rstrip()
    (fix,) = fixes(module, before + line + behind + b"\r\n", received_ns=ns_from_text("2026-11-28T20:58:00Z"))
    assert told(fix) == (WHEN, "gateway", ())


@pytest.mark.parametrize("module", [ais, nmea])
@pytest.mark.parametrize(
    "before", [tag("c:13"), tag("c:946684805"), tag("c:1.69911e+09"), tag("s:s0"), b"", tag("c:99999999999999999999")]
)
def test_a_receiver_whose_clock_was_never_set_states_none(module, before):
    received = ns_from_text("2026-11-28T15:54:40Z")
    (fix,) = fixes(module, before + (VDM if module is ais else GGA), received_ns=received)
    assert fix.time_source == "server" and abs(fix.time_ns - received) < 60 * 10**9
    (fix,) = fixes(module, before + (VDM if module is ais else GGA))
    assert fix.time_ns is None and fix.time_source == "server"


def test_a_time_without_a_zone_is_flagged():
    (fix,) = fixes(ais, b"2023-11-04 15:54:31 " + VDM)
    assert told(fix) == (WHEN, "gateway", ("zone_assumed",))


def test_a_tag_block_with_a_wrong_sum_is_not_believed():
    (fix,) = fixes(ais, tag("c:1699113271").replace(b"*5", b"*1") + VDM)
    assert fix.time_ns is None


@pytest.mark.parametrize("form", ["g:{}-2-73874", "{}G2:73874"])
def test_the_first_of_a_group_dates_the_others(form):
    first, second = tag(form.format(1) + ",c:1699113271"), tag(form.format(2))
    (one, two, three) = fixes(ais, first + VDM + second + VDM + tag(form.format(1)) + VDM)
    assert told(one) == told(two) == (WHEN, "gateway", ()) and three.time_ns is None, "a new group begins"


def test_parts_have_the_time_of_the_first():
    parts = ais.encode(mmsi=244_060_123, name="ANNA", sequence=1).splitlines(keepends=True)
    decoded = codec.decode_whole(ais, ais.Decoder(), Message(payload=tag("c:1699113271") + parts[0] + parts[1]))
    assert {(iso_from_ns(o.time_ns), o.time_source) for o in decoded.observations} == {(WHEN, "gateway")}


RMC = "GPRMC,{},A,5230.0000,N,00330.0000,E,0.0,,150621,,,A"


@pytest.mark.parametrize(
    "sentence", [RMC.format("120030.00"), "GPZDA,120030.00,15,06,2021,00,00", "PGHP,1,2021,6,15,12,0,30,0,219,,2190047,1,0A"]
)
def test_gps_sentences_date_the_reports_between_them(sentence):
    def report(second: int) -> bytes:
        return ais.encode(mmsi=244_990_123, lat_deg=52.5, lon_deg=3.5, time_ns=second * 10**9)

    got = fixes(ais, report(1) + seal("$", sentence) + report(30) + report(36) + report(10))
    assert [told(fix)[:2] for fix in got] == [
        (None, "server"),
        ("2021-06-15T12:00:30.000Z", "gateway"),
        ("2021-06-15T12:00:36.000Z", "gateway"),  # its own second
        ("2021-06-15T12:00:30.000Z", "gateway"),  # a second that fits neither: late, or wrong
    ]


def test_a_receiver_that_loses_its_satellites_does_not_stop_the_clock():
    decoder = ais.Decoder()
    now = ns_from_text("2021-06-15T12:00:31Z")
    codec.decode_whole(ais, decoder, Message(payload=seal("$", RMC.format("120030.00")), received_ns=now))
    void = seal("$", "GPRMC,000000.00,V,,,,,,,060180,,,N")
    line = ais.encode(mmsi=1, lat_deg=1.0, lon_deg=1.0, time_ns=31 * 10**9)
    for later in (void, line):
        said = codec.decode_whole(ais, decoder, Message(payload=later, received_ns=now + 3_600 * 10**9))
    assert iso_from_ns(said.observations[0].time_ns) == "2021-06-15T13:00:31.000Z"


def test_a_base_station_dates_a_log_and_says_so():
    station = {"type": 4, "mmsi": 2_442_001, "lat": 51.9, "lon": 4.1, "year": 2021, "month": 6, "day": 15, "hour": 12}
    data = "\r\n".join(encode_dict(station | {"second": 40}, sentence_type="VDM")).encode() + b"\r\n"
    got = fixes(ais, data + VDM)
    assert told(got[0])[:2] == ("2021-06-15T12:00:40.000Z", "device")
    assert told(got[1]) == ("2021-06-15T12:00:31.000Z", "gateway", ("base_station_time",))
    now = ns_from_text("2026-11-28T15:54:40Z")
    assert [f.time_source for f in fixes(ais, data + VDM, received_ns=now)] == ["device", "server"], "our own clock is better"


def test_a_time_between_two_sentences_is_cut_with_its_own():
    data = b"# a log\r\n1699113271 " + VDM + b"1699113281 " + VDM
    pieces = sentences.Framer().feed(data)
    assert [(p.offset, p.data[:10], p.reject is not None) for p in pieces] == [
        (0, b"# a log\r\n", True), (9, b"1699113271", False), (9 + 11 + len(VDM), b"1699113281", False),
    ]  # fmt: skip


REPORTED = {
    rb"\s:r1ACE0JVF*27\\c:1628097600,s:AS-SAM-BWBANK,n:27493*24\!ANVDM,1,1,,B,15N7R>d000qh6tJC94n=7oJ00D02,0*3F":
        "2021-08-04T17:20:00",
    b"!SAVDM,1,1,0,B,15NdWlgP00rUvQhFa=F>4?v62<0H,0*1A,1630526405,1630526406": "2021-09-01T20:00:05",
    rb"\g:1-1-21,s:47450,c:1699113260,i:<S>S</S><O>XSP</O><T>A:1699115144 I:1699115146 T:0 </T><Q>12</Q>*7C"
    rb"\!AIVDM,1,1,,A,H7Oks<0hTtpE=<0000000000000,2*4C": "2023-11-04T15:54:20",
    rb"\s:rORBCOMM010,q:u,c:1417910400,T:2014-12-07 00.00.00*50\!AIVDM,1,1,,B,19NWu:P0018Vg1H<rEt6=TQF0>@<,0*2F":
        "2014-12-07T00:00:00",
    rb"\s:rORBCOMM999,c:1665388207*26\!AIVDM,1,1,,,H8Ih`40l58hTr0AD622222222200,2*4E": "2022-10-10T07:50:07",
    b"!AIVDM,1,1,,A,H7OfcLPt<D4r1L5HD0000000000,0*01": None,
    b"!AIVDM,1,1,,B,H3m9T21HTe<H`u8B22222222220,0*0F": None,
    b"!AIVDM,1,1,,A,H5NbKPQ8Dh5@UHUAW8000000000,0*0A": None,
}  # fmt: skip


@pytest.mark.parametrize("line", REPORTED)
def test_lines_of_public_reports(line):
    """docs/field-reports.md: libais#235, #82, #177, #150, pyais#139, AisLib#103 (shortened), aismessages#38, #47."""
    decoded = codec.decode_whole(ais, ais.Decoder(), Message(payload=line + b"\r\n"))
    (said,) = decoded.observations
    assert not decoded.rejects and (None if said.time_ns is None else iso_from_ns(said.time_ns)[:19]) == REPORTED[line]


def test_gps_sentences_far_back_in_a_log_date_with_a_flag():
    data = seal("$", RMC.format("120030.00")) + ais.encode(mmsi=1, lat_deg=1.0, lon_deg=1.0) * (ais.STALE_AFTER + 3)
    got = [fix.flags for fix in fixes(ais, data)]
    assert got[0] == got[ais.STALE_AFTER - 1] == () and got[-1] == ("stale_time",)


@pytest.mark.parametrize("now", ["2041-01-29T12:00:31Z", "2021-06-15T11:00:00Z"])
def test_a_receiver_whose_clock_is_astray_does_not_take_what_it_hears_with_it(now):
    """1024 weeks behind, or an hour ahead of its reception."""
    (fix,) = fixes(ais, seal("$", RMC.format("120030.00")) + VDM, received_ns=ns_from_text(now))
    assert (fix.time_source, fix.time_ns) == ("server", ns_from_text(now))
