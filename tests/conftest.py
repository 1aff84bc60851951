"""What the tests of several rooms share."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

#: The root of a container writes where nobody may: without these capabilities it is as others are.
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture
def bounded(tmp_path) -> list[str]:
    """Words before a command that make file modes hold for root too."""
    if not AS_OTHERS:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root, and no setpriv: file modes do not hold")
    probe = tmp_path / "probe"
    probe.touch(0o000)
    if subprocess.run([*AS_OTHERS, "cat", str(probe)], capture_output=True).returncode == 0:
        pytest.skip("root keeps its capabilities here: file modes do not hold")
    return AS_OTHERS
