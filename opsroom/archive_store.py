"""An archive of tracks on disk: a folder of numpy columns that are memory-mapped, and ``archive.json`` that says what they are.

The columns are those of ``tracking.forecast.past.Past`` (.npy, no pickles) and the calibration that was made with
them.  ``archive.json`` holds the SHA-256 of each of them, so that its own, which answers and entries name, stands for all of
the archive.  A folder is written beside its place and renamed, so that it is there whole or not at all; one that stood there
is set aside by a rename, not deleted first.  What a killed build left beside (``.NAME-PID-…``) the next one there clears away.
"""

from __future__ import annotations

import glob
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from birddog import __version__
from birddog.errors import UsageError
from tracking.forecast import calibration as cal
from tracking.forecast.past import LOT, Past, Scale

#: The form of the folder; another one is refused.
FORM = 1
COLUMNS = ("begin", "place_key", "place_begin", "s_row", "s_end", "s_key", "s_lat", "s_lon")
#: Columns that are looked up together are records: a place in them is one page of the map and not one a column.
RECORDS = {
    "fixes": {"t_s": "<f8", "lat": "<i4", "lon": "<i4"},
    "places": {"p_row": "<i8", "p_t_s": "<f8", "p_lat": "<i4", "p_lon": "<i4", "p_ve": "<f4", "p_vn": "<f4"},
}


