"""What the evidence log costs: the full path of a record beside SHA-256 alone, and the desk's rate with the log over without.

    python benchmarks/evidence.py [--records N] [--append]

CPU time of this process, the least of five rounds.  A record is an OwnTracks message of one fix, as the desk packs it.
``path`` is all that the log adds: a salted commitment to each field, statement, leaf, tree, and AES-256-GCM of a case's.
``desk`` decodes, judges, packs and commits batches of 500 to a journal on disk, in turn with and without the log.  All on one
thread: an endpoint hashes while its other threads run (benchmarks/endpoint.py).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from trend import record

from birddog.journal import Home, home, open_writer
from birddog.journal.evidence import Evidence
from birddog.leaves import load
from birddog.model import Attachment, Device, Draft, Fix, Frame, FrameBody, Operation, Verdict, pack
from devices import codec
from ingest.control import own
from ingest.desk import Desk
from ingest.intake import Entries

T0 = 1_790_000_000 * 10**9


def least(run: Callable[[], None], count: int) -> float:
    """Microseconds of CPU a record, the least of five."""
    found = []
    for _ in range(5):
        begun = time.process_time()
        run()
        found.append((time.process_time() - begun) / count * 1e6)
    return min(found)


def draft(k: int, operation: str, each_ns: int = 1) -> Draft:
    """The k-th fix, as the desk packs it."""
    at_ns = T0 + k * each_ns
    where = Fix(device="phone-a", time_ns=at_ns, lat_deg=51.9 + k * 1e-6, lon_deg=4.0, alt_m=3.0, sigma_m=5.3, speed_mps=2.0,
                course_deg=20.0, attributes={"batt": 77, "conn": "m", "trigger": "t"})
    body = FrameBody(format="owntracks", version=3, payload=b"x" * 200, device="phone-a", channel="owntracks/u/phone-a",
                     session="0123456789abcdef", observations=(where,), verdicts=(Verdict(operation, "van", "warrant"),))
    return Draft(kind="frame", received_ns=at_ns, source="mqtt", ident=sha256(b"%d" % k).digest()[:20], body=pack(body),
                 operation=operation, observations=1)


def path(count: int, folder: Path) -> dict[str, float]:
    """The path of a record, and SHA-256 of its body alone."""
    out = {}
    for name, operation in (("in clear", "open"), ("of a case", "CASE")):
        evidence = Evidence(Home(folder / f"{operation}.db"))
        evidence.begin(1)
        drafts, numbers = [draft(k, operation) for k in range(count)], range(1, count + 1)

        def run(evidence: Evidence = evidence, drafts: list[Draft] = drafts, numbers: range = numbers) -> None:
            for at in range(0, count, 500):
                evidence.take(evidence.rows(numbers[at : at + 500], drafts[at : at + 500]))

        out[name] = least(run, count)
        bodies = [d.body for d in drafts]
        out["SHA-256"] = least(lambda bodies=bodies: [sha256(body).digest() for body in bodies], count)  # type: ignore[misc]
    return out


class Source:
    """Nobody waits for an answer."""

    name = "mqtt"

    def acknowledge(self, results: object) -> None:
        """Passed over."""


def desk(count: int, folder: Path, *, log: bool, case: bool, turn: int) -> float:
    """Microseconds of CPU a message of the desk with its commits."""
    url = f"sqlite:///{folder}/{'log' if log else 'plain'}{case}{turn}.db"
    writer = open_writer(url, mode="live", log=log)
    taken = Desk(writer, exercise=False, refusal_key=b"k" * 32)
    said = [Operation(operation="CASE"), Device(device="phone", basis="warrant" if case else "open")]
    said += [Attachment(device="phone", shipment="van", operation="CASE", from_ns=0)] if case else []
    taken.take([Entries([own(body, source="op") for body in said], lambda numbers: None)], T0)
    phone = codec.load("owntracks")
    frames = []
    for k in range(count):
        payload = phone.encode(time_ns=T0 + k * 10**9, lat_deg=51.9, lon_deg=4.0 + k * 1e-6, accuracy_m=8)
        frames.append(Frame(source="mqtt", format="owntracks", payload=payload, received_ns=T0 + k * 10**9, device="phone",
                            session="s", packet=k % 60_000 + 1))
    begun = time.process_time()
    for at in range(0, count, 500):
        taken.take([(Source(), frames[at : at + 500])], T0 + count * 10**9)
        if at % 10_000 == 9_500:  # the writer signs every 0.6 s, of some 20,000 messages a second
            writer.checkpoint()
    spent = time.process_time() - begun
    counted = writer.counts()
    writer.close()
    assert home(url).log.exists() == log and (counted.observations, counted.rejects) == (count, {}), counted
    return spent / count * 1e6


def main() -> None:
    """Print, and append to the trend where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--append", action="store_true", help="add the ratios to benchmarks/trend.csv")
    args = parser.parse_args()
    load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = path(args.records, folder)
        for what, us in costs.items():
            print(f"{what:>12}  {us:6.2f} us a record  {us / costs['SHA-256']:5.1f} x SHA-256")
        for case in (False, True):
            without, with_log = [], []
            for turn in range(4):
                without.append(desk(args.records, folder, log=False, case=case, turn=turn))
                with_log.append(desk(args.records, folder, log=True, case=case, turn=turn))
            ratio = min(without) / min(with_log)
            kind = "of a case" if case else "in clear"
            print(f"desk, {kind}: {min(without):.1f} us without, {min(with_log):.1f} us with the log, {ratio:.2f} of the rate")
            if args.append:
                record("evidence", f"desk's rate with the log over without, {kind}", ratio)


if __name__ == "__main__":
    main()
