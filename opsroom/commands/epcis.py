"""``birddog epcis check FILE…``: whether files are valid EPCIS 2.0 in JSON."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    check = verbs.add_parser("check", help="one line a file: ok, or what is wrong and where", allow_abbrev=False)
    check.add_argument("files", metavar="FILE", nargs="+", help="EPCIS 2.0 documents or events, JSON")


def run(args: argparse.Namespace) -> int:
    """Exit 1 where a file is not valid; 2 where none of them could be read."""
    from birddog.errors import UsageError, printable
    from opsroom.commands.common import json_file, say
    from opsroom.epcis_rules import MOST, first

    bad, unread = 0, 0
    for name in args.files:
        try:
            document = json_file(name)
        except UsageError as error:
            if not error.message.startswith("is no JSON"):
                say(f"birddog epcis: {error}")
                unread += 1
                continue
            where = f"line {error.line}: " if error.line else ""
            found = [where + error.message]
        else:
            found = first(document)
        bad += bool(found)
        more = "; and perhaps more" if len(found) == MOST else ""
        print(printable(f"{name}: {'; '.join(found) + more if found else 'ok'}"))
    return 2 if unread else 1 if bad else 0
