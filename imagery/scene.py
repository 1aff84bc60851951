"""Opens a scene safely, reads windows of it with a mask of what is valid, and knows where its pixels lie.

Whatever the file says about itself is taken as hostile: only plain local files that begin as TIFF, PNG,
JPEG or JPEG 2000 are opened, by GDAL's GTiff, PNG, JPEG and JP2OpenJPEG drivers alone (no VRT, no /vsi path, no URL,
no sidecar file), and size, bands and blocks are held against caps before a pixel is decoded.  Every refusal is a
``SceneError`` of one line.  The only module, with ``imagery.raster_out``, that imports rasterio.

(Longer than most files: it is one door, and what it lets in is decided in one place.)

Pixel coordinates: column and row grow to the right and down, (0, 0) is the outer corner of the first pixel.

Over 400 lines: the refusals stand beside the reads that they guard.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import stat
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError  # GDAL's own errors leak through some getters; rasterio.errors has no name for them
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from birddog.errors import UsageError
from birddog.geo import LocalFrame, valid_position
from imagery.scene_time import made_by_radar, stated_in, without_alpha

if TYPE_CHECKING:
    import xarray as xr

#: Caps on what a header may claim.
MAX_SIDE_PX = 400_000
MAX_PIXELS = 12_000_000_000
MAX_BANDS = 64
MAX_BLOCKS = 4_000_000
MAX_GCPS = 1000
#: One decoded block (all bands where they are interleaved): two readers and their tiles stay under 1 GB.
MAX_BLOCK_BYTES = 200_000_000
#: PNG and JPEG can only be read from the top, so they are decoded whole.
MAX_WHOLE_BYTES = 200_000_000
#: Decoded bytes for each byte of the file, beyond which a scene of more than 256 MB is taken as a bomb (zlib reaches 1032).
MAX_EXPANSION = 1100
GDAL_CACHE_BYTES = 64_000_000

_MAGIC = {b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
          b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
          b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG"}
_GDAL = {
    "GDAL_CACHEMAX": GDAL_CACHE_BYTES,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    "GDAL_ALLOW_LARGE_LIBJPEG_MEM_ALLOC": "NO",
    "CPL_CURL_ENABLE_VSIMEM": "NO",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
}
#: GDAL's types that numpy does not know, and as what they are read.
_READ_AS = {"complex_int16": "complex64", "complex_int32": "complex64"}
#: A band that says it is alpha is one where at least this share of what is not closed is wholly open.
_ALPHA_SHARE = 0.75
#: Control points contradict each other where one lies so many pixels, and so many times their usual distance, off a smooth
#: surface through all.
_GCP_OFF_PX, _GCP_OFF_TIMES = 25.0, 25.0
#: Of pixels placed by control points the largest may cover so many times the ground of the smallest.
_GCP_AREAS = 30.0
#: A corner of so many pixels a side that holds nothing but 0 was never imaged.
_CORNER_PX = 32
_open_lock = threading.Lock()


class SceneError(UsageError):
    """The file is no scene that can be scanned; one line that names it and says why."""


class SceneChanged(SceneError):
    """The file was written to while it was read: try again when it is finished."""


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pixels lie: affine (a, b, c, d, e, f) from (col, row) to the CRS, and the CRS as WKT.

    A scene without an affine (Sentinel-1 as it is delivered) has ``gcps``, ground control points (col, row, x, y): a
    thin-plate spline goes through all of them.  Their heights are left out: what is sought floats.  Longitudes go on over
    the date line (179.9, 180.1), for a spline through -180 leads round the Earth.  A place that the spline throws further
    from the plane through all points than half of what they span is none.
    """

    crs_wkt: str
    affine: tuple[float, float, float, float, float, float] | None
    gcps: tuple[tuple[float, float, float, float], ...] = ()

    def lonlat(self, col: Sequence[float] | np.ndarray, row: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(lon_deg, lat_deg) of pixel coordinates, each ``(N,)``; NaN where the CRS has no such place."""
        from rasterio.warp import transform

        col_px, row_px = np.asarray(col, "float64"), np.asarray(row, "float64")
        if not col_px.size:
            return col_px, row_px
        try:
            x, y = self._xy(col_px, row_px)
            lon, lat = transform(rasterio.CRS.from_wkt(self.crs_wkt), "EPSG:4326", x.tolist(), y.tolist())
        except (RasterioError, CPLE_BaseError):
            return np.full(col_px.shape, np.nan), np.full(col_px.shape, np.nan)
        lon_deg, lat_deg = np.asarray(lon, "float64"), np.asarray(lat, "float64")
        lon_deg = np.where(np.abs(lon_deg) <= 180.0, lon_deg, (lon_deg + 180.0) % 360.0 - 180.0)
        good = np.isfinite(lon_deg) & np.isfinite(lat_deg) & (np.abs(lat_deg) <= 90.0)
        return np.where(good, lon_deg, np.nan), np.where(good, lat_deg, np.nan)

    def _xy(self, col: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.affine is not None:
            a, b, c, d, e, f = self.affine
            return a * col + b * row + c, d * col + e * row + f
        from rasterio.control import GroundControlPoint
        from rasterio.transform import GCPTransformer

        marks = [GroundControlPoint(row=r, col=c, x=x, y=y) for c, r, x, y in self.gcps]
        with GCPTransformer(marks, tps=True) as warp:
            # rasterio rounds rows and columns where the offset is that of pixel centres
            x, y = warp.xy(row.tolist(), col.tolist(), offset="ul")
        xy = np.stack([np.asarray(x, "float64"), np.asarray(y, "float64")], axis=1)
        points = np.array(self.gcps)
        plane = np.linalg.lstsq(_terms(points[:, 0], points[:, 1], 1), points[:, 2:], rcond=None)[0]
        ground = _terms(points[:, 0], points[:, 1], 1) @ plane
        most = 0.5 * np.hypot(*np.ptp(ground, axis=0)) + np.abs(points[:, 2:] - ground).max()
        xy[~(np.abs(xy - _terms(col, row, 1) @ plane).max(axis=1) <= most)] = np.nan
        return xy[:, 0], xy[:, 1]

    def pixel_en_m(self, col: float, row: float) -> np.ndarray | None:
        """The 2 x 2 matrix whose columns are the east/north metres of one step in column and in row; None if unknown."""
        lon, lat = self.lonlat([col, col + 1.0, col], [row, row, row + 1.0])
        if not all(valid_position(float(a), float(o)) for a, o in zip(lat, lon, strict=True)):
            return None
        frame = LocalFrame(lat_deg=float(lat[0]), lon_deg=float(lon[0]))
        steps = [frame.en(lat_deg=float(lat[i]), lon_deg=float(lon[i])) for i in (1, 2)]
        matrix = np.array(steps).T
        return matrix if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 0.0 else None


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the header of an accepted file says; bands count from 1.

    ``unplaced`` says by what a scene without ``placing`` would be placed that is not understood here, or nothing.
    ``datetime_tag`` is TIFFTAG_DATETIME, ``stated_time`` what else the file says of when it was taken.
    ``colour`` are the red, green and blue band, or nothing; ``data_bands`` all but ``alpha`` (0: there is none).
    """

    path: str
    driver: str
    width: int
    height: int
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    block: tuple[int, int]
    placing: Placing | None
    unplaced: str
    datetime_tag: str | None
    stated_time: str | None
    colour: tuple[int, ...]
    data_bands: tuple[int, ...]
    alpha: int

    @property
    def whole(self) -> bool:
        """Whether it can only be decoded from the top."""
        return self.driver in ("PNG", "JPEG")

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return os.path.basename(self.path)

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return len(self.dtypes)

    @property
    def block_bytes(self) -> int:
        """Of one decoded block, all bands."""
        return self.block[0] * self.block[1] * sum(np.dtype(d).itemsize for d in self.dtypes)

    @property
    def grey_bands(self) -> tuple[int, ...]:
        """The bands (from 1) whose mean is the picture's brightness: red, green, blue, or the first alone."""
        return self.colour or self.data_bands[:1] or (1,)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, streamed.

    Raises:
        SceneError: it cannot be read, or changed meanwhile.
    """
    digest, buffer = hashlib.sha256(), bytearray(1 << 20)
    view = memoryview(buffer)
    try:
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as f:
            before = os.fstat(f.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise SceneError("is no plain file", file=str(path))
            while n := f.readinto(buffer):
                digest.update(view[:n])
            after = os.fstat(f.fileno())
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror}", file=str(path)) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SceneChanged("changes while it is read", file=str(path))
    return digest.hexdigest()


def open_scene(path: str | Path) -> Scene:
    """The header of a file, after the caps; no pixel is decoded.

    Raises:
        SceneError: not a plain local TIFF, PNG, JPEG or JPEG 2000, too large, or damaged.
    """
    with _dataset(path) as (dataset, driver):
        scene = _describe(str(path), driver, dataset)
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror}", file=str(path)) from error
    _hold_against_caps(scene, size)
    if driver == "JP2OpenJPEG":
        _hold_tile_against_caps(scene)
    if driver == "PNG":
        _walk_png(path)
    return scene


class Reader:
    """One handle on a scene, for one thread: windows as float32 with their mask.

    Args:
        scene: from ``open_scene``.
        bands: the bands to read, from 1; their mean is taken where ``mean`` is set.

    Raises:
        SceneError: from every method, where the file is damaged or its bands do not exist.
    """

    def __init__(self, scene: Scene, bands: Sequence[int] | None = None, *, mean: bool = False):
        self.scene = scene
        self.bands = tuple(bands) if bands is not None else scene.grey_bands
        self.mean = mean or bands is None
        if not self.bands or not all(1 <= band <= scene.bands for band in self.bands):
            raise SceneError(f"has {scene.bands} bands, asked for {list(self.bands)}", file=scene.path)
        self._stack = contextlib.ExitStack()
        try:
            self._dataset, _ = self._stack.enter_context(_dataset(scene.path))
            # as text: a nodata value that is NaN equals itself there
            if repr(_describe(scene.path, scene.driver, self._dataset)) != repr(scene):
                raise SceneChanged("is another file than a moment ago", file=scene.path)
            with rasterio.Env(**_GDAL), _one_line(scene.path):
                flags = self._dataset.mask_flag_enums
                # alpha is read by its colour interpretation: GDAL's mask knows it as the last of 2 or 4 bands of 8 or 16 bits
                masked = [MaskFlags.per_dataset in f and MaskFlags.alpha not in f for f in flags]
                self._has_mask = [masked[b - 1] for b in self.bands]
                self._palette = _palette(self._dataset) if scene.data_bands == (1,) else None
            # PNG and JPEG decode from the top only
            whole = Window(0, 0, scene.width, scene.height)
            self._whole = self._decode(whole) if scene.whole else None
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the handle back."""
        self._stack.close()

    def read(self, col: int, row: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels ``(band, y, x)`` float32 (``(y, x)`` where the mean is taken) and what is valid, ``(y, x)`` bool.

        Valid is: the file's own mask, alpha or opaque colour, and finite, and not the nodata value of its band, in every
        band read.
        None instead of a mask means that all is valid.  What is not valid is 0.  The window lies inside the scene.
        """
        if self._whole is not None:
            values, valid = self._whole
            part = values[..., row : row + height, col : col + width]
            return part, None if valid is None else valid[row : row + height, col : col + width]
        return self._decode(Window(col, row, width, height))

    def _decode(self, window: Window) -> tuple[np.ndarray, np.ndarray | None]:
        total: np.ndarray | None = None
        valid: np.ndarray | None = None
        planes: list[np.ndarray] = []
        if self.scene.alpha:
            with rasterio.Env(**_GDAL), _one_line(self.scene.path, window):
                valid = _open(self._dataset.read(self.scene.alpha, window=window))
        for i, band in enumerate(self.bands):
            # an environment for each read: two readers need not be closed in the order that a lasting one wants
            with rasterio.Env(**_GDAL), _one_line(self.scene.path, window):
                raw = self._dataset.read(band, window=window)
                mask = self._dataset.read_masks(band, window=window) != 0 if self._has_mask[i] else None
            values, good = _clean(raw, self.scene.nodata[band - 1], mask)
            if self._palette is not None:
                entry = np.clip(raw, 0, len(self._palette) - 1)
                values, opaque = self._palette[entry, 0], self._palette[entry, 1] > 0.0
                if not opaque.all():
                    good = opaque if good is None else good & opaque
            if good is not None:
                valid = good if valid is None else valid & good
            if self.mean:
                total = values if total is None else total + values
            else:
                planes.append(values)
        if self.mean:
            assert total is not None
            out = total if len(self.bands) == 1 else total / np.float32(len(self.bands))
        else:
            out = np.stack(planes)
        if valid is not None:
            out = np.where(valid, out, np.float32(0.0))
        return out, valid


def read_array(path: str | Path, window: tuple[int, int, int, int] | None = None) -> xr.DataArray:
    """A window (col, row, width, height) of a scene, or all of it, as a DataArray that keeps its place on Earth.

    Dimensions (band, y, x); the values are the file's own type; coordinates x and y are pixel centres in the
    scene's CRS (pixel coordinates where it has none), ``valid`` (band, y, x) says which pixels count; attributes
    ``crs`` (WKT or ""), ``transform`` (six numbers of the window), ``nodata`` (one a band), ``sha256``.

    Raises:
        SceneError: as ``open_scene``; or the window is empty, outside, or larger than 400 MB.
    """
    import xarray as xr

    scene = open_scene(path)
    col, row, width, height = window or (0, 0, scene.width, scene.height)
    if not (0 <= col < col + width <= scene.width and 0 <= row < row + height <= scene.height):
        inside = f"{scene.width} x {scene.height}"
        raise SceneError(f"the window {col},{row} {width} x {height} is not inside {inside}", file=str(path))
    if width * height * sum(np.dtype(d).itemsize for d in scene.dtypes) > 400_000_000:
        raise SceneError("the window holds more than 400 MB; ask for a part", file=str(path))
    with rasterio.Env(**_GDAL), _dataset(path) as (dataset, _), _one_line(str(path)):
        area = Window(col, row, width, height)
        values = dataset.read(window=area)
        valid = np.ones(values.shape, bool)
        for i, flags in enumerate(dataset.mask_flag_enums):
            if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
                valid[i] = dataset.read_masks(i + 1, window=area) != 0
        table = _palette(dataset) if scene.data_bands == (1,) else None
    if scene.alpha:
        valid &= _open(values[scene.alpha - 1])
    if table is not None:
        valid[0] &= table[np.clip(values[0], 0, len(table) - 1), 1] > 0.0
    for i in range(scene.bands):
        good = _clean(values[i], scene.nodata[i], None)[1]
        if good is not None:
            valid[i] &= good
    affine = scene.placing.affine if scene.placing else None
    a, b, c, d, e, f = affine or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    at = (a, b, c + a * col + b * row, d, e, f + d * col + e * row)
    coords: dict[str, object] = {"band": np.arange(1, scene.bands + 1), "valid": (("band", "y", "x"), valid)}
    if b == 0.0 and d == 0.0:
        coords["x"], coords["y"] = at[2] + a * (np.arange(width) + 0.5), at[5] + e * (np.arange(height) + 0.5)
    else:
        cc, rr = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        coords["xc"] = (("y", "x"), at[0] * cc + at[1] * rr + at[2])
        coords["yc"] = (("y", "x"), at[3] * cc + at[4] * rr + at[5])
    attrs = {"crs": scene.placing.crs_wkt if scene.placing and affine else "", "transform": at, "nodata": scene.nodata,
             "sha256": sha256_of(path)}
    return xr.DataArray(values, dims=("band", "y", "x"), coords=coords, attrs=attrs, name=scene.name)


# --- inside ---------------------------------------------------------------------------------------


def _clean(raw: np.ndarray, nodata: float | None, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Values as float32 and the mask of one band, compared in the band's own type; None = all valid."""
    valid = mask
    if nodata is not None and not math.isnan(nodata) and (raw.dtype.kind not in "ui" or _fits(nodata, raw.dtype)):
        sentinel = raw != raw.dtype.type(nodata)
        valid = sentinel if valid is None else valid & sentinel
    if raw.dtype.kind == "c":
        raw = np.abs(raw)
    values = raw.astype(np.float32, copy=False)
    if raw.dtype.kind in "fc" and not _all_finite(values):
        finite = np.isfinite(values)
        valid = finite if valid is None else valid & finite
    return values, None if valid is not None and valid.all() else valid


def _fits(value: float, dtype: np.dtype) -> bool:
    """Whether a whole-number type can hold the value; a nodata value that it cannot hold marks nothing."""
    limits = np.iinfo(dtype)
    return value.is_integer() and limits.min <= value <= limits.max


def _all_finite(values: np.ndarray) -> bool:
    """Whether every value is finite: one pass without a temporary, a second look only where the sum overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduce(values, axis=None, dtype=np.float32)
    return bool(np.isfinite(total)) or bool(np.isfinite(values).all())


@contextlib.contextmanager
def _one_line(path: str, window: Window | None = None) -> Iterator[None]:
    """Whatever GDAL says becomes one line, with the window that it was about."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError, MemoryError, ValueError, OverflowError) as error:
        said = " ".join(str(getattr(error, "__cause__", None) or error).split()).replace(os.path.abspath(path), "it")
        where = "" if window is None else (f" at rows {window.row_off} to {window.row_off + window.height}, "
                                           f"columns {window.col_off} to {window.col_off + window.width}")
        raise SceneError(f"cannot be read{where}: {said[:160] or type(error).__name__}", file=path) from error


@contextlib.contextmanager
def _dataset(path: str | Path) -> Iterator[tuple[rasterio.DatasetReader, str]]:
    where = os.path.abspath(path)
    if where.startswith("/vsi") or "://" in str(path):
        raise SceneError("is no plain local file", file=str(path))
    if os.path.isdir(where):
        raise SceneError("cannot be read: it is a folder; name the images in it (of a SAFE folder measurement/*.tiff, or "
                         "GRANULE/*/IMG_DATA/*.jp2)", file=str(path))
    try:
        # without waiting: a pipe would hold us until somebody writes into it
        with open(where, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                raise SceneError("is no plain file", file=str(path))
            head = f.read(12)
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror}", file=str(path)) from error
    driver = _MAGIC.get(head[:4]) or _MAGIC.get(head[:3]) or _MAGIC.get(head)
    if driver is None:
        raise SceneError("is no GeoTIFF, PNG or JPEG, nor JPEG 2000", file=str(path))
    with rasterio.Env(**_GDAL), _open_lock, warnings.catch_warnings(), _one_line(str(path)):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(Path(where), driver=driver, sharing=False)
    try:
        yield dataset, driver
    finally:
        dataset.close()


def _describe(path: str, driver: str, dataset: rasterio.DatasetReader) -> Scene:
    with _one_line(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        affine, crs = dataset.transform, dataset.crs
        placing, unplaced = None, ""
        numbers = tuple(float(v) for v in affine[:6])
        if crs and not affine.is_identity and all(math.isfinite(v) for v in numbers) and affine.determinant != 0.0:
            placing = Placing(affine=numbers, crs_wkt=crs.to_wkt())  # type: ignore[arg-type]
        else:
            placing, unplaced = _by_gcps(dataset)
        if placing is None and dataset.rpcs is not None and not dataset.gcps[0]:
            unplaced = "rational polynomials only (RPC)"
        kinds, tags = dataset.colorinterp, dataset.tags()
        rgb = tuple(kinds.index(k) + 1 for k in (ColorInterp.red, ColorInterp.green, ColorInterp.blue) if k in kinds)
        alpha = _alpha(dataset, path, driver)
        nodata = tuple(None if v is None else float(v) for v in dataset.nodatavals)
        if nodata.count(None) == len(nodata) and not alpha and _zero_is_nothing(path, tags, dataset):
            nodata = (0.0,) * len(nodata)
        return Scene(
            path=path, driver=driver, width=dataset.width, height=dataset.height,
            dtypes=tuple(_READ_AS.get(d, d) for d in dataset.dtypes),
            nodata=nodata, block=dataset.block_shapes[0], placing=placing, unplaced=unplaced,
            datetime_tag=tags.get("TIFFTAG_DATETIME"), stated_time=stated_in(tags), colour=rgb if len(rgb) == 3 else (),
            data_bands=tuple(i for i in range(1, dataset.count + 1) if i != alpha), alpha=alpha,
        )


def _zero_is_nothing(path: str, tags: dict[str, str], dataset: rasterio.DatasetReader) -> bool:
    """Whether 0 means "not imaged" though no tag says so: a radar's own product, which has no amplitude of 0, or a corner of
    nothing but 0, whoever made it and whatever it is called now.

    Sentinel-1 measurement files carry no nodata tag and 0 outside the swath (microsoft/PlanetaryComputer#307,
    senbox-org/esa-snappy#11, SAR-ARD/s1ard#76); the other makers' images on a map likewise.  8-bit pictures may have any 0.
    """
    if any(np.dtype(_READ_AS.get(d, d)).itemsize == 1 for d in dataset.dtypes):
        return False
    said = f"{tags.get('TIFFTAG_IMAGEDESCRIPTION', '')} {tags.get('TIFFTAG_SOFTWARE', '')}"
    return "Sentinel-1" in said or made_by_radar(path) or _has_empty_corner(dataset)


def _has_empty_corner(dataset: rasterio.DatasetReader) -> bool:
    """Whether all bands are exactly 0 in a corner of 32 x 32 pixels: what measures has noise in every one of them."""
    rows, cols = dataset.height - _CORNER_PX, dataset.width - _CORNER_PX
    if dataset.driver == "PNG" or min(rows, cols) < 4 * _CORNER_PX:  # a PNG is read from its beginning, whatever is asked
        return False
    try:
        return any(
            not dataset.read(window=Window(col, row, _CORNER_PX, _CORNER_PX)).any() for row in (0, rows) for col in (0, cols)
        )
    except RasterioError:  # damaged: whoever reads all of it says where
        with contextlib.suppress(CPLE_BaseError):
            _ = dataset.colorinterp  # GDAL tells its last error again to whoever asks next
        return False


def _alpha(dataset: rasterio.DatasetReader, path: str, driver: str) -> int:
    """The band (from 1) that says which pixels count, by its colour interpretation; 0 where there is none.

    Writers call the fourth band of any 8-bit picture alpha, as GDAL does by default, and in aerial pictures it is near
    infrared, in which water is 0 (rasterio#1454; NAIP).  Alpha is open wherever it is not closed, but for some edge: a
    band whose values lie between is a measurement.
    """
    if ColorInterp.alpha not in dataset.colorinterp or dataset.count == 1:
        return 0
    band = dataset.colorinterp.index(ColorInterp.alpha) + 1
    words = (dataset.descriptions[band - 1] or "").lower().replace("-", " ").split()
    if without_alpha(path) or any(word in words for word in ("nir", "infrared", "ir", "n", "b8", "b08", "b4")):
        return 0
    if driver != "GTiff":
        return band
    parts, side = [], 64
    with rasterio.Env(**_GDAL):
        for row in sorted({0, max(dataset.height - side, 0) // 2, max(dataset.height - side, 0)}):
            for col in sorted({0, max(dataset.width - side, 0) // 2, max(dataset.width - side, 0)}):
                window = Window(col, row, min(side, dataset.width), min(side, dataset.height))
                parts.append(dataset.read(band, window=window).ravel())
    seen = np.concatenate(parts)
    seen = seen[_open(seen)]
    most = seen.max(initial=0)
    # of any type 255 is open too, and whatever is the highest value of one that has no other to speak of
    tops = {np.iinfo(seen.dtype).max if seen.dtype.kind in "ui" else 1.0, 255, most}
    return band if np.isin(seen, list(tops)).sum() >= _ALPHA_SHARE * seen.size else 0


def _open(alpha: np.ndarray) -> np.ndarray:
    """Where alpha lets something through: not 0, and a number."""
    seen = alpha != 0
    return seen & np.isfinite(alpha) if alpha.dtype.kind in "fc" else seen


def _by_gcps(dataset: rasterio.DatasetReader) -> tuple[Placing | None, str]:
    """A placing by ground control points, or None and what is wrong with them."""
    marks, crs = dataset.gcps
    if not marks:
        return None, ""
    many = f"{len(marks)} ground control points"
    if not 3 <= len(marks) <= MAX_GCPS or not crs:
        return None, many
    points = np.array([(p.col, p.row, p.x, p.y) for p in marks], "float64")
    if not np.isfinite(points).all() or not _spans(points):
        return None, f"{many} on one line or spot"
    if crs.is_geographic:
        turn = np.radians(points[:, 2])
        middle = math.degrees(math.atan2(np.sin(turn).mean(), np.cos(turn).mean()))
        points[:, 2] = middle + (points[:, 2] - middle + 180.0) % 360.0 - 180.0
        if np.ptp(points[:, 2]) >= 180.0:
            return None, f"{many} about a pole"
    placing = Placing(affine=None, crs_wkt=crs.to_wkt(), gcps=tuple(map(tuple, points.tolist())))  # type: ignore[arg-type]
    wrong = _contradiction(points, placing, dataset.width, dataset.height)
    return (None, f"{many}, {wrong}") if wrong else (placing, "")


def _terms(col: np.ndarray, row: np.ndarray, order: int) -> np.ndarray:
    """(N, terms) of a polynomial in column and row."""
    return np.stack([col**i * row**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)


def _contradiction(points: np.ndarray, placing: Placing, width: int, height: int) -> str:
    """What shows that control points cannot all be right, or nothing.

    A spline goes through every one of them, also through a wrong one: a smooth surface through all does not, and where
    it is bent about a wrong one the ground folds.
    """
    at = (points[:, :2] - points[:, :2].mean(axis=0)) / np.maximum(np.ptp(points[:, :2], axis=0), 1e-9)
    ground = points[:, 2:] - points[:, 2:].mean(axis=0)
    order = 3 if len(points) >= 20 else 2 if len(points) >= 12 else 1
    if len(points) >= 8:
        # degrees of longitude and latitude are one in pixels: a step in column and row says how long each is
        plane = np.linalg.lstsq(_terms(points[:, 0], points[:, 1], 1), ground, rcond=None)[0]
        steps = plane[[2, 1]].T
        if abs(np.linalg.det(steps)) == 0.0:
            return "which lie on one line"
        terms = _terms(at[:, 0], at[:, 1], order)
        left = ground - terms @ np.linalg.lstsq(terms, ground, rcond=None)[0]
        off = np.hypot(*np.linalg.solve(steps, left.T))
        if off.max() > max(_GCP_OFF_PX, _GCP_OFF_TIMES * float(np.median(off))):
            return f"of which number {int(off.argmax()) + 1} lies {off.max():.0f} px off where the others put it"
    cells = np.array([(width * (i + 0.5) / 8, height * (j + 0.5) / 8) for j in range(8) for i in range(8)])
    dx, dy = width / 8 * 0.5, height / 8 * 0.5
    col, row = cells[:, 0], cells[:, 1]
    x, y = placing._xy(np.concatenate([col, col + dx, col]), np.concatenate([row, row, row + dy]))
    n = len(col)
    areas = (x[n : 2 * n] - x[:n]) * (y[2 * n :] - y[:n]) - (x[2 * n :] - x[:n]) * (y[n : 2 * n] - y[:n])
    good = areas[np.isfinite(areas)]
    turned = bool((good > 0.0).any() and (good < 0.0).any()) or not good.all()
    if turned or good.size < n // 2 or np.ptp(np.log(np.abs(good))) > math.log(_GCP_AREAS):
        return "between which the ground folds"
    return ""


def _spans(points: np.ndarray) -> bool:
    """Whether control points lie neither on one spot nor on one line, in the picture and on the ground."""
    parts = points[:, :2], points[:, 2:]
    return all(np.linalg.svd(p - p.mean(axis=0), compute_uv=False)[1] > 1e-6 * np.ptp(p) > 0.0 for p in parts)


def _hold_against_caps(scene: Scene, file_bytes: int) -> None:
    def no(why: str) -> SceneError:
        return SceneError(why, file=scene.path)

    w, h, bands = scene.width, scene.height, scene.bands
    if bands == 0 or bands > MAX_BANDS:
        raise no(f"has {bands} bands; 1 to {MAX_BANDS} are read")
    if max(w, h) > MAX_SIDE_PX or w * h > MAX_PIXELS:
        raise no(f"claims {w} x {h} pixels; at most {MAX_SIDE_PX} a side and {MAX_PIXELS} in all are read")
    for dtype in scene.dtypes:
        if np.dtype(dtype).kind not in "uifc":
            raise no(f"holds {dtype}; numbers were expected")
    item = sum(np.dtype(d).itemsize for d in scene.dtypes)
    decoded = w * h * item
    if scene.whole and max(decoded, w * h * 4 * bands) > MAX_WHOLE_BYTES:
        raise no(f"{w} x {h} pixels of {scene.driver} can only be decoded whole, beyond the memory budget of 1 GB; "
                 "save it as a tiled GeoTIFF")
    bh, bw = scene.block
    if scene.block_bytes > MAX_BLOCK_BYTES:
        raise no(f"its blocks of {bw} x {bh} pixels cannot be read within the memory budget of 1 GB; "
                 "save it with smaller blocks")
    if math.ceil(w / bw) * math.ceil(h / bh) > MAX_BLOCKS:
        raise no(f"has more than {MAX_BLOCKS} blocks; save it with larger ones")
    if decoded > 256_000_000 and decoded > MAX_EXPANSION * file_bytes:
        raise no(f"claims {decoded // 1_000_000} MB of pixels in a file of {file_bytes // 1000} kB")


def _walk_png(path: str | Path) -> None:
    """Every chunk is there and has its checksum: GDAL decodes what is left of a PNG that was cut, without a word."""
    try:
        with open(path, "rb") as f:
            f.seek(8)
            while True:
                head = f.read(8)
                size = int.from_bytes(head[:4], "big")
                body = f.read(size) if len(head) == 8 and size <= 2 * MAX_WHOLE_BYTES else b""
                check = f.read(4)
                whole = len(head) == 8 and len(body) == size and len(check) == 4
                if not whole or int.from_bytes(check, "big") != zlib.crc32(head[4:] + body):
                    raise SceneError("is cut off or damaged", file=str(path))
                if head[4:] == b"IEND":
                    return
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _hold_tile_against_caps(scene: Scene) -> None:
    """JPEG 2000 is decoded by its own tiles, whatever block GDAL offers: the SIZ marker (ISO 15444-1, A.5.1) says how large."""
    with open(scene.path, "rb") as f:
        head = f.read(1_000_000)
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(head) < at + 42:
        raise SceneError("is no JPEG 2000 whose header can be found in its first MB", file=scene.path)
    # SOC, SIZ, length, capabilities, then 32 bits each: size, offset, tile size, tile offset
    width, height, left, top, tile_w, tile_h = (int.from_bytes(head[at + k : at + k + 4], "big") for k in range(8, 32, 4))
    tile = min(tile_w, width - left) * min(tile_h, height - top)
    if tile * 4 * scene.bands > MAX_BLOCK_BYTES:
        raise SceneError(f"its tiles of {tile_w} x {tile_h} pixels cannot be read within the memory budget of 1 GB; "
                         "save it as a tiled GeoTIFF", file=scene.path)


def _palette(dataset: rasterio.DatasetReader) -> np.ndarray | None:
    """(brightness, opacity) of each entry where the picture has a palette."""
    if dataset.colorinterp[0] != ColorInterp.palette or dataset.dtypes[0] not in ("uint8", "uint16"):
        return None
    table = dataset.colormap(1)
    out = np.zeros((max(table) + 1, 2), np.float32)
    for index, rgba in table.items():
        out[index] = sum(rgba[:3]) / 3.0, rgba[3]
    return out
