-- The jobs of configurations that were run, for the next run of them.

-- +goose Up

CREATE TABLE jobs (
    name         TEXT    PRIMARY KEY,
    kind         TEXT    NOT NULL, -- sync, export, verify
    dataset      TEXT    NOT NULL, -- as the configuration names it
    unfinished   INTEGER NOT NULL DEFAULT 0, -- begun or due, and stopped before its end: comes first next time
    status       INTEGER NOT NULL DEFAULT 0, -- exit status when it was last worked on
    error        TEXT    NOT NULL DEFAULT '',
    summary      TEXT    NOT NULL DEFAULT '', -- JSON, as --json prints it
    started_at   INTEGER, -- when it was last worked on
    ended_at     INTEGER,
    succeeded_at INTEGER
) STRICT, WITHOUT ROWID;
