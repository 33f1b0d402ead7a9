-- Makes of a state of version 13 one of version 14.

ALTER TABLE readings ADD COLUMN differs INTEGER NOT NULL DEFAULT 0;

CREATE TABLE exports (
    name     TEXT    PRIMARY KEY,
    dataset  INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    run      TEXT    NOT NULL,
    holder   TEXT    NOT NULL,
    images   INTEGER NOT NULL,
    stage    TEXT    NOT NULL,
    remote   INTEGER NOT NULL,
    asked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quotas (
    account  TEXT    PRIMARY KEY,
    requests INTEGER NOT NULL,
    per_ms   INTEGER NOT NULL,
    said_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An image file that a run brings to the service: planned, open (where to put it is asked
-- for), put (its bytes are at the storage), registering, done (the run's own), there (the
-- dataset had it when it was to be registered) or failed. Those done and there stay when their
-- run is forgotten: they say which image a file became.
CREATE TABLE uploads (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset      INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    run          TEXT    NOT NULL,
    item         INTEGER NOT NULL, -- the item's number in the run; 0 where no label names the image
    path         TEXT    NOT NULL, -- directory and name that are asked for
    file         TEXT    NOT NULL, -- where it lies
    stamp        TEXT    NOT NULL, -- another where its content may be another
    size         INTEGER NOT NULL, -- bytes
    content_type TEXT    NOT NULL,
    width        INTEGER NOT NULL, -- pixels, 0 = unknown
    height       INTEGER NOT NULL,
    near         INTEGER NOT NULL, -- an image of the dataset that it may be, by number; 0 is none
    state        TEXT    NOT NULL,
    put_at       INTEGER,
    sha256       BLOB,             -- of the bytes that were put; before that, what it is to be where the source says it
    stored       TEXT    NOT NULL DEFAULT '', -- the path that the service gave it
    image_id     TEXT    NOT NULL DEFAULT '',
    error        TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX uploads_run ON uploads (run, path);
CREATE INDEX uploads_file ON uploads (run, file);
CREATE INDEX uploads_path ON uploads (dataset, path);
CREATE INDEX uploads_open ON uploads (dataset) WHERE state IN ('open', 'put', 'registering');

INSERT INTO goose_db_version (version_id, is_applied) VALUES (14, 1);
