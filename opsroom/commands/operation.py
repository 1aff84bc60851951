"""``birddog operation add|list|close``: cases, as entries of the journal."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, json_file, json_option, name_of, print_json, print_table, say


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="open a case")
    add.add_argument("operation", metavar="ID", help="a short name without spaces, e.g. NIGHTJAR")
    add.add_argument("--name", default="", help="words for people")
    add.add_argument("--area", metavar="FILE", help="GeoJSON polygon: anonymous contacts inside it belong to the case too")
    add.add_argument("--exercise", action="store_true", help="if the journal is made now: make it an exercise journal")
    listing = actions.add_parser("list", help="all cases")
    close = actions.add_parser("close", help="close a case: its devices are not admitted any more")
    close.add_argument("operation", metavar="ID")
    for sub in (add, listing, close):
        journal_option(sub)
    json_option(listing)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    import msgspec

    from birddog.directory import OPEN
    from birddog.errors import UsageError
    from birddog.model import Operation
    from opsroom.registers import Registers

    adds = args.action == "add"
    if adds:  # all of it is looked at first: a journal is not made for a typing error
        name = name_of(args.operation, "ID")
        if not name or any(c.isspace() for c in name) or name == OPEN:
            raise UsageError(f"wants a name without spaces, and not {OPEN!r}", field="ID")
        name_of(args.name, "--name")
        area = _area(args.area) if args.area is not None else ()
    registers = Registers(args.journal, create=adds, exercise=adds and args.exercise)
    operations = registers.directory.operations
    if args.action == "list":
        if args.json:
            print_json([{"operation": o.operation, "name": o.name, "area": o.area, "closed": o.closed}
                        for o in operations.values()])
        else:
            print_table(("operation", "name", "state"),
                        [(o.operation, o.name, "closed" if o.closed else "open") for o in operations.values()])
        return 0
    old = operations.get(args.operation)
    if args.action == "close":
        registers.operation(args.operation)
        registers.enter(msgspec.structs.replace(old, closed=True))
        say(f"{args.operation} is closed")
        return 0
    if registers.created:
        say(f"made a new {registers.mode} journal at {registers.path}")
    elif args.exercise and registers.mode != "exercise":
        raise UsageError("is a live journal and refuses exercise data", field="--journal")
    if old is not None and not old.closed:
        raise UsageError(f"{args.operation!r} is open already", field="ID")
    registers.enter(Operation(operation=args.operation, name=args.name, area=area))
    say(f"{args.operation} is open; next: birddog device enrol, birddog device attach")
    return 0


def _area(file: str) -> tuple[tuple[float, float], ...]:
    from birddog.errors import UsageError
    from birddog.geo import valid_position

    data = json_file(file)
    try:
        geometry = data.get("geometry", data)
        if data.get("type") == "FeatureCollection":
            [feature] = data["features"]
            geometry = feature["geometry"]
        if geometry["type"] != "Polygon":
            raise UsageError(f"wants a Polygon, is a {str(geometry['type'])[:40]}", file=file)
        [outer] = geometry["coordinates"]
        ring = tuple((_degrees(lon), _degrees(lat)) for lon, lat, *_ in outer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError("is not one GeoJSON polygon of longitude and latitude, without holes", file=file) from error
    if len(ring) < 4 or ring[0] != ring[-1] or not all(valid_position(lat, lon) for lon, lat in ring):
        raise UsageError("wants a closed ring of at least four positions in degrees (lon, lat)", file=file)
    return ring


def _degrees(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)
