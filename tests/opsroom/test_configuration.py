"""The configuration page's example is read word for word; what is wrong in a file is one line."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from birddog import config
from birddog.errors import BirddogError
from opsroom.app import Config, plan_of
from opsroom.run_options import run_options

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def example() -> str:
    return re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


def test_the_example_is_a_configuration_and_names_every_section():
    whole = config.loads(example(), Config, file="example")
    for field in Config.__struct_fields__:
        assert getattr(whole, field) or field == "tracking", field
    assert whole.modbus[0].units[0].registers[2].word_order == "little"


def test_the_examples_defaults_are_the_defaults():
    whole, plain = config.loads(example(), Config, file="example"), Config()
    for section in ("journal", "endpoint", "console"):
        assert getattr(whole, section) == getattr(plain, section)


def plan(*words: str):
    parser = argparse.ArgumentParser()
    run_options(parser)
    return plan_of(parser.parse_args(words))


def test_flags_beat_the_file(tmp_path):
    file = tmp_path / "b.toml"
    file.write_text(f'[journal]\nurl = "sqlite:///{tmp_path}/a.db"\n[endpoint]\nport = 1\n[console]\nport = 2\n')
    assert (plan("--config", str(file)).config.endpoint.port, plan("--config", str(file)).config.console.port) == (1, 2)
    made = plan("--config", str(file), "--mqtt-port", "0", "--http-port", "99", "--journal", f"sqlite:///{tmp_path}/b.db")
    assert (made.config.endpoint.port, made.config.console.port, made.journal_path.name) == (0, 99, "b.db")


@pytest.mark.parametrize("text,words,said", [
    ("[endpoint]\nprot = 3\n", (), "b.toml:2: endpoint.prot: no such key; did you mean port?"),
    ("[endpoint]\nport = 99999\n", (), "b.toml:2: endpoint.port: Expected `int` <= 65535"),
    ("[console]\nhost = '0.0.0.0'\n", ("--exercise",), "an exercise listens on loopback only"),
    ("", ("--clock", "messages"), "--clock: messages needs --exercise"),
    ("[[tcp]]\nname='a'\nport=1\nformat='x'\n[[udp]]\nname='a'\nport=2\nformat='x'\n", (), "two sources are called 'a'"),
    ("[journal]\nurl='sqlite:////no/such/folder/j.db'\n", (), "there is no folder /no/such/folder"),
    ("", ("--http-port", "70000"), "--http-port: wants a port"),
])
def test_what_is_wrong_is_one_line(tmp_path, text, words, said):
    file = tmp_path / "b.toml"
    file.write_text(text)
    with pytest.raises(BirddogError) as caught:
        plan("--config", str(file), *words)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_no_traceback_reaches_a_user(tmp_path):
    (tmp_path / "b.toml").write_text("[endpoint\n")
    for words in (["run", "--config", str(tmp_path / "b.toml")], ["run", "--config", str(tmp_path / "none.toml")],
                  ["journal", "count", "--journal", f"sqlite:///{tmp_path}/none.db"], ["rebuild", "--journal", "x"],
                  ["replay", "--journal", f"sqlite:///{tmp_path}/none.db"], ["run", "--only", "kitchen"], ["nonsense"]):
        done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True)
        assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1, (words, done.stderr)
