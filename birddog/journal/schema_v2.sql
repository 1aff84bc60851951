-- Version 2 of the SQLite journal.  Never edited: a change is a new schema_vN.sql with a migration (birddog/journal/upgrade.py).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- seq is dense and in commit order; an entry is of one operation.  key_id and leaf stay empty until the evidence log fills
-- them; actor is the person who asked for the entry, '' where none did.
CREATE TABLE entry (
    seq         INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL,
    received_ns INTEGER NOT NULL,
    operation   TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    ident       BLOB    NOT NULL UNIQUE,
    body        BLOB    NOT NULL,
    key_id      TEXT,
    leaf        BLOB,
    actor       TEXT    NOT NULL DEFAULT ''
) STRICT;

-- What people and the program said, few rows among many: which of them are registers is birddog.model's to say.
CREATE INDEX entry_said ON entry (seq)
    WHERE kind NOT IN ('frame', 'refusal', 'tick');

-- frames, observations, duplicates, reject:REASON; changed in the transaction of the rows they count.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

-- The last sessions of devices whose messages carry neither time nor sequence, so that a message
-- sent again over a new connection (MQTT DUP) is known to be the same.
CREATE TABLE session (
    id      INTEGER PRIMARY KEY,
    device  TEXT NOT NULL,
    session TEXT NOT NULL
) STRICT;
CREATE INDEX session_device ON session (device, id);
