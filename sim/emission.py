"""One thing that a device sends: the noun between the device models, the faults and the transports."""

from __future__ import annotations

import msgspec

from sim.tables import Transport


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are due at a time.

    Args:
        at_ns: when it is sent, nanoseconds since the scenario's start.
        device: the identity that sends it.
        stream: the connection it belongs to: the file's name, the TCP connection, the receiver.
        transport, format: how it goes out, and the codec that wrote it.
        channel: the MQTT topic, or the name of a scene's file.
        payload: the bytes.
        records: the count that a Teltonika server answers with; 0: no answer is awaited.
        idle: nothing is sent; it only says that this device has nothing to say up to this time, so that the merge of all
            devices does not wait for it.
        login: what the stream says first on every connection (a tracker's IMEI).
        damaged: a fault broke the bytes: the device does not insist that it is taken.
        unit, registers: for Modbus, the unit and what its holding registers hold from now on.
    """

    at_ns: int
    device: str
    stream: str
    transport: Transport
    format: str
    channel: str = ""
    payload: bytes = b""
    records: int = 0
    idle: bool = False
    login: bool = False
    damaged: bool = False
    unit: int = 0
    registers: tuple[tuple[int, int], ...] = ()
