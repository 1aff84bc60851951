"""``birddog retrieval list|done``: the devices that were placed under a warrant and are still out."""

from __future__ import annotations

import argparse
from typing import Any

from opsroom.commands.common import actor_option, journal_option, json_option, name_of, print_json, print_table, say, time_ns


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="every device that is still out: owner, last place, authority, deadline",
                                 allow_abbrev=False)
    done = actions.add_parser("done", help="a device was recovered", allow_abbrev=False)
    done.add_argument("device", metavar="DEVICE")
    done.add_argument("--warrant", metavar="ID", default="", help="under which it was placed, where several name it")
    done.add_argument("--at", metavar="TIME", help="when (default: now)")
    done.add_argument("--note", metavar="WORDS", default="", help="by whom, from where")
    journal_option(listing)
    journal_option(done)
    json_option(listing)
    actor_option(done)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from opsroom.registers import Registers

    return _list(args) if args.action == "list" else _done(Registers(args.journal, actor=name_of(args.actor, "--actor")), args)


def _list(args: argparse.Namespace) -> int:
    import msgspec

    from birddog.journal import home
    from opsroom.authority import retrieval_views
    from opsroom.picture_view import NotReady, PictureReader
    from opsroom.registers import Registers

    registers = Registers(args.journal)
    picture = PictureReader(home(args.journal).picture)
    try:
        rows = retrieval_views(registers.directory, picture, registers.now_ns)
    except NotReady:  # what is out is told without it
        rows = retrieval_views(registers.directory, None, registers.now_ns)
    finally:
        picture.close()
    if args.json:
        print_json([msgspec.to_builtins(row) for row in rows])
        return 0
    print_table(("device", "owner", "operation", "shipment", "warrant", "last place", "last fix", "authority", "deadline"), [
        (row.device, row.owner, row.operation, row.shipment, row.warrant,
         "unknown" if row.lat_deg is None else f"{row.lat_deg:.5f} {row.lon_deg:.5f}", row.last_fix,
         row.authority or "none", f"{row.deadline or ''}{' OVERDUE' if row.overdue else ''}") for row in rows])
    return 0


def _done(registers: Any, args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.model import WarrantAct

    name_of(args.note, "--note")
    held = [one for one in registers.directory.warrants.held.values()
            if (not args.warrant or one.warrant.warrant == args.warrant)
            and args.device in (one.warrant.device, *one.placed) and args.device not in one.retrieved]
    if len(held) != 1:
        raise UsageError(f"{len(held)} warrants have it out" + ("; --warrant says which" if held else ""), field="DEVICE")
    at_ns = registers.now_ns if args.at is None else registers.past(time_ns(args.at, "--at"), "--at")
    act = WarrantAct(warrant=held[0].warrant.warrant, action="retrieve", by=registers.actor, operation=held[0].operation,
                     device=args.device, at_ns=at_ns, note=args.note)
    registers.directory.warrants.check(act)
    registers.enter(act)
    say(f"{args.device} is recovered")
    return 0
