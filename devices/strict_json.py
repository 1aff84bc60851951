"""JSON from outside, read strictly: what two readers could understand differently is refused.

Refused: duplicate keys, NaN, Infinity, numbers beyond a float, bad UTF-8, lone surrogates, nesting deeper than
the interpreter's stack, anything after the value.  msgspec does all of it but the duplicate keys, which it takes
silently (the last wins); those are found by counting.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

import msgspec

from birddog.errors import DeviceError

_decode = msgspec.json.decode
_KEY = re.compile(rb'"\s*:')
_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,24})?|\.\d{1,24})\Z", re.ASCII)
_BIG = 10**18


def loads(payload: bytes) -> Any:
    """The value of a JSON text, as dict, list, str, int, float, bool or None.

    Raises:
        DeviceError: reason ``format``; the detail says what is wrong and quotes nothing of the text.
    """
    try:
        value = _decode(payload)
        # Every key is followed by one colon at least: as many colons as different keys means that none is double.
        if type(value) is dict and (len(value) == payload.count(b":") or len(value) == len(_KEY.findall(payload))):
            return value
        if type(value) is dict or type(value) is list:
            json.loads(payload, object_pairs_hook=_unique)
        return value
    except RecursionError:
        raise DeviceError("format", "JSON nested too deeply") from None
    except UnicodeDecodeError:
        raise DeviceError("format", "not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise DeviceError("format", f"not JSON: {str(error)[:60]}") from None
    except ValueError:
        # json.loads on what msgspec took: a number of more digits than the interpreter converts
        raise DeviceError("format", "not JSON: a number too long") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DeviceError("format", "a key stands twice in one JSON object")
    return found


def number(value: Any) -> float | None:
    """A finite float from a JSON number or a decimal number written as text (``"acc":"165"``); None if neither."""
    kind = type(value)
    if value is None:
        return None
    if kind is int:
        return float(value) if -_BIG <= value <= _BIG else None
    if kind is float:
        return value if isfinite(value) else None
    if kind is str and _NUMBER.match(value):
        return float(value)
    return None


def text(value: Any, most: int = 200) -> str:
    """A JSON string or number as text of bounded length; "" for anything else."""
    if type(value) is str:
        return value[:most]
    if type(value) is int and -_BIG <= value <= _BIG:
        return str(value)
    return ""
