"""Docs are tested like code: what exists is named, what is named exists, links lead somewhere."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from devices import codec
from opsroom.cli import COMMANDS


def page(root, name: str) -> str:
    """A page's text, "" while it is not there (the test that needs it then names what is missing)."""
    path = root / "docs" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_every_command_has_its_section(root):
    sections = re.findall(r"^## `birddog ([a-z0-9-]+)", page(root, "commands.md"), re.MULTILINE)
    assert sorted(set(COMMANDS)) == sorted(sections), "docs/commands.md: one section `## `birddog NAME …`` a command"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_in_its_section(root, command):
    """What `birddog COMMAND --help` offers stands in the command's section."""
    import argparse

    parser = argparse.ArgumentParser(prog=f"birddog {command}")
    importlib.import_module(f"opsroom.commands.{COMMANDS[command][0]}").configure(parser)
    found = re.search(rf"^## `birddog {command}\b.*?(?=^## |\Z)", page(root, "commands.md"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section of birddog {command}"
    missing = [word for word in options_of(parser) if word not in found[0]]
    assert not missing, f"docs/commands.md, birddog {command}: {missing} not named"


def options_of(parser) -> list[str]:
    """Every visible option and sub-command of a parser, deep."""
    import argparse

    words = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                words += [name, *options_of(sub)]
        elif action.option_strings:
            words.append(action.option_strings[-1])
    return words


def test_every_format_is_in_its_page(root):
    named = set(re.findall(r"`([a-z0-9-]+)`", page(root, "formats.md")))
    assert sorted(set(codec.names()) - named) == [], "docs/formats.md does not name them"


def settings_of(packages) -> dict[str, list[str]]:
    """module.Class -> fields, of every Settings struct of the rooms (and of the whole TOML)."""
    found = {}
    for package in packages:
        top = importlib.import_module(package)
        for info in pkgutil.walk_packages(top.__path__, package + "."):
            if ".commands." in info.name or ".formats." in info.name:
                continue
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                own = isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == info.name
                if own and (name.endswith("Settings") or (info.name, name) == ("tracking.presets", "Presets")):
                    found[f"{info.name}.{name}"] = [field.encode_name for field in msgspec.structs.fields(value)]
    return found


def test_every_setting_is_documented(root, packages):
    text = page(root, "configuration.md")
    keys = set(re.findall(r"`([a-z0-9_]+)`", text)) | set(re.findall(r"^#?\s*([a-z0-9_]+)\s*=", text, re.MULTILINE))
    missing = [f"{where}: {key}" for where, fields in settings_of(packages).items() for key in fields if key not in keys]
    assert not missing, "docs/configuration.md does not name\n" + "\n".join(missing)


def test_make_targets_in_words_exist(root, tracked):
    """`make NAME` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for path in tracked:
        if path.suffix == ".md":
            for name in re.findall(r"`make ([a-z]+)", (root / path).read_text(encoding="utf-8")):
                if name not in targets:
                    wrong.append(f"{path}: make {name}")
    assert not wrong


def test_commands_in_words_exist(root, tracked):
    """``birddog NAME`` in code of a page is a command (CHANGELOG may speak of gone ones)."""
    wrong = []
    for path in tracked:
        if path.suffix != ".md" or path.name == "CHANGELOG.md":
            continue
        for name in re.findall(r"(?:`|^\$ |^)birddog ([a-z][a-z-]*)", (root / path).read_text(encoding="utf-8"), re.MULTILINE):
            if name not in COMMANDS:
                wrong.append(f"{path}: birddog {name}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_links_lead_somewhere(root, tracked):
    """Every relative link and picture of a page exists and is tracked."""
    files = {str(path) for path in tracked} | {str(parent) for path in tracked for parent in path.parents}
    wrong = []
    for path in tracked:
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", (root / path).read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:|#", target):
                continue
            here = (root / path.parent / target.split("#")[0]).resolve()
            if not here.is_relative_to(root) or str(here.relative_to(root)) not in files:
                wrong.append(f"{path}: {target}")
    assert not wrong, "\n".join(wrong)


def test_every_page_can_be_reached_from_the_index(root, tracked):
    pages = {path for path in tracked if path.parts[0] == "docs" and path.suffix == ".md"}
    todo, reached = [Path("docs/index.md")], set()
    while todo:
        here = todo.pop()
        if here in reached or here not in pages:
            continue
        reached.add(here)
        for target in re.findall(r"\]\(([^)\s#]+)", (root / here).read_text(encoding="utf-8")):
            found = (root / here.parent / target).resolve()
            if found.is_relative_to(root):
                todo.append(found.relative_to(root))
    assert sorted(str(path) for path in pages - reached) == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_every_command(command):
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", command, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: birddog {command}"), done.stderr
    assert done.stderr == ""
