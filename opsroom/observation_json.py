"""Observations and rejects as JSON, for people and programs outside: `birddog decode`, `birddog journal export`."""

from __future__ import annotations

from typing import Any

from birddog.model import Observation, Reject
from birddog.units import iso_from_ns


def observation_json(observation: Observation) -> dict[str, Any]:
    """An observation in the public form of interfaces: ``time`` as ISO text, every field named."""
    out: dict[str, Any] = {"kind": observation.__struct_config__.tag}
    for field in observation.__struct_fields__:
        value = getattr(observation, field)
        if field == "time_ns":
            out["time"] = None if value is None else iso_from_ns(value)
        elif field == "flags":
            out["flags"] = list(value)
        else:
            out[field] = value
    return out


def reject_json(reject: Reject) -> dict[str, Any]:
    """A reject in the public form: ``{"reason", "detail"}`` and where known ``device``, ``offset``."""
    out: dict[str, Any] = {"reason": reject.reason, "detail": reject.detail}
    if reject.device:
        out["device"] = reject.device
    if reject.offset is not None:
        out["offset"] = reject.offset
    return out
