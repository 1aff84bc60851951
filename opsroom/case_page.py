"""``case.html`` of a bundle: map, what the values are worth, warrants, custody and timeline of what is shown, in one file that
loads nothing and in which nothing runs; it fits a screen and prints on A4, across."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from birddog import __version__
from birddog.directory import Directory
from birddog.model import REGISTERS, Attachment, unpack
from birddog.record import stated
from birddog.validated import UNITS, Validated
from opsroom.case_map import Shown, drawn, when
from opsroom.disclosed import PAYLOAD, Record, entry_of, plain, shown_of

_STYLE = (
    "body{font:14px/1.35 sans-serif;margin:1.5em;color:#000;background:#fff}h1{margin:0 0 .3em}"
    "table{border-collapse:collapse;width:100%;margin:.5em 0}table.fit{width:auto}"
    "td,th{border:1px solid #999;padding:2px 6px;text-align:left;vertical-align:top}th{background:#eee}"
    "td.n,th.n{white-space:nowrap;text-align:right}td.x{overflow-wrap:anywhere;min-width:10em}"
    ".small{font-size:12px}svg{border:1px solid #999;max-width:1000px;width:100%;font:12px sans-serif}"
    "svg.key{border:0;width:34px;height:10px}"
    "@page{size:A4 landscape;margin:12mm;@bottom-right{content:counter(page) ' / ' counter(pages);font:9px sans-serif}}"
    "@media print{body{margin:0;font-size:10px}.small{font-size:9px}svg{max-height:140mm}h2{break-after:avoid}"
    "tr,svg{break-inside:avoid}}"
)
#: So many records are listed; the others are in records.jsonl.
_MOST_ROWS = 20_000
_MOST_WORDS = 900
#: Of these kinds a table of their own, with these fields as columns.
_TABLES = {
    "warrant": ("Warrants", ("warrant", "action", "by", "order", "at_ns", "from_ns", "until_ns", "device", "note")),
    "custody": ("Custody", ("item", "action", "by", "to", "at_ns", "place", "sha256", "note")),
    "validation": ("Validation records", ("model", "by")),
}  # fmt: skip
#: What the end of a field's name says of its value.
_UNITS = (("_mps", " m/s"), ("_deg", "°"), ("_dbm", " dBm"), ("_m", " m"), ("_s", " s"), ("_v", " V"), ("_h", " h"))
#: A column in which a word is longer may be broken anywhere, or it would run off the page.
_LONG, _BREAKS = 16, re.compile(r"[\s-]")
_ROW = re.compile(r"(observation|sighting)s\.(\d+)\.(.+)", re.DOTALL)


def case_html(records: Iterable[Record], operation: str) -> bytes:
    """The page."""
    devices: dict[str, Shown] = {}
    timeline: list[Sequence[str]] = []
    tables: dict[str, list[Sequence[str]]] = {kind: [] for kind in _TABLES}
    directory, attached = Directory(), set[str]()
    count = ticks = unlisted = 0
    first_ns = last_ns = None
    for record in records:
        said, shown = stated(record.statement), shown_of(record)
        count += 1
        _positions(shown, said.received_ns, devices)
        if said.operation == operation:
            first_ns = said.received_ns if first_ns is None else first_ns
            last_ns = said.received_ns
        if said.kind in REGISTERS and record.fields and (entry := entry_of(record)) is not None:
            body = unpack(entry)
            directory.apply(body)
            attached |= {body.device} if isinstance(body, Attachment) else set()
        at = str(record.seq), when(said.received_ns)
        if said.kind in tables:
            tables[said.kind].append((*at, *(_cell(name, shown) for name in _TABLES[said.kind][1])))
        if said.kind == "tick":
            ticks += 1
        elif len(timeline) < _MOST_ROWS:
            timeline.append((*at, said.kind, said.operation, _words(record, shown, said.operation)))
        else:
            unlisted += 1
    validated = Validated(directory)
    worths = [(device, worth.model or "none", *(f"{worth.words[q]} ({worth.why[q]})" for q in UNITS))
              for device in sorted(attached) for worth in [validated.of(device)]]
    parts = [_table("What the values in tracks.csv are worth", ("device", "model", *UNITS), worths,
                    none="No device is attached to the case in what is shown.")]
    parts += [_table(_TABLES[kind][0], ("record", "received", *(name.removesuffix("_ns") for name in _TABLES[kind][1])), rows)
              for kind, rows in tables.items() if rows]
    columns = "record", "received", "kind", "case", "what it says"
    parts.append(_table("Timeline", columns, timeline, none="No record is listed."))
    less = [f"{unlisted} later records are not listed here: they are in records.jsonl."] if unlisted else []
    less += [f"{ticks} records that say only that time went on are not listed."] if ticks else []
    known = directory.operations.get(operation)
    name = f": {known.name}" if known is not None and known.name else ""
    span = f", received from {when(first_ns)} to {when(last_ns)}" if first_ns is not None and last_ns is not None else ""
    title = html.escape(f"Case {operation}{name}")
    lead = (f"{count} records in all{span} (UTC). Made by Birddog {__version__} of what records.jsonl shows, and of nothing "
            "else: that those are the records which the log holds is what verify.py and verify.html say, not this page.")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (f'<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content="{policy}">'
            f"<meta name=viewport content='width=device-width'><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
            f"<p>{lead}</p>{drawn(devices)}{''.join(parts)}{''.join(f'<p>{words}</p>' for words in less)}</html>\n").encode()


def _positions(shown: dict[str, Any], received_ns: int, devices: dict[str, Shown]) -> None:
    n = 0
    while f"observations.{n}.kind" in shown or f"observations.{n}.lat_deg" in shown:
        row = f"observations.{n}."
        lat, lon = shown.get(f"{row}lat_deg"), shown.get(f"{row}lon_deg")
        if isinstance(lat, float | int) and isinstance(lon, float | int):
            device = shown.get(f"{row}device", shown.get("device", ""))
            time_ns = shown.get(f"{row}time_ns")
            devices.setdefault(str(device), Shown()).add(lat, lon, received_ns if time_ns is None else time_ns)
        n += 1


def _words(record: Record, shown: dict[str, Any], case: str) -> str:
    """What a record says, for a person: each row of it by itself, times as times, nothing that is empty, what is withheld."""
    if not record.fields:
        return "erased"
    own, rows = list[str](), dict[tuple[str, str], list[str]]()
    for name, value in shown.items():
        if isinstance(value, bytes) or value is None or value in ("", [], {}) or (name, value) == ("operation", case):
            continue
        if (row := _ROW.fullmatch(name)) is not None:
            to = rows.setdefault((row[1], row[2]), [])
            if row[3] == "kind":
                to.insert(0, str(value))
                continue
            name = row[3]
        else:
            to = own
        said = name
        for ending in ("_ns", *(unit for unit, _ in _UNITS)):
            said = said.removesuffix(ending)
            if said != name:
                break
        to.append(f"{said} {_said(name, value)}")
    words = "; ".join([*own, *(", ".join(row) for row in rows.values())])
    hidden = dict.fromkeys(plain(field[0]) for field in record.fields if len(field) == 2 and plain(field[0]) not in PAYLOAD)
    if len(words) > _MOST_WORDS:
        words = words[:_MOST_WORDS] + " … (cut: records.jsonl has all of it)"
    return "; ".join(filter(None, (words, "withheld: " + ", ".join(hidden) if hidden else "")))


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_ns") and isinstance(value, int):
        return when(value) if value else "the beginning"
    if isinstance(value, float | int):
        unit = next((words for ending, words in _UNITS if name.endswith(ending)), "")
        digits = ".9g" if name in ("lat_deg", "lon_deg") else ".6g"
        return f"{value:{digits}}{unit}" if isinstance(value, float) else f"{value}{unit}"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_said(str(key), one)}" for key, one in value.items()) + ")"
    if isinstance(value, list):
        return ("; " if value and isinstance(value[0], list) else ", ").join(_said("", one) for one in value)
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(name: str, shown: dict[str, Any]) -> str:
    value = shown.get(name)
    return "" if value is None else _said(name, value)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, none: str = "") -> str:
    if not rows:
        return f"<h2>{html.escape(title)}</h2><p>{html.escape(none)}</p>"
    held = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    kinds = {n: " class=n" if columns[n] == "record" else
             " class=x" if any(len(word) > _LONG for row in rows for word in _BREAKS.split(row[n])) else "" for n in held}
    head = "".join(f"<th{' class=n' if kinds[n] == ' class=n' else ''}>{html.escape(columns[n])}" for n in held)
    lines = "".join("<tr>" + "".join(f"<td{kinds[n]}>{html.escape(row[n])}" for n in held) for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><thead><tr>{head}</thead><tbody>{lines}</tbody></table>"
