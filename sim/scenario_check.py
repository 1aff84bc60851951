"""Checks of a scenario that its types cannot express.

The TOML reader (``birddog.config``) refuses a wrong type or an unknown key.  What is left is looked at here: a name that is
used exists (``on = "van-1"``), no name stands twice, a route leads somewhere, a window of time ends after it begins, an
identity can be written in its format (15 digits of an IMEI, 9 of an MMSI).  The first fault ends the check, as one line
with the file, the line and the key at which it stands.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from birddog import config, rules
from birddog.errors import ConfigError
from birddog.units import ns_from_text
from sim import wire

if TYPE_CHECKING:
    from sim.tables import Scenario

#: kind of device -> the transports over which one would send (what a format's stream or messages can go over).
TRANSPORTS: dict[str, tuple[str, ...]] = {
    "phone": ("mqtt",), "tracker": ("tcp",), "gps": ("pty", "tcp", "udp"), "ais": ("udp", "tcp", "pty"), "portal": ("mqtt",),
    "sensor": ("modbus",), "camera": ("scenes",),
}  # fmt: skip


class Checker:
    """The checks of one scenario; it keeps the text that the scenario was read from, to find the line of a fault."""

    def __init__(self, s: Scenario, text: str, file: str):
        self._s, self._text, self._file = s, text, file

    def check(self) -> None:
        """Look at everything, in the order of the file.

        Raises:
            ConfigError: the first thing that is wrong.
        """
        s = self._s
        try:
            ns_from_text(s.scenario.start)
        except ValueError as error:
            raise self._wrong(str(error), "scenario", "start") from error
        if not (-90 <= s.scenario.origin[0] <= 90 and -180 <= s.scenario.origin[1] <= 180):
            raise self._wrong("wants [latitude, longitude] in degrees", "scenario", "origin")
        self._ways()
        self._things()
        if not s.devices():
            raise ConfigError("no device: a [[phone]], [[tracker]], [[gps]], [[ais]], [[portal]], [[sensor]] or [[camera]] was "
                              "expected", file=self._file)
        ids = self._devices()
        operations = self._once("operation", "id")
        for i, row in enumerate(s.operation):
            if 0 < len(row.area) < 3:
                raise self._wrong("wants three points or more, or none", "operation", i, "area")
        for i, one in enumerate(s.attach):
            self._known(one.device, ids, "device or tag", "attach", i, "device")
            self._known(one.operation, operations, "operation", "attach", i, "operation")
        self._once("warrant", "id")
        for i, held in enumerate(s.warrant):
            self._known(held.device, ids, "device or tag", "warrant", i, "device")
            self._known(held.operation, operations, "operation", "warrant", i, "operation")
            if held.rules not in rules.shipped():
                raise self._wrong(f"no pack {held.rules!r}; there are {', '.join(rules.shipped())}", "warrant", i, "rules")

    def _ways(self) -> None:
        self._once("route", "name")
        for i, row in enumerate(self._s.route):
            if not any(math.dist(a, b) > 0.0 for a, b in zip(row.points, row.points[1:], strict=False)):
                raise self._wrong("leads nowhere: all points are the same", "route", i, "points")

    def _things(self) -> None:
        routes = {r.name for r in self._s.route}
        seen: set[str] = set()
        for i, row in enumerate(self._s.thing):
            self._known(row.route, routes, "route", "thing", i, "route")
            if row.aboard:
                self._known(row.aboard, seen, "earlier thing", "thing", i, "aboard")
            elif row.leaves_s:
                raise self._wrong("leaves what? it is aboard nothing", "thing", i, "leaves_s")
            if row.name in seen:
                raise self._wrong(f"a second thing {row.name!r}", "thing", i, "name")
            seen.add(row.name)

    def _devices(self) -> set[str]:
        s, things = self._s, {t.name for t in self._s.thing}
        ids: set[str] = set()
        units: set[int] = set()
        for kind in ("phone", "tracker", "gps", "ais", "epc", "portal", "sensor", "camera"):
            for i, row in enumerate(getattr(s, kind)):
                name, key = (row.uri, "uri") if kind == "epc" else (row.id, "id")
                if name in ids:
                    raise self._wrong(f"a second device {name!r}", kind, i, key)
                ids.add(name)
                if hasattr(row, "on"):
                    self._known(row.on, things, "thing", kind, i, "on")
                if kind == "epc":
                    continue
                if row.transport not in TRANSPORTS[kind]:
                    words = " or ".join(TRANSPORTS[kind])
                    raise self._wrong(f"a {kind} speaks {words}, not {row.transport}", kind, i, "transport")
                self._windows(row.faults.silent, row.faults.period_s, kind, i, "faults")
                self._windows(row.faults.buffered, row.faults.period_s, kind, i, "faults")
        for i, row in enumerate(s.tracker):
            if not (len(row.id) == 15 and row.id.isascii() and row.id.isdigit()):
                raise self._wrong("wants an IMEI of 15 digits", "tracker", i, "id")
        for i, row in enumerate(s.ais):
            if not (len(row.id) == 9 and row.id.isascii() and row.id.isdigit()):
                raise self._wrong("wants an MMSI of 9 digits", "ais", i, "id")
            if row.receiver in ids:
                raise self._wrong(f"{row.receiver!r} is another device", "ais", i, "receiver")
        for i, row in enumerate(s.epc):
            try:
                wire.impinj(reader="", time_ns=0, epc_uri=row.uri, antenna=1, rssi_dbm=0.0)
            except ValueError as error:
                raise self._wrong(f"cannot be written to a tag: {error}", "epc", i, "uri") from error
        for i, row in enumerate(s.portal):
            if not row.topic or any(c in row.topic for c in "+#\0"):
                raise self._wrong("wants a topic without wildcards", "portal", i, "topic")
        for i, row in enumerate(s.sensor):
            if row.unit in units:
                raise self._wrong(f"a second unit {row.unit}", "sensor", i, "unit")
            units.add(row.unit)
            self._windows(row.door, row.period_s, "sensor", i, "door")
        return ids

    def _windows(self, windows: tuple[tuple[float, float], ...], period_s: float, *path: str | int) -> None:
        """A window (begin, end) in seconds ends after it begins, and within its period where it comes again."""
        for begin, end in windows:
            if not 0.0 <= begin < end:
                raise self._wrong(f"the window {begin:g} to {end:g} does not end after it begins", *path)
            if period_s and end > period_s:
                raise self._wrong(f"the window {begin:g} to {end:g} is longer than its period of {period_s:g} s", *path)

    def _once(self, kind: str, key: str) -> set[str]:
        """The names of all rows of a kind; a name that stands twice is a fault."""
        seen: set[str] = set()
        for i, row in enumerate(getattr(self._s, kind)):
            name = getattr(row, key)
            if name in seen:
                raise self._wrong(f"a second {kind} {name!r}", kind, i, key)
            seen.add(name)
        return seen

    def _known(self, value: str, there: set[str], what: str, *path: str | int) -> None:
        """A name that is used must be one of those that are there; the fault lists them."""
        if value not in there:
            raise self._wrong(f"there is no {what} {value!r}; there are: {', '.join(sorted(there))}", *path)

    def _wrong(self, said: str, *path: str | int) -> ConfigError:
        field = ".".join(f"[{part + 1}]" if isinstance(part, int) else part for part in path).replace(".[", "[")
        return ConfigError(said, file=self._file, line=config.line_of(self._text, path), field=field)
