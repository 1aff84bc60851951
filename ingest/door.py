"""What may stay of a message that did not come in: no word of its sender's that could hold a position.

Who comes in is decided by ``birddog.judge``.
"""

from __future__ import annotations

import re

#: What may be a coordinate in a text that its sender chose: a number with a fraction; not the numbers of an IPv4 address.
_FRACTION = re.compile(r"(?<![\d.])\d{1,6}[.,]\d{2,}(?![\d.]*\.\d)")
#: Stands for the detail of a reject whose message is not kept.
NOT_KEPT = "of nobody who is admitted: its bytes are not kept"


def veiled(text: str) -> str:
    """A sender's text (topic, name) as it may stay: what could be a coordinate in it is left out."""
    return _FRACTION.sub("…", text) if "." in text or "," in text else text
