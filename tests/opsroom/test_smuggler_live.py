"""The smuggler and its calm twin live: real processes, a real socket, and what the page says of it in Chromium."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--disable-sync"]
#: Times life, and so much of the scenario: to behind the silence, which is told six minutes after its last fix.
SPEED, SECONDS = "100", "1800"
#: A busy machine that compiles the tracker first (a first start after a change of it): how long a wait may be.
PATIENCE_MS = 240_000


class Room:
    """``birddog run`` on a folder, with an AIS receiver on a UDP port."""

    def __init__(self, folder: Path, ports):
        self.http, self.udp = ports(), ports()
        self.url = f"sqlite:///{folder}/j.db"
        (folder / "birddog.toml").write_text(
            f'[journal]\nurl = "{self.url}"\n[endpoint]\nport = {ports()}\n[console]\nport = {self.http}\n'
            f'[[udp]]\nname = "ais"\nformat = "ais"\nport = {self.udp}\ndevice = "ais-quay"\n'
        )
        self.err = folder / "err.txt"
        words = ["run", "--exercise", "--clock", "messages", "--config", str(folder / "birddog.toml")]
        with self.err.open("w") as err:
            self.process = subprocess.Popen([sys.executable, "-m", "opsroom.cli", *words], stdout=err, stderr=err)

    def hears(self) -> None:
        """Wait until it says that it listens."""
        deadline = time.monotonic() + 120
        while not re.search("console: http", self.err.read_text()):
            assert self.process.poll() is None and time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.skipif(not os.path.exists(CHROMIUM) or importlib.util.find_spec("playwright") is None, reason="needs Chromium")
@pytest.mark.parametrize(("scenario", "wanted"), [
    ("smuggler", {("stop", "NOORDZAND"), ("stop", "KITTIWAKE"), ("encounter", "NOORDZAND and KITTIWAKE"),
                  ("silence", "KITTIWAKE")}),
    ("smuggler-calm", {("stop", "NOORDZAND")}),
])  # fmt: skip
def test_the_page_says_what_happened_and_of_the_calm_twin_nothing(tmp_path, free_port, scenario, wanted):
    from playwright.sync_api import sync_playwright

    with Room(tmp_path, free_port) as room, sync_playwright() as p:
        room.hears()
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.route("**/static/js/chart.js", lambda route: route.abort())  # the lists hold what the map shows
        page.goto(f"http://127.0.0.1:{room.http}/")
        page.wait_for_selector('body[data-live="on"]')
        page.click("#events-more summary")
        sent = subprocess.run(
            [sys.executable, "-m", "opsroom.cli", "sim", "run", scenario, "--seed", "5", "--speed", SPEED, "--for", SECONDS,
             "--to", f"udp://127.0.0.1:{room.udp}"], capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        page.wait_for_function("n => Number(document.body.dataset.events) >= n", arg=len(wanted))
        # until the page has all that was sent
        page.wait_for_function("""async () => {
          const all = (await (await fetch('/v1/tracks')).json()).seq;
          return Number(document.body.dataset.seq) >= all && all > 500;
        }""")
        rows = [row.split(" · ")[1:3] for row in page.locator("#events-list .words").all_inner_texts()]
        assert {(kind, who) for kind, who in rows} == wanted and len(rows) == len(wanted)
        if scenario == "smuggler":
            assert "switched off?" in page.inner_text("#events-list")
        assert "no open alerts" in page.inner_text("#alarm-count")
        browser.close()
    words = [sys.executable, "-m", "opsroom.cli", "rebuild", "--journal", room.url]
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == "identical", again.stdout
