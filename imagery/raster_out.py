"""Writes what a scan made, whole or not at all: a mask or score picture with its scene's georeference, or text."""

from __future__ import annotations

import math
import os
import secrets
import threading
import warnings
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from birddog.errors import UsageError
from imagery.scene import Scene


class RasterOut:
    """A GeoTIFF of one band in a scene's size; it appears under its name when it is finished.

    Args:
        path: where it shall be; an older file is replaced.
        dtype, nodata: of its pixels.
        tile: (height, width); windows begin on multiples of these, which are multiples of 64.

    Raises:
        UsageError: it cannot be written.
    """

    def __init__(self, path: str | Path, scene: Scene, *, dtype: str, nodata: float, tile: tuple[int, int]):
        self.path = Path(path).resolve()
        if self.path.exists() and not self.path.is_file():
            raise UsageError("is no regular file", file=str(path))
        self._lock = threading.Lock()
        self._made = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}.tmp")
        side = math.gcd(*tile, 256)
        how = {"driver": "GTiff", "width": scene.width, "height": scene.height, "count": 1, "dtype": dtype, "nodata": nodata,
               "tiled": True, "blockxsize": side, "blockysize": side, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
        if scene.placing and scene.placing.affine:
            how |= {"crs": rasterio.CRS.from_wkt(scene.placing.crs_wkt), "transform": Affine(*scene.placing.affine)}
        elif scene.placing:
            how |= {"crs": rasterio.CRS.from_wkt(scene.placing.crs_wkt),
                    "gcps": [GroundControlPoint(row=r, col=c, x=x, y=y) for c, r, x, y in scene.placing.gcps]}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._file = rasterio.open(self._made, "w", **how)
        except (RasterioError, OSError, UnicodeEncodeError) as error:
            raise UsageError("cannot be written", file=str(path)) from error

    def write(self, row: int, col: int, values: np.ndarray) -> None:
        """Put a window; from any thread.

        Raises:
            UsageError: the disk refuses.
        """
        try:
            with self._lock:
                self._file.write(values, 1, window=Window(col, row, values.shape[1], values.shape[0]))
        except (RasterioError, OSError) as error:
            raise UsageError("cannot be written", file=str(self.path)) from error

    def finish(self) -> None:
        """Close, sync, rename.

        Raises:
            UsageError: the disk refuses.
        """
        try:
            self._file.close()
            into_place(self._made, self.path)
        except (RasterioError, OSError) as error:
            raise UsageError("cannot be written", file=str(self.path)) from error

    def drop(self) -> None:
        """Leave nothing behind; nothing happens after ``finish``."""
        self._file.close()
        self._made.unlink(missing_ok=True)


def into_place(made: Path, path: Path) -> None:
    """Sync a finished file and give it its name, so that a reader sees all of it or nothing."""
    handle = os.open(made, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(made, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text beside, sync it, and give it its name; straight into what is no regular file (a pipe, /dev/stdout).

    Raises:
        UsageError: it cannot be written.
    """
    if path.is_dir():
        raise UsageError("cannot be written: Is a directory", file=str(path))
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=str(path)) from error
        return
    path = path.resolve()  # of a link, the file that it leads to
    made = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            made.write_text(text, encoding="utf-8")
            into_place(made, path)
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=str(path)) from error
