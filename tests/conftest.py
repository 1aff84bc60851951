"""What the tests of several rooms share: the order of the files, ports, and how Hypothesis looks."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from birddog.journal.sqlite import SqliteWriter

#: The root of a container writes where nobody may: without these capabilities it is as others are.
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

# A test that fails says so at once: shrinking what made it fail took 313 s of a run once.  For a small example:
# BIRDDOG_SHRINK=1 pytest tests/…; tests/tracking/test_fold_abuse.py looks longer with BIRDDOG_EXAMPLES=5000.
SHRINK = bool(os.environ.get("BIRDDOG_SHRINK"))
hypothesis.settings.register_profile(
    "birddog",
    hypothesis.settings.get_profile("ci" if "CI" in os.environ else "default"),
    phases=[phase for phase in hypothesis.Phase if SHRINK or phase not in (hypothesis.Phase.shrink, hypothesis.Phase.explain)],
    deadline=None,  # no example fails because a machine is busy
    report_multiple_bugs=SHRINK,
    print_blob=True,
)
hypothesis.settings.load_profile("birddog")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of two workers (pytest -n 2 --dist loadfile) none is left alone with the longest file: those with slow tests begin."""
    if hasattr(config, "workerinput"):
        slow: dict[str, int] = {}
        for item in items:
            weight = 1 if item.get_closest_marker("slow") or item.get_closest_marker("browser") else 0
            slow[item.location[0]] = slow.get(item.location[0], 0) + weight
        items.sort(key=lambda item: -slow[item.location[0]])  # stable: the rest is as it was


#: The journals that tests opened for writing and have not closed; a fixture's that outlives one test is its own to close.
_written: list[SqliteWriter] = []
_opened, _let_go = SqliteWriter.__init__, SqliteWriter._let_go


def _noted(self: SqliteWriter, *args, **words) -> None:
    _opened(self, *args, **words)
    if not _shared:
        _written.append(self)


def _closed(self: SqliteWriter) -> None:
    _written[:] = [one for one in _written if one is not self]
    _let_go(self)


SqliteWriter.__init__, SqliteWriter._let_go = _noted, _closed
_shared: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    """While a fixture that several tests share is made."""
    if fixturedef.scope == "function":
        return (yield)
    _shared.append(fixturedef.argname)
    try:
        return (yield)
    finally:
        _shared.pop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    """A journal that a test has left open holds eight descriptors, and beyond 1,024 ``select`` takes none: it is closed."""
    result = yield
    while _written:
        _written[-1]._let_go()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """What a test wrote may hold half a surrogate pair (a file name that is no UTF-8); a worker could not send it on."""
    return _sendable((yield))


def _sendable(said):
    match said:
        case str():
            return said.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_sendable(key): _sendable(value) for key, value in said.items()}
        case list():
            return [_sendable(item) for item in said]
        case tuple():
            return tuple(_sendable(item) for item in said)
    return said


@pytest.fixture
def bounded(tmp_path) -> list[str]:
    """Words before a command that make file modes hold for root too."""
    if not AS_OTHERS:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root, and no setpriv: file modes do not hold")
    probe = tmp_path / "probe"
    probe.touch(0o000)
    if subprocess.run([*AS_OTHERS, "cat", str(probe)], capture_output=True).returncode == 0:
        pytest.skip("root keeps its capabilities here: file modes do not hold")
    return AS_OTHERS


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory) -> Iterator[tuple[str, Path, str]]:
    """SoftHSM with tokens for all tests of a process, since it looks for them once, when it is loaded.

    (Its module, a folder for PINs, the tokens' PIN.)  A login is the process's (PKCS #11, section 5.6): "closed" is left
    alone until its test is at its end.
    """
    pytest.importorskip("pkcs11", reason="needs python-pkcs11")
    places = ("/usr/lib/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm")
    module = next((path for path in (f"{place}/libsofthsm2.so" for place in places) if os.path.exists(path)), "")
    if not module or shutil.which("softhsm2-util") is None:
        pytest.skip("needs SoftHSM: tools/setup.sh system")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    pin = "abcd1234"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        for label in ("birddog", "other", "third", "closed"):
            words = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "5678abcd"]
            subprocess.run(words, check=True, capture_output=True)
        yield module, folder, pin


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """``free_port()``: a port for a program that is told one; no two calls of a run get the same.

    It lies below those that a system gives to who asks for port 0 (IANA: 49152 and up, Linux: 32768 and up), so that
    nobody else takes it between here and the program's start; each worker and each run begins elsewhere.
    """
    first, last = 12_000, 32_000
    numbers = itertools.count(random.Random(f"{os.getpid()} {os.environ.get('PYTEST_XDIST_WORKER')}").randrange(first, last))

    def port() -> int:
        for number in itertools.islice(numbers, last - first):
            found = first + number % (last - first)
            with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                try:
                    tcp.bind(("127.0.0.1", found))
                    udp.bind(("127.0.0.1", found))
                except OSError:
                    continue
                return found
        raise AssertionError("no port is free")

    return port
