"""Who was refused, why and how often: what the operator sees of messages that did not come in, whole or in part.

A part of an admitted message that its format does not understand is a row of reason ``unread``, apart from the
refusals: its detail is the part's name.  A message that came in and fed no track is one of reason ``no_track``, see
``opsroom.unfed``.  What was sealed for want of a warrant is one of reason ``sealed``; it and what was refused for that have the
warrant's verdict as their detail, and their count is of positions.  What of the sealed came in since, by an order, is one of
reason ``opened``, whose detail is the warrant and the order.

A part of the fold.  Names come from whoever sends, so they are bounded: the newest ``ROWS_KEPT`` are kept
apart, the rest is counted together in the row ``others``.
"""

from __future__ import annotations

import msgspec

from birddog.authority import ALL_VERDICTS
from birddog.model import Entry, FrameBody, RefusalBody
from birddog.opened import opened_of
from opsroom.picture_rows import Refused

ROWS_KEPT = 1000
#: A sender's name may be as long as a packet.
NAME_CHARS = 120
OTHERS = "others"
#: The reason of a row that counts a part of admitted messages which their format does not understand.
UNREAD = "unread"
#: The reason of a row that counts positions which a warrant did not cover and which were sealed, as its rules say.
SEALED = "sealed"
#: The reason of a row that counts what of the sealed came in since, by an order.
OPENED = "opened"
#: The reason of a row that counts admitted messages which fed no track; its detail says why.
NO_TRACK = "no_track"


class Refusals(msgspec.Struct):
    """Every row, the one that grew last at the end; ``others`` counts what went."""

    rows: dict[str, Refused] = {}
    others: Refused | None = None
    gone: int = 0

    def count(self, entry: Entry, body: FrameBody | RefusalBody) -> dict[str, Refused | None]:
        """Count a message's rejects and unread parts: the rows that changed, by id; None for one that went to the others."""
        changed: dict[str, Refused | None] = {}
        for reject in body.rejects:
            self._add(changed, entry, body, (reject.device or body.device)[:NAME_CHARS],
                      SEALED if reject.verdict is not None and reject.verdict.state == "sealed" else reject.reason,
                      reject.detail, reject.count)
        opened = opened_of(entry.actor)
        if opened is not None:
            device = next((o.device for o in body.observations), body.subject or body.device)[:NAME_CHARS]
            self._add(changed, entry, body, device, OPENED, f"{opened.warrant} {opened.order}", opened.count)
        if isinstance(body, FrameBody) and body.unread:
            # a gateway brings it, the device whose message it was is the one that speaks in it
            device = next((o.device for o in body.observations), body.subject or body.device)[:NAME_CHARS]
            for name in body.unread:
                self._add(changed, entry, body, device, UNREAD, name)
        return changed

    def unfed(self, entry: Entry, body: FrameBody | RefusalBody, device: str, why: str) -> dict[str, Refused | None]:
        """Count a message that fed no track: the rows that changed, as ``count``."""
        changed: dict[str, Refused | None] = {}
        self._add(changed, entry, body, device[:NAME_CHARS], NO_TRACK, why)
        return changed

    def _add(self, changed: dict[str, Refused | None], entry: Entry, body: FrameBody | RefusalBody, device: str, reason: str,
             detail: str, count: int = 1) -> None:
        of_warrant = reason == "unauthorised" and detail in ALL_VERDICTS
        apart = of_warrant or reason in (UNREAD, SEALED, OPENED)
        parts = (entry.source, device, body.format, reason, *((detail,) if apart else ()),
                 *((entry.operation,) if entry.operation else ()))
        key = "\x1f".join(parts)
        old = self.rows.pop(key, None)
        self.rows[key] = changed[key] = Refused(
            refused_id=key, source=entry.source, device=device, format=body.format, reason=reason, detail=detail,
            count=(old.count if old else 0) + body.count * count,
            first_ns=old.first_ns if old else entry.received_ns, last_ns=entry.received_ns, operation=entry.operation,
        )
        if len(self.rows) > ROWS_KEPT:
            oldest = next(iter(self.rows))
            changed[oldest] = None
            changed[OTHERS] = self.others = self._joined(self.rows.pop(oldest))

    def _joined(self, row: Refused) -> Refused:
        self.gone += 1
        old = self.others
        return Refused(
            refused_id=OTHERS, source="", device="", format="", reason=OTHERS,
            detail=f"counted together: {self.gone} rows older than the newest {ROWS_KEPT}",
            count=(old.count if old else 0) + row.count, first_ns=min(old.first_ns, row.first_ns) if old else row.first_ns,
            last_ns=max(old.last_ns, row.last_ns) if old else row.last_ns,
        )
