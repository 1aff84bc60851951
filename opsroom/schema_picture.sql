-- The derived store (PATH.picture): may be deleted at any time; `birddog rebuild` makes it again.
-- revision = the number of the journal entry that changed the row last; it is the live channel's sequence.
-- operation = whose the row is; a point's is its track's.  state = a track's status, 'open' of an alert that waits
-- for a person, else ''.  coasts_ns, lost_ns, gone_ns = when time alone makes it coasting, silent, deleted (model.Track.lapsed):
-- from then on it is that, whatever state says.  All of these stand in the body as well: here they are asked for.
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE track (
    id        TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    coasts_ns INTEGER,
    lost_ns   INTEGER,
    gone_ns   INTEGER,
    body      BLOB    NOT NULL
) STRICT;
CREATE INDEX track_revision ON track (revision);
CREATE INDEX track_state ON track (state, operation, revision, coasts_ns, lost_ns, gone_ns);
-- The track's body as it is believed at meta's `rested` (opsroom.picture.Picture.rest), where that is another than its row's and
-- nothing has changed that since.
CREATE TABLE now (
    id       TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
-- A step of a trail (model.TrackPoint.step) has versions: each is believed from one journal entry on, and no longer from the
-- entry `until` on (NULL: it is believed now).
CREATE TABLE point (
    track    TEXT    NOT NULL,
    time_ns  INTEGER NOT NULL,
    step     TEXT    NOT NULL,
    believed INTEGER NOT NULL,
    until    INTEGER,
    seq      INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (track, time_ns, step, believed)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    id        TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    body      BLOB    NOT NULL
) STRICT;
CREATE INDEX event_revision ON event (revision);
CREATE TABLE alert (
    id        TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    track     TEXT    NOT NULL,
    body      BLOB    NOT NULL
) STRICT;
CREATE INDEX alert_revision ON alert (revision);
CREATE INDEX alert_state ON alert (state, revision);
CREATE TABLE flag (
    id        TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    thumbnail BLOB
) STRICT;
CREATE INDEX flag_revision ON flag (revision);
-- who was refused, why and how often; never a position
CREATE TABLE refused (
    id        TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL,
    operation TEXT    NOT NULL,
    body      BLOB    NOT NULL
) STRICT;
CREATE INDEX refused_revision ON refused (revision);
