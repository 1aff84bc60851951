"""``birddog witness``: the agency that signs other agencies' logs (init, trust, list, serve, sign), and the log that asks it
(ask, request, take): by HTTP, by a file on a stick in each direction, or by a QR symbol on paper."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from opsroom.commands.common import journal_option, json_option, print_json, print_table, result_file, say

if TYPE_CHECKING:
    from birddog.note import Verifier
    from birddog.witness import Ledger


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    init = verbs.add_parser("init", help="become a witness: makes the folder with its key, prints the public half",
                            allow_abbrev=False)
    init.add_argument("name", metavar="NAME", help="as it stands under what is signed, e.g. customs.example/witness")
    trust = verbs.add_parser("trust", help="sign checkpoints of this log from now on", allow_abbrev=False)
    trust.add_argument("key", metavar="KEY", help="the log's public key, NAME+HASH+KEY, a file that holds it, or the note of "
                                                  "its rotation")
    listing = verbs.add_parser("list", help="the logs that are known, how far each was signed, and what was disputed",
                               allow_abbrev=False)
    serve = verbs.add_parser("serve", help="answer logs by HTTP (C2SP tlog-witness)", allow_abbrev=False)
    serve.add_argument("--host", default="127.0.0.1", metavar="HOST", help="beyond this machine only with --cert, --key, --ca")
    serve.add_argument("--port", type=int, default=8440, metavar="N", help="the port (default 8440; 0 takes a free one)")
    serve.add_argument("--prefix", default="", metavar="PATH", help="in front of /add-checkpoint, e.g. /w1")
    serve.add_argument("--cert", default="", metavar="FILE", help="our certificate, PEM")
    serve.add_argument("--key", default="", metavar="FILE", help="its key, PEM")
    serve.add_argument("--ca", default="", metavar="FILE", help="who signed the callers' certificates, PEM")
    sign = verbs.add_parser("sign", help="answer a request that came as a file", allow_abbrev=False)
    sign.add_argument("request", metavar="REQUEST")
    sign.add_argument("--out", metavar="FILE", help="write the answer here instead of stdout")
    for sub in (init, trust, listing, serve, sign):
        sub.add_argument("--store", metavar="FOLDER", default="witness", help="the witness's folder (default witness)")
    json_option(listing)
    ask = verbs.add_parser("ask", help="have a witness sign the newest checkpoint, by HTTP, once", allow_abbrev=False)
    ask.add_argument("url", metavar="URL", help="https://HOST[:PORT][/PREFIX]; http:// on this machine only")
    ask.add_argument("--cert", default="", metavar="FILE", help="our certificate, PEM")
    ask.add_argument("--cert-key", default="", metavar="FILE", help="its key, PEM")
    ask.add_argument("--ca", default="", metavar="FILE", help="who signed the witness's certificate, PEM")
    request = verbs.add_parser("request", help="the same as a file, for a stick", allow_abbrev=False)
    request.add_argument("--old", type=int, metavar="N", help="how many entries the witness signed last (as it said)")
    request.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    for sub in (request, sign):
        sub.add_argument("--qr", metavar="FILE", help="draw it as a QR symbol too (SVG), to be carried on paper")
    take = verbs.add_parser("take", help="keep the answer that came back: each start is held against it", allow_abbrev=False)
    take.add_argument("answer", metavar="ANSWER")
    for sub in (ask, request, take):
        sub.add_argument("--key", dest="witness", metavar="KEY", required=True,
                         help="the witness's public key, NAME+HASH+KEY, or a file that holds it")
        journal_option(sub)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return {"init": _init, "trust": _trust, "list": _list, "serve": _serve, "sign": _sign, "ask": _ask, "request": _request,
            "take": _take}[args.verb](args)  # fmt: skip


# --- the witness's side ------------------------------------------------------------------------------


def _ledger(args: argparse.Namespace, name: str = "") -> Ledger:
    from pathlib import Path

    from birddog.witness import Ledger

    return Ledger(Path(args.store), name)


def _init(args: argparse.Namespace) -> int:
    print(_ledger(args, args.name).signer.verifier.text())
    return 0


def _trust(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.merkle import VerificationError

    ledger = _ledger(args)
    try:
        log = ledger.trust(_text_or_file(args.key))
    except VerificationError as error:
        raise UsageError(str(error), field="KEY") from error
    say(f"{log.origin} is signed from now on, by its key {log.keys[-1]}")
    return 0


def _list(args: argparse.Namespace) -> int:
    ledger = _ledger(args)
    logs = ledger.logs()
    if args.json:
        print_json({"name": ledger.signer.verifier.name, "key": ledger.signer.verifier.text(),
                    "logs": [{"origin": log.origin, "keys": log.keys, "entries": log.size, "root": log.root.hex(),
                              "disputed": log.disputed} for log in logs]})  # fmt: skip
        return 0
    say(f"witness {ledger.signer.verifier.text()}")
    print_table(("log", "entries signed", "root", "disputed"),
                [(log.origin, log.size, log.root.hex(), len(log.disputed) or "") for log in logs])  # fmt: skip
    return 0


def _serve(args: argparse.Namespace) -> int:
    import logging
    import re
    import threading

    from birddog.errors import UsageError
    from ingest.address import is_loopback
    from ingest.certificates import ServerTls
    from opsroom.signals import Stop
    from opsroom.witness_server import WitnessServer

    if not 0 <= args.port <= 65_535:
        raise UsageError("wants a port, 0 to 65535", field="--port")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", args.prefix):
        raise UsageError("wants a path such as /w1", field="--prefix")
    tls = None
    if args.cert or args.key or args.ca:
        tls = ServerTls(args.cert, args.key, args.ca, field="witness serve")
    elif not is_loopback(args.host):
        raise UsageError(f"{args.host!r}, beyond this machine, needs --cert, --key and --ca", field="--host")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ledger = _ledger(args)
    host = "127.0.0.1" if args.host == "localhost" else args.host
    server = WitnessServer(ledger, host, args.port, prefix=args.prefix, tls=tls)
    stop = Stop()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="witness", daemon=True)
    thread.start()
    say(f"witness {ledger.signer.verifier.text()}")
    say(f"listens: {'https' if tls else 'http'}://{args.host}:{server.port}{args.prefix}")
    stop.wait()
    server.shutdown()
    server.server_close()
    return 0


def _sign(args: argparse.Namespace) -> int:
    import time

    from birddog.witness import Request, cosigned
    from opsroom.paper import read_back, write_qr

    ledger, raw = _ledger(args), read_back(_read(args.request))
    answer = ledger.add(raw, int(time.time()))
    if answer.status != 200:
        again = f"; ask again with --old {answer.body.strip()}" if answer.status == 409 and "forked" not in answer.words else ""
        say(f"birddog witness: not signed: {answer.words}{again}")
        return 1
    whole, _ = cosigned(Request.of(raw).note, answer.body, ledger.signer.verifier)
    with result_file(args.out) as out:
        out.write(whole)
    if args.qr is not None:
        write_qr(args.qr, whole)
    say(f"signed: {answer.words}")
    return 0


# --- the log's side ----------------------------------------------------------------------------------


def _ask(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.journal import home
    from birddog.units import iso_from_ns
    from opsroom.commands.evidence import signed_to_the_end
    from opsroom.witnesses import Contradiction, Refusal, Settings, Witness

    key = _key(args)
    witness = Witness(Settings(name=key.name, key=key.text(), url=args.url, ca=args.ca, cert=args.cert, key_file=args.cert_key))
    signed_to_the_end(args.journal)
    try:
        size, time_s = witness.ask(home(args.journal))
    except Contradiction as error:
        print(error)
        return 1
    except Refusal as error:
        raise UsageError(str(error)) from error
    say(f"{key.name} signed {size} entries at {iso_from_ns(time_s * 10**9)}")
    return 0


def _request(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.journal import home
    from birddog.journal.witnessed import Contradiction, kept, request
    from opsroom.commands.evidence import signed_to_the_end
    from opsroom.paper import write_qr

    place, key, old = home(args.journal), _key(args), args.old
    if old is not None and old < 0:
        raise UsageError("wants a number of entries", field="--old")
    signed_to_the_end(args.journal)
    if old is None:
        held = kept(place, key)
        old = held.size if held is not None else 0
    try:
        asked, point = request(place, old)
    except Contradiction as error:
        print(error)
        return 1
    with result_file(args.out) as out:
        out.write(asked.text())
    if args.qr is not None:
        write_qr(args.qr, asked.text())
    say(f"{point.size} entries of {point.origin}, which go on from {old}: for {key.name}")
    return 0


def _take(args: argparse.Namespace) -> int:
    from birddog.errors import UsageError
    from birddog.journal import home
    from birddog.journal.witnessed import Contradiction, take
    from birddog.merkle import VerificationError
    from birddog.units import iso_from_ns
    from opsroom.paper import read_back

    key = _key(args)
    try:
        note = read_back(_read(args.answer)).decode()
        point, time_s = take(home(args.journal), note, note.rpartition("\n\n")[2], key)
    except Contradiction as error:
        print(f"{error}; it is kept, and the next start is refused")
        return 1
    except (VerificationError, UnicodeDecodeError) as error:
        raise UsageError(str(error), file=args.answer) from error
    say(f"{key.name} signed {point.size} entries at {iso_from_ns(time_s * 10**9)}; each start is held against it")
    return 0


def _key(args: argparse.Namespace) -> Verifier:
    from birddog.errors import UsageError
    from birddog.merkle import VerificationError
    from birddog.note import WITNESSES, Verifier

    try:
        key = Verifier.of(_text_or_file(args.witness))
    except VerificationError as error:
        raise UsageError(str(error), field="the witness's key") from error
    if key.kind != WITNESSES:
        raise UsageError("is a log's key, not a witness's", field="the witness's key")
    return key


def _text_or_file(given: str) -> str:
    import os

    return _read(given).decode("utf-8", "replace") if os.path.isfile(given) else given


def _read(name: str) -> bytes:
    from birddog.errors import UsageError
    from birddog.witness import MOST_BYTES

    try:
        with open(name, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=name) from error
