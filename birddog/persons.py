"""Whether two names are one person's: a second person must be another one, also where a name only looks like another.

Two names are the same where they are equal without case, accents, spaces and signs that nobody sees (NFKC, then NFKD without
its marks), or look the same: the skeleton of UTS #39 (section 4), here with what Cyrillic, Greek and Armenian have that looks
as a Latin letter does, capitals as capitals, and ``0 1 | rn vv``.  It errs to the one side that is safe: "José" and "Jose" are
one, and a third person approves.  It is no login: whoever may write the journal can state any name (docs/authority.md).
"""

from __future__ import annotations

import unicodedata

#: Letters that look as a Latin one does, in the case in which they do: Cyrillic, Greek, Armenian (UTS #39, confusables.txt).
_LOOKS = str.maketrans(
    "аеорсухѕіјԛԝһѵгпкмтвнАВЕЅЗІЈКМНОРСТХУԚԜѴҮҺԁӏьӀ" "αγεικνορυχωϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ" "օսոհցզքՏՕՍԼ",
    "aeopcyxsijqwhvrnkmtbhABES3IJKMHOPCTXYQWVYHdlbl" "ayeiKvopuxwcjABEZHIKMNOPTYXCJ" "ounhgqpSOUL",
)
#: Letters of their own for Unicode that have no mark to be taken off.
_PLAIN = str.maketrans("øłđħŧıȷæœ", "oldhtijao")
_LOOKALIKES = (("rn", "m"), ("vv", "w"), ("0", "o"), ("1", "l"), ("|", "l"), ("i", "l"))


def same_person(one: str, other: str) -> bool:
    """Whether two names are, or look as, one."""
    return _bare(one) == _bare(other) or skeleton(one) == skeleton(other)


def skeleton(name: str) -> str:
    """What a name looks like."""
    found = _bare(unicodedata.normalize("NFKC", name).translate(_LOOKS))
    for seen, looks in _LOOKALIKES:
        found = found.replace(seen, looks)
    return found


def _bare(name: str) -> str:
    """Letters and digits only, without case and marks."""
    found = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold()).translate(_PLAIN)
    return "".join(c for c in found if c == "|" or unicodedata.category(c)[0] in "LN")
