"""Modbus TCP as a target: a server that we open, whose holding registers hold what the sensors feel now.

The one place in this room that may import pymodbus.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from birddog.errors import UsageError
from sim.emission import Emission
from sim.emit import Target

#: Registers of one unit, from address 0.
REGISTERS = 64
UNITS = 247
START_S = 10.0


class ModbusEmitter:
    """One server for every Modbus unit of a scenario; a unit answers from its first emission on."""

    def __init__(self, target: Target):
        self._target = target
        self._banks: dict[int, list[int]] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._server: Any = None
        self.port = 0
        self._thread = threading.Thread(target=self._serve, name="modbus server", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S) or self._error is not None:
            raise UsageError(f"{target.text}: cannot listen: {self._error or 'no answer'}", field="--to")

    def send(self, emission: Emission) -> None:
        """From now on the unit's registers hold this."""
        bank = self._banks.setdefault(emission.unit, [0] * REGISTERS)
        for address, word in emission.registers:
            bank[address] = word

    def close(self, wait_s: float) -> list[str]:
        """Stop listening."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(5.0)
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        return []

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except (OSError, RuntimeError) as error:
            self._error = error if isinstance(error, OSError) else OSError(str(error))
            self._ready.set()
            self._loop.close()
            return
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _listen(self) -> None:
        import logging

        from pymodbus.constants import ExcCodes
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # a taken port is said below, in our words

        def device(unit: int) -> SimDevice:
            async def answer(_code: Any, _start: Any, address: int, count: int, current: list[int], _values: Any) -> Any:
                bank = self._banks.get(unit)
                if bank is None:
                    return ExcCodes.GATEWAY_NO_RESPONSE
                current[:] = bank[: len(current)]
                return None

            data = SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)
            return SimDevice(id=unit, simdata=[data], action=answer)

        self._server = ModbusTcpServer([device(unit) for unit in range(1, UNITS + 1)],
                                       address=(self._target.host, self._target.port))
        await self._server.listen()
        transport = getattr(self._server, "transport", None)
        if transport is None:
            raise OSError(f"port {self._target.port} is taken or not ours to open")
        self.port = transport.sockets[0].getsockname()[1]


def open_target(target: Target) -> ModbusEmitter:
    """Open the server."""
    return ModbusEmitter(target)
