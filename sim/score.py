"""Score a picture against the truth, as an operator saw it live.

At t = every, 2 × every … after the truth's first second each track stands where its latest point known by then puts
it, carried on with its own velocity.  A point is known when the track's newest point so far in the order of writing
had been reached, so that a message that came late is not used before it came.  GOSPA, missed, false and identity
switches compare these places with the truth rows of that second (birddog.metrics).

NEES and the share inside the 95 % ellipse compare each point with the truth at the point's own time: a track with an
identity with the object that carried it then, an anonymous one with the nearest object within GOSPA's cut-off.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from birddog.geo import LocalFrame
from birddog.metrics import CUTOFF_M, IdSwitches, gospa, nees, rmse_m
from birddog.model import Track, TrackPoint
from birddog.units import CHI2_95_2D, NS
from sim.truth import TruthRow

#: A gap in an object's truth longer than this is not bridged.
TRUTH_GAP_NS = 5 * NS


class TruthScore(msgspec.Struct, frozen=True, kw_only=True):
    """How one object was followed."""

    truth_id: str
    steps: int
    matched: int
    loc_rmse_m: float | None


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run; None where nothing was there to be measured.

    Args:
        gospa_m: mean over the steps (p = 2, c = 100 m, alpha = 2).
        missed_share: truth points without a track; ``false_per_step``: tracks without a truth, a step.
        nees: mean over ``estimates`` points; 2 where the covariances are right.
        inside_95: the share of truth inside the 95 % ellipse.
    """

    steps: int
    truths: int
    tracks: int
    gospa_m: float | None
    loc_rmse_m: float | None
    missed_share: float | None
    false_per_step: float | None
    id_switches: int
    estimates: int
    nees: float | None
    inside_95: float | None
    by_truth: tuple[TruthScore, ...] = ()


def score(
    truth: Sequence[TruthRow],
    points: Iterable[TrackPoint],
    tracks: Iterable[Track],
    every_s: float,
    confirmed_ns: Mapping[str, int] | None = None,
) -> Scores:
    """Score tracks against truth rows.

    Args:
        truth: rows of any order, a second apart.
        points: every step of every track; ``seq`` counts them as they were written.
        tracks: what became of them: a deleted track ends at its time, a tentative one is not shown.
        every_s: seconds between the steps, a whole number of them.
        confirmed_ns: when an anonymous track was confirmed; before it is not shown.
    """
    if not truth:
        return Scores(steps=0, truths=0, tracks=0, gospa_m=None, loc_rmse_m=None, missed_share=None, false_per_step=None,
                      id_switches=0, estimates=0, nees=None, inside_95=None)
    frame = LocalFrame(lat_deg=truth[0].lat_deg, lon_deg=truth[0].lon_deg)
    paths = _paths(truth, frame)
    lines = _lines(points, tracks, frame, confirmed_ns or {})
    begin_ns = min(r.time_ns for r in truth)
    end_ns = max(r.time_ns for r in truth)
    every_ns = round(every_s * NS)
    values: list[float] = []
    distances: list[float] = []
    missed = false = steps_of_truth = 0
    switches = IdSwitches()
    per: dict[str, list[Any]] = {name: [0, []] for name in paths}
    for t_ns in range(begin_ns + every_ns, end_ns + 1, every_ns):
        there = {name: p for name, path in paths.items() if (p := path.at(t_ns)) is not None}
        seen = {line.track_id: p for line in lines if (p := line.at(t_ns)) is not None}
        names = list(there)
        g = gospa(list(there.values()), list(seen.values()))
        values.append(g.value)
        distances += [d for _, _, d in g.pairs]
        missed, false, steps_of_truth = missed + g.missed, false + g.false, steps_of_truth + len(there)
        switches.step(there, seen)
        for name in names:
            per[name][0] += 1
        for i, _, d in g.pairs:
            per[names[i]][1].append(d)
    errors, covariances = _errors(lines, paths)
    found = nees(errors, covariances)
    return Scores(
        steps=len(values), truths=len(paths), tracks=len(lines),
        gospa_m=sum(values) / len(values) if values else None, loc_rmse_m=rmse_m(distances),
        missed_share=missed / steps_of_truth if steps_of_truth else None,
        false_per_step=false / len(values) if values else None, id_switches=switches.count, estimates=len(found),
        nees=float(found.mean()) if len(found) else None,
        inside_95=float((found <= CHI2_95_2D).mean()) if len(found) else None,
        by_truth=tuple(
            TruthScore(truth_id=name, steps=n, matched=len(ds), loc_rmse_m=rmse_m(ds)) for name, (n, ds) in per.items()
        ),
    )  # fmt: skip


