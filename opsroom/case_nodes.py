"""Nodes of JSON-LD in the words of CASE/UCO 1.5.0: names, typed values, references (``opsroom.case_uco``)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from birddog.units import iso_from_ns

_UCO, _CASE = "https://ontology.unifiedcyberontology.org/uco", "https://ontology.caseontology.org/case"
_PARTS = ("action", "analysis", "core", "identity", "location", "observable", "tool", "types")
CONTEXT = {
    **{name: f"{_UCO}/{name}/" for name in _PARTS},
    "investigation": f"{_CASE}/investigation/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}  # fmt: skip
#: Of our own names; any fixed one.
_OURS = uuid.UUID("6f2a8d1e-0b1c-5c7e-9d57-2f0a4be0c1d3")

Node = dict[str, Any]


def typed(kind: str, value: str) -> Node:
    return {"@type": f"xsd:{kind}", "@value": value}


def time_of(time_ns: Any) -> Node | None:
    return typed("dateTime", iso_from_ns(time_ns)) if type(time_ns) is int else None


def decimal_of(value: Any) -> Node | None:
    """An xsd:decimal, which has no exponent (XML Schema part 2, section 3.3.3), in the shortest form of the number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = Decimal(repr(value))
    return typed("decimal", format(found, "f")) if found.is_finite() else None


def ref(name: str | None) -> Node | None:
    return None if name is None else {"@id": name}


def refs(names: Iterable[str]) -> list[Node]:
    return [{"@id": name} for name in names]


def node_of(name: str, kind: str, **properties: Any) -> Node:
    """A node; of each property what there is.  ``core_name`` stands for ``core:name``."""
    out: Node = {"@id": name, "@type": kind}
    for key, value in properties.items():
        if value is not None and value != [] and value != "":
            out[key.replace("_", ":", 1)] = value
    return out


def uuid_of(*parts: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_OURS, chr(10).join(parts))}"
