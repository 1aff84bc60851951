"""The map of ``case.html``: the positions that a bundle's records show, by device, as a drawing (SVG) that needs nothing.

Plate carrée about the middle of what is shown, east to west shrunk by the cosine of its latitude, so that shapes are right near
the middle; over the date line it goes on.  Degrees stand at the edges, a bar says how long a distance is.
"""

from __future__ import annotations

import html
import math
from array import array
from collections.abc import Callable

from birddog.geo import radii_m, wrap_lon
from birddog.units import iso_from_ns

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 1000, 620, 70, 12, 34
#: So many points of a device are drawn, and so many devices are named.
_MOST_POINTS, _MOST_NAMED = 4000, 40
#: Told apart also where colours are not (Okabe and Ito 2008), and by their strokes.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000")
_DASHES = ("", " stroke-dasharray='7 4'", " stroke-dasharray='2 3'")


class Shown:
    """The positions of one device, in the order of the records."""

    def __init__(self) -> None:
        self.lats_deg, self.lons_deg = array("d"), array("d")
        self.first_ns = self.last_ns = 0

    def add(self, lat_deg: float, lon_deg: float, time_ns: int) -> None:
        """One more."""
        if not self.lats_deg:
            self.first_ns = self.last_ns = time_ns
        self.first_ns, self.last_ns = min(self.first_ns, time_ns), max(self.last_ns, time_ns)
        self.lats_deg.append(lat_deg)
        self.lons_deg.append(lon_deg)


def drawn(devices: dict[str, Shown]) -> str:
    """The map and who is who on it; a sentence where nothing is shown."""
    if not devices:
        return "<p>No position is shown."
    middle = next(iter(devices.values())).lons_deg[0]
    lons = [lon for shown in devices.values() for lon in _ends(shown.lons_deg, middle)]
    lats = [lat for shown in devices.values() for lat in (min(shown.lats_deg), max(shown.lats_deg))]
    south, north, west, east = min(lats), max(lats), min(lons), max(lons)
    squeeze = max(0.02, math.cos(math.radians((south + north) / 2.0)))
    room_x, room_y = _WIDTH - _LEFT - 14, _HEIGHT - _TOP - _BOTTOM
    scale = min(room_x / max((east - west) * squeeze, 1e-4), room_y / max(north - south, 1e-4)) * 0.94
    left, right = _about((west + east) / 2.0, room_x / scale / squeeze)
    low, high = _about((south + north) / 2.0, room_y / scale)

    def x(lon_deg: float) -> float:
        return _LEFT + (lon_deg - left) * scale * squeeze

    def y(lat_deg: float) -> float:
        return _TOP + (high - lat_deg) * scale

    parts = [f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img aria-label='map of the positions that are shown'>"]
    parts += _grid((left, right), (low, high), x, y, scale * squeeze)
    rows = []
    for number, (device, shown) in enumerate(devices.items()):
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]
        parts.append(_line(shown, colour, dash, lambda lon: x(middle + wrap_lon(lon - middle)), y))
        if number < _MOST_NAMED:
            mark = f"<svg class=key viewBox='0 0 34 10'><path d='M1 5H33' stroke='{colour}' stroke-width=3{dash} /></svg>"
            rows.append(f"<tr><td>{mark}<td>{html.escape(device or 'a device that is withheld')}"
                        f"<td class=n>{len(shown.lats_deg)}<td class=t>{when(shown.first_ns)}<td class=t>{when(shown.last_ns)}")
    parts.append("</svg>")
    more = f"<p>{len(devices) - _MOST_NAMED} devices more are drawn and not named here." if len(devices) > _MOST_NAMED else ""
    foot = ("North is up. A ring is where a device's positions begin, a dot where they end; the line between is drawn from one "
            "to the next and says nothing of the way. WGS 84.")
    return (f"{''.join(parts)}<p class=small>{foot}</p><table class=fit><thead><tr><th><th>device<th class=n>"
            f"positions<th>first<th>last</thead><tbody>{''.join(rows)}</tbody></table>{more}")


def when(time_ns: int) -> str:
    """A time for a cell: date and time of day, in UTC."""
    return iso_from_ns(time_ns).replace("T", " ")


def _ends(lons_deg: array[float], middle: float) -> tuple[float, float]:
    turned = [wrap_lon(lon - middle) for lon in lons_deg]
    return middle + min(turned), middle + max(turned)


def _about(middle: float, span: float) -> tuple[float, float]:
    return middle - span / 2.0, middle + span / 2.0


def _step(span: float) -> float:
    """A round step of which some four to eight lie in a span."""
    rough = span / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * n for n in (1.0, 2.0, 5.0, 10.0) if power * n >= rough * 0.999)


def _grid(lons: tuple[float, float], lats: tuple[float, float], x: Callable[[float], float], y: Callable[[float], float],
          px_a_degree: float) -> list[str]:
    out = []
    for (low, high), east in ((lons, True), (lats, False)):
        step = _step(high - low)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        for n in range(math.ceil(low / step), math.floor(high / step) + 1):
            value = wrap_lon(n * step) if east else n * step
            side = ("E" if value >= 0 else "W") if east else ("N" if value >= 0 else "S")
            text = f"{abs(value):.{digits}f}° {side}"
            if east:
                at = f"{x(n * step):.1f}"
                out.append(f"<path d='M{at} {_TOP}V{_HEIGHT - _BOTTOM}' stroke=#ddd />"
                           f"<text x={at} y={_HEIGHT - _BOTTOM + 14} text-anchor=middle>{text}</text>")
            else:
                at = f"{y(n * step):.1f}"
                out.append(f"<path d='M{_LEFT} {at}H{_WIDTH - 14}' stroke=#ddd />"
                           f"<text x={_LEFT - 4} y={at} dy=4 text-anchor=end>{text}</text>")
    middle = (lats[0] + lats[1]) / 2.0
    m_a_px = math.radians(1.0) * radii_m(max(-89.0, min(89.0, middle)))[1] * math.cos(math.radians(middle)) / px_a_degree
    long_m = _step(200.0 * m_a_px * 5.0)
    long_px = long_m / m_a_px
    words = f"{long_m / 1000.0:g} km" if long_m >= 1000.0 else f"{long_m:g} m"
    foot = _HEIGHT - 6
    return [*out, f"<path d='M{_LEFT} {foot - 4}v4h{long_px:.1f}v-4' fill=none stroke=#000 />"
                  f"<text x={_LEFT + long_px + 6:.1f} y={foot}>{words}</text>"]  # fmt: skip


def _line(shown: Shown, colour: str, dash: str, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    count = len(shown.lats_deg)
    some = [*range(0, count, max(1, -(-count // _MOST_POINTS))), count - 1]
    points = [(x(shown.lons_deg[n]), y(shown.lats_deg[n])) for n in some]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    (a, b), (c, d) = points[0], points[-1]
    return (f"<polyline fill=none stroke='{colour}' stroke-width=1.6{dash} points='{line}'/>"
            f"<circle cx={a:.1f} cy={b:.1f} r=5 fill=none stroke='{colour}' stroke-width=2 />"
            f"<circle cx={c:.1f} cy={d:.1f} r=4 fill='{colour}' />")
