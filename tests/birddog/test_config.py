"""A wrong configuration is one line with file, line, key and what was expected."""

from __future__ import annotations

import os

import msgspec
import pytest

from birddog import config
from birddog.errors import ConfigError


class Port(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    port: int = 1
    inner: tuple[int, ...] = ()


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    one: Port = Port(name="x")
    tcp: tuple[Port, ...] = ()
    maybe: Port | None = None


def test_good():
    whole = config.loads('[one]\nname = "a"\n[[tcp]]\nname = "b"\nport = 7\n[[tcp]]\nname = "c"\n', Whole, file="f")
    assert whole.one.name == "a" and [row.port for row in whole.tcp] == [7, 1] and whole.maybe is None


@pytest.mark.parametrize("text,said", [
    ('[one]\nnam = "a"', "f.toml:2: one.nam: no such key; did you mean name?"),
    ('[oen]\nname = "a"', "f.toml:1: oen: no such key; did you mean one?"),
    ('[[tcp]]\nname = "a"\n\n[[tcp]]\nname = "b"\nprot = 3', "f.toml:6: tcp[2].prot: no such key; did you mean port?"),
    ('[one]\nname = "a"\nport = "x"', "f.toml:3: one.port: Expected `int`, got `str`"),
    ('[[tcp]]\nport = 5', "f.toml:1: tcp[1]: Object missing required field `name`"),
    ('[maybe]\nnames = 1', "f.toml:2: maybe.names: no such key; did you mean name?"),
    ('[one]\nname = "a"\ninner = [1, "b"]', "f.toml:3: one.inner[2]: Expected `int`, got `str`"),
    ('[one]\nname "a"', "f.toml:2: Expected '=' after a key in a key/value pair"),
])
def test_bad(text, said):
    with pytest.raises(ConfigError) as caught:
        config.loads(text, Whole, file="f.toml")
    assert str(caught.value) == said


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "no.toml", Whole)
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(tmp_path / "bad.toml", Whole)


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush\n")
    os.chmod(path, 0o640)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        config.read_secret(path, setting="broker.password_file")
    assert "hush" not in str(caught.value)
    os.chmod(path, 0o600)
    assert config.read_secret(path, setting="x") == "hush"
