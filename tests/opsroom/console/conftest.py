"""A stage for the console's tests: a real journal, a real derived store and a real server on loopback."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from birddog import model
from birddog.journal import Home, open_reader, open_writer
from opsroom.console.server import Settings, make_app, serve
from opsroom.picture_store import FlagRow, PictureReader, PictureWriter, Refused

NS = 1_000_000_000
T0 = 1_795_520_000 * NS
PNG = bytes.fromhex(  # one violet pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0f01f0005050201c2b7b9a50000000049454e44ae426082"
)

#: What the stage's console answers to why a track is where it is.
EXPLAINED = {
    "used": [{"device": "gps"}], "hypotheses": [{"what": "the track"}, {"what": "elsewhere", "hits": 2, "takes_over_at": 3}],
    "refused": [{"time": "2026-11-29T12:00:00.000Z", "device": "gps", "outcome": "refused", "reason": "far off", "nis": 99.5}],
    "models": [{"model": "steady", "weight": 0.9}], "version": "0.1.0", "entries": 7,
}  # fmt: skip


def make_track(number: int = 1, **changes) -> model.Track:
    """A confirmed track off Rotterdam, a little east of the last one."""
    now = time.time_ns()
    fields = dict(
        track_id=f"T{number}", operation="nightjar", name=f"S-{number}", tag_id=f"bd-{number:04d}",
        identities=(f"bd-{number:04d}",), klass="lorry", status="confirmed", time_ns=now,
        lat_deg=51.95 + 0.004 * (number % 10), lon_deg=4.05 + 0.01 * number,
        ve_mps=3.0, vn_mps=4.0, p_ee=400.0, p_en=100.0, p_nn=200.0, p_v_ee=1.0, p_v_en=0.0, p_v_nn=1.0,
        updated_ns=now - 12 * NS, contact_ns=now - 5 * NS, moved_ns=now - 60 * NS, first_ns=now - 600 * NS, hits=20,
        sources=("mqtt",), attributes={"battery": 0.83},
    )
    return model.Track(**(fields | changes))


def make_point(track: model.Track, seq: int, seconds: float, origin: str = "fix") -> model.TrackPoint:
    """A step of a track's history so many seconds before its last one, behind it."""
    return model.TrackPoint(
        track_id=track.track_id, seq=seq, time_ns=track.time_ns - int(seconds * NS), lat_deg=track.lat_deg - seconds * 4e-5,
        lon_deg=track.lon_deg - seconds * 4e-5, ve_mps=3.0, vn_mps=4.0, p_ee=400.0, p_en=100.0, p_nn=200.0, origin=origin,
        device=track.tag_id, nis=1.5,
    )


def make_alert(number: int = 1, **changes) -> model.Alert:
    """A critical alert on track T1."""
    fields = dict(
        alert_id=f"A{number}", kind="parted", severity="critical", operation="nightjar", raised_ns=time.time_ns() - 30 * NS,
        track_id="T1", device="bd-0001", lat_deg=51.954, lon_deg=4.06, text="tag parted from its container",
    )
    return model.Alert(**(fields | changes))


def make_flag(number: int = 1, **changes) -> FlagRow:
    """A bright object without a reporting track."""
    fields = dict(
        flag_id=f"F{number}", scan_id="scan-1", scene_sha256="9c1e" * 16, scene_name="s1.tif", sensor="sar",
        time_ns=time.time_ns(), detector="cfar", score=7.5, pfa=1e-6,
        lat_deg=51.97, lon_deg=4.1, length_m=62.0, truncated=False, dark=True,
    )
    return FlagRow(**(fields | changes))


