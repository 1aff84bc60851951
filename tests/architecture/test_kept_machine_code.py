"""What Numba keeps beside the source may be damaged, or its disk full: whoever wants it compiles it anew, and nobody dies."""

import logging
from types import SimpleNamespace

import pytest

from birddog import leaf_kernel
from tracking import crowd_kernel, kernel

numba = pytest.importorskip("numba")
caching = pytest.importorskip("numba.core.caching")


@pytest.mark.parametrize("module", [leaf_kernel, kernel, crowd_kernel], ids=lambda module: module.__name__)
@pytest.mark.parametrize("fault", [
    EOFError("Ran out of input"), ValueError("invalid load key"), OSError(28, "No space left on device"),
], ids=lambda fault: type(fault).__name__)  # fmt: skip
def test_a_damaged_or_full_cache_is_no_end(module, fault, monkeypatch, caplog):
    asked = []

    def broken(*_: object, **__: object) -> None:
        asked.append(1)
        raise fault

    def none(*_: object) -> None:
        pass

    none.overloads = {(): SimpleNamespace(entry_point=none)}  # as Numba's: the kernel calls the machine code itself

    monkeypatch.setattr(caching.IndexDataCacheFile, "load", broken)
    # what is compiled stands for itself: the fault comes with the first of them
    monkeypatch.setattr(module, "_INNER", (), raising=False)
    real = numba.njit
    # without the cache it would be compiled, which takes half a minute
    monkeypatch.setattr(numba, "njit", lambda *a, **k: (lambda _: none) if not k.get("cache") else real(*a, **k))
    with caplog.at_level(logging.WARNING):
        found = module.compiled.__wrapped__()
    assert asked and found is not None and all(one is none for one in found)


def test_leaves_are_hashed_the_plain_way_where_nothing_can_be_compiled(monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no machine code here")

    monkeypatch.setattr(numba, "njit", broken)
    with caplog.at_level(logging.WARNING):
        assert leaf_kernel.compiled.__wrapped__() is None
    assert "no machine code here" in caplog.text
