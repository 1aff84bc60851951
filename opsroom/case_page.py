"""``case.html`` of a bundle: map, what the values are worth, warrants, custody and timeline of what is shown, in one file that
loads nothing and in which nothing runs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from birddog.directory import Directory
from birddog.model import REGISTERS, Attachment, unpack
from birddog.record import stated
from birddog.units import iso_from_ns
from birddog.validated import UNITS, Validated
from opsroom.disclosed import Record, entry_of, shown_of

_STYLE = ("body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #999;padding:2px 6px;"
          "text-align:left;vertical-align:top}svg{border:1px solid #999;max-width:100%}")  # fmt: skip
_MOST_ROWS = 20_000
#: Of these kinds a table of their own, with these fields as columns.
_TABLES = {
    "warrant": ("Warrants", ("warrant", "action", "by", "order", "at_ns", "from_ns", "until_ns", "device", "note")),
    "custody": ("Custody", ("item", "action", "by", "to", "at_ns", "place", "sha256", "note")),
    "validation": ("Validation records", ("model", "by")),
}  # fmt: skip


def case_html(records: Iterable[Record], operation: str) -> bytes:
    """The page."""
    points: list[tuple[float, float]] = []
    timeline: list[Sequence[str]] = []
    tables: dict[str, list[Sequence[str]]] = {kind: [] for kind in _TABLES}
    directory, attached = Directory(), set[str]()
    for number, record in enumerate(records):
        said, shown = stated(record.statement), shown_of(record)
        n = 0
        while f"observations.{n}.lat_deg" in shown:
            points.append((shown[f"observations.{n}.lat_deg"], shown.get(f"observations.{n}.lon_deg", 0.0)))
            n += 1
        if said.kind in REGISTERS and record.fields and (entry := entry_of(record)) is not None:
            body = unpack(entry)
            directory.apply(body)
            attached |= {body.device} if isinstance(body, Attachment) else set()
        when = str(record.seq), iso_from_ns(said.received_ns)
        if said.kind in tables:
            tables[said.kind].append((*when, *(_cell(name, shown) for name in _TABLES[said.kind][1])))
        if number < _MOST_ROWS and said.kind != "tick":
            words = "; ".join(f"{key} {value}" for key, value in shown.items() if not isinstance(value, bytes))[:600]
            timeline.append((*when, said.kind, said.operation, words if record.fields else "erased"))
    validated = Validated(directory)
    worths = [(device, worth.model or "none", *(f"{worth.words[q]} ({worth.why[q]})" for q in UNITS))
              for device in sorted(attached) for worth in [validated.of(device)]]
    parts = [_table("What the values in tracks.csv are worth", ("device", "model", *UNITS), worths)]
    parts += [_table(_TABLES[kind][0], ("record", "received", *(name.removesuffix("_ns") for name in _TABLES[kind][1])), rows)
              for kind, rows in tables.items() if rows]
    parts.append(_table("Timeline", ("record", "received", "kind", "case", "what it says"), timeline))
    title = html.escape(operation)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (f'<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content="{policy}">'
            f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{_map(points)}"
            f"{''.join(parts)}</html>\n").encode()  # fmt: skip


def _cell(name: str, shown: dict[str, Any]) -> str:
    value = shown.get(name)
    if value is None:
        return ""
    return iso_from_ns(value) if name.endswith("_ns") and isinstance(value, int) else str(value)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}" for column in columns)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{lines}</table>"


def _map(points: list[tuple[float, float]]) -> str:
    if not points:
        return "<p>No position is shown.</p>"
    lats, lons = [p[0] for p in points], [p[1] for p in points]
    south, west = min(lats), min(lons)
    span = max(max(lats) - south, max(lons) - west, 1e-4)
    step = max(1, len(points) // 5000)
    scale = 760 / span
    line = " ".join(f"{(lon - west) * scale + 20:.1f},{780 - (lat - south) * scale:.1f}" for lat, lon in points[::step])
    said = f"{len(points)} positions, {south:.5f} to {max(lats):.5f} N, {west:.5f} to {max(lons):.5f} E; north is up."
    drawn = f"<polyline fill=none stroke=#06c points='{line}'/>"
    return f"<p>{said}</p><svg viewBox='0 0 800 800' width=800 role=img aria-label=map>{drawn}</svg>"
