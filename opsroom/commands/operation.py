"""``birddog operation add|list|close|watch|unwatch|retain|erase``: cases and the places that they watch, as entries."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from opsroom.commands.common import (
    actor_option,
    journal_option,
    json_file,
    json_option,
    name_of,
    print_json,
    print_table,
    say,
    time_ns,
)

if TYPE_CHECKING:
    from birddog.model import Zone
    from opsroom.registers import Registers


#: A hundred years: what must be kept for longer is no case's any more.
_DAYS_MOST = 36_500


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="open a case")
    add.add_argument("operation", metavar="ID", help="a short name without spaces, e.g. NIGHTJAR")
    add.add_argument("--name", default="", help="words for people")
    add.add_argument("--area", metavar="FILE", help="GeoJSON polygon: anonymous contacts inside it belong to the case too")
    add.add_argument("--exercise", action="store_true", help="if the journal is made now: make it an exercise journal")
    add.add_argument("--requires-warrant", action="store_true",
                     help="nothing of its devices comes in but what a warrant in force covers, from the beginning")
    listing = actions.add_parser("list", help="all cases")
    close = actions.add_parser("close", help="close a case: its devices are not admitted any more")
    close.add_argument("operation", metavar="ID")
    watch = actions.add_parser("watch", help="tell who of a case arrives at an area or in a corridor, and who leaves it")
    watch.add_argument("operation", metavar="ID")
    watch.add_argument("zone", metavar="NAME", help="what the place is called in events and alerts")
    where = watch.add_mutually_exclusive_group(required=True)
    where.add_argument("--area", metavar="FILE", help="GeoJSON polygon")
    where.add_argument("--corridor", metavar="FILE", help="GeoJSON line: a road, a channel")
    where.add_argument("--port", metavar="FILE", help="GeoJSON polygon: a port or hub, whose visits are told too")
    where.add_argument("--gate", metavar="FILE", help="GeoJSON line: who passes it, and in which direction")
    where.add_argument("--border", metavar="FILE", help="GeoJSON polygon: who enters or leaves that land, an alert each time")
    watch.add_argument("--width", type=float, metavar="M", help="of a corridor, from side to side (400)")
    watch.add_argument("--dwell", type=float, default=60.0, metavar="S",
                       help="so long on the other side until it is told (60)")
    unwatch = actions.add_parser("unwatch", help="watch a place no longer")
    unwatch.add_argument("operation", metavar="ID")
    unwatch.add_argument("zone", metavar="NAME")
    retain = actions.add_parser("retain", help="enter until when a case may be kept; told of in time, erased by a person")
    retain.add_argument("operation", metavar="ID")
    until = retain.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", metavar="TIME", help="from then on nothing of it may be kept")
    until.add_argument("--days", type=int, metavar="N", help="the same, so many days of 24 h from now")
    until.add_argument("--hours", type=int, metavar="N",
                       help="of the ID open only: what is heard of vessels under no case is kept so long, then erased by "
                            "itself; 0: for as long as the journal")
    retain.add_argument("--reason", default="", help="the law or order that says so, in words that stay")
    erase = actions.add_parser("erase", help="erase all that stands of a closed case; nothing brings it back")
    erase.add_argument("operation", metavar="ID")
    erase.add_argument("--note", default="", help="why, in words that stay")
    for sub in (add, listing, close, watch, unwatch, retain, erase):
        journal_option(sub)
    for sub in (add, close, watch, unwatch, retain, erase):
        actor_option(sub)
    json_option(listing)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    import msgspec

    from birddog.directory import OPEN
    from birddog.errors import UsageError
    from birddog.model import Operation
    from birddog.units import iso_from_ns
    from opsroom.registers import Registers

    adds = args.action == "add"
    if adds:  # all of it is looked at first: a journal is not made for a typing error
        name = name_of(args.operation, "ID")
        if not name or any(c.isspace() for c in name) or name == OPEN:
            raise UsageError(f"wants a name without spaces, and not {OPEN!r}", field="ID")
        name_of(args.name, "--name")
        area = _area(args.area) if args.area is not None else ()
    zone = _zone(args) if args.action == "watch" else None
    actor = "" if args.action == "list" else name_of(args.actor, "--actor")
    registers = Registers(args.journal, create=adds, exercise=adds and args.exercise, actor=actor)
    operations = registers.directory.operations
    if args.action == "list":
        rule = registers.directory.passersby
        if args.json:
            print_json([{"operation": o.operation, "name": o.name, "area": o.area, "closed": o.closed,
                         "requires_warrant": o.requires_warrant,
                         "keep_until": None if o.keep_until_ns is None else iso_from_ns(o.keep_until_ns),
                         "zones": msgspec.to_builtins(o.zones)} for o in operations.values()])
            if rule is not None:
                say(_rule_words(rule.hours))
        else:
            print_table(("operation", "name", "state", "keep until", "watches"),
                        [(o.operation, o.name, "closed" if o.closed else "open",
                          "" if o.keep_until_ns is None else iso_from_ns(o.keep_until_ns), ", ".join(z.name for z in o.zones))
                         for o in operations.values()])
            print(_rule_words(0 if rule is None else rule.hours))
        return 0
    old = operations.get(args.operation)
    if args.action == "erase":
        return _erase(args, registers)
    if args.action == "close":
        registers.operation(args.operation)
        assert old is not None
        registers.enter(msgspec.structs.replace(old, closed=True))
        say(f"{args.operation} is closed")
        return 0
    if args.action == "retain":
        return _passersby(args, registers) if args.operation == OPEN else _retain(args, registers)
    if args.action in ("watch", "unwatch"):
        registers.operation(args.operation)
        assert old is not None
        kept = tuple(z for z in old.zones if z.name != args.zone)
        if zone is None and kept == old.zones:
            raise UsageError(f"{args.operation} watches no {args.zone!r}", field="NAME")
        registers.enter(msgspec.structs.replace(old, zones=kept if zone is None else (*kept, zone)))
        say(f"{args.operation} watches {args.zone}" + (" no longer" if zone is None else ""))
        return 0
    if registers.created:
        say(f"made a new {registers.mode} journal at {registers.path}")
    elif args.exercise and registers.mode != "exercise":
        raise UsageError("is a live journal and refuses exercise data", field="--journal")
    if old is not None and not old.closed:
        raise UsageError(f"{args.operation!r} is open already", field="ID")
    registers.enter(Operation(operation=args.operation, name=args.name, area=area, requires_warrant=args.requires_warrant,
                              keep_until_ns=None if old is None else old.keep_until_ns,
                              keep_reason="" if old is None else old.keep_reason))
    say(f"{args.operation} is open; next: birddog device enrol, birddog device attach")
    return 0


def _rule_words(hours: int) -> str:
    if not hours:
        return "vessels under no case are kept for as long as the journal"
    return f"vessels under no case are kept for {hours} h, then erased by themselves"


def _passersby(args: argparse.Namespace, registers: Registers) -> int:
    """The rule on vessels under no case."""
    from birddog.errors import UsageError
    from birddog.journal import home
    from birddog.model import Passersby
    from birddog.passersby import HOURS_LEAST, HOURS_MOST

    if args.hours is None:
        raise UsageError("of open wants --hours: so long what is heard of vessels under no case is kept", field="ID")
    if args.hours and not HOURS_LEAST <= args.hours <= HOURS_MOST:
        raise UsageError(f"wants hours from {HOURS_LEAST} to {HOURS_MOST}, or 0", field="--hours")
    if args.hours and not home(args.journal).log.exists():
        raise UsageError("has no evidence log, and so no keys that could be destroyed", field="--journal")
    [seq] = registers.enter(Passersby(hours=args.hours, by=registers.actor, reason=name_of(args.reason, "--reason")))
    say(f"{_rule_words(args.hours)}: entry {seq}; what came in before it stays as it is")
    return 0


def _retain(args: argparse.Namespace, registers: Registers) -> int:
    import msgspec

    from birddog.errors import UsageError
    from birddog.units import NS, iso_from_ns

    if args.hours is not None:
        raise UsageError("is of open, the vessels under no case; a case has --until or --days", field="--hours")
    old = registers.directory.operations.get(args.operation)
    if old is None:
        raise UsageError(f"no operation {args.operation!r}", field="ID")
    if args.days is not None and not 1 <= args.days <= _DAYS_MOST:
        raise UsageError(f"wants days from 1 to {_DAYS_MOST}", field="--days")
    until_ns = time_ns(args.until, "--until") if args.days is None else registers.now_ns + args.days * 86_400 * NS
    reason = name_of(args.reason, "--reason")
    [seq] = registers.enter(msgspec.structs.replace(old, keep_until_ns=until_ns, keep_reason=reason))
    over = ", which is over" if until_ns <= registers.now_ns else ""
    say(f"{args.operation} may be kept until {iso_from_ns(until_ns)}{over}: entry {seq}; then: birddog operation erase")
    return 0


def _erase(args: argparse.Namespace, registers: Registers) -> int:
    from birddog.errors import UsageError
    from birddog.journal import home
    from birddog.keyring import Keyring
    from birddog.model import Erasure
    from opsroom.authority import retrieval_views
    from opsroom.picture_store import hold, remove

    name = args.operation
    known = registers.directory.operations.get(name)
    if known is not None and not known.closed:
        raise UsageError(f"operation {name!r} is open: birddog operation close {name}, then nothing of it comes in any more",
                         field="ID")
    place = home(args.journal)
    if known is None and not Keyring(place, make=False).has(name):
        raise UsageError(f"no operation {name!r}", field="ID")
    out = [row.device for row in retrieval_views(registers.directory, None, registers.now_ns) if row.operation == name]
    keys = tuple(Keyring(place, make=False).there(name))
    [seq] = registers.enter(Erasure(erased=name, by=registers.actor, note=name_of(args.note, "--note"), keys=keys))
    lock = hold(place.picture)
    if lock is not None:  # nobody follows the journal now: a picture that does makes itself anew
        remove(place.picture)
        os.close(lock)
    say(f"{name} is erased: entry {seq} says so; its keys are destroyed, `birddog journal verify` still holds")
    if out:  # the debt goes with the warrants; the tags stay where they are
        say(f"placed under its warrants, still out, and nothing will say so any more: {', '.join(out)}")
    return 0


def _zone(args: argparse.Namespace) -> Zone:
    from birddog.errors import UsageError
    from birddog.model import Zone

    name_of(args.zone, "NAME")
    if args.corridor is None and args.width is not None:
        raise UsageError("is of a corridor, not of an area or a line", field="--width")
    width_m = 400.0 if args.width is None else args.width
    if not 1.0 <= width_m <= 100_000.0:
        raise UsageError("wants metres from 1 to 100000", field="--width")
    if not 0.0 <= args.dwell <= 86_400.0:
        raise UsageError("wants seconds from 0 to 86400", field="--dwell")
    if args.area is not None:
        return Zone(name=args.zone, points=_area(args.area), dwell_s=args.dwell)
    if args.port is not None:
        return Zone(name=args.zone, points=_area(args.port), dwell_s=args.dwell, role="port")
    if args.border is not None:
        return Zone(name=args.zone, points=_area(args.border), role="border")
    if args.gate is not None:
        return Zone(name=args.zone, points=_line(args.gate), role="gate")
    return Zone(name=args.zone, points=_line(args.corridor), half_width_m=width_m / 2.0, dwell_s=args.dwell)


def _line(file: str) -> tuple[tuple[float, float], ...]:
    from birddog.errors import UsageError

    line = _line_of(file)
    if len(line) < 2:
        raise UsageError("wants a line of at least two positions in degrees (lon, lat)", file=file)
    return line


def _area(file: str) -> tuple[tuple[float, float], ...]:
    """The one ring of a file's GeoJSON polygon, by the rules of every area (``birddog.areas``)."""
    from birddog.areas import area_of
    from birddog.errors import UsageError
    from birddog.geo import wrap_lon

    geometry = _geometry(file, "Polygon", "polygon of longitude and latitude, without holes")
    try:
        area = area_of(geometry)
    except ValueError as error:
        raise UsageError(str(error), file=file) from error
    if area.geodesic:
        raise UsageError("edges: of an operation's area they are straight in longitude and latitude", file=file)
    if len(geometry["coordinates"]) != 1:
        raise UsageError("is not one GeoJSON polygon of longitude and latitude, without holes", file=file)
    return tuple((wrap_lon(float(lon)), float(lat)) for lon, lat, *_ in geometry["coordinates"][0])


def _line_of(file: str) -> tuple[tuple[float, float], ...]:
    """The positions of the one GeoJSON line of a file."""
    from birddog.errors import UsageError
    from birddog.geo import valid_position

    shape = "line of longitude and latitude"
    geometry = _geometry(file, "LineString", shape)
    try:
        positions = tuple((_degrees(lon), _degrees(lat)) for lon, lat, *_ in geometry["coordinates"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"is not one GeoJSON {shape}", file=file) from error
    if not all(valid_position(lat, lon) for lon, lat in positions):
        raise UsageError("holds a position that is none on Earth: degrees, (lon, lat)", file=file)
    return positions


def _geometry(file: str, kind: str, shape: str) -> dict[str, Any]:
    """The one geometry of a file: by itself, of a Feature, or of a FeatureCollection of one."""
    from birddog.errors import UsageError

    data = json_file(file)
    try:
        geometry = data.get("geometry", data)
        if data.get("type") == "FeatureCollection":
            [feature] = data["features"]
            geometry = feature["geometry"]
        if geometry["type"] != kind:
            raise UsageError(f"wants a {kind}, is a {str(geometry['type'])[:40]}", file=file)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"is not one GeoJSON {shape}", file=file) from error
    return geometry


def _degrees(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)
