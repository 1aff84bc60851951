"""The Merkle tree of a log of records: roots, and proofs that a stranger can check.

Hashes as in RFC 6962, section 2.1 (and RFC 9162, section 2.1.1): of a record SHA-256(0x00 || data), of two subtrees
SHA-256(0x01 || left || right), of no record SHA-256 of nothing; of n records the left subtree holds the largest power of
two below n.  Proofs are verified as RFC 9162, sections 2.1.3.2 and 2.1.4.2, have it, and strictly: a proof of the wrong
length, a hash that is not 32 bytes, an index outside the tree is ``VerificationError``, never another exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from hmac import compare_digest

from birddog.errors import BirddogError

#: Bytes of a hash.
SIZE = 32
#: The root of a log without a record.
EMPTY = sha256(b"").digest()


class VerificationError(BirddogError):
    """A proof, a hash or a signature does not hold; the words say which and where."""

    exit_code = 1


def leaf_hash(data: bytes) -> bytes:
    """The hash of one record, 32 bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the tree over two subtrees, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A log that grows: its root after each record, in 32 bytes for each set bit of its size.

    Args:
        size: how many records it holds already.
        peaks: the roots of its perfect subtrees, largest first; one for each set bit of ``size``.

    Raises:
        ValueError: another number of peaks than ``size`` has bits set.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()):
        if size < 0 or len(peaks) != size.bit_count():
            raise ValueError(f"{len(peaks)} peaks are no log of {size} records")
        self.size, self.peaks = size, list(peaks)

    def append(self, leaf: bytes) -> None:
        """Take in the hash of one more record."""
        peaks, size = self.peaks, self.size
        while size & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all records so far."""
        if not self.peaks:
            return EMPTY
        at = len(self.peaks) - 1
        found = self.peaks[at]
        while at:
            at -= 1
            found = node_hash(self.peaks[at], found)
        return found


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over records in order, of their hashes."""
    tree = Tree()
    for leaf in leaf_hashes:
        tree.append(leaf)
    return tree.root()


def inclusion_path(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees, as [begin, end) of records, whose hashes are the proof that one record is in a log; from the leaf upwards.

    Raises:
        ValueError: there is no such record.
    """
    if not 0 <= index < size:
        raise ValueError(f"no record {index} in a log of {size}")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        path.append((middle, end) if index < middle else (begin, middle))
        begin, end = (begin, middle) if index < middle else (middle, end)
    return path[::-1]


def consistency_path(size1: int, size2: int) -> list[tuple[int, int]]:
    """The subtrees, as [begin, end) of records, whose hashes are the proof that one log is the beginning of another.

    Raises:
        ValueError: a log of no record, or a longer one.
    """
    if not 0 < size1 <= size2:
        raise ValueError(f"a log of {size1} records is no beginning of one of {size2}")
    path = []
    begin, end = 0, size2
    while size1 != end:
        middle = begin + _split(end - begin)
        path.append((middle, end) if size1 <= middle else (begin, middle))
        begin, end = (begin, middle) if size1 <= middle else (middle, end)
    if begin:
        path.append((begin, end))
    return path[::-1]


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """What ``verify_inclusion`` asks beside the record, of a log that is at hand whole.

    Raises:
        ValueError: there is no such record.
    """
    return [root(leaf_hashes[begin:end]) for begin, end in inclusion_path(index, len(leaf_hashes))]


def consistency_proof(size1: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """What shows that a log of ``size1`` records is the beginning of this one.

    Raises:
        ValueError: a log of no record, or a longer one.
    """
    return [root(leaf_hashes[begin:end]) for begin, end in consistency_path(size1, len(leaf_hashes))]


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Whether a record is at its place in the log with this root.

    Args:
        index: its place, from 0.
        size: the records of the log.
        leaf_hash: the record's own hash.
        proof: the hashes beside its way up, from the leaf.
        root: the root of the log, as signed.

    Raises:
        VerificationError: it is not, or the proof is none.
    """
    _numbers(index=index, size=size)
    if index >= size:
        raise VerificationError(f"no record {index} in a log of {size}")
    found = _hash(leaf_hash, "leaf_hash")
    for step, left in _climb(index, size - 1, _hashes(proof)):
        found = node_hash(step, found) if left else node_hash(found, step)
    if not compare_digest(found, _hash(root, "root")):
        raise VerificationError(f"record {index} is not in the log of {size} records with this root")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Whether the log with ``root1`` is the beginning of that with ``root2``.

    Raises:
        VerificationError: it is not, or the proof is none; also of a log of no record, which begins every other.
    """
    _numbers(size1=size1, size2=size2)
    if not 0 < size1 <= size2:
        raise VerificationError(f"a log of {size1} records proves nothing about one of {size2}")
    steps = list(_hashes(proof))
    if size1 == size2:
        if steps:
            raise VerificationError("a proof between logs of one size has no step")
        if not compare_digest(
            _bytes(root1, "root1"), _bytes(root2, "root2")
        ):  # nothing is hashed: any two equal ones are equal
            raise VerificationError(f"two logs of {size1} records with other roots")
        return
    first, second = _hash(root1, "root1"), _hash(root2, "root2")
    node, last = size1 - 1, size2 - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    if node:
        if not steps:
            raise VerificationError("the proof has no step")
        old = new = steps.pop(0)
    else:
        old = new = first
    for step, left in _climb(node, last, steps):
        if left:
            old, new = node_hash(step, old), node_hash(step, new)
        else:
            new = node_hash(new, step)
    if not compare_digest(old, first):
        raise VerificationError(f"the first {size1} records have another root: the log was rewritten or forked")
    if not compare_digest(new, second):
        raise VerificationError(f"the {size2} records have another root: the log was rewritten or forked")


def _climb(node: int, last: int, steps: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each step of a proof and whether its hash stands on the left, from a node up to the root.

    Args:
        node, last: the number of the node, and of the last one, on their level.

    Raises:
        VerificationError: there are more steps than levels, or fewer.
    """
    for step in steps:
        if last == 0:
            raise VerificationError("the proof goes on above the root")
        left = bool(node & 1) or node == last
        yield step, left
        while left and not node & 1 and node:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise VerificationError("the proof ends below the root")


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root of a perfect subtree: over a power of two of hashes, of which two at a time become one."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[n], hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]


def _split(size: int) -> int:
    """The largest power of two below a size of two or more."""
    return 1 << (size - 1).bit_length() - 1


def _numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise VerificationError(f"{name}: a number from 0 was expected, not {number!r}")


def _bytes(value: bytes, name: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise VerificationError(f"{name}: bytes were expected, not {type(value).__name__}")
    return bytes(value)


def _hash(value: bytes, name: str) -> bytes:
    # a hash of another length could shift the border between two neighbours without changing what is hashed
    found = _bytes(value, name)
    if len(found) != SIZE:
        raise VerificationError(f"{name}: {SIZE} bytes were expected, not {len(found)}")
    return found


def _hashes(proof: Sequence[bytes]) -> Iterator[bytes]:
    if isinstance(proof, bytes | str) or not hasattr(proof, "__iter__"):
        raise VerificationError("proof: a list of hashes was expected")
    return iter([_hash(step, f"proof[{at}]") for at, step in enumerate(proof)])
