"""A small picture of what a flag stands on, for a person's eye."""

from __future__ import annotations

import io

import numpy as np

from birddog.model import Flag
from imagery.scene import Reader

SIDE_PX = 128


def thumbnail(reader: Reader, flag: Flag) -> bytes:
    """PNG, at most SIDE_PX a side, grey, of the flag and its surroundings, stretched to its own range.

    Raises:
        SceneError: the scene cannot be read.
    """
    from PIL import Image

    scene = reader.scene
    c0, r0, c1, r1 = flag.bbox_px
    side = max(64, min(1024, 2 * max(c1 - c0, r1 - r0)))
    left = max(0, min(int(flag.col) - side // 2, scene.width - side))
    top = max(0, min(int(flag.row) - side // 2, scene.height - side))
    width, height = min(side, scene.width - left), min(side, scene.height - top)
    values, valid = reader.read(left, top, width, height)
    seen = values if valid is None else values[valid]
    low, high = (np.quantile(seen, (0.02, 0.995)) if seen.size else (0.0, 1.0))
    grey = np.clip((values - low) / max(float(high - low), 1e-12) * 255.0, 0.0, 255.0).astype(np.uint8)
    picture = Image.fromarray(grey)
    picture.thumbnail((SIDE_PX, SIDE_PX))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
