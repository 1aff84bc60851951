"""When a process that folds lets Python look for rings of objects, which the fold makes none of."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


def collect_seldom() -> None:
    """What folds for long looks for rings of objects more seldom: the fold makes none, and to look walks all of its tracks.

    By default each 700 objects, and of everything when it has grown by a quarter: a tenth of what an entry costs with 10,000
    tracks.  Memory that is in no ring is freed at once, as ever.
    """
    gc.set_threshold(20_000, 1000, 100)


@contextlib.contextmanager
def collect_never() -> Iterator[None]:
    """Whoever folds a journal once, to its end, looks for no rings of objects: the fold makes none (a test), and each track
    that begins would be walked once in vain; also at the end, where all of it would be the youngest that there is: it is
    counted among the oldest instead, without a look.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.freeze()
            gc.unfreeze()
            gc.enable()
