"""Why a track is where it is: what was measured, what became of it and why, which hypotheses live, which motions hold.

A ``Watch`` goes along with a fold and notes of one track what each entry brought it.  What a measurement was worth is read from
the track's own ring, where the filter's verdict stands beside it, as long as it is there; a late one may change the verdict of
those after it, so the last one read before it leaves the ring holds.  Nothing is decided here, and nothing changes the fold.

Over 400 lines: what is told of a track is one answer, from its measurements to its hypotheses.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from birddog.geo import distance_m, ellipse
from birddog.model import Entry, Fix, FrameBody, RefusalBody, Track
from birddog.units import CHI2_95_2D, NS, iso_from_ns
from tracking import dwell, onward, reach, setoff
from tracking.anchor import frame
from tracking.book import Changes
from tracking.fold import Fold
from tracking.kernel import reach_m
from tracking.measurement import Measurement
from tracking.motion import Bank, Motion, moments
from tracking.presets import Presets
from tracking.step import Core, Model, placed, predicted, weighed
from tracking.track_state import LiveTrack

#: The motions of a live track, in the order of ``motion.motion_of``: ``bank.ROUND`` and ``HARD``, then ``bank.MODES``; in words
#: that hold of a ship and of a van, for either may move by any of them.
NAMES = (
    "a round, now here, now there", "a turn that goes on", "stopped at a light", "to and fro", "steady", "stop and go",
    "lively", "town traffic", "swinging about a place", "holding its course", "a long bend", "slow manoeuvres",
    "parked for hours", "motorway", "level flight", "climbing and turning",
)  # fmt: skip
#: Of a plain track's one motion, and of what stands where it is.
ONE = ("the one motion of the reference engine",)
#: What became of a measurement that is believed.
USED = ("began", "used", "moved", "merged", "beside")


class _Seen(msgspec.Struct):
    """A measurement that reached the track, and what was last read of it.

    Args:
        nis: the smallest among the motions, as the points of the history have it; whole: that of the bank's one Gaussian.
        doubted: whether looks make its receiver doubtful, so that it moves nothing.
        hung: it only says its receiver's last place again, so that it moves nothing (``stuck``).
        odds: how much likelier a false measurement is than what the track does, a logarithm.
    """

    m: Measurement
    number: int
    received_ns: int
    outcome: str
    nis: float
    whole: float | None = None
    doubted: bool = False
    hung: int = 0
    reason: str = ""
    odds: float | None = None


class Watch:
    """Goes along with a fold: ``after`` each of its entries; ``answer`` says all that is known of the track then.

    Args:
        track_id: as ``/v1/tracks`` has it.
    """

    def __init__(self, fold: Fold, track_id: str):
        self.fold, self.track_id = fold, track_id
        self._seen: dict[Measurement, _Seen] = {}
        self._window: dict[Measurement, None] = {}
        self._aside: list[dict[str, Any]] = []
        #: The steps of a contact's trail, each as it is told by now; the entry that brought each.
        self._points: dict[tuple[int, str], dict[str, Any]] = {}
        self._brought: dict[tuple[int, str], Entry] = {}
        self.version, self.start = "", 0
        self.last: Entry | None = None

    def after(self, entry: Entry, body: msgspec.Struct, changes: Changes) -> None:
        """The fold has just taken in this entry."""
        self.last = entry
        if entry.kind == "start":
            self.version, self.start = str(getattr(body, "version", "")), entry.seq
        live = self.fold.live(self.track_id)
        if live is not None:
            ours = None
            if isinstance(body, FrameBody | RefusalBody) and any(
                o.device in live.state.identities for o in body.observations
            ):
                ours = body
            if ours is not None or any(row.track_id == self.track_id for row in changes.tracks):
                self._read(live, entry)
            if ours is not None:
                self._left_out(live, entry, ours)
        for point in changes.points:
            if point.track_id != self.track_id or point.origin != "sighting":
                continue
            step = point.time_ns, point.step
            if point.withdrawn:
                self._points.pop(step, None)
            elif live is None:
                by = self._brought.setdefault(step, entry)  # later entries tell it anew
                self._points[step] = {
                    "time": iso_from_ns(point.time_ns), "received": iso_from_ns(by.received_ns), "entry": by.seq,
                    "origin": point.origin, "device": point.device, "outcome": "used", "nis": point.nis,
                    "nis_least": point.nis, "lat_deg": round(point.lat_deg, 7), "lon_deg": round(point.lon_deg, 7),
                }  # fmt: skip

    def _read(self, live: LiveTrack, entry: Entry) -> None:
        """What the ring says now of its measurements; of those that are as they were, nothing new."""
        model = self.fold.model(live)
        before = base = live.base
        window: dict[Measurement, None] = {}
        for one, core, (verdict, nis) in live.verdicts(model):
            # the same measurement, whether its receiver is believed or not
            m = msgspec.structs.replace(one, doubted=False, hung=0) if one.doubted or one.hung else one
            window[m] = None
            seen = self._seen.get(m)
            if seen is None:
                seen = self._seen[m] = _Seen(m, entry.seq, entry.received_ns, "", 0.0)
            outcome = "refused" if one.hung else verdict
            if (seen.outcome, seen.nis, seen.doubted, seen.hung) != (outcome, nis, one.doubted, one.hung):
                seen.outcome, seen.nis, seen.doubted, seen.hung = outcome, nis, one.doubted, one.hung
                _weigh(seen, before, model)
            before = core
        for m in self._window:
            if m not in window and (base is None or m.time_ns > base.time_ns):
                self._seen[m].outcome, self._seen[m].reason = "left out", self._taken_out(live, m)
        self._window = window

    def _taken_out(self, live: LiveTrack, m: Measurement) -> str:
        """Why a measurement that was in the ring is there no more."""
        if m.origin == "sighting":
            return "a later look says that it was another's"
        if msgspec.structs.replace(m, here=not m.here) in [one.m for one in live.state.decided] or m.here:
            return "an operator's decision stands for it"
        return self._said_false(live, m.device, m.time_ns) or "another measurement of the same device and time stands for both"

    @staticmethod
    def _said_false(live: LiveTrack, device: str, time_ns: int) -> str:
        of = (d for d in live.state.decided
              if d.action == "false_fix" and d.m is not None and (d.m.device, d.m.time_ns) == (device, time_ns))  # fmt: skip
        return next((f"said to be false by decision D{one.number}" for one in of), "")

    def _left_out(self, live: LiveTrack, entry: Entry, body: FrameBody | RefusalBody) -> None:
        """Fixes of this entry that are not in the track's ring, and why."""
        s = live.state
        for observation in body.observations:
            if not isinstance(observation, Fix) or observation.device not in s.identities:
                continue
            time_ns = entry.received_ns if observation.time_ns is None else observation.time_ns
            if any(_of(m, observation) and (m.time_ns == time_ns or self._seen[m].number == entry.seq) for m in self._window):
                continue
            self._aside.append(
                {"time": iso_from_ns(time_ns), "origin": "fix", "device": observation.device, "entry": entry.seq,
                 "outcome": "left out", "nis": None, "nis_least": None, "lat_deg": round(observation.lat_deg, 7),
                 "lon_deg": round(observation.lon_deg, 7), "reason": self._aside_for(live, observation, time_ns, entry)}
            )  # fmt: skip

    def _aside_for(self, live: LiveTrack, fix: Fix, time_ns: int, entry: Entry) -> str:
        presets = self.fold.presets
        if false := self._said_false(live, fix.device, time_ns):
            return false
        if self.fold.holds(live, fix, time_ns):
            return "its receiver is jammed, and says the last place to the digit: that is nothing of where it is"
        if time_ns > entry.received_ns + presets.ahead_s * NS:
            return "its clock is ahead: no time is believed that has not come yet"
        if live.base_ns is not None and time_ns <= live.base_ns:
            window = f"{presets.late_s:g} s, {presets.late_count} measurements"
            return f"older than the window of late data ({window}): a point of the history, and of the smoothed one"
        return "another measurement of the same device and time stands for both"

    # --- the answer -------------------------------------------------------------------------------

    def answer(self, at_ns: int) -> dict[str, Any] | None:
        """All of it, at a time not before the newest entry; None: there is no such track."""
        row = next((t for t in self.fold.believed(at_ns) if t.track_id == self.track_id), None)
        if row is None:
            return None
        live, presets = self.fold.live(self.track_id), self.fold.presets
        sighted = {m.time_ns for m in self._seen if m.origin == "sighting"}  # of a tag that was a contact before
        steps = [one for (time_ns, _), one in self._points.items() if time_ns not in sighted]
        found = [_seen_json(one) for one in self._seen.values()] + self._aside + steps
        found.sort(key=lambda one: (one["time"], one["entry"]))
        models, hypotheses = _contact(row) if live is None else self._beliefs(live, at_ns, row)
        way = None if live is None else _way(live, self.fold.model(live), at_ns, self.fold.quiet_s(live), row)
        used = [one for one in found if one["outcome"] in USED]
        return {
            "track_id": self.track_id,
            "at": iso_from_ns(at_ns),
            "operation": row.operation,
            "name": row.name,
            "class": row.klass,
            "status": row.status,
            "identities": list(row.identities),
            "version": self.version,
            "entries": 0 if self.last is None else self.last.seq,
            "used": used,
            "refused": [one for one in found if one["outcome"] not in USED],
            "hypotheses": hypotheses,
            "way": way,
            "models": models,
            "learnt": [] if live is None else _learnt(live, self.fold.model(live), self.fold.trust(self.track_id)),
            "decisions": [] if live is None else [
                {"decision": f"D{one.number}", "action": one.action} for one in live.state.decided
            ],
            "presets": _presets(presets, row.klass, self.start),
        }  # fmt: skip

    def _beliefs(self, live: LiveTrack, at_ns: int, row: Track) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        model = self.fold.model(live)
        core = live.core(model)
        assert core is not None
        motion = model.motion
        models = _weights(core.bank, motion, max(0, at_ns - core.updated_ns) / NS)
        main = {
            "what": "the track", "lat_deg": round(row.lat_deg, 7), "lon_deg": round(row.lon_deg, 7),
            "ellipse95": _ellipse(row.p_ee, row.p_en, row.p_nn), "speed_mps": round(math.hypot(row.ve_mps, row.vn_mps), 3),
            "hits": core.hits, "refused_of_last_5": core.refused_lately, "updated": iso_from_ns(core.updated_ns),
        }  # fmt: skip
        hypotheses = [main]
        rival = core.rival
        if rival is not None:
            lat, lon, _ = placed(core, core.x)
            away_m = distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=rival.lat_deg, lon2_deg=rival.lon_deg)
            hypotheses.append({
                "what": "another receiver of the shipment, which has parted" if core.parted else "where its receiver says, and "
                "looks show nothing" if rival.doubted else "where the refused fixes say",
                "lat_deg": round(rival.lat_deg, 7), "lon_deg": round(rival.lon_deg, 7), "away_m": round(away_m, 1),
                "hits": rival.hits, "takes_over_at": model.presets.reinit_count, "device": rival.device,
                "since": iso_from_ns(rival.begun_ns), "updated": iso_from_ns(rival.time_ns),
            })  # fmt: skip
        elif row.rival_lat_deg is not None and row.rival_lon_deg is not None:
            lat, lon = row.rival_lat_deg, row.rival_lon_deg
            away_m = distance_m(lat1_deg=row.lat_deg, lon1_deg=row.lon_deg, lat2_deg=lat, lon2_deg=lon)
            hypotheses.append({
                "what": "where looks go on seeing what it was on" if row.rival_hits else
                "where it may be by what was read beside it",
                "lat_deg": round(row.rival_lat_deg, 7), "lon_deg": round(row.rival_lon_deg, 7), "away_m": round(away_m, 1),
                "hits": row.rival_hits, "device": row.rival_device,
            })  # fmt: skip
        if core.sides is not None and core.sides.torn:
            hypotheses.append({"what": "two sources that steadily disagree: it is shown between them",
                               "apart_m": round(core.sides.apart_m, 1), "changes": core.sides.count})  # fmt: skip
        return models, hypotheses


