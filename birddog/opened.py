"""By which order what had been sealed was opened: said in the column ``actor`` of each entry that it brings in.

No device and no person sends such an entry: it stands there in the name of an order, ``order "O1" of warrant "W-17": 2 of the
sealed``.  (A frame's body has no room for a field more: MessagePack writes a map of sixteen in another form, and with it every
body would change.)
"""

from __future__ import annotations

import json
import re

import msgspec

_SAID = re.compile(r'order ("(?:[^"\\]|\\.)*") of warrant ("(?:[^"\\]|\\.)*"): ([0-9]+) of the sealed')


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An order and its warrant, by their ids, and how many of what was sealed an entry brings in."""

    warrant: str
    order: str
    count: int


def said_of(opened: Opened) -> str:
    """What stands in the column."""
    order, warrant = (json.dumps(name, ensure_ascii=False) for name in (opened.order, opened.warrant))
    return f"order {order} of warrant {warrant}: {opened.count} of the sealed"


def opened_of(actor: str) -> Opened | None:
    """What the column of an entry says; None where it was not opened."""
    found = _SAID.fullmatch(actor) if actor else None
    if found is None:
        return None
    return Opened(order=json.loads(found[1]), warrant=json.loads(found[2]), count=int(found[3]))
