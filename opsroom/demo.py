"""`birddog demo`: a whole exercise on one machine; the configuration that it writes is one to learn from."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from birddog.errors import JournalError, UsageError
from birddog.journal import exists, home, open_reader, open_writer
from birddog.units import NS, iso_from_ns
from ingest import control
from opsroom.supervise import Child, Supervisor
from sim import emit, sensor_map
from sim import scenario as scenarios

SCENARIO = "harbour"
#: A journal further ahead of the machine's clock would hold back everything that is simulated now.
MOST_AHEAD_NS = 5 * NS
#: The simulator waits so long for ingest, s, before it says that nobody listens.
WAIT_S = 600.0


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo runs on: its folder, its ports by transport, its journal."""

    folder: Path
    url: str
    http_port: int
    ports: dict[str, int]
    scenario: scenarios.Scenario

    @property
    def config_path(self) -> Path:
        """The configuration that was written."""
        return self.folder / "birddog.toml"


def admit(url: str | None, http_port: int) -> None:
    """Refuse what cannot become a demo, before anything is written or made.

    Args:
        url: a journal that the demo shall write to, or None for one of its own.

    Raises:
        UsageError: the port is taken, the journal's URL is wrong, or its folder is not there.
        JournalError: the journal is a live one, ahead of the machine's clock, or another process writes it.
    """
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", http_port))
        except OSError as error:
            raise UsageError(f"cannot listen on 127.0.0.1:{http_port}: {error.strerror}", field="--port") from error
    if url is None:
        return
    place = home(url)
    if not place.folder.is_dir():
        raise UsageError(f"there is no folder {place.folder}", field="--journal")
    if exists(url):
        journal = open_reader(url)
        newest = journal.tail(1)
        journal.close()
        ahead_ns = newest[0].received_ns - time.time_ns() if newest else 0
        if ahead_ns > MOST_AHEAD_NS:
            at = iso_from_ns(newest[0].received_ns)
            raise JournalError(f"{place.base} stands at {at}, {ahead_ns // NS} s ahead of this machine's clock (a demo with "
                               "--speed made it?): a journal never runs backwards; give another")
        open_writer(url, mode="exercise").close()


def prepare(folder: Path, url: str, http_port: int) -> Demo:
    """Make the folder, the configuration and the journal with everything enrolled."""
    # the journal first: nothing of an exercise is written beside a live one
    open_writer(url, mode="exercise").close()
    scenario = scenarios.load(SCENARIO)
    used = {device.transport for device in scenario.devices()}
    ports = _free_ports([transport for transport in ("mqtt", "tcp", "udp", "modbus") if transport in used])
    demo = Demo(folder=folder, url=url, http_port=http_port, ports=ports, scenario=scenario)
    (folder / "scenes").mkdir(exist_ok=True)
    demo.config_path.write_text(config_text(demo))
    control.enter(url, scenarios.registers(scenario, time.time_ns()), source="demo")
    return demo


def config_text(demo: Demo) -> str:
    """The TOML of a demo: every source of the scenario, on the ports that were free."""
    s, ports = demo.scenario, demo.ports
    parts = ["# Written by `birddog demo`: everything on loopback, every device simulated.\n",
             _section("[journal]", url=demo.url), _section("[endpoint]", port=ports.get("mqtt", 0)),
             _section("[console]", port=demo.http_port)]
    for transport, header in (("tcp", "[[tcp]]"), ("udp", "[[udp]]"), ("pty", "[[serial]]")):
        rows = [device for device in s.devices() if device.transport == transport]
        for form in dict.fromkeys(scenarios.FORMATS[type(row)] for row in rows):
            heard = next(row for row in rows if scenarios.FORMATS[type(row)] == form)
            device = getattr(heard, "receiver", "") or (heard.id if transport == "pty" else "")
            where: dict[str, Any] = {"port": str(demo.folder / "serial")} if transport == "pty" else {"port": ports[transport]}
            parts.append(_section(header, name=f"{transport}-{form}", format=form, device=device, **where))
    if s.sensor:
        units = sensor_map.as_settings(s)
        parts.append(_section("[[modbus]]", name="yard", host="127.0.0.1", port=ports["modbus"], units=units))
    if s.camera:
        parts.append(_section("[imagery]", folder=str(demo.folder / "scenes"), sensor=s.camera[0].id, poll_s=1.0))
    return "\n".join(parts)


