"""From a mask of single pixels to objects: closing, connected components, size, shape.

Sparse: pixels above a threshold are few, so the mask is first looked at in cells of 8 x 8 pixels, and only what
lies in a connected group of cells is closed and labelled.  The closing joins pixels at most CLOSE_PX - 1 apart,
which always lie in touching cells, so that no object is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

#: Side of the square that closes gaps.
CLOSE_PX = 5
_CELL = 8
_TOUCHING = np.ones((3, 3), bool)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One object in scene pixels; ``col`` and ``row`` are its centre, ``bbox`` (c0, r0, c1, r1) is half open.

    ``first`` is its first pixel above the threshold in reading order, (row, col): whoever owns that pixel owns the object.
    ``axis`` is the direction of the longer axis as (col, row) components.
    """

    first: tuple[int, int]
    bbox: tuple[int, int, int, int]
    pixels: int
    col: float
    row: float
    length_px: float
    width_px: float
    axis: tuple[float, float]
    score: float
    mean_score: float
    truncated: bool
    complete: bool


def closed(mask: np.ndarray) -> np.ndarray:
    """The mask with gaps of less than CLOSE_PX closed; outside the array is nothing."""
    k = CLOSE_PX
    wide = np.pad(mask, k)
    for grow in (True, False):
        for axis in (0, 1):
            wide = _slide(wide, k, axis, grow)
    return wide[k:-k, k:-k]