def _way(live: LiveTrack, model: Model, at_ns: int, quiet_s: float, row: Track) -> dict[str, Any]:
    """What the row is drawn by between two reports (``step.predicted``): the motions, a stay, a way that goes on or turns, or
    that a report is overdue; and the other places that its ellipse holds for that.

    Args:
        quiet_s: not heard for longer, it is overdue.
    """
    core = live.core(model)
    assert core is not None
    way, last, dt_s = core.way, core.x, max(0, at_ns - core.updated_ns) / NS
    ours = model.motion.engine is None
    overdue = dt_s > quiet_s and len(model.motion.modes) > 1
    stays = ours and dwell.stays(core.moved_ns, core.first_ns, core.updated_ns, dt_s, quiet_s)
    sets_off = ours and not stays and dt_s > 0.0 and setoff.sets_off(way)
    goes_on = ours and not stays and onward.goes_on(way, dt_s, quiet_s)
    turns = ours and not stays and not sets_off and onward.turns(way, dt_s, quiet_s)
    leaves = ours and not stays and not sets_off and reach.leaves(way, dt_s, quiet_s)
    by, places = "the motions", list[tuple[str, float, float]]()
    if stays:
        by = "its stay, which goes on: the region holds it at 95 %, place and departures together"
    if sets_off:
        by = f"it set off within the {-way[5]:.0f} s before its last fix, at a speed that nobody knows"
        places.append(("it stopped at once where it was last", last[0], last[2]))
    if goes_on:
        by = "its way, which goes on as it did"
        if len(core.bank) == len(model.motion.modes):  # of another class it is a moment old
            x = moments(core.bank, dt_s, model.motion)
            places.append(("what the motions have, if its way has ended", x[0], x[2]))
        places.append(("it stopped at once where it was last", last[0], last[2]))
    if turns:
        by += "; it turns or stops now and then"
        ve, vn = onward.turning(way)
        on_e, on_n = ve * dt_s, vn * dt_s
        places += [*([] if goes_on else [("it went straight on", last[0] + on_e, last[2] + on_n)]),
                   *_sides(last[0], last[2], on_e, on_n)]  # fmt: skip
    if overdue:
        by = f"{by if sets_off else 'the motions'}; its report is overdue, so that it may have stopped, turned or gone on"
        x = predicted(core, at_ns, model, quiet_s)
        places.append(("it stopped at once where it was last", last[0], last[2]))
        places += _sides(last[0], last[2], x[0] - last[0], x[2] - last[2])
    if leaves or overdue:
        places += _reached(core, dt_s)
    later_ns, earlier_ns = live.state.dated
    if later_ns:
        x = predicted(core, max(at_ns - later_ns, core.updated_ns), model, quiet_s)
        places.append((f"its clock is {later_ns / NS:.0f} s behind, and its way not so long", x[0], x[2]))
    if earlier_ns:
        x = predicted(core, max(at_ns, core.updated_ns) + earlier_ns, model, quiet_s)
        places.append((f"its messages took {earlier_ns / NS:.0f} s longer than is known", x[0], x[2]))
    return {
        "drawn_by": by, "since_last_used_s": round(dt_s, 3), "overdue_after_s": round(quiet_s, 3),
        "stood_for_s": round(core.stood_s, 3) if stays else None,
        "goes_on": None if way[5] <= 0.0 else {
            "speed_mps": round(math.hypot(way[0], way[1]), 3),
            "course_deg": round(math.degrees(math.atan2(way[0], way[1])) % 360.0, 1), "seen_for_s": round(way[2], 1),
            "chance": round(onward.chance(way, dt_s), 4), "missed_by": round(math.sqrt(way[4]), 3),
        },
        "breaks": round(way[3], 2), "holds": _places(core, places, row),
    }  # fmt: skip


