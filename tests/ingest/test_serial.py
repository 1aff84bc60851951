"""Serial port on real ptys: unplugged, plugged again elsewhere, noise, no busy loop."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import tty

import pytest
import serial

from birddog.errors import ConfigError
from ingest import serial_port
from ingest.serial_port import SerialPort, Settings

pytestmark = pytest.mark.usefixtures("toys")


class Plug:
    """A pty behind a symbolic link, as /dev/serial/by-id is one: pull() takes it away, plug() brings another."""

    def __init__(self, link):
        self.link, self._far, self._near = link, -1, -1
        self.plug()

    def plug(self):
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        made = self.link.with_suffix(".new")
        made.symlink_to(os.ttyname(self._near))
        made.rename(self.link)

    def pull(self, *, link=True):
        if link:
            self.link.unlink()
        for handle in (self._far, self._near):
            os.close(handle)

    def leave(self):
        """Forget the present pty without closing it (its file stays, nothing comes any more)."""
        left = self._far, self._near
        return lambda: [os.close(handle) for handle in left]

    def send(self, data):
        os.write(self._far, data)

    def receive(self, n):
        return os.read(self._far, n)


@contextlib.contextmanager
def running(source, intake):
    thread = threading.Thread(target=source.run, args=(intake,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        source.stop()
        thread.join(10)
        assert not thread.is_alive(), "the port's thread does not end"


@pytest.fixture
def plug(tmp_path):
    return Plug(tmp_path / "gps")


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    monkeypatch.setattr(serial_port, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(serial_port, "RETRY_MOST_S", 0.2)


def port(plug, **more):
    return SerialPort(Settings(**{"name": "gps1", "port": str(plug.link), "format": "toyline"} | more))


def test_unplugged_and_plugged_again_without_a_restart(plug, desk):
    source = port(plug)
    with running(source, desk.intake):
        desk.until(lambda: source.connected)
        plug.send(b"$a 1\n$b 2\n$hal")
        desk.until(lambda: len(desk.frames) == 2)
        plug.pull()
        desk.until(lambda: source.status()["open_failures"] >= 2)  # it keeps trying
        assert not source.connected and desk.closed == [desk.frames[0].session]
        plug.plug()
        desk.until(lambda: source.connected)
        plug.send(b"f 9\n$c 3\n")
        desk.until(lambda: len(desk.frames) == 5)
        status = source.status()
    assert desk.payloads == [b"$a 1\n", b"$b 2\n", b"$hal", b"f 9\n", b"$c 3\n"]
    assert [f.reject.reason if f.reject else "" for f in desk.frames] == ["", "", "framing", "framing", ""]
    assert status["gaps"] == 1 and status["reconnects"] == 1 and status["frames"] == 5 and status["rejects"] == 2
    assert desk.frames[0].session != desk.frames[-1].session
    assert {f.device for f in desk.frames} == {"gps1"} and {f.source for f in desk.frames} == {"serial:gps1"}
    desk.take()
    assert len(desk.closed) == 2


def test_a_port_that_is_not_there_at_the_start_is_waited_for(plug, desk):
    plug.pull()
    source = port(plug, device="receiver-7")
    with running(source, desk.intake):
        desk.until(lambda: source.status()["open_failures"] >= 3)
        assert "gps" in source.status()["last_error"] and source.status()["gaps"] == 0
        plug.plug()
        desk.until(lambda: source.connected)
        plug.send(b"$a 1\n")
        desk.until(lambda: len(desk.frames) == 1)
    assert desk.frames[0].device == "receiver-7"


@pytest.mark.parametrize(("grace_s", "level"), [(60.0, "INFO"), (0.0, "WARNING")])
def test_what_starts_beside_us_is_waited_for_without_a_warning(plug, desk, caplog, monkeypatch, grace_s, level):
    caplog.set_level("INFO")
    monkeypatch.setattr(serial_port, "GRACE_S", grace_s)
    plug.pull()
    source = port(plug)
    with running(source, desk.intake):
        desk.until(lambda: source.status()["open_failures"] >= 2)
        plug.plug()
        desk.until(lambda: source.connected)
        said = [r for r in caplog.records if r.name == "ingest.serial_port"]
        assert [(r.levelname, "waiting" in r.message) for r in said] == [(level, level == "INFO"), ("INFO", False)]
        assert "is open" in said[1].message
        plug.pull()  # once it was there, its going is a warning at once
        desk.until(lambda: not source.connected)
        desk.until(lambda: caplog.records[-1].levelname == "WARNING")


def test_a_path_that_leads_to_another_device_is_opened_anew(plug, desk):
    source = port(plug)
    with running(source, desk.intake):
        desk.until(lambda: source.connected)
        close = plug.leave()  # the old pty lives on and says nothing
        plug.plug()
        desk.until(lambda: source.status()["reconnects"] == 1)
        plug.send(b"$a 1\n")
        desk.until(lambda: len(desk.frames) == 1)
        close()
    assert source.status()["gaps"] == 1


def test_it_waits_in_the_kernel_and_does_not_spin(plug, desk, watched, monkeypatch):
    """Every read that brings nothing has waited its time, and every attempt to open is followed by a wait that grows."""
    empty: list[float] = []
    real = serial.Serial.read

    def read(line, size=1):
        begun = time.monotonic()
        data = real(line, size)
        if not data:
            empty.append(time.monotonic() - begun)
        return data

    monkeypatch.setattr(serial.Serial, "read", read)
    source = port(plug)
    waits = watched(source)
    with running(source, desk.intake):
        desk.until(lambda: len(empty) >= 3)
        assert min(empty[:3]) > 0.9 * serial_port.READ_S and not waits
        plug.pull()
        desk.until(lambda: source.status()["open_failures"] >= 2 and len(waits) >= 3)
    least_s = serial_port.RETRY_FIRST_S / 2
    assert all(wait >= min(least_s * 2**i, serial_port.RETRY_MOST_S / 2) for i, wait in enumerate(waits))


def test_noise_between_frames_is_kept_and_the_stream_goes_on(plug, desk):
    source = port(plug)
    noise = bytes(range(128, 256)) + b"\n"
    with running(source, desk.intake):
        desk.until(lambda: source.connected)
        plug.send(b"$a 1\n" + noise + b"$b 2\n")
        desk.until(lambda: len(desk.frames) == 3)
    assert b"".join(desk.payloads) == b"$a 1\n" + noise + b"$b 2\n"
    assert [bool(f.reject) for f in desk.frames] == [False, True, False]


def test_an_answer_goes_out_after_the_commit_and_not_to_the_next_device(plug, desk):
    source = port(plug)
    with running(source, desk.intake):
        desk.until(lambda: source.connected)
        plug.send(b"$a 1\n")
        desk.until(lambda: len(desk.frames) == 1, commit=False)
        desk.commit(lambda frame: b"ok\n")
        assert plug.receive(10) == b"ok\n"
        plug.send(b"$b 2\n")
        desk.until(lambda: len(desk.frames) == 2, commit=False)
        plug.pull()
        desk.until(lambda: not source.connected, commit=False)
        desk.commit(lambda frame: b"too late\n")
        plug.plug()
        desk.until(lambda: source.status()["unsent_replies"] == 1)


def test_stop_while_the_intake_is_full(plug, hand_desk):
    full = hand_desk(capacity=1)
    source = port(plug)
    with running(source, full.intake):
        full.until(lambda: source.connected)
        plug.send(b"$a 1\n")
        end = time.monotonic() + 10
        while full.intake.held == 0 and time.monotonic() < end:
            time.sleep(0.01)
        plug.send(b"$b 2\n")


@pytest.mark.parametrize(("more", "said"), [
    ({"format": "toylin"}, "no format"),
    ({"format": "toydot"}, "no stream format"),
    ({"port": ""}, "path of a serial port"),
    ({"baud": 0}, "positive"),
])
def test_settings_that_are_refused(plug, more, said):
    with pytest.raises(ConfigError, match=said):
        port(plug, **more)
