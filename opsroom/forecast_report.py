"""How good forecasts from an archive were: one self-contained HTML page with the calibration curve and the error by horizon.

Each figure is a back-test: windows of the archive's own past, asked with what might have been known (``calibration``) and
judged by the widths that are given, which other tracks make (``backtest``).
"""

from __future__ import annotations

import html
import math

from birddog import __version__
from birddog.errors import UsageError
from birddog.units import NS, iso_from_ns
from tracking.forecast.backtest import MOST_DRAWN, backtest
from tracking.forecast.calibration import GRID_MIN, LEVELS
from tracking.forecast.past import ENDED_S
from tracking.forecast.where import Forecaster

_SHARES = tuple(k / 20 for k in range(1, 20))
_LEVELS = tuple(sorted({*_SHARES, *LEVELS}))
_WIDTH, _HEIGHT, _EDGE = 420, 300, 44


def write_report(path: str, forecaster: Forecaster, horizons_min: list[float]) -> None:
    """Write the page for the horizons of the grid next to those that were asked for (15, 60, 240 where none was).

    Raises:
        UsageError: the file cannot be written.
    """
    grid = sorted({min(GRID_MIN, key=lambda g: abs(math.log(g / max(h, 1.0)))) for h in horizons_min or (15.0, 60.0, 240.0)})
    text = page(forecaster, grid)
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error


def page(forecaster: Forecaster, grid: list[int]) -> str:
    """The page as text."""
    past, calibration = forecaster.past, forecaster.calibration
    assert calibration is not None
    t0_s = past.last_s + ENDED_S
    rows, curves, errors = [], [], []
    for moving in (True, False):
        points = []
        for minutes in grid:
            word = "moving" if moving else "stopped"
            found = backtest(calibration, minutes, moving, t0_s, _LEVELS, drawn=True) if len(past) else None
            if found is None:
                few = len(calibration.outcomes(minutes, moving, t0_s).miss_m) if len(past) else 0
                rows.append(f"<tr><td>{word}<td>{minutes}<td>{few}<td colspan=6>too few outcomes to say")
                continue
            if found.discs:
                curves.append((f"{word}, {minutes} min", sorted((p, found.discs[p]) for p in _SHARES)))
            points.append((float(minutes), found.mean_m / 1000.0))
            shares = (of.get(p) for of in (found.discs, found.regions) for p in (0.5, 0.9))
            rows.append(f"<tr><td>{word}<td>{minutes}<td>{len(found.outcomes.miss_m)}<td>{found.mean_m / 1000:.3f}"
                        f"<td>{found.median_m / 1000:.3f}"
                        + "".join("<td>of one track" if p is None else f"<td>{100 * p:.0f} %" for p in shares))
        if points:
            errors.append(("moving" if moving else "stopped", points))
    span = "empty" if not len(past) else f"{iso_from_ns(round(past.first_s * NS))} to {iso_from_ns(round(past.last_s * NS))}"
    top = max((y for _, line in errors for _, y in line), default=1.0)
    right = max(grid, default=60)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Birddog: how good forecasts were</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}}
table{{border-collapse:collapse}}td,th{{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ccc}}
svg{{border:1px solid #ccc;margin:.5rem 1rem .5rem 0}}</style>
<h1>How good forecasts were</h1>
<p>Archive: {len(past.names)} vessels, {len(past)} fixes, {html.escape(span)}. Birddog {html.escape(__version__)}.
Each row is a back-test: the archive's own past was asked, with all the other tracks, and compared with what came.
Discs and regions are those that are given, for what each question was like (its ruler); each outcome is judged
by the widths that other tracks make (a tenth of the tracks left out at a time). Regions are drawn again for {MOST_DRAWN}
outcomes of a row at most.</p>
<table><thead><tr><th>kind<th>minutes<th>outcomes<th>mean error km<th>median km
<th>in 50 % disc<th>in 90 % disc<th>in 50 % region<th>in 90 % region</thead>
<tbody>{"".join(rows)}</tbody></table>
<h2>Calibration: what a disc of so many percent held</h2>
{_plot(curves, 1.0, 1.0, "asked", "held", diagonal=True)}
<h2>Mean error by horizon</h2>
{_plot(errors, float(right), top, "minutes", "km")}
</html>
"""


def _plot(lines: list[tuple[str, list[tuple[float, float]]]], right: float, top: float, x_name: str, y_name: str, *,
          diagonal: bool = False) -> str:
    """Lines as one inline SVG, each with its name."""
    colours = ("#1b6ca8", "#b3541e", "#2d7d46", "#7a3b8f", "#8a6d00", "#b01846", "#4d5a63", "#008b8b")

    def at(x: float, y: float) -> str:
        return f"{_EDGE + x / right * (_WIDTH - 2 * _EDGE):.1f},{_HEIGHT - _EDGE - y / top * (_HEIGHT - 2 * _EDGE):.1f}"

    parts = [f'<polyline fill="none" stroke="#444" points="{at(0, top)} {at(0, 0)} {at(right, 0)}"/>']
    if diagonal:
        parts.append(f'<polyline fill="none" stroke="#aaa" stroke-dasharray="4" points="{at(0, 0)} {at(right, top)}"/>')
    for k, (name, points) in enumerate(lines):
        colour = colours[k % len(colours)]
        drawn = " ".join(at(x, y) for x, y in points)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{drawn}"/>')
        parts += [f'<circle r="3" fill="{colour}" cx="{x}" cy="{y}"/>' for x, y in (c.split(",") for c in drawn.split(" "))]
        parts.append(f'<text x="{_WIDTH + 8}" y="{20 + 18 * k}" fill="{colour}" font-size="13">{html.escape(name)}</text>')
    corner = f'x="{_WIDTH - _EDGE}" y="{_HEIGHT - 12}"'
    parts.append(f'<text {corner} font-size="12" text-anchor="end">{x_name}, to {right:g}</text>')
    parts.append(f'<text x="8" y="24" font-size="12">{y_name}, to {top:.3g}</text>')
    return (f'<svg role="img" aria-label="{y_name} against {x_name}" width="{_WIDTH + 160}" height="{_HEIGHT}">'
            + "".join(parts) + "</svg>")
