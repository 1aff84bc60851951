"""Tracks in Parquet files, by row groups: the columns are named and meant as in CSV (docs/forecasts.md, An archive).

``id`` (or ``track_id``) is text or a whole number; ``t`` a timestamp with a zone, POSIX seconds, or text as in CSV; ``lat`` and
``lon`` are numbers or text.  A file with the columns of an AIS archive (``devices.archives``) is read as that.  A timestamp
column without a zone is refused as a whole, unless the archive's own words say UTC.  A row that cannot be used is told by its
number (the first is 1) and field, and the rest goes on.

Parquet: https://parquet.apache.org/docs/file-format/ ; pyarrow (the extra ``birddog[parquet]``) does the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from birddog.errors import UsageError
from birddog.units import NS
from devices import archives
from opsroom.csv_rows import number, time_ns

#: The first bytes of a file.
MAGIC = b"PAR1"
#: Rows that are held at once; a row group is read some of them at a time.
ROWS = 1 << 17
#: POSIX seconds from here on are none (the year 2255).
_MOST_S = 9e9
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": NS}


class Bad(NamedTuple):
    """A row that is left out: its number, the field with what stands there, and why."""

    row: int
    field: str
    why: str


class Lot(NamedTuple):
    """Some rows: the identities; of each row its number, the place of its identity, time, position; those that are left out."""

    ids: list[str]
    row: np.ndarray
    vessel: np.ndarray
    time_ns: np.ndarray
    lat_deg: np.ndarray
    lon_deg: np.ndarray
    bad: list[Bad]


def lots(path: str) -> Iterator[Lot]:
    """The rows of a file, some at a time.

    Raises:
        UsageError: pyarrow is not installed, the file cannot be read, lacks a column, or has one that can be none.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError("Parquet is read by pyarrow, which is not installed: pip install 'birddog[parquet]', or write the "
                         "file as CSV id,t,lat,lon", file=path) from None
    try:
        with pq.ParquetFile(path) as source:
            names, read_time = _columns(source.schema_arrow, path, pa)
            first = 1
            for batch in source.iter_batches(batch_size=ROWS, columns=list(names.values())):
                yield _lot(batch, names, read_time, first, pa)
                first += batch.num_rows
    except (OSError, pa.ArrowException) as error:  # pyarrow raises OSError for what it cannot make sense of, too
        if isinstance(error, OSError) and error.errno:
            raise UsageError(f"cannot be read: {error.strerror}", file=path) from error
        raise UsageError(f"is no Parquet that can be read: {_first_line(error)}", file=path) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _columns(schema: Any, path: str, pa: Any) -> tuple[dict[str, str], Callable[[str | None], int]]:
    """(what -> the column's name, how a time that is text is read); types that can hold none of it are refused."""
    there = list(schema.names)
    own = "id" if "id" in there else "track_id"
    names, zone = {"id": own, "t": "t", "lat": "lat", "lon": "lon"}, ""
    if not set(names.values()) <= set(there):
        table = archives.table(lambda separator: there if separator == "," else ())[0]
        if table is not None and (table.zone or table.ais) and "device" in table.places:
            said = {"id": "device", "t": "time", "lat": "lat", "lon": "lon"}
            names, zone = {ours: there[table.places[w]] for ours, w in said.items()}, table.zone
            of_archive = table.time_ns
            return _checked(names, zone, schema, path, pa), lambda text: of_archive(text or "")
    return _checked(names, zone, schema, path, pa), time_ns


def _checked(names: dict[str, str], zone: str, schema: Any, path: str, pa: Any) -> dict[str, str]:
    """The names, once each is there and can hold what it says."""
    there = list(schema.names)
    for name in names.values():
        if there.count(name) != 1:
            why = "two columns are called so" if name in there else "no such column; expected id, t, lat, lon"
            raise UsageError(why, file=path, field=name)
    for what, name in names.items():
        kind = _value(schema.field(name).type, pa)
        text, whole = pa.types.is_string(kind) or pa.types.is_large_string(kind), pa.types.is_integer(kind)
        numeric = whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if what == "t" and pa.types.is_timestamp(kind):
            if kind.tz is None and not zone:
                raise UsageError(f"{kind} has no zone: write it with one (timestamp[us, tz=UTC])", file=path, field=name)
        elif not text and not numeric:
            wanted = {"id": "text or a whole number", "t": "a timestamp, POSIX seconds or text"}.get(what, "numbers")
            raise UsageError(f"holds {kind}; expected {wanted}", file=path, field=name)
    return names


