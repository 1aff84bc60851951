"""What ``forecast`` and ``eta`` share: the archive that is named, and the fixes of each asked id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birddog.units import NS
from opsroom.commands.common import say
from tracking.forecast.past import Past
from tracking.forecast.strands import followed, impossible

if TYPE_CHECKING:
    from tracking.forecast.calibration import Calibration
    from tracking.forecast.where import Track

#: What no asked thing outruns, m/s, where the archive does not say more.
MOST_MPS = 400.0


def open_archive(path: str) -> Calibration:
    """An archive as built, or one made of a file for this once.

    Raises:
        UsageError: it cannot be read.
    """
    from opsroom import archive_store

    if archive_store.is_archive(path):
        return archive_store.load(path)
    from opsroom.archive_sources import build, gather
    from tracking.forecast.calibration import Calibration

    past = build(gather([path]))
    if not len(past):
        say(f"{path}: the archive is empty: what moves goes on ever slower, what stands stays, and every width is a guess")
    return Calibration(past)


def tracks_of(path: str) -> tuple[Past, tuple[str, ...] | None]:
    """The tracks of an archive alone, and of which cases they are (None: one that was built before archives said so).

    Nothing is calibrated, and of a file nothing is sorted by place.

    Raises:
        UsageError: it cannot be read.
    """
    if Path(path).is_dir():
        from opsroom import archive_store

        if archive_store.is_archive(path):
            cases = archive_store.about(path).get("cases")
            return archive_store.load(path).past, None if cases is None else tuple(sorted(cases))
    from opsroom.archive_sources import build, gather

    gathered = gather([path])
    return build(gathered, places=False), tuple(sorted(gathered.cases))


class Asked:
    """The fixes of the ids that are asked for.

    Args:
        path: CSV ``id,t,lat,lon``, rows in any order.
        past: the archive that is asked, which knows what a hole is.
        most_mps: a quicker step is a jump (``tracking.forecast.strands``).
    """

    def __init__(self, path: str, past: Past, most_mps: float = MOST_MPS):
        from opsroom.track_file import read_tracks

        rows = read_tracks(path)
        # rows come in any order: also of several of one time the same one is the last
        order = np.lexsort((rows.lon_deg, rows.lat_deg, rows.time_ns, rows.vessel))
        self._begin = np.searchsorted(rows.vessel[order], np.arange(len(rows.ids) + 1))
        self._number = {name: k for k, name in enumerate(rows.ids)}
        self._t_s, self._lat, self._lon = rows.time_ns[order] / NS, rows.lat_deg[order], rows.lon_deg[order]
        self._past, self._most_mps = past, most_mps
        self._last: tuple[str, float, Track | None] = ("", 0.0, None)
        self._jumps: dict[str, bool] = {}

    def why_not(self, name: str) -> str:
        """Why nothing can be said of an id, for whoever asked."""
        why = "no fix of this id before t0" if name in self._number else "no such id in --tracks"
        return f"{why}; its values are empty"

    def track(self, name: str, t0_s: float) -> Track | None:
        """The fixes of an id that are not after a moment; of one identity that jumps, those of the thing that reported last."""
        from tracking.forecast.where import Track

        hole_s = 4.0 * self._past.as_of(t0_s).scale.hole_s
        if self._last[:2] == (name, t0_s):
            return self._last[2]
        got = None
        k = self._number.get(name)
        if k is not None:
            a, b = int(self._begin[k]), int(self._begin[k + 1])
            n = a + int(np.searchsorted(self._t_s[a:b], t0_s, side="right"))
            if n > a:
                t, lat, lon = self._t_s[a:n], self._lat[a:n], self._lon[a:n]
                if name not in self._jumps:
                    self._jumps[name] = bool(impossible(self._t_s[a:b], self._lat[a:b], self._lon[a:b], self._most_mps).any())
                if self._jumps[name]:
                    keep = followed(t, lat, lon, self._most_mps, hole_s)
                    t, lat, lon = t[keep], lat[keep], lon[keep]
                if not (new := np.diff(t, prepend=-np.inf) > 0.0).all():
                    t, lat, lon = t[new], lat[new], lon[new]  # two fixes of one time are one
                got = Track(name, t, lat, lon)
        self._last = (name, t0_s, got)
        return got


def questions(
    path: str, columns: tuple[str, ...], readers: Mapping[str, Callable[[str | None], Any]]
) -> Iterator[tuple[int, dict[str, str], dict[str, Any]]]:
    """(line, row as written, values) of a file of questions; a row that cannot be read is said and left out.

    The file is read, and held against its columns, when this is called: before a header of answers is written.

    Raises:
        UsageError: the file cannot be read, or lacks a column.
    """
    from opsroom.csv_rows import rows, taken

    _, lines = rows(path, columns)

    def each() -> Iterator[tuple[int, dict[str, str], dict[str, Any]]]:
        for line, row in lines:
            got = taken(path, line, row, readers)
            if got is not None:
                yield line, row, got

    return each()


def told_once(path: str) -> Callable[[int, str], None]:
    """Says what is amiss with a question, the first of each kind by line and the rest as a number at the end (line 0)."""
    counts: dict[str, int] = {}

    def tell(line: int, words: str) -> None:
        if line == 0:
            for kind, n in counts.items():
                if n > 3:
                    say(f"{path}: {n - 3} more: {kind}")
            return
        counts[words] = counts.get(words, 0) + 1
        if counts[words] <= 3:
            say(f"{path}:{line}: {words}")

    return tell


