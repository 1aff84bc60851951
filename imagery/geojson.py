"""Flags as a GeoJSON FeatureCollection (RFC 7946): what `birddog scan` prints."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from typing import Any

from birddog.model import Flag
from imagery.scan import ScanResult, Unfit


def feature(flag: Flag, result: ScanResult, thumbnail: bytes | None = None) -> dict[str, Any]:
    """One flag; its geometry is its centre, null where the scene does not say where it lies."""
    placed = flag.lat_deg is not None and flag.lon_deg is not None
    properties: dict[str, Any] = {
        "score": _figure(flag.score), "detector": flag.detector, "pfa": flag.pfa,
        "col": round(flag.col, 3), "row": round(flag.row, 3), "bbox_px": list(flag.bbox_px),
        "length_px": _hundredth(flag.length_px), "width_px": _hundredth(flag.width_px),
        "length_m": _tenth(flag.length_m), "width_m": _tenth(flag.width_m), "heading_deg": flag.heading_deg,
        "pixels": flag.pixels, "mean_score": _figure(flag.mean_score), "truncated": flag.truncated,
        "sha256": result.sha256, "scene": result.scene.name, "on_land": flag.on_land,
    }
    if placed:
        properties |= {"lat_deg": round(flag.lat_deg, 7), "lon_deg": round(flag.lon_deg, 7)}  # type: ignore[arg-type]
    if thumbnail is not None:
        properties["thumbnail"] = "data:image/png;base64," + base64.b64encode(thumbnail).decode()
    point = {"type": "Point", "coordinates": [round(flag.lon_deg, 7), round(flag.lat_deg, 7)]} if placed else None  # type: ignore[arg-type]
    return {"type": "Feature", "id": flag.flag_id, "geometry": point, "properties": properties}


def scene_record(result: ScanResult) -> dict[str, Any]:
    """On what ground the flags of a scene stand: file, parameters, fitted tail, what was judged and exceeded."""
    out: dict[str, Any] = {
        "scene": result.scene.name, "sha256": result.sha256, "width": result.scene.width, "height": result.scene.height,
        "detector": result.detector, "pfa": result.pfa, "model": result.model, "judged_px": result.judged_px,
        "exceedances_px": result.over_px, "flags": len(result.flags), "bands": list(result.bands),
        "doubts": list(result.doubts), "left_out": result.left_out, "only": result.only,
    }
    if result.before is not None:
        out |= {"before": result.before.name, "before_sha256": result.before_sha256}
    return out


def collection(results: list[ScanResult], thumbnails: Mapping[str, bytes] | None = None, unfit: list[Unfit] | None = None
               ) -> dict[str, Any]:
    """All flags of several scenes; ``scenes`` beside them says what was scanned, and how, and what was unfit."""
    pictures = thumbnails or {}
    return {
        "type": "FeatureCollection",
        "features": [feature(flag, r, pictures.get(flag.flag_id)) for r in results for flag in r.flags],
        "scenes": [*(scene_record(r) for r in results), *(one.record for one in unfit or [])],
    }


#: The columns of ``csv_of``.
COLUMNS = ("flag_id", "scene", "lat_deg", "lon_deg", "length_m", "width_m", "heading_deg", "score", "detector", "pfa", "col",
           "row", "length_px", "width_px", "pixels", "truncated", "on_land", "sha256")


def csv_of(results: list[ScanResult]) -> str:
    """The same flags as a table (RFC 4180), a row each; what is not known is empty."""
    text = io.StringIO(newline="")
    rows = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\r\n")
    rows.writeheader()
    for result in results:
        for flag in result.flags:
            said = feature(flag, result)
            rows.writerow({k: "" if v is None else str(v).lower() if isinstance(v, bool) else v
                           for k, v in (said["properties"] | {"flag_id": said["id"]}).items()})
    return text.getvalue()


def _figure(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _hundredth(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
