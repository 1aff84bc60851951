"""Modbus poll over TCP or RTU: seismic, door, light and weight sensors that answer only when asked.

The one module of this room that imports pymodbus.  One thread a bus.  Each poll of a unit is one
Frame of format ``modbus``, whose payload says all that the codec needs, beside the registers as they
came::

    {"unit": 1, "readings": [{"address": 0, "type": "f32", "word_order": "big", "scale": 0.1,
                              "unit": "V", "quantity": "battery_voltage", "registers": [17096, 0]}]}

Registers that lie side by side in one table are read with one request.  A unit that doesn't answer
costs the bus one time-out, then is asked again after waits that double up to ``backoff_s``: the
others keep their pace.  pymodbus closes a line after some silent requests (pymodbus-dev/pymodbus#3012);
when a line is given up is decided here: when it fails, or when nobody on it has answered for a while.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec

from birddog.errors import ConfigError
from birddog.model import Frame
from devices.formats.modbus import MOST_SENTINELS
from ingest.address import check_call
from ingest.intake import Intake, Result
from ingest.sessions import GRACE_S, Backoff, new_session
from ingest.transport import Kind, Threaded

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_MOST_S = 0.5, 30.0
#: So many requests in a row without any answer, and a TCP line is opened anew (it may be half open).
SILENT_REQUESTS = 8
#: The protocol's limits for one request.
MAX_REGISTERS, MAX_BITS = 125, 2000
#: Exceptions by which a gateway says that the unit behind it does not answer.
_GATEWAY = frozenset({0x0A, 0x0B})
_WORDS = {"u16": 1, "i16": 1, "bool": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}


class Register(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantity of a unit: ``value = raw × scale + offset``.

    Args:
        address: from 0, as on the wire (a manual's 40001 is holding register 0).
        word_order: which word of a longer value comes first: ``big`` is the high one.
        byte_order: which byte of a register comes first: ``big`` is the high one, as the standard has it.
        not_available: raw values that mean that the sensor has none; None: those of the type (0xFFFF, 0x8000, NaN …).
        min, max: what ``value`` can be; beyond, it is refused.
    """

    address: int
    quantity: str
    type: Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool"] = "u16"
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    word_order: Literal["big", "little"] = "big"
    byte_order: Literal["big", "little"] = "big"
    scale: float = 1.0
    offset: float = 0.0
    not_available: tuple[int | float, ...] | None = None
    min: float | None = None
    max: float | None = None
    unit: str = ""


class Unit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One unit on the bus and how often it is asked."""

    unit: int
    device: Annotated[str, msgspec.Meta(min_length=1)]
    registers: tuple[Register, ...]
    poll_s: Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)] = 10.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[modbus]]``: one bus.

    Args:
        host, port: Modbus TCP: ``host`` and a port number; RTU: ``port`` is the path of a serial port.
        timeout_s: how long an answer is waited for; what a dead unit costs the others.
        backoff_s: the longest wait before a dead unit is asked again.
    """

    name: str
    units: tuple[Unit, ...]
    host: str = ""
    port: int | str = 502
    baud: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=600.0)] = 1.0
    backoff_s: Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)] = 60.0


class Span(msgspec.Struct, frozen=True):
    """Registers read with one request: ``count`` from ``address`` on in one table."""

    table: str
    address: int
    count: int
    registers: tuple[Register, ...]


def spans(registers: tuple[Register, ...]) -> list[Span]:
    """The fewest requests that read these registers and no other (a gap may not be readable)."""
    out: list[Span] = []
    for register in sorted(registers, key=lambda r: (r.table, r.address)):
        end = register.address + _WORDS[register.type]
        last = out[-1] if out else None
        most = MAX_BITS if register.table in ("coil", "discrete") else MAX_REGISTERS
        if last and last.table == register.table and register.address <= last.address + last.count <= last.address + most:
            count = max(last.count, end - last.address)
            if count <= most:
                out[-1] = Span(last.table, last.address, count, (*last.registers, register))
                continue
        out.append(Span(register.table, register.address, end - register.address, (register,)))
    return out


