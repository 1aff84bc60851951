"""The command line's edges: what the machine refuses, a reader that leaves, a fault of ours: one line, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from birddog.journal import open_writer
from birddog.model import Draft, Tick, pack
from opsroom import cli

# a person's shell has no such variable; with it Python keeps nothing back, and half of what is tested here cannot happen
ENV = {key: value for key, value in os.environ.items() if key not in ("PYTHONUNBUFFERED", "BIRDDOG_TRACEBACK")}
COMMAND = [sys.executable, "-m", "opsroom.cli"]


def birddog(*words: str, status: int = 2, lines: int = 1, before: list[str] | None = None, **how) -> str:
    """What it said on stderr."""
    how = {"stdout": subprocess.PIPE} | how
    done = subprocess.run([*(before or []), *COMMAND, *words], stderr=subprocess.PIPE, text=True, env=ENV, timeout=60, **how)
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == lines and "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.fixture
def url(tmp_path) -> str:
    made = f"sqlite:///{tmp_path}/j.db"
    writer = open_writer(made, mode="exercise")
    writer.append([Draft(kind="tick", received_ns=k, source="desk", ident=b"%d" % k, body=pack(Tick())) for k in range(3000)])
    writer.close()
    return made


@pytest.mark.parametrize("target,why", [("no/file", "No such file"), (".", "Is a directory"), ("/dev/full", "No space left")])
def test_a_result_file_that_cannot_be_written(url, tmp_path, target, why):
    said = birddog("journal", "export", "--journal", url, "--out", target, cwd=tmp_path)
    assert said.startswith(f"birddog journal: {target}: ") and why in said


def test_a_result_file_of_any_name(url, tmp_path):
    birddog("journal", "export", "--journal", url, "--out", "pläce x.jsonl", status=0, cwd=tmp_path)
    assert (tmp_path / "pläce x.jsonl").read_bytes().count(b"\n") == 3000


@pytest.mark.parametrize("words", [("count",), ("export",), ("tail",)])
def test_a_full_or_closed_stdout(url, words):
    with open("/dev/full", "w") as full:
        assert "No space left" in birddog("journal", *words, "--journal", url, stdout=full)
    shell = f'"{sys.executable}" -m opsroom.cli journal {words[0]} --journal "{url}" >&-'
    done = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, text=True, env=ENV, timeout=60)
    assert (done.returncode, done.stderr) == (2, "birddog journal: standard output: Bad file descriptor\n")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_into_a_full_disk(word):
    with open("/dev/full", "w") as full:
        assert birddog(word, stdout=full) == "birddog: standard output: cannot be written\n"


@pytest.mark.parametrize("words", [
    ("--help",), ("--version",), ("journal", "export", "--help"), ("decode", "--list"), ("sim", "list"), ("device", "list"),
    ("operation", "list"), ("journal", "count"), ("journal", "tail"), ("warrant", "list"), ("export", "--format", "csv"),
], ids=" ".join)  # fmt: skip
def test_what_goes_into_a_pipe_that_nobody_reads_is_no_error(url, words):
    """`birddog … | head` ends with the pipe closed, before the first row or after it."""
    about = ("--journal", url) if words[0] in ("device", "operation", "journal", "warrant", "export") else ()
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *words, *about], stdout=write, stderr=subprocess.PIPE, env=ENV, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_stderr_changes_nothing(url):
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -m opsroom.cli journal count --journal sqlite:///none.db 2>&-'],
                          stdout=subprocess.PIPE, env=ENV, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")


def test_words_that_nobody_reads_end_nothing(url, tmp_path):
    """A run does not end because its log's reader did."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "journal", "export", "--out", "o.jsonl", "--journal", url], stderr=write,
                          env=ENV, cwd=tmp_path, timeout=60)
    os.close(write)
    assert done.returncode == 0 and (tmp_path / "o.jsonl").read_bytes().count(b"\n") == 3000


@pytest.mark.parametrize("words", [("export",), ("tail", "-n", "3000"), ("tail", "-n", "3000", "--json")])
def test_a_reader_that_leaves_is_no_error(url, words):
    process = subprocess.Popen([*COMMAND, "journal", *words, "--journal", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=ENV)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_follow_shows_what_is_there_at_once_and_ends_with_its_reader(url):
    process = subprocess.Popen([*COMMAND, "journal", "tail", "-n", "2", "--follow", "--journal", url], stdout=subprocess.PIPE,
                               env=ENV)
    assert process.stdout.readline().split()[0] == b"2999"
    process.stdout.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("count", ["-1", "1000001", "99999999999999999999999"])
def test_tail_of_no_sensible_number(url, count):
    assert birddog("journal", "tail", "-n", count, "--journal", url) == (
        "birddog journal: -n: wants a number of entries, 0 to 1000000\n"
    )


def test_a_journal_that_may_not_be_read(url, tmp_path, bounded):
    (tmp_path / "j.db").chmod(0o000)
    assert "j.db" in birddog("journal", "count", "--journal", url, before=bounded)


def test_a_lock_that_may_not_be_opened(url, tmp_path, bounded):
    (tmp_path / "j.db.lock").chmod(0o000)
    said = birddog("operation", "add", "NIGHTJAR", "--journal", url, before=bounded)
    assert said == f"birddog operation: {tmp_path}/j.db.lock: Permission denied\n"


def test_a_folder_that_may_not_be_written(url, tmp_path, bounded):
    subprocess.run([*COMMAND, "rebuild", "--journal", url], check=True, capture_output=True, env=ENV)
    tmp_path.chmod(0o555)
    try:
        words = ("run", "--exercise", "--mqtt-port", "0", "--http-port", "0")  # rebuild compares with a fold made elsewhere
        assert str(tmp_path) in birddog(*words, "--journal", url, before=bounded)
    finally:
        tmp_path.chmod(0o755)


def broken(monkeypatch, error: BaseException) -> None:
    class Module:
        @staticmethod
        def configure(parser):
            pass

        @staticmethod
        def run(args):
            raise error

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module)


