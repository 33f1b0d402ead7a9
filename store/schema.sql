-- The state of pictosync. upgrade.sql makes the same of one of the version before.
-- Times are Unix milliseconds, hashes are SHA-256.

-- Which schema this is: the highest version. Earlier versions of pictosync look here too,
-- and refuse what is newer.
CREATE TABLE goose_db_version (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (14, 1);

-- A dataset of one service. service is the base URL, or "sandbox".
CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    service    TEXT    NOT NULL,
    dataset_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    listed_at  INTEGER, -- when the last complete listing ended
    found_to   INTEGER NOT NULL DEFAULT 0, -- the last of its images that can be found; an unfinished listing has left those behind it
    answers    INTEGER NOT NULL DEFAULT 0, -- to batches, as many as there were
    UNIQUE (service, dataset_id)
) STRICT;

-- An image as the last listing that showed it anew did.
CREATE TABLE images (
    ref              INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which listings first showed them; none is used again
    dataset          INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id         TEXT    NOT NULL,
    path             TEXT    NOT NULL, -- "dir/a.jpg"
    stem             TEXT    NOT NULL, -- "a"
    width            INTEGER NOT NULL, -- pixels, 0 = unknown
    height           INTEGER NOT NULL,
    annotation_count INTEGER NOT NULL, -- unless a save stands
    meta             TEXT    NOT NULL DEFAULT '', -- the listing's entry as an export keeps it, JSON
    reviewed         INTEGER NOT NULL DEFAULT 0   -- its stage is review or complete
) STRICT;
CREATE INDEX images_dataset ON images (dataset);

-- What we last saved on an image. saved_sum guards the columns that decide whether an
-- image is done, since SQLite's pages carry no checksum. stands is 1 until a listing
-- shows another count than saved_count.
CREATE TABLE saves (
    image       INTEGER PRIMARY KEY REFERENCES images (ref) ON DELETE CASCADE,
    saved_hash  BLOB    NOT NULL,
    saved_count INTEGER NOT NULL,
    saved_at    INTEGER NOT NULL,
    saved_run   TEXT    NOT NULL,
    saved_sum   BLOB    NOT NULL,
    source      INTEGER, -- the source that last named the image
    stands      INTEGER NOT NULL,
    prints      BLOB,    -- checksums of its annotations; NULL where an earlier version saved it
    answer      INTEGER NOT NULL DEFAULT 0 -- which of the dataset's answers told of it
) STRICT;

