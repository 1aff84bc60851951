"""A log's Merkle tree in tiles: files of 256 hashes that never change once they are full, and proofs out of a few of them.

Layout: C2SP tlog-tiles: ``tile/LEVEL/N`` holds the hashes of level 8 x LEVEL, 256 a tile; the last, not yet full one of a
level is ``tile/LEVEL/N.p/WIDTH``.  N is written in groups of three digits, all but the last led by ``x``: ``x001/x234/067``.
A proof reads one tile a level and side: of a log of 10⁸ records eight of them at most, 64 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from birddog.leaves import root_of_tile
from birddog.merkle import EMPTY, SIZE, VerificationError, consistency_path, inclusion_path, node_hash, perfect_root

#: Hashes of a full tile, and levels of the tree between two of them.
WIDTH, LEVELS = 256, 8


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Where a tile lies, relative to the log.

    Raises:
        ValueError: there is no such tile.
    """
    if level < 0 or number < 0 or not 1 <= width <= WIDTH:
        raise ValueError(f"no tile {number} of width {width} on level {level}")
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + (f".p/{width}" if width < WIDTH else "")


def tiles_between(old: int, new: int) -> Iterator[tuple[int, int, int]]:
    """(level, number, width) of the tiles to be written when a log grows; each level's full ones and its last, partial one."""
    level = 0
    while new >> LEVELS * level:
        before, now = old >> LEVELS * level, new >> LEVELS * level
        if now > before:
            for number in range(before // WIDTH, (now + WIDTH - 1) // WIDTH):
                yield level, number, min(WIDTH, now - number * WIDTH)
        level += 1


class TileTree:
    """The tree of a log of a certain size, of its tiles.

    Args:
        size: records.
        read: the bytes of the tile (level, number, width); at most one call for each tile and proof.
    """

    def __init__(self, size: int, read: Callable[[int, int, int], bytes]):
        self.size, self._read = size, read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """The root over all records.

        Raises:
            VerificationError: a tile is damaged.
        """
        return self._range(0, self.size)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """As ``merkle.inclusion_proof``.

        Raises:
            ValueError: there is no such record.
            VerificationError: a tile is damaged.
        """
        return [self._range(begin, end) for begin, end in inclusion_path(index, self.size)]

    def consistency_proof(self, size1: int) -> list[bytes]:
        """As ``merkle.consistency_proof``.

        Raises:
            ValueError: a log of no record, or a longer one.
            VerificationError: a tile is damaged.
        """
        return [self._range(begin, end) for begin, end in consistency_path(size1, self.size)]

    def _range(self, begin: int, end: int) -> bytes:
        """The hash of a subtree of the tree: its perfect subtrees from the left, folded from the right."""
        if begin == end:
            return EMPTY
        peaks = []
        while begin < end:
            height = (end - begin).bit_length() - 1
            peaks.append(self._node(height, begin >> height))
            begin += 1 << height
        found = peaks.pop()
        while peaks:
            found = node_hash(peaks.pop(), found)
        return found

    def _node(self, height: int, number: int) -> bytes:
        """The hash of the perfect subtree of a height, the number-th from the left."""
        level, above = divmod(height, LEVELS)
        first = number << above
        return perfect_root(self._tile(level, first // WIDTH)[first % WIDTH : first % WIDTH + (1 << above)])

    def _tile(self, level: int, number: int) -> list[bytes]:
        found = self._tiles.get((level, number))
        if found is None:
            width = min(WIDTH, (self.size >> LEVELS * level) - number * WIDTH)
            raw = self._read(level, number, width)
            if len(raw) != SIZE * width:
                raise VerificationError(
                    f"{tile_path(level, number, width)}: {SIZE * width} bytes were expected, not {len(raw)}"
                )
            found = self._tiles[level, number] = [raw[n : n + SIZE] for n in range(0, len(raw), SIZE)]
        return found


class GrowingTiles:
    """The tree as it grows: of each level the hashes of the tile that is not full yet."""


    def __init__(self) -> None:
        self.size = 0
        self.levels: list[list[bytes]] = [[]]
        #: Tiles that became full since they were last written: (level, number) -> hashes.
        self.full: dict[tuple[int, int], list[bytes]] = {}

    def append(self, leaves: Sequence[bytes]) -> None:
        """Take in the leaves of more entries."""
        done = 0
        while done < len(leaves):
            row = self.levels[0]
            some = leaves[done : done + WIDTH - len(row)]
            row.extend(some)
            done += len(some)
            self.size += len(some)
            if len(row) == WIDTH:
                self._fill(0)

    def _fill(self, level: int) -> None:
        row = self.levels[level]
        self.full[level, (self.size >> 8 * (level + 1)) - 1] = row
        self.levels[level] = []
        if level + 1 == len(self.levels):
            self.levels.append([])
        self.levels[level + 1].append(root_of_tile(row))
        if len(self.levels[level + 1]) == WIDTH:
            self._fill(level + 1)

    def root(self) -> bytes:
        """The root over all entries so far."""
        found = b""
        for row in self.levels:
            for peak in _peaks(row)[::-1]:
                found = node_hash(peak, found) if found else peak
        return found or EMPTY

    def partial(self) -> list[tuple[int, int, list[bytes]]]:
        """(level, number, hashes) of the tiles that are not full."""
        return [(level, self.size >> 8 * (level + 1), row) for level, row in enumerate(self.levels) if row]


def _peaks(row: list[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees over some hashes, from the left."""
    peaks, begin = [], 0
    while begin < len(row):
        width = 1 << (len(row) - begin).bit_length() - 1
        peaks.append(perfect_root(row[begin : begin + width]))
        begin += width
    return peaks
