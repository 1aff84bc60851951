"""Custody: who had a thing, when and where, as the entries say; a transfer is open until giver and receiver have both signed.

Each person who gives or receives has an Ed25519 key, whose public half is entered once (``key``).  A giver signs the words of
the transfer, a receiver the same words and the giver's signature (C2SP signed notes), so that neither can be exchanged after.
What is wrong with an entry (no key, another's, other words) is said in its line, and the transfer stays open.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from birddog.merkle import VerificationError
from birddog.model import Custody
from birddog.note import Verifier, opened, signed
from birddog.units import iso_from_ns


class Step(msgspec.Struct, frozen=True):
    """One entry of a thing's custody: ``fault`` says why it does not count, "" where it does."""

    seq: int
    body: Custody
    fault: str = ""


class Thing(msgspec.Struct):
    """A thing: who has it now, "" while that is not known, and the transfer that waits for its receiver, 0 where none does."""

    item: str
    holder: str = ""
    waits: int = 0
    steps: list[Step] = []


def words_of(body: Custody) -> str:
    """What a giver signs: the words of a transfer."""
    when = "" if body.at_ns is None else iso_from_ns(body.at_ns)
    return "\n".join(("birddog custody", body.item, body.by, body.to, when, body.place or "-", body.sha256 or "-")) + "\n"


def received_words(given: Custody, by: str) -> str:
    """What a receiver signs: the giver's words, the giver's signature, and who received."""
    return signed(words_of(given), [given.signature]).replace("\n\n", "\n") + by + "\n"


def custody_of(entries: Iterable[tuple[int, Custody]]) -> dict[str, Thing]:
    """Every thing, by its name, from the entries in order."""
    things: dict[str, Thing] = {}
    keys: dict[str, Verifier] = {}
    for seq, body in entries:
        if body.action == "key":
            fault = _key(keys, body)
            if fault:
                things.setdefault(body.item, Thing(body.item, steps=[])).steps.append(Step(seq, body, fault))
            continue
        thing = things.setdefault(body.item, Thing(body.item, steps=[]))
        thing.steps.append(Step(seq, body, _taken(thing, seq, body, keys)))
    return things


def _key(keys: dict[str, Verifier], body: Custody) -> str:
    try:
        found = Verifier.of(body.public)
    except VerificationError as error:
        return str(error)
    if found.name != name_in_notes(body.by):
        return f"the key is {found.name}'s, not {body.by}'s"
    if body.by in keys and keys[body.by] != found:
        return f"{body.by} has another key already"
    keys[body.by] = found
    return ""


def _taken(thing: Thing, seq: int, body: Custody, keys: dict[str, Verifier]) -> str:
    if body.action == "give":
        if thing.holder and thing.holder != body.by:
            return f"{thing.holder} has it, not {body.by}"
        fault = _signed(keys, body.by, words_of(body), body.signature)
        if not fault:
            thing.holder, thing.waits = body.by, seq
        return fault
    if body.action == "receive":
        given = next((step.body for step in thing.steps if step.seq == thing.waits and thing.waits), None)
        if given is None:
            return "nothing was given that waits"
        if given.to != body.by:
            return f"it was given to {given.to}, not to {body.by}"
        fault = _signed(keys, body.by, received_words(given, body.by), body.signature)
        if not fault:
            thing.holder, thing.waits = body.by, 0
        return fault
    if body.action in ("seize", "card", "recover"):
        if thing.holder and thing.holder != body.by:
            return f"{thing.holder} has it: a transfer is missing"
        thing.holder = body.by
    elif body.action in ("place", "end"):
        if thing.holder and thing.holder != body.by:
            return f"{thing.holder} has it, not {body.by}"
        thing.holder = ""
    return ""


def _signed(keys: dict[str, Verifier], who: str, words: str, line: str) -> str:
    key = keys.get(who)
    if key is None:
        return f"{who} has no key"
    try:
        text, _ = opened(signed(words, [line]), [key])
    except (VerificationError, ValueError) as error:
        return str(error)
    return "" if text == words else "other words were signed"


def name_in_notes(person: str) -> str:
    """A person's name as it may stand in a note: without spaces and ``+``."""
    return "".join("_" if c.isspace() or c == "+" else c for c in person) or "_"
