"""Judges every detector found in imagery/detectors: its form, and that a pixel's answer is the same in any window."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imagery import detector as contract
from imagery.detector import Sample

SIDE_PX = 256
SHAPES = {"grey": (), "all": (3,), "pair": (6,)}


@pytest.fixture(params=contract.names())
def module(request):
    return contract.find(request.param)


def scene(module, seed: int = 1) -> np.ndarray:
    """Noise with a patch that is brighter in one place; of a pair, the second half is the later."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(4.0, 25.0, (*SHAPES[module.BANDS], SIDE_PX, SIDE_PX)).astype(np.float32)
    bright = x[3:] if module.BANDS == "pair" else x
    bright[..., 120:126, 130:136] += np.float32(2000.0)
    return x


def fitted(module, x, valid=None):
    inner = slice(module.HALO_PX, -module.HALO_PX)
    return module.fit([Sample(x, valid, (inner, inner))], module.PFA, 0.0)


def test_form(module):
    assert module.__doc__ and module.BANDS in SHAPES
    assert module.GRID_PX > 0 and module.HALO_PX % module.GRID_PX == 0 and 0 <= module.BLIND_PX <= module.HALO_PX
    assert module.PFA is None or 0.0 < module.PFA < 0.5
    json.dumps(fitted(module, scene(module)).describe(), allow_nan=False)


def test_a_response_has_its_parts(module):
    x = scene(module)
    response = module.respond(x, None, fitted(module, x))
    image = response.image()
    assert response.over.shape == response.grown.shape == image.shape == (SIDE_PX, SIDE_PX)
    assert response.over.dtype == response.grown.dtype == bool and image.dtype == np.float32
    assert not (response.over & ~response.grown).any(), "what is over belongs to its object"
    row, col = np.nonzero(response.over)
    assert np.array_equal(response.at(row, col), image[row, col])


def test_it_finds_the_patch_and_little_else(module):
    x = scene(module)
    b = module.BLIND_PX
    over = module.respond(x, None, fitted(module, x)).over[b : SIDE_PX - b, b : SIDE_PX - b]
    assert over[120 - b : 126 - b, 130 - b : 136 - b].mean() > 0.5
    assert over.mean() < 0.02


def test_a_pixels_answer_is_the_same_in_any_window(module):
    """To the last bit, where the window holds what the kernel sees: the scan may cut a scene as it likes."""
    x = scene(module)
    model, step = fitted(module, x), module.GRID_PX
    whole = module.respond(x, None, model)
    image = whole.image()
    for row, col, height, width in ((step, 0, SIDE_PX - step, SIDE_PX), (0, step, SIDE_PX, SIDE_PX - step)):
        part = module.respond(np.ascontiguousarray(x[..., row : row + height, col : col + width]), None, model)
        # what the cut itself may have blinded is left out on each side
        b = module.HALO_PX
        inner = (slice(b, height - b), slice(b, width - b))
        outer = (slice(row + b, row + height - b), slice(col + b, col + width - b))
        assert part.over[inner].size and np.array_equal(part.over[inner], whole.over[outer])
        assert np.array_equal(part.image()[inner], image[outer], equal_nan=True)


def test_what_is_not_valid_is_never_found(module):
    x = scene(module)
    valid = np.ones((SIDE_PX, SIDE_PX), bool)
    valid[110:140, 120:150] = False
    model = fitted(module, np.where(valid, x, np.float32(0.0)), valid)
    response = module.respond(np.where(valid, x, np.float32(0.0)), valid, model)
    assert not response.over[~valid].any() and np.isnan(response.image()[~valid]).all()


def test_a_scene_of_one_value_or_of_too_few_is_said_to_be(module):
    flat = np.full((*SHAPES[module.BANDS], SIDE_PX, SIDE_PX), 7.0, np.float32)
    with pytest.raises(ValueError):
        fitted(module, flat)
    with pytest.raises(ValueError):
        fitted(module, scene(module), np.zeros((SIDE_PX, SIDE_PX), bool))
