"""When a scene was taken: each maker's names and descriptions, and what is only a guess."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birddog.units import ns_from_text
from imagery import scene_time
from imagery.look import scene_time as of
from imagery.scene_time import DAYS, JSON_KEYS, TAGS, VENDORS, XML_KEYS, stated_in, taken

EVERY = pytest.mark.parametrize("vendor", VENDORS, ids=lambda v: v.name)


@EVERY
def test_the_name_that_a_maker_gives(vendor):
    stem = vendor.example.rsplit(".", 1)[0]
    for name in (vendor.example, vendor.example.lower(), "Subset_of_" + vendor.example, stem + ".JP2"):
        got = taken(name)
        assert (got.time_ns, got.source) == (ns_from_text(vendor.taken), "device"), name
        assert vendor.name in got.by


@EVERY
def test_what_the_file_was_written_at_does_not_beat_the_name(vendor):
    assert of(vendor.example, "2031:01:02 03:04:05") == (ns_from_text(vendor.taken), "device")


@EVERY
@settings(deadline=None)
@given(when=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))
def test_any_time_at_its_place_is_read_back(vendor, when):
    """The digits of the example are exchanged for those of another moment, in the form that they have there."""
    at = re.search(vendor.pattern, vendor.example, re.IGNORECASE)
    form = at.group(1)
    digits = iter(when.strftime("%Y%m%d%H%M%S"))
    name = vendor.example[: at.start(1)] + re.sub(r"\d", lambda _: next(digits), form) + vendor.example[at.end(1) :]
    fraction = at.group(2) if at.re.groups > 1 and at.group(2) else "0"
    second = int(when.replace(tzinfo=UTC, microsecond=0).timestamp())
    assert taken(name)[:2] == (second * 10**9 + int(f"{fraction:0<9}"), "device")


@pytest.mark.parametrize("vendor", DAYS, ids=lambda v: v.name)
def test_a_day_without_a_time_is_a_guess_at_its_noon(vendor):
    got = taken(vendor.example)
    assert (got.time_ns, got.source) == (ns_from_text(f"{vendor.taken}T12:00:00Z"), "server")
    # the writing time of that day is the better guess, of another it is none
    written = f"{vendor.taken.replace('-', ':')} 10:15:00"
    assert of(vendor.example, written) == (ns_from_text(f"{vendor.taken}T10:15:00Z"), "server")
    assert of(vendor.example, "2031:01:02 03:04:05") == (got.time_ns, "server")


@pytest.mark.parametrize("name, time", [
    ("10MAR24105300-M2AS_R1C1-052345678010_01_P001.TIF", "2010-03-24T10:53:00Z"),
    ("sar1_20261124T101500Z.tif", "2026-11-24T10:15:00Z"),
    ("x_2026-11-24T10-15-00.25Z_y.tif", "2026-11-24T10:15:00.250Z"),
    ("x_20261124T101500+0200.tif", "2026-11-24T08:15:00Z"),
    ("x_2026-11-24T10:15:00-04:00.tif", "2026-11-24T14:15:00Z"),
    ("S1A_IW_GRDH_1SDV_20151021T063752_20151021T063817_008247_00B9CD_2770_COG.SAFE", "2015-10-21T06:37:52Z"),
    ("S1A_IW_GRDH_1SDV_20201004T055012_20201004T055037_034637_040882_ABCD.SAFE", "2020-10-04T05:50:12Z"),
    ("s1b-ew-grd-hh-20180101t101112-20180101t101212-009000-010100-001.tiff", "2018-01-01T10:11:12Z"),
    ("s1a-wv1-slc-vv-20180101t101112-20180101t101115-020000-022222-001.tiff", "2018-01-01T10:11:12Z"),
    ("S1A__IW___A_20200101T101112_VV_gamma0-rtc_db.tif", "2020-01-01T10:11:12Z"),
    ("CSG_SSAR1_DGM_B_0101_STR_003_HH_RA_F_20200413041256_20200413041303_1_F_11N_Z11_N00.tif", "2020-04-13T04:12:56Z"),
    ("20200812_182637_0f12_3B_AnalyticMS.tif", "2020-08-12T18:26:37Z"),
    ("DIM_SPOT6_MS_201212051039192_SEN_716408101.tif", "2012-12-05T10:39:19.2Z"),
    ("TDX1_SAR__SSC______SM_S_SRA_20120101T050607_20120101T050615.tif", "2012-01-01T05:06:07Z"),
])
def test_names_of_the_same_makers_in_other_forms(name, time):
    assert taken(name)[:2] == (ns_from_text(time), "device")


def test_the_day_of_making_in_an_old_sentinel_2_name_is_not_the_scenes(tmp_path):
    f = tmp_path / "S2A_OPER_MSI_L1C_TL_SGS__20160101T145512_A002734_T31UFU_B02.jp2"
    f.write_bytes(b"")
    assert taken(str(f)).source == "server"


@pytest.mark.parametrize("name", ["x.tif", "x_20261324T101500Z.tif", "20261124_101500_0001.tif", "S1A_notes.tif"])
def test_what_says_no_time_is_a_guess(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / name, ns=(5, 5))
    got = taken(str(tmp_path / name))
    assert got.source == "server" and (got.time_ns == 5) == ("20261124" not in name)


def test_a_writing_time_alone_is_a_guess_and_confirmed_by_the_name_it_is_none(tmp_path):
    f = tmp_path / "plain.tif"
    f.write_bytes(b"")
    assert of(str(f), "2020:10:04 08:52:16") == (ns_from_text("2020-10-04T08:52:16Z"), "server")
    assert of("20201211_223832_CS2.tif", "2020:12:11 22:38:32") == (ns_from_text("2020-12-11T22:38:32Z"), "device")
    # another time, no zone: neither is sure, and the name's is nearer to the scene
    assert of("20201211_223832_CS2.tif", "2021:12:11 22:38:32") == (ns_from_text("2020-12-11T22:38:32Z"), "server")


@pytest.mark.parametrize("key", TAGS)
def test_metadata_items_in_the_file(key):
    assert stated_in({key.lower(): "2024-05-01T16:00:00.123456Z"}) == "2024-05-01T16:00:00.123456Z"
    assert of("x.tif", "2031:01:02 03:04:05", "2024-05-01T16:00:00.123456") == (1714579200123456000, "device")
    assert stated_in({key: "soon"}) is None


def test_what_capella_and_a_camera_write_into_the_file():
    assert stated_in({"TIFFTAG_IMAGEDESCRIPTION": json.dumps({"collect": {"start_timestamp": "2020-12-09T21:33:29.1Z"}})})
    said = {"EXIF_DateTimeOriginal": "2024:05:01 12:00:00", "EXIF_OffsetTimeOriginal": "-04:00"}
    assert of("x.tif", None, stated_in(said)) == (ns_from_text("2024-05-01T16:00:00Z"), "device")
    assert stated_in({"EXIF_DateTimeOriginal": "2024:05:01 12:00:00"}) is None, "no zone"
    assert stated_in({"TIFFTAG_IMAGEDESCRIPTION": "{" * 100_000}) is None


@pytest.mark.parametrize("keys", JSON_KEYS, ids=str)
def test_a_description_in_json_beside_it(tmp_path, keys):
    value: object = "2024-05-01T18:00:00.5+02:00"
    for key in reversed(keys):
        value = [value] if isinstance(key, int) else {key: value}
    (tmp_path / "a.tif").write_bytes(b"")
    for name in ("a.json", "a.tif.json", "a_metadata.json", "a_METADATA.json", "a_extended.json", "a.stac.json"):
        (tmp_path / name).write_text(json.dumps(value))
        got = taken(str(tmp_path / "a.tif"), datetime_tag="2031:01:02 03:04:05")
        assert got == (ns_from_text("2024-05-01T16:00:00.5Z"), "device", name)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("key", XML_KEYS)
def test_a_description_in_xml_beside_it(tmp_path, key):
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0"?><p><safe:{key} x="1">2024-05-01T16:00:00.000000</safe:{key}></p>')
    assert taken(str(tmp_path / "a.tif"))[:2] == (ns_from_text("2024-05-01T16:00:00Z"), "device")


def test_a_product_that_does_not_name_the_scene_says_nothing_of_it(tmp_path):
    (tmp_path / "imagery_HH.tif").write_bytes(b"")
    (tmp_path / "product.xml").write_text("<rawDataStartTime>2024-05-01T16:00:00Z</rawDataStartTime><f>imagery_VV.tif</f>")
    assert taken(str(tmp_path / "imagery_HH.tif")).source == "server"
    (tmp_path / "product.xml").write_text("<rawDataStartTime>2024-05-01T16:00:00Z</rawDataStartTime><f>imagery_HH.tif</f>")
    assert taken(str(tmp_path / "imagery_HH.tif"))[:2] == (ns_from_text("2024-05-01T16:00:00Z"), "device")


def test_a_products_folder_has_the_name_that_its_files_have_not(tmp_path):
    inner = tmp_path / "TSX1_SAR__MGD_SE___SM_S_SRA_20110823T173014_20110823T173022" / "IMAGEDATA"
    inner.mkdir(parents=True)
    (inner / "IMAGE_HH_SRA_strip_007.tif").write_bytes(b"")
    assert taken(str(inner / "IMAGE_HH_SRA_strip_007.tif"))[:2] == (ns_from_text("2011-08-23T17:30:14Z"), "device")


def test_a_sentinel_2_tile_was_sensed_minutes_after_its_strip_began(tmp_path):
    """sentinelhub-py#1: T15RUQ_20170328T170301 is the datatake, the tile was seen at 17:06:19."""
    granule = tmp_path / "GRANULE" / "L1C_T15RUQ_A009218_20170328T170619"
    image = granule / "IMG_DATA" / "T15RUQ_20170328T170301_B08.jp2"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    assert taken(str(image))[:2] == (ns_from_text("2017-03-28T17:06:19Z"), "device")
    (granule / "MTD_TL.xml").write_text('<SENSING_TIME metadataLevel="Standard">2017-03-28T17:06:19.461Z</SENSING_TIME>')
    assert taken(str(image))[:2] == (ns_from_text("2017-03-28T17:06:19.461Z"), "device")
    assert taken(image.name)[:2] == (ns_from_text("2017-03-28T17:03:01Z"), "device"), "alone it has no better"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"properties": []}', '{"properties": {"datetime": null}}',
                                  '{"properties": {"datetime": "0000-00-00T00:00:00Z"}}', '{"properties": {"datetime": 5}}',
                                  '{"collects": []}', "[" * 50_000])
def test_a_description_that_says_nothing_is_passed_over(tmp_path, text):
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "a.json").write_text(text)
    assert taken(str(tmp_path / "a.tif")).source == "server"


def test_no_link_and_no_pipe_is_read_beside_a_scene(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "elsewhere").write_text('{"datetime": "2024-05-01T16:00:00Z"}')
    (tmp_path / "a.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "a_metadata.json")
    assert taken(str(tmp_path / "a.tif")).source == "server"


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=80))
def test_no_name_raises(name):
    stems = [v.example for v in VENDORS[:2]]
    for text in (name, stems[0][:20] + name, name + stems[1]):
        assert scene_time._from_name(text) is None or scene_time._from_name(text).source == "device"


def test_every_row_names_its_document():
    assert all(v.document and Path(v.example).name == v.example for v in (*VENDORS, *DAYS))
