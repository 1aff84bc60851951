"""What a machine and a configuration lack before ``birddog run``: one finding a check, each with its mend.

Nothing is written where somebody else reads, no journal is opened for writing, no port is kept.  What ``run`` itself would
refuse is asked of the code of ``run`` (``opsroom.app.plan_of``); the rest is what breaks later, on the night: a disk without
room, a clock that nobody sets, a key that others can read, a certificate that ends next week, too few open files.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from birddog import config
from birddog.errors import BirddogError
from birddog.hsm import SCHEME
from birddog.hsm import opened as token_opened
from birddog.journal import Home, exists, open_reader
from birddog.journal.keys import LOG_PURPOSE
from birddog.journal.log_files import LogFiles
from birddog.keyring import Keyring, KeysClosed
from birddog.odd_certificates import quietly
from opsroom import status
from opsroom.app import Plan, plan_of

Level = Literal["ok", "warn", "fail"]

#: Less room than this is no night's worth of messages; less than the second, nothing is acknowledged soon.
ROOM_WARN, ROOM_FAIL = 5 << 30, 200 << 20
#: A certificate that ends within this is a warning.
CERT_WARN_S = 30 * 86_400.0
#: File systems that lie on another machine: SQLite's locks and a journal's fsync are not to be trusted there.
NETWORK_FILES = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"})
#: The oldest SQLite in which a reader beside a writer was tried.
SQLITE = (3, 35, 0)


class Finding(msgspec.Struct, frozen=True):
    """One line: how grave, of what, what was found, and what mends it ("" where nothing has to be)."""

    level: Level
    check: str
    found: str
    mend: str = ""


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    """Every check, in the order in which a person would mend things; ``args`` as for ``birddog run``.

    Raises:
        UsageError: the file that is named cannot be read at all.
    """
    yield _python()
    yield from _packages()
    yield _compiled()
    yield _sqlite()
    yield _clock()
    if args.config:
        config.read(Path(args.config))  # what is not there is a usage error, and no finding
    try:
        plan = plan_of(args)
    except BirddogError as error:
        yield Finding("fail", "configuration", str(_placed(error, args)), "docs/configuration.md has every key")
        return
    where = args.config or "the defaults (no --config)"
    yield Finding("ok", "configuration", f"{where}: {_sources(plan)}")
    yield from _home(plan.home)
    yield from _journal(plan)
    yield from _secrets(plan)
    yield from _keys(plan)
    yield from _files(plan)
    yield from _ports(plan)
    yield from _certificates(plan)


def _placed(error: BirddogError, args: argparse.Namespace) -> BirddogError:
    from birddog.errors import UsageError

    if args.config and isinstance(error, UsageError):
        return config.placed(error, config.read(Path(args.config)), file=args.config)
    return error


# --- the machine -------------------------------------------------------------------------------------


def _python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}"
    return Finding("ok", "python", said)


def _packages() -> Iterator[Finding]:
    """What pyproject.toml asks for, held against what is installed."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = metadata.requires("birddog") or []
    except metadata.PackageNotFoundError:
        yield Finding("warn", "packages", "birddog is not installed as a package", "make setup, or: pip install .")
        return
    wrong = []
    for text in wanted:
        try:
            asked = Requirement(text)
            if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
                continue
            found = metadata.version(asked.name)
        except InvalidRequirement:
            continue
        except metadata.PackageNotFoundError:
            wrong.append(f"{asked.name} is missing")
            continue
        if not asked.specifier.contains(found, prereleases=True):
            wrong.append(f"{asked.name} is {found}, {asked.specifier} is asked for")
    if wrong:
        yield Finding("fail", "packages", "; ".join(wrong), "make setup, or: pip install -c constraints.txt .")
    else:
        yield Finding("ok", "packages", "all that birddog needs are there")


def _compiled() -> Finding:
    from birddog.leaf_kernel import compiled as leaves
    from tracking import kernel

    lacks = [name for name, there in (("the tracker's step", kernel.compiled().step is not kernel.step),
                                      ("the evidence log's leaves", leaves() is not None)) if not there]
    if lacks:
        return Finding("warn", "compiled", f"{' and '.join(lacks)} cannot be compiled: the same results, some ten times slower",
                       "install numba, and an OpenSSL that exports SHA256_Init")
    return Finding("ok", "compiled", "the tracker's step and the evidence log's leaves")


def _sqlite() -> Finding:
    said = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < SQLITE:
        return Finding("warn", "sqlite", said, f"older than {'.'.join(map(str, SQLITE))}, the oldest that was tried: update it")
    return Finding("ok", "sqlite", said)


