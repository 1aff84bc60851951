"""The shape of the tree: folders, names, sizes, and what may not lie in it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Top-level folders that are no part of the wheel.
NOT_SHIPPED = {".ci", "benchmarks", "docs", "tests", "tools"}

MAX_LINES = 400
CODE = {".py", ".js", ".css", ".sh", ".html"}


def test_top_folders_are_the_packages(tracked, packages):
    """import-linter does not notice a new top-level folder, nor hatchling: this does."""
    folders = {path.parts[0] for path in tracked if len(path.parts) > 1}
    assert folders - NOT_SHIPPED == set(packages)


def test_packages_agree_everywhere(project, packages):
    tools = project["tool"]
    assert tools["importlinter"]["root_packages"] == packages
    assert tools["ruff"]["lint"]["isort"]["known-first-party"] == packages


def test_a_journal_is_a_file_in_its_own_room_alone(root, shipped):
    """Nobody else makes a URL of a file's name (``birddog.journal.url_of``), or takes one apart."""
    made = re.compile(r"""sqlite:///\{|["']sqlite:["']|startswith\(["']sqlite""")
    found = [
        str(path) for path in shipped if path.suffix == ".py" and path.parts[:2] != ("birddog", "journal")
        for line in (root / path).read_text(encoding="utf-8").splitlines()
        if made.search(line)
    ]  # fmt: skip
    assert found == []


def test_every_folder_of_code_is_a_package(shipped):
    """A folder without __init__.py is imported all the same, but import-linter does not see into it."""
    folders = {path.parent for path in shipped}
    missing = [str(folder) for folder in folders if folder / "__init__.py" not in shipped]
    assert not missing


def test_no_init_in_tests(tracked):
    """tests/ingest/__init__.py would hide the package ingest."""
    assert [str(path) for path in tracked if path.parts[0] in ("tests", "benchmarks") and path.name == "__init__.py"] == []


def test_test_folders_mirror_the_rooms(tracked, packages):
    folders = {path.parts[1] for path in tracked if path.parts[0] == "tests" and len(path.parts) > 2}
    assert folders <= set(packages) | {"architecture", "conformance", "goldens", "journals"}


def test_no_module_hides_another(shipped):
    """A module of ours is not named after one of the standard library's or a dependency's."""
    theirs = set(sys.stdlib_module_names) | {
        name.split(".")[0] for name in importlib.metadata.packages_distributions() if not name.startswith("_")
    }
    # inside a package a name hides nothing from absolute imports, but a reader and a script run from its folder stumble
    allowed = {
        "__init__", "signal", "operation", "device", "journal",
        # formats are named as the field names them
        "impinj", "modbus", "ais", "nmea", "units", "csv",
    }  # fmt: skip
    rooms = {path.parts[0] for path in shipped}
    wrong = [str(path) for path in shipped if path.stem in theirs - rooms - allowed]
    assert not wrong, f"named like a module of somebody else: {wrong}"


def test_names_say_what_is_inside(tracked):
    empty = re.compile(r"^(utils?|helpers?|misc|common_utils|.*manager|stuff)\.(py|js)$", re.IGNORECASE)
    assert [str(path) for path in tracked if empty.match(path.name)] == []


def test_every_module_says_what_it_is_for(trees):
    missing = [str(path) for path, tree in trees.items() if not ast.get_docstring(tree)]
    assert not missing


def test_long_files_say_why(tracked, trees, root):
    """A file over 400 lines says in its first lines ``Over 400 lines: …`` why it is one subject."""
    wrong = []
    for path in tracked:
        if path.suffix not in CODE:
            continue
        text = (root / path).read_text(encoding="utf-8")
        lines = text.count("\n")
        top = (ast.get_docstring(trees[path]) or "") if path in trees else text[:2000]
        if lines > MAX_LINES and not re.search(r"(?i)\b(over|longer than) 400 lines\W+\w+", top):
            wrong.append(f"{path}: {lines} lines")
    assert not wrong, f"over {MAX_LINES} lines without `Over 400 lines: why` in the docstring: {wrong}"


def test_no_third_party_and_no_lock_files(tracked):
    pattern = re.compile(
        r"(^|/)(node_modules|vendor|site-packages)/|\.min\.(js|css)$|(^|/)(uv|poetry|Pipfile|package-lock|yarn|pnpm-lock)[^/]*\.(lock|json|yaml)$"
    )
    assert [str(path) for path in tracked if pattern.search(str(path))] == []


def test_no_large_files(tracked, root):
    """Data lies elsewhere; the basemap is the one large thing that is shipped."""
    large = [str(path) for path in tracked if (root / path).stat().st_size > 1_500_000]
    assert [path for path in large if not path.startswith("opsroom/console/static/basemap/")] == []


def test_no_machine_paths_and_no_registry_hosts(tracked, root):
    """Nothing that holds only on the machine where it was written, and no address to install from."""
    # written in pieces: this file is read too
    machine = r"(?<![\w.~-])/(" + "|".join(("wo" "rk", "ro" "ot", "far" "m", "home/[a-z]+")) + r")/[\w.]"
    hosts = r"(py" r"pi|pythonhosted|npm" r"js|deb" r"ian|conda|crates)\.(org|com|io)|regis" r"try\.np" r"m"
    pattern = re.compile(f"{machine}|{hosts}", re.IGNORECASE)
    wrong = []
    for path in tracked:
        data = (root / path).read_bytes()
        if b"\0" in data[:8000]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                wrong.append(f"{path}:{number}: {line.strip()[:120]}")
    assert not wrong, "\n".join(wrong)


def test_no_secrets(tracked, root):
    pattern = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")
    assert [str(path) for path in tracked if pattern.search((root / path).read_bytes())] == []


def test_what_is_run_is_executable(root):
    for name in (".ci/run", "tools/setup.sh"):
        assert (root / name).stat().st_mode & 0o111, name


@pytest.mark.parametrize("name", [".ci/run", "tools/setup.sh", "tools/upgrade.sh"])
def test_scripts_parse(root, name):
    shell = "bash" if name == ".ci/run" else "sh"
    done = subprocess.run([shell, "-n", str(root / name)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_constraints_are_exact_and_name_no_place(root):
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []
    names = [_plain(line.split("==")[0]) for line in lines]
    assert len(names) == len(set(names))


def test_constraints_hold_every_declared_package(root, project):
    """A package that a release of tomorrow could change is no fixed environment."""
    pinned = {_plain(line.split("==")[0]) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    declared = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["test"]]
    assert [line for line in declared if _plain(re.match(r"[A-Za-z0-9._-]+", line)[0]) not in pinned] == []


def test_what_is_needed_is_pinned(root, project):
    """Also what our packages need in turn: everything reachable from them in this environment."""
    pinned = {_plain(line.split("==")[0]) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}
    declared = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["test"]]
    todo, seen = [_plain(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in declared], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # an environment marker left it out
        todo += [_plain(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in needs if ";" not in line]
    installed = {_plain(dist.metadata["Name"]) for dist in importlib.metadata.distributions()}
    assert sorted((seen & installed) - pinned) == []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_tree_that_is_tested_is_the_one_that_is_imported(root):
    """An old install elsewhere on the path would make every test meaningless."""
    import birddog

    assert Path(birddog.__file__).resolve().parents[1] == root
