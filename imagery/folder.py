"""What lies in a watched folder: which files are scenes, which belong to one, and what is passed over, each with its reason.

A name decides nothing about what is inside (``imagery.scene`` looks at the bytes); it decides what is opened at all.
"""

from __future__ import annotations

import bisect
import os
import re
from pathlib import Path
from typing import NamedTuple

from birddog.errors import printable

#: Endings of files that are opened.
SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".j2k"})
_PICTURES = frozenset({".png", ".jpg", ".jpeg"})
#: Endings of what may lie beside a scene and be about it.
_BESIDE = frozenset({".json", ".xml", ".txt", ".aux", ".ovr", ".msk", ".tfw", ".tifw", ".jgw", ".pgw", ".j2w", ".wld", ".prj",
                     ".rpb", ".imd", ".til", ".md5", ".sha256", ".kml", ".geojson", ".html", ".pdf"})
#: What is about a whole product, whose images have other names.
_PRODUCT = re.compile(r"^(?:manifest\.safe|mtd_\w+\.xml|product\.xml|sha256sums|md5sums|readme.*|licen[cs]e.*)$", re.IGNORECASE)
#: Endings under which programs write what is not finished.
_UNFINISHED = frozenset({".part", ".tmp", ".crdownload", ".filepart", ".download", ".partial", ".swp"})
_ARCHIVE, _SAVE = "an archive: unpack it", "which is not read: save it as GeoTIFF"
#: Formats of scenes that GDAL, or somebody else, reads and we do not.
_OTHERS = {
    ".zip": _ARCHIVE, ".tar": _ARCHIVE, ".gz": _ARCHIVE, ".tgz": _ARCHIVE, ".7z": _ARCHIVE, ".bz2": _ARCHIVE,
    ".h5": f"HDF5, {_SAVE}", ".he5": f"HDF5, {_SAVE}", ".hdf": f"HDF, {_SAVE}", ".nc": f"netCDF, {_SAVE}",
    ".ntf": f"NITF, {_SAVE}", ".nitf": f"NITF, {_SAVE}", ".img": f"a raw or Erdas image, {_SAVE}", ".cos": f"COSAR, {_SAVE}",
    ".dim": f"BEAM-DIMAP, {_SAVE}",
    ".vrt": f"a VRT, which can point anywhere and {_SAVE[6:]}", ".ecw": f"ECW, {_SAVE}", ".sid": f"MrSID, {_SAVE}",
    ".dng": "a raw picture, which is not read", ".heic": "HEIC, which is not read", ".mp4": "a film, which is not read",
    ".mov": "a film, which is not read", ".ts": "a film, which is not read",
}
#: Names of pictures that makers put beside a scene: ESA's quick-look.png, thumbnails of Planet, Maxar's browse, previews.
_THUMBNAIL = re.compile(r"(?:^|[-_. ])(?:quick-?looks?|ql|thumb(?:nail)?s?|preview|pvi|browse)(?:[-_. ]|\d|$)", re.IGNORECASE)
#: A polarisation in a name: Sentinel-1 (-vv-), RADARSAT (imagery_VV), TerraSAR-X (IMAGE_VV_), SNAP (_VV.tif).
_POLARISATION = re.compile(r"(?<![a-z0-9])(VV|VH|HV|HH)(?![a-z0-9])", re.IGNORECASE)
#: The last number of a Sentinel-1 measurement file counts the polarisations of its product.
_MEASUREMENT = re.compile(r"^(s1[a-d]-.*)-\d{3}(?:-cog)?$", re.IGNORECASE)
#: Of the bands of a Sentinel-2 product: water is dark in near infrared, and a hull is not.
_S2_BAND = re.compile(r"_B08(?:_10m)?\.jp2$", re.IGNORECASE)


class Seen(NamedTuple):
    """One look into the folder: (name, stamp) of what may be a scene, and the reason of each name that is passed over."""

    scenes: list[tuple[str, str]]
    passed: dict[str, str]


