"""``birddog validate MODEL``: what a device model's values are worth, measured against a reference, as a signed record."""

from __future__ import annotations

import argparse
from typing import Any

from opsroom.commands.common import actor_option


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", metavar="MODEL", help="the device model, as the record shall name it")
    parser.add_argument("--reference", metavar="FILE", help="CSV t,lat,lon[,sog_mps,cog_deg] of something ten times as good")
    parser.add_argument("--fixes", metavar="FILE",
                        help="CSV t,lat,lon[,sog_mps,cog_deg]: what the device said of the same drive")
    parser.add_argument("--method", metavar="TEXT", default="", help="how the reference was made, in words")
    parser.add_argument("--class", dest="klass", default="", metavar="CLASS",
                        help="with --fixes: what carried the device, as it is enrolled (walker, van, lorry, vessel, ...)")
    parser.add_argument("--journal", metavar="URL",
                        help="enter the record here; without --fixes they are those of the model's device in this journal")
    parser.add_argument("--device", metavar="ID", default="", help="with --journal: which, where several are of the model")
    parser.add_argument("--enter", metavar="FILE", help="with --journal: enter this record, made before")
    parser.add_argument("--withdraw", action="store_true", help="with --journal: no record of the model counts any more")
    actor_option(parser)
    parser.add_argument("--key", metavar="FILE", default="birddog-validation.key",
                        help="the signing key, mode 0600; made where it is not there (default ./birddog-validation.key)")
    parser.add_argument("--check", metavar="FILE",
                        help="check a record of this model instead: whether it is signed and unchanged")
    parser.add_argument("--public", metavar="KEY", help="with --check, --enter: the key that must have signed it, base64")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print the record as JSON; exit 1 where no quantity has a bound, or a checked record is broken."""
    from birddog.errors import UsageError
    from opsroom.commands.common import name_of

    name_of(args.model, "MODEL")
    name_of(args.actor, "--actor")
    if args.journal is None and (args.enter is not None or args.withdraw or args.device):
        raise UsageError("is wanted with --enter, --withdraw and --device", field="--journal")
    if args.check is not None:
        return _check(args)
    if args.enter is not None or args.withdraw:
        return _enter(args, None if args.withdraw else _read(args, args.enter))
    if args.reference is None or (args.fixes is None and args.journal is None):
        raise UsageError("wants --reference and --fixes (or --journal), or --check", field="MODEL")
    return _make(args)


def _make(args: argparse.Namespace) -> int:
    import json
    import time
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birddog import __version__, validation
    from birddog.keyfile import key_file
    from birddog.units import iso_from_ns
    from birddog.validated import UNITS
    from opsroom import validating
    from opsroom.commands.common import result_file, say

    reference = _rows(args.reference)
    if args.fixes is not None:
        klass, fixes, said_of_fixes = args.klass, _rows(args.fixes), _file(args.fixes)
    else:
        device, klass, fixes = validating.of_journal(args.journal, args.model, args.device)
        said_of_fixes = {"device": device}
    found = validation.compare(reference, fixes)
    estimated = validation.compare(reference, validating.estimated(fixes, klass))
    path = Path(args.key)
    fresh = not path.exists()
    key = Ed25519PrivateKey.from_private_bytes(key_file(path, make=True))
    public = key.public_key().public_bytes_raw()
    if fresh:
        say(f"birddog validate: made the signing key {path} (mode 0600); keep it, and give out its public part")
    signed = validation.sign(validation.record(
        args.model, found, made=iso_from_ns(time.time_ns()), version=__version__, method=args.method, estimated=estimated,
        reference={**_file(args.reference), "rows": len(reference.t)},
        fixes={**said_of_fixes, "class": klass, "rows": len(fixes.t)},
    ), public, key.sign)  # fmt: skip
    with result_file(args.out) as out:
        out.write(json.dumps(signed, indent=2, ensure_ascii=False) + "\n")
    for quantity, (_, unit) in UNITS.items():
        for of, bound in (("", found.bounds[quantity]), ("the tracker's ", estimated.bounds[quantity])):
            if bound.bound is None:
                say(f"{of}{quantity}: NOT VALIDATED: {bound.not_validated}")
                continue
            held = "" if bound.held_out is None else f", {bound.held_out:.1%} of held-out parts"
            say(f"{of}{quantity}: validated to {bound.bound:.3g} {unit} at {validation.LEVEL:.0%} ({bound.n} values{held})")
    if found.speeds_mps is not None and found.longest_step_s is not None:
        low_mps, high_mps = found.speeds_mps
        say(f"measured at {low_mps:.3g} to {high_mps:.3g} m/s, with steps of {found.longest_step_s:.3g} s at most: of other "
            "speeds and longer steps it promises no speed, course or time")
    if found.outside or found.in_gaps:
        say(f"not compared: {found.outside} fixes outside the reference's time, {found.in_gaps} in gaps of it over "
            f"{validation.GAP_S:.0f} s")
    if all(bound.bound is None for bound in found.bounds.values()):
        return 1
    return 0 if args.journal is None else _enter(args, signed)


def _enter(args: argparse.Namespace, signed: dict[str, Any] | None) -> int:
    """Make it an entry; None withdraws what was said before."""
    from birddog import validation
    from birddog.model import Validation
    from opsroom.commands.common import say
    from opsroom.registers import Registers

    registers = Registers(args.journal, actor=args.actor)
    said = "" if signed is None else validation.canonical(signed).decode()
    [seq] = registers.enter(Validation(model=args.model, by=registers.actor, said=said))
    say(f"{args.model}: entry {seq}" + ("; no record of it counts any more" if signed is None else ""))
    if not any(known.model == args.model for known in registers.directory.devices.values()):
        say(f"no device is enrolled as a {args.model}: birddog device model ID {args.model!r}")
    return 0


def _rows(path: str) -> Any:
    import math

    from birddog.geo import valid_position
    from birddog.validation import Rows
    from opsroom import csv_rows

    wanted: dict[str, Any] = {"t": csv_rows.time_ns, "lat": csv_rows.number, "lon": csv_rows.number,
              "sog_mps": csv_rows.Optional(csv_rows.number), "cog_deg": csv_rows.Optional(csv_rows.number)}
    found = []
    for line, row in csv_rows.rows(path, ("t", "lat", "lon"))[1]:
        values = csv_rows.taken(path, line, row, wanted)
        if values is None:
            continue
        if not valid_position(values["lat"], values["lon"]):
            csv_rows.refused(path, line, "lat, lon", "no position on Earth")
            continue
        speed, course = values["sog_mps"], values["cog_deg"]
        found.append((values["t"] / 1e9, values["lat"], values["lon"], math.nan if speed is None or speed < 0 else speed,
                      math.nan if course is None else course % 360.0))
    csv_rows.told(path, wanted)
    return Rows.of(found)


def _file(path: str) -> dict[str, str]:
    import hashlib
    from pathlib import Path

    return {"name": Path(path).name, "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _read(args: argparse.Namespace, file: str) -> dict[str, Any]:
    """A record of this model, signed (by ``--public``, where that was said)."""
    import base64
    import binascii

    from birddog.errors import UsageError
    from birddog.validation import RecordBroken, verified
    from opsroom.commands.common import json_file

    try:
        public = None if args.public is None else base64.b64decode(args.public, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("wants 32 bytes in base64", field="--public") from error
    signed = json_file(file)
    try:
        body = verified(signed, public)
    except RecordBroken as error:
        raise RecordBroken(f"{file}: {error}") from error
    if body.get("model") != args.model:
        raise RecordBroken(f"{file}: is of the model {body.get('model')!r}, not of {args.model!r}")
    return signed


def _check(args: argparse.Namespace) -> int:
    _read(args, args.check)
    print(f"{args.check}: holds" + ("" if args.public is not None else "; whose key it is signed by was not asked (--public)"))
    return 0
