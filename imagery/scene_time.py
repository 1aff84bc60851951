"""When a scene was taken, and on whose word: the makers' file names and metadata, by table.

A time counts as the scene's own (``device``) where somebody who knows says it with its zone: ISO 8601 with ``Z`` in
the file's name, the name that a maker gives its product (``VENDORS``: all are UTC, each with its source and an
example that a test reads), what the maker wrote into the file or beside it (``TAGS``, ``JSON_KEYS``, ``XML_KEYS``).
TIFFTAG_DATETIME is none of these: TIFF 6.0 (section 8) calls it the time of the image's *creation* and gives it no zone,
and processors write the present into it (opengeospatial/geotiff#108, ASFHyP3/burst2safe measurement.py, CNES S1Tiling).
It is the scene's own only where the name says the same time; else it is a guess (``server``), as are a time in a name
that says no zone, a day without a time of day (NAIP, Landsat), and the file's modification time.

Never fetched, never followed: what lies beside a scene is read as text, at most ``MAX_SIDECAR_BYTES`` of it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from birddog.model import TimeSource
from birddog.units import ns_from_datetime

MAX_SIDECAR_BYTES = 4_000_000
#: Names beside a scene at which its product's description is looked for, in its own folder and those above it.
_FOLDERS_UP = 5
#: Two stamps of one moment, written by two clocks or rounded.
_SAME_S = 2.0


class Taken(NamedTuple):
    """When, who says so, and where it stands (for a person)."""

    time_ns: int
    source: TimeSource
    by: str


class Vendor(NamedTuple):
    """How a maker's product is called: where the first group of digits is its UTC start."""

    name: str
    pattern: str
    example: str
    taken: str
    document: str


