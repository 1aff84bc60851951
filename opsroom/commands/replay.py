"""``birddog replay``: play a journal again in the console, or take a capture of one's own into a journal."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
from typing import TYPE_CHECKING, Any

from opsroom.commands.common import journal_option, name_of, say, time_ns

if TYPE_CHECKING:
    from opsroom.unfed import Account


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.description = (
        "Without FILE: fold the journal again at the pace at which it was written, with a console to watch it. "
        "With FILE: take captures (a serial log, an AIS log, a TCP stream) into an exercise journal."
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="captures to take into the journal")
    parser.add_argument("--format", metavar="NAME", help="what the captures are (birddog decode --list)")
    parser.add_argument("--device", metavar="ID", default="", help="the identity, where the bytes do not say")
    journal_option(parser)
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times life when a journal is played (default 1)")
    parser.add_argument("--from", dest="since", metavar="TIME", help="begin the play here; what was before is folded at once")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS",
                        help="end by itself after this time (default: when stopped)")
    parser.add_argument("--http-port", type=int, default=8080, metavar="N", help="the console's port (0: a free one)")


def run(args: argparse.Namespace) -> int:
    """Play or take in."""
    from birddog.errors import UsageError

    if not 0.0 < args.speed <= 100_000.0:
        raise UsageError("wants a number above 0, at most 100000", field="--speed")
    if not 0 <= args.http_port <= 65535:
        raise UsageError("wants a port, 0 to 65535", field="--http-port")
    if args.for_s is not None and not 0.0 < args.for_s < 1e9:
        raise UsageError("wants seconds above 0", field="--for")
    if not args.files and (args.format or args.device):
        raise UsageError("goes with FILE: a journal knows its formats and devices",
                         field="--format" if args.format else "--device")
    if args.files:
        for name in args.files:
            if os.path.isdir(name):
                raise UsageError("is a folder: name the files in it", file=name)
        if not args.format and not all(name.endswith(".jsonl") for name in args.files):
            raise UsageError("wants --format NAME with FILE", field="--format")
        return _take(args)
    import asyncio

    since_ns = time_ns(args.since, "--from") if args.since is not None else None
    return asyncio.run(_play(args, since_ns))


def _take(args: argparse.Namespace) -> int:
    from pathlib import Path

    from birddog.errors import UsageError
    from opsroom.capture import take

    for name in args.files:
        _readable(name)
    registers = [name for name in args.files if _is_registers(name)]
    args.files = [name for name in args.files if name not in registers]
    if registers and not args.files:
        raise UsageError("holds entries of the registers, no messages: birddog sim enrol SCENARIO makes them",
                         file=registers[0])
    for name in registers:
        say(f"{name}: entries of the registers, no messages: left out")
    if args.device:
        name_of(args.device, "--device")
    told: list[str] = []
    words = " ".join(shlex.quote(name) for name in args.files)
    if args.format:
        words += f" --format {args.format}"
    if args.device:
        words += f" --device {shlex.quote(args.device)}"
    empty = not any(os.path.getsize(name) for name in args.files)
    counts = take([Path(name) for name in args.files], args.journal, format_name=args.format or "", device=args.device,
                  tell=lambda account: told.extend(_of(account, words, empty)))
    left = "".join(f"; not understood: {name} ({n})" for name, n in counts.unread.items())
    # LIVE would be a lie over them
    undated = "" if not counts.undated else (
        f"; {'all ' if counts.undated >= counts.frames else ''}{counts.undated} stand at the time of their import, "
        "for nothing in their file states another")
    say(f"{counts.frames} messages, {counts.observations} observations, {sum(counts.rejects.values())} rejects{left} "
        f"are in {args.journal}{undated}; next: birddog replay --journal {shlex.quote(args.journal)} --speed 60")
    for line in told:
        say(line)
    return 0


def _of(account: Account, words: str, empty: bool) -> list[str]:
    if empty:
        return ["there is nothing in it"]
    if not account.messages:
        return ["no message was new: all of them were there before"]
    return list(account.lines(words))


def _is_registers(name: str) -> bool:
    """Whether a file is the ``enrol.jsonl`` of a scenario's folder, which ``replay FOLDER/*.jsonl`` names too: its lines would
    be refused as messages of now, and the journal's clock would stand months behind the last message."""
    if not name.endswith(".jsonl"):
        return False
    with open(name, "rb") as source:
        try:
            said = json.loads(source.readline(1 << 16))
        except (ValueError, RecursionError):
            return False
    return isinstance(said, dict) and isinstance(said.get("kind"), str) and not {"hex", "text"} & set(said)


def _readable(name: str) -> None:
    # before a journal is made for nothing
    from birddog.errors import UsageError

    try:
        name.encode()
    except UnicodeEncodeError as error:
        # it would stand in every entry
        raise UsageError("cannot be taken in: its name is not UTF-8", file=name) from error
    try:
        if not os.access(name, os.R_OK):
            os.stat(name)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=name) from error


async def _play(args: argparse.Namespace, since_ns: int | None) -> int:
    import asyncio
    import signal
    import tempfile
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.journal import open_reader
    from birddog.model import Access, Decision
    from opsroom.console.server import make_app, serve
    from opsroom.console.settings import Settings
    from opsroom.picture_store import PictureReader
    from opsroom.played import Player
    from opsroom.signals import Stop

    def act(decision: Decision | Access) -> int:
        raise UsageError("a replay takes no decisions")

    stop = Stop((signal.SIGTERM, signal.SIGINT)).event()
    journal = open_reader(args.journal)
    if args.for_s is not None:
        asyncio.get_running_loop().call_later(args.for_s, stop.set)
    with tempfile.TemporaryDirectory(prefix="birddog-replay-") as folder:
        path = Path(folder) / "replay.picture"
        player = Player(open_reader(args.journal), path, speed=args.speed, since_ns=since_ns)
        player.start()
        reader = PictureReader(path)
        settings = Settings(port=args.http_port, exercise=journal.mode == "exercise", played=True)
        app = make_app(settings, reader, journal, lambda: {"replay": player.status()}, act, now_ns=player.now_ns)
        watcher = asyncio.ensure_future(_stop_with(player, stop))
        try:
            await serve(app, settings, stop=stop,
                        started=lambda port: print(f"replay of {args.journal} at http://127.0.0.1:{port}/", flush=True))
        finally:
            watcher.cancel()
            player.stop()
            reader.close()
            journal.close()
    if player.error is not None:
        raise player.error
    return 0


async def _stop_with(player: Any, stop: Any) -> None:
    """Ask for the end when the play has failed."""
    import asyncio

    while player.error is None:
        await asyncio.sleep(0.2)
    stop.set()
