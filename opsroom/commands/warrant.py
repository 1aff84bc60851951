"""``birddog warrant add|approve|extend|revoke|…``: warrants and what is done upon them, as entries of the journal.

Every act names its person (``--actor``); a warrant, an extension, a consent and an order to open count only when another
person has approved them.  What cannot stand is refused whole, by line and member, and what is in force stays as it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opsroom.commands.common import (
    actor_option,
    journal_option,
    json_file,
    json_list,
    json_option,
    name_of,
    print_json,
    print_table,
    say,
    text_file,
    time_ns,
)

if TYPE_CHECKING:
    from birddog.model import WarrantAct
    from birddog.warrants import Held


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, line: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=line, description=line, allow_abbrev=False)
        journal_option(sub)
        if name in ("list", "show"):
            json_option(sub)
        else:
            actor_option(sub)
        if name not in ("add", "import", "list"):
            sub.add_argument("warrant", metavar="ID", help="the warrant's id")
        return sub

    add = action("add", "enter the warrants of a file, all or none")
    add.add_argument("file", metavar="FILE", help="JSON: a warrant, or a list of warrants (docs/authority.md)")
    imported = action("import", "enter warrants that another system wrote, all or none")
    imported.add_argument("file", metavar="FILE", help="JSON: ETSI TS 103 120 objects, or warrants as for add")
    for sub in (add, imported):
        sub.add_argument("--operation", metavar="CASE", default="", help="the case that they are for")
        sub.add_argument("--pack", metavar="NAME", default="", help="the rules that they are under: a pack, or a TOML file")
    approve = action("approve", "approve what another person entered")
    approve.add_argument("--order", metavar="ORDER", default="", help="an extension, consent or opening of it")
    extend = action("extend", "enter an extension, which has an order of its own")
    extend.add_argument("--order", metavar="ORDER", required=True, help="the id of the order that extends it")
    extend.add_argument("--until", metavar="TIME", required=True, help="use is covered until then")
    extend.add_argument("--granted", metavar="TIME", help="when it was granted (default: now)")
    revoke = action("revoke", "say that it holds no more")
    revoke.add_argument("--at", metavar="TIME", help="from when (default: now)")
    install = action("install", "say that a device was installed under it")
    consent = action("consent", "enter a country's consent on the way")
    consent.add_argument("file", metavar="FILE", help="JSON: country, consent, and area where the country is new on the way")
    notify = action("notify", "say that a duty was done: a notice given, a report made, a review held")
    notify.add_argument("--duty", metavar="RULE", required=True, help="the id of its rule (birddog warrant show)")
    opening = action("open", "enter an order to open what was sealed")
    opening.add_argument("--order", metavar="ORDER", required=True, help="the id of the order")
    opening.add_argument("--from", dest="since", metavar="TIME", required=True, help="what was made from then …")
    opening.add_argument("--until", metavar="TIME", required=True, help="… until then")
    for sub in (install, notify):
        sub.add_argument("--at", metavar="TIME", help="when (default: now)")
    install.add_argument("--device", metavar="DEVICE", default="", help="which, where the warrant names a class")
    for sub in (approve, extend, revoke, install, consent, notify, opening):
        sub.add_argument("--note", metavar="WORDS", default="", help="words for people")
    action("list", "all warrants, and what of them stands")
    action("show", "one warrant, its acts and its calendar")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from opsroom.registers import Registers

    for name, option in (("actor", "--actor"), ("order", "--order"), ("note", "--note"), ("device", "--device")):
        if getattr(args, name, None):
            name_of(getattr(args, name), option)
    registers = Registers(args.journal, actor=getattr(args, "actor", ""))
    if args.action in ("list", "show"):
        return (_list if args.action == "list" else _show)(registers, args)
    acts, lines = _added(registers, args) if args.action in ("add", "import") else ([_act(registers, args)], {})
    _check(registers, acts, getattr(args, "file", None), lines)
    registers.enter(*acts)
    for act in acts:
        say(_said(act))
    return 0


def _added(registers: Any, args: argparse.Namespace) -> tuple[list[WarrantAct], dict[int, int]]:
    """The acts that enter the warrants of a file, and the line on which each of them begins.

    Raises:
        UsageError: one of them cannot stand; names file, line and member.
    """
    from birddog import rules
    from birddog.errors import UsageError
    from birddog.model import WarrantAct
    from birddog.warrant_json import json_of, warrants_of
    from opsroom.warrant_import import warrants_in

    said, lines = json_list(args.file)
    lines = lines or {0: 1}
    if args.action == "import":
        said, lines = warrants_in(said, args.file, lines)
    elif isinstance(said, dict):
        said = [said]  # as ``warrants_of`` takes it
    text = _pack(args.pack) if args.pack else ""
    found = warrants_of(said, file=args.file, lines=lines, pack=rules.pack_of(text) if text else None)
    acts = []
    for n, (one, warrant) in enumerate(zip(said, found, strict=True)):
        operation = args.operation or one.get("case", "")
        try:
            if operation:
                registers.operation(operation)
        except UsageError as error:
            raise UsageError(error.message, file=args.file, line=lines.get(n), field=error.field) from error
        pack = text or (rules.text_of(one["pack"]) if "pack" in one else "")
        acts.append(WarrantAct(warrant=warrant.warrant, action="add", by=registers.actor, operation=operation,
                               said=json_of(one), pack=pack))
    if not acts:
        raise UsageError("holds no warrant", file=args.file)
    return acts, lines


def _pack(name: str) -> str:
    """The TOML of a pack, by its name or from a file."""
    import os

    from birddog import rules

    if not name.endswith(".toml") and os.sep not in name:
        return rules.text_of(name)
    return text_file(name, "TOML")


def _act(registers: Any, args: argparse.Namespace) -> WarrantAct:
    """The act that a command line asks for."""
    from birddog.errors import UsageError
    from birddog.model import WarrantAct
    from birddog.warrant_json import json_of

    held = registers.directory.warrants.held.get(args.warrant)
    if held is None:
        raise UsageError(f"no warrant {args.warrant!r}; birddog warrant list", field="ID")

    def at(text: str | None, option: str) -> int:
        """When something was done, by default now."""
        return registers.now_ns if text is None else registers.past(time_ns(text, option), option)

    words: dict[str, Any] = {"note": args.note}
    match args.action:
        case "approve":
            words |= {"order": args.order}
        case "extend":
            words |= {"order": args.order, "at_ns": at(args.granted, "--granted"), "until_ns": time_ns(args.until, "--until")}
        case "open":
            words |= {"order": args.order, "from_ns": time_ns(args.since, "--from"), "until_ns": time_ns(args.until, "--until")}
        case "consent":
            said = json_file(args.file)
            _check_leg(held, said, args.file)
            consent = said.get("consent") if isinstance(said, dict) else None
            order = consent.get("order") if isinstance(consent, dict) else None
            words |= {"said": json_of(said), "order": order if isinstance(order, str) else ""}
        case "install":
            words |= {"device": args.device or held.warrant.device, "at_ns": at(args.at, "--at")}
        case "notify":
            words |= {"order": args.duty, "at_ns": at(args.at, "--at")}
        case "revoke":
            words |= {"at_ns": registers.now_ns if args.at is None else time_ns(args.at, "--at")}
    return WarrantAct(warrant=args.warrant, action=args.action, by=registers.actor, operation=held.operation, **words)


def _check_leg(held: Held, said: Any, file: str) -> None:
    """What is asked of a country's area, and of who takes over there, that is entered with its consent."""
    from birddog.errors import UsageError
    from birddog.warrant_json import check_hand_over, entered, hand_over_by, leg_of

    if not isinstance(said, dict):
        return
    try:
        if "area" in said:
            entered(leg_of(said, "consent").area, said["area"], "consent.area")
        check_hand_over(hand_over_by(said, "consent"), held.warrant, "consent")
    except UsageError as error:
        raise UsageError(error.message, file=file, line=1, field=error.field) from error


