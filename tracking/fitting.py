"""Whether a sighting, a measurement and a contact may be one thing: where each is, and how well they fit.

Nothing here remembers anything: ``looks`` asks it for each look.
"""

from __future__ import annotations

import bisect
import math

import msgspec
import numpy as np

from birddog.units import NS
from tracking.anchor import frame, near_en, rotated, turn
from tracking.assign import Spot
from tracking.bank import MODES, Bank
from tracking.contact import Contact, Look
from tracking.crowd import UPPER, Crowd, Rider, ahead, moments, state_of
from tracking.engine import State
from tracking.measurement import Measurement
from tracking.motion import Bank as Motions
from tracking.motion import adopted
from tracking.motion import moments as moments_of
from tracking.presets import Presets
from tracking.registration import MEMORY_LOOKS, MEMORY_S
from tracking.step import Core, Model

NOTHING = Motions(b"")
#: The liveliest of the motions, m²/s³: nothing spreads faster.
FASTEST_Q = max(mode.q for mode in MODES)
#: A contact this close to a rider (Mahalanobis², position and velocity) is at its place, as far as both are known.
TWIN_D2 = 9.0


def sighted(spot: Spot, look: Look, shown: Spot, gap_s: float) -> Measurement:
    """A sighting as a measurement of the track that it is of.

    Args:
        shown: as its sensor shows it, where ``spot`` was put right (``alignment.righted``): what is not known of how far off
            that is, is the same at the next look, after ``gap_s``, and no number of looks of one memory may learn it away.
    """
    looks = min(MEMORY_LOOKS, max(1.0, MEMORY_S / gap_s)) if gap_s > 0.0 else MEMORY_LOOKS
    r = (looks - 1.0) * max(0.0, spot.r_ee - shown.r_ee)
    return Measurement(
        look.time_ns, look.sensor, "sighting", spot.lat_deg, spot.lon_deg, spot.r_ee + r, spot.r_en, spot.r_nn + r, stated=True
    )


def carried(crowd: Crowd, m: Measurement, presets: Presets) -> int | None:
    """The row of the contact that an identified measurement most likely is of; None where it is somebody new."""
    if not crowd.contacts:
        return None
    bank = ahead(crowd.bank, (m.time_ns - crowd.t_ns) / NS)
    mean, cov = moments(bank)
    best = None
    for i, c in enumerate(crowd.contacts):
        if c.of:
            continue
        en = near_en(c.lat0_deg, c.lon0_deg, m.lat_deg, m.lon_deg) if abs(c.lat0_deg - m.lat_deg) < 1.0 else None
        if en is None:
            continue
        away2 = (en[0] - mean[i, 0]) ** 2 + (en[1] - mean[i, 2]) ** 2
        if away2 > 4.0 * presets.sighting_gate * (cov[i, 0, 0] + cov[i, 2, 2] + m.r_ee + m.r_nn):
            continue
        core = framed(c, mean[i], cov[i], m.time_ns)
        cos, sin = turn(m.lat_deg, m.lon_deg, core.lat0_deg, core.lon0_deg)
        nis, log = fit(bank, i, en, rotated(m.r_ee, m.r_en, m.r_nn, cos, sin))
        if nis <= presets.sighting_gate and log > math.log(presets.new_per_km2 * 1e-6):
            if best is None or log > best[0]:
                best = (log, i)
    return None if best is None else best[1]


def fit(bank: Bank, i: int, en: tuple[float, float], r: tuple[float, float, float]) -> tuple[float, float]:
    """(smallest NIS, log density) of a position under one contact's mixture."""
    least, logs = math.inf, []
    for mu, x, p in zip(bank.mu[i].tolist(), bank.x[i], bank.p[i], strict=True):
        s00, s01, s11 = p[0, 0] + r[0], p[0, 2] + r[1], p[2, 2] + r[2]
        a, b, det = en[0] - x[0], en[1] - x[2], s00 * s11 - s01 * s01
        nis = float((s11 * a * a - 2.0 * s01 * a * b + s00 * b * b) / det)
        least = min(least, nis)
        logs.append(math.log(max(mu, 1e-300)) - 0.5 * (nis + math.log(det)) - math.log(2.0 * math.pi))
    top = max(logs)
    return least, top + math.log(sum(math.exp(log - top) for log in logs))


def core_of(crowd: Crowd, row: int, time_ns: int, model: Model) -> Core:
    """The filter of an identified track that goes on from a contact."""
    c = crowd.contacts[row]
    mean, cov = moments(crowd.bank.rows(np.array([row])))
    bank = adopted(state_of(mean[0], cov[0]), model.motion)
    return Core(
        time_ns=time_ns, lat0_deg=c.lat0_deg, lon0_deg=c.lon0_deg, bank=bank, x=moments_of(bank, 0.0, model.motion),
        updated_ns=crowd.t_ns,
        first_ns=c.first_ns, hits=c.hits, spot_e=float(mean[0, 0]), spot_n=float(mean[0, 2]), lent=True,
    )  # fmt: skip


