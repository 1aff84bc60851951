"""Docs are tested like code: what exists is named, what is named exists, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import msgspec
import pytest

from devices import codec
from opsroom.cli import COMMANDS


def page(root, name: str) -> str:
    """A page's text, "" while it is not there (the test that needs it then names what is missing)."""
    path = root / "docs" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def sections_of(commands: str) -> dict[str, str]:
    """docs/commands.md: command -> its section."""
    parts = re.split(r"^## `birddog ([a-z0-9-]+)`$", commands, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_its_section(root):
    # one section ## `birddog NAME` a command, in their order
    assert list(sections_of(page(root, "commands.md"))) == list(COMMANDS)


def undocumented_options(command: str, section: str) -> list[str]:
    """What `birddog COMMAND --help` offers (options, sub-commands, their options) and its section does not name."""
    import argparse

    parser = argparse.ArgumentParser(prog=f"birddog {command}")
    importlib.import_module(f"opsroom.commands.{COMMANDS[command][0]}").configure(parser)
    usages = re.split(r"^(?=usage: )", section, flags=re.MULTILINE)
    missing = []
    for words, options in options_of(parser, f"birddog {command}"):
        # a sub-command's options stand in its own usage, not in a neighbour's
        text = next((usage for usage in usages if re.match(rf"usage: {words} \[", usage)), "")
        missing += [f"{words} {o}" for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", text)]
    return missing


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_in_its_section(root, command):
    missing = undocumented_options(command, sections_of(page(root, "commands.md")).get(command, ""))
    assert not missing, f"docs/commands.md does not name {missing}: tools/commands_page.py writes the usage blocks"


def options_of(parser, words: str) -> list[tuple[str, list[str]]]:
    """(words of the command line, its visible options and sub-commands) of a parser, deep."""
    import argparse

    own, below = [], []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                own.append(name)
                below += options_of(sub, f"{words} {name}")
        elif action.option_strings:
            own += action.option_strings
        else:
            own.append(str(action.metavar))
    return [(words, own), *below]


def test_the_usage_blocks_are_what_the_commands_print(root):
    """Word for word, defaults and help lines too; argparse writes them otherwise from Python 3.12 on."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the page shows what Python 3.11 prints")
    program = (
        "import commands_page as p, difflib, sys; from opsroom.cli import COMMANDS; text = p.PAGE.read_text(); "
        "sys.stdout.writelines(difflib.unified_diff(text.splitlines(True), p.rewritten(text, COMMANDS).splitlines(True)))"
    )
    paths = f"{root / 'tools'}:{root}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "COLUMNS": "110", "PYTHONPATH": paths})
    assert done.returncode == 0 and done.stdout == "", f"run tools/commands_page.py\n{done.stdout}{done.stderr}"


def documented_formats(formats: str) -> set[str]:
    """The names in the first column of docs/formats.md's table of formats."""
    table = re.search(r"^\| name \|.*?(?=\n\n)", formats, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", table[0], re.MULTILINE)) if table else set()


def test_every_format_is_in_its_page(root):
    assert documented_formats(page(root, "formats.md")) == set(codec.names()), "docs/formats.md: one row a format"


def structs_of(kind) -> list[type[msgspec.Struct]]:
    """The structs inside a type: itself, of a tuple, a dict or a union."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [struct for part in typing.get_args(kind) for struct in structs_of(part)]


def keys_of(struct: type[msgspec.Struct]) -> set[str]:
    """Every key of a section, those of the tables inside it too."""
    keys = set()
    for field in msgspec.structs.fields(struct):
        keys |= {field.encode_name, *(key for inner in structs_of(field.type) for key in keys_of(inner))}
    return keys


def undocumented_settings(configuration: str) -> list[str]:
    """``[section] key`` of the whole TOML that neither the example nor a table of docs/configuration.md names *there*."""
    from opsroom.app import Config

    example = re.search(r"```toml\n(.*?)```", configuration, re.DOTALL)
    blocks = re.split(r"^\[+(\w+)[^\]]*\]+.*$", example[1] if example else "", flags=re.MULTILINE)
    named: dict[str, set[str]] = {}
    for section, block in zip(blocks[1::2], blocks[2::2], strict=True):
        named.setdefault(section, set()).update(re.findall(r"(?:^#? ?|[{,] )([a-z0-9_]+) =", block, re.MULTILINE))
        named[section] |= set(re.findall(rf"^\[+{section}\.([a-z0-9_]+)", example[1], re.MULTILINE))
    tables = r"^## Every key of `\[(\w+)\]`\n(.*?)(?=^## |\Z)"
    for section, words in re.findall(tables, configuration, re.MULTILINE | re.DOTALL):
        named.setdefault(section, set()).update(re.findall(r"`([a-z0-9_]+)`", words))
    return [f"[{field.encode_name}] {key}" for field in msgspec.structs.fields(Config) for struct in structs_of(field.type)
            for key in sorted(keys_of(struct) - named.get(field.encode_name, set()))]


def test_every_setting_is_documented(root):
    missing = undocumented_settings(page(root, "configuration.md"))
    assert not missing, "docs/configuration.md does not name\n" + "\n".join(missing)


def test_no_setting_is_documented_that_is_not(root):
    """What the tables name is a key; the example is read by the program itself (tests/opsroom/test_configuration.py)."""
    from opsroom.app import Config

    words = re.findall(r"^\| (`.*?`) \|", page(root, "configuration.md"), re.MULTILINE)
    keys = {key for field in msgspec.structs.fields(Config) for struct in structs_of(field.type) for key in keys_of(struct)}
    assert words and [word for cell in words for word in re.findall(r"`([a-z0-9_]+)`", cell) if word not in keys] == []


def test_these_tests_can_fail(root):
    """A page that has lost one line is found out, also where the same word stands somewhere else on it."""
    configuration = page(root, "configuration.md")
    for line, missing in (("idle_s = 900.0\nmax_connections = 2000", ["[tcp] idle_s", "[tcp] max_connections"]),
                          ("word_order", ["[modbus] word_order"]), ("`silent_row_s`", ["[tracking] silent_row_s"]),
                          ("# pfa = ", ["[imagery] pfa"]), ("[console]", None)):  # fmt: skip
        assert line in configuration
        found = undocumented_settings(configuration.replace(line, "nothing"))
        assert found == missing or missing is None and len(found) >= 6, (line, found)
    sections = sections_of(page(root, "commands.md"))
    for command, option, words in (("sim", "--every", "birddog sim score"), ("journal", "--after", "birddog journal export")):
        assert undocumented_options(command, sections[command].replace(option, "--nothing")) == [f"{words} {option}"]
    formats = page(root, "formats.md")
    assert documented_formats(formats.replace("| `ubx` |", "| ubx |")) == set(codec.names()) - {"ubx"}


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


#: A file of ours as a docstring or a page names it.  ``NAME`` stands for whatever one adds.
NAMED = re.compile(r"(?<![\w/.:-])((?:birddog|devices|ingest|tracking|imagery|sim|opsroom|tests|tools|docs|benchmarks)/"
                   r"[\w./-]*[\w-]\.(?:py|md|toml|sql|js|csv|sh|html|css))\b")
#: Papers of the founders that lie beside the repository: nobody who joins has them.
ELSEWHERE = re.compile(r"\b(?:house|interfaces|style|BRIEF)\.md\b|/work/|\bissue-\d")


def names_nothing(text: str, there: set[str]) -> list[str]:
    """The files that a text names and that are not there."""
    missing = [name for name in NAMED.findall(text) if name not in there and "NAME" not in name
               and not name.endswith("__init__.py")]
    return missing + ELSEWHERE.findall(text)


def test_docstrings_and_pages_name_only_files_that_are_there(root, tracked):
    there = {str(path) for path in tracked}
    wrong = []
    for path in tracked:
        if path.suffix not in (".py", ".md", ".toml") or path == Path(__file__).relative_to(root):
            continue
        for number, line in enumerate((root / path).read_text("utf-8").splitlines(), 1):
            wrong += [f"{path}:{number}: {name} is not in the repository" for name in names_nothing(line, there)]
    assert not wrong, "\n".join(wrong)


def test_a_file_that_is_gone_is_found():
    there = {"docs/architecture.md"}
    assert names_nothing("see docs/architecture.md and devices/formats/NAME.py", there) == []
    assert names_nothing("docs/gone.md, (house.md, rule 5)", there) == ["docs/gone.md", "house.md"]


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list(root):
    """A page is named by its number everywhere: two alike name neither; the list is in the order of the numbers."""
    folder = root / "docs" / "decisions"
    names = sorted(path.name for path in folder.glob("[0-9]*.md"))
    numbers = [name[:4] for name in names]
    assert numbers == sorted(set(numbers)), "two decisions have one number"
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \|", (folder / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert listed == [(name[:4], name) for name in names]
    for name in names:
        title = (folder / name).read_text(encoding="utf-8").partition("\n")[0]
        assert title.startswith(f"# {name[:4]} "), f"{name} calls itself {title!r}"


def test_the_walk_of_one_ping_names_what_is_there(root):
    """docs/architecture.md: each `file.py` `name` is a function, a class or a method of that file."""
    walk = page(root, "architecture.md").partition("## One ping")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.(?:py|js))`(?: `([\w.]+)`)?(?:, `([\w.]+)`)?", walk)
    assert len(named) > 25
    for file, *names in named:
        path = next((p for p in (root / file, root / "opsroom/console/static/js" / file) if p.is_file()), None)
        assert path is not None, file
        if path.suffix == ".js":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        there = {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)} | {
            f"{c.name}.{n.name}" for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        }  # fmt: skip
        assert {name for name in names if name} <= there, file


def test_the_walk_of_one_ping_names_no_method_that_is_not(root):
    """Also where no file stands before it: each `Class.method` of the walk is one of a class of that name."""
    walk = page(root, "architecture.md").partition("## One ping")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z]\w*\.\w+)`", walk))
    there = {
        f"{part.split('(')[0].split(':')[0]}.{method}"
        for room in ("birddog", "devices", "ingest", "tracking", "opsroom") for path in (root / room).rglob("*.py")
        for part in path.read_text(encoding="utf-8").split("\nclass ")[1:]
        for method in re.findall(r"^    (?:async )?def (\w+)", part, re.M)
    }  # fmt: skip
    assert len(named) > 25 and named - there == set()
