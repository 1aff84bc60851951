"""How fast the codecs are, each beside the decoder that anybody else would take, in one interleaved run.

    python benchmarks/decode_rates.py [--rounds 7] [--no-record]

A round runs every decoder for 0.25 s of process time after one another, so that a busy machine slows both sides of a ratio;
the figure is the median of the rounds.  Each pair reads the same messages: a fleet's OwnTracks, a receiver's RMC and GGA,
NAV-PVT, class A reports, Teltonika packets of four records.  Ours includes the check sum, the range checks and the
typed observation; json.loads alone does none of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trend import record

from devices.codec import Message
from devices.formats import ais, nmea, owntracks, teltonika, ubx

START_NS = 1_761_990_000_000_000_000
ROUND_S = 0.25


def place(k: int) -> dict[str, float]:
    return {"lat_deg": 51.9 + k * 1e-4, "lon_deg": 4.1 + k * 1e-4, "speed_mps": 5.0 + k % 10, "course_deg": k % 360}


def ours(module, payloads: list[bytes], **context) -> Callable[[], None]:
    messages = [Message(payload=p, received_ns=START_NS, **context) for p in payloads]
    decoder = module.Decoder()

    def run() -> None:
        for message in messages:
            decoder.decode(message)

    return run


def each(decode: Callable, payloads: list) -> Callable[[], None]:
    def run() -> None:
        for payload in payloads:
            decode(payload)

    return run


def jobs() -> tuple[dict[str, tuple[Callable[[], None], int]], list[tuple[str, str, str, float]]]:
    """({name: (run, messages a run)}, [(ours, beside, what the ratio is called, target)])."""
    import pyais
    from pynmeagps import NMEAReader
    from pyubx2 import UBXReader

    n = 200
    phones = [
        owntracks.encode(
            time_ns=START_NS + k * 10**9, accuracy_m=12, alt_m=4, battery_percent=71, user_device="eagle-3", **place(k)
        )
        for k in range(n)
    ]
    gps = [
        nmea.encode(time_ns=START_NS + k * 10**9, alt_m=4.0, which=which, **place(k))
        for k in range(n // 2)
        for which in ("RMC", "GGA")
    ]
    pvt = [ubx.encode(time_ns=START_NS + k * 10**9, alt_m=4.0, **place(k)) for k in range(n)]
    reports = [ais.encode(mmsi=244_660_000 + k, time_ns=START_NS, heading_deg=k, **place(k)) for k in range(n)]
    packets = [
        teltonika.encode(records=[{"time_ns": START_NS + (4 * k + i) * 10**9, "battery_volt": 3.9, "moving": True, **place(k)}
                                  for i in range(4)])
        for k in range(n // 4)
    ]  # fmt: skip
    named = {
        "json.loads": (each(json.loads, phones), n),
        "owntracks": (ours(owntracks, phones, topic="owntracks/team/eagle-3"), n),
        "pynmeagps": (each(NMEAReader.parse, gps), n),
        "nmea": (ours(nmea, gps, device="gps1"), n),
        "pyubx2": (each(UBXReader.parse, pvt), n),
        "ubx": (ours(ubx, pvt, device="gps1"), n),
        "pyais": (each(pyais.decode, [r.strip() for r in reports]), n),
        "ais": (ours(ais, reports), n),
        "teltonika records": (ours(teltonika, packets, device="356307042441013"), n),
    }
    pairs = [
        ("owntracks", "json.loads", "owntracks / json.loads", 1.0),
        ("nmea", "pynmeagps", "nmea / pynmeagps", 10.0),
        ("ubx", "pyubx2", "ubx / pyubx2", 10.0),
        ("ais", "pyais", "ais / pyais", 0.8),
        ("teltonika records", "json.loads", "teltonika records / json.loads", 0.25),
    ]
    return named, pairs


def main() -> int:
    ask = argparse.ArgumentParser(description="Rates of the codecs beside other decoders.")
    ask.add_argument("--rounds", type=int, default=7)
    ask.add_argument("--no-record", action="store_true", help="do not append to trend.csv")
    args = ask.parse_args()
    named, pairs = jobs()
    rates: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(args.rounds):
        for name, (run, count) in named.items():
            begun, times = time.process_time(), 0
            while (spent := time.process_time() - begun) < ROUND_S:
                run()
                times += 1
            rates[name].append(times * count / spent)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in middle.items():
        print(f"{name:20s} {rate:10.0f} /s   {min(rates[name]):.0f} to {max(rates[name]):.0f}")
    short = False
    for mine, beside, name, target in pairs:
        ratio = statistics.median(a / b for a, b in zip(rates[mine], rates[beside], strict=True))
        print(f"{name:32s} {ratio:6.2f}   (target {target})")
        short |= ratio < target
        if not args.no_record:
            record("decode_rates", name, ratio)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
