"""The options of ``birddog run``, apart from opsroom.app so that ``--help`` imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import Literal

Role = Literal["ingest", "picture", "imagery", "console"]
ROLES: tuple[Role, ...] = ("ingest", "picture", "imagery", "console")


def run_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``birddog run``."""
    parser.add_argument("--config", metavar="FILE", help="a TOML file (docs/configuration.md); without it the defaults hold")
    parser.add_argument("--exercise", action="store_true",
                        help="admit any device, on loopback only, and mark everything EXERCISE")
    parser.add_argument("--journal", metavar="URL", help="beats [journal] url")
    parser.add_argument("--mqtt-port", type=int, metavar="N", help="beats [endpoint] port; 0 takes a free one")
    parser.add_argument("--http-port", type=int, metavar="N", help="beats [console] port; 0 takes a free one")
    parser.add_argument("--only", action="append", choices=ROLES, metavar="PROCESS", default=[],
                        help="start only this one of ingest, picture, imagery, console; may be repeated")
    parser.add_argument("--accept-loss", action="store_true",
                        help="go on with a journal that lost what had been acknowledged; an entry records it")
    parser.add_argument("--clock", choices=("wall", "messages"), default="wall",
                        help="messages: time is that of the newest message (needs --exercise)")
