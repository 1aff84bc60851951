"""Cuts a stream with a codec's Framer and survives a Framer that breaks its promise never to raise.

A Framer's bug on one device's bytes must not end a port's thread or take the bytes with it: what was
fed and not given back becomes a reject, and a new Framer goes on from there.
"""

from __future__ import annotations

import logging

from birddog.errors import place_of
from birddog.model import Reject
from devices.codec import Codec, Piece

log = logging.getLogger(__name__)


class Cutter:
    """One a connection; ``feed`` and ``finish`` as a Framer's, but they never raise."""

    def __init__(self, codec: Codec, source: str):
        self._codec, self._source = codec, source
        self._framer = codec.Framer()
        self._begun = 0  # where the present Framer's own count begins
        self._given = 0  # bytes that came out, from the first ever
        self._kept = b""  # bytes that went in and did not come out yet

    def feed(self, data: bytes) -> list[Piece]:
        """Whole frames found so far, rubbish as rejects."""
        self._kept += data
        try:
            pieces = self._framer.feed(data)
        except Exception as error:  # noqa: BLE001 - boundary: a Framer's bug; its bytes are kept and said, the stream goes on
            return self._broken(error)
        return self._out(pieces)

    def finish(self) -> list[Piece]:
        """What is left when the stream ends."""
        try:
            pieces = self._framer.finish()
        except Exception as error:  # noqa: BLE001 - boundary: as above
            return self._broken(error)
        return self._out(pieces)

    def _out(self, pieces: list[Piece]) -> list[Piece]:
        size = sum(len(piece.data) for piece in pieces)
        self._kept = self._kept[size:]
        self._given += size
        if self._begun:
            return [Piece(self._begun + piece.offset, piece.data, piece.reject) for piece in pieces]
        return pieces

    def _broken(self, error: Exception) -> list[Piece]:
        # not what the error says: it may be made of the bytes, and those be of nobody who is admitted
        log.error("%s: the framer failed: %s", self._source, place_of(error))
        data, self._kept = self._kept, b""
        lost = Piece(self._given, data, Reject("framing", f"the framer failed: {type(error).__name__}"))
        self._given += len(data)
        self._begun = self._given
        self._framer = self._codec.Framer()
        return [lost] if data else []
