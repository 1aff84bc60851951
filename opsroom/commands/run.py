"""``birddog run``: ingest, picture, imagery and console on the sources that the TOML names."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Options; those of the plan are opsroom.app's, repeated here so that --help imports nothing heavy."""
    from opsroom.run_options import run_options

    run_options(parser)
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run until a signal."""
    from opsroom.app import plan_of

    plan = plan_of(args)
    if len(args.only) == 1:
        from opsroom import roles
        from opsroom.supervise import end_with_parent

        if args.supervised:
            end_with_parent()
        return roles.run(plan.roles[0], plan)
    return supervised(args, plan)


def supervised(args: argparse.Namespace, plan: object) -> int:
    """Each process as a child of its own."""
    from opsroom.supervise import Child, Supervisor, birddog

    words = ["run", "--supervised", *words_of(args)]
    children = [Child(role, birddog(*words, "--only", role)) for role in plan.roles]
    return Supervisor(children, again=frozenset(plan.roles)).run()


def words_of(args: argparse.Namespace) -> list[str]:
    """The options again, for a child, without --only."""
    words = ["--clock", args.clock]
    if args.exercise:
        words.append("--exercise")
    for option, value in (("--config", args.config), ("--journal", args.journal), ("--mqtt-port", args.mqtt_port),
                          ("--http-port", args.http_port)):
        if value is not None:
            words += [option, str(value)]
    return words
