"""Notes on paper: a QR symbol to print (ISO/IEC 18004, drawn by segno), and what a person typed or a scanner read of one.

A signature is over exact bytes, and paper loses some: ends of lines, spaces behind them, the last newline, the dash (U+2014) in
front of a signature, which a scanner that guesses the character set wrongly hands on as two or three others.  None of these can
stand in a note otherwise than in one way, so that one way is put back; whether it is then what was signed, the signature says.
"""

from __future__ import annotations

import re

from birddog.errors import UsageError

#: What a symbol of the lowest level of error correction (L, version 40) holds in bytes; ISO/IEC 18004, table 7.
MOST_BYTES = 2953
_SIGNATURE = re.compile(r"^[^\s!-,.-~]{1,4} (\S+ [A-Za-z0-9+/]+=*)$")


def qr_svg(text: str) -> bytes:
    """A text as a QR symbol, an SVG file of 0.5 mm a module, to be printed as it is.

    Raises:
        UsageError: it is longer than a symbol holds.
    """
    import io

    import segno

    size = len(text.encode())
    if size > MOST_BYTES:
        raise UsageError(f"{size} bytes are more than the {MOST_BYTES} that a QR symbol holds: take a file", field="--qr")
    symbol = segno.make_qr(text, error="l", mode="byte", encoding="utf-8")
    symbol.save(out := io.BytesIO(), kind="svg", unit="mm", scale=0.5, border=4, dark="#000", light="#fff", nl=True)
    return out.getvalue()


def write_qr(name: str, text: str) -> None:
    """Write a text as a QR symbol.

    Raises:
        UsageError: it is too long, or the file cannot be written.
    """
    drawn = qr_svg(text)
    try:
        with open(name, "wb") as out:
            out.write(drawn)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=name) from error


def read_back(raw: bytes) -> bytes:
    """A note, or a request, as it was before it went over paper; what is none stays as it is."""
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip(" \t") for line in text.strip("\n \t").split("\n")]
    last = max((n for n, line in enumerate(lines) if not line), default=len(lines))
    lines[last:] = [_SIGNATURE.sub("\u2014 \\1", line) for line in lines[last:]]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
