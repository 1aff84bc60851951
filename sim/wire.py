"""The simulator's pen: what a device model has measured, written by the format's own ``encode``.

The only place in this room that calls a codec; the models say what a device measured, this says it in the codec's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devices import codec
from sim import sensor_map

if TYPE_CHECKING:
    from sim.measured import Measured


def owntracks(
    *, lat_deg: float, lon_deg: float, time_ns: int, accuracy_m: float, speed_mps: float, course_deg: float,
    battery_percent: float, user_device: str,
) -> bytes:  # fmt: skip
    """One OwnTracks location."""
    return codec.load("owntracks").encode(
        lat_deg=lat_deg, lon_deg=lon_deg, time_ns=time_ns, accuracy_m=accuracy_m, speed_mps=speed_mps, course_deg=course_deg,
        battery_percent=battery_percent, user_device=user_device,
    )  # fmt: skip


def load_payload(lat_deg: float, lon_deg: float, time_ns: int, number: int) -> bytes:
    """A small OwnTracks message of the load generator; ``number`` makes every one another."""
    return b'{"_type":"location","lat":%.6f,"lon":%.6f,"tst":%d,"n":%d}' % (lat_deg, lon_deg, time_ns // 1_000_000_000, number)


def nmea(*, time_ns: int, m: Measured, satellites: int) -> bytes:
    """RMC, GGA and GST (how good the fix is) of one second."""
    return codec.load("nmea").encode(
        lat_deg=m.lat_deg, lon_deg=m.lon_deg, time_ns=time_ns, speed_mps=m.speed_mps, course_deg=m.course_deg, alt_m=2.0,
        satellites=satellites, sigma_m=m.sigma_m, which="RMC+GGA+GST",
    )  # fmt: skip


def teltonika_login(imei: str) -> bytes:
    """What a tracker says first on a connection."""
    return codec.load("teltonika").encode(login=imei)


def teltonika(records: list[tuple[int, Measured, int, float]]) -> bytes:
    """One packet of codec 8 Extended; a record is (time_ns, measured, satellites, battery volts)."""
    return codec.load("teltonika").encode(records=[
        {
            "time_ns": time_ns, "lat_deg": m.lat_deg, "lon_deg": m.lon_deg, "alt_m": 3.0, "speed_mps": m.speed_mps,
            "course_deg": m.course_deg, "satellites": satellites, "moving": m.speed_mps > 0.5, "battery_volt": volt,
        }
        for time_ns, m, satellites, volt in records
    ])  # fmt: skip


def ais_position(*, mmsi: int, time_ns: int, m: Measured, receiver: str) -> bytes:
    """A class A position report with the receiver's tag block (its clock, in seconds)."""
    return codec.load("ais").encode(
        mmsi=mmsi, lat_deg=m.lat_deg, lon_deg=m.lon_deg, time_ns=time_ns, speed_mps=m.speed_mps, course_deg=m.course_deg,
        heading_deg=m.course_deg, station=receiver,
    )  # fmt: skip


def ais_static(
    *, mmsi: int, time_ns: int, name: str, ship_type: int, length_m: float, beam_m: float, sequence: int, receiver: str
) -> bytes:
    """Name, type and size (type 5, two sentences)."""
    return codec.load("ais").encode(
        mmsi=mmsi, time_ns=time_ns, name=name, ship_type=ship_type, length_m=length_m, beam_m=beam_m, draught_m=5.0,
        destination="EXERCISE", sequence=sequence, station=receiver,
    )  # fmt: skip


def impinj(*, reader: str, time_ns: int, epc_uri: str, antenna: int, rssi_dbm: float) -> bytes:
    """One tagInventory event."""
    return codec.load("impinj").encode(reader=reader, time_ns=time_ns, epc_uri=epc_uri, antenna=antenna, rssi_dbm=rssi_dbm)


def modbus(*, unit: int, words: tuple[int, ...]) -> bytes:
    """What a poll of the sensor's whole map would have brought."""
    rows = [row | {"registers": list(words[row["address"] :][: sensor_map.width(row)])} for row in sensor_map.REGISTERS]
    return codec.load("modbus").encode(unit=unit, readings=rows)
