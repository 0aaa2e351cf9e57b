CREATE TABLE IF NOT EXISTS sightings (
    -- A number is never given again: pages ask for what came after one.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    species    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    place      TEXT    NOT NULL,
    seen_on    TEXT    NOT NULL,  -- YYYY-MM-DD
    count      INTEGER NOT NULL CHECK (count > 0),
    note       TEXT    NOT NULL,
    observer   TEXT    NOT NULL,
    written_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);

CREATE INDEX IF NOT EXISTS sightings_by_day ON sightings (seen_on, id);

CREATE TABLE IF NOT EXISTS attachments (
    id          INTEGER PRIMARY KEY,
    sighting_id INTEGER NOT NULL REFERENCES sightings ON DELETE CASCADE,
    name        TEXT    NOT NULL UNIQUE,  -- the file in the attachments folder
    title       TEXT    NOT NULL,         -- what the visitor's file was called
    caption     TEXT    NOT NULL,
    media_type  TEXT    NOT NULL,
    size        INTEGER NOT NULL          -- bytes
);

CREATE INDEX IF NOT EXISTS attachments_by_sighting ON attachments (sighting_id);

CREATE TABLE IF NOT EXISTS messages (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    room   TEXT    NOT NULL,
    author TEXT    NOT NULL,
    text   TEXT    NOT NULL,
    key    TEXT,              -- the page's own name for it
    at     INTEGER NOT NULL,  -- seconds since 1970
    UNIQUE (author, key)
);

CREATE INDEX IF NOT EXISTS messages_by_room ON messages (room, id);
CREATE INDEX IF NOT EXISTS messages_by_author ON messages (author, at);

-- Who has a room open now, in any worker.
CREATE TABLE IF NOT EXISTS visits (
    key  TEXT    PRIMARY KEY,
    room TEXT    NOT NULL,
    name TEXT    NOT NULL,
    at   INTEGER NOT NULL  -- when that was last sure
);

CREATE VIEW IF NOT EXISTS entries AS
    SELECT sightings.*, (
        SELECT name FROM attachments
        WHERE sighting_id = sightings.id AND media_type LIKE 'image/%'
        ORDER BY attachments.id LIMIT 1
    ) AS picture
    FROM sightings;
