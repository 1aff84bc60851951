"""The wheel as a stranger gets it: built, installed into an empty environment, looked through and started.

hatchling drops packages that are not listed and files that git ignores without a word; only this test notices.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.parse
import zipfile
from pathlib import Path

import pytest

from birddog import __version__
from opsroom.cli import COMMANDS


def quiet_environment() -> dict[str, str]:
    """This environment without what points Python at the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_", "COV_"))}


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    where = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(where), str(root)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (found,) = where.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def home(wheel, tmp_path_factory) -> Path:
    """An empty virtual environment that holds the wheel; third-party packages are borrowed from ours by path.

    A path in a .pth file does not run the .pth files that lie there, so our editable install stays outside.
    """
    where = tmp_path_factory.mktemp("home") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where)], check=True, timeout=60)
    python = where / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (site,) = (where / "lib").glob("python*/site-packages")
    ours = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in ours))
    return where


def birddog(home: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run the installed command."""
    return subprocess.run(
        [str(home / "bin" / "birddog"), *words], capture_output=True, text=True, timeout=60, cwd=cwd, env=quiet_environment()
    )


def test_the_wheel_is_named_for_every_platform(wheel):
    assert wheel.name == f"birddog-{__version__}-py3-none-any.whl"


def test_the_wheel_holds_everything_and_nothing_else(wheel, tracked, packages, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path) for path in tracked if path.parts[0] in packages}
    assert {path.split("/")[0] for path in expected} == set(packages)
    assert sorted(expected - names) == []
    tops = {name.split("/")[0] for name in names}
    assert tops == set(packages) | {f"birddog-{__version__}.dist-info"}
    assert [name for name in names if "__pycache__" in name or name.endswith((".db", ".picture", ".part"))] == []


def test_the_wheel_holds_each_kind_of_file(wheel):
    """By pattern, so that a folder that is renamed away is noticed too."""
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in (
        r"birddog/journal/schema_v\d+\.sql", r"opsroom/schema_picture\.sql", r"opsroom/console/static/index\.html",
        r"opsroom/console/static/js/main\.js", r"opsroom/console/static/basemap/.*\.geojson",
        r"devices/formats/\w+\.py", r"devices/formats/\w+\.samples\.toml", r"imagery/detectors/\w+\.py",
        r"sim/scenarios/\w+\.toml",
    ):  # fmt: skip
        assert any(re.fullmatch(pattern, name) for name in names), f"no {pattern} in the wheel"


def test_the_wheel_holds_the_browser_libraries(wheel, root):
    listed = tomllib.loads((root / "opsroom/console/vendor.toml").read_text())["package"]
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [(package["name"], Path(file).name) for package in listed for file in package["files"]]
    missing = [file for name, file in files if f"opsroom/console/static/vendor/{name}/{file}" not in names]
    assert not missing, "run `make assets` first: the libraries are fetched, not committed"


def test_it_is_the_installed_one(home, tmp_path, packages):
    code = f"import importlib\nfor name in {packages!r}: print(importlib.import_module(name).__file__)"
    python = str(home / "bin" / "python")
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=quiet_environment(), timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in done.stdout.split() if not Path(path).is_relative_to(home)] == []


def test_version_and_help(home, tmp_path):
    done = birddog(home, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"birddog {__version__}\n", "")
    done = birddog(home, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert [name for name in COMMANDS if name not in done.stdout] == []


def test_a_journal_is_made_and_counted(home, tmp_path):
    """The schema is found inside the wheel."""
    done = birddog(home, "operation", "add", "NIGHTJAR", "--journal", "sqlite:///t.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = birddog(home, "journal", "count", "--json", "--journal", "sqlite:///t.db", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"frames":0' in done.stdout.replace(" ", "")


@pytest.mark.skipif("run" not in COMMANDS, reason="there is no birddog run yet")
def test_it_runs(home, tmp_path, root):
    """`birddog run` of the wheel on free ports: healthy, the page and its libraries are served, ends on SIGTERM."""
    log = tmp_path / "log"
    words = ["run", "--exercise", "--journal", "sqlite:///t.db", "--mqtt-port", "0", "--http-port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(home / "bin" / "birddog"), *words],
            stdout=file, stderr=file, cwd=tmp_path, env=quiet_environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        url = wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), process, log, "the console's address")[0]
        wait_for(lambda: get(url + "/healthz")[0] == 200, process, log, "a healthy answer")
        status, page = get(url + "/")
        assert status == 200 and b"<html" in page.lower()
        for line in tomllib.loads((root / "opsroom/console/vendor.toml").read_text())["package"]:
            file = next(name for name in line["files"] if name.endswith(".mjs"))
            assert get(f"{url}/static/vendor/{line['name']}/{Path(file).name}")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def get(url: str) -> tuple[int, bytes]:
    """(status, body); status 0 while nobody listens, or is too busy to answer."""
    to = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(to.netloc, timeout=5)) as line:
        try:
            line.request("GET", to.path)
            answer = line.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""


def wait_for(condition, process, log: Path, what: str):
    """The condition's first true answer, within 150 s (a new home compiles the kernel first), while the process lives."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        assert process.poll() is None, f"ended with {process.returncode} before {what}\n{log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"no {what} within 150 s\n{log.read_text()}")