def _places(core: Core, places: list[tuple[str, float, float]], row: Track) -> list[dict[str, Any]]:
    """Places in a filter's frame, on Earth, and how far each is from where the track is shown."""
    found = []
    for what, e, n in places:
        try:
            lat, lon = frame(core.lat0_deg, core.lon0_deg).geodetic(e, n)
        except ValueError:  # beyond the horizon of its frame: the row is not there either
            continue
        away_m = distance_m(lat1_deg=row.lat_deg, lon1_deg=row.lon_deg, lat2_deg=lat, lon2_deg=lon)
        found.append({"what": what, "lat_deg": round(lat, 7), "lon_deg": round(lon, 7), "away_m": round(away_m, 1)})
    return found


def _sides(last_e: float, last_n: float, e: float, n: float, then: str = "") -> list[tuple[str, float, float]]:
    """Where it is if it turned square at once and went as far (``onward.any_way``)."""
    return [(f"it turned square at once to its left{then}", last_e - n, last_n + e),
            (f"it turned square at once to its right{then}", last_e + n, last_n - e)]  # fmt: skip


def _reached(core: Core, dt_s: float) -> list[tuple[str, float, float]]:
    """Where it is if it went as fast as it was seen to (``reach.reached``)."""
    last = core.x
    ve, vn, fast = reach.at_most(last, core.way)
    goes = math.hypot(ve, vn)
    if goes > 0.0:
        e, n = fast * dt_s * ve / goes, fast * dt_s * vn / goes
        return [("it went on as fast as it was seen to go", last[0] + e, last[2] + n), *_sides(last[0], last[2], e, n, " then")]
    far = reach_m(fast, core.stood_s, dt_s)
    ways = ("east", far, 0.0), ("north", 0.0, far), ("west", -far, 0.0), ("south", 0.0, -far)
    return [(f"it left, as fast as it was seen to go, to the {to}", last[0] + e, last[2] + n) for to, e, n in ways if far > 0.0]


