"""``birddog explain``: why a track was shown where it was shown at a time."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("track", metavar="TRACK",
                        help="its track_id (T33), as /v1/tracks, birddog track and the page's panel have it")
    parser.add_argument("--at", required=True, metavar="TIME", help="as believed then, from the entries received by then")
    journal_option(parser)
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """One JSON object: measurements used and refused, hypotheses, motions with their weights, presets, version."""
    import json

    from birddog.errors import UsageError
    from birddog.journal import entries, open_reader
    from opsroom.commands.common import result_file, time_ns
    from opsroom.explained import explained

    at_ns = time_ns(args.at, "--at")
    journal = open_reader(args.journal)
    try:
        found = explained(entries(journal), args.track, at_ns)
    finally:
        journal.close()
    if found is None:
        raise UsageError(f"{args.track!r}: no track of this id was shown at {args.at}; an id such as T33 is meant, "
                         "no name and no tag: birddog track --journal URL --every 60 lists both", field="TRACK")
    with result_file(args.out) as out:
        out.write(json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return 0
