"""``birddog init`` and ``birddog doctor``: a stranger's first minute, and each fault that is found before the night."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from birddog.journal import home, open_writer
from opsroom import cli, doctor
from tracking import kernel


@pytest.fixture
def there(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def settings(folder: Path, text: str = "") -> str:
    file = folder / "b.toml"
    if "[endpoint]" not in text:
        text += f"\n[endpoint]\nport = {free_port()}\n"
    if "[console]" not in text:
        text += f"\n[console]\nport = {free_port()}\n"
    file.write_text(text)
    return str(file)


def asked(capsys, *words: str) -> tuple[int, dict[str, dict]]:
    """(exit, finding by check) of ``doctor --json``."""
    code = cli.main(["doctor", "--json", *words])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {line["check"]: line for line in lines}


def test_what_init_writes_is_what_doctor_and_run_take(there, capsys):
    assert cli.main(["init"]) == 0
    said = capsys.readouterr().err
    for word in ("birddog doctor", "birddog run", "birddog operation add", "birddog device enrol", "birddog warrant add"):
        assert word in said
    code, found = asked(capsys, "--config", "birddog.toml")
    others = {"endpoint.port", "console.port", "room"}  # what else runs on this machine is not init's
    assert {check for check, line in found.items() if line["level"] == "fail"} <= others and code in (0, 1)
    assert found["configuration"]["level"] == "ok" and "not there yet" in found["journal"]["found"]
    assert not list(there.glob("birddog.db*"))  # it looked, and left nothing
    # and every line that is commented out is a key that exists
    text = (there / "birddog.toml").read_text()
    (there / "all.toml").write_text("\n".join(_uncommented(text)))
    from birddog import config
    from opsroom.app import Config

    config.load(there / "all.toml", Config)


def _uncommented(text: str) -> list[str]:
    return [line[2:] if line.startswith(("# [", "# ")) and ("=" in line or line.startswith("# [")) else line
            for line in text.splitlines()]  # fmt: skip


def test_init_never_writes_over_a_file(there, capsys):
    (there / "birddog.toml").write_text("mine")
    assert cli.main(["init"]) == 2
    assert "birddog.toml" in capsys.readouterr().err and (there / "birddog.toml").read_text() == "mine"
    assert cli.main(["init", "--out", "no/such/folder.toml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_wrong_line_of_the_configuration_is_named(there, capsys):
    file = settings(there, "[journal]\nurl = 'sqlite:///b.db'\ncommit_row = 5\n")
    code, found = asked(capsys, "--config", file)
    assert code == 1 and "b.toml:3" in found["configuration"]["found"] and "commit_rows" in found["configuration"]["found"]
    assert cli.main(["doctor", "--config", "nowhere.toml"]) == 2
    capsys.readouterr()


def test_a_port_that_is_taken_is_named_with_the_mend(there, capsys):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        code, found = asked(capsys, "--config", settings(there, f"[console]\nport = {port}\n"))
    assert code == 1 and found["console.port"]["level"] == "fail" and "another program" in found["console.port"]["found"]
    assert found["endpoint.port"]["level"] == "ok"


def test_a_secret_that_others_may_read_fails(there, capsys):
    (there / "anna.token").write_text("s" * 40)
    os.chmod(there / "anna.token", 0o600)
    file = settings(there, f"[console]\nport = {free_port()}\ntokens = {{ anna = 'anna.token' }}\n")
    assert asked(capsys, "--config", file)[1]["secrets"]["level"] == "ok"
    writer = open_writer("sqlite:///birddog.db", mode="live")
    writer.close()
    home("sqlite:///birddog.db").keys.write_bytes(b"x")
    os.chmod(home("sqlite:///birddog.db").keys, 0o644)
    code, found = asked(capsys, "--config", file)
    assert code == 1 and "chmod 600" in found["secrets"]["mend"] and "birddog.db.keys" in found["secrets"]["found"]


def test_a_journal_of_the_other_mode_and_one_that_is_none(there, capsys):
    open_writer("sqlite:///birddog.db", mode="exercise").close()
    file = settings(there)
    code, found = asked(capsys, "--config", file)
    assert code == 1 and "exercise" in found["journal"]["found"]
    assert asked(capsys, "--config", file, "--exercise")[1]["journal"]["level"] == "ok"
    (there / "other.db").write_bytes(b"no database at all" * 100)
    code, found = asked(capsys, "--config", file, "--journal", "sqlite:///other.db")
    assert code == 1 and found["journal"]["level"] == "fail"


def test_a_disk_without_room_and_one_on_another_machine(there, capsys, monkeypatch):
    file = settings(there)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1 << 20})())
    code, found = asked(capsys, "--config", file)
    assert code == 1 and found["room"]["level"] == "fail"
    monkeypatch.setattr(doctor, "_file_system", lambda folder: "nfs4")
    assert asked(capsys, "--config", file)[1]["disk"]["level"] == "fail"


def test_a_certificate_that_ends_soon_or_is_none(there, capsys):
    (there / "c.pem").write_text("nothing")
    (there / "k.pem").write_text("nothing")
    os.chmod(there / "k.pem", 0o600)
    file = settings(there, f"[endpoint]\nport = {free_port()}\ncert = 'c.pem'\nkey = 'k.pem'\nca = 'c.pem'\n")
    code, found = asked(capsys, "--config", file)
    assert code == 1 and "c.pem" in json.dumps(found)


def test_a_person_reads_a_line_a_check(there, capsys):
    code = cli.main(["doctor", "--config", settings(there)])
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:6] in ("ok    ", "warn  ", "fail  ") and ": " in line for line in lines) and len(lines) > 8
    assert code == (1 if any(line.startswith("fail") for line in lines) else 0)


def test_what_is_compiled_is_not_said_to_lack(monkeypatch):
    pytest.importorskip("numba")
    assert doctor._compiled().level == "ok"
    plain = kernel.Compiled(*[getattr(kernel, name) for name in kernel.Compiled._fields])
    monkeypatch.setattr(kernel, "compiled", lambda: plain)
    assert "the tracker's step cannot be compiled" in doctor._compiled().found
