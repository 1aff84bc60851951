"""The register of warrants: what stands of each, as the acts upon it say, in the order in which the journal has numbered them.

**Two persons.**  A warrant, an extension, a country's consent and an order to open what was sealed have no effect until
another person than the one who entered it has approved it; a name that looks the same is none (``birddog.persons``).  A
revocation has effect at once.

**Who is under it.**  A warrant covers the device that it names (or the devices enrolled with the class that it names) in
its operation; in whatever operation, where it names none.  From the entry of the first warrant of an operation on, approved
or not, and where the operation says ``requires_warrant``, everything that is in it by basis ``warrant`` needs one in force; so
does, wherever it is, a device that a warrant names.  A warrant of no operation puts every operation under warrants.  What is
there by another basis is not asked for one.

An act that cannot stand (``Warrants.check``) has no effect: the command line refuses it with these words before it becomes an
entry, and one that comes by another way changes nothing.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import msgspec

from birddog import rules
from birddog.authority import Leg, Warrant, further
from birddog.errors import UsageError
from birddog.model import WarrantAct
from birddog.persons import same_person
from birddog.rules import Pack
from birddog.units import iso_from_ns
from birddog.warrant_json import HAND_OVER, consent_of, handed_over, leg_of, warrant_of

#: What counts only when a second person has approved it.
APPROVED = frozenset({"add", "extend", "consent", "open"})


def hand_over(country: str) -> str:
    """What the calendar calls it, and ``notify``, that a country's own authority takes over."""
    return f"hand_over:{country}"


class Order(msgspec.Struct):
    """An extension, a consent or an opening of one warrant: what was asked for, and who approved it ("" nobody yet)."""

    act: WarrantAct
    approved_by: str = ""
    obeyed: bool = False


class Held(msgspec.Struct):
    """What stands of one warrant.

    Args:
        warrant: as it stands: installed, extended, revoked, consented to.
        operation, by: the case, and who entered it.
        orders: by their ids.
        placed, retrieved: when each of its devices was installed and recovered.
        done: when a duty was done, by the id of its rule.
        acts: all that had an effect.
    """

    warrant: Warrant
    pack: Pack
    operation: str
    by: str
    approved_by: str = ""
    orders: dict[str, Order] = {}
    placed: dict[str, int] = {}
    retrieved: dict[str, int] = {}
    done: dict[str, int] = {}
    acts: list[WarrantAct] = []

    def covers(self, device: str, klass: str = "") -> bool:
        """Whether it names a device, or its class."""
        return self.warrant.device == device or (not self.warrant.device and klass == self.warrant.said["class"])

    def to_open(self) -> list[str]:
        """The orders to open what was sealed that are approved and not obeyed yet."""
        return [name for name, order in self.orders.items()
                if order.act.action == "open" and order.approved_by and not order.obeyed]

    @property
    def state(self) -> str:
        """``revoked``, ``entered`` (nobody approved it) or ``approved``; whether it is in force is a matter of the time."""
        return "revoked" if self.warrant.revoked_ns is not None else "approved" if self.approved_by else "entered"


