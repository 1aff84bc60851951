"""How often Birddog cries wolf: a calm week of 20 devices and 50 vessels, and how soon it tells of what is planted.

    .venv/bin/python benchmarks/calm_week.py [--days 7] [--seed 1] [--budget B]
    .venv/bin/python benchmarks/calm_week.py --pairs 24      # what the drift rule's CUSUM does when all is well

Vans that stand for the night, drive by day, and report once a minute with errors that last for minutes, one report in twenty
lost and one fix in two thousand false; vessels under way and at their berths, heard every three minutes and sometimes out of
range.  Asked: at most one false alert a day (what a person must decide: alerts of one thing in two operations are one).
With ``--budget`` the week is folded under ``[alerts] false_per_shift = B`` by vans of which every fourth loses one report in
three, and what was asked stands beside what was measured.

Then each of some planted things, in a quiet day of its own: after how long it is told of, or that it is not.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Iterator

from birddog.geo import LocalFrame
from birddog.model import ENTRY_BODIES, Alarm, Attachment, Device, Entry, Fix, FrameBody, Operation, Start, Tick, pack
from birddog.units import NS
from opsroom.alerts import Alerts
from opsroom.console.views import group_of
from tracking import deception
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
KINDS = {body: kind for kind, body in ENTRY_BODIES.items()}
DAY_S, EVERY_S = 86_400, 60
#: Errors of a receiver: what is new with each fix, what lasts (s), one in so many is false, one in so many is lost.
NEW_M, LASTING_M, LASTS_S, FALSE, LOST = 4.0, 5.0, 300.0, 2000, 20


class Told:
    """A fold with its alerts."""

    def __init__(self, budget: float | None = None) -> None:
        self.fold, self.alerts, self.seq = Fold(), Alerts(), 0
        self.raised: dict[tuple[str, int], tuple[str, int, str]] = {}
        self.add(0, Start(version="bench", presets={} if budget is None else {"alerts": {"false_per_shift": budget}}))

    def add(self, at_s: float, body) -> None:
        self.seq += 1
        at_ns = T0 + round(at_s * NS)
        entry = Entry(seq=self.seq, kind=KINDS[type(body)], received_ns=at_ns, source="", ident=b"", body=pack(body))
        for event in self.fold.apply(entry).events:
            alert = self.alerts.event(event)
            if alert is not None and alert.severity != "info":
                # what comes again is one alert; a person is asked about it ``asked`` times
                self.raised.setdefault((alert.alert_id, alert.asked), (alert.kind, entry.received_ns, group_of(alert)))
        self.alerts.wait(entry.received_ns)

    def decisions(self) -> list[tuple[str, int]]:
        """(kind, when) of everything that a person was asked about; what is told in two operations is one."""
        return list({group: (kind, at_ns) for kind, at_ns, group in self.raised.values()}.values())

    def fix(self, at_s: float, device: str, e: float, n: float, fmt: str = "x", **words) -> None:
        lat, lon = HOME.geodetic(e, n)
        one = Fix(device=device, time_ns=T0 + round(at_s * NS), lat_deg=lat, lon_deg=lon, **words)
        self.add(at_s + 1, FrameBody(format=fmt, version=1, payload=b"", device=device, observations=(one,)))


def errors(rng: random.Random, every_s: float) -> Iterator[tuple[float, float]]:
    """A receiver's errors: a part that lasts (first-order Gauss-Markov) and a new one."""
    keep, be, bn = math.exp(-every_s / LASTS_S), rng.gauss(0.0, LASTING_M), rng.gauss(0.0, LASTING_M)
    while True:
        be = keep * be + math.sqrt(1 - keep * keep) * rng.gauss(0.0, LASTING_M)
        bn = keep * bn + math.sqrt(1 - keep * keep) * rng.gauss(0.0, LASTING_M)
        far = 3_000.0 if rng.random() < 1.0 / FALSE else 0.0
        yield be + rng.gauss(0.0, NEW_M) + rng.gauss(0.0, far), bn + rng.gauss(0.0, NEW_M) + rng.gauss(0.0, far)


def van(rng: random.Random, days: float, every_s: float = EVERY_S) -> Iterator[tuple[float, float, float]]:
    """(t, e, n) each minute: a yard by night, errands by day."""
    home = rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4)
    (e, n), goal, stands_until, speed = home, home, 0.0, 0.0
    t = rng.uniform(0.0, every_s)
    while t < days * DAY_S:
        hour = t / 3600.0 % 24.0
        away = math.hypot(goal[0] - e, goal[1] - n)
        if away > 1.0 and t >= stands_until:
            step = min(away, speed * every_s)
            e, n = e + step * (goal[0] - e) / away, n + step * (goal[1] - n) / away
            if step == away:
                stands_until = t + rng.uniform(300.0, 3600.0)
        elif t >= stands_until:
            goal = home if hour >= 17.0 or hour < 7.0 else (rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4))
            speed = rng.uniform(8.0, 25.0)
        yield t, e, n
        t += every_s


def vessel(rng: random.Random, days: float) -> Iterator[tuple[float, float, float, float, float]]:
    """(t, e, n, speed, course) each three minutes or so; out of range now and then."""
    e, n, course = rng.uniform(-3e4, 3e4), rng.uniform(-3e4, 3e4), rng.uniform(0.0, 360.0)
    moored, t, until = rng.random() < 0.5, rng.uniform(0.0, 180.0), rng.uniform(1e4, 1e5)
    while t < days * DAY_S:
        if t > until:
            moored, until, course = not moored, t + rng.uniform(1e4, 1e5), rng.uniform(0.0, 360.0)
            t += 1800.0 if rng.random() < 0.3 else 0.0
        speed = 0.0 if moored else 6.0
        dt = 180.0 + rng.uniform(-10.0, 10.0)
        if not moored and max(abs(e), abs(n)) > 4e4:
            course = math.degrees(math.atan2(-e, -n)) % 360.0
        e += speed * dt * math.sin(math.radians(course))
        n += speed * dt * math.cos(math.radians(course))
        t += dt
        yield t, e, n, speed, course


def calm(days: float, seed: int, budget: float | None) -> Told:
    """The week, folded."""
    told, said = Told(budget), []
    told.add(0, Operation(operation="A", area=((3.0, 51.0), (5.0, 51.0), (5.0, 53.0), (3.0, 53.0), (3.0, 51.0))))
    for k in range(20):
        rng = random.Random(1000 * seed + k)
        name, noise = f"tag-{k}", errors(rng, EVERY_S)
        told.add(0, Device(device=name, klass="van", interval_s=EVERY_S))
        told.add(0, Attachment(device=name, shipment=f"S{k}", operation="A", from_ns=T0))
        for t, e, n in van(rng, days):
            de, dn = next(noise)
            if rng.randrange(3 if budget is not None and k % 4 == 0 else LOST):
                said.append((t, name, e + de, n + dn, "x", {"sigma_m": 6.0}))
    for k in range(50):
        rng = random.Random(1000 * seed + 500 + k)
        noise = errors(rng, 180.0)
        for t, e, n, speed, course in vessel(rng, days):
            de, dn = next(noise)
            words = {"speed_mps": speed, "course_deg": course, "attributes": {"msg_type": 1}}
            said.append((t, f"2440{k:05d}", e + de, n + dn, "ais", words))
    told.add(0, Device(device="ais-1", basis="own_sensor"))
    for k in range(50):
        told.add(0, Device(device=f"2440{k:05d}", basis="open", klass="vessel"))
    said = sorted((one for one in said if one[0] < days * DAY_S), key=lambda one: one[:2])
    tick = 0.0
    for t, name, e, n, fmt, words in said:
        while tick < t:
            told.add(tick, Tick())
            tick += 300.0
        told.fix(t, name, e, n, fmt, **words)
    return told


def pairs(count: int, every_s: float) -> dict[int, float]:
    """How often two receivers of a van that are well pass each value of the drift rule's CUSUM in a shift of 8 h."""
    over: dict[int, float] = {}
    for least in (20, 40, 60):
        deception.ALARM, told, said = float(least), Told(), []
        told.add(0, Operation(operation="A"))
        for k in range(count):
            rng = random.Random(k)
            way = list(van(rng, 1 / 3, every_s))
            for j, name in enumerate((f"a{k}", f"b{k}")):
                noise = errors(random.Random(f"{k}{j}"), every_s)
                told.add(0, Device(device=name, klass="van", interval_s=every_s))
                told.add(0, Attachment(device=name, shipment=f"S{k}", operation="A", from_ns=T0))
                for (t, e, n), (_, e1, n1) in zip(way, way[1:], strict=False):
                    de, dn = next(noise)
                    if rng.randrange(LOST):
                        said.append((t + j * every_s / 3, name, e + (e1 - e) * j / 3 + de, n + (n1 - n) * j / 3 + dn))
        for t, name, e, n in sorted(said):
            told.fix(t, name, e, n, sigma_m=6.0)
        over[least] = sum(alert.count for alert in told.alerts.snapshot() if alert.kind == "drift") / count
    return over


def planted(kind: str, seed: int, budget: float | None) -> str:
    """What is planted at noon of a quiet day, and when it was told of."""
    told, rng, at = Told(budget), random.Random(seed), 43_200
    told.add(0, Operation(operation="A"))
    for name in ("a", "b"):
        told.add(0, Device(device=name, klass="van", interval_s=EVERY_S))
        told.add(0, Attachment(device=name, shipment="S", operation="A", from_ns=T0))
    noises = {name: errors(rng, EVERY_S) for name in "ab"}
    for t in range(36_000, 50_400, EVERY_S):
        for k, name in enumerate("ab"):
            s = t + 20 * k
            (de, dn), since = next(noises[name]), s - at
            e, n = 12.0 * (s - 36_000) + de, dn
            if since > 0 and name == "b":
                if kind == "silent":
                    continue
                n += {"drift 0.5 m/s": 0.5, "drift 2 m/s": 2.0, "parted": -12.0}.get(kind, 0.0) * since
                e -= 12.0 * since if kind == "left behind" else 0.0
                e, n = (12.0 * (at - 36_000), 0.0) if kind == "frozen" else (e + 5e6, n) if kind == "impossible" else (e, n)
                if kind == "jamming" and since <= EVERY_S + 20:
                    told.add(s, FrameBody(format="x", version=1, payload=b"", device="b",
                                          observations=(Alarm(device="b", time_ns=T0 + s * NS, alarm="jamming"),)))  # fmt: skip
            if kind == "silent" and since > 0:
                continue
            told.fix(s, name, e, n, sigma_m=6.0)
        told.add(t + 30, Tick())
    found = [(ns, what) for what, ns in told.decisions() if ns > T0 + at * NS]
    return "never" if not found else f"{(min(found)[0] - T0) / NS - at:6.0f} s  {min(found)[1]}"


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--pairs", type=int)
    args = parser.parse_args()
    if args.pairs is not None:
        print(f"drifts of {args.pairs} pairs that are well, a pair and shift, by the CUSUM's alarm: {pairs(args.pairs, 10.0)}")
        return
    told = calm(args.days, args.seed, args.budget)
    count = Counter(kind for kind, _ in told.decisions())
    rate = sum(count.values()) / args.days
    print(f"{told.seq} entries of {args.days:g} calm days: {rate:.2f} false alerts a day (asked: 1) {dict(count)}")
    if args.budget is not None:
        print(f"false alarms a shift of 8 h: asked {args.budget:g}, measured {rate / 3.0:.2f}")
    for kind in ("silent", "parted", "left behind", "drift 0.5 m/s", "drift 2 m/s", "frozen", "impossible", "jamming"):
        print(f"{kind:14} told after {planted(kind, args.seed, args.budget)}")


if __name__ == "__main__":
    main()
