"""What a browser needs to verify a bundle: ``verify.html`` in Chromium beside ``verify.py``, the same bundle.

    python benchmarks/verify_page.py [--records N] [--bundle FILE] [--append]

One case of twenty phones; CPU time of ``verify.py`` in a process of its own, and of all of Chromium's processes while the page
works; the most memory of each (resident, of Chromium's largest process).  Printed is the ratio of CPU times.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import psutil
from trend import record

from birddog.journal import open_writer
from birddog.model import Attachment, Device, Fix, FrameBody, Operation, Start, Verdict
from ingest import control
from opsroom import cli

T0 = 1_790_000_000 * 10**9
PHONES = 20


def bundle(count: int, folder: Path) -> Path:
    """A bundle of so many fixes."""
    url = f"sqlite:///{folder}/j.db"
    writer = open_writer(url, mode="live")
    said = [Start(version="x", presets={}), Operation(operation="A"), *(Device(device=f"p{k}") for k in range(PHONES)),
            *(Attachment(device=f"p{k}", shipment=f"s{k}", operation="A", from_ns=0) for k in range(PHONES))]
    writer.append([msgspec.structs.replace(control.own(body, source="op"), received_ns=T0) for body in said])
    for begin in range(0, count, 2000):
        rows = []
        for n in range(begin, min(begin + 2000, count)):
            phone, at = f"p{n % PHONES}", T0 + n // PHONES * 10 * 10**9
            fix = Fix(device=phone, time_ns=at, lat_deg=51.9 + n * 1e-7, lon_deg=4.0, sigma_m=8.0)
            body = FrameBody(format="owntracks", version=3, payload=b"p%d" % n, device=phone, observations=(fix,),
                             verdicts=(Verdict("A", f"s{n % PHONES}", "warrant"),))
            rows.append(msgspec.structs.replace(control.own(body, source="mqtt"), received_ns=at, operation="A"))
        writer.append(rows)
    writer.close()
    assert cli.main(["evidence", "export", "A", "--journal", url, "--out", str(folder / "a.zip")]) == 0
    return folder / "a.zip"


def by_python(file: Path, folder: Path) -> tuple[float, float]:
    """(CPU seconds, MB) of ``verify.py`` alone."""
    # the most memory as Linux knows it of this program: ru_maxrss also counts who started it, proc(5) VmHWM
    code = ("import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "except SystemExit as end: assert not end.code\n"
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, str(folder / "verify.py"), str(file)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), int(done.stderr) / 1024


class Watch(threading.Thread):
    """The CPU seconds of a process's children, and the most memory that one of them has, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cpu_s, self.most_mb, self._seen, self._ended = 0.0, 0.0, dict[int, float](), threading.Event()

    def run(self) -> None:
        """Until ``stop``."""
        while not self._ended.wait(0.2):
            self.look()

    def look(self) -> None:
        """Once."""
        for one in psutil.Process().children(recursive=True):
            try:
                times = one.cpu_times()
                self._seen[one.pid] = times.user + times.system
                if one.name().startswith("chrom"):
                    self.most_mb = max(self.most_mb, one.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue

    def stop(self, before: dict[int, float]) -> None:
        """End; what had been used before is left out."""
        self._ended.set()
        self.join()
        self.look()
        self.cpu_s = sum(used - before.get(pid, 0.0) for pid, used in self._seen.items())

    def used(self) -> dict[int, float]:
        """CPU seconds until now, by process."""
        self.look()
        return dict(self._seen)


def by_page(file: Path, folder: Path) -> tuple[float, float, float]:
    """(CPU seconds, seconds on the clock, MB) of the page in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        page = browser.new_context(offline=True).new_page()
        page.goto((folder / "verify.html").as_uri())
        page.set_input_files("#bundle", str(file))
        watch = Watch()
        before = watch.used()
        watch.start()
        begun = time.monotonic()
        page.click("#go")
        page.wait_for_selector("#verdict[data-state='unsigned']", timeout=900_000)
        took_s = time.monotonic() - begun
        watch.stop(before)
        assert "; 0 faults" in (page.text_content("#said") or "")
        browser.close()
    return watch.cpu_s, took_s, watch.most_mb


def main() -> None:
    """Print, and append to the trend where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, help="this bundle instead of one that is made")
    parser.add_argument("--append", action="store_true", help="add the ratio to benchmarks/trend.csv")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = args.bundle or bundle(args.records, folder)
        opsroom = Path(cli.__file__).parent
        (folder / "verify.py").write_bytes((opsroom / "verifier.py").read_bytes())
        (folder / "verify.html").write_bytes((opsroom / "verify.html").read_bytes())
        python_s, python_mb = by_python(file, folder)
        page_s, clock_s, page_mb = by_page(file, folder)
    print(f"{file.stat().st_size / 1e6 if file.exists() else 0:.0f} MB" if args.bundle else f"{args.records} records")
    print(f"verify.py    {python_s:6.1f} s of CPU, {python_mb:5.0f} MB")
    print(f"verify.html  {page_s:6.1f} s of CPU, {page_mb:5.0f} MB (largest process), {clock_s:.1f} s on the clock")
    print(f"ratio {page_s / python_s:.2f}")
    if args.append:
        record("verify_page", "CPU of verify.html in Chromium over verify.py", page_s / python_s)


if __name__ == "__main__":
    main()
