"""``birddog decode``: what a message or a capture says, without a journal.

``--jsonl`` answers every line with one line; ``--stream`` cuts a raw capture into frames and prints one
observation or reject a line with the byte where its frame began.  Neither the device register nor a clock is asked.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader

from opsroom.commands.common import json_line, result_file, say


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--jsonl", nargs="?", const="-", metavar="FILE",
                      help='answer lines {"format", "hex"|"text", "topic", "session", "received"} of FILE or stdin, one each')
    what.add_argument("--stream", nargs=2, metavar=("NAME", "FILE"), help="a raw capture of format NAME; FILE may be -")
    what.add_argument("--list", action="store_true", help="print the names of the formats")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    parser.add_argument("--device", default="", metavar="ID", help="with --stream: the device that the capture came from")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from birddog.errors import UsageError
    from devices import codec
    from opsroom.decode import Answers, stream_rows

    if args.device and not args.stream:
        raise UsageError("goes with --stream only; with --jsonl the topic names the device", field="--device")
    if args.list:
        with result_file(args.out) as out:
            out.writelines(name + "\n" for name in codec.names())
        return 0
    with _open(args.stream[1] if args.jsonl is None else args.jsonl) as source, result_file(args.out) as out:
        if args.jsonl is not None:
            answers = Answers()
            for line in _lines(source):
                out.write(json_line(answers.answer(line)) + "\n")
                out.flush()
        else:
            unread: Counter[str] = Counter()
            for rows in stream_rows(args.stream[0], source, device=args.device, unread=unread):
                out.writelines(json_line(row) + "\n" for row in rows)
                out.flush()
            for part, count in sorted(unread.items()):
                say(f"not understood: {part} ({count})")
    return 0


def _open(name: str) -> BufferedReader:
    from birddog.errors import UsageError

    if name == "-":
        return sys.stdin.buffer  # type: ignore[return-value]
    try:
        return open(name, "rb")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=name) from error


def _lines(source: BufferedReader) -> Iterator[bytes | None]:
    """The lines of the input without their end and the file's byte-order mark; None for one longer than MAX_LINE."""
    from opsroom.decode import MAX_LINE

    mark = b"\xef\xbb\xbf"
    while line := source.readline(MAX_LINE):
        line, mark = line.removeprefix(mark), b""
        if not line:
            return  # a mark and nothing else
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        whole = len(line) < MAX_LINE
        while not line.endswith(b"\n") and (rest := source.readline(MAX_LINE)):
            whole, line = False, rest
        yield line if whole else None
