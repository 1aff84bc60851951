"""``birddog drone-frame``: what a drone's picture says of itself, and the ground that it shows."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("image", metavar="IMAGE", help="a JPEG with EXIF and XMP")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print one JSON object."""
    import msgspec

    from imagery.drone import read_frame
    from opsroom.commands.common import json_line, result_file

    said = json_line(msgspec.to_builtins(read_frame(args.image)))
    with result_file(args.out) as out:
        out.write(said + "\n")
    return 0
