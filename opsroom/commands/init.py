"""``birddog init``: a configuration that works, and what to do next."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--out", metavar="FILE", default="birddog.toml",
                        help="write here (birddog.toml), never over what is there")


def run(args: argparse.Namespace) -> int:
    """Write it."""
    import os
    import sys
    from pathlib import Path

    from birddog.errors import UsageError

    path = Path(args.out)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise UsageError("is there already, and is not written over: give --out another name", file=str(path)) from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=str(path)) from error
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    print(NEXT.format(path=path), end="", file=sys.stderr)
    return 0


TEMPLATE = """\
# Birddog's configuration. Every key, with its default: docs/configuration.md. What a case is (operations, devices, warrants) is
# not in here: that is entered in the journal.

[journal]
url = "sqlite:///birddog.db"  # relative to where birddog is started; a local disk

[endpoint]                    # the MQTT server for devices
port = 1883                   # without TLS, on this machine only
# host = "0.0.0.0"            # for devices elsewhere: TLS, and each device's identity is its certificate's name
# tls_port = 8883
# cert = "server.pem"
# key = "server.key"          # mode 0600
# ca = "devices-ca.pem"

[console]
port = 8080                   # http://127.0.0.1:8080
# host = "0.0.0.0"            # beyond this machine: TLS, and a token a person
# tls_cert = "console.pem"
# tls_key = "console.key"
# tokens = { anna = "anna.token" }  # files of mode 0600

# [[tcp]]                     # trackers that call us
# name = "trackers"
# port = 5027
# format = "teltonika"

# [[serial]]                  # a receiver on this machine
# name = "roof-ais"
# port = "/dev/serial/by-id/usb-ais-receiver"
# format = "ais"
# device = "roof"

# [alerts]                    # so many false alarms a shift are asked for, all operations together (docs/alerts.md)
# false_per_shift = 3.0
# shift_h = 8.0
# cases = 3                   # among so many cases at once it is shared

# [imagery]                   # a folder that is watched for scenes
# folder = "scenes"
"""

NEXT = """\
{path} is written. Next:
  birddog doctor --config {path}      what this machine lacks
  birddog run --config {path}         take in, follow, show; leave it running
and in another terminal:
  birddog operation add --help        open a case
  birddog device enrol --help         a device, its basis, and what it is attached to
  birddog warrant add --help          under what it may be followed
then look at http://127.0.0.1:8080. Without devices at hand: birddog demo
"""
