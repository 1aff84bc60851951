"""``birddog validate MODEL``: what a device model's values are worth, measured against a reference, as a signed record."""

from __future__ import annotations

import argparse
from typing import Any


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("model", metavar="MODEL", help="the device model, as the record shall name it")
    parser.add_argument("--reference", metavar="FILE", help="CSV t,lat,lon[,sog_mps,cog_deg] of something ten times as good")
    parser.add_argument("--fixes", metavar="FILE",
                        help="CSV t,lat,lon[,sog_mps,cog_deg]: what the device said of the same drive")
    parser.add_argument("--method", metavar="TEXT", default="", help="how the reference was made, in words")
    parser.add_argument("--key", metavar="FILE", default="birddog-validation.key",
                        help="the signing key, mode 0600; made where it is not there (default ./birddog-validation.key)")
    parser.add_argument("--check", metavar="FILE",
                        help="check a record of this model instead: whether it is signed and unchanged")
    parser.add_argument("--public", metavar="KEY", help="with --check: the key that must have signed it, base64")
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Print the record as JSON; exit 1 where no quantity has a bound, or a checked record is broken."""
    from birddog.errors import UsageError
    from opsroom.commands.common import name_of

    name_of(args.model, "MODEL")
    if args.check is not None:
        return _check(args)
    if args.reference is None or args.fixes is None:
        raise UsageError("wants --reference and --fixes, or --check", field="MODEL")
    return _make(args)


def _make(args: argparse.Namespace) -> int:
    import json
    import time
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birddog import __version__, validation
    from birddog.keyfile import key_file
    from birddog.units import iso_from_ns
    from opsroom.commands.common import result_file, say

    reference, fixes = _rows(args.reference), _rows(args.fixes)
    found = validation.compare(reference, fixes)
    path = Path(args.key)
    fresh = not path.exists()
    key = Ed25519PrivateKey.from_private_bytes(key_file(path, make=True))
    public = key.public_key().public_bytes_raw()
    if fresh:
        say(f"birddog validate: made the signing key {path} (mode 0600); keep it, and give out its public part")
    signed = validation.sign(validation.record(
        args.model, found, made=iso_from_ns(time.time_ns()), version=__version__, method=args.method,
        reference={**_file(args.reference), "rows": len(reference.t)}, fixes={**_file(args.fixes), "rows": len(fixes.t)},
    ), public, key.sign)  # fmt: skip
    with result_file(args.out) as out:
        out.write(json.dumps(signed, indent=2, ensure_ascii=False) + "\n")
    for quantity in validation.QUANTITIES:
        bound, unit = found.bounds[quantity], validation.UNIT_WORDS[quantity]
        if bound.bound is None:
            say(f"{quantity}: NOT VALIDATED: {bound.not_validated}")
        else:
            held = "" if bound.held_out is None else f", {bound.held_out:.1%} of held-out parts"
            say(f"{quantity}: validated to {bound.bound:.3g} {unit} at {validation.LEVEL:.0%} ({bound.n} values{held})")
    if found.outside or found.in_gaps:
        say(f"not compared: {found.outside} fixes outside the reference's time, {found.in_gaps} in gaps of it over "
            f"{validation.GAP_S:.0f} s")
    return 0 if any(bound.bound is not None for bound in found.bounds.values()) else 1


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


def _check(args: argparse.Namespace) -> int:
    import base64
    import binascii

    from birddog.errors import UsageError
    from birddog.validation import RecordBroken, verified
    from opsroom.commands.common import json_file

    try:
        public = None if args.public is None else base64.b64decode(args.public, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("wants 32 bytes in base64", field="--public") from error
    try:
        body = verified(json_file(args.check), public)
    except RecordBroken as error:
        raise RecordBroken(f"{args.check}: {error}") from error
    if body.get("model") != args.model:
        raise RecordBroken(f"{args.check}: is of the model {body.get('model')!r}, not of {args.model!r}")
    print(f"{args.check}: holds" + ("" if public is not None else "; whose key it is signed by was not asked (--public)"))
    return 0
