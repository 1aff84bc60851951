"""A validation record as it is signed: JSON, Ed25519 over all but its ``signature``; ``birddog.validation`` measures one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from birddog.errors import BirddogError

FORM = 1
#: Each quantity with its unit as it stands in a record's names, and for people.
UNITS = {"position": ("m", "m"), "speed": ("mps", "m/s"), "course": ("deg", "degrees"), "time": ("s", "s")}


class RecordBroken(BirddogError):
    """A record that is none, was changed, or is signed by another key."""

    exit_code = 1


def canonical(body: dict[str, Any]) -> bytes:
    """The bytes that are signed: JSON without spaces, keys sorted, UTF-8 (in the manner of RFC 8785)."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign(body: dict[str, Any], public: bytes, signer: Callable[[bytes], bytes]) -> dict[str, Any]:
    """The record with its signature (Ed25519, RFC 8032).

    Args:
        public: 32 bytes.
        signer: bytes to 64 bytes.
    """
    signature = signer(canonical(body))
    return {**body, "signature": {"algorithm": "Ed25519", "key": base64.b64encode(public).decode(),
                                  "value": base64.b64encode(signature).decode()}}


def verified(signed: Any, public: bytes | None = None) -> dict[str, Any]:
    """The record without its signature, when that holds.

    Args:
        public: whose it must be; None takes the key that the record itself names, which shows only that it was not changed.

    Raises:
        RecordBroken: it is no record, was changed, or is another's.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(signed, dict) or not isinstance(signed.get("signature"), dict) or signed.get("form") != FORM:
        raise RecordBroken("is no validation record of this form")
    body = {name: value for name, value in signed.items() if name != "signature"}
    try:
        key, value = (base64.b64decode(signed["signature"][name], validate=True) for name in ("key", "value"))
        Ed25519PublicKey.from_public_bytes(key).verify(value, canonical(body))
    except (KeyError, TypeError, ValueError, InvalidSignature) as error:
        raise RecordBroken("the signature does not hold: the record was changed, or never signed") from error
    if public is not None and key != public:
        raise RecordBroken("is signed by another key than the one asked for")
    return body
