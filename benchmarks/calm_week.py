"""How often Birddog cries wolf: a calm week of 20 devices and 50 vessels, and how soon it tells of what is planted.

    .venv/bin/python benchmarks/calm_week.py [--days 7] [--seed 1]

Vans that stand for the night, drive by day, and report once a minute with errors that last for minutes, one report in twenty
lost and one fix in two thousand false; vessels under way and at their berths, heard every three minutes and sometimes out of
range.  Asked: at most one false alert a day (what a person must decide: alerts of one thing in two operations are one).
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
from tracking.fold import Fold

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
KINDS = {body: kind for kind, body in ENTRY_BODIES.items()}
DAY_S, EVERY_S = 86_400, 60
#: Errors of a receiver: what is new with each fix, what lasts (s), one in so many is false, one in so many is lost.
NEW_M, LASTING_M, LASTS_S, FALSE, LOST = 4.0, 5.0, 300.0, 2000, 20


class Told:
    """A fold with its alerts."""

    def __init__(self) -> None:
        self.fold, self.alerts, self.seq = Fold(), Alerts(), 0
        self.raised: dict[str, tuple[str, int, str, str]] = {}
        self.add(0, Start(version="bench", presets={}))

    def add(self, at_s: float, body) -> None:
        self.seq += 1
        at_ns = T0 + round(at_s * NS)
        entry = Entry(seq=self.seq, kind=KINDS[type(body)], received_ns=at_ns, source="", ident=b"", body=pack(body))
        for event in self.fold.apply(entry).events:
            alert = self.alerts.event(event)
            if alert is not None and alert.severity != "info":
                self.raised.setdefault(group_of(alert), (alert.kind, entry.received_ns, alert.device, alert.text))
        self.alerts.wait(entry.received_ns)

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


def van(rng: random.Random, days: float) -> Iterator[tuple[float, float, float]]:
    """(t, e, n) each minute: a yard by night, errands by day."""
    home = rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4)
    (e, n), goal, stands_until, speed = home, home, 0.0, 0.0
    t = rng.uniform(0.0, EVERY_S)
    while t < days * DAY_S:
        hour = t / 3600.0 % 24.0
        away = math.hypot(goal[0] - e, goal[1] - n)
        if away > 1.0 and t >= stands_until:
            step = min(away, speed * EVERY_S)
            e, n = e + step * (goal[0] - e) / away, n + step * (goal[1] - n) / away
            if step == away:
                stands_until = t + rng.uniform(300.0, 3600.0)
        elif t >= stands_until:
            goal = home if hour >= 17.0 or hour < 7.0 else (rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4))
            speed = rng.uniform(8.0, 25.0)
        yield t, e, n
        t += EVERY_S


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


def calm(days: float, seed: int) -> Told:
    """The week, folded."""
    told, said = Told(), []
    told.add(0, Operation(operation="A", area=((3.0, 51.0), (5.0, 51.0), (5.0, 53.0), (3.0, 53.0), (3.0, 51.0))))
    for k in range(20):
        rng = random.Random(1000 * seed + k)
        name, noise = f"tag-{k}", errors(rng, EVERY_S)
        told.add(0, Device(device=name, klass="van", interval_s=EVERY_S))
        told.add(0, Attachment(device=name, shipment=f"S{k}", operation="A", from_ns=T0))
        for t, e, n in van(rng, days):
            de, dn = next(noise)
            if rng.randrange(LOST):
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


def planted(kind: str, seed: int) -> str:
    """What is planted at noon of a quiet day, and when it was told of."""
    told, rng, at = Told(), random.Random(seed), 43_200
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
    found = [(ns, what) for what, ns, _, _ in told.raised.values() if ns > T0 + at * NS]
    return "never" if not found else f"{(min(found)[0] - T0) / NS - at:6.0f} s  {min(found)[1]}"


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    told = calm(args.days, args.seed)
    count = Counter(kind for kind, *_ in told.raised.values())
    rate = sum(count.values()) / args.days
    print(f"{told.seq} entries of {args.days:g} calm days: {rate:.2f} false alerts a day (asked: 1) {dict(count)}")
    for kind in ("silent", "parted", "left behind", "drift 0.5 m/s", "drift 2 m/s", "frozen", "impossible", "jamming"):
        print(f"{kind:14} told after {planted(kind, args.seed)}")


if __name__ == "__main__":
    main()
