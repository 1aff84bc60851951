"""Which looks the law as entered allows at a time (docs/forecasts.md): what no authority allows is never proposed.

Waking a tag wants a tag that is ours: attached in this case, not retired, and where warrants rule covered by one in force.  A
tile over a place and a question to a partner are about this case's thing: where warrants rule, under one in force too.  What
belongs to no case has no tag of ours, and there is nothing to tell a partner; a picture of public waters is allowed.
"""

from __future__ import annotations

from birddog.directory import OPEN, Directory
from birddog.model import Track
from opsroom.authority import of_track


def barred(row: Track, directory: Directory, now_ns: int) -> dict[str, str]:
    """Look -> why it is not allowed for a track now."""
    if row.operation == OPEN:
        return {"wake_tag": "it belongs to no case: no tag of ours is in it", "ask_partner": "it belongs to no case"}
    known = directory.operations.get(row.operation)
    if known is None or known.closed:
        return dict.fromkeys(("wake_tag", "task_tile", "ask_partner"), "the case is closed")
    out: dict[str, str] = {}
    tags = [name for name in row.identities if _ours(directory, name, row.operation, now_ns)]
    under = of_track(directory, now_ns)(row)
    if under is not None and under.state != "in force":
        words = f"{under.warrant}: {under.state}" if under.warrant else "no warrant covers it"
        out |= dict.fromkeys(("wake_tag", "task_tile", "ask_partner"), words)
    elif not tags:
        out["wake_tag"] = "no tag of ours is in it"
    elif not any(directory.followed(name, row.operation, now_ns) for name in tags):
        out["wake_tag"] = "no warrant in force covers its tag"
    return out


def _ours(directory: Directory, name: str, operation: str, now_ns: int) -> bool:
    device, attached = directory.device(name), directory.attachment(name, now_ns)
    return device is not None and device.basis == "warrant" and attached is not None and attached.operation == operation
