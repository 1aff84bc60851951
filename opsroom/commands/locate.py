"""``birddog locate``: where tracks were at asked times, from a file of their fixes or by all that a journal holds."""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--fixes", metavar="FILE", help="CSV track_id,t,lat,lon or track_id,t,e_m,n_m; optional "
                        "sigma_m, sog_mps, cog_deg, class")
    parser.add_argument("--at", metavar="FILE", help="CSV track_id,t: one row a question")
    parser.add_argument("--journal", metavar="URL", help="in place of both, smoothed: the identified tracks of this journal, "
                        "each at the times at which something was measured of it, by all that ever came in, whenever it did")
    parser.add_argument("--track", metavar="ID", help="with --journal: this track only")
    parser.add_argument("--operation", metavar="ID", help="the same: those of this operation only")
    parser.add_argument("--mode", required=True, choices=("live", "smoothed"), help="live: earlier fixes only; smoothed: all")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


#: Nothing in a plane is further from its origin than the Earth is round, m.
FARTHEST_M = 4.1e7
#: The columns of the answer.
HEAD = "track_id,t,lat_deg,lon_deg,e_m,n_m,p_ee,p_en,p_nn"


def run(args: argparse.Namespace) -> int:
    """Answer every question, in order; where nothing can be said the row's values are empty."""
    from birddog.errors import UsageError

    if args.journal is not None:
        if args.fixes is not None or args.at is not None or args.mode != "smoothed":
            raise UsageError("goes with --mode smoothed, without --fixes and --at; what was believed live has birddog track "
                             "--journal", field="--journal")  # fmt: skip
        return _of_journal(args)
    for name, given in (("--fixes", args.fixes), ("--at", args.at)):
        if given is None:
            raise UsageError("a file was expected, or --journal", field=name)
    for name, given in (("--track", args.track), ("--operation", args.operation)):
        if given is not None:
            raise UsageError("goes with --journal", field=name)
    return _of_file(args)


def _of_journal(args: argparse.Namespace) -> int:
    """The smoothed histories of a journal's identified tracks."""
    from birddog.errors import UsageError
    from birddog.journal import entries, open_reader
    from birddog.units import iso_from_ns
    from opsroom.commands.common import result_file
    from opsroom.csv_rows import quoted
    from opsroom.explained import histories

    journal = open_reader(args.journal)
    try:
        found = 0
        with result_file(args.out) as out:
            out.write(HEAD + "\n")
            for row, past in histories(entries(journal), track_id=args.track, operation=args.operation):
                found += 1
                for one in past:
                    a = one.answer
                    out.write(f"{quoted(row.track_id)},{iso_from_ns(one.time_ns)},{a.y:.9f},{a.x:.9f},{a.e_m:.4f},{a.n_m:.4f},"
                              f"{a.p_ee:.6g},{a.p_en:.6g},{a.p_nn:.6g}\n")  # fmt: skip
    finally:
        journal.close()
    if args.track is not None and not found:
        raise UsageError(f"no identified track {args.track!r} in this journal: birddog track --journal URL --every 60 lists "
                         "them", field="--track")  # fmt: skip
    return 0


def _of_file(args: argparse.Namespace) -> int:
    """The answers to the questions of a file, from those fixes of another."""
    from opsroom.csv_rows import Optional, quoted, rows, taken, time_ns, told, write
    from tracking.locate import PastFix, Question, locate

    columns, lines = rows(args.fixes, ("track_id", "t"), either=(("lat", "lon"), ("e_m", "n_m")))
    geodetic = "lat" in columns and "lon" in columns
    if geodetic and "e_m" in columns and "n_m" in columns:
        # both are there: degrees, unless no row gives any (a plane's file with the columns left empty)
        held = list(lines)
        geodetic = any(_given(row, "lat", "lon") for _, row in held) or not any(_given(row, "e_m", "n_m") for _, row in held)
        lines = iter(held)
    x, y = ("lon", "lat") if geodetic else ("e_m", "n_m")
    wanted: dict[str, Any] = {
        "track_id": _name, "t": time_ns, x: _longitude if geodetic else _on_earth, y: _latitude if geodetic else _on_earth,
        "sigma_m": Optional(_positive), "sog_mps": Optional(_speed), "cog_deg": Optional(_course), "class": Optional(_class),
    }  # fmt: skip
    fixes = []
    for line, row in lines:
        got = taken(args.fixes, line, row, wanted)
        if got is None:
            continue
        ve = vn = None
        if got["sog_mps"] is not None and got["cog_deg"] is not None:
            course = math.radians(got["cog_deg"])
            ve, vn = got["sog_mps"] * math.sin(course), got["sog_mps"] * math.cos(course)
        fixes.append(
            PastFix(
                track_id=got["track_id"], time_ns=got["t"], x=got[x], y=got[y], sigma_m=got["sigma_m"], ve_mps=ve, vn_mps=vn,
                klass=got["class"] or "",
            )
        )  # fmt: skip
    told(args.fixes, wanted)
    _, lines = rows(args.at, ("track_id", "t"))
    questions, said = [], []
    for line, row in lines:
        got = taken(args.at, line, row, {"track_id": _name, "t": time_ns})
        if got is not None:
            questions.append(Question(got["track_id"], got["t"]))
            said.append(row["t"].strip())
    answers = locate(fixes, questions, mode=args.mode, geodetic=geodetic)
    empty = sum(a is None for a in answers)
    if empty:
        print(f"birddog locate: {empty} of {len(answers)} questions have no fix that may be used; their values are empty",
              file=sys.stderr)
    text = [HEAD]
    for question, t, answer in zip(questions, said, answers, strict=True):
        name = quoted(question.track_id)
        if answer is None:
            text.append(f"{name},{t},,,,,,,")
            continue
        where = f"{answer.y:.9f},{answer.x:.9f}" if geodetic else ","
        p = f"{answer.p_ee:.6g},{answer.p_en:.6g},{answer.p_nn:.6g}"
        text.append(f"{name},{t},{where},{answer.e_m:.4f},{answer.n_m:.4f},{p}")
    write(args.out, "\n".join(text) + "\n")
    return 0


def _given(row: dict[str, str], *names: str) -> bool:
    return all((row.get(name) or "").strip() for name in names)


def _name(text: str | None) -> str:
    if text is None or text == "":
        raise ValueError("missing")
    return text


def _within(text: str | None, most: float) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if not -most <= value <= most:
        raise ValueError(f"{value:.6g} is beyond {most:g}")
    return value


def _latitude(text: str | None) -> float:
    return _within(text, 90.0)


def _longitude(text: str | None) -> float:
    return _within(text, 180.0)


def _on_earth(text: str | None) -> float:
    return _within(text, FARTHEST_M)


def _course(text: str | None) -> float:
    return _within(text, 360.0)


def _speed(text: str | None) -> float:
    from tracking.evidence import FASTEST_MPS

    value = _within(text, FASTEST_MPS)
    if value < 0.0:
        raise ValueError(f"{value:g} is under 0")
    return value


def _class(text: str | None) -> str:
    from tracking.bank import CLASS_WEIGHTS

    word = (text or "").strip()
    if word not in CLASS_WEIGHTS:
        raise ValueError(f"{word[:40]!r} is none of {', '.join(CLASS_WEIGHTS)}")
    return word


def _positive(text: str | None) -> float:
    from opsroom.csv_rows import number

    value = number(text)
    if not value > 0.0:
        raise ValueError(f"{text} is not over 0")
    return value
