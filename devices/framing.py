"""The buffer that every stream format's Framer has; the format says only where a piece ends."""

from __future__ import annotations

from birddog.model import Reject
from devices.codec import Piece


class Framer:
    """One stream's framer; see ``devices.codec`` for what it promises.  A format sets ``cut``, which bounds the buffer."""

    __slots__ = ("_buffer", "_offset")

    @staticmethod
    def cut(buffer: bytes, at: int, last: bool, /) -> tuple[int, Reject | None]:
        """(Where a piece ends that begins at ``at``, why it is rubbish); end 0: more bytes must come before it can be told.

        Args:
            last: the stream has ended.
        """
        raise NotImplementedError

    def __init__(self) -> None:
        self._buffer = b""
        self._offset = 0

    def feed(self, data: bytes) -> list[Piece]:
        """Whole frames and runs of rubbish that have ended."""
        self._buffer += data
        return self._pieces(last=False)

    def finish(self) -> list[Piece]:
        """What is left when the stream ends."""
        return self._pieces(last=True)

    def _pieces(self, *, last: bool) -> list[Piece]:
        buffer, at, pieces, cut = self._buffer, 0, [], self.cut
        while at < len(buffer):
            end, reject = cut(buffer, at, last)
            if end == 0:
                break
            pieces.append(Piece(self._offset + at, buffer[at:end], reject))
            at = end
        self._buffer = buffer[at:]
        self._offset += at
        return pieces
