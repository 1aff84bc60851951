"""One position as a satellite receiver has it: the truth with the receiver's noise, and now and then an outlier."""

from __future__ import annotations

import math
import random

from sim.tables import Faults
from sim.world import World


class Measured:
    """A position as a receiver has it.

    Args:
        lat_deg, lon_deg, speed_mps, course_deg: with their noise.
        sigma_m: one sigma per axis of this fix, as the receiver believes.
    """

    __slots__ = ("course_deg", "lat_deg", "lon_deg", "sigma_m", "speed_mps", "truth")

    def __init__(self, world: World, name: str, t_s: float, sigma_m: float, rng: random.Random, bad: Faults):
        truth = world.state(name, t_s)
        self.truth = truth
        self.sigma_m = sigma_m * math.exp(rng.gauss(0.0, 0.2))
        e, n = truth.e_m + rng.gauss(0.0, self.sigma_m), truth.n_m + rng.gauss(0.0, self.sigma_m)
        if bad.outlier and rng.random() < bad.outlier:
            angle = rng.uniform(0.0, math.tau)
            e, n = e + bad.outlier_m * math.cos(angle), n + bad.outlier_m * math.sin(angle)
        self.lat_deg, self.lon_deg = world.frame.geodetic(e, n)
        ve, vn = truth.ve_mps + rng.gauss(0.0, 0.15), truth.vn_mps + rng.gauss(0.0, 0.15)
        self.speed_mps = math.hypot(ve, vn)
        self.course_deg = math.degrees(math.atan2(ve, vn)) % 360.0
