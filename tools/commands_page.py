#!/usr/bin/env python3
"""Writes the usage blocks of docs/commands.md anew from the commands themselves; words around them stay.

    .venv/bin/python tools/commands_page.py

A section is ``## `birddog NAME` ``, words, and one block of usage for the command and each of its
sub-commands, in the order of opsroom.cli.COMMANDS.  A command that has no section yet gets one.
tests/architecture/test_docs.py says when the page has fallen behind.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"


def usages(name: str, module: str, line: str) -> str:
    """The usage of a command and of its sub-commands, as --help prints it."""
    parser = argparse.ArgumentParser(prog=f"birddog {name}", description=line, allow_abbrev=False)
    importlib.import_module(f"opsroom.commands.{module}").configure(parser)
    return "\n".join(text for text in _blocks(parser))


def _blocks(parser: argparse.ArgumentParser) -> list[str]:
    blocks = [parser.format_help()]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            blocks += [block for sub in action.choices.values() for block in _blocks(sub)]
    return blocks


def rewritten(text: str, commands: dict[str, tuple[str, str]]) -> str:
    """The page with every usage block made anew, missing sections added, gone ones dropped, in the commands' order."""
    top, *parts = re.split(r"^(?=## `birddog )", text, flags=re.MULTILINE)
    sections = {re.match(r"## `birddog ([a-z0-9-]+)", part)[1]: part.rstrip() for part in parts}
    page = [top.rstrip()]
    for name, (module, line) in commands.items():
        block = f"```text\n{usages(name, module, line).rstrip()}\n```"
        section = sections.get(name)
        if section is None:
            section = f"## `birddog {name}`\n\n{line[0].upper()}{line[1:]}.\n\n{block}"
        else:
            section = re.sub(r"```text\n.*?\n```", lambda _, block=block: block, section, count=1, flags=re.DOTALL)
        page.append(section)
    return "\n\n".join(page) + "\n"


def main() -> int:
    """Rewrite the page."""
    os.environ["COLUMNS"] = "110"
    sys.path.insert(0, str(ROOT))
    from opsroom.cli import COMMANDS

    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), COMMANDS), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
