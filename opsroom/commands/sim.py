"""``birddog sim list|check|enrol|run|load|score``: the simulator, in real wire formats."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, json_option, print_json, print_table, say

#: The longest play, 90 days; a folder would fill the disk otherwise.
MOST_S = 90 * 86_400.0
_Y2000_NS, _Y2080_NS = 946_684_800 * 10**9, 3_471_292_800 * 10**9


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the scenarios that come with the program")
    json_option(listing)
    check = actions.add_parser("check", help="read a scenario and say whether it is right")
    check.add_argument("scenario", metavar="SCENARIO", help="a name, or a .toml file")
    enrol = actions.add_parser("enrol", help="enter a scenario's operations, devices and places into an exercise journal")
    enrol.add_argument("scenario", metavar="SCENARIO", help="a name, or a .toml file")
    enrol.add_argument("--start", metavar="TIME", help="attached from a minute before then on (default: the scenario's start)")
    run_ = actions.add_parser("run", help="play a scenario into files or against live targets")
    run_.add_argument("scenario", metavar="SCENARIO", help="a name, or a .toml file")
    run_.add_argument("--to", metavar="TARGET", action="append", required=True,
                      help="mqtt://host, mqtts://host, tcp://host:port, udp://host:port, modbus://host:port (opened here), "
                           "pty:LINK or a folder; repeat, one a transport; a folder takes what no other target takes")
    run_.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed gives the same bytes (default 1)")
    run_.add_argument("--speed", type=float, default=1.0, metavar="X", help="times life, against live targets (default 1)")
    run_.add_argument("--start", metavar="TIME", help="when it begins (default: a fixed time for files, now for live targets)")
    run_.add_argument("--for", dest="for_s", type=float, metavar="SECONDS",
                      help="scenario seconds to play (default: the scenario's duration for files, until stopped for live)")
    run_.add_argument("--certs", metavar="DIR", default="",
                      help="for mqtts://: a folder with ca.pem and, a device, ID.pem and ID.key")
    run_.add_argument("--wait", dest="wait_s", type=float, default=0.0, metavar="SECONDS",
                      help="wait so long for targets that must listen; begin when they do (default: fail at once)")
    run_.add_argument("--truth", metavar="FILE", help="write where everything really was, every second (CSV)")
    load = actions.add_parser("load", help="many devices, and how many messages a second come back acknowledged")
    load.add_argument("--devices", type=int, default=100, metavar="N", help="connections (default 100)")
    load.add_argument("--rate", type=float, default=0.0, metavar="R",
                      help="messages a second of all devices together; 0: as many as come back (default)")
    load.add_argument("--for", dest="for_s", type=float, default=10.0, metavar="SECONDS", help="how long (default 10)")
    load.add_argument("--to", metavar="URL", required=True, help="mqtt://host[:port]")
    score = actions.add_parser("score", help="the picture of a journal against the truth")
    score.add_argument("--truth", metavar="FILE", required=True, help="what sim run --truth wrote")
    score.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between the moments compared (default 5)")
    journal_option(enrol)
    journal_option(score)
    for sub in (load, score):
        json_option(sub)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    actions = {"list": _list, "check": _check, "enrol": _enrol, "run": _run, "load": _load, "score": _score}
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from sim import scenario

    rows = [(name, scenario.load(name)) for name in scenario.names()]
    if args.json:
        print_json([{"scenario": name, "title": s.scenario.title, "devices": len(s.devices())} for name, s in rows])
    else:
        print_table(("scenario", "title", "devices"), [(name, s.scenario.title, len(s.devices())) for name, s in rows])
    return 0


def _check(args: argparse.Namespace) -> int:
    from sim import scenario

    s = scenario.load(args.scenario)
    scenario.build(s, 1)
    transports: dict[str, list[str]] = {}
    for d in s.devices():
        transports.setdefault(d.transport, []).append(d.id)
    for transport, ids in transports.items():
        print(f"{transport}: {', '.join(ids)}")
    say(f"{args.scenario}: ok")
    return 0


def _enrol(args: argparse.Namespace) -> int:
    import time

    from birddog.errors import UsageError
    from opsroom.registers import Registers
    from sim import scenario

    s = scenario.load(args.scenario)
    # from the fixed start that files have, so that a folder's messages are of attached devices, and so are those of now
    start_ns = _start(args.start) or min(s.start_ns, time.time_ns())
    registers = Registers(args.journal, create=True, exercise=True)
    if registers.mode != "exercise":
        raise UsageError("is a live journal and refuses exercise data", field="--journal")
    bodies = scenario.registers(s, start_ns)
    registers.enter(*bodies)
    say(f"{args.scenario}: {len(bodies)} entries in {registers.path}")
    return 0


def _run(args: argparse.Namespace) -> int:
    import signal
    import time

    from birddog.errors import UsageError
    from opsroom.signals import Stop
    from sim import emit
    from sim.run import play

    if args.for_s is not None and not 0.0 < args.for_s <= MOST_S:
        raise UsageError(f"wants seconds above 0, at most {MOST_S:.0f}", field="--for")
    if "" in args.to:
        raise UsageError("wants a target, or . for this folder", field="--to")
    if not 0.0 <= args.wait_s <= MOST_S:
        raise UsageError(f"wants seconds from 0 to {MOST_S:.0f}", field="--wait")
    start_ns, now = _start(args.start), None
    if start_ns is None and emit.is_live([emit.parse(t) for t in args.to]):
        if args.wait_s:
            now = time.time_ns
        else:
            start_ns = time.time_ns()
    stop = Stop((signal.SIGINT, signal.SIGTERM))
    played = play(args.scenario, args.to, seed=args.seed, start_ns=start_ns, speed=args.speed, stop=stop,
                  truth_path=args.truth, for_s=args.for_s, say=say, certs=args.certs, wait_s=args.wait_s, now=now)
    counts = ", ".join(f"{n} {transport}" for transport, n in played.sent.items()) or "nothing"
    say(f"sent in {played.seconds:.0f} s of the scenario: {counts}")
    for remark in played.remarks:
        say(remark)
    return 1 if played.remarks else 0


def _start(text: str | None) -> int | None:
    from birddog.errors import UsageError
    from opsroom.commands.common import time_ns

    if text is None:
        return None
    start_ns = time_ns(text, "--start")
    if not _Y2000_NS <= start_ns < _Y2080_NS:
        # NMEA has two digits for the year, GPS weeks begin in 1980, AIS archives before 2000 do not exist
        raise UsageError("wants a time of the years 2000 to 2079, which every simulated format can say", field="--start")
    return start_ns


def _load(args: argparse.Namespace) -> int:
    import time

    import msgspec

    from sim import emit, load

    found = load.run(emit.parse(args.to), devices=args.devices, rate=args.rate, seconds=args.for_s, start_ns=time.time_ns())
    if args.json:
        print_json(msgspec.to_builtins(found))
    else:
        print(f"{found.per_s:.0f} messages/s acknowledged: {found.acknowledged} of {found.sent} from {found.devices} devices "
              f"in {found.seconds:.1f} s"
              + (f", PUBACK after {found.p50_ms:.1f} ms (p50), {found.p99_ms:.1f} ms (p99)" if found.acknowledged else ""))
    if found.sent < 0.99 * found.asked:
        say(f"the asked rate was not reached: {found.asked - found.sent} of {found.asked} messages were never sent, "
            "and their waiting is in none of these times")
    if found.lost_connections:
        say(f"{found.lost_connections} connections were lost")
    return 0 if found.acknowledged == found.sent and not found.lost_connections else 1


def _score(args: argparse.Namespace) -> int:
    from pathlib import Path

    import msgspec

    from birddog.errors import UsageError
    from opsroom.derived import derived
    from sim import truth
    from sim.score import score

    if not 1.0 <= args.every <= 3600.0 or args.every != int(args.every):
        raise UsageError("wants whole seconds, 1 to 3600", field="--every")
    rows = truth.read(Path(args.truth))
    if not rows:
        raise UsageError("holds no row", file=args.truth)
    with derived(args.journal) as picture:
        confirmed: dict[str, int] = {}
        for _, event in picture.view.events():
            if event.kind == "confirmed":
                for track_id in event.track_ids:
                    confirmed.setdefault(track_id, event.start_ns)
        found = score(rows, picture.view.points(), [track for _, track in picture.view.tracks()], args.every, confirmed)
    if args.json:
        print_json(msgspec.to_builtins(found))
        return 0
    print_table(("score", "value", ""), [
        ("GOSPA", _figure(found.gospa_m), f"m, mean of {found.steps} moments (p 2, c 100 m, alpha 2)"),
        ("location RMSE", _figure(found.loc_rmse_m), "m, of the matched"),
        ("missed", _figure(found.missed_share, 100.0), "% of the truth points"),
        ("false", _figure(found.false_per_step), "tracks a moment"),
        ("ID switches", str(found.id_switches), "CLEAR-MOT, 60 m"),
        ("NEES", _figure(found.nees), f"2 is right; {found.estimates} estimates"),
        ("inside 95 %", _figure(found.inside_95, 100.0), "% of the truth inside the ellipse"),
    ])
    print()
    print_table(("object", "moments", "followed", "RMSE m"), [
        (o.truth_id, o.steps, f"{100 * o.matched / o.steps:.0f} %" if o.steps else "", _figure(o.loc_rmse_m))
        for o in found.by_truth
    ])
    return 0


def _figure(value: float | None, times: float = 1.0) -> str:
    return "-" if value is None else f"{value * times:.2f}"