_T = r"(\d{8}T\d{6})"
#: A pattern begins where no letter or digit stands before it (what processors prepend: Subset_of_S1A_…) and knows no case;
#: its group is 14 digits (a T or _ between day and time), perhaps with a group of the fraction's digits behind it.
VENDORS: tuple[Vendor, ...] = (
    Vendor("Sentinel-1", rf"s1[a-d][-_]+(?:iw|ew|wv|s\d|iw\d|ew\d|wv\d|en|n\d|is\d).*?(?<=[-_]){_T}(?=[-_.]|$)",
           "s1a-iw-grd-vv-20201004t055012-20201004t055037-034637-040882-001.tiff", "2020-10-04T05:50:12Z",
           "ESA, Sentinel-1 Product Specification S1-RS-MDA-52-7441: products, and measurement data sets in lower case"),
    Vendor("Sentinel-1 burst", rf"s1_\d+_(?:iw|ew)\d_{_T}_", "S1_136231_IW2_20200604T022312_VV_7C85-BURST.tiff",
           "2020-06-04T02:23:12Z", "ASF, burst product names (asf_search, burst2safe)"),
    Vendor("OPERA RTC", rf"opera_l[23]_[a-z0-9-]+_[a-z0-9-]+_{_T}Z_", "OPERA_L2_RTC-S1_T064-135518-IW1_20231015T013044Z_"
           "20231015T080102Z_S1A_30_v1.0_VV.tif", "2023-10-15T01:30:44Z", "JPL D-108758, OPERA RTC-S1 Product Specification"),
    Vendor("S1Tiling", rf"s1[a-d]_\w+?_(?:asc|des)_\d{{3}}_{_T}(?=[_.])", "s1a_31TCH_vv_DES_110_20200108t055012.tif",
           "2020-01-08T05:50:12Z", "CNES S1Tiling, file names (20200108txxxxxx of several scenes is a day without a time)"),
    Vendor("Sentinel-2", rf"s2[a-d]_msil\d[a-c]_{_T}_", "S2A_MSIL1C_20170105T013442_N0204_R031_T53NMJ_20170105T013443.SAFE",
           "2017-01-05T01:34:42Z", "ESA, Sentinel-2 naming convention since 2016-12-06: the datatake's sensing start"),
    Vendor("Sentinel-2 before 2016-12", rf"s2[a-d]_\w+_v{_T}_\d{{8}}T\d{{6}}", "S2A_OPER_PRD_MSIL1C_PDMC_20160313T011256_R051_"
           "V20160312T105037_20160312T105037.SAFE", "2016-03-12T10:50:37Z",
           "ESA, S2-PDGS-TAS-DI-PSD, product names: V is the sensing time, the first stamp that of making"),
    Vendor("Sentinel-2 granule", rf"(?:l[12][ac]_)?t\d{{2}}[a-z]{{3}}_(?:a\d{{6}}_)?{_T}(?=[_.]|$)",
           "T31UFU_20240101T105441_B02.jp2",
           "2024-01-01T10:54:41Z", "ESA, Sentinel-2 naming convention, granules and their image files"),
    Vendor("Sentinel-3", rf"s3[a-d]_[a-z0-9_]{{11}}_{_T}_",
           "S3A_OL_1_EFR____20200101T101517_20200101T101817_20200102T143055_0179_"
           "053_179_2160_LN1_O_NT_002.SEN3", "2020-01-01T10:15:17Z", "ESA, Sentinel-3 PDGS File Naming Convention"),
    Vendor("TerraSAR-X, TanDEM-X, PAZ", rf"(?:ts|td|pa)(?:x|z)?\d?\w*_sar__\w+?_{_T}_\d{{8}}T\d{{6}}",
           "TSX1_SAR__MGD_SE___SM_S_SRA_20110823T173014_20110823T173022", "2011-08-23T17:30:14Z",
           "DLR TX-GS-DD-3302, TerraSAR-X Basic Product Specification: product folders"),
    Vendor("COSMO-SkyMed", r"cs(?:ks\d|g|g_ssar\d)_\w+?_(\d{14})_\d{14}", "CSKS1_DGM_B_HI_16_HH_RA_SF_20110823053000_"
           "20110823053007.tif", "2011-08-23T05:30:00Z", "ASI, COSMO-SkyMed SAR Products Handbook (CSG: the same order)"),
    Vendor("RADARSAT-2", r"rs2[-_](?:\w*?_)?(\d{8}_\d{6})(?=_)", "RS2_OK12345_PK123456_DK123456_F2_20080415_143807_HH_SGF.tif",
           "2008-04-15T14:38:07Z", "MDA RN-SP-51-2713, RADARSAT-2 Product Format Definition, names of products"),
    Vendor("RADARSAT Constellation", r"rcm\d_\w*?_(\d{8}_\d{6})(?=_)", "RCM1_OK1052770_PK1052775_1_SC30MCPA_20200219_123901_HH_"
           "HV_GRD.tif", "2020-02-19T12:39:01Z", "CSA, RCM Image Product Format Definition, product names"),
    Vendor("ICEYE", rf"iceye_\w*?_{_T}(?=Z?[_.]|Z?$)", "ICEYE_X6_GRD_SM_153426_20211026T060946.tif", "2021-10-26T06:09:46Z",
           "ICEYE product documentation, packaging.md, table 1: UTC start"),
    Vendor("Capella", r"capella_c\d+_\w+?_(\d{14})_\d{14}", "CAPELLA_C02_SM_GEO_HH_20201209213329_20201209213332.tif",
           "2020-12-09T21:33:29Z", "Capella Space, SAR Products Format Specification"),
    Vendor("Umbra", r"(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)_umbra-\d+", "2023-08-11-02-07-52_UMBRA-04_GEC.tif",
           "2023-08-11T02:07:52Z",
           "Umbra Open Data, product guide"),
    Vendor("Umbra", r"umbra-\d+_(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)(?=[_.])", "UMBRA-06_2024-02-11-22-07-52_GEC.tif",
           "2024-02-11T22:07:52Z", "the same, satellite first"),
    Vendor("Planet",
           r"(\d{8}_\d{6})_(?:(\d\d)_)?(?:[0-9a-f]{4}|\d{7}_rapideye-\d)_(?:[13][ab]|basic|ortho|analytic|visual|udm)",
           "20220617_163123_97_2463_3B_AnalyticMS_SR_8b.tif", "2022-06-17T16:31:23.97Z",
           "Planet, PSScene item ids: acquisition day, time, hundredths (SuperDove), satellite; then the asset"),
    Vendor("Planet SkySat", r"(\d{8}_\d{6})_ssc?\d+[a-z0-9]*(?=[_.]|$)", "20191014_133536_ssc4d3_0006_analytic.tif",
           "2019-10-14T13:35:36Z", "Planet, SkySatScene and SkySatCollect item ids"),
    Vendor("Pléiades, SPOT 6/7", r"(?:phr1[ab]|spot[67]|pneo\d)_\w*?_(\d{14})(\d)?(?=_)",
           "IMG_PHR1A_P_201202250025599_SEN_PRG_FC_"
           "5852-001_R1C1.TIF", "2012-02-25T00:25:59.9Z", "Astrium, Pléiades User Guide: to the tenth of a second"),
    Vendor("KOMPSAT", r"k[2-7]a?_(\d{14})_", "K3A_20200101041112_04455_00123456_L1G.tif", "2020-01-01T04:11:12Z",
           "SIIS, KOMPSAT-3A Image Data Manual, file names"),
)
#: Names that say a day and no time of day: a guess at noon UTC, half a day off at most.
DAYS: tuple[Vendor, ...] = (
    Vendor("NAIP", r"m_\d{7}_[ns][ew]_\d{1,2}_(?:[hc\d]{1,3}_)?(\d{8})(?=[_.])", "m_4207122_ne_19_060_20181027_20190209.tif",
           "2018-10-27", "USDA/USGS, NAIP file names: the day of exposure, then that of the version"),
    Vendor("Landsat", r"l[coetm]\d\d_l\w{3}_\d{6}_(\d{8})_\d{8}_", "LC08_L1TP_199024_20200101_20200113_01_T1_B4.TIF",
           "2020-01-01",
           "USGS LSDS-1656, Landsat Collection 2: acquisition, then processing"),
    Vendor("Sentinel-2 COG", r"s2[a-d]_\d{1,2}[a-z]{3}_(\d{8})_\d+_l[12][ac]", "S2A_31UFU_20201004_0_L2A.tif", "2020-10-04",
           "Element 84, sentinel-2-l2a-cogs: tile and day of the datatake"),
    Vendor("Planet tile", r"(?:\d+_)?\d{7}_(\d{4}-\d\d-\d\d)_(?:re\d|[0-9a-f]{4})_", "2328007_2010-09-21_RE4_3A_Analytic.tif",
           "2010-09-21", "Planet, RapidEye and PlanetScope ortho tiles"),
    Vendor("Gaofen-3", r"gf3[bc]?_\w+?_\d+_e[\d.]+_n[\d.]+_(\d{8})_", "GF3_KAS_FSI_001234_E122.3_N30.1_20170101_L1A_HH.tiff",
           "2017-01-01", "CRESDA, Gaofen-3 product names"),
    Vendor("ALOS-2", r"alos\d{10}-(\d{6})-", "IMG-HH-ALOS2012345678-140801-WBDR1.5GUD.tif", "2014-08-01",
           "JAXA, ALOS-2 CEOS format description: scene id and yymmdd"),
    Vendor("S1Tiling", r"s1[a-d]_\w+?_(?:asc|des)_\d{3}_(\d{8})txxxxxx", "s1a_31TCH_vv_DES_110_20200108txxxxxx.tif",
           "2020-01-08",
           "CNES S1Tiling: several scenes of one day"),
)
RADARS = frozenset({"Sentinel-1", "Sentinel-1 burst", "OPERA RTC", "S1Tiling", "TerraSAR-X, TanDEM-X, PAZ", "COSMO-SkyMed",
                    "RADARSAT-2", "RADARSAT Constellation", "ICEYE", "Capella", "Umbra"})
