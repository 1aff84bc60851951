"""What /healthz and /metrics say: the processes' own status rows, judged by the wall clock.

``status()`` gives, per process (ingest, picture, imagery …)::

    {"updated_ns": when it last said so, "stale_after_s": 15.0, "problem": "" or one line,
     "warning": "" or one line: all is well as yet, and somebody should do something,
     "warnings": further such lines, a list,
     "refused_connects": who did not get past an endpoint's CONNECT, the newest first,
     any further number: becomes the metric birddog_PROCESS_NAME}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from birddog.units import NS, iso_from_ns

STALE_AFTER_S = 15.0
_RESERVED = frozenset({"updated_ns", "stale_after_s", "problem", "warning", "warnings"})
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


class ProcessHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One process: ``problem`` is "" when all is well, ``age_s`` null before it has started."""

    name: str
    updated: str
    age_s: float | None
    problem: str


class RefusedConnect(msgspec.Struct, frozen=True, kw_only=True):
    """CONNECTs that an endpoint refused: they are in no journal.  ``client_id`` is whatever was said, or ""."""

    source: str
    address: str
    client_id: str
    reason: str
    count: int
    first: str
    last: str


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of /healthz; ``problems`` is empty exactly when the status is 200, ``warnings`` can wait a day."""

    ok: bool
    time: str
    seq: int
    tabs: int
    exercise: bool
    problems: list[str]
    warnings: list[str]
    processes: list[ProcessHealth]
    refused_connects: list[RefusedConnect]


class Health:
    """Keeps the last status rows; ``refresh`` asks for new ones, off the event loop."""

    def __init__(self, status: Callable[[], dict[str, dict[str, Any]]], wall_ns: Callable[[], int]):
        self._status, self._wall_ns = status, wall_ns
        self._rows: dict[str, dict[str, Any]] = {}
        self._fault = ""
        #: Messages of files in the journal that state no time.
        self.undated = 0
        #: Who was shown what and stands in no entry yet, and why not (``opsroom.console.seen``).
        self.unrecorded: dict[tuple[str, ...], str] = {}

    def refresh(self) -> None:
        """Take in the present status rows."""
        self._rows = dict(self._status())
        self._fault = ""

    def failed(self, words: str) -> None:
        """The status rows could not be read."""
        self._fault = words

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows as last taken in."""
        return self._rows

    def processes(self) -> list[ProcessHealth]:
        """Each process and what is wrong with it, by the wall clock."""
        now = self._wall_ns()
        out = []
        for name in sorted(self._rows):
            row = self._rows[name]
            updated = int(row.get("updated_ns", 0))
            age_s = max(0.0, (now - updated) / NS)
            limit = float(row.get("stale_after_s", STALE_AFTER_S))
            problem = str(row.get("problem") or "")
            if not problem and age_s > limit:
                problem = f"no sign of life for {age_s:.0f} s (limit {limit:.0f} s)" if updated else "has not started"
            out.append(ProcessHealth(name=name, updated=iso_from_ns(updated), age_s=round(age_s, 3) if updated else None,
                                     problem=problem))
        return out

    def problems(self) -> list[str]:
        """One line per process that is not well."""
        fault = [f"status: {self._fault}"] if self._fault else []
        return fault + [f"{p.name}: {p.problem}" for p in self.processes() if p.problem]

    def refused_connects(self) -> list[RefusedConnect]:
        """The last CONNECTs that were refused, the newest first."""
        said = [one for row in self._rows.values() for one in row.get("refused_connects", ())]
        return [
            RefusedConnect(source=one["source"], address=one["address"], client_id=one["client_id"], reason=one["reason"],
                           count=one["count"], first=iso_from_ns(one["first_ns"]), last=iso_from_ns(one["last_ns"]))
            for one in sorted(said, key=lambda one: one["last_ns"], reverse=True)
        ]

    def warnings(self) -> list[str]:
        """What each process says that somebody should do something about, and messages at a time that is none of theirs."""
        out = []
        for name, row in sorted(self._rows.items()):
            more = row.get("warnings")
            lines = [row.get("warning"), *(more if isinstance(more, list) else ())]
            out += [f"{name}: {line}" for line in lines if line]
        if self.unrecorded:
            why = next(iter(self.unrecorded.values()))
            out.append(f"console: what persons were shown is not recorded yet ({len(self.unrecorded)} entries): {why}")
        if self.undated:
            out.append(f"journal: {self.undated} messages stand at the time of their import, for want of another")
        return out


def prometheus(rows: dict[str, dict[str, Any]], gauges: dict[str, tuple[str, float]],
               labelled: dict[str, tuple[str, str, dict[str, float]]], processes: list[ProcessHealth]) -> str:
    """The text exposition format, version 0.0.4.

    Args:
        rows: the status rows; each further number in them becomes a metric.
        gauges: name -> (help, value).
        labelled: name -> (help, label, {label value: value}).
    """
    lines: list[str] = []
    taken: set[str] = set()

    def put(name: str, help_text: str, samples: list[tuple[str, float]]) -> None:
        while name in taken:  # two sources whose names differ in what a metric's name may not hold
            name += "_"
        taken.add(name)
        lines.append(f"# HELP {name} {_escaped(help_text, quotes=False)}")
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        lines.extend(f"{name}{labels} {_number(value)}" for labels, value in samples)

    for name, (help_text, value) in gauges.items():
        put(name, help_text, [("", value)])
    for name, (help_text, label, values) in labelled.items():
        put(name, help_text, [(f'{{{label}="{_escaped(key)}"}}', values[key]) for key in sorted(values)])
    put("birddog_process_up", "1 while the process shows signs of life and reports no problem",
        [(f'{{process="{_escaped(p.name)}"}}', 0.0 if p.problem else 1.0) for p in processes])
    put("birddog_process_age_seconds", "Seconds since the process last reported",
        [(f'{{process="{_escaped(p.name)}"}}', p.age_s) for p in processes if p.age_s is not None])
    for process in sorted(rows):
        for key, value in rows[process].items():
            if key not in _RESERVED and isinstance(value, (int, float)) and not isinstance(value, bool):
                words = f"{key} as the process {process} reports it"
                put(_NOT_A_NAME.sub("_", f"birddog_{process}_{key}"), words, [("", float(value))])
    return "\n".join(lines) + "\n"


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return f"{value:.17g}" if math.isfinite(value) else {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
