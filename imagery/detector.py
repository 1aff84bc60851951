"""What every detector in imagery/detectors gives: the contract that ``imagery.scan`` runs.

A detector is one module whose name is its name (``_`` for ``-``).  It has

    BANDS     "grey": one plane (h, w); "all": a stack (band, h, w); "pair": before's bands, then after's
    GRID_PX   its windows begin on multiples of this; HALO_PX is one
    HALO_PX   how far the kernel looks beyond a window's core
    BLIND_PX  of the halo, the outermost part whose answer is not to be trusted
    PFA       the false-alarm rate where the caller names none; None: it sets its own threshold
    fit(samples, pfa, quantum) -> model     once a scene, on windows that do not depend on the tile; model.describe()
                                            is what the output says of it
    respond(x, valid, model) -> Response    one window

and the answer for a pixel is the same to the last bit in whatever window it was read.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from birddog.errors import UsageError


class Sample(NamedTuple):
    """A window to fit on: pixels, mask (None = all valid), and the part in which the kernel sees all it needs."""

    x: np.ndarray
    valid: np.ndarray | None
    inner: tuple[slice, slice]


class Response(Protocol):
    """A detector's answer for one window of shape (h, w)."""

    over: np.ndarray
    """bool (h, w): what is above the threshold."""
    grown: np.ndarray
    """bool (h, w): what belongs to an object if it touches such a pixel; may be ``over`` itself."""
    judged: np.ndarray | None
    """bool (h, w): what could be judged at all; None = everything."""

    def at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Scores of single pixels."""
        ...

    def image(self) -> np.ndarray:
        """Scores ``(h, w)`` float32, NaN where not judged."""
        ...


class Dense(msgspec.Struct):
    """A response that has every pixel's score at hand."""

    scores: np.ndarray
    over: np.ndarray
    judged: np.ndarray | None

    @property
    def grown(self) -> np.ndarray:
        """The same pixels."""
        return self.over

    def at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Scores of single pixels."""
        return self.scores[row, col]

    def image(self) -> np.ndarray:
        """Scores, NaN where not judged."""
        return self.scores if self.judged is None else np.where(self.judged, self.scores, np.float32(np.nan))


def names() -> list[str]:
    """The detectors there are."""
    import imagery.detectors

    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(imagery.detectors.__path__))


def find(name: str) -> Any:
    """The module of a detector; ``irmad`` is taken for ``ir-mad``.

    Raises:
        UsageError: there is none of that name.
    """
    for known in names():
        if name in (known, known.replace("-", "")):
            return importlib.import_module("imagery.detectors." + known.replace("-", "_"))
    raise UsageError(f"no detector {name!r}; there are: {', '.join(names())}", field="--detector")
