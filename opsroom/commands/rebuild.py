"""``birddog rebuild``: fold the journal again and say whether every derived table is identical."""

from __future__ import annotations

import argparse

from opsroom.commands.common import journal_option, json_option, print_json, print_table, say


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    journal_option(parser)
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Exit 1 where a table differs, or the journal cannot be read behind it.

    A run may go on beside; its store is read, never changed."""
    import tempfile
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.journal import home, open_reader
    from opsroom.picture_store import may_write_beside
    from opsroom.rebuilding import behind, make, rebuild

    path = home(args.journal).picture
    journal = open_reader(args.journal)
    beside = may_write_beside(path)
    try:
        if not beside and not path.exists():
            raise UsageError(f"there is no derived store {path}, and nothing can be written beside the journal: "
                             "copy it to a folder of your own", field="--journal")
        if words := journal.disagreement():
            say(f"birddog rebuild: {words}")
        made = {}
        if not path.exists():
            made = {"made": True, "entries": make(journal, path)}
            say(f"there was no derived store: made {path} from {made['entries']} entries; compared with a second fold:")
        with tempfile.TemporaryDirectory(prefix=path.name + ".rebuild-", dir=path.parent if beside else None) as folder:
            if not beside:
                say(f"nothing can be written beside the journal: folded again in {folder}")
            found = rebuild(journal, path, Path(folder))
            at, waiting, wrong = behind(journal, Path(folder) / "held")
    finally:
        journal.close()
    same = all(differ == 0 for _, differ in found.values())
    if args.json:
        print_json({"identical": same and not wrong, "tables": {t: {"rows": n, "differ": d} for t, (n, d) in found.items()},
                    "up_to": at, "behind": waiting, "damaged": wrong} | made)
    else:
        print_table(("table", "rows", "result"),
                    [(t, n, "identical" if d == 0 else f"{d} rows differ") for t, (n, d) in found.items()])
        if wrong:
            print(f"the derived store stands at entry {at}, and what comes behind it cannot be folded: {wrong}")
        elif waiting:
            print(f"the derived store stands at entry {at}; {waiting} entries behind it were not compared")
        print(("identical" if same else "NOT identical") + (f" up to entry {at}" if wrong else ""))
    return 0 if same and not wrong else 1
