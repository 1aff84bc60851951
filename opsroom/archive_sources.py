"""What an archive is made of: files of tracks (CSV, Parquet), AIS logs, journals; and what of them was left out, and why.

Parting identities (``tracking.forecast.strands``) leaves out single fixes that jump and gives each of several things under one
identity a name of its own (``123#2``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from birddog.errors import UsageError
from birddog.geo import DEGREE_M, null_island
from birddog.units import NS
from opsroom import parquet_tracks
from opsroom.commands.common import say
from tracking.forecast import past as arch
from tracking.forecast.strands import FEWEST_FIXES, impossible, strands

#: Nothing that is followed is quicker than the quickest of these: a floor, some times what the archive's quick ones do, a jet.
_SLOWEST_LIMIT_MPS, _TIMES, _FASTEST_LIMIT_MPS = 60.0, 8.0, 400.0
#: Refusals of one reason that are said one by one.
MOST_SAID = 5


@dataclass
class Gathered:
    """Fixes of all sources, in no order, as an archive keeps them, and how many were refused for which reason.

    A part is (track, POSIX seconds, latitude, longitude): 20 bytes a fix.  ``cases``: how many fixes of which operation of a
    journal, but for what everybody may hear.  ``open_only``: these are left out, and counted as refused.
    """

    names: dict[str, int] = field(default_factory=dict)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    open_only: bool = False

    def refuse(self, where: str, reason: str) -> None:
        """Count a refusal; the first of each reason are said."""
        self.refused[reason] += 1
        if self.refused[reason] <= MOST_SAID:
            say(f"{where}: {reason}; left out")

    def numbers(self, names: list[str]) -> np.ndarray:
        """The tracks' numbers of some identities."""
        return np.array([self.names.setdefault(name, len(self.names)) for name in names], dtype=np.int32)

    def take(self, track: np.ndarray, time_ns: np.ndarray, lat_deg: np.ndarray, lon_deg: np.ndarray) -> None:
        """Fixes as columns, tracks by number."""
        self.parts.append((track, time_ns / NS, *arch.whole(lat_deg, lon_deg)))

    def add(self, rows: list[tuple[str, int, float, float]]) -> None:
        """Fixes as (identity, ns, degrees, degrees)."""
        if rows:
            who, t, lat, lon = zip(*rows, strict=True)
            self.take(self.numbers(list(who)), np.array(t, dtype=np.int64), np.array(lat), np.array(lon))

    def columns(self) -> list[np.ndarray]:
        """All parts as one, by column; a part is let go of once it is copied."""
        n, at = sum(len(part[0]) for part in self.parts), 0
        out = [np.empty(n, form) for form in (np.int32, np.float64, np.int32, np.int32)]
        self.parts.reverse()
        while self.parts:
            part = self.parts.pop()
            for column, some in zip(out, part, strict=True):
                column[at : at + len(some)] = some
            at += len(part[0])
        return out


def gather(paths: list[str], *, open_only: bool = False) -> Gathered:
    """All fixes of some sources; of journals without those that are a case's own, if so wanted.

    Raises:
        UsageError: one of them cannot be read, or is none of the kinds.
        JournalError: a journal is damaged.
    """
    out = Gathered(open_only=open_only)
    for path in paths:
        kind = _kind(path)
        {"csv": _csv, "ais": _ais, "journal": _journal, "parquet": _parquet}[kind](path, out)
    return out


def _kind(path: str) -> str:
    if ":" in path:
        from birddog.journal import is_url

        if is_url(path):
            return "journal"
    try:
        with open(path, "rb") as source:
            head = source.read(4096)
    except OSError as error:
        raise UsageError(error.strerror or str(error), file=path) from None
    if head.startswith(b"SQLite format 3\0"):
        return "journal"
    if head.startswith(parquet_tracks.MAGIC):
        return "parquet"
    first = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    return "ais" if b"!AI" in head or b"!BS" in head or first.startswith((b"\\", b"!", b"$")) else "csv"