def _check(registers: Any, acts: Sequence[WarrantAct], file: str | None, lines: dict[int, int]) -> None:
    """Refuse what would have no effect, before it becomes an entry."""
    from birddog.errors import UsageError

    for n, act in enumerate(acts):
        try:
            registers.directory.warrants.check(act)
        except UsageError as error:
            raise UsageError(error.message, file=file, line=lines.get(n), field=error.field) from error


def _said(act: WarrantAct) -> str:
    needs = "; another person approves it: birddog warrant approve"
    return {
        "add": f"{act.warrant} is entered{needs} {act.warrant}",
        "approve": f"{act.order or act.warrant} is approved",
        "revoke": f"{act.warrant} is revoked",
        "install": f"{act.device} is installed under {act.warrant}",
        "notify": f"{act.order} of {act.warrant} is done",
    }.get(act.action, f"{act.order} is entered{needs} {act.warrant} --order {act.order}")


# --- showing -----------------------------------------------------------------------------------------


def _row(held: Held, now_ns: int) -> dict[str, Any]:
    import msgspec

    from opsroom.authority import warrant_view

    return msgspec.to_builtins(warrant_view(held, now_ns))


def _list(registers: Any, args: argparse.Namespace) -> int:
    rows = [_row(held, registers.now_ns) for held in registers.directory.warrants.held.values()]
    if args.json:
        print_json(rows)
    else:
        head = ("warrant", "device", "operation", "state", "from", "until", "entered_by", "approved_by")
        print_table(head, [[row[key] for key in head] for row in rows])
    return 0


def _show(registers: Any, args: argparse.Namespace) -> int:
    from birddog.deadlines import open_devices
    from birddog.errors import UsageError
    from birddog.units import iso_from_ns
    from opsroom.authority import calendar

    held = registers.directory.warrants.held.get(args.warrant)
    if held is None:
        raise UsageError(f"no warrant {args.warrant!r}; birddog warrant list", field="ID")
    row = _row(held, registers.now_ns)

    def when(time_ns: int | None) -> str | None:
        return None if time_ns is None else iso_from_ns(time_ns)

    acts = [{"action": act.action, "by": act.by, "order": act.order, "at": when(act.at_ns), "until": when(act.until_ns),
             "device": act.device, "note": act.note} for act in held.acts]
    orders = [{"order": name, "action": order.act.action, "entered_by": order.act.by, "approved_by": order.approved_by,
               "from": when(order.act.from_ns), "until": when(order.act.until_ns), "opened": order.obeyed}
              for name, order in held.orders.items()]
    due = [{"what": one.what, "due": one.due, "state": one.state, "text": one.text}
           for one in calendar(registers.directory, held, registers.now_ns)]
    if args.json:
        print_json(row | {"warrant_said": held.warrant.said, "acts": acts, "orders": orders, "calendar": due,
                          "placed": open_devices(held), "rules": [rule.id for rule in held.pack.rule]})
        return 0
    route = row.pop("route")
    print_table(("field", "value"), row.items())
    for title, rows in (("acts", acts), ("orders", orders), ("route", route), ("calendar", due)):
        if rows:
            say(f"{title}:")
            print_table(tuple(rows[0]), [list(one.values()) for one in rows])
    return 0
