"""Tracks from a file of detections in order of arrival: the core of `birddog track`.  No I/O.

All sensors' detections of one object go into one track, whoever saw it; a tag's identity sticks to the track.  The
looks (one sensor, one time) are kept in order of observation with the tracks after each; a late detection takes its
place and the looks after it are run again, associations included.  So what is believed at tau is a function of what had
arrived by tau, in whatever order.  A look counts as a miss only when all its reports must have come in.
"""

from __future__ import annotations

import bisect
import math

import msgspec

from tracking.bank import Bank
from tracking.looks import CLUTTER_PER_M2, LATENCY_S, PD, Detection, Sensor, State, ahead, empty, moments, step

__all__ = ["CLUTTER_PER_M2", "LATENCY_S", "PD", "Believed", "Detection", "Follower", "Sensor"]


#: A time beyond this is no scenario's, whose clock begins at 0, but POSIX: a sensor's phase is then that of its first look.
SCENARIO_S = 1e7


class Believed(msgspec.Struct, frozen=True):
    """A confirmed track at a time."""

    track_id: str
    tag_id: str
    e_m: float
    n_m: float
    ve_mps: float
    vn_mps: float
    p_ee: float
    p_en: float
    p_nn: float


class _Look:
    """One sensor at one time, with what has arrived of it so far."""

    __slots__ = ("complete", "detections", "key", "sensor", "tagged")

    def __init__(self, key: tuple[float, str, bool], sensor: Sensor):
        self.key, self.sensor, self.tagged = key, sensor, key[2]
        self.detections: list[Detection] = []
        self.complete = False


class Follower:
    """Feed it detections in order of arrival; ask it what is believed at a time."""

    def __init__(self, sensors: dict[str, Sensor]):
        self.sensors = dict(sensors)
        self._met: set[str] = set()
        self._looks: list[_Look] = []
        self._by_key: dict[tuple[float, str, bool], _Look] = {}
        self._states: list[State] = []
        self._scheduled: dict[str, int] = {name: 0 for name, s in sensors.items() if s.period_s > 0.0}
        self._open: list[_Look] = []
        self._labels: dict[str, str] = {}
        self._shown: dict[str, tuple[float, float]] = {}
        self._next = 1

    def add(self, d: Detection) -> None:
        """One detection that has arrived."""
        if abs(d.t_s) > SCENARIO_S and not d.tag_id and d.sensor in self._scheduled and d.sensor not in self._met:
            self._met.add(d.sensor)
            self.sensors[d.sensor] = msgspec.structs.replace(self.sensors[d.sensor], phase_s=d.t_s)
            self._scheduled[d.sensor] = 0
        look = self._look((d.t_s, d.sensor, bool(d.tag_id)))
        self._dirty(look)
        look.detections.append(d)
        look.detections.sort(key=lambda x: (x.tag_id, x.number))
        if look.sensor.prompt:
            look.complete = True

    def _look(self, key: tuple[float, str, bool]) -> _Look:
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = _Look(key, self.sensors.get(key[1]) or Sensor(name=key[1]))
            at = bisect.bisect_left(self._looks, key, key=lambda x: x.key)
            self._looks.insert(at, found)
            del self._states[at:]
            if not found.tagged:
                self._open.append(found)
        return found

    def _dirty(self, look: _Look) -> None:
        at = bisect.bisect_left(self._looks, look.key, key=lambda x: x.key)
        del self._states[at:]

    def believed(self, tau_s: float) -> list[Believed]:
        """The confirmed tracks at tau, from what was added; tau never goes back."""
        self._schedule(tau_s)
        begin = len(self._states)
        state = self._states[-1] if begin else empty(0.0)
        for look in self._looks[begin:]:
            state = step(
                state, look.key[0], look.sensor, look.detections, tagged=look.tagged, complete=look.complete
            )
            self._states.append(state)
        last = bisect.bisect_right(self._looks, tau_s, key=lambda x: x.key[0])
        state = self._states[last - 1] if last else empty(tau_s)
        return self._shown_at(state, tau_s)

    def _schedule(self, tau_s: float) -> None:
        """Looks that must have taken place by now though nothing came of them, and looks whose reports are all in."""
        for name, done in self._scheduled.items():
            s = self.sensors[name]
            if abs(tau_s) > SCENARIO_S and name not in self._met:
                continue
            while (t := round(s.phase_s + done * s.period_s, 6)) + s.latency_s <= tau_s:
                self._look((t, name, False))
                done += 1
            self._scheduled[name] = done
        waiting = []
        for look in self._open:
            if look.complete:
                continue
            if look.key[0] + look.sensor.latency_s <= tau_s:
                look.complete = True
                self._dirty(look)
            else:
                waiting.append(look)
        self._open = waiting

    def _shown_at(self, state: State, tau_s: float) -> list[Believed]:
        keep = [i for i, t in enumerate(state.tracks) if t.confirmed]
        if not keep:
            self._shown = {}
            return []
        bank = ahead(Bank(state.bank.mu[keep], state.bank.x[keep], state.bank.p[keep]), tau_s - state.t_s)
        mean, p = moments(bank)
        names = [state.tracks[i].name for i in keep]
        labels = self._labelled(names, [(float(m[0]), float(m[2])) for m in mean])
        out = []
        for k, i in enumerate(keep):
            tags = state.tracks[i].tags
            m = mean[k]
            out.append(
                Believed(
                    labels[k], tags[0][1] if tags else "", float(m[0]), float(m[2]), float(m[1]), float(m[3]),
                    float(p[k, 0, 0]), float(p[k, 0, 2]), float(p[k, 2, 2]),
                )
            )  # fmt: skip
        return sorted(out, key=lambda b: int(b.track_id[1:]))

    def _labelled(self, names: list[str], places: list[tuple[float, float]]) -> list[str]:
        """Outward ids: a rerun that begins a track with another detection keeps the id of the one it stands for."""
        used = {self._labels[n] for n in names if n in self._labels}
        free = {label: at for label, at in self._shown.items() if label not in used}
        for name, (e, n) in zip(names, places, strict=True):
            if name in self._labels:
                continue
            near = [(math.hypot(e - at[0], n - at[1]), label) for label, at in free.items()]
            best = min(near, default=(math.inf, ""))
            if best[0] <= 60.0:
                self._labels[name] = best[1]
                del free[best[1]]
            else:
                self._labels[name] = f"T{self._next}"
                self._next += 1
        labels = [self._labels[n] for n in names]
        seen: set[str] = set()
        for k, label in enumerate(labels):
            if label in seen:  # two that were one: the later gets an id of its own
                labels[k] = self._labels[names[k]] = f"T{self._next}"
                self._next += 1
            seen.add(labels[k])
        self._shown = dict(zip(labels, places, strict=True))
        return labels
