"""``birddog demo``: everything on one machine with no hardware."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--port", type=int, default=8080, metavar="HTTP", help="the console's port (default 8080)")
    parser.add_argument("--journal", metavar="URL", help="default: in a new folder, which is kept")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times life (default 1)")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="end by itself after this time")


def run(args: argparse.Namespace) -> int:
    """Run until interrupted."""
    from birddog.errors import UsageError
    from birddog.journal import url_of
    from opsroom import demo
    from opsroom.commands.common import say

    if not 0.0 < args.speed <= 1000.0:
        raise UsageError("wants a number above 0, at most 1000", field="--speed")
    if args.for_s is not None and not 0.0 < args.for_s < 1e9:
        raise UsageError("wants seconds above 0", field="--for")
    if not 0 < args.port < 65536:
        raise UsageError("wants a port, 1 to 65535", field="--port")
    demo.admit(args.journal, args.port)
    folder = demo.new_folder().resolve()
    url = args.journal or url_of(f"{folder}/journal.db")
    made = demo.prepare(folder, url, args.port)
    print(f"console   http://127.0.0.1:{args.port}/")
    for transport, port in made.ports.items():
        print(f"{transport:<9} 127.0.0.1:{port}")
    print(f"journal   {url}")
    print(f"folder    {folder}  (configuration, scenes and truth; kept)", flush=True)
    status = demo.run(made, speed=args.speed, for_s=args.for_s)
    if status == 0:
        say("")
        say("The exercise has ended; what it wrote is kept. Go on with:")
        for command, words in demo.next_steps(made):
            say(f"  {command}")
            say(f"      {words}")
    return status
