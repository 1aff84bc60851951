"""The journal's own secret: the keys of the hashes that stand for refused payloads."""

from __future__ import annotations

from birddog.journal import Home
from ingest.refusals import RefusalKeys


def refusal_keys(journal: Home, *, exercise: bool) -> RefusalKeys:
    """The secrets of the hashes that stand for refused payloads; mode 0600.

    Args:
        exercise: the one that is there is kept: what is played again is known again.

    Raises:
        ConfigError: others can read it, or it holds something else.
        OSError: the folder cannot be written.
    """
    return RefusalKeys.of(journal.refusal_key, change=not exercise)
