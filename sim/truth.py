"""The truth file: where every object was at each second, and what it carried.

CSV with the columns ``t`` (ISO 8601 UTC), ``truth_id``, ``lat_deg``, ``lon_deg``, ``ve_mps``, ``vn_mps`` and ``carries``
(device identities and tag URIs, joined by ``;``).  An object aboard another has no row of its own: what it carries
stands in its carrier's row.  For scoring only; never an input of anything.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import msgspec

from birddog.errors import UsageError
from birddog.geo import valid_position
from birddog.units import NS, iso_from_ns, ns_from_text
from sim.tables import Ais, Gps, Phone, Scenario, Tracker
from sim.world import World

COLUMNS = ("t", "truth_id", "lat_deg", "lon_deg", "ve_mps", "vn_mps", "carries")


class TruthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One object at one second."""

    time_ns: int
    truth_id: str
    lat_deg: float
    lon_deg: float
    ve_mps: float
    vn_mps: float
    carries: tuple[str, ...] = ()


def rows(s: Scenario, world: World, start_ns: int, second: int) -> Iterator[TruthRow]:
    """The rows of one second since the start."""
    aboard: dict[str, list[str]] = {}
    sending: tuple[Phone | Tracker | Gps | Ais, ...] = (*s.phone, *s.tracker, *s.gps, *s.ais)
    carried = [(row.on, row.id) for row in sending] + [(row.on, row.uri) for row in s.epc]
    for on, name in carried:
        aboard.setdefault(world.bearer(on, second), []).append(name)
    for name in world.visible(second):
        state = world.state(name, second)
        yield TruthRow(
            time_ns=start_ns + second * NS, truth_id=name, lat_deg=state.lat_deg, lon_deg=state.lon_deg,
            ve_mps=state.ve_mps, vn_mps=state.vn_mps, carries=tuple(aboard.get(name, ())),
        )  # fmt: skip


class TruthWriter:
    """Writes the truth second by second.

    Args:
        path: made anew.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path, s: Scenario, world: World, start_ns: int):
        try:
            self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=str(path)) from error
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow(COLUMNS)
        self._of = (s, world, start_ns)
        self._next = 0

    def until(self, t_s: float) -> None:
        """Write every second up to and with ``t_s``.

        Raises:
            UsageError: the disk is full.
        """
        try:
            self._until(t_s)
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=self._file.name) from error

    def _until(self, t_s: float) -> None:
        while self._next <= t_s:
            for r in rows(*self._of, self._next):
                self._csv.writerow(
                    (iso_from_ns(r.time_ns), r.truth_id, f"{r.lat_deg:.7f}", f"{r.lon_deg:.7f}", f"{r.ve_mps:.3f}",
                     f"{r.vn_mps:.3f}", ";".join(r.carries))
                )  # fmt: skip
            self._next += 1
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # what is left in its buffer could not be written: ``until`` has said so
            self._file.close()


def read(path: Path) -> list[TruthRow]:
    """The rows of a truth file.

    Raises:
        UsageError: it cannot be read, a column is missing, or a value is wrong; file and line are named.
    """
    out = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [c for c in COLUMNS[:6] if c not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(f"there is no column {missing[0]!r}", file=str(path), line=1)
            for row in reader:
                try:
                    found = TruthRow(
                        time_ns=ns_from_text(row["t"]), truth_id=row["truth_id"], lat_deg=float(row["lat_deg"]),
                        lon_deg=float(row["lon_deg"]), ve_mps=float(row["ve_mps"]), vn_mps=float(row["vn_mps"]),
                        carries=tuple(filter(None, (row.get("carries") or "").split(";"))),
                    )  # fmt: skip
                except (ValueError, TypeError, AttributeError) as error:
                    raise UsageError(str(error), file=str(path), line=reader.line_num) from error
                if not (math.isfinite(found.ve_mps) and math.isfinite(found.vn_mps)):
                    raise UsageError("is no finite number", file=str(path), line=reader.line_num, field="ve_mps, vn_mps")
                if not valid_position(found.lat_deg, found.lon_deg):
                    raise UsageError("is no position", file=str(path), line=reader.line_num, field="lat_deg")
                out.append(found)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except csv.Error as error:
        raise UsageError(f"is no CSV: {error}", file=str(path), line=reader.line_num) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8", file=str(path)) from error
    return out
