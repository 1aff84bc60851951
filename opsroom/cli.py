"""The ``birddog`` command: finds the sub-command's module, runs it, turns errors into one line.

Each command is ``opsroom/commands/NAME.py`` with ``configure(parser)`` and ``run(args) -> int``; it is
imported only when it is asked for, so that ``birddog --help`` answers at once.  A command's module
imports heavy things (numpy, rasterio, starlette) inside ``run``.  Exit: 0 done, 1 done and something
was found bad, 2 usage or input error.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import NoReturn

from birddog import __version__
from birddog.errors import BirddogError

#: command -> (module in opsroom.commands, one line of help).  A command that does not exist is absent.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "everything on one machine with no hardware, every device simulated"),
    "run": ("run", "take in messages, follow, show: ingest, picture, imagery and console"),
    "operation": ("operation", "open, list and close cases"),
    "device": ("device", "enrol, attach, place, list and retire devices"),
    "journal": ("journal", "count, tail and export what arrived"),
    "decode": ("decode", "what a message or a capture says, without a journal"),
    "replay": ("replay", "play a journal again, or take a capture into one"),
    "rebuild": ("rebuild", "make every derived table again from the journal and compare"),
    "track": ("track", "confirmed tracks at regular times, from a file of detections"),
    "locate": ("locate", "where tracks were at asked times, from a file of their fixes"),
    "scan": ("scan", "what stands out in a scene seen from above"),
    "drone-frame": ("drone_frame", "what a drone's picture says of itself, and the ground it shows"),
    "sim": ("sim", "the simulator: scenarios in real wire formats, load, and scores against the truth"),
}


class _Parser(argparse.ArgumentParser):
    """One line on a usage error, exit 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv and argv[0] in COMMANDS else None
    parser = _Parser(
        prog="birddog",
        description="Follow a shipment from the tag hidden in it to the arrest and on to the courtroom.",
        epilog="birddog COMMAND --help says more of one command. Try: birddog demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"birddog {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    module = None
    for command, (file, line) in COMMANDS.items():
        sub = commands.add_parser(command, help=line, description=line, allow_abbrev=False)
        if command == name:
            module = importlib.import_module("opsroom.commands." + file)
            module.configure(sub)
    args = parser.parse_args(argv)
    try:
        status = module.run(args) if module else 2
        sys.stdout.flush()
        return status
    except BirddogError as error:
        print(f"birddog {args.command}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader (head, less) has left: not an error; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def entry() -> None:
    """Console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
