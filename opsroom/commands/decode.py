"""``birddog decode``: what a message or a capture says, without a journal.

``--jsonl`` answers every line with one line; ``--stream`` cuts a raw capture into frames and prints one
observation or reject a line with the byte where its frame began.  Neither the device register nor a clock is asked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--jsonl", nargs="?", const="-", metavar="FILE",
                      help='answer lines {"format", "hex"|"text", "topic", "session", "received"} of FILE or stdin, one each')
    what.add_argument("--stream", nargs=2, metavar=("NAME", "FILE"), help="a raw capture of format NAME; FILE may be -")
    what.add_argument("--list", action="store_true", help="print the names of the formats")
    parser.add_argument("--device", default="", metavar="ID", help="with --stream: the device that the capture came from")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from birddog.errors import UsageError
    from devices import codec
    from opsroom.decode import Answers, stream_rows

    if args.device and not args.stream:
        raise UsageError("goes with --stream only; with --jsonl the topic names the device", field="--device")
    if args.list:
        for name in codec.names():
            print(name)
        return 0
    out = sys.stdout.buffer
    with _open(args.jsonl or args.stream[1]) as source:
        if args.jsonl:
            answers = Answers()
            for line in _lines(source):
                out.write(_json(answers.answer(line)))
                out.flush()
        else:
            for row in stream_rows(args.stream[0], source, device=args.device):
                out.write(_json(row))
            out.flush()
    return 0


def _open(name: str) -> BinaryIO:
    from birddog.errors import UsageError

    if name == "-":
        return sys.stdin.buffer
    try:
        return open(name, "rb")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=name) from error


def _json(row: dict[str, Any]) -> bytes:
    import json

    return json.dumps(row, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _lines(source: BinaryIO) -> Iterator[bytes | None]:
    """The lines of the input without their end; None for one that is longer than MAX_LINE."""
    from opsroom.decode import MAX_LINE

    while line := source.readline(MAX_LINE):
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        whole = len(line) < MAX_LINE
        while not line.endswith(b"\n") and (rest := source.readline(MAX_LINE)):
            whole, line = False, rest
        yield line if whole else None