def framed(c: Contact, mean: np.ndarray, cov: np.ndarray, time_ns: int) -> Core:
    """A contact in the form that ``placed`` takes."""
    x = state_of(mean, cov)
    return Core(time_ns=time_ns, lat0_deg=c.lat0_deg, lon0_deg=c.lon0_deg, bank=NOTHING, x=x, updated_ns=time_ns,
                first_ns=c.first_ns)  # fmt: skip


def beyond(core: Core, time_ns: int, model: Model, lats: list[float], widest: float) -> bool:
    """Whether a track is, by its latitude alone, out of the sighting gate of every spot: a cheap bound, never too small.

    Args:
        lats: the spots' latitudes, sorted; widest: the largest trace of their R, m².
    """
    if not lats:
        return True
    x = core.x
    if abs(core.lat0_deg) > 85.0 or abs(x[0]) > 1e5 or abs(x[2]) > 1e5:
        return False
    dt, q = (time_ns - core.updated_ns) / NS, FASTEST_Q
    trace = (math.sqrt(x[4]) + dt * math.sqrt(x[8])) ** 2 + (math.sqrt(x[11]) + dt * math.sqrt(x[13])) ** 2
    trace += 2.0 * q * dt * dt * dt / 3.0
    reach_m = math.hypot(x[1], x[3]) * dt + math.sqrt(model.presets.sighting_gate * (trace + widest))
    # the plane's north is not the latitude's: off by e² tan(lat) / 2R, and a degree is 110.5 to 111.7 km
    reach_m += x[0] * x[0] * abs(math.tan(math.radians(core.lat0_deg))) / 12e6 + 0.02 * abs(x[2]) + 100.0
    return not near_by(core.lat0_deg + x[2] / 111_000.0, reach_m, lats)


def near_by(lat_deg: float, reach_m: float, lats: list[float]) -> bool:
    """Whether one of these latitudes, sorted, is within reach of one."""
    reach_deg = reach_m / 110_000.0
    at = bisect.bisect_left(lats, lat_deg - reach_deg)
    return at < len(lats) and lats[at] <= lat_deg + reach_deg


def gaussian(e_m: float, n_m: float, s_ee: float, s_en: float, s_nn: float) -> tuple[float, float]:
    """(NIS, log density) of a difference (m) under its covariance S (m²)."""
    det = s_ee * s_nn - s_en * s_en
    nis = (s_nn * e_m * e_m - 2.0 * s_en * e_m * n_m + s_ee * n_m * n_m) / det
    return nis, -0.5 * (nis + math.log(det)) - math.log(2.0 * math.pi)


def joined(a: Look, b: Look) -> Look:
    """Two parts of one look: every sighting once, in an order in which arrival plays no part."""
    whole, part = (a, b) if a.footprint else (b, a)
    spots = sorted({*whole.spots, *part.spots}, key=lambda s: (s.lat_deg, s.lon_deg, s.r_ee, s.r_en, s.r_nn))
    return msgspec.structs.replace(whole, spots=spots, imagery=a.imagery or b.imagery)


def is_rider(c: Contact, mean: np.ndarray, cov: np.ndarray, rider: Rider) -> bool:
    """Whether a contact's position and velocity are those of a rider, as far as both are known."""
    return is_at(c, mean, cov, rider.lat0_deg, rider.lon0_deg, rider.x)


def is_at(c: Contact, mean: np.ndarray, cov: np.ndarray, lat0_deg: float, lon0_deg: float, x: State) -> bool:
    """Whether a contact's position and velocity are those of a state in another frame."""
    return d2(mean, cov, c.lat0_deg, c.lon0_deg, lat0_deg, lon0_deg, x) <= TWIN_D2


def d2(
    mean: np.ndarray, cov: np.ndarray, at_lat_deg: float, at_lon_deg: float, lat0_deg: float, lon0_deg: float, x: State
) -> float:
    """Mahalanobis² between moments in the frame of an anchor and a state in another frame."""
    en = near_en(at_lat_deg, at_lon_deg, *frame(lat0_deg, lon0_deg).geodetic(x[0], x[2]))
    if en is None:
        return math.inf
    cos, sin = turn(lat0_deg, lon0_deg, at_lat_deg, at_lon_deg)
    d = mean - np.array([en[0], cos * x[1] + sin * x[3], en[1], -sin * x[1] + cos * x[3]])
    return float(d @ np.linalg.solve(cov + covariance(x), d))


def covariance(x: State) -> np.ndarray:
    """That of a state, (4, 4)."""
    upper = np.empty((4, 4))
    upper[UPPER] = x[4:]
    out: np.ndarray = np.triu(upper) + np.triu(upper, 1).T
    return out
