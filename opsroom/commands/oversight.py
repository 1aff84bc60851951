"""``birddog oversight report``: who did what, who was told, who was refused, and what came of each warrant."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, result_file, say, time_ns

TABLES = ("log", "refusals", "warrants", "ends", "retention")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    report = verbs.add_parser("report", help="a report from the journal's entries alone", allow_abbrev=False)
    journal_option(report)
    report.add_argument("--format", choices=("html", "csv"), default="html",
                        help="one page with every table, or one table (default html)")
    report.add_argument("--table", choices=TABLES, default="log", help="with csv: which (default log)")
    report.add_argument("--operation", metavar="ID", help="only this case")
    report.add_argument("--from", dest="from_time", metavar="TIME",
                        help="of log and refusals only what was received from then on")
    report.add_argument("--to", metavar="TIME", help="… and before then")
    report.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    import csv
    import time

    from birddog.errors import UsageError
    from birddog.journal import open_reader
    from birddog.journal.store import entries
    from opsroom.csv_rows import harmless
    from opsroom.exports import journal_name
    from opsroom.oversight import Oversight, page

    from_ns = None if args.from_time is None else time_ns(args.from_time, "--from")
    to_ns = None if args.to is None else time_ns(args.to, "--to")
    reader = open_reader(args.journal)
    try:
        oversight = Oversight(operation=args.operation, from_ns=from_ns, to_ns=to_ns,
                              now_ns=time.time_ns() if reader.mode == "live" else 0)
        oversight.read(entries(reader))
        if args.operation is not None and args.operation not in oversight.directory.operations:
            known = ", ".join(sorted(oversight.directory.operations)) or "none"
            raise UsageError(f"there is no operation {args.operation!r} in this journal ({known})", field="--operation")
        tables, exercise = oversight.tables(), reader.mode == "exercise"
        name, made_ns = journal_name(reader), reader.clock_ns()
    finally:
        reader.close()
    with result_file(args.out) as out:
        if args.format == "csv":
            table = tables[args.table]
            writer = csv.writer(out)
            writer.writerow(table.columns)
            writer.writerows([harmless(cell) for cell in row] for row in table.rows)
        else:
            asked = " ".join(word for word in (
                f"Case {args.operation}." if args.operation else "All cases.",
                f"From {args.from_time}." if args.from_time else "", f"To {args.to}." if args.to else "") if word)
            out.write(page(tables, journal=name, made_ns=made_ns, exercise=exercise, asked=asked))
    if exercise:
        say("birddog oversight: this journal is an EXERCISE")
    return 0
