"""``birddog drone-frame``: what a drone's picture says of itself, and the ground that it shows."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("image", metavar="IMAGE", help="a JPEG with EXIF and XMP")


def run(args: argparse.Namespace) -> int:
    """Print one JSON object."""
    import msgspec

    from imagery.drone import read_frame
    from opsroom.commands.common import print_json

    print_json(msgspec.to_builtins(read_frame(args.image)))
    return 0
