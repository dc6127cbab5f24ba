"""The line by Modbus TCP: this is the server, the PLC asks and writes.

Coils 0 to 5 (also as discrete inputs): ready, busy, valid, accept, reject, other. Holding registers (also as input
registers): 0 trigger, the number of the part, written by the PLC; 1 the number of the part that the result belongs to;
2 the six bits again, ready lowest, so that one read gets all; 3 heartbeat; 4 score times 10,000; 5 version of the
model.
"""

import asyncio
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .result import Result

BITS, REGISTERS, TRIGGER, HEARTBEAT = 6, 6, 0, 3
WRITE_COILS, WRITE_REGISTERS, WRITE_REGISTER = 15, 16, 6
DEVICE = 1


class Modbus:
    """A Modbus TCP server at HOST:PORT."""

    def __init__(self, address: str, announce: Callable[[int], None]):
        try:
            self.library: Any = import_module("pymodbus.server")
            self.simulator: Any = import_module("pymodbus.simulator")
        except ImportError:
            raise ValueError("Modbus needs one more package: pip install 'zansa[line]'") from None
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{address} is no place to listen; needed is HOST:PORT, such as 127.0.0.1:502")
        self.host, self.port, self.announce = host, int(port), announce
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.begun, self.server, self.fault = threading.Event(), None, ""
        self.last = 0

    def start(self) -> None:
        """Begin to listen; ValueError where the place is taken."""
        self.thread.start()
        self.begun.wait(10)
        if self.fault:
            raise ValueError(f"Modbus cannot listen at {self.host}:{self.port}: {self.fault}")

    def stop(self) -> None:
        """End; who is connected is cut off."""
        if self.server is not None:
            asyncio.run_coroutine_threadsafe(self.server.shutdown(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def show(self, result: Result) -> None:
        """Put a state into coils and registers, the number last."""
        bits = result.bits
        status = sum(bit << place for place, bit in enumerate(bits))
        score = round(10_000 * float(result.told.get("score") or 0.0))
        registers = [result.number % 2**16, status]
        self._call(self._put(bits, {1: registers, 4: [score, int(result.told.get("version", 0)) % 2**16]}))

    def beat(self, number: int) -> None:
        """Put the heartbeat into its register."""
        self._call(self._put(None, {HEARTBEAT: [number % 2**16]}))

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop)

    async def _put(self, bits: list[bool] | None, registers: dict[int, list[int]]) -> None:
        if self.server is None:
            return
        for address, values in registers.items():
            await self.server.async_setValues(DEVICE, WRITE_REGISTERS, address, values)
        if bits is not None:
            await self.server.async_setValues(DEVICE, WRITE_COILS, 0, bits)

    async def _action(self, code: int, start: int, address: int, count: int, current: list, written: Any) -> None:
        """A part is announced by a new number in the trigger register; what the PLC writes elsewhere changes nothing
        for long, since every state is put there whole."""
        if code in (WRITE_REGISTER, WRITE_REGISTERS) and address == TRIGGER and written and count == len(written):
            number = int(written[0])
            if number and number != self.last:
                self.last = number
                self.announce(number)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._begin())
        except (OSError, RuntimeError) as error:
            self.fault = str(error)
        self.begun.set()
        if not self.fault:
            self.loop.run_forever()
        self.loop.close()

    async def _begin(self) -> None:
        kind = self.simulator.DataType
        data = self.simulator.SimData
        coils = data(0, values=[False] * 16, datatype=kind.BITS)
        registers = data(0, values=[0] * REGISTERS, datatype=kind.REGISTERS)
        device = self.simulator.SimDevice(
            DEVICE, simdata=([coils], [coils], [registers], [registers]), action=self._action
        )
        server = self.library.ModbusTcpServer(device, address=(self.host, self.port))
        if not await server.listen():
            raise OSError("the port is taken or not allowed")
        self.server = server
