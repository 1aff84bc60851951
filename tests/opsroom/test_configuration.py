"""The configuration page's example is read word for word; what is wrong in a file is one line."""

from __future__ import annotations

import argparse
import datetime
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
    assert (made.config.endpoint.port, made.config.console.port, made.home.base.name) == (0, 99, "b.db")


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


#: (key, value) that may well be set although few would.
FINE = {("commit_ms", "0"), ("port", "0"), ("tls_port", "0"), ("topic_alias_maximum", "0"), ("session_s", "0"), ("unit", "0"),
        ("tau_s", "0"), ("hosts", "[]"), ("tokens", "{}"), ("plain", "true"), ("log", "true"),
        ("horizons_min", "[1]")}  # fmt: skip
HOSTILE = ("true", "-1", "0", "1e300", "nan", "9" * 15, "{}", "[1]", '"x\\u0000"')


def certificate() -> bytes:
    """Some certificate, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begins = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
            .not_valid_before(begins).not_valid_after(begins + datetime.timedelta(days=9)))  # fmt: skip
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


# a unit's table goes with its bus
BLOCKS = re.split(r"\n(?=\[(?!\[modbus\.units))", example())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("]")[0].strip("["))
def test_every_key_refuses_what_it_cannot_be(tmp_path, monkeypatch, block):
    """One line that names file, line and key, for every key of the complete example and every value of another kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenes").mkdir()
    if block.startswith("[evidence]"):
        (tmp_path / "tsa-ca.pem").write_bytes(certificate())
    # the keys that the example shows as comments are looked at too
    lines = [re.sub(r"^# (?=(pfa|ledger) =)", "", line) for line in block.splitlines()]
    file, seen, wrong = tmp_path / "b.toml", 0, []

    def said(at: int, line: str) -> str:
        file.write_text("\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n")
        try:
            plan("--config", "b.toml")
        except BirddogError as error:
            return str(config.placed(error, file.read_text(), file="b.toml"))
        return ""

    assert said(0, lines[0]) == ""
    for at, line in enumerate(lines):
        key, _, rest = line.partition(" = ")
        if not re.fullmatch(r"\w+", key) or rest.strip() == "[":
            continue
        seen += 1
        for value in HOSTILE:
            answer = said(at, f"{key} = {value}")
            # a unit that cannot be is named by its table, one line above
            here = rf"b\.toml:({at + 1}{f'|{at}' if key == 'unit' else ''}): "
            if (not re.match(here, answer) or "\n" in answer) and (answer or (key, value) not in FINE):
                wrong.append(f"{key} = {value}: {answer}")
        answer = said(at, f"x{line}")
        if not answer.startswith(f"b.toml:{at + 1}: ") or f"did you mean {key}?" not in answer:
            wrong.append(f"x{key}: {answer}")
    assert seen and not wrong, "\n".join(wrong)


def test_the_example_has_a_block_of_every_section():
    assert {re.match(r"\[+(\w+)", block)[1] for block in BLOCKS} == set(Config.__struct_fields__)


