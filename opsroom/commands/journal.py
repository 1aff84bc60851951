"""``birddog journal count|tail|export|verify``: look into a journal, beside a live writer or after a kill; and ``migrate``."""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opsroom.commands.common import journal_option, json_line, json_option, print_json, print_table, result_file, say, text_file

if TYPE_CHECKING:
    from birddog.model import Entry


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    count = actions.add_parser("count", help="how many messages, observations and refusals there are")
    tail = actions.add_parser("tail", help="the newest entries; --follow waits for more")
    tail.add_argument("-n", type=int, default=10, metavar="N", help="how many entries (default 10)")
    tail.add_argument("--follow", action="store_true", help="go on printing what arrives, until interrupted")
    export = actions.add_parser("export", help="every entry as one JSON line")
    export.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    export.add_argument("--after", type=int, default=0, metavar="SEQ", help="only entries after this number")
    migrate = actions.add_parser("migrate", help="bring a journal of an older version to the present one, in one transaction")
    verify = actions.add_parser("verify", help="hash every entry again and hold it against the log: what was changed is named")
    verify.add_argument("--witness", metavar="FILE", action="append", default=[],
                        help="a checkpoint that was kept elsewhere: a journal that was cut or written anew since is found")
    verify.add_argument("--key", metavar="KEY", help="the log's public key as it was handed over, or a file that holds it: "
                                                     "the log is signed by it, or by one that it named")
    for sub in (count, tail, export, migrate, verify):
        journal_option(sub)
    json_option(count)
    json_option(verify)
    json_option(tail)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from birddog.journal import open_reader

    if args.action == "migrate":
        return _migrate(args)
    if args.action == "verify":
        return _verify(args)
    reader = open_reader(args.journal, older=True)
    try:
        if words := reader.disagreement():
            say(f"birddog journal: {words}")
        if args.action == "count":
            return _count(reader, args)
        if args.action == "tail":
            return _tail(reader, args)
        return _export(reader, args)
    finally:
        reader.close()


def _migrate(args: argparse.Namespace) -> int:
    from birddog.journal import migrate

    done = migrate(args.journal)
    if done.version == done.now:
        say(f"{args.journal} is of version {done.version} already; nothing was changed")
        return 0
    say(f"{args.journal}: version {done.version} is now version {done.now}, {done.entries} entries")
    if done.damaged:
        say(f"{done.damaged} damaged entries stayed as they were; `birddog rebuild` names the first")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.journal import home, open_reader
    from birddog.journal.verify import note_file, verify
    from birddog.merkle import VerificationError
    from birddog.note import Verifier
    from opsroom.paper import read_back

    witnessed = [(file, read_back(note_file(Path(file))), ()) for file in args.witness]
    try:
        given = text_file(args.key, "key") if args.key and Path(args.key).is_file() else args.key
        trusted = Verifier.of(given) if given is not None else None
    except (VerificationError, OSError, UnicodeDecodeError) as error:
        raise UsageError(str(error), field="--key") from error
    reader = open_reader(args.journal)
    try:
        found = verify(reader, home(args.journal), witnessed=witnessed, trusted=trusted)
    finally:
        reader.close()
    if args.json:
        import msgspec

        print_json(msgspec.to_builtins(found))
        return 1 if found.findings else 0
    for finding in found.findings:
        print(finding.line())
    hashed = found.entries - found.before
    if not found.origin:
        print(f"{found.entries} entries, without a log: nothing says whether they were changed")
    else:
        well = f"{len(found.findings)} faults" if found.findings else "ok"
        print(f"{found.entries} entries, {hashed} hashed again: {well}")
        print(f"log {found.origin}, {found.size} entries signed, root {found.root}")
        if found.before:
            print(f"{found.before} entries are older than the log: nothing says whether they were changed")
        if found.unsigned:
            print(f"{found.unsigned} entries are newer than the newest checkpoint")
        if found.erased:
            print(f"{found.erased} entries were erased: their hashes stand")
        if found.under_way:
            print(f"{found.under_way} entries were erased by the rule on vessels under no case, and a writer is to empty them")
        if found.keys_under_way:
            print(f"{found.keys_under_way} keys of erased periods have no entry left, and a writer is to destroy them")
        for line in (*found.losses, *found.given_up):
            print(line)
        print(f"public key {found.keys[-1]}")
        for key in found.keys[-2::-1]:
            print(f"before it {key}")
    return 1 if found.findings else 0


def _count(reader: Any, args: argparse.Namespace) -> int:
    counts = reader.counts()
    if args.json:
        print_json({"frames": counts.frames, "observations": counts.observations, "rejects": counts.rejects,
                    "unread": counts.unread, "undated": counts.undated, "duplicates": counts.duplicates,
                    "last_seq": counts.last_seq})
        return 0
    rows = [("frames", counts.frames), ("observations", counts.observations), ("duplicates", counts.duplicates)]
    rows += [(f"rejects: {reason}", n) for reason, n in counts.rejects.items()]
    rows += [(f"not understood: {name}", n) for name, n in counts.unread.items()]
    rows += [("at the time of their import", counts.undated)] if counts.undated else []
    print_table(("counted", "number"), [*rows, ("last_seq", counts.last_seq)])
    return 0


