"""The console's only door to the two stores: every read runs on one worker thread, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, get_args

import msgspec

from birddog import model
from birddog.directory import Directory
from birddog.errors import BirddogError
from birddog.units import iso_from_ns
from opsroom.authority import AuthorityOfTrack, last_kept, of_track
from opsroom.console import views
from opsroom.exports import journal_name
from opsroom.picture_view import ALL, PictureReader, Rights, View

T = TypeVar("T")
#: Of a track that got more new points than this between two frames, the newest are sent; /v1/trails has all.
NEW_POINTS = 50
#: Of alerts that nobody waits for, flags, events and refusals a snapshot has the newest so many of each.
KEPT = 1000


class JournalReader(Protocol):
    """What the console needs of the journal (birddog/journal/store.py)."""

    def read(self, after: int, limit: int = 1000) -> list[model.Entry]: ...
    def last_seq(self) -> int: ...
    def registers(self) -> list[model.Entry]: ...
    def counts(self) -> Any: ...


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the picture with a revision above some number, and the revision up to which they are complete."""

    seq: int
    tracks: list[views.TrackView]
    alerts: list[views.AlertView]
    flags: list[views.FlagView]
    events: list[views.EventView]
    refused: list[views.RefusedView]
    points: list[views.LivePoint]

    def empty(self) -> bool:
        """Whether nothing changed."""
        return not any(getattr(self, name) for name in KEYS)


#: The lists of rows in a frame: the fields above, each of one kind of row.
ROWS = tuple(name for name in Changes.__struct_fields__ if name != "seq")
#: Of those whose rows replace one another, the field by which (the first of its row); the page reads it in the first frame.
KEYS = {
    field.name: get_args(field.type)[0].__struct_fields__[0]
    for field in msgspec.structs.fields(Changes) if field.name in ROWS and field.name != "points"
}  # fmt: skip


def _newest(rows: list[tuple[int, T]], when: Callable[[T], int]) -> list[tuple[int, T]]:
    return rows if len(rows) <= KEPT else sorted(rows, key=lambda row: when(row[1]))[-KEPT:]


class Source:
    """Reads the picture and the journal; safe to call from any number of requests.

    Rows are read through the ``view`` of whoever asks.
    """

    def __init__(self, reader: PictureReader, journal: JournalReader, now_ns: Callable[[], int]):
        self.reader, self.journal, self.now_ns = reader, journal, now_ns
        # one thread: SQLite connections stay on it, and a slow question delays readers, never the writer
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="console-read")
        self._directory = Directory()
        self._directory_seq = -1
        self._name = ""
        self._journal: bytes | None = None
        self._steps: dict[Rights, dict[str, int]] = {}

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a blocking function on the reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        """End the reading thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    # --- on the reading thread ---

    def view(self, rights: Rights = ALL) -> View:
        """The picture as somebody may see it."""
        return self.reader.view(rights)

    def clock(self) -> str | None:
        """The journal's time at the picture's newest entry, by which tracks lapse; None while there is no picture."""
        try:
            return iso_from_ns(self.view().now_ns())
        except BirddogError:
            return None

    def changes(self, since: int, rights: Rights = ALL) -> Changes:
        """What changed after revision ``since``; without the points of trails (``steps`` has those).

        Everything (``since`` 0) of a long case would be more than a page can hold: it has every track that is there (of what
        is lost in ``open`` the newest), every open alert, and of the rest the newest.

        Raises:
            BirddogError: the picture is not there (yet); the words say why.
        """
        # the cursor first: rows written meanwhile come once too often, never once too few
        view = self.view(rights)
        seq = view.cursor()
        shown = self.shown(view)
        tracks = [shown(r, t) for r, t in (view.tracks(since) if since else view.present())]
        flags, refused = view.flags(since), view.refused(since)
        if since:
            alerts, events = view.alerts(since), view.events(since)
        else:
            alerts, events = view.open_alerts() + view.closed_alerts(KEPT), view.events(newest=KEPT)
            dark = _newest([row for row in flags if row[1].dark], lambda f: f.time_ns)
            flags = dark + _newest([row for row in flags if not row[1].dark], lambda f: f.time_ns)
            refused = _newest(refused, lambda r: r.last_ns)
        return Changes(
            seq=seq,
            tracks=tracks,
            alerts=[views.alert_view(r, a) for r, a in alerts],
            flags=[views.flag_view(r, f) for r, f in flags],
            events=[views.event_view(r, e) for r, e in events],
            refused=[views.refused_view(r, row) for r, row in refused],
            points=[],
        )

    def steps(self, tracks: list[views.TrackView], rights: Rights = ALL) -> list[views.LivePoint]:
        """The steps of these tracks' trails that were not given to these rights before; each track numbers its own."""
        out, view, given = [], self.view(rights), self._steps.setdefault(rights, {})
        for track in tracks:
            if track.status == "deleted":
                given.pop(track.track_id, None)
                continue
            last = given.get(track.track_id, -1)
            for point in view.points(track.track_id, limit=NEW_POINTS):
                if point.seq > last:
                    out.append(views.live_point(point))
                    given[track.track_id] = max(point.seq, given.get(track.track_id, -1))
        return out

    def steps_from_here(self, tracks: list[views.TrackView], rights: Rights = ALL) -> None:
        """Another picture, or the first: what its trails hold now counts as given (tabs ask /v1/trails for it)."""
        self._steps.pop(rights, None)
        self.steps(tracks, rights)

    def directory(self) -> Directory:
        """The registers as of now; read again only when the journal has grown."""
        seq = self.journal.last_seq()
        if seq != self._directory_seq:
            directory = Directory()
            for entry in self.journal.registers():
                directory.apply(model.unpack(entry))
            self._directory, self._directory_seq = directory, seq
        return self._directory

    def name(self) -> str:
        """The journal's name in what is exported."""
        if not self._name:
            self._name = journal_name(self.journal)
        return self._name

    def authority(self) -> Callable[[model.Track], AuthorityOfTrack | None]:
        """Under what authority a track is followed now."""
        directory = self.directory()
        return of_track(directory, self.now_ns() if directory.ruling else 0)

    def shown(self, view: View) -> Callable[[int, model.Track], views.TrackView]:
        """(revision, track) in its public form, with its authority; of what a warrant has ended where it was kept last."""
        authority = self.authority()

        def one(revision: int, track: model.Track) -> views.TrackView:
            under = authority(track)
            return views.track_view(revision, track, under, last_kept(view, track, under))

        return one

    def epoch(self) -> str:
        """A word that names this journal and this store: a tab that resumes against other ones gets a snapshot.

        Raises:
            BirddogError: the picture is not there (yet).
        """
        if self._journal is None:
            try:
                first = self.journal.read(0, 1)
            except BirddogError:
                return ""
            if not first:
                return ""
            self._journal = first[0].ident
        return hashlib.sha256(self._journal + self.reader.store()).hexdigest()[:12]