class Stage:
    """A journal and a picture that a test writes to, and a console that shows them."""

    def __init__(self, folder: Path, **settings):
        self.url = f"sqlite:///{folder}/case.db"
        self.picture = Home(folder / "case.db").picture
        self.writer = open_writer(self.url, mode="exercise")
        self._one = threading.Lock()  # the console's threads note who saw what at once; the real writer is one thread
        self.store = PictureWriter(self.picture)
        self.settings = Settings(**({"port": 0, "exercise": True, "poll_ms": 50, "beat_s": 0.5} | settings))
        self.status = {"ingest": {"updated_ns": time.time_ns(), "stale_after_s": 3600.0, "queue": 3}}
        self.decisions: list[model.Decision] = []
        self.foresight = None
        self.seq = 0
        self.port = 0
        self._thread: threading.Thread | None = None
        self.entry(model.Operation(operation="nightjar", name="Nightjar",
                                   area=((4.0, 51.9), (4.3, 51.9), (4.3, 52.0), (4.0, 52.0), (4.0, 51.9))), "operation")
        self.entry(model.Device(device="bd-0001", name="lorry tag", owner="unit 4", format="owntracks"), "device")
        self.entry(model.Placement(device="gate-a", lat_deg=51.955, lon_deg=4.09, range_m=30.0, name="Gate A"), "placement")

    def entry(self, body: model.Body, kind: str) -> int:
        """Append one entry to the journal."""
        ident = f"{kind}-{self.seq}-{time.time_ns()}".encode()
        draft = model.Draft(kind=kind, received_ns=time.time_ns(), source="test", ident=ident, body=model.pack(body))
        with self._one:
            self.seq = self.writer.append([draft])[0]
            return self.seq

    def publish(self, *rows, now_ns: int | None = None) -> int:
        """Write rows to the picture in one step, as the fold would; returns the step's revision.

        Args:
            now_ns: the journal's time at it.
        """
        revision = self.entry(model.Tick(), "tick")
        self.store.begin()
        if now_ns is not None:
            self.store.set_meta("now", b"%d" % now_ns)
        for row in rows:
            match row:
                case model.Track():
                    self.store.put("track", row.track_id, revision, row)
                case model.Alert():
                    self.store.put("alert", row.alert_id, revision, row)
                case model.Event():
                    self.store.put("event", row.event_id, revision, row)
                case Refused():
                    self.store.put("refused", row.refused_id, revision, row)
                case FlagRow():
                    self.store.put_flag(row, revision, PNG)
                case model.TrackPoint():
                    self.store.put_point(row)
        self.store.commit(revision)
        return revision

    def act(self, decision: model.Decision) -> int:
        """What the writer and the fold would do with a decision."""
        if isinstance(decision, model.Access):
            return self.entry(decision, "access")
        self.decisions.append(decision)
        seq = self.entry(decision, "decision")
        if decision.action != "acknowledge":
            return seq
        reader = PictureReader(self.picture)
        found = {a.alert_id: a for _, a in reader.alerts()}[decision.subject]
        reader.close()
        store = PictureWriter(self.picture)  # called on a thread of the console's: a connection of its own
        store.begin()
        row = msgspec.structs.replace(found, acknowledged_ns=time.time_ns(), acknowledged_by=decision.by)
        store.put("alert", row.alert_id, seq, row)
        store.commit(seq)
        store.close()
        return seq

    def app(self):
        """The console over this stage."""
        self.reader, self.journal = PictureReader(self.picture), open_reader(self.url)
        return make_app(self.settings, self.reader, self.journal, lambda: self.status, self.act,
                        explain=lambda track_id, at_ns: EXPLAINED | {"track_id": track_id}, foresight=self.foresight,
                        smooth=lambda track_id, at_ns: {"track_id": track_id, "at": "", "late": 0, "points": []})

    def start(self) -> str:
        """Serve in a thread; returns the address.  A second start after ``stop`` takes the same port."""
        settings = msgspec.structs.replace(self.settings, port=self.port)
        up = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            async def main() -> None:
                self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()

                def started(port: int) -> None:
                    self.port = port
                    up.set()

                await serve(self.app(), settings, started=started, stop=self._stop)

            try:
                asyncio.run(main())
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                failed.append(error)
                up.set()

        self._thread = threading.Thread(target=run, name="console-under-test")
        self._thread.start()
        assert up.wait(20), "the console did not start"
        if failed:
            raise failed[0]
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop serving; the stores stay."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
            assert not self._thread.is_alive(), "the console did not stop"
            self.reader.close()
            self.journal.close()

    def close(self) -> None:
        """Stop and let go of the files."""
        self.stop()
        self.store.close()
        self.writer.close()


