"""Patterns of places and hours: where shipments stop, and how often something happens where somebody looked.

Everything is about *places*, never about a thing or a person: whatever fewer than ``k`` different shipments took part in is
counted together and not shown.  A count is never shown without its *exposure*, the hours in which it would have been seen, and
what is ranked is the rate, events an hour observed: a place that is looked at more does not look worse for it (predictions
from counts alone send patrols to where patrols were: Lum and Isaac, "To predict and serve?", Significance 2016).

Two answers must not tell together what one does not (the difference of two tables: Hundepool et al., "Statistical Disclosure
Control", 2012): sizes are of a fixed row (``SIZES_M``), periods whole weeks (``weeks``), counts are rounded to fives and hours
to two figures, and every rate is made of the rounded ones alone.  docs/decisions/0026-patterns-asked-twice.md.

Rates of little exposure are drawn towards the rate of all by as much as chance explains (Gamma-Poisson, moments: Clayton and
Kaldor, "Empirical Bayes estimates of age-standardized relative risks for use in disease mapping", Biometrics 1987); where
chance explains all, the map is flat.  Titles from memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from birddog.geo import R_MEAN_M, distance_m, wrap_lon

#: Fewer different shipments than this are never shown.
K = 5
#: A fix vouches for no more than this time of being looked at.
VOUCH_S = 3600.0
HOURS = 168
#: The sides of cells and reaches of hubs that are answered, metres.
SIZES_M = (50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5)
WEEK_S = 604_800
#: The first Monday of POSIX time.
_MONDAY_S = 4 * 86_400
#: Beyond so many the moments of a rounded count are those of a smooth one.
_MANY = 60.0
#: A hub's middle is told to about this, degrees, and how far it reaches to this, metres.
_MIDDLE_DECIMALS, _RADIUS_M = 3, 100.0

#: What a rate is of: a cell, or an hour of the week.
Key = TypeVar("Key", bound=int | tuple[int, int])


class Happening(msgspec.Struct, frozen=True):
    """Something that happened at a place: whose, when (POSIX s), where."""

    name: str
    t_s: float
    lat_deg: float
    lon_deg: float


class Observed(msgspec.Struct, frozen=True):
    """A place was looked at for ``hours``, beginning at ``t_s``: by a patrol, or by a receiver that heard something there.

    ``heard``: it was so long heard of one thing there, of several at once there are several of these; else a patrol's time.
    """

    t_s: float
    hours: float
    lat_deg: float
    lon_deg: float
    heard: bool = False


class Rate(msgspec.Struct, frozen=True):
    """Of a cell or an hour of the week: events and different shipments to the nearest five, hours observed to two figures,
    events an hour of these (drawn towards all)."""

    events: int
    shipments: int
    exposure_h: float
    rate_per_h: float


class Cell(Rate, frozen=True, kw_only=True):
    """A cell of about equal area, by its middle; ``ring`` are its corners (lon_deg, lat_deg), closed.

    Args:
        exposure_h: hours observed, each of whoever was seen there counted.
        watched_h: hours in which the place was looked at, however many were heard there at once; of patrols, all of theirs.
        probability_h: that at least one is seen in an hour of watching (Poisson), of as many as are usually heard there;
            ``per_km2_h`` that by area.
    """

    lat_deg: float
    lon_deg: float
    area_km2: float
    watched_h: float
    probability_h: float
    per_km2_h: float
    ring: tuple[tuple[float, float], ...]


class Hour(Rate, frozen=True, kw_only=True):
    """An hour of the week, UTC: 0 is Monday, 00:00 to 01:00."""

    hour: int


class Hub(msgspec.Struct, frozen=True):
    """A place where many stop: different shipments and events to the nearest five, its middle and what holds all of them."""

    shipments: int
    events: int
    lat_deg: float
    lon_deg: float
    radius_m: float


class Patterns(msgspec.Struct, frozen=True):
    """What there is to be said; ``suppressed`` counts what fewer than ``k`` shipments took part in, or nobody observed."""

    k: int
    cell_m: float
    events: int
    exposure_h: float
    rate_per_h: float
    hubs: list[Hub]
    hours: list[Hour]
    cells: list[Cell]
    suppressed: dict[str, int]


def fixed_m(size_m: float) -> float:
    """The size that is answered where one is asked for: the same, or the next larger of ``SIZES_M``."""
    return next((size for size in SIZES_M if size >= size_m), SIZES_M[-1])


def weeks(since_s: float, until_s: float) -> tuple[int, int]:
    """(since, until) of the whole weeks, from Monday 00:00 UTC, that a period has part in, POSIX s."""
    first, last = math.floor((since_s - _MONDAY_S) / WEEK_S), math.ceil((until_s - _MONDAY_S) / WEEK_S)
    return first * WEEK_S + _MONDAY_S, last * WEEK_S + _MONDAY_S


def about(n: int) -> int:
    """A count to the nearest ``K``."""
    return (n + K // 2) // K * K


def figure(hours: float) -> float:
    """Hours to two figures."""
    return float(f"{hours:.2g}")


def cell_of(lat_deg: float, lon_deg: float, cell_m: float) -> tuple[int, int]:
    """(band, column) of a cell: bands of equal height, in each columns that are about as wide."""
    step = math.degrees(cell_m / R_MEAN_M)
    band = math.floor((lat_deg + 90.0) / step)
    return band, math.floor((lon_deg + 180.0) % 360.0 / (360.0 / _columns(band, step)))


def _columns(band: int, step: float) -> int:
    middle = min(max((band + 0.5) * step - 90.0, -90.0), 90.0)
    return max(1, round(360.0 * math.cos(math.radians(middle)) / step))


def _middle(cell: tuple[int, int], cell_m: float) -> tuple[float, float, float]:
    """(lat_deg, lon_deg, km²) of a cell."""
    step = math.degrees(cell_m / R_MEAN_M)
    width = 360.0 / _columns(cell[0], step)
    south = cell[0] * step - 90.0
    north = min(south + step, 90.0)
    area = R_MEAN_M**2 * math.radians(width) * (math.sin(math.radians(north)) - math.sin(math.radians(south)))
    return (south + north) / 2.0, (cell[1] + 0.5) * width - 180.0, area / 1e6


def _ring(cell: tuple[int, int], cell_m: float) -> tuple[tuple[float, float], ...]:
    step = math.degrees(cell_m / R_MEAN_M)
    width = 360.0 / _columns(cell[0], step)
    south, west = cell[0] * step - 90.0, cell[1] * width - 180.0
    north, east = min(south + step, 90.0), west + width
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return tuple((round(x, 6), round(y, 6)) for x, y in corners)


@functools.lru_cache(maxsize=4096)
def _of_chance(mean: float) -> tuple[float, float]:
    """The second and the fourth moment, about its mean, of a Poisson count that is rounded to the nearest ``K``."""
    if mean > _MANY:  # rounding is a variance of (K² - 1) / 12 more
        variance = mean + (K * K - 1) / 12.0
        return variance, 3.0 * variance * variance + mean
    second = fourth = 0.0
    chance, n = math.exp(-mean), 0
    while n <= mean or chance > 1e-12:
        away2 = (about(n) - mean) ** 2
        second, fourth = second + chance * away2, fourth + chance * away2 * away2
        n += 1
        chance *= mean / n
    return second, fourth


def drawn(counts: list[int], exposure_h: list[float], mean: float | None = None) -> list[float]:
    """The rates of cells, events an hour, each drawn towards that of all by as much as chance and rounding explain.

    Counts are rounded to ``K``; what differs by no more than three standard errors beyond what a flat truth and rounding make
    is taken for no difference.

    Args:
        mean: the rate of all, where it is known better than as that of these counts.
    """
    total_h = sum(exposure_h)
    if total_h <= 0.0:
        return [0.0] * len(counts)
    mean = sum(counts) / total_h if mean is None else mean
    if mean <= 0.0:
        return [mean] * len(counts)
    known = [(n, h, *_of_chance(float(f"{mean * h:.3g}"))) for n, h in zip(counts, exposure_h, strict=True) if h > 0.0]
    spread = sum(h * (n / h - mean) ** 2 for n, h, _, _ in known)
    # the mean is these counts' own: of their spread one cell's share is not there
    explained = sum(second / h for _, h, second, _ in known) * (1.0 - 1.0 / len(known))
    error = math.sqrt(sum((fourth - second * second) / (h * h) for _, h, second, fourth in known))
    denominator = total_h - sum(h * h for h in exposure_h) / total_h
    between = (spread - explained - 3.0 * error) / denominator if denominator > 0.0 else 0.0
    if between <= 0.0:
        return [mean] * len(counts)
    shares = iter([mean + (n / h - mean) * between / (between + second / (h * h)) for n, h, second, _ in known])
    return [next(shares) if h > 0.0 else mean for h in exposure_h]


def patterns(happened: Iterable[Happening], observed: Iterable[Observed], *, cell_m: float = 5000.0, hub_m: float = 500.0,
             k: int = K) -> Patterns:  # fmt: skip
    """Hubs, rates by hour of the week, and hot-spot cells.

    Args:
        cell_m: side of a cell, and
        hub_m: what stopped within this of a hub's middle belongs to it: both of ``SIZES_M``, or the next larger is taken.
        k: fewer different shipments are not shown; never under ``K``.
    """
    k, cell_m, hub_m = max(k, K), fixed_m(cell_m), fixed_m(hub_m)
    events = sorted(happened, key=lambda h: (h.t_s, h.name))
    looked = list(observed)
    places = _counted(((cell_of(e.lat_deg, e.lon_deg, cell_m), e.name) for e in events),
                      ((cell_of(o.lat_deg, o.lon_deg, cell_m), o.hours) for o in looked))  # fmt: skip
    watched = _watched(looked, cell_m)
    of_week = _counted(((_hour_of(e.t_s), e.name) for e in events), _by_hour(looked))
    cells, hours, suppressed = [], [], {"hubs": 0, "hours": 0, "cells": 0}
    for cell, (names, some, rate) in places.items():
        if names < k or rate.exposure_h <= 0.0:
            suppressed["cells"] += some
            continue
        lat, lon, area = _middle(cell, cell_m)
        # of one observed to all that are there in an hour of watching
        watched_h = figure(watched[cell])
        probability = -math.expm1(-rate.rate_per_h * rate.exposure_h / max(watched_h, 1e-9))
        cells.append(Cell(
            rate.events, rate.shipments, rate.exposure_h, rate.rate_per_h, lat_deg=round(lat, 6), lon_deg=round(lon, 6),
            area_km2=round(area, 3), watched_h=watched_h, probability_h=round(probability, 9),
            per_km2_h=probability / area, ring=_ring(cell, cell_m),
        ))  # fmt: skip
    for hour, (names, some, rate) in sorted(of_week.items()):
        if names < k or rate.exposure_h <= 0.0:
            suppressed["hours"] += some
            continue
        hours.append(Hour(rate.events, rate.shipments, rate.exposure_h, rate.rate_per_h, hour=hour))
    hubs = []
    for hub in _hubs(events, hub_m):
        if hub.shipments >= k:
            hubs.append(msgspec.structs.replace(hub, shipments=about(hub.shipments), events=about(hub.events)))
        else:
            suppressed["hubs"] += 1
    total_h = figure(sum(o.hours for o in looked))
    cells.sort(key=lambda c: (-c.per_km2_h, c.lat_deg, c.lon_deg))
    hubs.sort(key=lambda h: (-h.shipments, -h.events, h.lat_deg, h.lon_deg))
    total = about(len(events))
    return Patterns(k, cell_m, total, total_h, total / total_h if total_h > 0.0 else 0.0, hubs, hours, cells, suppressed)


def teams(cells: list[Cell], n: int, apart_m: float, busier: float = 1.0) -> list[Cell]:
    """Where to put n teams: the cells of the highest probability by km² and hour, no two nearer than ``apart_m``.

    Args:
        busier: as many times the usual rate, at some hour (``busier``); the cells' probabilities are then of that hour.
    """
    out: list[Cell] = []
    for cell in sorted(cells, key=lambda c: (-c.per_km2_h, c.lat_deg, c.lon_deg)):
        if len(out) == n:
            break
        far = (distance_m(lat1_deg=cell.lat_deg, lon1_deg=cell.lon_deg, lat2_deg=o.lat_deg, lon2_deg=o.lon_deg) for o in out)
        if all(d >= apart_m for d in far):
            out.append(cell)
    return out if busier == 1.0 else [_at_another_rate(cell, busier) for cell in out]


def _at_another_rate(cell: Cell, times: float) -> Cell:
    seen = -math.expm1(times * math.log1p(-min(cell.probability_h, 1.0 - 1e-12)))
    return msgspec.structs.replace(cell, probability_h=round(seen, 9), per_km2_h=seen / cell.area_km2)


def busier(found: Patterns, hour: int | None) -> float:
    """How many times the rate of all hours that of an hour of the week is, where it is shown; 1 where it is not."""
    rates = {h.hour: h.rate_per_h for h in found.hours}
    return rates[hour] / found.rate_per_h if hour in rates and found.rate_per_h > 0.0 else 1.0


def exposure(names: list[str], t_s: list[float], lat_deg: list[float], lon_deg: list[float]) -> list[Observed]:
    """What fixes, sorted by name and time, vouch for: the time until the next of the same, an hour at most."""
    out = []
    for i in range(len(t_s) - 1):
        if names[i] == names[i + 1]:
            out.append(Observed(t_s[i], min(t_s[i + 1] - t_s[i], VOUCH_S) / 3600.0, lat_deg[i], lon_deg[i], True))
    return out


def _counted(events: Iterable[tuple[Key, str]], looked: Iterable[tuple[Key, float]]) -> dict[Key, tuple[int, bool, Rate]]:
    """By whatever the events and the exposure are named by, in order of name: how many different shipments, whether there is
    an event, and the rate, which is of rounded figures alone."""
    count: dict[Key, int] = {}
    names: dict[Key, set[str]] = {}
    hours: dict[Key, float] = {}
    for key, name in events:
        count[key] = count.get(key, 0) + 1
        names.setdefault(key, set()).add(name)
    for key, h in looked:
        hours[key] = hours.get(key, 0.0) + h
    keys, said = sorted({*count, *hours}), {key: about(n) for key, n in count.items()}
    hours = {key: figure(h) for key, h in hours.items()}
    seen = [key for key in keys if hours.get(key, 0.0) > 0.0]
    looked_h = figure(sum(hours[key] for key in seen))
    mean = about(sum(count.get(key, 0) for key in seen)) / looked_h if seen else 0.0
    rates = dict(zip(seen, drawn([said.get(key, 0) for key in seen], [hours[key] for key in seen], mean), strict=True))
    out = {}
    for key in keys:
        n = len(names.get(key, ()))
        out[key] = n, key in count, Rate(said.get(key, 0), about(n), hours.get(key, 0.0), rates.get(key, 0.0))
    return out


def _hour_of(t_s: float) -> int:
    # 1970-01-01 was a Thursday
    return (int(t_s // 3600) + 72) % HOURS


def _by_hour(looked: list[Observed]) -> Iterable[tuple[int, float]]:
    """The exposure by hour of the week, parted where an hour ends."""
    for o in looked:
        t, left = o.t_s, o.hours
        while left > 1e-9:
            part = min(left, 1.0 - t % 3600.0 / 3600.0)
            yield _hour_of(t), part
            t, left = (t // 3600.0 + 1.0) * 3600.0, left - part


def _watched(looked: list[Observed], cell_m: float) -> dict[tuple[int, int], float]:
    """Of each cell the hours in which it was looked at: of those heard at once in an hour of the clock at most that hour."""
    parts: dict[tuple[tuple[int, int], int], float] = {}
    out: dict[tuple[int, int], float] = {}
    for o in looked:
        cell, t, left = cell_of(o.lat_deg, o.lon_deg, cell_m), o.t_s, o.hours
        if not o.heard:
            out[cell] = out.get(cell, 0.0) + o.hours
            continue
        while left > 1e-9:
            part, key = min(left, 1.0 - t % 3600.0 / 3600.0), (cell, int(t // 3600))
            parts[key] = min(1.0, parts.get(key, 0.0) + part)
            t, left = (t // 3600.0 + 1.0) * 3600.0, left - part
    for (cell, _), hours in parts.items():
        out[cell] = out.get(cell, 0.0) + hours
    return out


def _hubs(events: list[Happening], hub_m: float) -> list[Hub]:
    """Each event belongs to the nearest hub whose mean is within ``hub_m``, else it begins one; in the order of time."""
    grid: dict[tuple[int, int], list[list[Any]]] = {}
    found: list[list[Any]] = []
    for e in events:
        band, _ = cell_of(e.lat_deg, e.lon_deg, hub_m)
        step = math.degrees(hub_m / R_MEAN_M)
        near: list[tuple[float, list[Any]]] = []
        for b in (band - 1, band, band + 1):
            columns = _columns(b, step)
            c = math.floor((e.lon_deg + 180.0) % 360.0 / (360.0 / columns))
            for d in (-1, 0, 1):
                for hub in grid.get((b, (c + d) % columns), ()):
                    away = distance_m(lat1_deg=e.lat_deg, lon1_deg=e.lon_deg, lat2_deg=hub[0], lon2_deg=hub[1])
                    if away <= hub_m:
                        near.append((away, hub))
        if near:
            hub = min(near, key=lambda one: one[0])[1]
            hub[2].append(e)
        else:
            hub = [e.lat_deg, e.lon_deg, [e]]
            found.append(hub)
            grid.setdefault(cell_of(e.lat_deg, e.lon_deg, hub_m), []).append(hub)
    out = []
    for lat, lon, members in found:
        # the middle of all: where the first stood is one shipment's
        north = sum(m.lat_deg - lat for m in members) / len(members)
        east = sum(wrap_lon(m.lon_deg - lon) for m in members) / len(members)
        lat, lon = round(lat + north, _MIDDLE_DECIMALS), round(wrap_lon(lon + east), _MIDDLE_DECIMALS)
        radius = max(distance_m(lat1_deg=lat, lon1_deg=lon, lat2_deg=m.lat_deg, lon2_deg=m.lon_deg) for m in members)
        out.append(Hub(len({m.name for m in members}), len(members), lat, lon, math.ceil(radius / _RADIUS_M) * _RADIUS_M))
    return out