def find(
    over: np.ndarray,
    grown: np.ndarray,
    score_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    judged: np.ndarray | None,
    origin: tuple[int, int],
    scene: tuple[int, int],
    trusted: tuple[int, int, int, int],
    core: tuple[int, int, int, int],
    least_px: int,
    seed: tuple[int, int] | None = None,
) -> Iterator[Found]:
    """The objects with their first ``over`` pixel in the core, and those with any there that may go on elsewhere.

    Args:
        over: ``(h, w)``, a window whose corner is at ``origin`` (row, col), a multiple of 8: every object has such a pixel.
        grown: ``(h, w)``, the pixels that objects are made of; it holds ``over``.
        score_at: scores of window pixels (row, col).
        judged: what could be judged, None = all: an object beside something else is truncated.
        scene: (height, width) of the whole.
        trusted, core: (r0, c0, r1, c1) in scene pixels; outside ``trusted`` the mask means nothing.  An object
            that may go on beyond it is given with ``complete`` False.
        least_px: smaller objects (after closing) are left out, if they are complete.
        seed: give the object that holds this pixel (row, col), whatever its size, and no other.
    """
    from scipy import ndimage

    r0, c0 = origin
    t = (trusted[0] - r0, trusted[1] - c0, trusted[2] - r0, trusted[3] - c0)
    part, hits = _cut(grown, t), _cut(over, t)
    groups, count = ndimage.label(_any(part), _TOUCHING)
    if not count:
        return
    boxes = ndimage.find_objects(groups)
    # most groups are single pixels of background that reach the lower level only
    for number in np.unique(groups[_any(hits)]):
        where = boxes[number - 1]
        rows, cols = (slice(s.start * _CELL, s.stop * _CELL) for s in where)
        if r0 + rows.stop <= core[0] or r0 + rows.start >= core[2] or c0 + cols.stop <= core[1] or c0 + cols.start >= core[3]:
            continue
        if seed is not None and groups[(seed[0] - r0) // _CELL, (seed[1] - c0) // _CELL] != number:
            continue
        mine = part[rows, cols]
        own = groups[where] == number
        if not own.all():
            mine = mine & np.repeat(np.repeat(own, _CELL, 0), _CELL, 1)
        if mine.all():
            shape = mine
        else:
            shape = closed(mine)
        labels, _ = ndimage.label(shape, _TOUCHING)
        for label, box in enumerate(ndimage.find_objects(labels), 1):
            if seed is not None and labels[seed[0] - r0 - rows.start, seed[1] - c0 - cols.start] != label:
                continue
            whole = labels[box] == label
            at = rows.start + box[0].start, cols.start + box[1].start
            hit_row, hit_col = np.nonzero(whole & hits[rows, cols][box])
            hit_row, hit_col = hit_row + (at[0] + r0), hit_col + (at[1] + c0)
            inside = (hit_row >= core[0]) & (hit_row < core[2]) & (hit_col >= core[1]) & (hit_col < core[3])
            if not inside.any():
                continue
            first = int(hit_row[0]), int(hit_col[0])
            object_ = _measure(whole, mine[box], first, at, score_at, judged, origin, scene, trusted)
            if seed is not None or not object_.complete or (inside[0] and object_.pixels >= least_px):
                yield object_


def _cut(a: np.ndarray, area: tuple[int, int, int, int]) -> np.ndarray:
    """The array with everything outside an area False, up to a multiple of _CELL a side."""
    out = np.zeros((-(-area[2] // _CELL) * _CELL, -(-area[3] // _CELL) * _CELL), bool)
    out[area[0] : area[2], area[1] : area[3]] = a[area[0] : area[2], area[1] : area[3]]
    return out


def _any(a: np.ndarray) -> np.ndarray:
    """Which cells of _CELL x _CELL hold anything."""
    return (a.view(np.uint64) != 0).reshape(a.shape[0] // _CELL, _CELL, -1).any(axis=1)


def _measure(
    shape: np.ndarray,
    raw: np.ndarray,
    first: tuple[int, int],
    at: tuple[int, int],
    score_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    judged: np.ndarray | None,
    origin: tuple[int, int],
    scene: tuple[int, int],
    trusted: tuple[int, int, int, int],
) -> Found:
    row, col = np.nonzero(shape)
    own_row, own_col = np.nonzero(shape & raw)
    scores = np.asarray(score_at(own_row + at[0], own_col + at[1]), np.float64)
    r0, c0 = at[0] + origin[0], at[1] + origin[1]
    bbox = (c0, r0, c0 + shape.shape[1], r0 + shape.shape[0])
    # the trusted area's border is no border where the scene ends there
    reach = CLOSE_PX
    ends = (
        (trusted[0] > 0 and bbox[1] - trusted[0] < reach) or (trusted[1] > 0 and bbox[0] - trusted[1] < reach)
        or (trusted[2] < scene[0] and trusted[2] - bbox[3] < reach) or (trusted[3] < scene[1] and trusted[3] - bbox[2] < reach)
    )
    cut = bbox[0] == 0 or bbox[1] == 0 or bbox[2] == scene[1] or bbox[3] == scene[0]
    if judged is not None and not cut:
        around = judged[max(at[0] - 1, 0) : at[0] + shape.shape[0] + 1, max(at[1] - 1, 0) : at[1] + shape.shape[1] + 1]
        cut = not bool(around.all())
    # whole numbers about the corner: the same in every window
    mr, mc = float(row.mean()), float(col.mean())
    dr, dc = row - mr, col - mc
    rr, cc, rc = float((dr * dr).mean()), float((dc * dc).mean()), float((dr * dc).mean())
    angle = 0.5 * np.arctan2(2.0 * rc, cc - rr)
    ax, ay = float(np.cos(angle)), float(np.sin(angle))
    along, across = dc * ax + dr * ay, -dc * ay + dr * ax
    # of the rectangle with these second moments: a speckle that hangs on makes a ship hardly longer
    length, width = (float(np.sqrt(12.0 * (d * d).mean() + 1.0)) for d in (along, across))
    return Found(
        first=first, bbox=bbox, pixels=int(row.size), col=c0 + mc + 0.5, row=r0 + mr + 0.5,
        length_px=length, width_px=width, axis=(ax, ay),
        score=float(scores.max()), mean_score=float(scores.mean()), truncated=bool(cut), complete=not ends,
    )


def _slide(a: np.ndarray, size: int, axis: int, grow: bool) -> np.ndarray:
    """Dilation (grow) or erosion by a centred line of odd ``size`` along an axis, by doubling."""
    join = np.logical_or if grow else np.logical_and
    half = size // 2
    pad = [(0, 0), (0, 0)]
    pad[axis] = (half, half)
    s = np.pad(a, pad)
    length = 1
    while length < size:
        step = min(length, size - length)
        n = s.shape[axis] - step
        s = join(s[:n], s[step:]) if axis == 0 else join(s[:, :n], s[:, step:])
        length += step
    return s