_MAXAR = re.compile(r"(?<![A-Za-z0-9])(\d\d)(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)(\d{8})-[A-Z]\d[A-Z]{2}",
                    re.IGNORECASE)
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()

#: Metadata items inside a TIFF (GDAL_METADATA), by name without regard to case; UTC where no zone stands there.
TAGS = ("ACQUISITION_START_UTC", "ACQUISITION_TIME", "ACQUISITIONDATETIME", "START_DATETIME", "SENSING_TIME",
        "PRODUCT_START_TIME",
        "FIRST_LINE_TIME")
#: Paths in a description in JSON: STAC 1.0 (start_datetime, datetime), Planet (acquired), Capella, Umbra, ICEYE.
JSON_KEYS: tuple[tuple[str | int, ...], ...] = (
    ("properties", "start_datetime"), ("properties", "datetime"), ("properties", "acquired"), ("collect", "start_timestamp"),
    ("collects", 0, "startAtUTC"), ("acquisition_start_utc",), ("properties", "acquisition_start_utc"), ("start_datetime",),
    ("acquired",), ("acquisition_time",), ("datetime",),
)
#: Elements of a description in XML, whatever their prefix: SAFE manifests and annotations, Sentinel-2 MTD files, TerraSAR-X
#: (sceneInfo/start/timeUTC), RADARSAT-2 and RCM product.xml, ICEYE.  All are UTC.
XML_KEYS = ("startTime", "PRODUCT_START_TIME", "DATATAKE_SENSING_START", "SENSING_TIME", "timeUTC", "rawDataStartTime",
            "acquisition_start_utc", "ACQUISITION_START_UTC")
