"""The cutter: a Framer that raises loses no byte and does not end the stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devices.codec import Piece
from ingest.cutter import Cutter


class Fragile:
    """Lines; a line that holds ``!`` makes feed raise, ``?`` at the end makes finish raise."""

    class Framer:
        def __init__(self):
            self.buffer, self.offset = b"", 0

        def feed(self, data):
            self.buffer += data
            out = []
            while b"\n" in self.buffer:
                line, _, self.buffer = self.buffer.partition(b"\n")
                if b"!" in line:
                    raise ZeroDivisionError("poison")
                out.append(Piece(self.offset, line + b"\n"))
                self.offset += len(line) + 1
            return out

        def finish(self):
            if self.buffer.endswith(b"?"):
                raise IndexError
            return [Piece(self.offset, self.buffer)] if self.buffer else []


@given(st.lists(st.text(alphabet="ab!?\n", max_size=12).map(str.encode), max_size=12))
def test_every_byte_comes_out_once_in_order_at_its_offset(chunks):
    cutter = Cutter(Fragile, "test")
    pieces = [piece for chunk in chunks for piece in cutter.feed(chunk)] + cutter.finish()
    assert b"".join(piece.data for piece in pieces) == b"".join(chunks)
    at = 0
    for piece in pieces:
        assert piece.offset == at
        at += len(piece.data)


def test_a_failure_is_a_reject_and_the_next_line_is_read_again():
    cutter = Cutter(Fragile, "test")
    assert [p.data for p in cutter.feed(b"one\ntw")] == [b"one\n"]
    (lost,) = cutter.feed(b"o!\nthree\n")
    assert (lost.data, lost.reject.reason, lost.offset) == (b"two!\nthree\n", "framing", 4)
    assert "ZeroDivisionError" in lost.reject.detail
    assert [(p.offset, p.data, p.reject) for p in cutter.feed(b"four\n")] == [(15, b"four\n", None)]
    cutter.feed(b"?")
    assert [p.reject.reason for p in cutter.finish()] == ["framing"]
