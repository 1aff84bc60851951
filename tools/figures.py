"""The plots of docs/tracking.md: what the live fold makes of situations and scenarios whose truth is known (`make figures`).

    .venv/bin/python tools/figures.py [NAME]...

A situation is drawn from the fold itself: the truth, the fixes (crosses where they were refused), the track with its 95 %
ellipses.  A scenario (``benchmarks/made_scenarios.py``) goes through ``birddog track``: the ways, what sensors saw, the tracks.
matplotlib comes with filterpy, the reference engine; nothing that is shipped imports it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Ellipse

from birddog.geo import LocalFrame, ellipse
from birddog.model import ENTRY_BODIES, Device, Entry, Fix, FrameBody, Start, Tick, pack
from birddog.units import CHI2_95_2D, NS
from opsroom.cli import main as birddog
from tracking.fold import Fold

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from made_scenarios import made, write

T0 = 1_790_000_000 * NS
HOME = LocalFrame(lat_deg=51.95, lon_deg=4.05)
KINDS = {body: kind for kind, body in ENTRY_BODIES.items()}
FOLDER = Path(__file__).parents[1] / "docs" / "images"
#: (t s, e m, n m) each second, and the fixes (t, e, n) that were heard of it.
Truth = list[tuple[float, float, float]]
Fixes = list[tuple[float, float, float]]


def tunnel(rng: random.Random) -> tuple[str, Truth, Fixes, str]:
    """Ten minutes without a word."""
    way = [(float(t), 25.0 * min(t, 2400), 0.02 * min(t, 2400) ** 1.5) for t in range(0, 2401)]
    heard = [p for p in way[::30] if not 600 < p[0] < 1200]
    return "a van, a fix each 30 s, ten minutes of tunnel", way, [_off(p, rng) for p in heard], "van"


def factory(rng: random.Random) -> tuple[str, Truth, Fixes, str]:
    """The first fix is the factory's, one later is false."""
    way = [(float(t), 10.0 * t, 150.0 * math.sin(t / 120.0)) for t in range(0, 1201)]
    fixes = [_off(p, rng) for p in way[::30]]
    fixes[0] = (fixes[0][0], -2500.0, 3000.0)
    fixes[20] = (fixes[20][0], fixes[20][1] + 500.0, 2500.0)
    return "the first fix is elsewhere, the twenty-first is false", way, fixes, "van"


def launch(rng: random.Random) -> tuple[str, Truth, Fixes, str]:
    """A launch in circles."""
    way, e, n, heading = [], 0.0, 0.0, 0.0
    for t in range(0, 601):
        way.append((float(t), e, n))
        heading += math.radians(4.0) if t > 60 else 0.0
        e, n = e + 18.0 * math.sin(heading), n + 18.0 * math.cos(heading)
    return "a launch in circles at 18 m/s, a fix each 10 s", way, [_off(p, rng) for p in way[::10]], "vessel"


def parked(rng: random.Random) -> tuple[str, Truth, Fixes, str]:
    """Parked, with errors that last for minutes."""
    way, fixes, be, bn, keep = [], [], 5.0, -3.0, math.exp(-30.0 / 300.0)
    for t in range(0, 7201, 30):
        way.append((float(t), 0.0, 0.0))
        be, bn = (keep * b + math.sqrt(1 - keep * keep) * rng.gauss(0.0, 6.0) for b in (be, bn))
        fixes.append((float(t), be + rng.gauss(0.0, 2.0), bn + rng.gauss(0.0, 2.0)))
    return "parked for two hours, errors that last five minutes", way, fixes, "van"


FIGURES: dict[str, Callable[[random.Random], tuple[str, Truth, Fixes, str]]] = {
    "tunnel": tunnel, "factory": factory, "launch": launch, "parked": parked,
}  # fmt: skip


#: Kinds of made scenarios, the seed that is drawn, and what is to be seen.
SCENARIOS = {
    "crossing": (1, "five cross each other under one radar with clutter"),
    "spoof": (1, "tags and a radar: one tag lies for a while"),
}


def _off(p: tuple[float, float, float], rng: random.Random) -> tuple[float, float, float]:
    return p[0], p[1] + rng.gauss(0.0, 6.0), p[2] + rng.gauss(0.0, 6.0)


