"""Real SIGKILL of a real `birddog run` under load; benchmarks/kill9.py does it twenty times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill9.py"


@pytest.mark.slow
def test_every_acknowledged_message_is_in_the_journal_once():
    command = [sys.executable, str(SCRIPT), "--kills", "3", "--seed", "11"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["acknowledged"] > 100 and result["connects"] > 2
