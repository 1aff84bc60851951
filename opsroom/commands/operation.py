"""``birddog operation add|list|close``: cases, as entries of the journal."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, json_option, print_json, print_table, say


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

    from birddog.errors import UsageError
    from birddog.model import Operation
    from opsroom.registers import Registers

    registers = Registers(args.journal, create=args.action == "add", exercise=getattr(args, "exercise", False))
    operations = registers.directory.operations
    if args.action == "list":
        if args.json:
            print_json([msgspec.to_builtins(row) | {"closed": row.closed} for row in operations.values()])
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
    if not args.operation or not args.operation.isprintable() or " " in args.operation or args.operation == "open":
        raise UsageError("wants a printable name without spaces, and not 'open'", field="ID")
    if old is not None and not old.closed:
        raise UsageError(f"{args.operation!r} is open already", field="ID")
    if registers.created:
        say(f"made a new {registers.mode} journal at {registers.path}")
    registers.enter(Operation(operation=args.operation, name=args.name, area=_area(args.area) if args.area else ()))
    say(f"{args.operation} is open; next: birddog device enrol, birddog device attach")
    return 0


def _area(file: str) -> tuple[tuple[float, float], ...]:
    import json

    from birddog.errors import UsageError
    from birddog.geo import valid_position

    try:
        with open(file, encoding="utf-8") as handle:
            data = json.load(handle)
        geometry = data.get("geometry", data)
        if data.get("type") == "FeatureCollection":
            geometry = data["features"][0]["geometry"]
        if geometry["type"] != "Polygon":
            raise UsageError(f"wants a Polygon, is a {geometry['type']}", file=file)
        ring = tuple((float(lon), float(lat)) for lon, lat, *_ in geometry["coordinates"][0])
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=file) from error
    except json.JSONDecodeError as error:
        raise UsageError(f"is no JSON: {error.msg}", file=file, line=error.lineno) from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UsageError("is no GeoJSON polygon of longitude and latitude", file=file) from error
    if len(ring) < 4 or ring[0] != ring[-1] or not all(valid_position(lat, lon) for lon, lat in ring):
        raise UsageError("wants a closed ring of at least four positions in degrees (lon, lat)", file=file)
    return ring