@pytest.fixture
def stage(tmp_path):
    """A stage with one lorry, its trail, an alert and a flag, not yet served."""
    made = Stage(tmp_path)
    track = make_track(1)
    made.publish(track, *(make_point(track, n, s, "coast" if s < 30 else "fix") for n, s in enumerate(range(100, -1, -10))))
    made.publish(make_alert(1), make_flag(1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A stage served once for all tests of a module that only look."""
    made = Stage(tmp_path_factory.mktemp("still"))
    happened = model.Event(event_id="E1", kind="stop", operation="nightjar", seq=1, start_ns=T0, track_ids=("T1",))
    made.publish(make_track(1), make_track(2), make_alert(1), make_flag(1), happened)
    made.address = made.start()
    yield made
    made.close()


@pytest.fixture
def make_stage(tmp_path):
    """Stages with settings of one's own."""
    made: list[Stage] = []

    def make(**settings) -> Stage:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Stage(folder, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def makers():
    """What rows are made with: track, point, alert, flag."""
    return {"track": make_track, "point": make_point, "alert": make_alert, "flag": make_flag}


# --- the page in a real Chromium ---

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync",
]
#: A loaded machine with two cores and a software GPU: how long a wait may be before it is a failure.
PATIENCE_MS = 60_000


def _missing() -> str:
    if not CHROMIUM.exists():
        return "no Chromium at /usr/bin/chromium"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if not (ROOT / "opsroom/console/static/vendor/maplibre-gl/maplibre-gl.mjs").exists():
        return "browser libraries are not there: make assets"
    return ""


@pytest.fixture(scope="module")
def chromium():
    """One browser for a module; not for longer: while it is there, asyncio.run refuses to work in this thread."""
    if _missing():
        pytest.skip(_missing())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


#: In place of chart.js where a test does not look at the map: a software GPU costs more than all the rest of a page.
NO_MAP = """export class Chart {
  constructor() {
    this.ready = new Promise(() => {});
    return new Proxy(this, { get: (own, name) => name in own || name === 'then' ? own[name] : () => Promise.resolve() });
  }
}"""


def without_map(context) -> None:
    """Pages of this browser context never get their map."""
    context.route("**/static/js/chart.js", lambda route: route.fulfill(body=NO_MAP, content_type="text/javascript"))


class Watched:
    """A page that remembers every console error, every failure and every request.

    Args:
        map: whether the map is drawn, too.
    """

    def __init__(self, browser, address: str, *, map: bool = True, **context):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
        if not map:
            without_map(self.context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("dialog", lambda d: (self.errors.append(f"dialog: {d.message}"), d.dismiss()))
        self.page.goto(address)
        self.page.wait_for_selector('body[data-live="on"]')

    def drawn(self, tracks: int) -> None:
        """Wait until the map has drawn so many tracks."""
        self.page.wait_for_selector(f'body[data-map="ready"][data-drawn="{tracks}"]')

    def row_says(self, selector: str, *words: str) -> None:
        """Wait until a row shows words: it is laid out some frames after it came into sight (content-visibility)."""
        self.page.wait_for_function(
            "([selector, words]) => words.every(word => document.querySelector(selector)?.innerText.includes(word))",
            arg=[selector, list(words)])

    def on_watch(self, name: str) -> None:
        """Say who is on watch, so that nothing asks for it."""
        self.page.fill("#watch", name)
        self.page.locator("#watch").blur()

    def acknowledged(self, alert_id: str) -> None:
        """Wait until an alert has left the open ones for the fold below."""
        self.page.wait_for_selector(f'#seen-list > [data-alert-id="{alert_id}"][data-state="acknowledged"]', state="attached")

    def focused(self, attribute: str) -> str | None:
        """An attribute of the element that has the focus."""
        return self.page.evaluate("name => document.activeElement?.getAttribute(name)", attribute)

    def clean(self) -> None:
        """No error was said, and nothing was asked of any other machine."""
        assert self.errors == []
        elsewhere = [url for url in self.requests if urlsplit(url).scheme in ("http", "https", "ws", "wss")
                     and urlsplit(url).hostname != "127.0.0.1"]
        assert elsewhere == []
        assert self.requests


@pytest.fixture
def watch(chromium):
    """Open a watched page; closed after the test."""
    made: list[Watched] = []

    def open_page(address: str, **more) -> Watched:
        made.append(Watched(chromium, address, **more))
        return made[-1]

    yield open_page
    for one in made:
        one.context.close()


@pytest.fixture(scope="module")
def looked(still, chromium):
    """One page for the tests that only look."""
    page = Watched(chromium, still.address)
    page.drawn(2)
    yield page
    page.context.close()