class _NoAnswer(Exception):
    """The unit did not answer in time, or its gateway says so."""


class _LineLost(Exception):
    """The connection or the serial port is gone."""


class _Polled:
    """A unit and how it has been doing."""

    def __init__(self, settings: Unit):
        self.settings, self.spans = settings, spans(settings.registers)
        self.failures = 0

    @property
    def dead(self) -> bool:
        return self.failures > 0


class ModbusPoll:
    """``run`` is the thread's body; ``stop`` and ``status`` may be called from any thread."""

    def __init__(self, settings: Settings, *, exercise: bool = False):
        check(settings, exercise)
        self.settings = settings
        self.name = f"modbus:{settings.name}"
        self.counts = dict.fromkeys(
            ("frames", "bytes", "acknowledged", "polls", "no_answer", "exceptions", "opens", "open_failures", "gaps"), 0)
        self.connected = False
        self.last_error = ""
        self._complaints: dict[int, tuple[int, str]] = {}
        self._warn_from_s = 0.0
        self._units = [_Polled(unit) for unit in settings.units]
        self._stop = threading.Event()

    def run(self, intake: Intake) -> None:
        """Connect, poll until the line is lost, wait, connect again; until ``stop``."""
        # it says "no response" at each poll of a dead unit; ours is said once, with the unit's name
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        self._warn_from_s = time.monotonic() + GRACE_S
        while not self._stop.is_set():
            client = self._client()
            try:
                if client.connect():
                    self.counts["opens"] += 1
                    self.connected = True
                    self._complaints.pop(-1, None)
                    log.info("%s: %s is open", self.name, self._where)
                    self._poll(client, intake, backoff)
                else:
                    self.counts["open_failures"] += 1
                    self._said(f"cannot open {self._where}")
            except _LineLost as error:
                self.counts["gaps"] += 1
                self._said(f"{self._where}: {error}")
            finally:
                self.connected = False
                client.close()
            self._stop.wait(backoff.next_s())

    def stop(self) -> None:
        """Ask ``run`` to end; it ends when the request under way has been answered or given up."""
        self._stop.set()

    def acknowledge(self, results: list[Result]) -> None:
        """Called on the writer's thread; a unit expects no answer."""
        self.counts["acknowledged"] += len(results)

    def status(self) -> dict[str, Any]:
        """Counters; ``units_silent`` of ``units`` are not answering now, ``unit_N_silent`` says which."""
        silent = {f"unit_{u.settings.unit}_silent": u.dead for u in self._units}
        return self.counts | silent | {
            "connected": self.connected, "reconnects": max(self.counts["opens"] - 1, 0), "units": len(self._units),
            "units_silent": sum(silent.values()), "last_error": self.last_error}

    @property
    def _where(self) -> str:
        own = self.settings
        return f"{own.host}:{own.port}" if own.host else str(own.port)

    def _client(self) -> Any:
        from pymodbus.client import ModbusSerialClient, ModbusTcpClient

        own = self.settings
        # one attempt a request: when a unit is asked again is decided here
        if own.host:
            return ModbusTcpClient(own.host, port=int(own.port), timeout=own.timeout_s, retries=0)
        return ModbusSerialClient(str(own.port), baudrate=own.baud, parity=own.parity, stopbits=own.stopbits,
                                  timeout=own.timeout_s, retries=0)

    def _poll(self, client: Any, intake: Intake, backoff: Backoff) -> None:
        """Ask each unit when its time has come, the most overdue first."""
        session = new_session(self.name)
        now_s = time.monotonic()
        due = [(now_s, i) for i in range(len(self._units))]
        silent = 0
        try:
            while not self._stop.is_set():
                at_s, i = due[0]
                if self._stop.wait(max(at_s - time.monotonic(), 0.0)):
                    return
                unit = self._units[i]
                self.counts["polls"] += 1
                readings, answered = self._ask(client, unit)
                if answered:
                    backoff.reset()
                    if unit.failures:
                        log.info("%s: unit %d answers again", self.name, unit.settings.unit)
                        self._complaints.pop(unit.settings.unit, None)
                    silent = unit.failures = 0
                    wait_s = unit.settings.poll_s
                else:
                    silent += 1
                    wait_s = min(unit.settings.poll_s * 2.0 ** min(unit.failures, 20),
                                 max(self.settings.backoff_s, unit.settings.poll_s))
                    unit.failures += 1
                if readings:
                    self._hand_over(unit.settings, readings, session, intake)
                # a bus that is behind skips polls; it doesn't catch up
                heapq.heapreplace(due, (max(at_s + wait_s, time.monotonic()), i))
                if silent >= SILENT_REQUESTS and self.settings.host:
                    raise _LineLost(f"no unit has answered the last {silent} polls")
        finally:
            intake.close_session(session)

    def _ask(self, client: Any, unit: _Polled) -> tuple[list[dict[str, Any]], bool]:
        """One poll: the readings, and whether the unit answered; what was read before it fell silent counts."""
        readings: list[dict[str, Any]] = []
        refused = 0
        for span in unit.spans:
            try:
                words = self._read(client, unit.settings.unit, span)
            except _NoAnswer as error:
                self.counts["no_answer"] += 1
                self._said(f"unit {unit.settings.unit} ({unit.settings.device}): {error}", unit.settings.unit)
                return readings, False
            if words is None:
                refused += 1
            else:
                readings += [_reading(register, words[register.address - span.address :]) for register in span.registers]
        if refused:
            self.counts["exceptions"] += refused
        return readings, True

    def _read(self, client: Any, unit: int, span: Span) -> list[int] | None:
        """The words or bits of a span; None where the unit says that it has no such registers.

        Raises:
            _NoAnswer, _LineLost
        """
        from pymodbus.exceptions import ConnectionException, ModbusException

        ask = {"holding": client.read_holding_registers, "input": client.read_input_registers,
               "coil": client.read_coils, "discrete": client.read_discrete_inputs}[span.table]
        try:
            answer = ask(span.address, count=span.count, device_id=unit)
        except ConnectionException as error:
            raise _LineLost(_words(error)) from error
        except ModbusException as error:
            if not client.is_socket_open():
                raise _LineLost(_words(error)) from error
            raise _NoAnswer(_words(error)) from error
        except OSError as error:
            raise _LineLost(str(error)) from error
        except Exception as error:  # boundary: pymodbus on a unit's rubbish: that unit's failure, not the bus's
            raise _NoAnswer(f"its answer can't be read: {type(error).__name__}") from error
        if answer.isError():
            code = answer.exception_code
            if code in _GATEWAY:
                raise _NoAnswer(f"its gateway answers exception {code}")
            self._said(f"unit {unit}: exception {code} for {span.table} {span.address}, {span.count} long", unit)
            return None
        if span.table in ("coil", "discrete"):
            got = [int(bit) for bit in answer.bits]
            fits = len(got) == (span.count + 7) // 8 * 8
        else:
            got = list(answer.registers)
            fits = len(got) == span.count
        if not fits:
            raise _NoAnswer(f"it answers with {len(got)} values instead of {span.count}")
        return got[: span.count]

    def _hand_over(self, unit: Unit, readings: list[dict[str, Any]], session: str, intake: Intake) -> None:
        payload = msgspec.json.encode({"unit": unit.unit, "readings": readings})
        frame = Frame(source=self.name, format="modbus", payload=payload, received_ns=time.time_ns(), device=unit.device,
                      channel=f"{self._where}/{unit.unit}", session=session)
        if intake.put(self, [frame], stop=self._stop.is_set):
            self.counts["frames"] += 1
            self.counts["bytes"] += len(payload)

    def _said(self, words: str, unit: int = -1) -> None:
        """Log what is wrong with a unit (or the line, -1) once, not at each poll."""
        # what has never answered may be starting beside us
        well = self.counts["opens"] if unit < 0 else self.counts["frames"]
        waiting = not well and time.monotonic() < self._warn_from_s
        level = logging.INFO if waiting else logging.WARNING
        if self._complaints.get(unit) != (level, words):
            log.log(level, "%s: %s%s", self.name, "waiting: " if waiting else "", words)
        self._complaints[unit] = level, words
        self.last_error = words


