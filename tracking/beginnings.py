"""Where identified tracks begin among the looks of an operation, whatever came in first.

A track goes on from the contact that its first measurement fits.  Which measurement is its first, and which looks were before
it, is not known while things come in late: a fix that is earlier than the first one begins the track anew, out of the contact
that it fits itself; a look that is earlier than a track's first fix may be what that goes on from, also where there was no
look at all when the fix came in.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracking.crowd import Crowd
from tracking.kept import packed
from tracking.look_state import Item
from tracking.measurement import Measurement
from tracking.track_state import LiveTrack, in_order


def of(items: list[Item], track_id: str) -> int | None:
    """Which of the items is the beginning of a track; None: none that is kept."""
    return next((k for k, item in enumerate(items) if item.of == track_id and not item.taken), None)


def is_anew(items: list[Item], live: LiveTrack, m: Measurement) -> bool:
    """Whether a track begins with a measurement that came in after others of it."""
    ring, at = live.state.ring, of(items, live.state.track_id)
    if at is None:
        return live.base_ns is None and ring.n > 0 and m.time_ns <= ring.time_ns(0) and in_order(m) < in_order(ring[0])
    first = items[at].first
    return first is not None and _may_change(live, first) and in_order(m) < in_order(first)


def unnoted(items: list[Item], lives: Iterable[LiveTrack], time_ns: int, crowd: Crowd) -> list[Item]:
    """The beginnings after a time that nobody noted, as there was no look then that could have had a say."""
    later = [live for live in lives if live.base_ns is None and live.state.ring.n and live.state.ring.time_ns(0) > time_ns]
    noted = {item.of for item in items if item.of and not item.taken} if later else set()
    return [beginning(live, live.state.ring[0], crowd) for live in later if live.state.track_id not in noted]


def beginning(live: LiveTrack, m: Measurement, crowd: Crowd) -> Item:
    """A track's beginning among the looks."""
    return Item((m.time_ns, "", live.state.track_id), crowd, None, [], live.state.track_id, m)


def forget(live: LiveTrack, item: Item) -> None:
    """What a track went on from is to be found again: until then it has not begun."""
    if item.first is not None and _may_change(live, item.first):
        live.rebase(None)


def forget_all(items: list[Item], lives: dict[str, LiveTrack]) -> dict[str, bytes]:
    """``forget`` of all that begin at some items; what each went on from."""
    bases: dict[str, bytes] = {}
    for item in items:
        if item.of and not item.taken and (live := lives.get(item.of)) is not None:
            bases[item.of] = base_of(live)
            forget(live, item)
    return bases


def base_of(live: LiveTrack) -> bytes:
    """What a track goes on from, to compare; empty where it is its first measurement."""
    base = live.base
    return b"" if base is None else packed(base)


def _may_change(live: LiveTrack, first: Measurement) -> bool:
    """Whether a track's beginning has not left its ring: else what follows stands."""
    return live.base_ns is None or live.base_ns < first.time_ns
