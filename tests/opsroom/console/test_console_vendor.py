"""tools/vendor.py: nothing lands that vendor.toml does not name with its sum.  npm is played by a small script."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GOOD, CHANGED = b"export const a = 1;\n", b"export const a = 2;\n"


@pytest.fixture
def vendor():
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("vendor_tool", ROOT / "tools" / "vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stand(vendor, tmp_path, monkeypatch):
    """A list with one package, a vendor folder, and an npm that packs what ``pack`` was told."""
    (tmp_path / "vendor.toml").write_text(
        f'[[package]]\nname = "lib"\nversion = "1.2.3"\nlicence = "MIT"\n[package.files]\n'
        f'"dist/lib.mjs" = "{hashlib.sha256(GOOD).hexdigest()}"\n')
    monkeypatch.setattr(vendor, "VENDOR", tmp_path / "vendor")
    monkeypatch.setattr(vendor, "wanted", lambda: tomllib.loads((tmp_path / "vendor.toml").read_text())["package"])
    binaries = tmp_path / "bin"
    binaries.mkdir()
    npm = binaries / "npm"
    npm.write_text(f"#!{sys.executable}\nimport shutil, sys\n"
                   f"assert sys.argv[1] == 'pack' and '--ignore-scripts' in sys.argv, sys.argv\n"
                   f"assert sys.argv[-1] == 'lib@1.2.3', sys.argv\n"
                   f"shutil.copy({str(tmp_path / 'made.tgz')!r}, sys.argv[sys.argv.index('--pack-destination') + 1])\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")

    def pack(**members: bytes) -> None:
        with tarfile.open(tmp_path / "made.tgz", "w:gz") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name.replace("__", "/").replace("_dot_", "."))
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return pack, tmp_path / "vendor" / "lib" / "lib.mjs"


def test_what_has_the_right_sum_lands_and_the_rest_does_not(vendor, stand):
    pack, path = stand
    pack(package__dist__lib_dot_mjs=GOOD, package__evil_dot_js=b"alert(1)", **{"_dot__dot___escaped": b"x"})
    assert vendor.main(["--check"]) == 1
    assert vendor.main([]) == 0
    assert path.read_bytes() == GOOD
    assert sorted(p.name for p in path.parent.rglob("*")) == ["lib.mjs"]
    assert vendor.main(["--check"]) == 0


def test_another_sum_is_refused_and_nothing_written(vendor, stand, capsys):
    pack, path = stand
    pack(package__dist__lib_dot_mjs=CHANGED)
    assert vendor.main([]) == 2
    assert not path.exists()
    assert hashlib.sha256(CHANGED).hexdigest() in capsys.readouterr().err


def test_a_file_changed_on_disk_is_noticed_and_mended(vendor, stand):
    pack, path = stand
    pack(package__dist__lib_dot_mjs=GOOD)
    assert vendor.main([]) == 0
    path.write_bytes(CHANGED)
    assert vendor.main(["--check"]) == 1
    assert vendor.main([]) == 0
    assert path.read_bytes() == GOOD


def test_a_package_without_the_file_is_one_line(vendor, stand, capsys):
    pack, _ = stand
    pack(package__readme=b"")
    assert vendor.main([]) == 2
    assert capsys.readouterr().err == "vendor: lib@1.2.3 holds no dist/lib.mjs\n"


def test_a_failing_npm_is_one_line(vendor, stand, capsys):
    assert vendor.main([]) == 2  # nothing was packed: the copy fails
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_real_list_names_versions_sums_and_licences():
    packages = tomllib.loads((ROOT / "opsroom/console/vendor.toml").read_text())["package"]
    for package in packages:
        assert package["version"][0].isdigit()
        assert package["licence"]
        assert any("LICENSE" in name for name in package["files"])
        assert all(len(value) == 64 for value in package["files"].values())


def test_no_third_party_code_is_tracked_by_git():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "opsroom/console/static/vendor"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
