"""The rule on vessels under no case, as the door keeps it: under which period's key they lie, and which period is over.

What it is: ``birddog.passersby``.  Without a rule, and without keys, it does nothing.
"""

from __future__ import annotations

from birddog.directory import Directory
from birddog.keyring import Keyring
from birddog.model import Draft, Erasure, Passersby, pack
from birddog.passersby import ends_ns, is_period, name_of, span_ns
from birddog.units import NS
from ingest.ident import hashed, near

#: So often it is looked for periods that are over, by the journal's clock.
_LOOK_NS = 600 * NS


class Passing:
    """The rule of one journal."""

    def __init__(self, directory: Directory, keyring: Keyring | None):
        self._directory, self._keyring = directory, keyring
        self._rule: Passersby | None = None
        self._ends_ns = self._look_ns = self._looked_ns = 0
        #: Whose key seals what comes in of passers-by now; "" where none does.
        self.period = ""

    def at(self, now_ns: int) -> list[Draft]:
        """It is so late by the journal's clock; the entries that say of periods that they were erased."""
        rule = self._directory.passersby
        if rule is None or self._keyring is None:
            self._rule, self.period = None, ""
            return []
        # earlier than it was looked: the clock was set back, and what comes in now is not kept as long as that period's
        if rule is self._rule and self._looked_ns <= now_ns < self._ends_ns and now_ns < self._look_ns:
            return []
        self._rule, self._looked_ns, self._look_ns = rule, now_ns, now_ns + _LOOK_NS
        held = list(dict.fromkeys(whose for whose, _, there in self._keyring.listed() if there and is_period(whose)))
        self._ends_ns = until_ns = ends_ns(now_ns, rule.hours)
        # a start within a period goes on with its key; from where another rule begins there is another
        self.period = next((name for name in held if span_ns(name)[1] == until_ns), "") or name_of(now_ns, until_ns)
        return [self._erasure(name, rule, now_ns) for name in held
                if name != self.period and now_ns >= span_ns(name)[1] + rule.hours * 3600 * NS]

    def _erasure(self, period: str, rule: Passersby, now_ns: int) -> Draft:
        assert self._keyring is not None
        keys = tuple(self._keyring.names(period))
        body = Erasure(erased=period, by=rule.by, keys=keys, note=f"vessels under no case are kept for {rule.hours} h")
        # the same however often it is asked for: until its entries are emptied its key is still there
        ident = near(span_ns(period)[1]) + hashed(b"erasure", *[key.encode() for key in keys])
        return Draft(kind="erasure", received_ns=now_ns, source="desk", ident=ident, body=pack(body))