def _value(kind: Any, pa: Any) -> Any:
    """What a column's values are: those of its dictionary where it has one."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _lot(batch: Any, names: dict[str, str], read_time: Callable[[str | None], int], first: int, pa: Any) -> Lot:
    bad: dict[int, Bad] = {}
    columns = {what: batch.column(batch.schema.get_field_index(name)) for what, name in names.items()}
    plain = {what: c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for what, c in columns.items()}

    def refuse(what: str, rows: np.ndarray, why: str, values: Any = None) -> None:
        for k in rows.tolist():
            said = names[what] if values is None else f"{names[what]} {str(values[k])[:40]}"
            bad.setdefault(k, Bad(first + k, said, why))

    def one_by_one(what: str, read: Callable[[str | None], Any], form: type) -> np.ndarray:
        out = np.zeros(batch.num_rows, form)
        for k, text in enumerate(plain[what].to_pylist()):
            try:
                out[k] = read(text)
            except ValueError as error:
                bad.setdefault(k, Bad(first + k, f"{names[what]}: {error}", "cannot be read"))
        return out

    def numbers(what: str) -> np.ndarray:
        column = plain[what]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return one_by_one(what, number, float)
        out = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        missing = column.is_null().to_numpy(zero_copy_only=False)
        refuse(what, np.flatnonzero(missing), "missing")
        refuse(what, np.flatnonzero(~missing & ~np.isfinite(out)), "not finite", out)
        return np.where(np.isfinite(out), out, 0.0)

    ids, vessel, unnamed = _identities(plain["id"], pa)
    refuse("id", np.flatnonzero(unnamed), "missing, or no identity")
    when, column = np.zeros(batch.num_rows, np.int64), plain["t"]
    if pa.types.is_timestamp(column.type):
        factor = NS // _PER_SECOND[column.type.unit]
        count = column.cast(pa.int64())
        when = count.fill_null(0).to_numpy(zero_copy_only=False)
        refuse("t", np.flatnonzero(count.is_null().to_numpy(zero_copy_only=False)), "missing")
        refuse("t", np.flatnonzero(np.abs(when) >= int(_MOST_S) * (NS // factor)), "no time of these centuries", when)
        when = np.where(np.abs(when) < int(_MOST_S) * (NS // factor), when, 0) * factor
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        seconds = numbers("t")
        refuse("t", np.flatnonzero(np.abs(seconds) >= _MOST_S), "no POSIX seconds of these centuries", seconds)
        # a double holds POSIX seconds to a quarter of a microsecond
        when = np.round(np.where(np.abs(seconds) < _MOST_S, seconds, 0.0) * 1e6).astype(np.int64) * 1000
    else:
        when = one_by_one("t", read_time, np.int64)
    lat, lon = numbers("lat"), numbers("lon")
    refuse("lat", np.flatnonzero(np.abs(lat) > 90.0), "beyond 90", lat)
    refuse("lon", np.flatnonzero(np.abs(lon) > 180.0), "beyond 180", lon)
    keep = np.ones(batch.num_rows, bool)
    keep[list(bad)] = False
    rows = first + np.flatnonzero(keep)
    return Lot(ids, rows, vessel[keep], when[keep], lat[keep], lon[keep], [bad[k] for k in sorted(bad)])


def _identities(column: Any, pa: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(names, the place of each row's, whether it has none): a number is written without a point."""
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        # whole numbers with holes among them become fractions in some programs
        values = column.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
        whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (values == np.floor(values))
        column = pa.array(np.where(whole, values, 0.0).astype(np.int64), mask=~whole)
    coded = column.cast(pa.string()).dictionary_encode()
    names = coded.dictionary.to_pylist()
    place = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    blank = np.array([not name.strip() for name in names] + [True])
    return [*names, ""], place, blank[place]
