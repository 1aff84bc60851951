"""Where a transport may listen or call, and how an address is written."""

from __future__ import annotations

import ipaddress
from typing import Any

from birddog.errors import ConfigError, UsageError
from devices import codec


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only; of names only ``localhost`` counts.  ``[::1]`` is ``::1``, as in a URL."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def written(address: Any) -> str:
    """A socket's address as ``host:port``; "" where there is none (a Unix socket)."""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else ""


def check_format(format: str, *, field: str) -> None:
    """Refuse a format that there is no codec for.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if not codec.known(format):
        raise ConfigError(f"no format {format!r}; there are: {', '.join(codec.names())}", field=field)


def check_listen(host: str, port: int, *, field: str, exercise: bool) -> None:
    """Refuse a port that is none, and an exercise beyond loopback.

    Raises:
        ConfigError, UsageError
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"wants a port, 0 to 65535, not {port}", field=f"{field}.port")
    if exercise and not is_loopback(host):
        raise UsageError(f"an exercise listens on loopback only, not on {host}", field=f"{field}.host")


def check_call(host: str, *, field: str, exercise: bool) -> None:
    """Refuse an exercise that would take in what somebody beyond this machine really sends.

    Raises:
        UsageError
    """
    if exercise and not is_loopback(host):
        raise UsageError(f"an exercise takes nothing from beyond this machine ({host})", field=field)