class _Path:
    """One object's truth over time, in the frame's metres."""

    def __init__(self, rows: list[TruthRow], frame: LocalFrame):
        rows.sort(key=lambda r: r.time_ns)
        self._times = [r.time_ns for r in rows]
        self._places = [frame.en(lat_deg=r.lat_deg, lon_deg=r.lon_deg) for r in rows]
        self._carries = [frozenset((*r.carries, r.truth_id)) for r in rows]

    def at(self, t_ns: int) -> tuple[float, float] | None:
        """Where it was, straight between two rows; None where it was not there."""
        i = bisect.bisect_right(self._times, t_ns) - 1
        if i < 0:
            return None
        if self._times[i] == t_ns:
            return self._places[i]
        if i + 1 == len(self._times) or self._times[i + 1] - self._times[i] > TRUTH_GAP_NS:
            return None
        f = (t_ns - self._times[i]) / (self._times[i + 1] - self._times[i])
        (e0, n0), (e1, n1) = self._places[i], self._places[i + 1]
        return e0 + f * (e1 - e0), n0 + f * (n1 - n0)

    def carries(self, identity: str, t_ns: int) -> bool:
        """Whether a device or tag was on it at a time."""
        i = bisect.bisect_right(self._times, t_ns) - 1
        return i >= 0 and identity in self._carries[i]


class _Line:
    """One track over time: its points by their time, each with when it was known."""

    def __init__(self, track: Track, points: list[TrackPoint], frame: LocalFrame, from_ns: int):
        self.track_id, self.tag_id = track.track_id, track.tag_id
        self._from_ns = from_ns
        self._end_ns = track.time_ns if track.status == "deleted" else None
        points.sort(key=lambda p: p.seq)
        self.points = points
        # of the points known at each moment only the newest matters: a staircase in (known, time)
        self._known: list[int] = []
        self._best: list[tuple[int, float, float, float, float]] = []
        newest = 0
        for p in points:
            if p.time_ns >= newest:
                newest = p.time_ns
                e, n = frame.en(lat_deg=p.lat_deg, lon_deg=p.lon_deg)
                self._known.append(newest)
                self._best.append((p.time_ns, e, n, p.ve_mps, p.vn_mps))
        self.places = [frame.en(lat_deg=p.lat_deg, lon_deg=p.lon_deg) for p in points]

    def at(self, t_ns: int) -> tuple[float, float] | None:
        """Where an operator saw it at a time; None: not there."""
        if t_ns < self._from_ns or (self._end_ns is not None and t_ns > self._end_ns):
            return None
        i = bisect.bisect_right(self._known, t_ns) - 1
        if i < 0:
            return None
        time_ns, e, n, ve, vn = self._best[i]
        dt = (t_ns - time_ns) / NS
        return e + ve * dt, n + vn * dt


def _paths(truth: Sequence[TruthRow], frame: LocalFrame) -> dict[str, _Path]:
    rows: dict[str, list[TruthRow]] = {}
    for r in truth:
        rows.setdefault(r.truth_id, []).append(r)
    return {name: _Path(some, frame) for name, some in rows.items()}


def _lines(
    points: Iterable[TrackPoint], tracks: Iterable[Track], frame: LocalFrame, confirmed_ns: Mapping[str, int]
) -> list[_Line]:
    by_track: dict[str, list[TrackPoint]] = {}
    for p in points:
        by_track.setdefault(p.track_id, []).append(p)
    out = []
    for track in sorted(tracks, key=lambda t: t.track_id):
        some = by_track.get(track.track_id)
        from_ns = confirmed_ns.get(track.track_id, track.first_ns)
        anonymous_and_never_confirmed = not track.tag_id and track.status == "deleted" and track.track_id not in confirmed_ns
        if some and track.status != "tentative" and not (confirmed_ns and anonymous_and_never_confirmed):
            out.append(_Line(track, some, frame, from_ns))
    return out


def _errors(lines: list[_Line], paths: dict[str, _Path]) -> tuple[list[Any], list[Any]]:
    errors, covariances = [], []
    for line in lines:
        for p, (e, n) in zip(line.points, line.places, strict=True):
            there = [
                place for path in paths.values()
                if (not line.tag_id or path.carries(line.tag_id, p.time_ns)) and (place := path.at(p.time_ns)) is not None
            ]  # fmt: skip
            if not there:
                continue
            te, tn = min(there, key=lambda q: (q[0] - e) ** 2 + (q[1] - n) ** 2)
            if line.tag_id or (te - e) ** 2 + (tn - n) ** 2 < CUTOFF_M**2:
                errors.append((e - te, n - tn))
                covariances.append(((p.p_ee, p.p_en), (p.p_en, p.p_nn)))
    return errors, covariances