def draw(name: str) -> float:
    """Fold one situation and draw it; the share of the truth inside the 95 % ellipse."""
    title, truth, fixes, klass = FIGURES[name](random.Random(7))
    fold, seq, rows, heard = Fold(), 0, [], {t: (e, n) for t, e, n in fixes}
    refused: set[float] = set()

    def add(at_s: float, body) -> None:
        nonlocal seq
        seq += 1
        at_ns = T0 + round(at_s * NS)
        entry = Entry(seq=seq, kind=KINDS[type(body)], received_ns=at_ns, source="", ident=b"", body=pack(body))
        before = sum(row.refused for row in fold.believed(at_ns)) if seq > 2 else 0
        fold.apply(entry)
        after = sum(row.refused for row in fold.believed(at_ns))
        if after > before:
            refused.add(at_s)

    add(0, Start(version="figures", presets={}, exercise=True))
    add(0, Device(device="tag", basis="own_sensor", klass=klass, interval_s=fixes[1][0] - fixes[0][0]))
    # a full circle of the launch is 90 s, nine fixes: each 15 s would show the same six places again and again
    still = len({(e, n) for _, e, n in truth}) == 1
    inside = 0
    for t, e, n in truth:
        if t in heard:
            lat, lon = HOME.geodetic(*heard[t])
            fix = Fix(device="tag", time_ns=T0 + round(t * NS), lat_deg=lat, lon_deg=lon, sigma_m=6.0)
            add(t, FrameBody(format="x", version=1, payload=b"", device="tag", observations=(fix,)))
        elif t % 5 == 0:
            add(t, Tick())
        if t % (15 if still else 7) == 0:
            row = fold.believed(T0 + round(t * NS))[0]
            at = HOME.en(lat_deg=row.lat_deg, lon_deg=row.lon_deg)
            rows.append((at, row))
            det = row.p_ee * row.p_nn - row.p_en**2
            de, dn = e - at[0], n - at[1]
            inside += (row.p_nn * de * de - 2 * row.p_en * de * dn + row.p_ee * dn * dn) / det <= CHI2_95_2D
    share = inside / len(rows)
    figure, axes = plt.subplots(figsize=(9, 4.5), dpi=110)
    # of what stands for hours one in eight, else about a hundred: all of them are a ring of ink that hides the fixes
    for (e, n), row in rows[:: 8 if still else max(1, len(rows) // 90)]:
        major, minor, azimuth = ellipse(row.p_ee, row.p_en, row.p_nn, CHI2_95_2D)
        how = {"angle": 90.0 - azimuth, "fill": False, "lw": 0.5, "color": "tab:blue", "alpha": 0.4}
        axes.add_patch(Ellipse((e, n), 2 * major, 2 * minor, **how))
    axes.plot([at[0] for at, _ in rows], [at[1] for at, _ in rows], color="tab:blue", lw=1.2, label="track, 95 %")
    used = [(e, n) for t, e, n in fixes if t not in refused]
    axes.plot(*zip(*used, strict=True), ".", ms=3, color="tab:orange", label="fixes used")
    # above the track, which hid it; what stands is a point, of which a line shows nothing
    how = {"marker": "+", "ms": 14, "mew": 2.0, "ls": ""} if still else {"lw": 1.0, "ls": (0, (4, 3))}
    axes.plot([e for _, e, _ in truth], [n for _, _, n in truth], color="black", label="truth", **how)
    if refused:
        lost = [heard[t] for t in sorted(refused)]
        axes.plot(*zip(*lost, strict=True), "x", ms=7, color="tab:red", label="fixes not used")
    axes.set(title=f"{title}: {share:.0%} of the truth inside", xlabel="east, m", ylabel="north, m")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="best", fontsize=8)
    figure.tight_layout()
    figure.savefig(FOLDER / f"tracking-{name}.png", metadata={"Software": None})
    plt.close(figure)
    return share


def draw_scenario(name: str) -> int:
    """What ``birddog track`` makes of one made scenario; how many tracks were drawn."""
    seed, title = SCENARIOS[name]
    scenario, out = made(name, seed), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="birddog-figures-") as folder, contextlib.redirect_stdout(out):
        write(scenario, Path(folder))
        birddog(["track", "--detections", f"{folder}/detections.csv", "--sensors", f"{folder}/scenario.json", "--every", "2"])
    rows: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader(io.StringIO(out.getvalue())):
        rows.setdefault(row["track_id"], []).append((float(row["e_m"]), float(row["n_m"])))
    figure, axes = plt.subplots(figsize=(9, 6), dpi=110)
    seen = [(d[5], d[6]) for d in scenario.detections if not d[4]]
    said = [(d[5], d[6]) for d in scenario.detections if d[4]]
    axes.plot(*zip(*seen, strict=True), ".", ms=1.5, color="0.75", label="seen by a radar")
    if said:
        axes.plot(*zip(*said, strict=True), ".", ms=3, color="tab:orange", label="said by tags")
    for k, way in enumerate(scenario.truth.values()):
        axes.plot(way[:, 1], way[:, 2], color="black", lw=1.0, ls=(0, (4, 3)), label="" if k else "truth")
    for k, way in enumerate(rows.values()):
        axes.plot(*zip(*way, strict=True), lw=1.6, alpha=0.8, color=f"C{k % 10}", label="" if k else "tracks, a colour each")
    axes.set(title=title, xlabel="east, m", ylabel="north, m")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="best", fontsize=8)
    figure.tight_layout()
    figure.savefig(FOLDER / f"tracking-{name}.png", metadata={"Software": None})
    plt.close(figure)
    return len(rows)


def main(names: list[str]) -> None:
    """Draw those that are named, or all."""
    for name in names or (*FIGURES, *SCENARIOS):
        if name in SCENARIOS:
            print(f"{name:8} {draw_scenario(name)} tracks -> docs/images/tracking-{name}.png")
            continue
        print(f"{name:8} {draw(name):.2f} inside the 95 % ellipse -> docs/images/tracking-{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
