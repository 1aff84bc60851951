"""``birddog evidence seal|rotate|stamp|export|verify|case-uco``: sign the log now, give it a new key, have it stamped, write a
case's bundle, verify one, write it in the words of CASE/UCO."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from opsroom.commands.common import actor_option, journal_option, name_of, result_file, say, text_file


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    seal = verbs.add_parser("seal", help="the newest signed checkpoint of the log, to be kept elsewhere", allow_abbrev=False)
    seal.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    seal.add_argument("--qr", metavar="FILE", help="draw it as a QR symbol too (SVG), to be kept on paper")
    export = verbs.add_parser("export", help="a case's entries with their proofs, as one file", allow_abbrev=False)
    export.add_argument("case", metavar="CASE")
    export.add_argument("--from", dest="from_time", metavar="TIME", help="only what came in from this time on")
    export.add_argument("--to", dest="to_time", metavar="TIME", help="only what came in before this time")
    export.add_argument("--redact", metavar="FIELDS", default="",
                        help="withhold these fields, or groups of them, with commas between (docs/evidence.md)")
    export.add_argument("--out", metavar="FILE", help="the bundle (CASE.evidence.zip)")
    export.add_argument("--reason", metavar="TEXT", default="", help="for whom and why, as the journal's entry of it shall say")
    rotate = verbs.add_parser("rotate", help="a new key for the log, named by the old one in an entry", allow_abbrev=False)
    rotate.add_argument("--reason", metavar="TEXT", default="", help="why, as the entry shall say")
    rotate.add_argument("--out", metavar="FILE", help="the note, signed by both keys, for witnesses and verifiers (stdout)")
    actor_option(rotate)
    actor_option(export)
    stamp = verbs.add_parser("stamp", help="have the newest checkpoint stamped by a time stamping authority (RFC 3161)",
                             allow_abbrev=False)
    stamp.add_argument("url", metavar="URL", help="where it answers")
    stamp.add_argument("--ca", metavar="FILE", required=True, help="certificates (PEM) by which its stamps are trusted")
    stamp.add_argument("--tls-ca", metavar="FILE", default="", help="PEM of who signed its server's certificate")
    for sub in (seal, export, rotate, stamp):
        journal_option(sub)
    verify = verbs.add_parser("verify", help="whether a bundle holds, a line for each record that does not", allow_abbrev=False)
    words = verbs.add_parser("case-uco", help="a bundle that holds, in the words of CASE/UCO (JSON-LD)", allow_abbrev=False)
    for sub in (verify, words):
        sub.add_argument("bundle", metavar="BUNDLE")
        sub.add_argument("--key", metavar="KEY", help="the log's public key, NAME+HASH+KEY, or a file that holds it")
        sub.add_argument("--witness", metavar="KEY", action="append", default=[],
                         help="a witness's public key, or a file that holds it: that it signed the log is checked too")
    verify.add_argument("--tsa-ca", metavar="FILE",
                        help="certificates (PEM) by which the bundle's time stamps are trusted: who made them is checked too")
    verify.add_argument("--recompute", action="store_true", help="make the tracks again and compare bit for bit")
    words.add_argument("--out", metavar="FILE", help="write here instead of stdout")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return {"seal": _seal, "rotate": _rotate, "export": _export, "verify": _verify, "case-uco": _case_uco, "stamp": _stamp}[
        args.verb](args)


def _seal(args: argparse.Namespace) -> int:
    from birddog.journal import home
    from birddog.journal.log_files import LogFiles
    from opsroom.paper import write_qr

    signed_to_the_end(args.journal)
    _, note = LogFiles(home(args.journal).log).there()
    with _whole(args.out) as out:
        out.write(note.decode())
    if args.qr is not None:
        write_qr(args.qr, note.decode())
    return 0


@contextlib.contextmanager
def _whole(name: str | None) -> Iterator[TextIO]:
    """``result_file``, whole or not there: written beside and renamed, so that a full disk leaves what was there before.

    A pipe, a device, and a file in a folder that cannot be written are written in place.
    """
    from birddog.errors import UsageError

    path = "" if name is None else os.path.realpath(name)
    folder, base = os.path.split(path)
    if name is None or (os.path.exists(path) and not (os.path.isfile(path) and os.access(folder, os.W_OK))):
        with result_file(name) as out:
            yield out
        return
    made = os.path.join(folder, f".{base}.new")
    try:
        with open(made, "w", encoding="utf-8", newline="\n") as out:
            yield out
        os.replace(made, path)
    except OSError as error:
        if error.filename not in (None, made):
            raise
        raise UsageError(f"cannot be written: {error.strerror}", file=name) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(made)


def _rotate(args: argparse.Namespace) -> int:
    import time

    from birddog.errors import JournalError, UsageError
    from birddog.journal import home
    from birddog.journal.keys import Keys
    from birddog.journal.log_files import LogFiles
    from birddog.keyring import KeyringError, KeysClosed
    from birddog.model import Rotation
    from birddog.note import Signer, Verifier
    from birddog.rotation import rotation
    from opsroom.registers import Registers

    registers = Registers(args.journal, actor=name_of(args.actor, "--actor"))
    reason = name_of(args.reason, "--reason")
    signed_to_the_end(args.journal)
    files = LogFiles(home(args.journal).log)
    known, _ = files.there()
    keys = Keys(home(args.journal), make=True)
    old = Verifier.of(known.keys[-1].verifier)
    try:
        note = rotation(Signer(known.origin, keys.signing_key(old.public)), Signer(known.origin, keys.next_signing_key()))
    except KeysClosed:
        raise
    except KeyringError as error:
        raise UsageError(f"{error}: without it nothing can name the next key (docs/evidence.md, lost keys)") from error
    [seq] = registers.enter(Rotation(signature=note, by=registers.actor, reason=reason))
    deadline = time.monotonic() + 10.0
    while (now := files.known()) is None or now.keys[-1].note != note:
        if time.monotonic() > deadline:
            raise JournalError(f"entry {seq} stands, and the log still has its old key: /healthz says why")
        time.sleep(0.05)
    with _whole(args.out) as out:
        out.write(note)
    say(f"entry {seq}: from now on the log is signed by {now.keys[-1].verifier}")
    say("its old private key is destroyed; hand the note to witnesses (birddog witness trust), the key to who verifies")
    return 0


def _stamp(args: argparse.Namespace) -> int:
    from birddog.journal import home
    from opsroom.stamps import Authority, Settings, stamp

    authority = Authority(Settings(tsa_url=args.url, tsa_ca=args.ca, tsa_tls_ca=args.tls_ca))
    signed_to_the_end(args.journal)
    size, when = stamp(home(args.journal), authority)
    say(f"the first {size} entries were there at {when}: {home(args.journal).stamps / f'{size}.tsr'}")
    return 0


def signed_to_the_end(url: str) -> None:
    """Wait until every entry of now is signed: by the running writer within a second, or by ourselves.

    Raises:
        JournalError: it is not within some seconds.
    """
    import time

    from birddog.errors import JournalError, JournalHeld
    from birddog.journal import home, open_reader, open_writer
    from birddog.journal.log_files import LogFiles

    reader = open_reader(url)
    mode, last = reader.mode, reader.last_seq()
    reader.close()
    files, deadline = LogFiles(home(url).log), time.monotonic() + 5.0
    while True:
        known = files.known()
        point = None if known is None else files.checkpoint(known)
        if known is None or (point is not None and point.size >= last - known.begins + 1):
            return
        late = time.monotonic() > deadline
        try:
            open_writer(url, mode=mode, create=False).close()
        except JournalHeld:
            if late:
                raise
        if late:
            raise JournalError(f"{files.folder}: the log is not signed to the journal's end, entry {last}: is the disk full?")
        time.sleep(0.1)


def _export(args: argparse.Namespace) -> int:
    from pathlib import Path

    from birddog.journal import home, open_reader
    from birddog.model import Access
    from opsroom.accesses import person, record
    from opsroom.bundle import can_be_exported, export
    from opsroom.csv_rows import time_ns

    wanted = {"from_ns": args.from_time, "to_ns": args.to_time}
    span = {name: _time(time_ns, text, option) for (name, text), option in zip(wanted.items(), ("--from", "--to"), strict=True)
            if text is not None}
    redact = [field.strip() for field in args.redact.split(",") if field.strip()]
    to = Path(args.out or f"{args.case.replace('/', '_')}.evidence.zip")
    reason, place = name_of(args.reason, "--reason"), home(args.journal)
    reader = open_reader(args.journal)
    try:
        can_be_exported(reader, place, args.case, redact)
        # that it leaves is an entry before it does; the bundle's checkpoint covers it, and the entry is in the bundle
        record(args.journal, Access(
            action="export", by=person(name_of(args.actor, "--actor")), to=to.name, operation=args.case, reason=reason,
            form="evidence" + (f", withheld: {', '.join(redact)}" if redact else ""),
            from_ns=span.get("from_ns"), to_ns=span.get("to_ns")))
        signed_to_the_end(args.journal)
        count = export(reader, place, args.case, to, redact=redact, **span)
    finally:
        reader.close()
    say(f"{to}: {count} records" + (f"; withheld: {args.redact}" if redact else ""))
    return 0


def _time(read, text: str, option: str) -> int:  # type: ignore[no-untyped-def]  # csv_rows.time_ns
    from birddog.errors import UsageError

    try:
        return read(text)
    except ValueError as error:
        raise UsageError(str(error), field=option) from error


def _keys(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """(the log's key, the witnesses'), each as it was given or as its file holds it."""
    from pathlib import Path

    from birddog.errors import UsageError
    from opsroom import verifier

    found = []
    for text, kind, option in ((args.key, 1, "--key"), *((one, 4, "--witness") for one in args.witness)):
        if text is None:
            continue
        found.append(text_file(text, "key").strip() if Path(text).is_file() else text)
        try:
            verifier.key_of(found[-1], kind)
        except verifier.Wrong as error:
            raise UsageError(str(error), field=option) from error
    return (None, found) if args.key is None else (found[0], found[1:])


def _verify(args: argparse.Namespace) -> int:
    from pathlib import Path

    from birddog.errors import UsageError
    from opsroom import verifier

    key, witnesses = _keys(args)
    stamped, stamps = None, list[str]()
    if args.tsa_ca is not None:
        from opsroom.timestamp import NotStamped, authorities, library, stamped_by

        library()
        trusted = authorities(args.tsa_ca)

        def stamped(data: bytes, answer: bytes) -> str:
            try:
                stamps.append(stamped_by(answer, data, trusted))
            except NotStamped as error:
                stamps.append("")
                raise verifier.Wrong(str(error)) from error
            return f"so says {stamps[-1]}, whose certificate leads to one that is trusted"

    try:
        faults = verifier.verify(args.bundle, key, witnesses=witnesses, stamped=stamped)
    except verifier.Refused as error:
        raise UsageError(str(error), file=args.bundle) from error
    if args.tsa_ca is not None and not stamps:
        print("no time stamp that could be held against a certificate is in the bundle")
        faults += 1
    if args.recompute and not faults:
        from opsroom.bundle import recomputed

        wrong = recomputed(Path(args.bundle))
        print(wrong or "tracks.csv is what the tracker makes of the records, bit for bit")
        faults += bool(wrong)
    return 1 if faults else 0


def _case_uco(args: argparse.Namespace) -> int:
    from pathlib import Path

    from birddog.errors import UsageError, printable
    from opsroom.case_uco import NotVerified, write

    key, witnesses = _keys(args)
    made = None if args.out is None else Path(args.out).with_name(f".{Path(args.out).name}.new")
    try:
        with result_file(None if made is None else str(made)) as out:
            count = write(Path(args.bundle), out, key, witnesses)
        if made is not None:
            made.replace(args.out)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=args.out or "stdout") from error
    except NotVerified as error:
        for line in error.lines:
            print(printable(line), file=sys.stderr)
        raise
    finally:
        if made is not None:
            made.unlink(missing_ok=True)
    unknown = "" if key else "; no public key was given: who made the bundle is not known"
    say(f"{args.out or 'stdout'}: {count} nodes{unknown}")
    return 0
