"""From pixels to objects: exactly what a plain closing and labelling of the whole picture gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from imagery import objects

K = objects.CLOSE_PX


def plain(grown: np.ndarray, over: np.ndarray, least: int) -> set[tuple]:
    """(bbox, pixels) by scipy on the whole."""
    wide = ndimage.binary_closing(np.pad(grown, K), np.ones((K, K)))[K:-K, K:-K]
    labels, n = ndimage.label(wide, np.ones((3, 3)))
    out = set()
    for i, (r, c) in enumerate(ndimage.find_objects(labels), 1):
        own = labels == i
        if own.sum() >= least and (own & over).any():
            out.add(((c.start, r.start, c.stop, r.stop), int(own.sum())))
    return out


def found(grown: np.ndarray, over: np.ndarray, least: int = 1, **more) -> list[objects.Found]:
    h, w = grown.shape
    area = (0, 0, h, w)
    how = {"judged": None, "origin": (0, 0), "scene": (h, w), "trusted": area, "core": area, "least_px": least} | more
    return list(objects.find(over, grown, lambda r, c: np.ones(len(r)), **how))


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.2), st.integers(9, 70), st.integers(9, 70), st.sampled_from([1, 3, 12]))
@settings(max_examples=150, deadline=None)
def test_the_sparse_way_is_the_plain_way(seed, share, h, w, least):
    rng = np.random.default_rng(seed)
    grown = rng.random((h, w)) < share
    over = grown & (rng.random((h, w)) < 0.3)
    got = found(grown, over, least)
    assert {(o.bbox, o.pixels) for o in got} == plain(grown, over, least)
    assert all(o.complete for o in got)
    assert len({o.first for o in got}) == len(got)


def test_closing_is_the_textbooks():
    a = np.random.default_rng(1).random((60, 50)) < 0.1
    want = ndimage.binary_closing(np.pad(a, K), np.ones((K, K)))[K:-K, K:-K]
    assert (objects.closed(a) == want).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.005, 0.06))
@settings(max_examples=20, deadline=None)
def test_tiles_share_out_the_complete_objects_and_own_up_to_the_others(seed, share):
    rng = np.random.default_rng(seed)
    grown = rng.random((128, 192)) < share
    over = grown & (rng.random(grown.shape) < 0.5)
    want = {o.first: o for o in found(grown, over)}
    got: list[objects.Found] = []
    unfinished = set()
    for r in range(0, 128, 64):
        for c in range(0, 192, 64):
            trusted = (max(r - 16, 0), max(c - 16, 0), min(r + 80, 128), min(c + 80, 192))
            for o in found(grown, over, trusted=trusted, core=(r, c, r + 64, c + 64)):
                if o.complete:
                    got.append(o)
                else:
                    unfinished.add((o.first, (r, c)))
    assert len({o.first for o in got}) == len(got), "no object twice"
    assert all(want[o.first] == o for o in got), "and each as the whole picture has it"
    for first, o in want.items():
        if first not in {g.first for g in got}:
            assert any(at == (first[0] // 64 * 64, first[1] // 64 * 64) for _, at in unfinished), f"{o} is known to nobody"


def test_size_length_and_direction():
    grown = np.zeros((100, 100), bool)
    grown[40:46, 20:60] = True
    (o,) = found(grown, grown)
    assert o.bbox == (20, 40, 60, 46) and o.pixels == 240
    assert (o.col, o.row) == (40.0, 43.0)
    assert o.length_px == pytest.approx(40.0) and o.width_px == pytest.approx(6.0)
    assert abs(o.axis[0]) == pytest.approx(1.0)
    (t,) = found(grown.T.copy(), grown.T.copy())
    assert t.length_px == pytest.approx(40.0) and abs(t.axis[1]) == pytest.approx(1.0)
    dot = np.zeros((20, 20), bool)
    dot[7, 9] = True
    (d,) = found(dot, dot)
    assert (d.length_px, d.width_px, d.col, d.row) == (1.0, 1.0, 9.5, 7.5)


def test_truncated_at_the_scenes_edge_and_beside_what_is_not_valid():
    grown = np.zeros((64, 64), bool)
    grown[0:5, 10:20] = grown[30:35, 30:40] = grown[50:55, 10:20] = True
    judged = np.ones((64, 64), bool)
    judged[35, 33] = False
    cut = {o.bbox: o.truncated for o in found(grown, grown, judged=judged)}
    assert cut == {(10, 0, 20, 5): True, (30, 30, 40, 35): True, (10, 50, 20, 55): False}


def test_the_asked_object_alone():
    grown = np.zeros((64, 64), bool)
    grown[10:14, 10:14] = grown[40:50, 40:50] = True
    assert [o.bbox for o in found(grown, grown, seed=(41, 41))] == [(40, 40, 50, 50)]
