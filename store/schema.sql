-- The state of pictosync as it is today, which a new one is made with. The files in
-- migrations/ bring a state of before to the same: a column that they added stands
-- behind those that were there. Times are Unix milliseconds, hashes are SHA-256.

-- A dataset of one service. service is the base URL, or "sandbox".
CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    service    TEXT    NOT NULL,
    dataset_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    listed_at  INTEGER, -- when the last complete listing ended
    UNIQUE (service, dataset_id)
) STRICT;

-- An image as the last listing showed it, and what we last saved on it.
-- saved_sum guards the columns that decide whether an image is done, since
-- SQLite's pages carry no checksum.
CREATE TABLE images (
    ref              INTEGER PRIMARY KEY, -- in the order in which listings first showed them
    dataset          INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id         TEXT    NOT NULL,
    path             TEXT    NOT NULL, -- "dir/a.jpg"
    stem             TEXT    NOT NULL, -- "a"
    width            INTEGER NOT NULL, -- pixels, 0 = unknown
    height           INTEGER NOT NULL,
    annotation_count INTEGER NOT NULL,
    saved_hash       BLOB,
    saved_count      INTEGER,
    saved_at         INTEGER,
    saved_run        TEXT,
    saved_sum        BLOB,
    meta             TEXT    NOT NULL DEFAULT '', -- the listing's entry as an export keeps it, JSON
    source           INTEGER, -- the source that last named the image, of what was saved from here
    UNIQUE (dataset, image_id)
) STRICT;
CREATE INDEX images_path ON images (dataset, path);
CREATE INDEX images_stem ON images (dataset, stem);

-- A source of labels: which images come from it tells an image that left it from one
-- that never was in it.
CREATE TABLE sources (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE -- the path, with what --include and --exclude leave of it
) STRICT;

CREATE TABLE runs (
    id          TEXT    PRIMARY KEY,
    dataset     INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    kind        TEXT    NOT NULL, -- sync, plan, undo, verify, export
    source      TEXT    NOT NULL,
    format      TEXT    NOT NULL DEFAULT '',
    phase       TEXT    NOT NULL, -- planning, saving, ended
    cursor      TEXT    NOT NULL DEFAULT '', -- last item of the walk that is planned
    fingerprint TEXT    NOT NULL DEFAULT '', -- what the cursor depends on
    starts      INTEGER NOT NULL DEFAULT 0,  -- processes that worked on the run
    outcome     TEXT    NOT NULL DEFAULT '', -- done, failures, planned, interrupted, refused, stopped; '' while open and running
    error       TEXT    NOT NULL DEFAULT '',
    requests    INTEGER NOT NULL DEFAULT 0,
    worked_ms   INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    claims      INTEGER,                     -- the source of what the run saves
    totals      TEXT    NOT NULL DEFAULT '', -- JSON, of a run that has ended
    thinned     INTEGER NOT NULL DEFAULT 0   -- its unchanged items were let go
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
    outcome      TEXT    NOT NULL, -- pending, saved, cleared, unchanged, unmatched, failed, skipped
    hash         BLOB,
    count        INTEGER NOT NULL DEFAULT 0, -- annotations to save
    listed_count INTEGER NOT NULL DEFAULT 0, -- annotations the listing showed
    findings     INTEGER NOT NULL DEFAULT 0,
    reason       TEXT    NOT NULL DEFAULT '',
    bytes        INTEGER NOT NULL DEFAULT 0, -- of the encoded annotations to save
    pruned       INTEGER NOT NULL DEFAULT 0, -- no item of the source: an image that left it
    image_ref    INTEGER NOT NULL DEFAULT 0, -- the image's number, 0 where the item has none
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_image ON items (run, image_ref) WHERE image_ref > 0;

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

-- A bulk save, committed before it is sent. Its bytes are kept until the answer is
-- committed, so that a resend after a crash sends the same under the same key: in a
-- file beside the state while a process works on it, and in body when none does.
CREATE TABLE batches (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run           TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL UNIQUE,
    body          BLOB,
    state         TEXT    NOT NULL, -- open, done, split
    first_sent_at INTEGER NOT NULL,
    ended_at      INTEGER,
    body_at       INTEGER, -- where the bytes are in that file
    body_size     INTEGER,
    body_sum      INTEGER  -- their CRC-32C
) STRICT;
CREATE INDEX batches_open ON batches (run) WHERE state = 'open';

-- An image of a batch: what was sent, and what the service answered: previous_count
-- and new_count are what is expected until the batch is done.
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
    status         TEXT    NOT NULL DEFAULT '', -- of before
    first_hand     INTEGER NOT NULL DEFAULT 1,
    error          TEXT    NOT NULL DEFAULT '',
    ended_at       INTEGER, -- of before
    item           INTEGER NOT NULL DEFAULT 0, -- number of the item in its run's plan, 0 = not on record
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

-- The annotations that an image had before a run saved on it, as canonical JSON
-- compressed with zstd. One a run and image: the first, which is what an undo
-- of the run brings back.
CREATE TABLE backups (
    run         TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    image_id    TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    taken_at    INTEGER NOT NULL,
    PRIMARY KEY (run, image_id)
) STRICT, WITHOUT ROWID;

-- What an image had when an export last read it, as canonical JSON compressed
-- with zstd. One an image: the latest. It goes with its image.
CREATE TABLE readings (
    dataset     INTEGER NOT NULL,
    image_id    TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    read_at     INTEGER NOT NULL,
    PRIMARY KEY (dataset, image_id),
    FOREIGN KEY (dataset, image_id) REFERENCES images (dataset, image_id) ON DELETE CASCADE
) STRICT;

-- The jobs of configurations that were run, for the next run of them.
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
