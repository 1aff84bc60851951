"""Certificates that cryptography warns of (a root in a system's bundle whose serial number is zero), loaded without a word.

What a certificate is good for is checked where it is used; a warning about another one of the same file helps no operator.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """Within, such a certificate says nothing."""
    from cryptography.utils import CryptographyDeprecationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield
