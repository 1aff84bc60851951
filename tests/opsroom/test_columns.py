"""Columns of a file of tracks and of its events are what one row at a time gives."""

from __future__ import annotations

import numpy as np

from birddog.units import iso_from_ns
from opsroom.event_lines import isos
from opsroom.track_file import read_tracks


def test_times_of_a_column_are_those_of_each():
    rng = np.random.default_rng(5)
    for low, high, many in ((-(10**16), 10**17, 500), (1_790_000_000 * 10**9, 1_790_400_000 * 10**9, 500), (0, 2**62, 3)):
        times = rng.integers(low, high, many)
        assert isos(times) == [iso_from_ns(int(t)) for t in times]
    assert isos(np.zeros(0, np.int64)) == []


def test_numbers_of_any_width_are_read_as_python_reads_them(tmp_path):
    for decimals in range(1, 8):
        rng = np.random.default_rng(decimals)
        some = [f"{sign}{value:.{decimals}f}" for value in (*rng.uniform(0, 180, 40), 0.0, 0.5, 9.75, 99.5, 100.25, 179.5)
                for sign in ("", "-", "+", "0", "-00")]  # fmt: skip
        path = tmp_path / "t.csv"
        path.write_text("id,t,lat,lon\n" + "".join(f"a,{k},1.0,{text}\n" for k, text in enumerate(some)))
        assert read_tracks(str(path)).lon_deg.tolist() == [float(text) + 0.0 for text in some]