def _clock() -> Finding:
    """Whether somebody sets this machine's clock: entries stand at its time."""
    now = time.time()
    if now < 1_767_225_600:  # 2026-01-01: before this program was written
        said = f"it says {time.strftime('%Y-%m-%d', time.gmtime(now))}"
        return Finding("fail", "clock", said, "set it: every entry stands at its time")
    kept = ("/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/chronyd.pid", "/run/ntpd.pid",
            "/var/run/ntpd.pid", "/run/openntpd.pid")
    if any(os.path.exists(path) for path in kept):
        return Finding("ok", "clock", "a time service runs")
    return Finding("warn", "clock", "no time service was found", "run chrony or systemd-timesyncd: entries stand at this clock")


# --- what the configuration names --------------------------------------------------------------------


def _sources(plan: Plan) -> str:
    counted: dict[str, int] = {}
    for kind, _ in plan.config.transports():
        counted[kind.section] = counted.get(kind.section, 0) + 1
    return ", ".join(f"{count} {section}" if count > 1 else section for section, count in counted.items())


def _home(home: Home) -> Iterator[Finding]:
    """The folder of the journal: room, rights, whose disk it is, what a commit costs."""
    folder = home.folder
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("fail", "folder", f"nothing can be written in {folder}", "give it to the user that runs birddog")
        return
    free = shutil.disk_usage(folder).free
    level: Level = "fail" if free < ROOM_FAIL else "warn" if free < ROOM_WARN else "ok"
    yield Finding(level, "room", f"{free / 1e9:.1f} GB free in {folder.resolve()}",
                  "" if level == "ok" else "make room: a full disk acknowledges nothing (some 0.7 kB a message)")
    kind = _file_system(folder)
    if kind in NETWORK_FILES:
        yield Finding("fail", "disk", f"{folder.resolve()} lies on another machine ({kind})", "a journal wants a local disk")
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        took = []
        for _ in range(5):
            file.write(b"x" * 4096)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begun)
    ms = sorted(took)[2] * 1e3
    if ms > 100.0:
        yield Finding("warn", "disk", f"a commit takes some {ms:.0f} ms", "devices wait so long for an answer: a faster disk")
    else:
        yield Finding("ok", "disk", f"{kind or 'a local disk'}, a commit takes some {ms:.1f} ms")


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder lies on, "" where the system does not say."""
    real, best = os.path.realpath(folder), ("", "")
    with contextlib.suppress(OSError), open("/proc/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split(" ")
            point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), words[1])
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = point, words[2]
    return best[1]


def _running(home: Home) -> bool:
    rows = status.read(home, ("ingest",))
    return any(row.get("updated_ns") and not row.get("problem") for row in rows.values())


def _journal(plan: Plan) -> Iterator[Finding]:
    url = plan.config.journal.url
    if not exists(url):
        yield Finding("ok", "journal", f"{plan.home.base} is not there yet: the first run makes it")
        return
    try:
        reader = open_reader(url)
    except BirddogError as error:
        yield Finding("fail", "journal", str(error), "of an older version: birddog journal migrate; else put back a copy")
        return
    try:
        want = "exercise" if plan.exercise else "live"
        words = reader.disagreement()
        if reader.mode != want:
            said = f"{plan.home.base} is for {reader.mode} data"
            yield Finding("fail", "journal", said, "name another journal, or give --exercise")
        elif words:
            yield Finding("fail", "journal", words, "birddog run says what can be done")
        else:
            yield Finding("ok", "journal", f"{plan.home.base}: {reader.last_seq()} entries, {want}"
                          + (", a run writes it" if _running(plan.home) else ""))
    finally:
        reader.close()


def _secrets(plan: Plan) -> Iterator[Finding]:
    """Keys and tokens: nobody else may read them."""
    whole, home = plan.config, plan.home
    named = [home.keys, home.master_key, home.refusal_key]
    master = whole.journal.master_key
    named += [Path(master)] if master and not master.startswith(SCHEME) else []
    named += [Path(file) for file in whole.console.tokens.values()]
    rows = [row for _, row in whole.transports()]
    named += [Path(path) for row in rows for field in ("key", "password_file") if (path := getattr(row, field, ""))]
    others = stat.S_IRWXG | stat.S_IRWXO
    open_to_others = [str(path) for path in named if path.exists() and path.stat().st_mode & others]
    if open_to_others:
        said = f"others may read {', '.join(open_to_others)}"
        yield Finding("fail", "secrets", said, f"chmod 600 {' '.join(open_to_others)}")
        return
    there = sum(path.exists() for path in named)
    yield Finding("ok", "secrets", f"{there} files of keys, none that others may read" if there else "no keys yet")
    if home.master_key.exists() and not whole.journal.master_key:
        yield Finding("warn", "master key", f"{home.master_key} lies beside what it locks",
                      "keep it elsewhere ([journal] master_key), and a copy in a safe: without it no case can be read")


def _keys(plan: Plan) -> Iterator[Finding]:
    """Whether what wraps the keys of cases can be had, as a run will ask for it; nothing is made."""
    master, log = plan.config.journal.master_key, LogFiles(plan.home.log)
    try:
        ring = Keyring(plan.home, master=master, make=False)
        ring.look(wanted=log.known() is not None)
        if master.startswith(SCHEME) and not ring.names("", purpose=LOG_PURPOSE):
            token_opened(master, make=False)
    except KeysClosed as error:
        yield Finding("fail", "keys", error.what, error.mend)
    except BirddogError as error:
        yield Finding("fail", "keys", str(error), "birddog journal verify says more")
    else:
        yield Finding("ok", "keys", "the master key opens them" if ring.names("", purpose=LOG_PURPOSE) else "none are made yet")


def _files(plan: Plan) -> Iterator[Finding]:
    wanted = 200 + sum(getattr(row, "max_connections", 0) for _, row in plan.config.transports())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield Finding("warn", "open files", f"this user may open {hard}, and {wanted} connections may come",
                      "raise the limit (LimitNOFILE= of its unit), or lower max_connections")
    else:
        yield Finding("ok", "open files", f"{soft} of {'any number' if hard == resource.RLIM_INFINITY else hard}")


def _ports(plan: Plan) -> Iterator[Finding]:
    whole = plan.config
    wanted: list[tuple[str, str, int, int]] = []
    if "ingest" in plan.roles:
        mqtt = next(row for kind, row in whole.transports() if kind.section == "endpoint")
        if mqtt.plain and mqtt.port:
            wanted.append(("endpoint.port", "127.0.0.1", mqtt.port, socket.SOCK_STREAM))
        if mqtt.cert:
            wanted.append(("endpoint.tls_port", mqtt.host, mqtt.tls_port, socket.SOCK_STREAM))
        listens = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
        wanted += [(f"{kind.section} {row.name!r}.port", row.host, row.port, listens[kind.section])
                   for kind, row in whole.transports() if kind.section in listens and row.port]
    if "console" in plan.roles and whole.console.port:
        wanted.append(("console.port", whole.console.host, whole.console.port, socket.SOCK_STREAM))
    for field, host, port, kind in wanted:
        why = _bound(host, port, kind)
        if not why:
            yield Finding("ok", field, f"{port} of {host} is free")
        elif _running(plan.home):
            yield Finding("ok", field, f"{port} of {host} is taken while this journal's run is up")
        else:
            mend = "end what holds it, or name another port"
            if port == 1883:
                mend += " (Debian's Mosquitto starts itself there: systemctl disable --now mosquitto)"
            yield Finding("fail", field, f"{port} of {host}: {why}", mend)
    if "ingest" in plan.roles:
        for row in (row for kind, row in whole.transports() if kind.section == "serial"):
            usable = os.access(row.port, os.R_OK | os.W_OK)
            why = "" if usable else "it is not there" if not os.path.exists(row.port) else "this user may not open it"
            yield Finding("warn" if why else "ok", f"serial {row.name!r}.port", f"{row.port}{': ' + why if why else ''}",
                          "plug it in, or join the group dialout; run tries again until then" if why else "")


def _bound(host: str, port: int, kind: int) -> str:
    """Why a port cannot be listened on; "" where it can."""
    try:
        family = socket.getaddrinfo(host, port, type=kind)[0][0]
        with socket.socket(family, kind) as one:
            if kind == socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
            if kind == socket.SOCK_STREAM:
                one.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "another program listens there"
        return error.strerror or str(error)
    return ""


def _certificates(plan: Plan) -> Iterator[Finding]:
    """Those that are named, and how long they hold."""
    from cryptography import x509

    whole = plan.config
    named = [("console.tls_cert", whole.console.tls_cert)]
    for kind, row in whole.transports():
        named += [(f"{kind.section}.{field}", getattr(row, field, "")) for field in ("cert", "ca")]
    for field, path in named:
        if not path:
            continue
        try:
            with quietly():
                held = x509.load_pem_x509_certificates(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            yield Finding("fail", field, f"{path}: {error}", "name a file of PEM certificates")
            continue
        left_s = min(one.not_valid_after_utc.timestamp() for one in held) - time.time()
        if left_s < 0.0:
            yield Finding("fail", field, f"{path} has expired", "renew it: no device is let in with it")
        elif left_s < CERT_WARN_S:
            yield Finding("warn", field, f"{path} expires in {left_s / 86_400.0:.0f} days", "renew it in time")
        else:
            yield Finding("ok", field, f"{path} holds for {left_s / 86_400.0:.0f} days")

