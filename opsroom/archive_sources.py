"""What an archive is made of: files of tracks (CSV), AIS logs, journals; and what of them was left out, and why.

Parting identities (``tracking.forecast.strands``) leaves out single fixes that jump and gives each of several things under one
identity a name of its own (``123#2``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from birddog.errors import UsageError
from birddog.geo import null_island
from birddog.units import NS
from opsroom.commands.common import say
from tracking.forecast import past as arch
from tracking.forecast.strands import FEWEST_FIXES, impossible, strands

#: Nothing that is followed is quicker than the quickest of these: a floor, some times what the archive's quick ones do, a jet.
_SLOWEST_LIMIT_MPS, _TIMES, _FASTEST_LIMIT_MPS = 60.0, 8.0, 400.0
#: Refusals of one reason that are said one by one.
MOST_SAID = 5


@dataclass
class Gathered:
    """Fixes of all sources, in no order, and how many were refused for which reason."""

    names: dict[str, int] = field(default_factory=dict)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def refuse(self, where: str, reason: str) -> None:
        """Count a refusal; the first of each reason are said."""
        self.refused[reason] += 1
        if self.refused[reason] <= MOST_SAID:
            say(f"{where}: {reason}; left out")

    def add(self, rows: list[tuple[str, int, float, float]]) -> None:
        """Fixes as (identity, ns, degrees, degrees)."""
        if rows:
            who, t, lat, lon = zip(*rows, strict=True)
            track = np.array([self.names.setdefault(name, len(self.names)) for name in who], dtype=np.int64)
            self.parts.append((track, np.array(t, dtype=np.int64) / NS, np.array(lat), np.array(lon)))


def gather(paths: list[str]) -> Gathered:
    """All fixes of some sources.

    Raises:
        UsageError: one of them cannot be read, or is none of the kinds.
        JournalError: a journal is damaged.
    """
    out = Gathered()
    for path in paths:
        kind = _kind(path)
        {"csv": _csv, "ais": _ais, "journal": _journal}[kind](path, out)
    return out


def _kind(path: str) -> str:
    if path.startswith(("sqlite:", "postgres")):
        return "journal"
    try:
        with open(path, "rb") as source:
            head = source.read(4096)
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None
    if head.startswith(b"SQLite format 3\0"):
        return "journal"
    if head.startswith(b"PAR1"):
        raise UsageError("Parquet is not read in this version: write it as CSV id,t,lat,lon", file=path)
    first = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    return "ais" if b"!AI" in head or b"!BS" in head or first.startswith((b"\\", b"!", b"$")) else "csv"


def _csv(path: str, out: Gathered) -> None:
    from opsroom.track_file import read_tracks

    rows = read_tracks(path)
    number = np.array([out.names.setdefault(name, len(out.names)) for name in rows.ids] or [0], dtype=np.int64)
    keep = ~((np.abs(rows.lat_deg) < 1e-4) & (np.abs(rows.lon_deg) < 1e-4))
    for line in rows.line[~keep].tolist():
        out.refuse(f"{path}:{line}", "position 0, 0")
    out.parts.append((number[rows.vessel[keep]], rows.time_ns[keep] / NS, rows.lat_deg[keep], rows.lon_deg[keep]))


def _ais(path: str, out: Gathered) -> None:
    from opsroom.decode import stream_rows

    fixes: list[tuple[str, int, float, float]] = []
    with open(path, "rb") as source:
        for lot in stream_rows("ais", source, device=Path(path).stem):
            for row in lot:
                _observed(row, f"{path}: byte {row['offset']}", fixes, out)
            if len(fixes) > 100_000:
                out.add(fixes)
                fixes = []
    out.add(fixes)


def _observed(row: dict, where: str, fixes: list, out: Gathered) -> None:
    from birddog.units import ns_from_text

    if "reason" in row:
        out.refuse(where, f"{row['reason']}: {row['detail']}"[:80])
    elif row.get("kind") == "fix":
        if not row.get("time") or "no_fix_time" in row.get("flags", ()):
            out.refuse(where, "no line of the log says when it was")
        elif null_island(row["lat_deg"], row["lon_deg"]):
            out.refuse(where, "position 0, 0")
        else:
            fixes.append((row["device"], ns_from_text(row["time"]), row["lat_deg"], row["lon_deg"]))


def _journal(path: str, out: Gathered) -> None:
    from birddog.journal import entries, open_reader
    from birddog.model import Fix, FrameBody, unpack

    reader = open_reader(path if "://" in path or path.startswith("sqlite:") else f"sqlite:///{path}")
    fixes: list[tuple[str, int, float, float]] = []
    try:
        for entry in entries(reader):
            if entry.erased and entry.kind == "frame":
                out.refuse(f"{path}: entry {entry.seq}", "erased, as a case or by the rule on vessels under no case")
                continue
            if entry.kind != "frame":
                continue  # what was refused is nobody's to learn from
            body = unpack(entry)
            assert isinstance(body, FrameBody)
            for o in body.observations:
                if isinstance(o, Fix):
                    time_ns = entry.received_ns if o.time_ns is None else o.time_ns
                    if null_island(o.lat_deg, o.lon_deg):
                        out.refuse(f"{path}: entry {entry.seq}", "position 0, 0")
                    else:
                        fixes.append((o.device, time_ns, o.lat_deg, o.lon_deg))
            if len(fixes) > 100_000:
                out.add(fixes)
                fixes = []
    finally:
        reader.close()
    out.add(fixes)


def build(gathered: Gathered) -> arch.Past:
    """The archive of what was gathered; identities are parted into strands, fixes that jump are left out and counted."""
    names = sorted(gathered.names)
    rank = np.zeros(max(len(names), 1), dtype=np.int64)
    rank[[gathered.names[n] for n in names]] = np.arange(len(names))
    columns = [np.concatenate(c) for c in zip(*gathered.parts, strict=True)] if gathered.parts else [np.zeros(0)] * 4
    who, t_s, lat, lon = columns
    track = rank[who.astype(np.int64)]
    # of several at one time the order is by place, so that the order of rows decides nothing
    order = np.lexsort((lon, lat, t_s, track))
    track, t_s, lat, lon = track[order], t_s[order], lat[order], lon[order]
    most_mps = speed_limit(track, t_s, lat, lon)
    jump = impossible(t_s, lat, lon, most_mps)
    jump[1:] &= track[1:] == track[:-1]
    jump[:1] = False
    keep, begin = np.ones(len(t_s), dtype=bool), np.searchsorted(track, np.arange(len(names) + 1))
    for k in np.unique(track[jump]).tolist():
        a, b = begin[k], begin[k + 1]
        label = strands(t_s[a:b], lat[a:b], lon[a:b], most_mps)
        named = 0
        for strand, count in zip(*np.unique(label, return_counts=True), strict=True):
            at = a + np.flatnonzero(label == strand)
            if count < FEWEST_FIXES:
                keep[at] = False
                for i in at.tolist():
                    gathered.refuse(f"{names[k]} at {_iso(t_s[i])}", "a jump that nothing travels")
                continue
            named += 1
            if named > 1:
                names.append(f"{names[k]}#{named}")
                track[at] = len(names) - 1
        if named > 1:
            say(f"{names[k]}: {named} things report under this identity; each is a track of its own")
    track, t_s, lat, lon = track[keep], t_s[keep], lat[keep], lon[keep]
    # after the identities are parted: two things under one may well report at one time
    order = np.lexsort((lon, lat, t_s, track))
    again = (np.diff(track[order]) == 0) & (np.diff(t_s[order]) == 0)
    order = np.delete(order, np.flatnonzero(again) + 1)
    if again.any():
        gathered.refused["a second fix of one identity and time"] += int(again.sum())
    rank = np.empty(len(names), dtype=np.int64)
    by_name = sorted(range(len(names)), key=lambda k: names[k].encode())
    rank[by_name] = np.arange(len(names))
    return arch.build([names[k] for k in by_name], rank[track[order]], t_s[order], lat[order], lon[order])


def _iso(t_s: float) -> str:
    from birddog.units import iso_from_ns

    return iso_from_ns(round(t_s * NS))


def speed_limit(track: np.ndarray, t_s: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray) -> float:
    """What nothing of an archive outruns, m/s: eight times its median, within 60 and 400."""
    if len(t_s) < 2:
        return _SLOWEST_LIMIT_MPS
    dt = np.diff(t_s)
    near = (track[1:] == track[:-1]) & (dt > 0.0) & (dt < 3600.0)
    dlon = ((np.diff(lon_deg) + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat_deg[1:]))
    speed = np.hypot(dlon, np.diff(lat_deg))[near] * arch.DEGREE_M / dt[near]
    speed = speed[speed > arch.STOOD_MPS]
    if not len(speed):
        return _SLOWEST_LIMIT_MPS
    return float(np.clip(_TIMES * arch.round_figure(float(np.median(speed))), _SLOWEST_LIMIT_MPS, _FASTEST_LIMIT_MPS))
