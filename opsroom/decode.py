"""What messages and captures say, one at a time and without a journal: the work of ``birddog decode``.

Every input line has exactly one answer, whatever is in it; a capture gives one row an observation or reject.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from birddog.directory import Directory
from birddog.errors import DeviceError, UsageError
from birddog.units import ns_from_text
from devices import codec, strict_json
from ingest.permit import named
from opsroom.observation_json import observation_json, reject_json

log = logging.getLogger(__name__)

#: Decoder states kept at once; the one used longest ago goes first.
SESSIONS_KEPT = 20_000
#: A longer line of input is answered with a reject of reason ``size``.
MAX_LINE = 1 << 22
_CHUNK = 1 << 16


class Answers:
    """Answers lines of ``--jsonl``; lines of one session and format share a decoder."""

    def __init__(self) -> None:
        self._decoders: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._modules: dict[str, Any] = {}

    def answer(self, line: bytes | None) -> dict[str, Any]:
        """The public form of what one line holds; a broken line is a reject with reason ``format``."""
        try:
            if line is None:
                raise DeviceError("size", f"the line is longer than {MAX_LINE} bytes")
            decoded = self._decode(line)
        except DeviceError as error:
            decoded = codec.rejected(error.reason, error.detail)
        answer = {
            "observations": [observation_json(o) for o in decoded.observations],
            "rejects": [reject_json(r) for r in decoded.rejects],
            "reply_hex": decoded.reply.hex() if decoded.reply else None,
        }
        return answer | {"unread": list(decoded.unread)} if decoded.unread else answer

    def _decode(self, line: bytes) -> Any:
        o = strict_json.loads(line)
        if type(o) is not dict:
            raise DeviceError("format", "the line is no JSON object")
        # null says as much as a key that is not there; a session may well be numbered
        o = {key: value for key, value in o.items() if value is not None}
        if type(o.get("session")) is int:
            o["session"] = str(o["session"])
        name, session, topic = (_word(o, key) for key in ("format", "session", "topic"))
        module = self._modules.get(name)
        if module is None:
            if not codec.known(name):
                raise DeviceError("format", f"no format {name[:40]!r}")
            module = self._modules[name] = codec.load(name)
        payload, received_ns = _payload(o), _received(o)
        key = (session, name)
        decoder = self._decoders.get(key) or module.Decoder()
        if session:
            self._decoders[key] = decoder
            self._decoders.move_to_end(key)
            if len(self._decoders) > SESSIONS_KEPT:
                self._decoders.popitem(last=False)
        message = codec.Message(payload=payload, device=named(Directory(), name, topic), topic=topic, received_ns=received_ns)
        with _boundary(name):
            return codec.decode_whole(module, decoder, message)


@contextlib.contextmanager
def _boundary(name: str) -> Iterator[None]:
    """A codec's bug is one message's reject, as at the desk."""
    try:
        yield
    except Exception as error:  # boundary: a bug of one format spoils one message
        log.error("the %s decoder failed: %s: %s", name, type(error).__name__, error)
        raise DeviceError("format", f"the decoder failed: {type(error).__name__}") from error


def _word(o: dict[str, Any], key: str) -> str:
    value = o.get(key, "")
    if type(value) is not str:
        raise DeviceError("format", f"{key} is no text")
    return value


def _payload(o: dict[str, Any]) -> bytes:
    if ("hex" in o) == ("text" in o):
        raise DeviceError("format", "wants either hex or text")
    if "text" in o:
        return _word(o, "text").encode()
    try:
        return bytes.fromhex(_word(o, "hex"))
    except ValueError:
        raise DeviceError("format", "hex is no hexadecimal text") from None


def _received(o: dict[str, Any]) -> int | None:
    value = o.get("received")
    if value is None:
        return None
    if type(value) in (int, float):
        value = repr(value)
    try:
        return ns_from_text(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise DeviceError("format", "received is no time with an offset") from None


def stream_rows(
    name: str, source: BufferedReader, *, device: str = "", unread: Counter[str] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """One public row an observation or reject, each with ``offset``, the byte where its frame began.

    Comes in lists: what could be said after each reading of the source, which may be a pipe that goes on for ever.
    ``unread`` counts the parts that were not understood.

    Raises:
        UsageError: no such format, or it is none that comes as a stream.
    """
    module = codec.load(name)
    if not module.STREAM:
        raise UsageError(f"{name} comes as whole messages, not as a stream: use --jsonl", field="--stream")
    framer, decoder = module.Framer(), module.Decoder()
    message = codec.Message(payload=b"", device=device)

    def rows(pieces: list[codec.Piece]) -> Iterator[dict[str, Any]]:
        for piece in pieces:
            try:
                with _boundary(name):
                    decoded = codec.decode_piece(decoder, message, piece)
            except DeviceError as error:
                decoded = codec.rejected(error.reason, error.detail)
            if unread is not None:
                unread.update(decoded.unread)
            for observation in decoded.observations:
                yield observation_json(observation) | {"offset": piece.offset}
            for reject in decoded.rejects:
                yield reject_json(reject) | {"offset": piece.offset}

    while chunk := source.read1(_CHUNK):
        yield list(rows(framer.feed(chunk)))
    yield list(rows(framer.finish()))
