"""What operators decided of a track, as the track keeps it until it is undone."""

from __future__ import annotations

from typing import Literal

import msgspec

from tracking.measurement import Measurement


class Decided(msgspec.Struct, frozen=True):
    """What an operator decided of a track, until it is undone.

    Args:
        number: of the decision's entry.
        m: the measurement that it is about, as it came; of a ``take_over`` of what looks see, the fix that says otherwise.
        seen_ns: of such a one, the last look that it was decided by; else 0.
        keys: of a merge those that feed this track since; of a split that of the new track.
        devices: the identities that came with a merge, or went with a split.
        state: the packed ``TrackState`` of what was merged into this one; of a split the packed ``Core`` before the ring as it
            was, where what the receiver had left in it was taken out.
        before: of a merge the packed filter and ring of this track before it, as a ``TrackState``.
        at: of a split where its device stood among the identities, the sources and the fixers; -1: it did not.
    """

    number: int
    action: Literal["false_fix", "take_over", "merge", "split", "identify"]
    m: Measurement | None = None
    keys: list[str] = []
    devices: list[str] = []
    state: bytes = b""
    before: bytes = b""
    seen_ns: int = 0
    at: tuple[int, ...] = ()


def merged_keys(decided: list[Decided]) -> list[str]:
    """The keys of what was merged into a track."""
    return [key for one in decided if one.action == "merge" for key in one.keys]