def _csv(path: str, out: Gathered) -> None:
    from opsroom.track_file import read_tracks

    rows = read_tracks(path)
    if rows.refused:
        out.refused["a row that cannot be read"] += rows.refused
    number = out.numbers(rows.ids or [""])
    keep = ~((np.abs(rows.lat_deg) < 1e-4) & (np.abs(rows.lon_deg) < 1e-4))
    for line in rows.line[~keep].tolist():
        out.refuse(f"{path}:{line}", "position 0, 0")
    out.take(number[rows.vessel[keep]], rows.time_ns[keep], rows.lat_deg[keep], rows.lon_deg[keep])


def _parquet(path: str, out: Gathered) -> None:
    for lot in parquet_tracks.lots(path):
        for bad in lot.bad:
            out.refuse(f"{path}: row {bad.row}: {bad.field}", bad.why)
        null = (np.abs(lot.lat_deg) < 1e-4) & (np.abs(lot.lon_deg) < 1e-4)
        for row in lot.row[null].tolist():
            out.refuse(f"{path}: row {row}", "position 0, 0")
        used, at = np.unique(lot.vessel[~null], return_inverse=True)
        number = out.numbers([lot.ids[k] for k in used.tolist()])
        out.take(number[at], lot.time_ns[~null], lot.lat_deg[~null], lot.lon_deg[~null])


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


def _observed(row: dict[str, Any], where: str, fixes: list[tuple[str, int, float, float]], out: Gathered) -> None:
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
    from birddog.directory import OPEN
    from birddog.journal import entries, open_reader, url_of
    from birddog.model import Fix, FrameBody, Verdict, unpack

    reader = open_reader(url_of(path))
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
            # an entry of before there were verdicts is its operation's
            verdicts = body.verdicts or (Verdict(operation=entry.operation),) * len(body.observations)
            for o, verdict in zip(body.observations, verdicts, strict=True):
                if isinstance(o, Fix):
                    time_ns = entry.received_ns if o.time_ns is None else o.time_ns
                    own = verdict.state != "open" and verdict.operation not in ("", OPEN)
                    if null_island(o.lat_deg, o.lon_deg):
                        out.refuse(f"{path}: entry {entry.seq}", "position 0, 0")
                    elif own and out.open_only:
                        out.refused["of a case"] += 1
                    else:
                        fixes.append((o.device, time_ns, o.lat_deg, o.lon_deg))
                        out.cases.update([verdict.operation] if own else ())
            if len(fixes) > 100_000:
                out.add(fixes)
                fixes = []
    finally:
        reader.close()
    out.add(fixes)


def build(gathered: Gathered, *, places: bool = True) -> arch.Past:
    """The archive of what was gathered; identities are parted into strands, fixes that jump are left out and counted.

    The parts are used up: about 60 bytes a fix are held at most.

    Args:
        places: without it the archive has its tracks and lengths alone, and no place order.
    """
    names = sorted(gathered.names)
    rank = np.zeros(max(len(names), 1), dtype=np.int32)
    rank[[gathered.names[n] for n in names]] = np.arange(len(names))
    track, t_s, lat, lon = gathered.columns()
    track = rank[track]
    _sort(track, t_s, lat, lon)
    since_s, limits_mps = speed_limits(track, t_s, lat, lon)
    jumping = _jumping(track, t_s, lat, lon, since_s, limits_mps)
    keep, begin = np.ones(len(t_s), dtype=bool), np.searchsorted(track, np.arange(len(names) + 1, dtype=np.int32))
    parted = False
    for k in jumping:
        a, b = begin[k], begin[k + 1]
        label = strands(t_s[a:b], lat[a:b] * arch.DEG, lon[a:b] * arch.DEG, _limit_at(t_s[a:b], since_s, limits_mps))
        named = 0
        # in the order in which they came to count: what comes later changes no name
        parts = [a + np.flatnonzero(label == strand) for strand in range(int(label.max()) + 1)]
        for at in sorted(parts, key=lambda rows: (len(rows) < FEWEST_FIXES, rows[: FEWEST_FIXES][-1])):
            if len(at) < FEWEST_FIXES:
                keep[at] = False
                for i in at.tolist():
                    gathered.refuse(f"{names[k]} at {_iso(t_s[i])}", "a jump that nothing travels")
                continue
            named += 1
            if named > 1:
                names.append(f"{names[k]}#{named}")
                track[at] = len(names) - 1
                parted = True
        if named > 1:
            say(f"{names[k]}: {named} things report under this identity; each is a track of its own")
    if not keep.all():
        track, t_s, lat, lon = track[keep], t_s[keep], lat[keep], lon[keep]
    if parted:
        rank = np.empty(len(names), dtype=np.int32)
        by_name = sorted(range(len(names)), key=lambda k: names[k].encode())
        rank[by_name] = np.arange(len(names))
        names, track = [names[k] for k in by_name], rank[track]
        _sort(track, t_s, lat, lon)
    # after the identities are parted: two things under one may well report at one time
    again = arch.again(track, t_s)
    if again.any():
        gathered.refused["a second fix of one identity and time"] += int(again.sum())
        track, t_s, lat, lon = track[~again], t_s[~again], lat[~again], lon[~again]
    return arch.of_sorted(names, track, t_s, lat, lon, places=places)