def run(demo: Demo, *, speed: float, for_s: float | None) -> int:
    """Run everything until a signal or for a time."""
    words = ["run", "--exercise", "--config", str(demo.config_path), "--clock", "wall" if speed == 1.0 else "messages"]
    roles = ["picture", *(["imagery"] if demo.scenario.camera else []), "console"]
    # what ingest opens, the simulator makes first, and waits until that listens: neither is too early for the other
    made = Once(lambda: _is_made(demo))
    children = [Child("ingest", [*words, "--only", "ingest"], when=made)]
    children += [Child(role, [*words, "--only", role]) for role in roles]
    children.append(Child("simulator", simulator_words(demo, speed)))
    return Supervisor(children).run(for_s)


class Once:
    """A question that is asked no more once the answer was yes: an ingest that ends is started again, whoever is there."""

    def __init__(self, ask: Callable[[], bool]):
        self._ask, self._yes = ask, False

    def __call__(self) -> bool:
        self._yes = self._yes or self._ask()
        return self._yes


def _is_made(demo: Demo) -> bool:
    """Whether the lines that the simulator makes are there."""
    used = {device.transport for device in demo.scenario.devices()}
    return ("pty" not in used or (demo.folder / "serial").exists()) and (
        "modbus" not in demo.ports or emit.listens("127.0.0.1", demo.ports["modbus"])
    )


def simulator_words(demo: Demo, speed: float) -> list[str]:
    """The command line of the simulator."""
    words = ["sim", "run", SCENARIO, "--speed", str(speed), "--wait", str(WAIT_S), "--truth", str(demo.folder / "truth.csv")]
    used = {device.transport for device in demo.scenario.devices()}
    for transport, port in demo.ports.items():
        words += ["--to", f"{transport}://127.0.0.1:{port}"]
    if "pty" in used:
        words += ["--to", f"pty:{demo.folder / 'serial'}"]
    if "scenes" in used:
        words += ["--to", str(demo.folder / "scenes")]
    return words


def next_steps(demo: Demo) -> list[tuple[str, str]]:
    """What to do with what the demo leaves behind: (command to copy, what it does)."""
    program, journal = own_command(), shlex.quote(demo.url)
    truth = shlex.quote(str(demo.folder / "truth.csv"))
    return [
        (f"{program} rebuild --journal {journal}", "make every track again and compare"),
        (f"{program} sim score --truth {truth} --journal {journal}", "against where everything really was"),
        (f"{program} replay --speed 10 --http-port {demo.http_port} --journal {journal}", "watch it again, faster"),
    ]


def own_command() -> str:
    """How a person in this shell calls this program again."""
    script = Path(sys.argv[0])
    if script.name != "birddog" or not script.exists():
        return f"{shlex.quote(sys.executable)} -m opsroom.cli"
    found = shutil.which("birddog")
    if found is not None and os.path.samefile(found, script):
        return "birddog"
    return shlex.quote(str(script))


def new_folder() -> Path:
    """A folder of its own below the present one, named by the time."""
    folder = Path(f"birddog-demo-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
    number = 1
    while True:
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1
            folder = folder.with_name(folder.name.rsplit("_", 1)[0] + f"_{number}")


def _section(header: str, **values: Any) -> str:
    return "\n".join([header, *(f"{key} = {_toml(value)}" for key, value in values.items() if value != "")]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[\n" + "".join(f"  {_toml(item)},\n" for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _free_ports(transports: list[str]) -> dict[str, int]:
    """A port that is free now for each transport, no two the same: they are held until all are found."""
    with contextlib.ExitStack() as held:
        found = {transport: held.enter_context(socket.socket()) for transport in transports}
        for s in found.values():
            s.bind(("127.0.0.1", 0))
        return {transport: s.getsockname()[1] for transport, s in found.items()}
