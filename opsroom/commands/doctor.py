"""``birddog doctor``: checks the machine and the configuration before the night on which they are needed."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from opsroom.commands.common import json_option

    parser.add_argument("--config", metavar="FILE", help="a TOML file (docs/configuration.md); without it the defaults")
    parser.add_argument("--journal", metavar="URL", help="beats [journal] url")
    parser.add_argument("--exercise", action="store_true", help="as it would be run with --exercise")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line for each check; 1 where one fails."""
    import json

    import msgspec

    from birddog.errors import printable
    from opsroom.doctor import findings

    plan = argparse.Namespace(config=args.config, journal=args.journal, exercise=args.exercise, mqtt_port=None, http_port=None,
                              only=[], clock="wall", accept_loss=False)  # fmt: skip
    failed = 0
    for finding in findings(plan):
        failed += finding.level == "fail"
        if args.json:
            print(json.dumps(msgspec.to_builtins(finding)), flush=True)
        else:
            mend = f"; {finding.mend}" if finding.mend else ""
            print(f"{finding.level:<4}  {printable(finding.check)}: {printable(finding.found + mend)}", flush=True)
    return 1 if failed else 0
