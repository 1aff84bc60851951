"""Every transport that there is, by the section of the TOML that makes one: to add one, add its module here."""

from __future__ import annotations

from importlib import import_module

from ingest.transport import Kind

#: Modules of this room, each with a ``KIND``; started in this order, stopped in the other.
MODULES = ["endpoint", "listener", "datagrams", "serial_port", "modbus_poll", "broker"]


def kinds() -> list[Kind]:
    """The kinds of transports, in the order in which they are started."""
    return [import_module(f"ingest.{name}").KIND for name in MODULES]
