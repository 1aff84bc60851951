"""What the tests of the repository's frame look at: the tracked files, parsed once."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def packages(project) -> list[str]:
    """The rooms, as the wheel names them."""
    return project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks and that is there, relative to the root, sorted."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked is not known")
    # the checkout may belong to another user than the one who runs the tests (CI as root)
    done = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    return sorted(Path(name) for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def trees(tracked) -> dict[Path, ast.Module]:
    """Every tracked Python file, parsed."""
    return {path: ast.parse((ROOT / path).read_bytes(), filename=str(path)) for path in tracked if path.suffix == ".py"}


@pytest.fixture(scope="session")
def shipped(trees, packages) -> dict[Path, ast.Module]:
    """The parsed files of the rooms."""
    return {path: tree for path, tree in trees.items() if path.parts[0] in packages}
