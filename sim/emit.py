"""Targets: which transport goes where.  One file a transport (``emit_*.py``) knows how.

``--to`` is one of ``mqtt://host[:port]`` ``mqtts://host[:port]`` ``tcp://host:port`` ``udp://host:port``
``modbus://host:port`` (a server that we open) ``pty:LINK`` or a folder.  A folder takes every stream that no other
target takes; alone it takes all of them.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import time
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from birddog.errors import UsageError
from sim.emission import Emission
from sim.tables import Scenario, Transport

SCHEMES: dict[str, Transport] = {"mqtt": "mqtt", "mqtts": "mqtt", "tcp": "tcp", "udp": "udp", "modbus": "modbus", "pty": "pty"}
#: Those that must listen before we come; how often it is asked, s.
LISTEN, POLL_S = frozenset({"mqtt", "tcp"}), 0.1
PORTS = {"mqtt": 1883, "mqtts": 8883, "modbus": 502}
#: transport -> the module that sends it.
MODULES = {
    "mqtt": "sim.emit_mqtt", "tcp": "sim.emit_tcp", "udp": "sim.emit_udp", "pty": "sim.emit_pty",
    "modbus": "sim.emit_modbus", "folder": "sim.emit_files",
}  # fmt: skip


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where something goes.

    Args:
        kind: the transport, or ``folder``.
        path: of a pty's link or a folder.
        certs: for TLS: a folder with ``ca.pem`` and, a device, ``ID.pem`` and ``ID.key``.
    """

    text: str
    kind: str
    host: str = ""
    port: int = 0
    tls: bool = False
    path: str = ""
    certs: str = ""


class Emitter(Protocol):
    """A target that is open.  ``send`` does not wait for the network; ``close`` waits until all is acknowledged."""

    def send(self, emission: Emission) -> None: ...

    def close(self, wait_s: float) -> list[str]:
        """End; returns what an operator should know (what was not acknowledged, what was dropped)."""
        ...


def parse(text: str, certs: str = "") -> Target:
    """A target as it is written on the command line.

    Args:
        certs: the folder of certificates for ``mqtts://``.

    Raises:
        UsageError: it is none of the forms.
    """
    if text.startswith("pty:"):
        link = text.removeprefix("pty:").removeprefix("//")
        if not link:
            raise UsageError(f"{text!r}: wants pty:LINK", field="--to")
        return Target(text=text, kind="pty", path=link)
    if "://" not in text:
        return Target(text=text, kind="folder", path=text)
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", field="--to") from error
    kind = SCHEMES.get(parts.scheme)
    if kind is None:
        raise UsageError(f"{text!r}: there are {', '.join(f'{s}://' for s in SCHEMES if s != 'pty')}, pty:LINK and a folder",
                         field="--to")
    try:
        port = parts.port if parts.port is not None else PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"{text!r}: the port is no number from 0 to 65535", field="--to") from error
    if not parts.hostname or (port == 0 and kind != "modbus"):
        raise UsageError(f"{text!r}: wants {parts.scheme}://host:port", field="--to")
    if parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"{text!r}: only host and port", field="--to")
    return Target(text=text, kind=kind, host=parts.hostname, port=port, tls=parts.scheme == "mqtts", certs=certs)


def assign(s: Scenario, targets: Iterable[Target]) -> dict[Transport, Target]:
    """Which target takes each transport of the scenario.

    Raises:
        UsageError: a transport has none (its devices are named), two targets want the same, or one takes nothing.
    """
    targets = list(targets)
    wanted: dict[Transport, list[str]] = {}
    for d in s.devices():
        wanted.setdefault(d.transport, []).append(d.id)
    out: dict[Transport, Target] = {}
    folders = [t for t in targets if t.kind == "folder"]
    for t in targets:
        if t.kind == "folder":
            continue
        if t.kind in out:
            raise UsageError(f"{t.text} and {out[t.kind].text}: one target a transport", field="--to")
        if t.kind not in wanted:
            raise UsageError(f"{t.text}: no device of this scenario speaks {t.kind}", field="--to")
        out[t.kind] = t
    if len(folders) > 1:
        raise UsageError(f"{folders[0].text} and {folders[1].text}: one folder", field="--to")
    missing = {transport: ids for transport, ids in wanted.items() if transport not in out}
    if folders:
        out.update(dict.fromkeys(missing, folders[0]))
        if not missing:
            raise UsageError(f"{folders[0].text}: every stream has a target already", field="--to")
    elif missing:
        words = "; ".join(f"{transport} ({', '.join(ids)})" for transport, ids in missing.items())
        raise UsageError(f"no target for {words}: give one --to each, or a folder for all the rest", field="--to")
    return out


def is_live(targets: Iterable[Target]) -> bool:
    """Whether any target is more than a folder: time is then kept as it passes."""
    return any(t.kind != "folder" for t in targets)


def open_all(
    assigned: dict[Transport, Target], wait_s: float = 0.0, is_set: Callable[[], bool] = lambda: False
) -> dict[Transport, Emitter]:  # fmt: skip
    """Open every target, those that we make before those that must listen; the ones that serve several transports once.

    Args:
        wait_s: for so long it is waited for who must listen: who reads a line that we make may wait for that himself.
        is_set: asked meanwhile; nobody waits any longer once it says yes.

    Raises:
        UsageError: one cannot be reached; what was open is closed again.
    """
    opened: dict[str, Emitter] = {}
    out: dict[Transport, Emitter] = {}
    until_s = time.monotonic() + wait_s
    try:
        for transport, target in sorted(assigned.items(), key=lambda one: one[1].kind in LISTEN):
            if target.kind in LISTEN:
                while not listens(target.host, target.port) and time.monotonic() < until_s and not is_set():
                    time.sleep(POLL_S)
            if target.text not in opened:
                opened[target.text] = importlib.import_module(MODULES[target.kind]).open_target(target)
            out[transport] = opened[target.text]
    except UsageError:
        for emitter in opened.values():
            emitter.close(0.0)
        raise
    return out


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), timeout=1.0).close()
        return True
    return False