def _of(m: Measurement, fix: Fix) -> bool:
    """Whether a measurement is a fix's, whatever time a clock that is behind is taken to mean."""
    same = abs(m.lat_deg - fix.lat_deg) < 1e-9 and abs(m.lon_deg - fix.lon_deg) < 1e-9
    return same and m.device == fix.device and m.origin == "fix"


def _seen_json(one: _Seen) -> dict[str, Any]:
    m = one.m
    out: dict[str, Any] = {
        "time": iso_from_ns(m.time_ns), "received": iso_from_ns(one.received_ns), "entry": one.number, "origin": m.origin,
        "device": m.device, "lat_deg": round(m.lat_deg, 7), "lon_deg": round(m.lon_deg, 7), "r_ee": m.r_ee, "r_en": m.r_en,
        "r_nn": m.r_nn, "sigma_stated": m.stated, "outcome": one.outcome, "nis": one.whole,
        "nis_least": one.nis if math.isfinite(one.nis) else None,
    }  # fmt: skip
    if m.ve_mps is not None:
        out |= {"ve_mps": m.ve_mps, "vn_mps": m.vn_mps}
    if one.reason:
        out["reason"] = one.reason
    if one.odds is not None:
        out["log_odds_false"] = round(one.odds, 2)
    return out


def _weigh(seen: _Seen, before: Core | None, model: Model) -> None:
    """What the filter before a measurement made of it: its NIS, and why it was refused."""
    m = seen.m
    seen.whole, seen.reason, seen.odds = None, "", None
    if seen.hung:
        seen.reason = f"frozen: {m.device} says its last place again, to the digit, while it says that it goes" + (
            f" {m.speed_mps:.0f} m/s" if m.speed_mps > 0.0 else "") + ": that is nothing of where it is"
        return
    found = None if before is None else weighed(before, m, model)
    if before is None or found is None:
        seen.reason = "" if before is None or seen.outcome != "refused" else "more than 2,000 km from where it is"
        return
    seen.whole = found.nis
    if seen.doubted:
        seen.reason = f"looks make {m.device} doubtful: they see the track elsewhere, or nothing where it says"
        return
    if seen.outcome != "refused":
        return
    seen.odds = odds = found.false_log - found.log
    lat, lon, _ = placed(before, found.expected)
    where = f"{distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg):.0f} m from where it was expected"
    if m.origin != "fix" and seen.nis > model.preset.gate:
        seen.reason = f"{where}: NIS {seen.nis:.4g} is over the gate of {model.preset.gate:g}"
    elif odds > 0.0:
        seen.reason = f"{where}: a false {m.origin} is likelier (by e^{odds:.1f}) than anything that the track does"
    else:
        seen.reason = f"{where}: another receiver of the shipment leads"


