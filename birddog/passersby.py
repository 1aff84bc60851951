"""Vessels that no case is about: for how long what they sent is kept, and under whose key it lies until then.

The rule is an entry (``birddog.model.Passersby``): so many hours.  From that entry on, what everybody may hear (AIS) of what is
no case's lies encrypted under the key of its *period*, a quarter of those hours and an hour at least.  A period's key is
destroyed when the rule's hours have gone by since the period's end, by an entry ``erasure`` that names it: so a position is
kept for the rule's hours and at most a quarter (or an hour) longer, and nothing of it can be read afterwards, wherever a page
of it lies.

A period's key is kept for ``open@FROM--UNTIL``, and is so called in the column ``key_id`` (``open@FROM--UNTIL/1``).
"""

from __future__ import annotations

from birddog.units import NS, iso_from_ns, ns_from_text

#: The hours that a rule may say: an hour, ten years.
HOURS_LEAST, HOURS_MOST = 1, 87_600
_LEAD, _TO = "open@", "--"
_HOUR_NS = 3600 * NS


def ends_ns(now_ns: int, hours: int) -> int:
    """When the period of now ends under a rule of so many hours."""
    long_ns = max(1, hours // 4) * _HOUR_NS
    return (now_ns // long_ns + 1) * long_ns


def name_of(from_ns: int, until_ns: int) -> str:
    """For whom a period's key is kept."""
    return f"{_LEAD}{iso_from_ns(from_ns)}{_TO}{iso_from_ns(until_ns)}"


def is_period(holder: str) -> bool:
    """Whether a key is a period's, by whom it is kept for."""
    return holder.startswith(_LEAD)


def span_ns(holder: str) -> tuple[int, int]:
    """From when to when a period lasted.

    Raises:
        ValueError: it is no period's name.
    """
    begin, _, end = holder.removeprefix(_LEAD).partition(_TO)
    return ns_from_text(begin), ns_from_text(end)


def holder_of(operation: str, key_id: str | None) -> str:
    """For whom the key is kept that an entry lies under: its operation, or a period."""
    if key_id is not None and key_id.startswith(_LEAD):
        return key_id.rpartition("/")[0]
    return operation