def _tail(reader: Any, args: argparse.Namespace) -> int:
    from birddog.errors import UsageError

    if not 0 <= args.n <= 1_000_000:
        raise UsageError("wants a number of entries, 0 to 1000000", field="-n")
    rows = reader.tail(args.n)
    _print_tail(rows, args)
    if args.follow:
        import select

        after = rows[-1].seq if rows else reader.last_seq()
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        while True:
            sys.stdout.flush()
            rows = reader.read(after)
            if rows:
                after = rows[-1].seq
                _print_tail(rows, args)
            elif any(event & select.POLLERR for _, event in poll.poll(200)):
                break  # the reader (head, less) has left
    return 0


def _print_tail(rows: list[Entry], args: argparse.Namespace) -> None:
    from birddog.errors import printable
    from birddog.units import iso_from_ns

    for entry in rows:
        if args.json:
            print_json(entry_json(entry))
        else:
            by = f" BY {entry.actor}" if entry.actor else ""
            print(printable(f"{entry.seq:>9}  {iso_from_ns(entry.received_ns)}  {entry.kind:<10}  {_gist(entry)}{by}"))


def _gist(entry: Any) -> str:
    from birddog.model import FrameBody, RefusalBody, Scan, Tick, unpack

    if entry.erased:
        return "ERASED"
    body = unpack(entry)
    if isinstance(body, FrameBody | RefusalBody):
        seen = [str(o.__struct_config__.tag) for o in body.observations]
        said = ", ".join(dict.fromkeys(seen)) + (f" ({len(seen)})" if len(seen) > 1 else "")
        why = "; ".join(f"{r.reason}: {r.detail}" for r in body.rejects)
        left = ", ".join(body.unread) if isinstance(body, FrameBody) else ""
        more = (" REFUSED " + why if why else "") + (" NOT UNDERSTOOD " + left if left else "")
        who = body.device or "-"
        if body.sender:
            who += f" from {body.sender}"
        if body.subject:
            who += f" for {body.subject}"
        return f"{entry.source} {who} {body.format}: {said}{more}"
    if isinstance(body, Scan):
        return f"{body.sensor} {body.scene_name}: {len(body.sightings)} sightings"
    if isinstance(body, Tick):
        return ""
    return " ".join(str(getattr(body, f))[:60] for f in body.__struct_fields__[:2])


def _export(reader: Any, args: argparse.Namespace) -> int:
    number = 0
    with result_file(args.out) as out:
        for line in export_lines(reader, args.after):
            out.write(line + "\n")
            number += 1
    say(f"{number} entries")
    return 0


def export_lines(reader: Any, after: int = 0) -> Iterator[str]:
    """One strict JSON line an entry, in order, up to the entry that is newest when it begins."""
    until = reader.last_seq()
    while after < until:
        rows = reader.read(after, min(1000, until - after))
        if not rows:
            return
        after = rows[-1].seq
        for entry in rows:
            yield json_line(entry_json(entry))


def entry_json(entry: Any) -> dict[str, Any]:
    """An entry in the public form: the same keys for every kind, an observation stands nowhere else in it."""
    import msgspec

    from birddog.model import FrameBody, RefusalBody, Scan, unpack
    from birddog.opened import opened_of
    from birddog.units import iso_from_ns
    from opsroom.observation_json import observation_json, reject_json

    body = unpack(entry)
    out: dict[str, Any] = {"seq": entry.seq, "kind": entry.kind, "received": iso_from_ns(entry.received_ns),
                           "received_ns": entry.received_ns, "source": entry.source, "operation": entry.operation,
                           "actor": entry.actor,
                           "ident": entry.ident.hex(), "device": getattr(body, "device", ""), "format": "", "payload_hex": "",
                           "observations": [], "rejects": []}
    if isinstance(body, FrameBody | RefusalBody):
        out |= {"sender": body.device if body.sender is None else body.sender, "subject": body.subject or body.device,
                "format": body.format, "version": body.version, "channel": body.channel,
                "observations": [observation_json(o) for o in body.observations],
                "verdicts": [msgspec.structs.asdict(verdict) for verdict in body.verdicts],
                "rejects": [reject_json(r) for r in body.rejects]}
        if body.count != 1:
            out["count"] = body.count
        if isinstance(body, FrameBody):
            out |= {"session": body.session, "payload_hex": body.payload.hex(), "unread": list(body.unread)}
            opened = opened_of(entry.actor)
            out |= {"opened": msgspec.structs.asdict(opened)} if opened is not None else {}
            return out | ({"payload_hash": body.payload_hash.hex()} if body.payload_hash else {})
        return out | {"payload_hash": body.payload_hash.hex()}
    if entry.erased:
        return out | {"erased": True}
    if isinstance(body, Scan):
        out |= {"device": body.sensor, "observations": [observation_json(o) for o in body.sightings]}
        body = msgspec.structs.replace(body, sightings=())
    return out | {"body": _plain(msgspec.to_builtins(body, enc_hook=None, builtin_types=(bytes,)))}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
