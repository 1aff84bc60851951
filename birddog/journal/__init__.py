"""The journal: the truth and the clock.  One row an entry, dense in commit order, never changed."""

from birddog.journal.store import Counts, Reader, Writer, disagreement, entries, left_alone, open_reader, open_writer, path_of

__all__ = ["Counts", "Reader", "Writer", "disagreement", "entries", "left_alone", "open_reader", "open_writer", "path_of"]
