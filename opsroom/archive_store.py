"""An archive of tracks on disk: a folder of numpy columns that are memory-mapped, and ``archive.json`` that says what they are.

The columns are those of ``tracking.forecast.past.Past`` (.npy, no pickles) and the calibration that was made with
them.  ``archive.json`` holds the SHA-256 of each of them, so that its own, which answers and entries name, stands for all of
the archive.  A folder is written beside its place and renamed, so that it is there whole or not at all; one that stood there
is set aside by a rename, not deleted first.  What a killed build left beside (``.NAME-PID-…``) the next one there clears away.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import math
import mmap
import os
import shutil
import tempfile
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from birddog import __version__
from birddog.errors import BirddogError, UsageError
from tracking.forecast import calibration as cal
from tracking.forecast.past import LOT, Age, Past, Scale

#: The form of the folder; another one is refused.
FORM = 4
COLUMNS = ("begin", "place_key", "place_begin", "s_row", "s_end", "s_key", "s_lat", "s_lon", "runs")
#: Columns that are looked up together are records: a place in them is one page of the map and not one a column.
RECORDS = {
    "fixes": {"t_s": "<f8", "lat": "<i4", "lon": "<i4"},
    "places": {"p_row": "<i8", "p_t_s": "<f8", "p_lat": "<i4", "p_lon": "<i4", "p_ve": "<f4", "p_vn": "<f4"},
}


#: Archives up to this size are hashed whenever they are opened (some 20 ms); of larger ones sizes and ends are looked at.
HASHED_BYTES = 16_000_000


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
        for k, (minutes, moving, ended) in enumerate(sorted(calibration.known, key=lambda key: (*key[:2], key[2] or 0.0))):
            kept = calibration.known[minutes, moving, ended]
            np.save(folder / f"scores{k}.npy", np.stack([kept.miss_m, kept.odd, kept.ruler]), allow_pickle=False)
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
            # of the first age None: it began before all
            "ages": [[a.begin_s if math.isfinite(a.begin_s) else None, a.interval_s, a.reach_m] for a in past.ages],
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


@contextlib.contextmanager
def blamed(path: str) -> Iterator[None]:
    """What fails while an archive is read is the archive's fault where a column of it is not what ``archive.json`` says.

    Raises:
        UsageError: such a column, by file and name.
    """
    try:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            yield
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, BirddogError) or not is_archive(path):
            raise
        _refuse_damaged(path, differing(path) or [], error)
        raise


def _refuse_damaged(path: str, names: list[str], error: Exception | None = None) -> None:
    if names:
        more = f" (and {len(names) - 1} more: birddog archive show --verify)" if len(names) > 1 else ""
        raise UsageError(f"the column {names[0]} is not what archive.json says{more}: build it anew with birddog archive build",
                         file=str(Path(path) / f"{names[0]}.npy")) from error  # fmt: skip


def _write_records(path: Path, past: Past, fields: dict[str, str]) -> None:
    """Some columns side by side as .npy, some rows at a time."""
    form = np.dtype(list(fields.items()))
    with open(path, "wb") as out:
        rows = len(getattr(past, next(iter(fields))))
        said = {"descr": np.lib.format.dtype_to_descr(form), "fortran_order": False, "shape": (rows,)}
        np.lib.format.write_array_header_1_0(out, said)
        for k in range(0, rows, LOT):
            records = np.empty(min(LOT, rows - k), form)
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


def _column(folder: Path, name: str, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    path = folder / f"{name}.npy"
    try:
        column: np.ndarray = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise UsageError(f"is no archive of Birddog that can be read: {error}", file=str(path)) from error
    return column


def _unfit(past: Past, fixes: int) -> str | None:
    """The first column that cannot be of this archive, as far as a look at the short ones tells."""
    ends = {"fixes": len(past), "begin": int(past.begin[-1]) if len(past.begin) else -1}
    for name, end in ends.items():
        if end != fixes:
            return name
    if len(past.begin) != len(past.names) + 1 or past.begin[0] != 0 or (np.diff(past.begin) < 0).any():
        return "begin"
    if len(past.p_row) > fixes:
        return "places"
    if len(past.place_begin) != len(past.place_key) + 1 or past.place_begin[0] != 0 or past.place_begin[-1] != len(past.p_row):
        return "place_begin"
    if (np.diff(past.place_begin) <= 0).any():
        return "place_begin"
    if (np.diff(past.place_key) <= 0).any():
        return "place_key"
    for name in ("s_row", "s_end"):
        rows = getattr(past, name)
        if len(rows) != len(past.s_key) or (len(rows) and not (0 <= rows.min() and rows.max() < fixes)):
            return name
    if (np.diff(past.s_key) < 0).any() or (past.s_end < past.s_row).any():
        return "s_key" if (np.diff(past.s_key) < 0).any() else "s_end"
    return None


def load(path: str, *, hashed: bool = True) -> cal.Calibration:
    """Open an archive; columns are read as they are asked for, those of a small one are hashed first.

    Args:
        hashed: whether they are; ``differing`` says more.

    Raises:
        UsageError: it is no archive, of another form, or a part is missing or does not fit.
    """
    folder = Path(path)
    try:
        said = about(path)
        if hashed and sum(part.stat().st_size for part in folder.glob("*.npy")) <= HASHED_BYTES:
            _refuse_damaged(path, differing(path) or [])
        mapped = {name: _column(folder, name, mmap_mode="r") for name in (*COLUMNS, *RECORDS)}
        # plain arrays over the maps: a slice of numpy's memmap class costs ten times as much
        columns = {name: np.asarray(mapped[name]) for name in COLUMNS}
        columns |= {column: np.asarray(mapped[name])[column] for name, fields in RECORDS.items() for column in fields}
        names = np.asarray(_column(folder, "names", mmap_mode="r"))
        ages = tuple(Age(-math.inf if begin is None else begin, *lengths) for begin, *lengths in said["ages"])
        past = Past(names=names, scale=Scale(**said["scale"]), first_s=said["first_s"], last_s=said["last_s"], ages=ages,
                    **columns, release=_released([column.base for column in mapped.values()]))
        if (name := _unfit(past, said["fixes"])) is not None:
            raise UsageError("does not fit the other columns: build it anew with birddog archive build",
                             file=str(folder / f"{name}.npy"))  # fmt: skip
        windows = {}
        for moving in (False, True):
            row, t_s, share, apart = _column(folder, f"windows{int(moving)}")
            if not ((row >= 0) & (row < len(past))).all():
                raise UsageError("names rows that are none: build it anew with birddog archive build",
                                 file=str(folder / f"windows{int(moving)}.npy"))  # fmt: skip
            windows[moving] = cal.Windows(row.astype(np.int64), t_s, share, apart > 0.0)
        known = {}
        for k, of in enumerate(said["scores"]):
            miss, odd, by = _column(folder, f"scores{k}")
            known[of["horizon_min"], of["moving"], of["ended"]] = cal.Scores(miss, odd, by)
    except OSError as error:
        raise UsageError(f"is no archive of Birddog: {error.strerror}", file=error.filename or path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"is no archive of Birddog that can be read: {error}", file=path) from error
    return cal.Calibration(past, windows=windows, known=known)
