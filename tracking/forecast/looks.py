"""What can be asked for to see a thing again, and what each look is taken to cost: ``gains`` (``intercept``) ranks them.

The figures are assumptions: what a partner answers and what a tile costs, each house knows better.  ``[forecast.looks]`` of the
configuration sets them, and each answer names those that it was made with.  Nothing here needs numpy: settings read it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from birddog.errors import UsageError


class LookKind(msgspec.Struct, frozen=True):
    """Something that can be asked for.

    Args:
        lead_s: until it tells.
        answers: how probable an answer is.
        sigma_m: of the position that it tells.
        cost: in units of a woken tag.
        side_m: of a tile, which tells only of what is in it; 0: it tells wherever the thing is.
    """

    name: str
    lead_s: float
    answers: float
    sigma_m: float
    cost: float
    side_m: float = 0.0


LOOKS = (
    LookKind("wake_tag", lead_s=120.0, answers=0.8, sigma_m=10.0, cost=1.0),
    LookKind("task_tile", lead_s=1800.0, answers=0.7, sigma_m=15.0, cost=5.0, side_m=10_000.0),
    LookKind("ask_partner", lead_s=3600.0, answers=0.5, sigma_m=200.0, cost=2.0),
)


class LookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[forecast.looks.NAME]``: what is said instead of the figures of a look; what is left out stays."""

    lead_s: float | None = None
    answers: float | None = None
    sigma_m: float | None = None
    cost: float | None = None
    side_m: float | None = None


#: What each figure may be.
_BOUNDS = {"lead_s": (1.0, 604_800.0), "answers": (0.001, 1.0), "sigma_m": (0.1, 1e6), "cost": (0.001, 1e6),
           "side_m": (10.0, 1e6)}  # fmt: skip


def look_kinds(said: Mapping[str, LookSettings]) -> tuple[LookKind, ...]:
    """The looks with what the configuration says of them.

    Raises:
        UsageError: no such look, or a figure that cannot be; the field is named.
    """
    names = [look.name for look in LOOKS]
    for name, settings in said.items():
        if name not in names:
            raise UsageError(f"no such look; there are {', '.join(names)}", field=f"forecast.looks.{name}")
        for figure, (least, most) in _BOUNDS.items():
            value = getattr(settings, figure)
            if value is not None and not least <= value <= most:
                raise UsageError(f"{value:g} is not within {least:g} to {most:g}", field=f"forecast.looks.{name}.{figure}")
        if settings.side_m is not None and name != "task_tile":
            raise UsageError("only a tile has a side", field=f"forecast.looks.{name}.side_m")
    return tuple(
        msgspec.structs.replace(look, **{k: v for k, v in msgspec.structs.asdict(said[look.name]).items() if v is not None})
        if look.name in said else look for look in LOOKS
    )  # fmt: skip
