-- Makes of a state of version 13 one of version 14.

ALTER TABLE readings ADD COLUMN differs INTEGER NOT NULL DEFAULT 0;

CREATE TABLE exports (
    name     TEXT    PRIMARY KEY,
    dataset  INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    run      TEXT    NOT NULL,
    holder   TEXT    NOT NULL,
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

INSERT INTO goose_db_version (version_id, is_applied) VALUES (14, 1);
