"""How long `birddog --help` takes, over a bare `python -c pass` run beside it.

    python benchmarks/help_time.py [--rounds N]

The two take turns; the least of each counts (everything else on the machine only adds).  The promise is
under 0.3 s on an idle machine; what is recorded is the ratio.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import trend


def least_s(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """The least wall time of each command, in seconds."""
    least = dict.fromkeys(commands, float("inf"))
    for _ in range(rounds):
        for name, words in commands.items():
            begun = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            least[name] = min(least[name], time.perf_counter() - begun)
    return least


def main() -> int:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    least = least_s(
        {
            "python -c pass": [sys.executable, "-c", "pass"],
            "birddog --help": [sys.executable, "-m", "opsroom.cli", "--help"],
            "birddog journal --help": [sys.executable, "-m", "opsroom.cli", "journal", "--help"],
        },
        rounds,
    )
    bare = least.pop("python -c pass")
    print(f"{'python -c pass':<24}{bare:8.3f} s")
    for name, seconds in least.items():
        print(f"{name:<24}{seconds:8.3f} s  {seconds / bare:6.2f} x")
        trend.record("help_time", f"{name} over python -c pass", seconds / bare)
    return 0


if __name__ == "__main__":
    sys.exit(main())
