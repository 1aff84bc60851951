"""Warrants that another system wrote: objects in the manner of ETSI TS 103 120, mapped to ours (docs/authority.md).

TS 103 120 ("Interface for warrant information") describes an ``AuthorisationObject`` and the ``LITaskObject`` s that belong to
it, as XML and as JSON with the same names.  Read here is the JSON: one object, a list of them, or a message whose ``Payload``
holds them.  What it has no member for (the area, the last day for installing) stands in ``NationalAuthorisationParameters``
under our own names.  The names of its members are from memory: for counsel, and the supplier of the file, to check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from birddog.errors import UsageError

#: Their member -> ours, of the authorisation.
_PLAIN = {
    "AuthorisationReference": "id",
    "AuthorisationLegalType": "kind",
    "AuthorisationServedTimestamp": "installed",
    "AuthorisationTerminationTimestamp": "revoked_at",
}
#: What says nothing that we keep: states of a workflow, versions of the object.
_PASSED = frozenset({
    "@xsi:type", "ObjectIdentifier", "CountryCode", "OwnerIdentifier", "Generation", "ExternalIdentifier", "AssociatedObjects",
    "LastChanged", "AuthorisationStatus", "AuthorisationDesiredStatus", "AuthorisationCSPID", "AuthorisationFlags",
    "AuthorisationCreationTimestamp",
})  # fmt: skip


def warrants_in(said: Any, file: str, lines: dict[int, int]) -> tuple[list[Any], dict[int, int]]:
    """The warrants of a file as our own JSON objects, and the line of each.

    Raises:
        UsageError: an object cannot be mapped; names file, line and member.
    """
    if isinstance(said, list):
        objects, at = list(said), dict(lines)
    else:
        objects = list(_objects(said))
        at = dict.fromkeys(range(len(objects)), 1)
    tasks = {one["ObjectIdentifier"]: one for one in objects if _type(one) == "LITaskObject" and "ObjectIdentifier" in one}
    out: list[Any] = []
    out_lines: dict[int, int] = {}
    for n, one in enumerate(objects):
        if _type(one) == "LITaskObject":
            continue
        out_lines[len(out)] = at.get(n, 1)
        try:
            out.append(_warrant(one, tasks) if _type(one) == "AuthorisationObject" or "AuthorisationReference" in one else one)
        except UsageError as error:
            raise UsageError(error.message, file=file, line=at.get(n), field=error.field) from error
        except TypeError as error:
            raise UsageError("an object was expected", file=file, line=at.get(n)) from error
    return out, out_lines


def _objects(said: Any) -> Iterator[Any]:
    """Every object of a message, wherever its actions hold them."""
    if isinstance(said, list):
        for one in said:
            yield from _objects(one)
    elif isinstance(said, dict):
        if _type(said) or "AuthorisationReference" in said or "id" in said:
            yield said
        else:
            for one in said.values():
                yield from _objects(one)


def _type(one: Any) -> str:
    return str(one.get("@xsi:type", "")).rpartition("}")[2].rpartition(":")[2] if isinstance(one, dict) else ""


def _warrant(said: dict[str, Any], tasks: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in said.items():
        if name in _PLAIN:
            out[_PLAIN[name]] = value
        elif name == "AuthorisationTimespan":
            out |= _members(value, {"StartTime": "use_from", "EndTime": "use_until"}, name)
        elif name == "AuthorisationPriority":
            out["urgent"] = value in ("Urgent", "Emergency", "urgent", "emergency")
        elif name == "AuthorisationApprovalDetails":
            out |= _approval(value)
        elif name == "AuthorisationManualInformation":
            out["conditions"] = [value]
        elif name == "NationalAuthorisationParameters":
            if not isinstance(value, dict):
                raise UsageError("an object was expected", field=name)
            out |= {key: item for key, item in value.items() if key != "@xsi:type"}
        elif name not in _PASSED:
            raise UsageError("not known; nothing that a warrant says is passed over", field=name[:60])
    if "device" not in out:
        out["device"] = _target(said, tasks)
    for ours, theirs in (("issued", "use_from"), ("install_by", "use_until")):
        if ours not in out and theirs in out:
            out[ours] = out[theirs]
    return out


def _members(said: Any, names: dict[str, str], field: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise UsageError("an object was expected", field=field)
    for name in said:
        if name not in names:
            raise UsageError("not known; nothing that a warrant says is passed over", field=f"{field}.{str(name)[:60]}")
    return {names[name]: value for name, value in said.items()}


def _approval(said: Any) -> dict[str, Any]:
    """The issuing authority, and when it was issued."""
    said = said[0] if isinstance(said, list) and len(said) == 1 else said
    if not isinstance(said, dict):
        raise UsageError("one object was expected", field="AuthorisationApprovalDetails")
    out: dict[str, Any] = {}
    for name, value in said.items():
        if name == "ApprovalTimestamp":
            out["issued"] = value
        elif name == "ApprovalIsEmergency":
            out["urgent"] = value
        elif name == "ApproverDetails":
            person = value if isinstance(value, dict) else {}
            said_of = (person.get(key) for key in ("ApproverName", "ApproverRole"))
            words = [word for word in said_of if isinstance(word, str) and word]
            if not words:
                raise UsageError("wants a name or a role", field="ApproverDetails")
            out["authority"] = ", ".join(words)
        elif name not in ("ApprovalType", "ApprovalDescription", "ApprovalReference"):
            raise UsageError("not known", field=f"AuthorisationApprovalDetails.{str(name)[:60]}")
    return out


def _target(said: dict[str, Any], tasks: dict[str, Any]) -> Any:
    """The device: the one target of the one task that belongs to it."""
    mine = [tasks[name] for name in _associated(said) if name in tasks] or [
        task for task in tasks.values() if said.get("ObjectIdentifier") in _associated(task)]
    values = []
    for task in mine:
        target = task.get("TargetIdentifier")
        found = target.get("TargetIdentifierValues") if isinstance(target, dict) else None
        for value in found if isinstance(found, list) else []:
            if isinstance(value, dict) and isinstance(value.get("Value"), str):
                values.append(value["Value"])
    if len(values) != 1:
        raise UsageError(f"one target of one task was expected, there are {len(values)}", field="TargetIdentifier")
    return values[0]


def _associated(said: dict[str, Any]) -> list[str]:
    found = said.get("AssociatedObjects", [])
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
