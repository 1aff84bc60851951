"""The journal: the truth and the clock.  One row an entry, dense in commit order, never changed."""

from birddog.journal.beside import Home
from birddog.journal.opening import exists, home, is_url, migrate, open_reader, open_writer, presence, url_of
from birddog.journal.store import Counts, Reader, Writer, entries

__all__ = [
    "Counts", "Home", "Reader", "Writer", "entries", "exists", "home", "is_url", "migrate", "open_reader", "open_writer",
    "presence", "url_of",
]