def save(calibration: cal.Calibration, path: str, about: dict[str, Any]) -> None:
    """Write an archive; what stands at the path is replaced only where it is an archive.

    Raises:
        UsageError: the path cannot be written, or holds something else.
    """
    past, place = calibration.past, Path(path)
    if place.exists() and not is_archive(path):
        raise UsageError("stands there already and is no archive of Birddog", file=path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear_away(place)
        folder = _beside(place)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error
    try:
        for name in COLUMNS:
            np.save(folder / f"{name}.npy", getattr(past, name), allow_pickle=False)
        for name, fields in RECORDS.items():
            _write_records(folder / f"{name}.npy", past, fields)
        scores = []
        for k, ((minutes, moving, ended), kept) in enumerate(sorted(calibration.known.items())):
            np.save(folder / f"scores{k}.npy", np.stack([kept.miss_m, kept.odd]), allow_pickle=False)
            scores.append({"horizon_min": minutes, "moving": moving, "ended": ended})
        assert calibration.windows is not None
        for moving, of in calibration.windows.items():
            np.save(folder / f"windows{int(moving)}.npy", np.stack([of.row, of.t_s, of.share, of.apart]), allow_pickle=False)
        np.save(folder / "names.npy", np.array([past.name(k).encode() for k in range(len(past.names))], dtype="S"),
                allow_pickle=False)
        s = past.scale
        said = {
            "birddog_archive": FORM, "version": __version__, "fixes": len(past), "first_s": past.first_s, "last_s": past.last_s,
            "scale": {"interval_s": s.interval_s, "window_s": s.window_s, "hole_s": s.hole_s, "reach_m": s.reach_m},
            "scores": scores, **about, "sha256": _hashes(folder),
        }  # fmt: skip
        (folder / "archive.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        os.chmod(folder, 0o755)
        aside = None
        if place.exists():
            aside = _beside(place)
            place.rename(aside)  # over an empty folder
        folder.rename(place)
        if aside is not None:
            shutil.rmtree(aside)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error


def _beside(place: Path) -> Path:
    """A new folder beside a place, named for it and this process."""
    return Path(tempfile.mkdtemp(prefix=f".{place.name}-{os.getpid()}-", dir=place.parent))


def _clear_away(place: Path) -> None:
    """Delete what builds that were killed left beside a place."""
    for left in place.parent.glob(f".{glob.escape(place.name)}-*-*"):
        pid = left.name[len(place.name) + 2 :].split("-")[0]
        if pid.isdigit() and left.is_dir() and not _runs(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each column of a folder, by name."""
    out = {}
    for part in sorted(folder.glob("*.npy")):
        with open(part, "rb") as source:
            out[part.stem] = hashlib.file_digest(source, "sha256").hexdigest()
    return out


def about(path: str) -> dict[str, Any]:
    """What ``archive.json`` says.

    Raises:
        UsageError: it is no archive, or of another form.
    """
    said = json.loads((Path(path) / "archive.json").read_text(encoding="utf-8"))
    if not isinstance(said, dict) or said.get("birddog_archive") != FORM:
        raise UsageError(f"is no archive of form {FORM}: build it anew with birddog archive build", file=path)
    return said


def differing(path: str) -> list[str] | None:
    """The columns of an archive that are not what its ``archive.json`` says; None where it says nothing (built before)."""
    said = about(path).get("sha256")
    if not isinstance(said, dict):
        return None
    found = _hashes(Path(path))
    return sorted(name for name in {*said, *found} if said.get(name) != found.get(name))


def _write_records(path: Path, past: Past, fields: dict[str, str]) -> None:
    """Some columns side by side as .npy, some rows at a time."""
    form = np.dtype(list(fields.items()))
    with open(path, "wb") as out:
        said = {"descr": np.lib.format.dtype_to_descr(form), "fortran_order": False, "shape": (len(past),)}
        np.lib.format.write_array_header_1_0(out, said)
        for k in range(0, len(past), LOT):
            records = np.empty(min(LOT, len(past) - k), form)
            for column in fields:
                records[column] = getattr(past, column)[k : k + LOT]
            out.write(records.data)


def is_archive(path: str) -> bool:
    """Whether a path is a folder that ``save`` wrote."""
    return (Path(path) / "archive.json").is_file()


def _released(maps: list[Any]) -> Callable[[], None]:
    """Lets the pages of some maps go: they stay in the system's cache, and are no memory of this process."""

    def release() -> None:
        for one in maps:
            if isinstance(one, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                one.madvise(mmap.MADV_DONTNEED)

    return release


def load(path: str) -> cal.Calibration:
    """Open an archive; columns are read as they are asked for.

    Raises:
        UsageError: it is no archive, of another form, or a part is missing or does not fit.
    """
    folder = Path(path)
    try:
        said = about(path)
        mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in (*COLUMNS, *RECORDS)}
        # plain arrays over the maps: a slice of numpy's memmap class costs ten times as much
        columns = {name: np.asarray(mapped[name]) for name in COLUMNS}
        columns |= {column: np.asarray(mapped[name])[column] for name, fields in RECORDS.items() for column in fields}
        names = np.asarray(np.load(folder / "names.npy", mmap_mode="r", allow_pickle=False))
        past = Past(names=names, scale=Scale(**said["scale"]), first_s=said["first_s"], last_s=said["last_s"], **columns,
                    release=_released([column.base for column in mapped.values()]))
        if len(past) != said["fixes"] or len(past.begin) != len(names) + 1 or len(past.p_row) != len(past):
            raise UsageError("its parts do not fit each other: build it anew with birddog archive build", file=path)
        windows = {}
        for moving in (False, True):
            row, t_s, share, apart = np.load(folder / f"windows{int(moving)}.npy", allow_pickle=False)
            windows[moving] = cal.Windows(row.astype(np.int64), t_s, share, apart > 0.0)
        known = {}
        for k, of in enumerate(said["scores"]):
            miss, odd = np.load(folder / f"scores{k}.npy", allow_pickle=False)
            known[of["horizon_min"], of["moving"], of["ended"]] = cal.Scores(miss, odd)
    except OSError as error:
        raise UsageError(f"is no archive of Birddog: {error.strerror}", file=error.filename or path) from error
    except (ValueError, KeyError, TypeError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise UsageError(f"is no archive of Birddog that can be read: {error}", file=path) from error
    return cal.Calibration(past, windows=windows, known=known)
