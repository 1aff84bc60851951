"""``birddog device enrol|model|attach|detach|place|list|show|retire``: devices, as entries of the journal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opsroom.commands.common import actor_option, journal_option, json_option, name_of, print_json, print_table, say, time_ns

if TYPE_CHECKING:
    from birddog.model import Attachment

_CLASSES = ("walker", "van", "lorry", "vessel", "aircraft", "parcel")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    enrol = actions.add_parser("enrol", help="make a device known")
    enrol.add_argument("device", metavar="ID", help="the identity that the device gives: IMEI, MMSI, client id, EPC")
    enrol.add_argument("--name", default="", help="what people call it")
    enrol.add_argument("--owner", default="", help="agency or person")
    enrol.add_argument("--format", default="", help="what it speaks (birddog decode --list)")
    enrol.add_argument("--basis", choices=("warrant", "open", "partner", "own_sensor"), default="warrant",
                       help="why we may listen: warrant (needs a case), open (broadcast), partner, own_sensor")
    enrol.add_argument("--interval", type=float, metavar="S", help="seconds between its messages (else it is learnt)")
    enrol.add_argument("--class", dest="klass", choices=_CLASSES, default="", help="what carries it")
    enrol.add_argument("--model", default="", help="what it is, as its validation record names it (birddog validate)")
    enrol.add_argument("--topic", action="append", default=[], metavar="PREFIX", help="topics it may publish under (gateways)")
    enrol.add_argument("--week-rollover", type=int, default=0, metavar="N",
                       help="its clock is N times 1024 weeks behind (an old GPS receiver): add them, with a flag")
    model = actions.add_parser("model", help="say what a device is, as its validation record names it")
    model.add_argument("device", metavar="ID")
    model.add_argument("model", metavar="MODEL")
    attach = actions.add_parser("attach", help="hide a device (or an EPC) in a shipment of a case")
    attach.add_argument("device", metavar="ID")
    attach.add_argument("--operation", required=True, metavar="CASE")
    attach.add_argument("--shipment", metavar="NAME", help="default: the device's name")
    attach.add_argument("--from", dest="since", metavar="TIME", help="default: now, from the whole second on")
    attach.add_argument("--to", dest="until", metavar="TIME", help="default: open")
    detach = actions.add_parser("detach", help="end the attachment that holds now")
    detach.add_argument("device", metavar="ID")
    detach.add_argument("--at", metavar="TIME", help="default: now")
    place = actions.add_parser("place", help="say where a fixed reader or sensor stands")
    place.add_argument("device", metavar="ID")
    place.add_argument("--lat", type=float, required=True, metavar="DEG")
    place.add_argument("--lon", type=float, required=True, metavar="DEG")
    place.add_argument("--range", type=float, required=True, metavar="M", dest="range_m", help="how far it reaches, metres")
    place.add_argument("--name", default="")
    place.add_argument("--from", dest="since", metavar="TIME", help="default: the beginning")
    listing = actions.add_parser("list", help="all devices")
    show = actions.add_parser("show", help="one device")
    retire = actions.add_parser("retire", help="never admit it again")
    for sub in (show, retire):
        sub.add_argument("device", metavar="ID")
    for sub in (enrol, place):
        sub.add_argument("--exercise", action="store_true", help="if the journal is made now: make it an exercise journal")
    for sub in (enrol, model, attach, detach, place, listing, show, retire):
        journal_option(sub)
    for sub in (enrol, model, attach, detach, place, retire):
        actor_option(sub)
    for sub in (listing, show):
        json_option(sub)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from birddog.errors import UsageError
    from opsroom.registers import Registers

    for field, option in (("device", "ID"), ("name", "--name"), ("owner", "--owner"), ("shipment", "--shipment"),
                          ("actor", "--actor"), ("model", "MODEL")):
        if getattr(args, field, None) is not None:
            name_of(getattr(args, field), option)
    if getattr(args, "device", None) == "":
        raise UsageError("wants an identity", field="ID")
    check = _CHECKS.get(args.action)
    if check is None:
        registers = Registers(args.journal, actor=getattr(args, "actor", ""))
    else:  # all of it is looked at first: a journal is not made for a typing error
        check(args)
        registers = Registers(args.journal, create=True, exercise=args.exercise, actor=args.actor)
        if registers.created:
            say(f"made a new {registers.mode} journal at {registers.path}")
        elif args.exercise and registers.mode != "exercise":
            raise UsageError("is a live journal and refuses exercise data", field="--journal")
    return _ACTIONS[args.action](registers, args)


def _check_enrol(args: argparse.Namespace) -> None:
    from birddog.errors import UsageError
    from devices import codec

    if args.format:
        codec.load(args.format)
    if args.interval is not None and not 0.0 < args.interval < 1e9:
        raise UsageError("wants seconds above 0", field="--interval")
    if not 0 <= args.week_rollover <= 3:
        raise UsageError("wants a number of rollovers, 0 to 3", field="--week-rollover")
    for topic in args.topic:
        path = name_of(topic, "--topic").removesuffix("#").removesuffix("/")
        if not path or "+" in path or "#" in path or "\0" in path or path.split("/")[:2] == ["birddog", "v1"]:
            raise UsageError("wants the beginning of topics, without + or #, and not birddog/v1, which every device has",
                             field="--topic")


def _enrol(registers: Any, args: argparse.Namespace) -> int:
    from birddog.directory import plain_topic
    from birddog.errors import UsageError
    from birddog.model import Device
    from devices.formats import owntracks

    known = registers.directory.devices.get(args.device)
    if known is not None:
        why = "was retired and is never admitted again" if known.retired else "is enrolled already"
        raise UsageError(f"{args.device!r} {why}", field="ID")
    for topic in args.topic:
        holder = registers.directory.of_topic(plain_topic(topic))
        if holder and owntracks.phone_of(plain_topic(topic)):
            raise UsageError(f"{topic!r} is the topic of {holder!r}, and a phone is one device", field="--topic")
    registers.enter(Device(device=args.device, name=args.name, owner=args.owner, format=args.format, basis=args.basis,
                           interval_s=args.interval or 0.0, klass=args.klass, topics=tuple(args.topic),
                           week_rollover=args.week_rollover, model=args.model))
    need = "; next: birddog device attach" if args.basis == "warrant" else ""
    say(f"{args.device} is enrolled{need}")
    return 0


def _model(registers: Any, args: argparse.Namespace) -> int:
    import msgspec

    from birddog.errors import UsageError

    device = registers.directory.device(args.device)
    if device is None:
        raise UsageError(f"{args.device!r} is not enrolled; birddog device enrol {args.device}", field="ID")
    registers.enter(msgspec.structs.replace(device, model=args.model))
    say(f"{args.device} is a {args.model}" if args.model else f"{args.device} is of no known model")
    return 0


def _attach(registers: Any, args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.model import Attachment

    registers.operation(args.operation)
    device = registers.directory.devices.get(args.device)
    if device is not None and device.retired:
        raise UsageError(f"{args.device!r} was retired and is never admitted again", field="ID")
    if device is None and not args.device.startswith("urn:epc:"):
        raise UsageError(f"{args.device!r} is not enrolled; birddog device enrol {args.device}", field="ID")
    held_before = registers.directory.attachments.get(args.device, ())
    since = time_ns(args.since, "--from") if args.since is not None else _begin(held_before, registers.now_ns)
    until = time_ns(args.until, "--to") if args.until is not None else None
    if until is not None and until <= since:
        raise UsageError("must be later than --from", field="--to")
    for held in held_before:
        operation = registers.directory.operations.get(held.operation)
        over = held.to_ns is not None and held.to_ns <= since or until is not None and until <= held.from_ns
        if not over and not (operation is not None and operation.closed):
            raise UsageError(f"is in {held.shipment!r} of {held.operation!r} then; birddog device detach {args.device}",
                             field="ID")
    shipment = args.shipment or (device.name if device and device.name else args.device)
    registers.enter(Attachment(device=args.device, shipment=shipment, operation=args.operation, from_ns=since, to_ns=until))
    past = args.since is not None and since < registers.now_ns
    then = "; what came in before this entry stays as it was folded" if past else ""
    say(f"{args.device} is in {shipment} of {args.operation}{then}")
    return 0


def _begin(held: Sequence[Attachment], now_ns: int) -> int:
    """When an attachment begins that is made now: with the whole second, which is all that most devices state of a time."""
    from birddog.units import NS

    since_ns = now_ns // NS * NS
    ends = [row.to_ns for row in held if row.to_ns is not None and row.to_ns <= now_ns]
    since_ns = max([since_ns, *ends])
    # one that began in this second would be replaced by a row of the same beginning
    return now_ns if any(since_ns <= row.from_ns <= now_ns for row in held) else since_ns


def _detach(registers: Any, args: argparse.Namespace) -> int:
    import msgspec

    from birddog.errors import UsageError

    at = time_ns(args.at, "--at") if args.at is not None else registers.now_ns
    held = registers.directory.attachment(args.device, at)
    if held is None:
        raise UsageError(f"{args.device!r} is attached to nothing then", field="ID")
    registers.enter(msgspec.structs.replace(held, to_ns=at))
    say(f"{args.device} is out of {held.shipment}")
    return 0


def _check_place(args: argparse.Namespace) -> None:
    import math

    from birddog.errors import UsageError
    from birddog.geo import valid_position

    if not valid_position(args.lat, args.lon):
        raise UsageError("wants degrees: latitude -90 to 90, longitude -180 to 180", field="--lat, --lon")
    if not (math.isfinite(args.range_m) and args.range_m > 0.0):
        raise UsageError("wants metres above 0", field="--range")
    if args.since is not None:
        time_ns(args.since, "--from")


def _place(registers: Any, args: argparse.Namespace) -> int:
    from birddog.model import Placement

    since = time_ns(args.since, "--from") if args.since is not None else 0
    registers.enter(Placement(device=args.device, lat_deg=args.lat, lon_deg=args.lon, range_m=args.range_m, name=args.name,
                              from_ns=since))
    say(f"{args.device} is placed")
    return 0


def _rows(registers: Any) -> list[dict[str, Any]]:
    from birddog.units import iso_from_ns

    directory = registers.directory
    out = []
    for name in dict.fromkeys([*directory.devices, *directory.attachments, *directory.placements]):
        device = directory.devices.get(name)
        held = directory.attachment(name, registers.now_ns)
        placed = directory.placement(name, registers.now_ns)
        out.append({
            "device": name, "name": device.name if device else "", "format": device.format if device else "",
            "owner": device.owner if device else "", "basis": device.basis if device else "",
            "interval_s": (device.interval_s or None) if device else None, "class": device.klass if device else "",
            "model": device.model if device else "",
            "topics": list(device.topics) if device else [], "week_rollover": device.week_rollover if device else 0,
            "state": "not enrolled" if device is None else "retired" if device.retired else "enrolled",
            "operation": held.operation if held else "", "shipment": held.shipment if held else "",
            "attached_from": iso_from_ns(held.from_ns) if held else None,
            "placement": {"lat_deg": placed.lat_deg, "lon_deg": placed.lon_deg, "range_m": placed.range_m} if placed else None,
        })
    return out


def _list(registers: Any, args: argparse.Namespace) -> int:
    rows = _rows(registers)
    if args.json:
        print_json(rows)
    else:
        head = ("device", "name", "format", "basis", "state", "operation", "shipment")
        print_table(head, [[row[key] for key in head] for row in rows])
    return 0


def _show(registers: Any, args: argparse.Namespace) -> int:
    from birddog.errors import UsageError

    row = next((row for row in _rows(registers) if row["device"] == args.device), None)
    if row is None:
        raise UsageError(f"nothing is known of {args.device!r}", field="ID")
    if args.json:
        print_json(row)
    else:
        print_table(("field", "value"), row.items())
    return 0


def _retire(registers: Any, args: argparse.Namespace) -> int:
    import msgspec

    from birddog.errors import UsageError

    device = registers.directory.devices.get(args.device)
    if device is None:
        raise UsageError(f"{args.device!r} is not enrolled", field="ID")
    if device.retired:
        raise UsageError(f"{args.device!r} is retired already", field="ID")
    registers.enter(msgspec.structs.replace(device, retired=True))
    say(f"{args.device} is retired")
    return 0


#: What is known of a line's words without a journal: these two may be the first of a new one.
_CHECKS = {"enrol": _check_enrol, "place": _check_place}
_ACTIONS = {"enrol": _enrol, "model": _model, "attach": _attach, "detach": _detach, "place": _place, "list": _list,
            "show": _show, "retire": _retire}
