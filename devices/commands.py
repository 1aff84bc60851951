"""What a device is told, on ``birddog/v1/<device>/command``: one JSON object, with QoS 0.

``{"command": "sleep", "reason": "expired"}``: the warrant under which it was followed has ended (or ``revoked``); nothing that
it says is kept any more.  It stops measuring and sending until it is woken where it lies, or collected.  A device that does not
know the word goes on as it was, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from birddog.model import Reject

#: The verdicts after which there is nothing to come: the others may be another tomorrow.
OVER = frozenset({"expired", "revoked"})


def sleep(reason: str) -> bytes:
    """The command to stop."""
    return msgspec.json.encode({"command": "sleep", "reason": reason})


def told(device: str, rejects: Iterable[Reject]) -> bytes | None:
    """What a device is told after a message that was refused for these reasons; None where nothing."""
    for reject in rejects:
        if reject.reason == "unauthorised" and reject.detail in OVER and reject.device == device and reject.verdict is not None:
            return sleep(reject.detail)
    return None
