"""How the console reads a request's query and body and writes its answer; every refusal is JSON."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from birddog.errors import DeviceError
from birddog.units import ns_from_text
from devices import strict_json
from opsroom.console import openapi

MAX_BODY = 16_384
#: Characters of a person's name.
NAME_MOST = 80
_encode = msgspec.json.Encoder().encode
Whole = TypeVar("Whole", int, None)


def json_answer(value: Any, status: int = 200) -> Response:
    """A Struct as strict JSON."""
    return Response(_encode(value), status, media_type="application/json")


async def http_error(request: Request, error: Exception) -> Response:
    """A refused request: its words as JSON."""
    assert isinstance(error, HTTPException)
    return json_answer(openapi.Problem(str(error.detail)), error.status_code)


async def birddog_error(request: Request, error: Exception) -> Response:
    """A store that is not there, or would not write: 503 with the reason."""
    return json_answer(openapi.Problem(str(error)), 503)


async def body_of(request: Request, kind: type) -> Any:
    """The JSON body of a request that changes something.

    The content type is asked for strictly: another site's form cannot send it without a preflight.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send JSON with Content-Type: application/json")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise HTTPException(413, f"more than {MAX_BODY} bytes")
    try:
        strict_json.loads(data or b"{}")  # a key that stands twice is nobody's word
        return msgspec.json.decode(data or b"{}", type=kind)
    except DeviceError as error:
        raise HTTPException(422, error.detail) from error
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(422, str(error)) from error


def by_of(request: Request, said: str, nobody: str) -> str:
    """The person whose act a request is: of the session where there is one, else as said, else ``nobody``."""
    by = getattr(request.state, "who", None) or said.strip()[:NAME_MOST] or nobody
    if not by.isprintable():
        raise HTTPException(422, "by: a name of printable characters, on one line")
    return by


def time_of(request: Request, name: str) -> int | None:
    """A time of the query, ISO 8601 with an offset or POSIX seconds; None where it is not there."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return ns_from_text(text)
    except ValueError as error:
        raise HTTPException(422, f"{name}: {error}") from error


def int_of(request: Request, name: str, default: Whole) -> int | Whole:
    """A whole number of the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(422, f"{name}: expected a whole number, not {text[:40]!r}")
    return int(text)


def float_of(request: Request, name: str, default: float) -> float:
    """A number from 0 to 1e7 of the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1e7:
        raise HTTPException(422, f"{name}: expected a number from 0 to 1e7, not {text[:40]!r}")
    return value


def bool_of(request: Request, name: str) -> bool:
    """A yes or no of the query; no where it is absent."""
    text = request.query_params.get(name, "0").lower()
    if text not in ("0", "1", "true", "false"):
        raise HTTPException(422, f"{name}: expected 0 or 1, not {text[:40]!r}")
    return text in ("1", "true")