#: What may lie beside a scene or above it, named for all of the product.
_PRODUCT_FILES = ("manifest.safe", "MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "product.xml", "metadata/product.xml")

_PRODUCTS = frozenset(os.path.basename(name) for name in _PRODUCT_FILES)

_ISO_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)T(\d\d)[:-]?(\d\d)[:-]?(\d\d)(?:[.,](\d{1,9}))?"
                          r"(Z|\+(?:0\d|1[0-4]):?(?:00|30|45)|-(?:0\d|1[0-2]):(?:00|30))?(?![\d:])")
_PLAIN_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[:-]?(\d\d)[:-]?(\d\d)(?!\d)")
_STATED = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_TIFF = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)\D*")


def taken(path: str, *, datetime_tag: str | None = None, stated: str | None = None) -> Taken:
    """When a scene was taken, the first of what is known in the order of the module's first paragraph.

    Args:
        datetime_tag: TIFFTAG_DATETIME.
        stated: what ``stated_in`` found in the file's own metadata.

    Raises:
        OSError: the file is gone.
    """
    name = os.path.basename(path)
    sure = _from_name(name) or _from_text(stated, "the file's metadata")
    if sure is not None and "Sentinel-2" in sure.by:
        # an image's name says when the whole strip began; the tile's own time is minutes later (sentinelhub-py#1)
        sure = _of_tile(Path(path)) or sure
    sure = sure or _from_beside(Path(path)) or _from_folders(Path(path))
    if sure is not None:
        return sure
    tag = _TIFF.fullmatch((datetime_tag or "").strip())
    written = _ns(tag.groups()) if tag else None
    if written is not None and any(abs(ns - written) <= _SAME_S * 1e9 for ns in _plain(name)):
        return Taken(written, "device", "TIFFTAG_DATETIME, as the file's name says")
    for vendor in DAYS:
        found = _search(vendor, name)
        day = _day(found.group(1)) if found else None
        if day is not None:
            if written is not None and abs(written - day) < 43_200 * 10**9:
                return Taken(written, "server", f"TIFFTAG_DATETIME, on the day of a {vendor.name} name")
            return Taken(day, "server", f"the day of a {vendor.name} name")
    for ns in _plain(name):
        return Taken(ns, "server", "a time in the file's name that says no zone")
    if written is not None:
        return Taken(written, "server", "TIFFTAG_DATETIME, which says when a file was written")
    return Taken(os.stat(path).st_mtime_ns, "server", "the file's modification time")


