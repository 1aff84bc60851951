"""``birddog run``: ingest, picture, imagery and console on the sources that the TOML names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsroom.app import Plan


def configure(parser: argparse.ArgumentParser) -> None:
    """Options; those of the plan are opsroom.app's, repeated here so that --help imports nothing heavy."""
    from opsroom.run_options import run_options

    run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run until a signal."""
    from pathlib import Path

    from birddog import config
    from birddog.errors import UsageError

    try:
        return _run(args)
    except UsageError as error:
        # the owners of the sections know the key that is wrong; here is known where it stands, unless a flag has beaten it
        flags = {"journal.url": args.journal, "endpoint.port": args.mqtt_port, "console.port": args.http_port}
        if args.config is None or flags.get(error.field or "") is not None:
            raise
        raise config.placed(error, config.read(Path(args.config)), file=args.config) from error


def _run(args: argparse.Namespace) -> int:
    import os

    from birddog.errors import UsageError
    from opsroom.app import plan_of

    plan = plan_of(args)
    folder = plan.home.folder
    if plan.roles != ("console",) and not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written in {folder}", field="journal.url")
    if not args.supervised:
        _checked(plan, accept_loss=args.accept_loss)
    if len(args.only) == 1:
        from opsroom import roles

        return roles.run(plan.roles[0], plan)
    from opsroom.supervise import Child, Supervisor

    words = words_of(args)
    return Supervisor([Child(role, [*words, "--only", role]) for role in plan.roles]).run()


def _checked(plan: Plan, *, accept_loss: bool) -> None:
    """What would stop the run is said once and now, not by every process after its start."""
    from birddog.errors import UsageError
    from birddog.journal import exists, open_reader
    from opsroom import agreement

    if exists(plan.config.journal.url):
        reader = open_reader(plan.config.journal.url)
        mode, want = reader.mode, "exercise" if plan.exercise else "live"
        reader.close()
        if mode != want:
            raise UsageError(f"{plan.home.base} is for {mode} data and refuses {want} data: give another --journal"
                             + ("" if plan.exercise else ", or --exercise"), field="journal.url")
    agreement.check(plan, accept_loss=accept_loss)


def words_of(args: argparse.Namespace) -> list[str]:
    """The command line again, for a child, without --only, and without --accept-loss: what was accepted was that loss."""
    words = ["run", "--clock", args.clock]
    if args.exercise:
        words.append("--exercise")
    for option, value in (("--config", args.config), ("--journal", args.journal), ("--mqtt-port", args.mqtt_port),
                          ("--http-port", args.http_port)):
        if value is not None:
            words += [option, str(value)]
    return words