@pytest.mark.parametrize("error,said", [
    (OSError(5, "Input/output error", "a\nb"), "birddog rebuild: a\\nb: Input/output error"),
    (BrokenPipeError(32, "Broken pipe"), "birddog rebuild: Broken pipe"),  # a broker's: stdout is well
    (ConnectionResetError(104, "Connection reset by peer"), "birddog rebuild: Connection reset by peer"),
    (KeyError("x"), "birddog rebuild: a fault of Birddog itself, please report it: KeyError: 'x' (opsroom.cli:"),
    (RecursionError("too\ndeep"), "birddog rebuild: a fault of Birddog itself, please report it: RecursionError: too deep ("),
])
def test_what_nobody_foresaw_is_one_line(monkeypatch, capfd, error, said):
    monkeypatch.delenv("BIRDDOG_TRACEBACK", raising=False)
    broken(monkeypatch, error)
    assert cli.main(["rebuild"]) == 2
    # a supervised process ends otherwise: 2 would end the whole run, this starts it again
    assert cli.main(["rebuild"], supervised=True) == cli.FAULT != 2
    first, second = capfd.readouterr().err.splitlines()
    assert first == second and first.startswith(said)


def test_a_fault_in_full_for_those_who_ask(monkeypatch):
    monkeypatch.setenv("BIRDDOG_TRACEBACK", "1")
    broken(monkeypatch, KeyError("x"))
    with pytest.raises(KeyError):
        cli.main(["rebuild"])


def test_interrupted(url):
    process = subprocess.Popen([*COMMAND, "journal", "tail", "--follow", "--journal", url], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=ENV)
    process.stdout.readline()
    process.send_signal(2)
    assert process.wait(60) == 130
    assert process.stderr.read() == b""
    for stream in (process.stdout, process.stderr):
        stream.close()


@pytest.mark.parametrize("gone", ["init", "doctor", "forecast", "eta", "events", "authority", "deconflict", "export", "epcis",
                                  "share", "evidence"])
def test_a_command_that_is_not_there_yet_is_absent(gone):
    assert gone in cli.COMMANDS or f"invalid choice: '{gone}'" in birddog(gone, "--journal", "x")


@pytest.mark.parametrize("more", [(), ("--only", "console"), ("--only", "picture", "--only", "ingest")])
def test_a_journal_of_the_other_mode_is_refused_once_and_at_once(url, more):
    said = birddog("run", "--journal", url, "--mqtt-port", "0", "--http-port", "0", *more)
    assert "is for exercise data and refuses live data: give another --journal, or --exercise" in said


def test_what_is_no_journal_is_said_once(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "junk").write_text("junk")
    for name in ("folder", "junk"):
        assert name in birddog("run", "--journal", f"sqlite:///{name}", "--mqtt-port", "0", "--http-port", "0", cwd=tmp_path)


@pytest.mark.parametrize("given", ["postgresql://user:secret@host/db", "sqlite://x.db", "sqlite:///", "x.db", "sqlite:///x?mode=ro",
                                   "sqlite:///x\0.db", "mysql://x", ""])
def test_a_url_that_names_no_journal(given, capsys):
    for words in (["journal", "count"], ["journal", "export"], ["device", "list"], ["operation", "add", "A"], ["rebuild"],
                  ["run", "--mqtt-port", "0"], ["demo", "--for", "1"], ["sim", "enrol", "harbour"], ["replay"],
                  ["replay", __file__, "--format", "nmea"]):  # fmt: skip
        assert cli.main([*words, "--journal", given]) == 2, words
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "secret" not in said.err, (words, said)


def test_a_journal_of_any_name_in_any_locale(tmp_path):
    """A file's name is bytes: it need be neither UTF-8 nor what LANG says."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for name, environment in ((b"\xc3\xbc.db", plain), (b"\xff %41.db", {})):
        url = b"sqlite:///" + name
        for words in ("operation add A --exercise", "rebuild", "operation list", "rebuild", "journal count"):
            done = subprocess.run([*COMMAND, *words.split(), "--journal", url], capture_output=True, env=ENV | environment,
                                  cwd=tmp_path, timeout=60)
            assert done.returncode == 0, done.stderr
        assert os.fsencode(tmp_path) + b"/" + name in [os.fsencode(p) for p in tmp_path.iterdir()]