def stated_in(tags: Mapping[str, str]) -> str | None:
    """What a TIFF's own metadata items say of the acquisition, as text; None where they say nothing."""
    upper = {key.upper(): value for key, value in tags.items()}
    for key in TAGS:
        if _STATED.match(upper.get(key, "").strip()):
            return upper[key].strip()
    # Capella writes its whole description here as JSON
    text = upper.get("TIFFTAG_IMAGEDESCRIPTION", "")
    if text.lstrip().startswith("{"):
        return _json_time(text)
    # EXIF 2.31: the exposure with its own offset
    exposed, offset = upper.get("EXIF_DATETIMEORIGINAL", ""), upper.get("EXIF_OFFSETTIMEORIGINAL", "").strip()
    if _TIFF.fullmatch(exposed.strip()) and re.fullmatch(r"Z|[+-]\d\d:\d\d", offset):
        return f"{exposed.strip()[:10].replace(':', '-')}T{exposed.strip()[11:19]}{offset}"
    return None


def made_by_radar(path: str) -> bool:
    """Whether a file, or the folder of its product, has the name of a radar satellite's product."""
    names = [os.path.basename(path), *(folder.name for folder in list(Path(path).absolute().parents)[:_FOLDERS_UP])]
    return any(made is not None and made[1] in RADARS for made in map(_from_vendor, names))


def without_alpha(path: str) -> bool:
    """Whether a file has the name of NAIP, whose fourth band is near infrared, whatever its writer called it."""
    return _search(DAYS[0], os.path.basename(path)) is not None


# --- inside ---------------------------------------------------------------------------------------


def _search(vendor: Vendor, name: str) -> re.Match[str] | None:
    return re.search(rf"(?<![a-z0-9])(?:{vendor.pattern})", name, re.IGNORECASE)


def _from_vendor(name: str) -> tuple[int, str] | None:
    for vendor in VENDORS:
        found = _search(vendor, name)
        ns = _digits(found.group(1), found.group(2) if found.re.groups > 1 else None) if found else None
        if ns is not None:
            return ns, vendor.name
    return None


def _from_name(name: str) -> Taken | None:
    made = _from_vendor(name)
    if made is not None:
        return Taken(made[0], "device", f"the file's name ({made[1]})")
    maxar = _MAXAR.search(name)
    if maxar is not None:
        # DigitalGlobe/Maxar, product file names: YYMMMDDhhmmss of UTC
        month = _MONTHS.index(maxar[2].upper()) + 1
        ns = _digits(f"20{maxar[1]}{month:02d}{maxar[3]}", None)
        if ns is not None:
            return Taken(ns, "device", "the file's name (Maxar)")
    for found in _ISO_IN_NAME.finditer(name):
        ns = _ns(found.groups()[:6], found.group(7), found.group(8)) if found.group(8) else None
        if ns is not None:
            return Taken(ns, "device", "the file's name")
    return None


def _of_tile(path: Path) -> Taken | None:
    """When a Sentinel-2 tile was sensed: MTD_TL.xml, else the granule's folder (L1C_T15RUQ_A009218_20170328T170619)."""
    for folder in list(path.absolute().parents)[:3]:
        said = _from_text(_xml_time(_text(folder / "MTD_TL.xml")), "MTD_TL.xml")
        found = re.match(r"l[12][ac]_t\d{2}[a-z]{3}_a\d{6}_(\d{8}T\d{6})$", folder.name, re.IGNORECASE)
        ns = _digits(found.group(1), None) if found else None
        if said is not None or ns is not None:
            return said or Taken(ns or 0, "device", "the name of its granule (Sentinel-2)")
    return None


def _from_folders(path: Path) -> Taken | None:
    """A product's folder has its name where its files have none (TerraSAR-X: IMAGEDATA/IMAGE_HH_SRA_strip_007.tif)."""
    for folder in list(path.absolute().parents)[:_FOLDERS_UP]:
        made = _from_vendor(folder.name)
        if made is not None:
            return Taken(made[0], "device", f"the name of its folder ({made[1]})")
    return None