def _reading(register: Register, words: list[int]) -> dict[str, Any]:
    out: dict[str, Any] = {"address": register.address, "type": register.type, "word_order": register.word_order,
                           "scale": register.scale}
    if register.offset:
        out["offset"] = register.offset
    if register.byte_order != "big":
        out["byte_order"] = register.byte_order
    for name in ("not_available", "min", "max"):
        if (value := getattr(register, name)) is not None:
            out[name] = value
    return out | {"unit": register.unit, "quantity": register.quantity, "registers": words[: _WORDS[register.type]]}


def _words(error: Exception) -> str:
    words = str(error).removeprefix("Modbus Error: ").removeprefix("[Input/Output] ").removeprefix("[Connection] ")
    return "no answer in time" if words.startswith("No response received") else words


def check(settings: Settings, exercise: bool) -> None:
    """Refuse what can't work; a line that is not there now may come.

    Raises:
        ConfigError, UsageError
    """
    field = f"modbus {settings.name!r}"
    if settings.host and not (isinstance(settings.port, int) and 0 < settings.port <= 65535):
        raise ConfigError("with a host, wants a port number", field=f"{field}.port")
    if not settings.host and not (isinstance(settings.port, str) and settings.port):
        raise ConfigError("wants host and port, or the path of a serial port as port", field=f"{field}.port")
    for name in ("timeout_s", "backoff_s", "baud"):
        if not getattr(settings, name) > 0:
            raise ConfigError("wants a positive number", field=f"{field}.{name}")
    if not settings.units:
        raise ConfigError("wants at least one unit", field=f"{field}.units")
    seen: set[int] = set()
    for unit in settings.units:
        here = f"{field}.units unit {unit.unit}"
        if not 0 <= unit.unit <= 255:
            raise ConfigError("a unit is 0 to 255", field=here)
        if unit.unit in seen:
            raise ConfigError("is named twice", field=here)
        seen.add(unit.unit)
        if not unit.poll_s > 0:
            raise ConfigError("wants a positive number", field=f"{here}.poll_s")
        if not unit.registers:
            raise ConfigError("wants at least one register", field=here)
        for register in unit.registers:
            if not 0 <= register.address <= 65536 - _WORDS[register.type]:
                raise ConfigError("an address is 0 to 65535", field=f"{here} address {register.address}")
            if not all(isfinite(n) for n in (register.scale, register.offset, register.min or 0.0, register.max or 0.0)):
                raise ConfigError("scale, offset, min and max are finite numbers", field=f"{here} address {register.address}")
            if register.min is not None and register.max is not None and register.min > register.max:
                raise ConfigError("min is above max", field=f"{here} address {register.address}")
            if len(register.not_available or ()) > MOST_SENTINELS or not all(isfinite(n) for n in register.not_available or ()):
                raise ConfigError(f"not_available is a list of at most {MOST_SENTINELS} finite numbers",
                                  field=f"{here} address {register.address}")
            if register.table in ("coil", "discrete") and register.type != "bool":
                raise ConfigError(f'a {register.table} is one bit: type = "bool"', field=f"{here} address {register.address}")
    if settings.host:
        check_call(settings.host, field=f"{field}.host", exercise=exercise)


KIND = Kind("modbus", Settings, check,
            lambda settings, room: Threaded(ModbusPoll(settings, exercise=room.exercise), room))
