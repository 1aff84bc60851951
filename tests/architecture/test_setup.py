"""The scripts of the frame: .ci/run reports what make said, tools/setup.sh says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def copy(root, tmp_path) -> Path:
    """A folder that holds the scripts and what they read, nothing else."""
    where = tmp_path / "a clone"
    for name in (".ci/run", "tools/setup.sh", "pyproject.toml", "constraints.txt"):
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, where / name)
    return where


def put_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "status", "last", "exit_code"),
    [
        ("....\n412 passed, 3 skipped in 512.34s (0:08:32)", 0, "412 passed, 3 skipped in 512.34s (0:08:32)", 0),
        ("F\n1 failed, 2 passed, 1 error in 3.45s\nmake: *** [test] Error 1", 2, "1 failed, 2 passed, 1 error in 3.45s", 2),
        ("no tests ran in 0.01s", 2, "no tests ran in 0.01s", 2),
        ("setup: Birddog needs Python 3.11", 2, "no closing line of pytest: it did not get that far", 2),
    ],
)
def test_ci_run_ends_with_the_closing_line(copy, tmp_path, said, status, last, exit_code):
    put_program(tmp_path / "bin", "make", f"cat >/dev/null\ncat <<'X'\n{said}\nX\nexit {status}\n")
    done = subprocess.run(
        [str(copy / ".ci/run")],
        env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=30, cwd=tmp_path, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    assert done.stdout.splitlines()[-1] == last


def setup(copy: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["sh", str(copy / "tools/setup.sh"), *words],
        env=os.environ | {"BIRDDOG_NO_APT": "1"} | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_setup_without_python_says_what_to_do(copy):
    done = setup(copy, "run", PYTHON="/no/such/python")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "python3-venv" in done.stderr


def test_setup_with_an_old_python_says_what_to_do(copy, tmp_path):
    put_program(tmp_path / "bin", "old", "exit 1\n")
    done = setup(copy, "run", PYTHON=str(tmp_path / "bin" / "old"))
    assert done.returncode == 2
    assert "3.11" in done.stderr


def test_setup_without_the_venv_module_says_what_to_do(copy, tmp_path):
    """Debian's python3 without python3-venv: new enough, but `import ensurepip` fails."""
    put_program(tmp_path / "bin", "python", 'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac\n')
    done = setup(copy, "run", PYTHON=str(tmp_path / "bin" / "python"))
    assert done.returncode == 2
    assert "apt-get install python3-venv (or python3.11-venv)" in done.stderr
    assert not (copy / ".venv").exists()


def test_setup_knows_its_steps(copy):
    assert setup(copy, "no-such-step").returncode == 2
    done = setup(copy)
    assert done.returncode == 2 and "tools/setup.sh assets" in done.stderr