def _from_beside(path: Path) -> Taken | None:
    for file in _beside(path):
        text = _text(file)
        if file.name in _PRODUCTS and path.stem.lower() not in text.lower():
            continue  # the description of another product
        found = _json_time(text) if file.suffix == ".json" else _xml_time(text)
        said = _from_text(found, file.name)
        if said is not None:
            return said
    return None


def _beside(path: Path) -> Iterator[Path]:
    """Files that may describe a scene: named like it (less what bands and processing append), or for its whole product."""
    stem = path.stem
    stems = [stem]
    while "_" in stem and len(stems) < 3:
        stem = stem.rpartition("_")[0]
        stems.append(stem)
    yield path.with_name(path.name + ".json")
    for one in stems:
        # of a shortened name only what is called metadata is about this scene and not another's
        endings = (".json", ".stac.json", ".xml") if one == path.stem else ()
        for ending in (*endings, "_metadata.json", "_METADATA.json", "_extended.json", "_metadata.xml"):
            yield path.with_name(one + ending)
    for folder in list(path.absolute().parents)[:_FOLDERS_UP]:
        for name in _PRODUCT_FILES:
            yield folder / name


def _text(file: Path) -> str:
    """What a small plain file says; "" for anything else."""
    try:
        with open(file, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW)) as f:
            if not os.path.isfile(file) or os.fstat(f.fileno()).st_size > MAX_SIDECAR_BYTES:
                return ""
            return f.read(MAX_SIDECAR_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _json_time(text: str) -> str | None:
    try:
        whole: Any = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    for keys in JSON_KEYS:
        at = whole
        for key in keys:
            if isinstance(key, int):
                at = at[key] if isinstance(at, list) and len(at) > key else None
            else:
                at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, str) and _STATED.match(at.strip()):
            return at.strip()
    return None


def _xml_time(text: str) -> str | None:
    # no parser: a description beside a scene is as hostile as the scene
    for key in XML_KEYS:
        found = re.search(rf"<(?:[\w.-]{{1,40}}:)?{key}(?:\s[^<>]{{0,200}})?>\s*([^<>]{{1,60}}?)\s*</", text)
        if found and _STATED.match(found.group(1)):
            return found.group(1)
    return None


def _from_text(text: str | None, where: str) -> Taken | None:
    found = _STATED.match(text) if text else None
    if found is None:
        return None
    ns = _ns(found.groups()[:6], found.group(7), found.group(8))
    # what names no zone is UTC here: the tables hold names that their makers define so
    return Taken(ns, "device", where) if ns is not None else None


def _plain(name: str) -> Iterator[int]:
    """Every time of no zone in a name, as if UTC."""
    for found in _PLAIN_IN_NAME.finditer(name):
        ns = _ns(found.groups())
        if ns is not None:
            yield ns


def _digits(text: str, fraction: str | None) -> int | None:
    d = re.sub(r"\D", "", text)
    return _ns((d[:4], d[4:6], d[6:8], d[8:10], d[10:12], d[12:14]), fraction) if len(d) == 14 else None


def _day(text: str) -> int | None:
    d = re.sub(r"\D", "", text)
    d = f"20{d}" if len(d) == 6 else d
    return _ns((d[:4], d[4:6], d[6:8], "12", "00", "00"))


def _ns(parts: tuple[str, ...], fraction: str | None = None, zone: str | None = None) -> int | None:
    """ns UTC; None for what is no time, or before anything looked down, or beyond what the journal's 64 bits hold."""
    away = UTC
    if zone and zone[0] in "+-":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        if minutes > 14 * 60 or int(zone[-2:]) > 59:
            return None
        away = timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))
    try:
        stamp = datetime(*(int(p) for p in parts), tzinfo=away).astimezone(UTC)  # type: ignore[arg-type, misc]
    except (ValueError, OverflowError):
        return None
    if not 1957 <= stamp.year <= 2200:
        return None
    return ns_from_datetime(stamp) + int(f"{(fraction or '')[:9]:0<9}")
