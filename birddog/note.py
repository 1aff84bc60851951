"""Signed notes and checkpoints: a text that several keys vouch for, to be read by people and checked by programs.

A note is a text that ends in a newline, an empty line, and a line for each signature:
``— NAME BASE64(4 bytes of the key's hash || signature)`` (C2SP signed-note, v1).  A checkpoint is the text of a log: its
origin, its size and its root on three lines, and perhaps more (C2SP tlog-checkpoint).  A witness signs the same text with a
time of its own (C2SP tlog-cosignature, v1).  Keys are Ed25519 (RFC 8032), by the library ``cryptography``.

What is verified: every signature of a key that we know holds, and at least one is there; those of other keys are passed
over, as the specification demands.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from birddog.merkle import SIZE, VerificationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Kinds of keys: of a log that signs the text, of a witness that signs the text and a time.
SIGNS, WITNESSES = 0x01, 0x04
#: Bytes of a note that is read, and signatures of one: a checkpoint has a few hundred bytes.
MOST_BYTES, MOST_SIGNATURES = 1 << 20, 100
#: Records of a log: a number of 63 bits, as other programs keep it.
MOST_SIZE = 2**63 - 1
_DASH = "— "


class Verifier(msgspec.Struct, frozen=True):
    """The public half of a key, as it is given to others.

    Args:
        name: who signs; without spaces and ``+``.
        kind: ``SIGNS`` or ``WITNESSES``.
        public: 32 bytes.
    """

    name: str
    kind: int
    public: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def text(self) -> str:
        """``NAME+HASH+KEY``, the form in which it is handed on."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def of(cls, text: str) -> Verifier:
        """The key of its text.

        Raises:
            VerificationError: it is no such text, or its hash is another key's.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise VerificationError("a key is written NAME+HASH+KEY")
        name, named, key = parts
        raw = _decoded(key, "the key")
        if not _is_name(name) or len(raw) != 33 or raw[0] not in (SIGNS, WITNESSES):
            raise VerificationError(f"the key of {name[:60]!r} is no Ed25519 key of a log or a witness")
        found = cls(name, raw[0], raw[1:])
        if found.hash.hex() != named:
            raise VerificationError(f"the key of {name!r} does not have the hash {named[:16]!r} that stands before it")
        return found


class Signer:
    """The private half of a key.

    Args:
        name: who signs.
        key: the private key.
        kind: ``SIGNS`` or ``WITNESSES``.

    Raises:
        ValueError: the name cannot stand in a note.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey, *, kind: int = SIGNS):
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if not _is_name(name):
            raise ValueError(f"{name!r} cannot stand in a note: it is empty, or has a space or +")
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = Verifier(name, kind, public)
        self._key = key

    def line(self, text: str, *, time_s: int | None = None) -> str:
        """The signature's line under a text, with its newline.

        Args:
            text: ends in a newline.
            time_s: POSIX seconds, of a witness.

        Raises:
            ValueError: a witness without a time, or a time where none belongs.
        """
        if (time_s is None) == (self.verifier.kind == WITNESSES):
            raise ValueError("a witness signs a time, and nobody else")
        if time_s is None:
            signed = self._key.sign(text.encode())
        else:
            signed = struct.pack(">Q", time_s) + self._key.sign(_witnessed(time_s, text))
        return f"{_DASH}{self.verifier.name} {base64.b64encode(self.verifier.hash + signed).decode()}\n"


class Signature(msgspec.Struct, frozen=True):
    """A signature that holds: whose it is, and the time that a witness signed with it, POSIX seconds."""

    name: str
    time_s: int | None = None


def signed(text: str, lines: Iterable[str]) -> str:
    """A note of a text and the lines of its signatures.

    Raises:
        ValueError: the text does not end in a newline.
    """
    if not text.endswith("\n"):
        raise ValueError("the text of a note ends in a newline")
    return text + "\n" + "".join(lines)


def opened(note: str | bytes, verifiers: Sequence[Verifier]) -> tuple[str, list[Signature]]:
    """The text of a note, and the signatures that hold.

    Raises:
        VerificationError: it is no note, a known key's signature does not hold, or no known key has signed.
    """
    raw = note.encode() if isinstance(note, str) else bytes(note)
    if len(raw) > MOST_BYTES:
        raise VerificationError(f"a note of {len(raw)} bytes is none")
    try:
        whole = raw.decode()
    except UnicodeDecodeError as error:
        raise VerificationError(f"the note is not UTF-8 at byte {error.start}") from error
    if any(c < " " and c != "\n" for c in whole):
        raise VerificationError("the note holds a control character")
    text, empty, rest = whole.rpartition("\n\n")
    if not empty or not rest.endswith("\n"):
        raise VerificationError("the note has no signatures")
    text += "\n"
    lines = rest[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise VerificationError(f"the note has {len(lines)} signatures")
    known = {(one.name, one.hash): one for one in verifiers}
    found = []
    for line in lines:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space or not _is_name(name):
            raise VerificationError("a line under the note is no signature")
        blob = _decoded(encoded, f"the signature of {name}")
        if len(blob) < 5:
            raise VerificationError(f"the signature of {name} is too short")
        verifier = known.get((name, blob[:4]))
        if verifier is not None:
            found.append(Signature(name, _checked(verifier, text, blob[4:])))
    if not found:
        raise VerificationError("no key that we know has signed the note")
    return text, found


def _checked(verifier: Verifier, text: str, blob: bytes) -> int | None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    witness = verifier.kind == WITNESSES
    if len(blob) != (72 if witness else 64):
        raise VerificationError(f"the signature of {verifier.name} has the wrong length")
    time_s = struct.unpack(">Q", blob[:8])[0] if witness else None
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(
            blob[8:] if witness else blob, text.encode() if time_s is None else _witnessed(time_s, text)
        )
    except InvalidSignature:
        raise VerificationError(f"the signature of {verifier.name} does not hold") from None
    return time_s


def _witnessed(time_s: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log says of itself.

    Args:
        origin: the log's name.
        size: its records.
        root: 32 bytes.
        more: further lines.
    """

    origin: str
    size: int
    root: bytes
    more: tuple[str, ...] = ()

    def text(self) -> str:
        """The text to be signed."""
        return "\n".join((self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.more)) + "\n"

    @classmethod
    def of(cls, text: str) -> Checkpoint:
        """The checkpoint of a note's text.

        Raises:
            VerificationError: it is none.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise VerificationError("a checkpoint has a line each for origin, size and root, and none that is empty")
        origin, size, encoded, *more = lines[:-1]
        if not (size.isascii() and size.isdigit()) or (size != "0" and size.startswith("0")):
            raise VerificationError(f"the size of a checkpoint is no number: {size[:30]!r}")
        if len(size) > len(str(MOST_SIZE)) or int(size) > MOST_SIZE:
            raise VerificationError(f"a log of {size[:30]} records is none")
        root = _decoded(encoded, "the root")
        if len(root) != SIZE:
            raise VerificationError(f"a root has {SIZE} bytes, not {len(root)}")
        return cls(origin, int(size), root, tuple(more))


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def _decoded(text: str, what: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError(f"{what} is no base64") from None
    if base64.b64encode(found).decode() != text:  # one text a signature: no bits are left over
        raise VerificationError(f"{what} is no canonical base64")
    return found
