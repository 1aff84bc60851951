"""Whose turn comes when: what time does to thousands of things is asked of those that are due, and of no other."""

from __future__ import annotations

import heapq

NEVER_NS = 2**63


class Agenda:
    """Of each name the time for which it is entered; entering it again puts it off or forward.

    A time that was put off stays in the heap until it is reached and then says nothing, so that entering costs no search.
    """

    __slots__ = ("due_ns", "heap")

    def __init__(self) -> None:
        #: (time, name), the earliest first, with what says nothing any more; to look at the first.
        self.heap: list[tuple[int, str]] = []
        #: Of each name when its turn is; to read.
        self.due_ns: dict[str, int] = {}

    def enter(self, name: str, due_ns: int) -> None:
        """A name's turn is then."""
        self.due_ns[name] = due_ns
        heapq.heappush(self.heap, (due_ns, name))

    def drop(self, name: str) -> None:
        """A name has no turn."""
        self.due_ns.pop(name, None)

    def first(self, to_ns: int) -> tuple[int, str] | None:
        """(time, name) of the first whose turn is not after a time; None: there is none."""
        heap, due_ns = self.heap, self.due_ns
        while heap and heap[0][0] <= to_ns:
            if due_ns.get(heap[0][1]) == heap[0][0]:
                return heap[0]
            heapq.heappop(heap)
        return None

    def take(self, to_ns: int) -> tuple[int, str] | None:
        """``first``, which has no turn any more."""
        turn = self.first(to_ns)
        if turn is not None:
            heapq.heappop(self.heap)
            del self.due_ns[turn[1]]
        return turn

    def put_off(self, due_ns: int) -> None:
        """The name that ``first`` found has its turn then."""
        name = self.heap[0][1]
        self.due_ns[name] = due_ns
        heapq.heapreplace(self.heap, (due_ns, name))
