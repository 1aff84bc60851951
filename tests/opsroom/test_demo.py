"""The main job, end to end: `birddog demo` as a person starts it, in a real Chromium, to the score and the rebuild."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync"]
VENDOR = Path(__file__).parents[2] / "opsroom" / "console" / "static" / "vendor" / "maplibre-gl"


def wait_for(condition, seconds: float, what: str):
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


class Demo:
    def __init__(self, folder: Path, port: int, *words: str):
        self.port = port
        self.err = folder / "err.txt"
        with self.err.open("w") as err:
            self.process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", "demo", "--port", str(self.port), *words],
                                            cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True)
        lines = iter(self.process.stdout.readline, "")
        self.said = {}
        for line in lines:
            name, value = line.split(None, 1)
            self.said[name] = value.split()[0]
            if name == "folder":
                break
        self.folder = Path(self.said["folder"])
        self.url = self.said["journal"]

    def get(self, path: str):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def tracks(self) -> list[dict]:
        return (self.get("/v1/tracks") or {}).get("tracks", [])

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory, free_port):
    with Demo(tmp_path_factory.mktemp("demo"), free_port()) as made:
        yield made


def birddog(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "opsroom.cli", *words], capture_output=True, text=True)


def refused(folder: Path, *words: str) -> str:
    """What a demo says that refuses to begin; nothing of it may be left."""
    def there() -> list[Path]:
        return sorted(p for p in folder.rglob("*") if not p.name.endswith(("-wal", "-shm")))  # SQLite's, of any reader

    before = there()
    answer = subprocess.run([sys.executable, "-m", "opsroom.cli", "demo", *words], capture_output=True, text=True, cwd=folder,
                            timeout=60)
    assert answer.returncode == 2 and answer.stdout == "" and len(answer.stderr.splitlines()) == 1, answer
    assert there() == before
    return answer.stderr


def test_a_taken_port_is_refused_before_anything_is_said_or_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port: cannot listen on 127.0.0.1:{port}" in refused(tmp_path, "--port", str(port))


def test_a_live_journal_is_refused_and_left_as_it_is(tmp_path, free_port):
    from birddog.journal import open_writer

    journal = tmp_path / "case.db"
    open_writer(f"sqlite:///{journal}", mode="live").close()
    before = journal.read_bytes()
    words = refused(tmp_path, "--port", str(free_port()), "--journal", f"sqlite:///{journal}")
    assert "is a live journal and refuses exercise data" in words
    assert journal.read_bytes() == before
    assert "there is no folder" in refused(tmp_path, "--port", str(free_port()), "--journal", "sqlite:///nowhere/case.db")
    assert "is no journal URL" in refused(tmp_path, "--port", str(free_port()), "--journal", "case.db")


def test_a_journal_that_is_ahead_of_the_clock_is_refused_and_left_as_it_is(tmp_path, free_port):
    from birddog.journal import open_writer
    from birddog.model import Draft, Start, pack

    journal = tmp_path / "fast.db"
    writer = open_writer(f"sqlite:///{journal}", mode="exercise")
    writer.append([Draft(kind="start", received_ns=time.time_ns() + 3600 * 10**9, source="test", ident=b"start",
                         body=pack(Start(version="1", presets={}, exercise=True)))])
    writer.close()
    before = journal.read_bytes()
    words = refused(tmp_path, "--port", str(free_port()), "--journal", f"sqlite:///{journal}")
    assert f"{journal} stands at " in words and "ahead of this machine's clock" in words
    assert journal.read_bytes() == before


def test_even_when_asked_directly_nothing_is_written_beside_a_live_journal(tmp_path):
    from birddog.errors import JournalError
    from birddog.journal import open_writer
    from opsroom import demo

    url = f"sqlite:///{tmp_path}/case.db"
    open_writer(url, mode="live").close()
    folder = tmp_path / "demo"
    folder.mkdir()
    with pytest.raises(JournalError, match="refuses exercise data"):
        demo.prepare(folder, url, 8080)
    assert list(folder.iterdir()) == []


def test_ingest_is_started_when_the_lines_that_the_simulator_makes_are_there(tmp_path, monkeypatch):
    """Ingest waited for them from its own start: where the simulator took over 5 s it said WARNING (twice, under load)."""
    from opsroom import demo as demos
    from sim import scenario

    found = []

    class Captured:
        def __init__(self, children):
            found.extend(children)

        def run(self, for_s):
            return 0

    monkeypatch.setattr(demos, "Supervisor", Captured)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        one = demos.Demo(folder=tmp_path, url="sqlite:///x.db", http_port=1, ports={"modbus": server.getsockname()[1]},
                         scenario=scenario.load(demos.SCENARIO))  # fmt: skip
        demos.run(one, speed=1.0, for_s=None)
        children = {child.name: child for child in found}
        assert found[0].name == "ingest", "who writes ends last"
        assert children["simulator"].when() and not children["ingest"].when()
        (tmp_path / "serial").touch()
        assert not children["ingest"].when()
        server.listen()
        assert children["ingest"].when()
    assert children["ingest"].when(), "started again, it does not ask again"


@pytest.mark.slow
def test_it_is_healthy_with_tracks_that_move(demo):
    health = wait_for(lambda: (h := demo.get("/healthz")) and h["ok"] and h, 60, "healthy")
    assert health["exercise"] is True
    assert {row["name"] for row in health["processes"]} == {"ingest", "picture", "imagery"}
    wait_for(lambda: len([t for t in demo.tracks() if (t["speed_mps"] or 0) > 0.5]) >= 2, 60, "two moving tracks")
    first = {t["track_id"]: (t["lat_deg"], t["lon_deg"]) for t in demo.tracks()}
    wait_for(lambda: sum(first.get(t["track_id"], p) != p for t in demo.tracks() for p in [(t["lat_deg"], t["lon_deg"])]) >= 2,
             60, "two tracks elsewhere than before")
    for track in demo.tracks():
        assert track["p_ee"] > 0 and track["p_nn"] > 0 and track["p_ee"] * track["p_nn"] > track["p_en"] ** 2


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not os.path.exists(CHROMIUM) or not VENDOR.is_dir(), reason="needs Chromium and `make assets`")
def test_the_console_in_a_real_browser(demo):
    from playwright.sync_api import sync_playwright

    wait_for(lambda: len(demo.tracks()) >= 3, 60, "tracks")
    said, outside = [], []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("request", lambda r: None if re.match(rf"(http|ws)://127\.0\.0\.1:{demo.port}/|blob:|data:", r.url)
                else outside.append(r.url))
        page.goto(f"http://127.0.0.1:{demo.port}/")
        page.wait_for_selector("[data-track-id]", timeout=60_000)
        page.wait_for_selector("body[data-live='on']", timeout=60_000)
        page.wait_for_selector("canvas", timeout=60_000)
        assert "EXERCISE" in page.inner_text("body")
        shown = {row.get_attribute("data-track-id") for row in page.query_selector_all("[data-track-id]")}
        assert len(shown & {t["track_id"] for t in demo.tracks()}) >= 3
        browser.close()
    # a software GPU may say that it is one; anything else is a fault
    assert [text for text in said if "GPU stall" not in text and "GL Driver" not in text] == []
    assert outside == []


@pytest.mark.slow
def test_it_ends_rebuilds_and_scores(demo):
    wait_for(lambda: len(demo.tracks()) >= 3, 60, "tracks")
    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert demo.end() == 0, demo.err.read_text()
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in demo.err.read_text()
    rebuilt = birddog("rebuild", "--journal", demo.url)
    assert rebuilt.returncode == 0 and rebuilt.stdout.splitlines()[-1] == "identical", rebuilt.stdout
    scored = birddog("sim", "score", "--truth", str(demo.folder / "truth.csv"), "--journal", demo.url)
    assert scored.returncode == 0 and "GOSPA" in scored.stdout and "ID switches" in scored.stdout
    refused = birddog("run", "--journal", demo.url, "--http-port", "0", "--mqtt-port", "0")
    assert refused.returncode == 2 and "refuses live data" in refused.stderr


#: The formats of the harbour's devices, and the look from above.
SOURCES = {"owntracks", "teltonika", "nmea", "ais", "modbus", "impinj", "scan"}


def missing(url: str) -> set[str]:
    """Which sources have said nothing that was understood yet."""
    rows = [json.loads(line) for line in birddog("journal", "export", "--journal", url).stdout.splitlines()]
    found = {row["format"] for row in rows if row["kind"] == "frame" and row["observations"]}
    return SOURCES - found - {row["kind"] for row in rows}


@pytest.mark.slow
def test_faster_than_life_every_source_arrives_and_it_ends_by_itself(tmp_path, free_port):
    """Phone, hidden tracker, serial GPS, AIS, Modbus sensor, portal and SAR, each in its own wire format."""
    with Demo(tmp_path, free_port(), "--for", "45", "--speed", "20") as demo:  # 225 s of the scenario hold everything
        alerts, dark = set(), set()

        def ended():
            alerts.update((a["kind"], a["operation"]) for a in (demo.get("/v1/alerts") or {"alerts": []})["alerts"])
            dark.update(flag["dark"] for flag in (demo.get("/v1/flags") or {"flags": []})["flags"])
            return demo.process.poll() is not None

        wait_for(ended, 120, "the end, by itself")
        assert demo.process.returncode == 0
        assert {"silent", "door_opened", "parted", "dark_vessel"} <= {kind for kind, _ in alerts} and True in dark
        # on a busy machine others fall silent as well
        assert {("dark_vessel", "open"), ("silent", "NIGHTJAR"), ("warrant_ended", "HERON")} <= alerts
        said = demo.err.read_text()
    # the sources that start beside the simulator are waited for and said to be there, without an alarm
    opened = [re.search(pattern, said) for pattern in (r"modbus:yard: \S+ is open", r"serial:\S+: \S+ is open")]
    assert all(opened), said
    assert "WARNING" not in said[: max(found.end() for found in opened)]
    # and it ends with lines that work when they are copied
    for command in re.findall(r"^  (\S.*)$", said.partition("Go on with:")[2], re.M):
        if " replay " not in command:
            assert subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True).returncode == 0, command
    assert len(re.findall(r" (rebuild|sim score|replay) ", said.partition("Go on with:")[2])) == 3
    assert missing(demo.url) == set()
    counted = json.loads(birddog("journal", "count", "--json", "--journal", demo.url).stdout)
    assert counted["rejects"].get("clock", 0) == 0
    assert birddog("rebuild", "--journal", demo.url).returncode == 0


@pytest.mark.slow
def test_a_killed_parent_leaves_nobody_behind(tmp_path, free_port):
    with Demo(tmp_path, free_port()) as demo:
        wait_for(lambda: demo.get("/healthz"), 60, "an answer")
        children = psutil.Process(demo.process.pid).children(recursive=True)
        assert len(children) >= 4
        demo.process.kill()
        demo.process.wait()
        wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), 15, "all gone")