class Warrants:
    """All warrants of one journal; ``apply`` an act of each entry in order."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        #: Named by a warrant, approved or not: devices, and operations.
        self.devices: set[str] = set()
        self.operations: set[str] = set()
        self._of_device: dict[str, list[str]] = {}
        self._of_class: dict[tuple[str, str], list[str]] = {}

    def acts(self) -> list[WarrantAct]:
        """The acts from which all of this follows, of each warrant in their order."""
        return [act for held in self.held.values() for act in held.acts]

    # --- what it says ----------------------------------------------------------------------------

    def verdict(self, device: str, operation: str, klass: str, time_ns: int, *, lat_deg: float | None,
                lon_deg: float | None) -> tuple[str, bool]:
        """The verdict on a position of a device in an operation (``birddog.authority``), and whether it is to be sealed."""
        best, sealed = "no_authority", False
        for held in self.covering(device, operation, klass):
            warrant = held.warrant
            if not warrant.device and device in held.placed:
                warrant = msgspec.structs.replace(warrant, installed_ns=held.placed[device])
            found = warrant.verdict(time_ns, lat_deg=lat_deg, lon_deg=lon_deg)
            if found == "accept":
                return found, False
            if further(found, best):
                best, sealed = found, found in warrant.sealed
        return best, sealed

    def covering(self, device: str, operation: str, klass: str = "") -> list[Held]:
        """The approved warrants that name a device, or its class, in an operation."""
        names = self._of_device.get(device, ())
        if klass and self._of_class:
            names = [*names, *self._of_class.get((operation, klass), ())]
        found = [self.held[name] for name in names]
        return [held for held in found if held.approved_by and held.operation in ("", operation)]

    # --- acts ------------------------------------------------------------------------------------

    def apply(self, act: WarrantAct) -> bool:
        """Take in one act; False where it has no effect."""
        try:
            self.check(act)
        except UsageError:
            return False
        if act.action == "add":
            self._add(act)
        else:
            self._act(self.held[act.warrant], act)
        self.held[act.warrant].acts.append(act)
        return True

    def check(self, act: WarrantAct) -> None:
        """Raises:
            UsageError: the act cannot stand; ``field`` names what is wrong with it.
        """
        held = self.held.get(act.warrant)
        if not act.by.strip():
            raise UsageError("wants a person", field="by")
        if act.action == "add":
            if held is not None and (held.approved_by or held.state == "revoked"):
                raise UsageError(f"{act.warrant!r} stands already", field="id")
            warrant = _read(act.said, act.pack)
            said = warrant.said
            if warrant.warrant != act.warrant:
                raise UsageError(f"is not {act.warrant!r}", field="id")
            if "class" in said and "device" not in said and not act.operation:
                raise UsageError("wants an operation: a class is that of its devices", field="class")
            return
        if held is None:
            raise UsageError(f"no warrant {act.warrant!r}", field="warrant")
        _CHECKS[act.action](held, act)

    def _add(self, act: WarrantAct) -> None:
        pack = rules.pack_of(act.pack)
        warrant = _read(act.said, act.pack)
        old = self.held.get(act.warrant)
        if old is not None:
            for names in (*self._of_device.values(), *self._of_class.values()):
                if act.warrant in names:
                    names.remove(act.warrant)
        self.held[act.warrant] = Held(warrant, pack, act.operation, act.by)
        if warrant.device:
            self.devices.add(warrant.device)
            self._of_device.setdefault(warrant.device, []).append(act.warrant)
            if warrant.installed_ns is not None:
                self.held[act.warrant].placed[warrant.device] = warrant.installed_ns
        else:
            self._of_class.setdefault((act.operation, warrant.said["class"]), []).append(act.warrant)
        self.operations.add(act.operation)

    def _act(self, held: Held, act: WarrantAct) -> None:
        warrant, at_ns = held.warrant, act.at_ns or 0
        match act.action:
            case "approve" if not act.order:
                held.approved_by = act.by
            case "approve":
                order = held.orders[act.order]
                order.approved_by = act.by
                _obey(held, order.act)
            case "extend" | "consent" | "open":
                held.orders[act.order] = Order(act)
            case "revoke":
                held.warrant = msgspec.structs.replace(
                    warrant, revoked_ns=at_ns if warrant.revoked_ns is None else min(at_ns, warrant.revoked_ns))
            case "install":
                held.placed[act.device] = at_ns
                if warrant.device:
                    held.warrant = msgspec.structs.replace(warrant, installed_ns=at_ns)
            case "retrieve":
                held.retrieved[act.device] = at_ns
            case "notify":
                held.done[act.order] = at_ns
            case "opened":
                held.orders[act.order].obeyed = True


def _obey(held: Held, act: WarrantAct) -> None:
    """An order was approved: it is part of the warrant now."""
    warrant = held.warrant
    if act.action == "extend":
        assert act.at_ns is not None and act.until_ns is not None
        held.warrant = msgspec.structs.replace(
            warrant, extended=(*warrant.extended, (max(act.at_ns, warrant.from_ns), act.until_ns)))
    elif act.action == "consent":
        leg = _consent(held, act)
        others = tuple(one for one in warrant.legs if one.country != leg.country)
        legs = tuple(leg if one.country == leg.country else one for one in warrant.legs)
        held.warrant = msgspec.structs.replace(warrant, legs=(*legs, leg) if len(others) == len(legs) else legs)


def _consent(held: Held, act: WarrantAct) -> Leg:
    """The leg of a country that consents, which may be a new one on the way."""
    said = _json(act.said)
    if not isinstance(said, dict) or "country" not in said or "consent" not in said:
        raise UsageError("country and consent were expected", field="consent")
    for leg in held.warrant.legs:
        if leg.country == said["country"]:
            extra = set(said) - {"country", "consent", *HAND_OVER}
            if extra:
                raise UsageError(f"{said['country']!r} stands on the route already", field=sorted(extra)[0])
            return handed_over(msgspec.structs.replace(leg, consent=consent_of(said["consent"])), said, "consent")
    leg = leg_of(said, "consent")
    if leg.consent is None:
        raise UsageError("missing", field="consent")
    return leg


@lru_cache(maxsize=256)
def _read(said: str, pack: str) -> Warrant:
    """The warrant of an entry; read once where it is asked for again (an area may be a coast)."""
    return warrant_of(_json(said), rules.pack_of(pack))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is no JSON: {error}", field="said") from error


# --- what each act wants ---------------------------------------------------------------------------


def _check_approve(held: Held, act: WarrantAct) -> None:
    if act.order:
        order = held.orders.get(act.order)
        if order is None:
            raise UsageError(f"{held.warrant.warrant!r} has no order {act.order!r}", field="order")
        by, approved_by = order.act.by, order.approved_by
        if not held.approved_by:
            raise UsageError(f"{held.warrant.warrant!r} itself is not approved yet", field="order")
    else:
        by, approved_by = held.by, held.approved_by
    if approved_by:
        raise UsageError(f"was approved by {approved_by}", field="order" if act.order else "warrant")
    if same_person(by, act.by):
        looks = "" if by == act.by else f" (a name like {by!r})"
        raise UsageError(f"{act.by} entered it{looks}: another person approves", field="by")


def _check_order(held: Held, act: WarrantAct) -> None:
    """An order has an id of its own: one that was used already extends nothing."""
    if held.state == "revoked":
        raise UsageError("is revoked", field="warrant")
    if not act.order.strip() or not act.order.isprintable():
        raise UsageError("wants an order of its own", field="order")
    old = held.orders.get(act.order)
    if act.order == held.warrant.warrant or (old is not None and (old.approved_by or old.act.action != act.action)):
        raise UsageError(f"{act.order!r} is an order already: wants a new one", field="order")


def _check_extend(held: Held, act: WarrantAct) -> None:
    _check_order(held, act)
    warrant = held.warrant
    if act.at_ns is None:
        raise UsageError("wants the time at which it was granted", field="granted")
    if act.until_ns is None or act.until_ns <= max(warrant.ends_ns, act.at_ns):
        raise UsageError(f"not after the end as it stands, {iso_from_ns(warrant.ends_ns)}", field="until")
    # counted from where the last term ends, or from the grant where that is later
    since_ns = max(warrant.ends_ns, act.at_ns)
    found = held.pack.rules("extension_at_most", warrant.kind, warrant.urgent)
    rules.most(found, since_ns, act.until_ns, held.pack.zone, "until")


def _check_consent(held: Held, act: WarrantAct) -> None:
    _check_order(held, act)
    consent = _consent(held, act).consent
    if consent is None or consent.order != act.order:
        raise UsageError(f"is not {act.order!r}", field="consent.order")


def _check_open(held: Held, act: WarrantAct) -> None:
    if not act.order.strip() or not act.order.isprintable() or act.order == held.warrant.warrant or act.order in held.orders:
        raise UsageError("wants an order of its own", field="order")
    if act.from_ns is None or act.until_ns is None or act.until_ns <= act.from_ns:
        raise UsageError("wants a time from which and a later one until which", field="until")


def _check_revoke(held: Held, act: WarrantAct) -> None:
    if act.at_ns is None:
        raise UsageError("wants a time", field="at")
    if held.warrant.revoked_ns is not None and act.at_ns >= held.warrant.revoked_ns:
        raise UsageError(f"is revoked from {iso_from_ns(held.warrant.revoked_ns)} on", field="warrant")


def _check_install(held: Held, act: WarrantAct) -> None:
    if act.at_ns is None:
        raise UsageError("wants a time", field="at")
    if not act.device or held.warrant.device not in ("", act.device):
        raise UsageError(f"{held.warrant.warrant!r} is for {held.warrant.device!r}", field="device")
    if act.device in held.placed:
        raise UsageError(f"{act.device!r} is installed since {iso_from_ns(held.placed[act.device])}", field="device")
    if not held.approved_by:
        raise UsageError("is not approved yet", field="warrant")


def _check_retrieve(held: Held, act: WarrantAct) -> None:
    if act.at_ns is None:
        raise UsageError("wants a time", field="at")
    if act.device in held.retrieved:
        raise UsageError(f"{act.device!r} was recovered {iso_from_ns(held.retrieved[act.device])}", field="device")
    if not act.device or held.warrant.device not in ("", act.device):
        raise UsageError(f"{held.warrant.warrant!r} is for {held.warrant.device!r}", field="device")
    if not held.warrant.device and act.device not in held.placed:
        raise UsageError(f"{act.device!r} was never installed", field="device")


def _check_notify(held: Held, act: WarrantAct) -> None:
    if act.at_ns is None:
        raise UsageError("wants a time", field="at")
    duties = [rule.id for rule in held.pack.rule if rule.check in ("notice", "report", "review")]
    duties += [hand_over(leg.country) for leg in held.warrant.legs]
    if act.order not in duties:
        raise UsageError(f"one of {', '.join(duties) or 'no duties'} was expected", field="duty")


def _check_opened(held: Held, act: WarrantAct) -> None:
    if act.order not in held.to_open():
        raise UsageError(f"{act.order!r} is no order to open", field="order")


_CHECKS: dict[str, Any] = {
    "opened": _check_opened,
    "approve": _check_approve, "extend": _check_extend, "consent": _check_consent, "open": _check_open, "revoke": _check_revoke,
    "install": _check_install, "retrieve": _check_retrieve, "notify": _check_notify,
}  # fmt: skip
