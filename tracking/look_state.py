"""What a ``looks.LookLog`` keeps: the last looks with the contacts before each, and what was said of each contact.

The contacts' arrays stand in a snapshot as bytes.
"""

from __future__ import annotations

import msgspec
import numpy as np

from birddog.model import Event, TrackStatus
from tracking.alongside import Alongside
from tracking.bank import CONTACT, Bank
from tracking.belied import Doubt
from tracking.beside import Beside
from tracking.company import Halt
from tracking.contact import Contact, Look
from tracking.crowd import Crowd
from tracking.measurement import Measurement
from tracking.registration import Registration


class Shown(msgspec.Struct, array_like=True):
    """What was said of a contact: its track, its rows and points, its event that goes on (or could again)."""

    track_id: str
    status: TrackStatus = "tentative"
    row_ns: int = 0
    points: int = 0
    dark: Event | None = None
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    #: What an operator said of its darkness (``vouched``), and in which entry.
    judged: str = ""
    judged_by: int = 0


class Item(msgspec.Struct):
    """A look, or (``of``) the beginning of an identified track, or (``taken``) the end of a contact that is one, with the
    contacts before it.

    Args:
        given: sightings that went to identified tracks, by track.
        of, first: the track that began, and its first measurement; or which the contact is, and where it was seen last.
        taken: the contact that an operator knew for that track.
    """

    key: tuple[int, str, str]
    before: Crowd
    look: Look | None = None
    given: list[tuple[str, Measurement]] = []
    of: str = ""
    first: Measurement | None = None
    taken: str = ""


class _PackedCrowd(msgspec.Struct, array_like=True):
    """A ``Crowd`` with its arrays as bytes."""

    t_ns: int
    contacts: tuple[Contact, ...]
    mu: bytes
    x: bytes
    p: bytes
    remembered: tuple[Contact, ...]
    looked: dict[str, tuple[int, float]]
    seen: dict[str, int]
    belied: dict[str, Doubt]
    registered: dict[str, Registration]
    alongside: dict[str, Alongside]
    halts: dict[str, Halt]
    two: dict[str, tuple[int, ...]]
    beside: dict[str, tuple[Beside, ...]]


class LookState(msgspec.Struct, array_like=True):
    """All of a ``LookLog`` that a snapshot keeps."""

    items: list[
        tuple[tuple[int, str, str], _PackedCrowd, Look | None, list[tuple[str, Measurement]], str, Measurement | None, str]
    ]
    crowd: _PackedCrowd
    shown: dict[str, Shown]
    due_ns: int
    since_ns: int = 0
    false_seen: float = 0.0
    imaged_ns: int = 0
    false_flags: float = 0.0


def packed(crowd: Crowd) -> _PackedCrowd:
    b = crowd.bank
    return _PackedCrowd(
        crowd.t_ns, crowd.contacts, b.mu.tobytes(), b.x.tobytes(), b.p.tobytes(), crowd.remembered, crowd.looked, crowd.seen,
        crowd.belied, crowd.registered, crowd.alongside, crowd.halts, crowd.two, crowd.beside,
    )


def unpacked(c: _PackedCrowd) -> Crowd:
    n, m = len(c.contacts), len(CONTACT)
    try:
        bank = Bank(*(
            np.frombuffer(data).reshape(shape).copy()
            for data, shape in ((c.mu, (n, m)), (c.x, (n, m, 4)), (c.p, (n, m, 4, 4)))
        ))  # fmt: skip
    except ValueError as error:
        raise msgspec.ValidationError(f"contacts: {error}") from None
    return Crowd(c.t_ns, c.contacts, bank, c.remembered, c.looked, c.seen, c.belied, c.registered, c.alongside,
                 c.halts, c.two, c.beside)  # fmt: skip