def _sort(track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> None:
    """Sort columns where they are, by track and time, several at one time by place: the order of rows decides nothing."""
    order = np.lexsort((t_s, track))
    for column in (track, t_s, lat, lon):
        column[:] = column[order]
    del order
    again = arch.again(track, t_s)
    again[:-1] |= again[1:]
    some = np.flatnonzero(again)
    order = some[np.lexsort((lon[some], lat[some], t_s[some], track[some]))]
    lat[some], lon[some] = lat[order], lon[order]


def _jumping(track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray, since_s: np.ndarray,
             limits_mps: np.ndarray) -> list[int]:
    """The tracks, ascending, in which a fix cannot have been reached from the one before."""
    found = []
    for k in range(0, len(t_s) - 1, arch.LOT):
        lot = slice(k, k + arch.LOT + 1)
        limit_mps = _limit_at(t_s[lot], since_s, limits_mps)
        jump = impossible(t_s[lot], lat[lot] * arch.DEG, lon[lot] * arch.DEG, limit_mps)
        jump[1:] &= track[lot][1:] == track[lot][:-1]
        found.append(track[lot][jump])
    return sorted(set(np.concatenate(found).tolist())) if found else []


def _iso(t_s: float) -> str:
    from birddog.units import iso_from_ns

    return iso_from_ns(round(t_s * NS))


def speed_limits(track: np.ndarray, t_s: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(since when, what nothing of an archive outruns from then on, m/s): eight times its median until then, within 60 and 400.

    It is found anew when 16, 64, 256 ... steps are known: how a fix is parted depends on nothing after it.
    """
    some, when = [], []
    for k in range(0, len(t_s) - 1, arch.LOT):
        lot = slice(k, k + arch.LOT + 1)
        dt, lat_deg = np.diff(t_s[lot]), lat[lot] * arch.DEG
        near = (track[lot][1:] == track[lot][:-1]) & (dt > 0.0) & (dt < 3600.0)
        dlon = ((np.diff(lon[lot] * arch.DEG) + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat_deg[1:]))
        speed = np.hypot(dlon, np.diff(lat_deg))[near] * DEGREE_M / dt[near]
        moves = speed > arch.STOOD_MPS
        some.append(speed[moves].astype(np.float32))
        when.append(t_s[lot][1:][near][moves])
    steps = sum(map(len, some))
    sizes = [4**j for j in range(2, 12) if 4**j <= steps]
    since, limits = [-np.inf], [_FASTEST_LIMIT_MPS]
    if sizes:
        at_s, speed = np.concatenate(when), np.concatenate(some)
        when.clear()
        some.clear()
        for end_s in np.partition(at_s, [size - 1 for size in sizes])[[size - 1 for size in sizes]].tolist():
            median = arch.median(speed[at_s <= end_s])
            limit = float(np.clip(_TIMES * arch.round_figure(median), _SLOWEST_LIMIT_MPS, _FASTEST_LIMIT_MPS))
            since.append(end_s)
            limits.append(limit)
    return np.array(since), np.array(limits)


def _limit_at(t_s: np.ndarray, since_s: np.ndarray, limits_mps: np.ndarray) -> np.ndarray:
    """The limit at each time: that of what was known before."""
    limit: np.ndarray = limits_mps[np.searchsorted(since_s, t_s, side="left") - 1]
    return limit
