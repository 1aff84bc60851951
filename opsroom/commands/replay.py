"""``birddog replay``: play a journal again in the console, or take a capture of one's own into a journal."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, say, time_ns


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
    parser.add_argument("--http-port", type=int, default=8080, metavar="N", help="the console's port (0: a free one)")


def run(args: argparse.Namespace) -> int:
    """Play or take in."""
    from birddog.errors import UsageError

    if not 0.0 < args.speed <= 100_000.0:
        raise UsageError("wants a number above 0", field="--speed")
    if args.files:
        if not args.format and not all(name.endswith(".jsonl") for name in args.files):
            raise UsageError("wants --format NAME with FILE", field="--format")
        return _take(args)
    import asyncio

    since_ns = time_ns(args.since, "--from") if args.since else None
    return asyncio.run(_play(args, since_ns))


def _take(args: argparse.Namespace) -> int:
    from pathlib import Path

    from opsroom.capture import take

    counts = take([Path(name) for name in args.files], args.journal, format_name=args.format or "", device=args.device)
    say(f"{counts.frames} messages, {counts.observations} observations, {sum(counts.rejects.values())} rejects "
        f"are in {args.journal}; next: birddog replay --journal {args.journal} --speed 60")
    return 0


async def _play(args: argparse.Namespace, since_ns: int | None) -> int:
    import asyncio
    import signal
    import tempfile
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.journal import open_reader
    from birddog.model import Decision
    from opsroom.console.server import make_app, serve
    from opsroom.console.settings import Settings
    from opsroom.picture_store import PictureReader
    from opsroom.played import Player

    def act(decision: Decision) -> int:
        raise UsageError("a replay takes no decisions")

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    journal = open_reader(args.journal)
    with tempfile.TemporaryDirectory(prefix="birddog-replay-") as folder:
        path = Path(folder) / "replay.picture"
        player = Player(open_reader(args.journal), path, speed=args.speed, since_ns=since_ns)
        player.start()
        reader = PictureReader(path)
        settings = Settings(port=args.http_port, exercise=journal.mode == "exercise")
        app = make_app(settings, reader, journal, lambda: {"replay": player.status()}, act, now_ns=player.now_ns)
        try:
            await serve(app, settings, stop=stop,
                        started=lambda port: print(f"replay of {args.journal} at http://127.0.0.1:{port}/", flush=True))
        finally:
            player.stop()
            reader.close()
            journal.close()
    return 0