def _weights(bank: Bank, motion: Motion, dt_s: float) -> list[dict[str, Any]]:
    """The chance of each motion: at the last measurement, and after the time since."""
    mu = np.array(bank.mu)
    later = mu @ motion.chances(dt_s) if dt_s > 0.0 and len(mu) == len(motion.modes) and len(mu) > 1 else mu
    names = NAMES if len(mu) == len(NAMES) else ONE if len(mu) == 1 else tuple(f"motion {k + 1}" for k in range(len(mu)))
    rows = [
        {"model": name, "weight": round(float(now), 6), "weight_at_last_measurement": round(float(then), 6),
         "q_m2ps3": mode.q, "tau_s": mode.tau_s, "parked": mode.parked}
        for name, now, then, mode in zip(names, later, mu, motion.modes, strict=True)
    ]  # fmt: skip
    return sorted(rows, key=lambda one: -one["weight"])


def _contact(row: Track) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is believed of an anonymous contact."""
    main = {
        "what": "an anonymous contact", "lat_deg": round(row.lat_deg, 7), "lon_deg": round(row.lon_deg, 7),
        "ellipse95": _ellipse(row.p_ee, row.p_en, row.p_nn), "speed_mps": round(math.hypot(row.ve_mps, row.vn_mps), 3),
        "hits": row.hits, "updated": iso_from_ns(row.updated_ns),
    }  # fmt: skip
    return [], [main]


def _ellipse(p_ee: float, p_en: float, p_nn: float) -> dict[str, float]:
    major, minor, azimuth = ellipse(p_ee, p_en, p_nn, CHI2_95_2D)
    return {"major_m": round(major, 2), "minor_m": round(minor, 2), "azimuth_deg": round(azimuth, 1)}


def _learnt(live: LiveTrack, model: Model, trust: dict[str, float]) -> list[dict[str, Any]]:
    """What was learnt of its receivers: one sigma per axis of a fix, of a velocity, and how far they are trusted."""
    core = live.core(model)
    if core is None:
        return []
    found: list[dict[str, Any]] = [
        {"device": one.device, "sigma_m": round(math.sqrt(one.r), 3), "fixes": round(one.count, 1),
         "velocity_sigma_mps": round(math.sqrt(one.r_v), 3), "trust": trust.get(one.device, 1.0)}
        for one in core.noise
    ]  # fmt: skip
    for one in core.receivers[1:]:
        if one.has_arm:
            row = next((row for row in found if row["device"] == one.device), None)
            if row is None:
                found.append(row := {"device": one.device, "trust": trust.get(one.device, 1.0)})
            row |= {"apart_m": round(one.away_m, 1), "apart_from": core.receivers[0].device}
    return found


def _presets(presets: Presets, klass: str, start: int) -> dict[str, Any]:
    """What holds: every general setting, and that of the track's class; the entry that said so (0: defaults)."""
    said = msgspec.to_builtins(presets)
    said.pop("classes")
    return {"entry": start, **said, "class": {"name": klass, **msgspec.to_builtins(presets.of(klass))}}

