"""A wrong configuration is one line with file, line, key and what was expected."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import msgspec
import pytest

from birddog import config
from birddog.errors import ConfigError, UsageError


class Port(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    port: int = 1
    inner: tuple[int, ...] = ()


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    one: Port = Port(name="x")
    tcp: tuple[Port, ...] = ()
    maybe: Port | None = None
    ports: dict[str, Port] = {}
    words: dict[str, str] = {}
    engine: Literal["birddog", "filterpy"] = "birddog"
    stops: Literal[1, 2] | None = None
    share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.5


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
    ('[one]\nname "a"', "f.toml:2: Expected '=' after a key in a key/value pair, column 6"),
    ('[one]\nname = "a', "f.toml:2: Unterminated string, at the end"),
    ('[one]\nname = ', "f.toml:2: Invalid value, at the end"),
    ('[one]\nname = "a"\n[one]\n', "f.toml:3: Cannot declare ('one',) twice, column 5"),
    ('[one]\nname = "a"\nname = "b"', "f.toml:3: Cannot overwrite a value"),
    ("one = 5", "f.toml:1: one: Expected `object`, got `int`"),
    ('[[one]]\nname = "a"', "f.toml:1: one: Expected one table: write [one]"),
    ('\n[tcp]\nname = "a"', "f.toml:2: tcp: Expected a list of tables: write [[tcp]]"),
    ('tcp = ["a"]', "f.toml:1: tcp[1]: Expected `object`, got `str`"),
    ('[ports.a]\nname = "a"\n[ports.b]\nname = "b"\nprot = 1', "f.toml:5: ports.b.prot: no such key; did you mean port?"),
    ('[ports.a]\nname = "a"\n[ports.b]\nname = "b"\nport = 1.5', "f.toml:5: ports.b.port: Expected `int`, got `float`"),
    ('[words]\na = "x"\nb = true', "f.toml:3: words.b: Expected `str`, got `bool`"),
    ("\nengine = 'kalman'", "f.toml:2: engine: Expected 'birddog' or 'filterpy', got 'kalman'"),
    ("engine = 3", "f.toml:1: engine: Expected 'birddog' or 'filterpy', got 3"),
    ("engine = '" + "x" * 100 + "'", "f.toml:1: engine: Expected 'birddog' or 'filterpy', got '" + "x" * 40 + "…'"),
    ("stops = 3", "f.toml:1: stops: Expected 1 or 2, got 3"), ("stops = '1'", "f.toml:1: stops: Expected 1 or 2, got '1'"),
    ("share = 1", "f.toml:1: share: Expected `float` < 1.0"),
    ("share = 2024-01-01", "f.toml:1: share: Expected `float`, got `date`"),
    ("share = nan", "f.toml:1: share: Expected a finite number"),
    ("\nshare = -inf", "f.toml:2: share: Expected a finite number"),
    ('[one]\nname = "a"\ninner = [1, nan]', "f.toml:3: one.inner[2]: Expected a finite number"),
    ("share = " + "[" * 100_000, "f.toml: nested too deeply"),
    ("[one]\nname = 'a'\nport = " + "1" * 5000, "f.toml: holds a number that is too long"),
    ("[one]\nname = 'a'\nport = " + "1" * 50, "f.toml:3: one.port: Expected a finite number of 64 bits"),
])
def test_bad(text, said):
    with pytest.raises(ConfigError) as caught:
        config.loads(text, Whole, file="f.toml")
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_a_byte_order_mark_and_carriage_returns(tmp_path):
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf[one]\r\nname = 'a'\r\nport = 7\r\n")
    assert config.load(tmp_path / "f.toml", Whole).one.port == 7
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf[one]\r\nname = 'a'\r\nport = ''\r\n")
    with pytest.raises(ConfigError, match=r"f\.toml:3: one\.port: Expected `int`"):
        config.load(tmp_path / "f.toml", Whole)


UNITS = """[endpoint]
port = 1
[[tcp]]
name = "a"
[[tcp]]
name = "b"
format = "x"
[[modbus]]
name = "yard"
[[modbus.units]]
unit = 1
[[modbus.units]]
unit = 3
poll_s = 0
"""


@pytest.mark.parametrize("field,line", [
    ("endpoint.port", 2), ("endpoint.host", 1), ("tcp 'b'.format", 7), ("tcp 'b'", 5), ("tcp 'b'.port", 5),
    ("modbus 'yard'.port", 8),
    ("modbus 'yard'.units unit 3.poll_s", 14), ("modbus 'yard'.units unit 3", 12), ("modbus 'yard'.units unit 1 address 5", 10),
    ("tcp 'c'.port", None), ("--speed", None), (None, None), ("console.host", None),
])
def test_what_an_owner_finds_wrong_gets_its_line(field, line):
    found = config.placed(UsageError("is wrong", field=field), UNITS, file="f.toml")
    assert found.line == line and str(found).endswith("is wrong")
    assert str(found).startswith(f"f.toml:{line}: {field}: " if line else "is wrong" if field is None else field)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "no.toml", Whole)
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="bad.toml:1: is not UTF-8"):
        config.load(tmp_path / "bad.toml", Whole)
    with pytest.raises(ConfigError, match="Is a directory"):
        config.load(tmp_path, Whole)


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush\n")
    os.chmod(path, 0o640)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        config.read_secret(path, setting="broker.password_file")
    assert "hush" not in str(caught.value)
    os.chmod(path, 0o600)
    assert config.read_secret(path, setting="x") == "hush"