@pytest.mark.parametrize("text,said", [
    ("[[tcp]]\nname='a'\nport=1\nformat='owntracks'\n", "b.toml:4: tcp 'a'.format: owntracks is no stream format"),
    ("[[tcp]]\nname='a'\nport=1\nformat='ais'\nhost='0.0.0.0'\n", "b.toml:1: tcp 'a': beyond loopback (0.0.0.0)"),
    ("[[udp]]\nname='a'\nport=1\nformat='ais'\n[[udp]]\nname='b'\nport=1\nformat='asi'\n",
     "b.toml:8: udp 'b'.format: no format 'asi'"),
    ("[[serial]]\nname='a'\nport=''\nformat='ais'\n", "b.toml:3: serial 'a'.port: wants the path of a serial port"),
    ("[[modbus]]\nname='a'\nport='/dev/x'\n[[modbus.units]]\nunit=1\ndevice='d'\nregisters=[]\n",
     "b.toml:4: modbus 'a'.units unit 1"),
    ("[[broker]]\nname='a'\nhost='h'\ntopics=[]\n", "b.toml:4: broker 'a'.topics: wants at least one topic"),
    ("[[broker]]\nname='a'\nhost='far'\ntopics=[{filter='#',format='ais'}]\n",
     "b.toml:1: broker 'a'.ca: far is beyond loopback"),
    ("\n[endpoint]\nhost='0.0.0.0'\n", "b.toml:3: endpoint.host: beyond loopback (0.0.0.0)"),
    ("[endpoint]\nplain=false\n", "b.toml:2: endpoint.plain: nothing to listen on"),
    ("[console]\nhost='0.0.0.0'\n", "b.toml:2: console.host: listening on '0.0.0.0'"),
    ("[console]\ntls_cert='x'\n", "b.toml:1: console: name both"),
    ("[console.tokens]\nann='none'\n", "b.toml:2: console.tokens.ann: none cannot be read"),
    ("[imagery]\nfolder='none'\n", "b.toml:2: imagery.folder: there is no folder none"),
    ("[journal]\nurl='postgresql://a:b@c/d'\n", "b.toml:2: journal.url: 'postgresql://…@c/d': this version has no Postgre"),
    ("[tcp]\nname='a'\n", "b.toml:1: tcp: Expected a list of tables: write [[tcp]]"),
    ("[[endpoint]]\nport=1\n", "b.toml:1: endpoint: Expected one table: write [endpoint]"),
    ("port = 1883\n", "b.toml:1: port: no such key; it belongs in [endpoint] or [[tcp]] or [[udp]] or [[serial]] or"),
    ("[endpoint]\nurl = 'x'\n", "b.toml:2: endpoint.url: no such key; it belongs in [journal]"),
    ("[tracking.classes.lorry]\nq=1\nsigma=2\n",
     "b.toml:3: tracking.classes.lorry.sigma: no such key; did you mean sigma_m?"),
    ("[[modbus]]\nname='a'\nhost='127.0.0.1'\n[[modbus.units]]\nunit=1\ndevice='d'\nregisters=[{address=70000,quantity='q'}]\n",
     "b.toml:4: modbus 'a'.units unit 1 address 70000: an address is 0 to 65535"),
    ("[[tcp]]\nname='a'\nport=1\nformat='ais'\n[[udp]]\nname='a'\nport=2\nformat='ais'\n",
     "b.toml:6: udp 'a'.name: two sources"),
])  # fmt: skip
def test_what_a_source_cannot_do_is_said_before_anything_starts(tmp_path, text, said):
    (tmp_path / "b.toml").write_text(text)
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "run", "--config", "b.toml"], capture_output=True, text=True,
                          cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"birddog run: {said}")
    assert [path.name for path in tmp_path.iterdir()] == ["b.toml"]


def test_a_flag_that_is_wrong_is_not_blamed_on_the_file(tmp_path):
    (tmp_path / "b.toml").write_text("[journal]\nurl='sqlite:///j.db'\n")
    done = subprocess.run([sys.executable, "-m", "opsroom.cli", "run", "--config", "b.toml", "--journal", "sqlite:///no/j.db"],
                          capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stderr == "birddog run: journal.url: there is no folder no\n"


def test_no_traceback_reaches_a_user(tmp_path):
    (tmp_path / "b.toml").write_text("[endpoint\n")
    for words in (["run", "--config", str(tmp_path / "b.toml")], ["run", "--config", str(tmp_path / "none.toml")],
                  ["journal", "count", "--journal", f"sqlite:///{tmp_path}/none.db"], ["rebuild", "--journal", "x"],
                  ["replay", "--journal", f"sqlite:///{tmp_path}/none.db"], ["run", "--only", "kitchen"], ["nonsense"]):
        done = subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True)
        assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1, (words, done.stderr)
