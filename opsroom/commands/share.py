"""``birddog share cot URL``: send the present picture to a partner's server, and go on sending it."""

from __future__ import annotations

import argparse

from opsroom.commands.common import actor_option, journal_option, name_of, say


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    formats = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    cot = formats.add_parser("cot", help="Cursor on Target, as TAK servers take it", allow_abbrev=False)
    cot.add_argument("url", metavar="URL", help="tcp://HOST:PORT, or ssl://HOST:PORT with --ca (and --cert, --key)")
    journal_option(cot)
    cot.add_argument("--operation", metavar="ID", help="only this case's tracks (default: every one)")
    cot.add_argument("--once", action="store_true", help="send the present picture, one event a track, and end")
    cot.add_argument("--every", type=float, default=5.0, metavar="S",
                     help="seconds between two looks at the picture (default 5)")
    actor_option(cot)
    cot.add_argument("--reason", metavar="TEXT", default="", help="for whom and why, as the journal's entry of it shall say")
    cot.add_argument("--cert", metavar="FILE", help="our certificate, PEM")
    cot.add_argument("--key", metavar="FILE", help="its key, PEM")
    cot.add_argument("--ca", metavar="FILE", help="who signed the server's certificate, PEM")


def run(args: argparse.Namespace) -> int:
    """Send until stopped; with --once, end when the present picture is sent."""
    from birddog.errors import UsageError
    from birddog.model import Access
    from opsroom import sending
    from opsroom.accesses import person

    if not 0.5 <= args.every <= 3600.0:
        raise UsageError("wants 0.5 to 3600 seconds", field="--every")
    target = sending.target_of(args.url, cert=args.cert, key=args.key, ca=args.ca)
    if not target.tls and not target.loopback:
        say("birddog share: tcp:// beyond this machine can be read and changed by anybody on the way; ssl:// cannot")
    name_of(args.actor, "--actor")
    access = Access(action="share", by=person(args.actor), form="cot", to=target.name, operation=args.operation or "",
                    reason=name_of(args.reason, "--reason"))
    if args.once:
        count = sending.once(args.journal, target, access)
        say(f"birddog share: {count} tracks sent to {target.name}")
        return 0
    return sending.stream(args.journal, target, access, every_s=args.every, say=say)
