"""Where benchmarks keep their figures: one line a run in trend.csv, ratios only (a bare rate says nothing of tomorrow).

Columns: date, commit, benchmark, figure, ratio.
"""

from __future__ import annotations

import csv
import subprocess
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).with_name("trend.csv")
COLUMNS = ("date", "commit", "benchmark", "figure", "ratio")


def commit() -> str:
    """The short hash of the checkout, or "" outside one."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=FILE.parent, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def record(benchmark: str, figure: str, ratio: float) -> None:
    """Append one figure."""
    new = not FILE.exists()
    with FILE.open("a", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow((datetime.now(UTC).strftime("%Y-%m-%d"), commit(), benchmark, figure, f"{ratio:.3g}"))
