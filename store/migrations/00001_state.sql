-- The state of pictosync. Times are Unix milliseconds, hashes are SHA-256.

-- +goose Up

-- A dataset of one service. service is the base URL, or "sandbox".
CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    service    TEXT    NOT NULL,
    dataset_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    listing    INTEGER NOT NULL DEFAULT 0, -- counts listings; images carry the one that last showed them
    listed_at  INTEGER,                    -- when the last complete listing ended
    UNIQUE (service, dataset_id)
) STRICT;

-- An image as the last listing showed it, and what we last saved on it.
-- saved_sum guards the columns that decide whether an image is done, since
-- SQLite's pages carry no checksum.
CREATE TABLE images (
    dataset          INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id         TEXT    NOT NULL,
    path             TEXT    NOT NULL, -- "dir/a.jpg"
    stem             TEXT    NOT NULL, -- "a"
    width            INTEGER NOT NULL, -- pixels, 0 = unknown
    height           INTEGER NOT NULL,
    annotation_count INTEGER NOT NULL,
    listing          INTEGER NOT NULL,
    saved_hash       BLOB,
    saved_count      INTEGER,
    saved_at         INTEGER,
    saved_run        TEXT,
    saved_sum        BLOB,
    PRIMARY KEY (dataset, image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX images_path ON images (dataset, path);
CREATE INDEX images_stem ON images (dataset, stem);

CREATE TABLE runs (
    id          TEXT    PRIMARY KEY,
    dataset     INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    kind        TEXT    NOT NULL, -- "sync"
    source      TEXT    NOT NULL,
    format      TEXT    NOT NULL DEFAULT '',
    phase       TEXT    NOT NULL, -- planning, saving, ended
    cursor      TEXT    NOT NULL DEFAULT '', -- last item of the walk that is planned
    fingerprint TEXT    NOT NULL DEFAULT '', -- what the cursor depends on
    starts      INTEGER NOT NULL DEFAULT 0,  -- processes that worked on the run
    outcome     TEXT    NOT NULL DEFAULT '', -- done, failures, interrupted, refused, stopped; '' while open and running
    error       TEXT    NOT NULL DEFAULT '',
    requests    INTEGER NOT NULL DEFAULT 0,
    worked_ms   INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;
CREATE INDEX runs_open ON runs (dataset, source) WHERE ended_at IS NULL;

-- The plan of a run, one row per item of the source, in the order of the walk.
CREATE TABLE items (
    run          TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq          INTEGER NOT NULL,
    image        TEXT    NOT NULL, -- as the source names it
    after        TEXT    NOT NULL, -- cursor of the item before, so that the walk can begin here
    image_id     TEXT    NOT NULL DEFAULT '',
    path         TEXT    NOT NULL DEFAULT '', -- as the dataset names it
    plan         TEXT    NOT NULL, -- new, overwrite, clear, unchanged, drifted, unmatched, ambiguous, failed
    outcome      TEXT    NOT NULL, -- pending, saved, cleared, unchanged, unmatched, failed
    hash         BLOB,
    count        INTEGER NOT NULL DEFAULT 0, -- annotations to save
    listed_count INTEGER NOT NULL DEFAULT 0, -- annotations the listing showed
    findings     INTEGER NOT NULL DEFAULT 0,
    reason       TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_pending ON items (run, seq) WHERE outcome = 'pending';
CREATE INDEX items_image ON items (run, image_id);

-- Classes that the run's labels use, in the order of their first use.
CREATE TABLE run_classes (
    run   TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    class TEXT    NOT NULL, -- JSON
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- seq is the item's; 0 is the source as a whole.
CREATE TABLE findings (
    run    TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    file   TEXT    NOT NULL,
    image  TEXT    NOT NULL,
    at     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    action TEXT    NOT NULL
) STRICT;
CREATE INDEX findings_run ON findings (run, seq);

-- A bulk save, committed before it is sent. body is kept until the answer is
-- committed, so that a resend after a crash sends the same bytes under the
-- same key.
CREATE TABLE batches (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run           TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL UNIQUE,
    body          BLOB,
    state         TEXT    NOT NULL, -- open, done, split
    first_sent_at INTEGER NOT NULL,
    ended_at      INTEGER
) STRICT;
CREATE INDEX batches_open ON batches (run) WHERE state = 'open';

-- An image of a batch: what was sent and what the service answered.
-- first_hand is 0 where the answer may be that of a second execution (the
-- service forgets keys after 24 hours): then previous_count is what the
-- listing showed when the image was planned.
CREATE TABLE batch_images (
    batch          INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    image_id       TEXT    NOT NULL,
    hash           BLOB    NOT NULL,
    count          INTEGER NOT NULL,
    listed_count   INTEGER NOT NULL,
    previous_count INTEGER,
    new_count      INTEGER,
    status         TEXT    NOT NULL DEFAULT '',
    first_hand     INTEGER NOT NULL DEFAULT 1,
    error          TEXT    NOT NULL DEFAULT '',
    ended_at       INTEGER,
    PRIMARY KEY (batch, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_images_image ON batch_images (image_id);

-- Requests sent, per account (a fingerprint of the key) and second, for the
-- quota of any 60 minutes.
CREATE TABLE requests (
    account TEXT    NOT NULL,
    second  INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (account, second)
) STRICT, WITHOUT ROWID;