def look_into(folder: Path, own: frozenset[str] = frozenset()) -> Seen:
    """What lies directly in a folder, and in the SAFE folders in it.

    Args:
        own: names of files of ours that may lie there.

    Raises:
        OSError: the folder cannot be read.
    """
    scenes: list[tuple[str, str]] = []
    passed: dict[str, str] = {}
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda e: e.name)
    every = [tuple(part.lower() for part in os.path.splitext(e.name)) for e in found]
    stems = {stem for stem, ending in every if ending in SUFFIXES - _PICTURES}
    named = sorted(stem for stem, ending in every if ending in SUFFIXES)
    for entry in found:
        ending = os.path.splitext(entry.name)[1].lower()
        if entry.name.startswith(".") or entry.name in own or ending in _UNFINISHED:
            continue
        shown = printable(entry.name)
        try:
            if entry.is_symlink():
                passed[shown] = "is a link: only files that lie in the folder are read"
            elif entry.is_dir(follow_symlinks=False):
                if ending == ".safe":
                    _safe(Path(entry.path), entry.name, scenes, passed)
                else:
                    passed[shown] = "is a folder: only files directly in the watched folder, and SAFE folders, are read"
            elif not entry.is_file(follow_symlinks=False):
                passed[shown] = "is no plain file"
            elif ending in SUFFIXES:
                why = _picture_of(entry.name, stems)
                if why:
                    passed[shown] = why
                else:
                    scenes.append((entry.name, _stamp(entry.stat(follow_symlinks=False))))
            elif not _about_another(entry.name, named):
                passed[shown] = f"is {_OTHERS[ending]}" if ending in _OTHERS else (
                    f"its ending is none that is read ({' '.join(sorted(SUFFIXES))})")
        except FileNotFoundError:
            continue
    return Seen(scenes, passed)


def pass_of(name: str) -> str:
    """What the files of one pass have in common: the name without its polarisation; other names stand for themselves."""
    folder, base = os.path.split(name)
    stem = _MEASUREMENT.sub(r"\1", os.path.splitext(base)[0])
    return os.path.join(folder, _POLARISATION.sub("*", stem).lower()) if _POLARISATION.search(stem) else name


# --- inside ---------------------------------------------------------------------------------------


def _stamp(s: os.stat_result) -> str:
    return f"{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}"


def _picture_of(name: str, stems: set[str]) -> str:
    stem, ending = os.path.splitext(name)
    if _THUMBNAIL.search(stem):
        return "is a thumbnail, by its name"
    if ending.lower() in _PICTURES and stem.lower() in stems:
        return "is a picture of the scene of the same name"
    return ""


def _about_another(name: str, stems: list[str]) -> bool:
    """Whether a file is about a scene that lies here: its name begins as that one's, less what is called metadata.

    Args:
        stems: of the scenes, lower case, sorted.
    """
    if _PRODUCT.match(name):
        return True
    if os.path.splitext(name)[1].lower() not in _BESIDE:
        return False
    stem = name.lower().partition(".")[0]
    for one in (os.path.splitext(name)[0].lower(), stem, stem.rpartition("_")[0]):
        at = bisect.bisect_left(stems, one)
        if one and at < len(stems) and stems[at].startswith(one):
            return True
    return False


def _safe(folder: Path, name: str, scenes: list[tuple[str, str]], passed: dict[str, str]) -> None:
    """The images of a product in ESA's SAFE: Sentinel-1's measurement data sets, one band of Sentinel-2."""
    images = sorted(_files(folder / "measurement"), key=lambda p: p.name)
    images = [p for p in images if p.suffix.lower() in (".tif", ".tiff")]
    bands = []
    for granule in sorted(_folders(folder / "GRANULE")):
        for part in (granule / "IMG_DATA", granule / "IMG_DATA" / "R10m"):
            bands += [p for p in _files(part) if p.suffix.lower() == ".jp2"]
    near = [p for p in bands if _S2_BAND.search(p.name)]
    for path in [*images, *near]:
        scenes.append((os.path.relpath(path, folder.parent), _stamp(path.stat())))
    shown = printable(name)
    if not images and not near:
        passed[shown] = "is a SAFE folder without an image that is read (measurement/*.tiff, GRANULE/*/IMG_DATA/*_B08.jp2)"
    elif len(bands) > len(near):
        passed[f"{shown}, {len(bands) - len(near)} other bands"] = "one band of a Sentinel-2 product is read (B08)"


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_file(follow_symlinks=False) and not e.name.startswith(".")]
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
