"""Several bands as one look: both polarisations of a pass are asked, and what either shows is one object.

VH shows ships that VV drowns in the sea, and the other way about (vessel-detection-sentinels reads both).  Each band has
its own fit and an equal share of the false alarms that were asked for, so that the rate of the whole is the one asked.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from imagery.detector import Response, Sample


class Model(msgspec.Struct, frozen=True):
    """One model a band; None where a band could not be fitted, with the reason in ``unfit``."""

    bands: tuple[int, ...]
    models: tuple[Any, ...]
    unfit: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """For the record beside the flags; of a single band, just its own."""
        said = [{"unfit": why} if model is None else model.describe()
                for model, why in zip(self.models, self.unfit, strict=True)]
        return said[0] if len(said) == 1 else {"bands": [{"band": b} | d for b, d in zip(self.bands, said, strict=True)]}


class Joined(msgspec.Struct):
    """The answer of all bands for one window: see ``imagery.detector``."""

    parts: list[Response]
    over: np.ndarray
    grown: np.ndarray
    judged: np.ndarray | None

    def at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """The highest score of any band, of single pixels."""
        return np.fmax.reduce([part.at(row, col) for part in self.parts])

    def image(self) -> np.ndarray:
        """The highest score of any band; NaN where none was judged."""
        return np.fmax.reduce([part.image() for part in self.parts])


class Joint:
    """A detector of one plane, run on each of several bands; it keeps the contract of ``imagery.detector``."""

    BANDS = "each"

    def __init__(self, kernel: Any, bands: tuple[int, ...], quanta: tuple[float, ...]):
        self.kernel, self.bands, self.quanta = kernel, bands, quanta
        self.GRID_PX, self.HALO_PX, self.BLIND_PX, self.PFA = kernel.GRID_PX, kernel.HALO_PX, kernel.BLIND_PX, kernel.PFA

    def fit(self, samples: list[Sample], pfa: float, quantum: float) -> Model:
        """One fit a band.

        Raises:
            ValueError: no band could be fitted.
        """
        models: list[Any] = []
        why: list[str] = []
        for i, step in enumerate(self.quanta):
            try:
                models.append(self.kernel.fit([Sample(x[i], valid, inner) for x, valid, inner in samples],
                                              pfa / len(self.bands), step))
                why.append("")
            except ValueError as error:
                models.append(None)
                why.append(str(error))
        if all(model is None for model in models):
            raise ValueError(why[0])
        return Model(self.bands, tuple(models), tuple(why))

    def respond(self, x: np.ndarray, valid: np.ndarray | None, model: Model) -> Joined:
        """All bands of one window ``(band, h, w)``."""
        parts = [self.kernel.respond(x[i], valid, one) for i, one in enumerate(model.models) if one is not None]
        over, grown, judged = parts[0].over, parts[0].grown, parts[0].judged
        for part in parts[1:]:
            over, grown = over | part.over, grown | part.grown
            judged = None if judged is None or part.judged is None else judged | part.judged
        return Joined(parts, over, grown, judged)
