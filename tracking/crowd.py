"""All anonymous contacts of an operation at a time, and who is asked beside them at a look: the nouns of ``contacts.step``.

Every contact is a row of one bank of motions (``tracking.bank``, the batch of the one estimator), in the plane of its own
anchor.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from birddog.units import NS
from tracking import crowd_kernel, kernel
from tracking.alongside import Alongside
from tracking.bank import CONTACT, Bank, one_step
from tracking.belied import Doubt, Said
from tracking.beside import Beside
from tracking.company import Halt, Pass
from tracking.contact import Contact
from tracking.engine import State
from tracking.measurement import Measurement
from tracking.registration import Registration

#: The motions of what lies still, and the share of a sighting's variance that no number of sightings learns away there.
STILL, LASTS = [i for i, mode in enumerate(CONTACT) if mode.parked], 0.2
#: When a look last saw an identified track is kept so long.
SEEN_NS = 3600 * NS
#: The upper triangle of P, row by row.
UPPER = np.triu_indices(4)


class Crowd(msgspec.Struct, frozen=True):
    """All contacts at a time; row i of the bank is contact i.

    Args:
        remembered: contacts of images that are no more.
        looked: of each sensor the time of its last look and the seconds between the last two.
        seen: when a look last saw a rider, by track.
        belied: the receivers that looks make doubtful, by track.
        registered: how far off each sensor's alignment is.
        alongside: passive tags at the place of what reports, and receivers that share another one's sightings, by track.
        halts: where passive tags that looks carry stand or stood, by track; two: the last looks that showed both of two tags
            that readers heard together, by ``company.pair``.
        beside: contacts that may have a track's receiver, by track.
    """

    t_ns: int
    contacts: tuple[Contact, ...]
    bank: Bank
    remembered: tuple[Contact, ...] = ()
    looked: dict[str, tuple[int, float]] = {}
    seen: dict[str, int] = {}
    belied: dict[str, Doubt] = {}
    registered: dict[str, Registration] = {}
    alongside: dict[str, Alongside] = {}
    halts: dict[str, Halt] = {}
    two: dict[str, tuple[int, ...]] = {}
    beside: dict[str, tuple[Beside, ...]] = {}

    def rides_on(self, track_id: str) -> str | None:
        """The track that a passive tag's rides on, as looks have it."""
        one = self.alongside.get(track_id)
        return one.track_id if one is not None and one.rides and not one.reports else None


class Last(msgspec.Struct, frozen=True):
    """Where something was last known to be, and how fast it went."""

    time_ns: int
    lat_deg: float
    lon_deg: float
    speed_mps: float


class Rider(msgspec.Struct, frozen=True):
    """An identified track that is asked: its state at the look in its frame, and what it says of each sighting in its gate.

    Args:
        logs: (sighting, NIS, log density of the sighting under the track's mixture).
        visible: the log of the chance that this sensor sees it at all, from the looks that missed it.
        said: what its receiver says, where looks can belie it.
        lasts: of one that nothing but looks and readers say the place of, and that looks have lost: where they had it last, and
            the time before that.
        may: whether it may ride on another, or carry one: a passive tag that looks carry, or what reports, of no shipment.
        read: where and when a tag that may was read last.
        passes: when readers heard it, of a passive tag.
        past: where it was is only remembered (``tracking.past``): what is seen of it moves it nowhere.
    """

    track_id: str
    lat0_deg: float
    lon0_deg: float
    x: State
    logs: list[tuple[int, float, float]]
    visible: float
    said: Said | None = None
    lasts: tuple[Last, ...] = ()
    may: Literal["", "ride", "carry"] = ""
    read: Measurement | None = None
    passes: list[Pass] = []
    past: bool = False


class LookOutcome(msgspec.Struct):
    """What a look did: sightings of riders and of contacts, and who of the contacts is no more.

    Args:
        riders: (track, sighting, NIS); contacts: (name, NIS).
        again: names of contacts that took over one that was lost.
        gone: names of contacts that are a rider's after all, with its track.
        found: riders whose receiver is doubted from this look on, with the shadow which they go on from and its state; None:
            they go on from themselves.
        regained: riders that looks had lost and have again, with the contact that they go on from, its state, and where they
            were last (None: looks never lost what they are on); handed: those whose receiver is on another vehicle now; over:
            those, and the track that reports from there, if one does.
    """

    riders: list[tuple[str, int, float]]
    contacts: list[tuple[str, float]]
    born: list[str]
    gone: list[tuple[str, str]]
    found: list[tuple[str, Doubt, Contact | None, State]] = []
    regained: list[tuple[str, Contact, State, Last | None]] = []
    handed: list[tuple[str, Contact | Rider, State]] = []
    over: dict[str, str] = {}


def empty(t_ns: int = 0) -> Crowd:
    """Nobody."""
    m = len(CONTACT)
    return Crowd(t_ns, (), Bank(np.empty((0, m)), np.empty((0, m, 4)), np.empty((0, m, 4, 4))))


def ahead(bank: Bank, dt_s: float) -> Bank:
    """Every contact dt_s later."""
    if dt_s <= 0.0 or not len(bank.mu):
        return bank
    to = Bank(np.empty_like(bank.mu), np.empty_like(bank.x), np.empty_like(bank.p))
    crowd_kernel.compiled().ahead(bank.mu, bank.x, bank.p, *one_step(dt_s, CONTACT), to.mu, to.x, to.p)
    return to


def moments(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Mean (T, 4) and covariance (T, 4, 4) of each contact."""
    mean, cov = np.empty((len(bank.mu), 4)), np.empty((len(bank.mu), 4, 4))
    crowd_kernel.compiled().moments(bank.mu, bank.x, bank.p, mean, cov)
    return mean, cov


def updated(bank: Bank, rows: np.ndarray, seen: np.ndarray) -> Bank:
    """The contacts of these rows after a sighting each (``crowd_kernel.PAIR``), and the others as they were."""
    to = Bank(bank.mu.copy(), bank.x.copy(), bank.p.copy())
    crowd_kernel.compiled().updated(to.mu, to.x, to.p, rows, seen)
    return to


def stated(contacts: list[Contact], bank: Bank, cov: np.ndarray) -> np.ndarray:
    """The covariances as they are told: of what lies still they are no smaller than what its sensor's errors leave that last.

    A ship swings at her anchor more slowly than a radar can tell, and its own errors are not new at each look.
    """
    told = cov.copy()
    told[:, [0, 2], [0, 2]] += LASTS * (bank.mu[:, STILL].sum(axis=1) * np.array([c.r for c in contacts]))[:, None]
    return told


def state_of(mean: np.ndarray, cov: np.ndarray) -> State:
    """One contact's moments as the flat tuple of ``tracking.engine``."""
    return (*mean.tolist(), *cov[UPPER].tolist())


def placed(contacts: list[Contact], mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Where contacts are on Earth, (N, 16): of each lat_deg, lon_deg and its moments as a ``State`` in the axes there."""
    lat0, lon0 = np.array([c.lat0_deg for c in contacts]), np.array([c.lon0_deg for c in contacts])
    x, told = np.concatenate((mean, cov[:, UPPER[0], UPPER[1]]), axis=1), np.empty((len(contacts), 16))
    kernel.compiled().place_all(lat0, lon0, x, told)
    return told
