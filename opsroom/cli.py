"""The ``birddog`` command: finds the sub-command's module, runs it, turns errors into one line.

Each command is ``opsroom/commands/NAME.py`` with ``configure(parser)`` and ``run(args) -> int``; it is
imported only when it is asked for, so that ``birddog --help`` answers at once.  A command's module
imports heavy things (numpy, rasterio, starlette) inside ``run``.  Exit: 0 done, 1 done and something
was found bad, 2 usage or input error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import sys
from typing import Any, NoReturn

from birddog import __version__
from birddog.errors import BirddogError

#: command -> (module in opsroom.commands, one line of help).  A command that does not exist is absent.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "everything on one machine with no hardware, every device simulated"),
    "init": ("init", "write a configuration that works, and say what to do next"),
    "doctor": ("doctor", "what this machine and a configuration lack, each with its mend"),
    "run": ("run", "take in messages, follow, show: ingest, picture, imagery and console"),
    "operation": ("operation", "open, list and close cases"),
    "device": ("device", "enrol, attach, place, list and retire devices"),
    "warrant": ("warrant", "enter, approve, extend, revoke and show warrants"),
    "retrieval": ("retrieval", "devices that were placed under a warrant and are still out"),
    "journal": ("journal", "count, tail and export what arrived"),
    "decode": ("decode", "what a message or a capture says, without a journal"),
    "replay": ("replay", "play a journal again, or take a capture into one"),
    "rebuild": ("rebuild", "make every derived table again from the journal and compare"),
    "track": ("track", "confirmed tracks at regular times, from a file of detections"),
    "intercept": ("intercept", "where and when a unit can meet what is followed, ranked by probability"),
    "looks": ("looks", "what to ask for next of what is followed, and what no authority allows"),
    "explain": ("explain", "why a track was shown where it was at a time: what was used, refused and believed"),
    "locate": ("locate", "where tracks were at asked times, from a file of their fixes"),
    "patterns": ("patterns", "hubs, hours of the week and hot-spot cells of a file of tracks, with exposure"),
    "events": ("events", "stops, encounters, loitering, gaps, co-travel of a file of tracks"),
    "deconflict": ("deconflict", "planned operations of different agencies that would meet"),
    "archive": ("archive", "an archive of past tracks, for forecasts and arrival times"),
    "forecast": ("forecast", "where things will be, with regions that hold half and nine tenths of what comes"),
    "eta": ("eta", "when things will be at a place"),
    "scan": ("scan", "what stands out in a scene seen from above"),
    "drone-frame": ("drone_frame", "what a drone's picture says of itself, and the ground it shows"),
    "authority": ("authority", "what the warrants of a file say of each position of another"),
    "custody": ("custody", "who has a tag, a seizure, a photo: entered, handed over and signed for"),
    "evidence": ("evidence", "sign the log, write a bundle of a case, verify one"),
    "witness": ("witness", "sign other agencies' logs, and have yours signed by them"),
    "export": ("export", "the tracks in other people's formats: GeoJSON, GPX, KML, CSV, NMEA, CoT, EPCIS, MF-JSON"),
    "share": ("share", "send the present picture to a partner, and go on sending it"),
    "oversight": ("oversight", "who did what, who was told, who was refused, and what came of each warrant"),
    "epcis": ("epcis", "whether files are valid EPCIS 2.0"),
    "validate": ("validate", "what a device model's values are worth, against a reference, as a signed record"),
    "sim": ("sim", "the simulator: scenarios in real wire formats, load, and scores against the truth"),
}


#: What a supervised process ends with when the machine or the program failed.
FAULT = 70


class _Parser(argparse.ArgumentParser):
    """One line on a usage error, exit 2; a negative number with an exponent is a value and no option."""

    def __init__(self, *args: Any, **words: Any):
        super().__init__(*args, **words)
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z|-(inf|nan)\Z")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None, *, supervised: bool = False) -> int:
    """Run one command line; returns the exit status.

    Args:
        supervised: a child of ``opsroom.supervise``: what is nobody's usage error (the machine's, ours) ends with
            FAULT instead of 2, so that the parent starts it again.
    """
    try:
        return _main(sys.argv[1:] if argv is None else argv, supervised)
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _to_null(2)  # whoever read our words has left: that is no reason for another exit status


def _main(argv: list[str], supervised: bool) -> int:
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
    args.supervised = supervised
    try:
        status = module.run(args) if module else 2
        sys.stdout.flush()
        return status
    except BirddogError as error:
        return _said(args.command, str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        refusal = _stdout_refusal()
        if isinstance(error, BrokenPipeError) and refusal is not None:
            return 0  # the reader (head, less) has had enough
        where = f"{error.filename}: " if error.filename else "" if refusal is None else "standard output: "
        return _said(args.command, f"{where}{error.strerror or error}", FAULT if supervised else 2)
    except Exception as error:  # boundary: a fault of ours is one line too; the variable shows all of it
        if os.environ.get("BIRDDOG_TRACEBACK"):
            raise
        what = " ".join(str(error).split())[:300]
        return _said(args.command, f"a fault of Birddog itself, please report it: {type(error).__name__}: {what} "
                     f"({_place(error)}; BIRDDOG_TRACEBACK=1 shows more)", FAULT if supervised else 2)


def _said(command: str, words: str, status: int) -> int:
    # one line, whatever a file's name holds; a closed or full stderr changes nothing
    with contextlib.suppress(OSError):
        said = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
        print(f"{f'birddog {command}'.rstrip()}: {said}", file=sys.stderr, flush=True)
    return status


def _stdout_refusal() -> OSError | None:
    """Why stdout takes nothing more; what waits for it is let go then, so that nobody complains of it at exit."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    refusal: OSError | None = None
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        refusal = BrokenPipeError("the reader has left")
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"")
    except OSError as error:
        refusal = error
    if refusal is not None:
        _to_null(sys.stdout.fileno())
    return refusal


def _to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def _place(error: Exception) -> str:
    """File and line of our code in which an unexpected error came up."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "?"))
        if module.split(".")[0] in ("birddog", "devices", "ingest", "tracking", "imagery", "sim", "opsroom"):
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _standard_files() -> None:
    """Make sure that 0, 1 and 2 are open, so that no file of ours (the journal!) gets such a number.

    A missing stdout becomes one that refuses: results that go nowhere are an error, as for any other tool.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # what we print is UTF-8 whatever LANG says


def entry() -> None:
    """Console script."""
    _standard_files()
    try:
        status = main()
    except KeyboardInterrupt:  # before the command had begun
        status = 130
    except SystemExit as ended:  # --help, --version and usage errors
        status = ended.code if isinstance(ended.code, int) else 2
        refusal = _stdout_refusal()
        if status == 0 and refusal is not None and not isinstance(refusal, BrokenPipeError):
            status = _said("", "standard output: cannot be written", 2)
    sys.exit(status)


if __name__ == "__main__":
    entry()