-- Where images are found by id, path and stem. A listing shows these in no order: those
-- of new images are put here at its end, sorted.
CREATE TABLE image_ids (
    dataset  INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id TEXT    NOT NULL,
    ref      INTEGER NOT NULL,
    PRIMARY KEY (dataset, image_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE image_paths (
    dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    path    TEXT    NOT NULL,
    ref     INTEGER NOT NULL,
    PRIMARY KEY (dataset, path, ref)
) STRICT, WITHOUT ROWID;
CREATE TABLE image_stems (
    dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    stem    TEXT    NOT NULL,
    ref     INTEGER NOT NULL,
    PRIMARY KEY (dataset, stem, ref)
) STRICT, WITHOUT ROWID;

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
    fingerprint TEXT    NOT NULL DEFAULT '', -- what a verification that goes on must have in common
    starts      INTEGER NOT NULL DEFAULT 0,  -- processes that worked on the run
    outcome     TEXT    NOT NULL DEFAULT '', -- done, failures, planned, interrupted, refused, stopped; '' while open and running
    error       TEXT    NOT NULL DEFAULT '',
    requests    INTEGER NOT NULL DEFAULT 0,
    worked_ms   INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    claims      INTEGER,                     -- the source of what the run saves
    totals      TEXT    NOT NULL DEFAULT '', -- JSON: what the run notes, and once it has ended its sums
    thinned     INTEGER NOT NULL DEFAULT 0,  -- its unchanged items were let go
    ref         INTEGER,                     -- number of the run
    turn        INTEGER NOT NULL DEFAULT 0,  -- in the order in which processes began to work on runs
    left_images      INTEGER NOT NULL DEFAULT 0, -- entries of the source that are in no item,
    left_annotations INTEGER NOT NULL DEFAULT 0  -- and its annotations
) STRICT;
CREATE INDEX runs_open ON runs (dataset, source) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX runs_ref ON runs (ref);

-- The plan of a run, one row per item of the source, in the order of the walk. item is
-- the run's number times 2^32 and the item's number in the run, which no other item of
-- the run had before, also of a plan that was made anew.
CREATE TABLE items (
    item         INTEGER PRIMARY KEY,
    run          INTEGER NOT NULL, -- its number
    image        TEXT    NOT NULL, -- as the source names it
    after        TEXT    NOT NULL, -- cursor of the item before, so that the walk can begin here
    image_id     TEXT    NOT NULL,
    image_ref    INTEGER NOT NULL, -- the image's number, 0 where the item has none
    path         TEXT    NOT NULL, -- as the dataset names it
    plan         TEXT    NOT NULL, -- new, overwrite, clear, unchanged, drifted, unmatched, ambiguous, failed
    outcome      TEXT    NOT NULL, -- pending, saved, cleared, unchanged, unmatched, failed, skipped
    hash         BLOB,
    count        INTEGER NOT NULL, -- annotations to save
    listed_count INTEGER NOT NULL, -- annotations the listing showed
    bytes        INTEGER NOT NULL, -- of the encoded annotations to save
    findings     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    pruned       INTEGER NOT NULL, -- no item of the source: an image that left it
    file         TEXT    NOT NULL DEFAULT '', -- the label file
    labels       INTEGER NOT NULL DEFAULT 0,  -- annotations of the source, as they were read
    left_out     INTEGER NOT NULL DEFAULT 0,  -- of these
    closeness    INTEGER NOT NULL DEFAULT 0,  -- how closely the name fits the image's: more is closer
    kept         INTEGER NOT NULL DEFAULT -1, -- annotations of the image that stay as they are; -1 is not known
    reviewed     INTEGER NOT NULL DEFAULT 0   -- the image is in review, or complete
) STRICT;
CREATE INDEX items_image ON items (run, image_ref) WHERE image_ref > 0;

-- Classes that the run's labels use, in the order of their first use.
CREATE TABLE run_classes (
    run   TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    class TEXT    NOT NULL, -- JSON
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- What was found, by kind and, where findings of a kind are told apart, by cause.
CREATE TABLE finding_groups (
    run      TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind     TEXT    NOT NULL,
    cause    TEXT    NOT NULL,
    count    INTEGER NOT NULL, -- of what the findings stand for
    findings INTEGER NOT NULL,
    unplaced INTEGER NOT NULL, -- of these, those that belong to no image
    examples INTEGER NOT NULL, -- of these, those that are kept
    PRIMARY KEY (run, kind, cause)
) STRICT, WITHOUT ROWID;

-- The findings that are kept as examples. seq is the item's; 0 is the source as a whole.
CREATE TABLE findings (
    run    TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    file   TEXT    NOT NULL,
    image  TEXT    NOT NULL,
    at     TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    action TEXT    NOT NULL,
    cause  TEXT    NOT NULL DEFAULT '',
    count  INTEGER NOT NULL DEFAULT 1, -- of what it stands for
    path   TEXT    NOT NULL DEFAULT '' -- of the image, as the dataset names it
) STRICT;
CREATE INDEX findings_run ON findings (run, seq);

-- A bulk save, committed before it is sent. Its bytes are kept until the answer is
-- committed, so that a resend after a crash sends the same under the same key.
CREATE TABLE batches (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run           TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL,
    body          BLOB,    -- NULL once it is answered
    state         TEXT    NOT NULL, -- open, done, split
    first_sent_at INTEGER NOT NULL,
    ended_at      INTEGER,
    first_item    INTEGER NOT NULL, -- its images have these items, and those between that are its own
    last_item     INTEGER NOT NULL
) STRICT;
CREATE INDEX batches_open ON batches (run) WHERE state = 'open';

-- What was sent of an item, in its last batch, and what the service answered: until then,
-- and where it saved nothing, previous_count and new_count are NULL.
-- first_hand is 0 where the answer may be that of a second execution (the
-- service forgets keys after 24 hours): then previous_count is what the
-- listing showed when the image was planned.
CREATE TABLE batch_images (
    item           INTEGER PRIMARY KEY, -- stays when the plan is made anew
    batch          INTEGER NOT NULL,
    image_ref      INTEGER NOT NULL, -- the image's number then; below 0 where it was gone when numbers came to be kept
    image_id       TEXT    NOT NULL,
    hash           BLOB    NOT NULL,
    count          INTEGER NOT NULL,
    listed_count   INTEGER NOT NULL,
    previous_count INTEGER,
    new_count      INTEGER,
    first_hand     INTEGER NOT NULL DEFAULT 1,
    error          TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX batch_images_image ON batch_images (image_ref);

-- Requests sent, per account (a fingerprint of the key), second and process (a number that
-- each takes at random), for the quota of any 60 minutes.
CREATE TABLE requests (
    account TEXT    NOT NULL,
    second  INTEGER NOT NULL,
    process INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (account, second, process)
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

-- What an image had when it was last read, as canonical JSON compressed
-- with zstd. One an image: the latest. It goes with its image.
CREATE TABLE readings (
    image       INTEGER PRIMARY KEY REFERENCES images (ref) ON DELETE CASCADE,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    read_at     INTEGER NOT NULL,           -- the image is no older than this
    differs     INTEGER NOT NULL DEFAULT 0  -- it is not what was last saved from here
) STRICT;

-- An export of a whole dataset that the service was asked for, put down before it is:
-- who goes on with it goes on with the same one. It goes when its file does.
CREATE TABLE exports (
    name     TEXT    PRIMARY KEY, -- as the service knows it
    dataset  INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    run      TEXT    NOT NULL,    -- that asked for it
    holder   TEXT    NOT NULL,    -- which kind of command may go on with it, of which one at a time is at work
    images   INTEGER NOT NULL,    -- with the files of the images
    stage    TEXT    NOT NULL,    -- asked, kept: its file is beside the state; failed: it is of no use
    remote   INTEGER NOT NULL,    -- the service may have it still
    asked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the service said last of the quota of an account.
CREATE TABLE quotas (
    account  TEXT    PRIMARY KEY,
    requests INTEGER NOT NULL,
    per_ms   INTEGER NOT NULL,
    said_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
