"""``birddog custody key|add|give|receive|list``: who has a thing, when and where; a transfer is signed by both."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsroom.commands.common import actor_option, journal_option, json_option, name_of, print_json, print_table, say

if TYPE_CHECKING:
    from birddog.custody import Thing
    from birddog.model import Custody
    from birddog.note import Signer

_ACTIONS = ("seize", "photo", "card", "place", "recover", "end")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    key = verbs.add_parser("key", help="make a person's key and enter its public half", allow_abbrev=False)
    key.add_argument("--out", metavar="FILE", required=True, help="where the private half goes (mode 0600)")
    add = verbs.add_parser("add", help="a thing was seized, photographed, placed, recovered …", allow_abbrev=False)
    add.add_argument("item", metavar="ITEM")
    add.add_argument("action", choices=_ACTIONS, metavar="ACTION", help=", ".join(_ACTIONS) + " (card: of a drone's memory)")
    add.add_argument("--file", metavar="FILE", help="its SHA-256 is entered: a photo, an image of a card")
    give = verbs.add_parser("give", help="hand a thing over: open until the other has received it", allow_abbrev=False)
    give.add_argument("item", metavar="ITEM")
    give.add_argument("--to", metavar="NAME", required=True)
    receive = verbs.add_parser("receive", help="take over what was given to you", allow_abbrev=False)
    receive.add_argument("item", metavar="ITEM")
    listing = verbs.add_parser("list", help="every thing, who has it, what is open", allow_abbrev=False)
    for sub in (give, receive):
        sub.add_argument("--key", metavar="FILE", required=True, help="your private key")
    for sub in (add, give, receive):
        sub.add_argument("--at", metavar="TIME", help="when (now)")
        sub.add_argument("--where", metavar="WORDS", default="", help="where")
        sub.add_argument("--operation", metavar="ID", default="", help="the case that it belongs to")
        sub.add_argument("--note", default="", help="words for people")
    for sub in (key, add, give, receive, listing):
        journal_option(sub)
    for sub in (key, add, give, receive):
        actor_option(sub)
    json_option(listing)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    import msgspec

    from birddog.custody import received_words, words_of
    from birddog.errors import UsageError
    from opsroom.registers import Registers

    if args.verb == "list":
        return _list(args)
    registers = Registers(args.journal, actor=name_of(args.actor, "--actor"))
    if args.verb == "key":
        return _key(args, registers)
    body, things = _body(args, registers), _things(args.journal)
    thing = things.get(body.item)
    if thing is not None and not body.operation:  # of the case that it was entered for last: in whose bundle it is missed else
        of = next((step.body.operation for step in reversed(thing.steps) if step.body.operation), "")
        if of in registers.directory.operations:
            body = msgspec.structs.replace(body, operation=of)
    if args.verb == "give":
        body = _signed(body, words_of(body), _signer(args.key, registers.actor))
    elif args.verb == "receive":
        given = next((step.body for step in thing.steps if step.seq == thing.waits), None) if thing and thing.waits else None
        if given is None:
            raise UsageError(f"nothing of {body.item!r} waits to be received", field="ITEM")
        body = _signed(body, received_words(given, registers.actor), _signer(args.key, registers.actor))
    [seq] = registers.enter(body)
    after = _things(args.journal)[body.item]
    fault = next((step.fault for step in after.steps if step.seq == seq), "")
    if fault:
        say(f"entry {seq} stands, and does not count: {fault}")
        return 1
    has = f"{after.holder} has it" if after.holder else "nobody has it"
    say(f"{body.item}: entry {seq}; {has}" + ("; open until it is received" if after.waits else ""))
    return 0


def _body(args: argparse.Namespace, registers) -> Custody:  # type: ignore[no-untyped-def]  # Registers, imported late
    import hashlib
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.model import Custody
    from opsroom.csv_rows import time_ns

    at_ns, digest = registers.now_ns, ""
    if args.at is not None:
        try:
            at_ns = time_ns(args.at)
        except ValueError as error:
            raise UsageError(str(error), field="--at") from error
    if getattr(args, "file", None):
        try:
            with Path(args.file).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=args.file) from error
    if args.operation and args.operation not in registers.directory.operations:
        raise UsageError(f"no operation {args.operation!r}", field="--operation")
    return Custody(item=name_of(args.item, "ITEM"), action=getattr(args, "action", args.verb), by=registers.actor,
                   operation=args.operation, at_ns=at_ns, place=name_of(args.where, "--where"), sha256=digest,
                   note=name_of(args.note, "--note"), to=name_of(getattr(args, "to", ""), "--to"))


def _signed(body: Custody, words: str, signer: Signer) -> Custody:
    import msgspec

    return msgspec.structs.replace(body, signature=signer.line(words))


def _signer(file: str, person: str) -> Signer:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birddog.custody import name_in_notes
    from birddog.keyfile import key_file
    from birddog.note import Signer

    return Signer(name_in_notes(person), Ed25519PrivateKey.from_private_bytes(key_file(Path(file), make=False)))


def _key(args: argparse.Namespace, registers) -> int:  # type: ignore[no-untyped-def]  # Registers, imported late
    from pathlib import Path

    from birddog.errors import UsageError
    from birddog.keyfile import key_file
    from birddog.model import Custody

    path = Path(args.out)
    if path.exists():
        raise UsageError("is there already", file=args.out)
    try:
        key_file(path)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=args.out) from error
    public = _signer(args.out, registers.actor).verifier.text()
    registers.enter(Custody(item=f"key of {registers.actor}", action="key", by=registers.actor, public=public))
    say(f"{registers.actor}: {public}")
    return 0


def _things(url: str) -> dict[str, Thing]:
    from birddog.custody import custody_of
    from birddog.journal import entries, open_reader
    from birddog.model import Custody, unpack

    reader = open_reader(url)
    try:
        said = [(entry.seq, unpack(entry)) for entry in entries(reader) if entry.kind == "custody"]
    finally:
        reader.close()
    return custody_of((seq, body) for seq, body in said if isinstance(body, Custody))


def _list(args: argparse.Namespace) -> int:
    import msgspec

    things = _things(args.journal).values()
    if args.json:
        print_json([msgspec.to_builtins(thing) for thing in things])
        return 0
    print_table(("thing", "who has it", "state", "entries"), [
        (thing.item, thing.holder or "-", f"open: given in entry {thing.waits}" if thing.waits else "", str(len(thing.steps)))
        for thing in things])  # fmt: skip
    for thing in things:
        for step in thing.steps:
            if step.fault:
                print(f"{thing.item}: entry {step.seq} does not count: {step.fault}")
    return 0
