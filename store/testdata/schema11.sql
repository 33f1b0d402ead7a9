-- What version 11 made a state with.

CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    service    TEXT    NOT NULL,
    dataset_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    listed_at  INTEGER, -- when the last complete listing ended
    found_to   INTEGER NOT NULL DEFAULT 0, -- the last of its images that can be found; an unfinished listing has left those behind it
    UNIQUE (service, dataset_id)
) STRICT;
CREATE TABLE images (
    ref              INTEGER PRIMARY KEY, -- in the order in which listings first showed them
    dataset          INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id         TEXT    NOT NULL,
    path             TEXT    NOT NULL, -- "dir/a.jpg"
    stem             TEXT    NOT NULL, -- "a"
    width            INTEGER NOT NULL, -- pixels, 0 = unknown
    height           INTEGER NOT NULL,
    annotation_count INTEGER NOT NULL, -- unless a save stands
    meta             TEXT    NOT NULL DEFAULT '' -- the listing's entry as an export keeps it, JSON
) STRICT;
CREATE TABLE saves (
    image       INTEGER PRIMARY KEY REFERENCES images (ref) ON DELETE CASCADE,
    saved_hash  BLOB    NOT NULL,
    saved_count INTEGER NOT NULL,
    saved_at    INTEGER NOT NULL,
    saved_run   TEXT    NOT NULL,
    saved_sum   BLOB    NOT NULL,
    source      INTEGER, -- the source that last named the image
    stands      INTEGER NOT NULL
) STRICT;
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
    thinned     INTEGER NOT NULL DEFAULT 0,  -- its unchanged items were let go
    ref         INTEGER                      -- number of the run
) STRICT;
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
    pruned       INTEGER NOT NULL  -- no item of the source: an image that left it
) STRICT;
CREATE TABLE run_classes (
    run   TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    class TEXT    NOT NULL, -- JSON
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE batches (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run           TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL,
    body          BLOB,
    state         TEXT    NOT NULL, -- open, done, split
    first_sent_at INTEGER NOT NULL,
    ended_at      INTEGER,
    body_at       INTEGER, -- where the bytes are in that file
    body_size     INTEGER,
    body_sum      INTEGER, -- their CRC-32C
    first_item    INTEGER NOT NULL, -- its images have these items, and those between that are its own
    last_item     INTEGER NOT NULL
) STRICT;
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
CREATE TABLE requests (
    account TEXT    NOT NULL,
    second  INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (account, second)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE readings (
    image       INTEGER PRIMARY KEY REFERENCES images (ref) ON DELETE CASCADE,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    read_at     INTEGER NOT NULL
) STRICT;
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
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
CREATE INDEX images_dataset ON images (dataset);
CREATE INDEX runs_open ON runs (dataset, source) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX runs_ref ON runs (ref);
CREATE INDEX items_image ON items (run, image_ref) WHERE image_ref > 0;
CREATE INDEX findings_run ON findings (run, seq);
CREATE INDEX batches_open ON batches (run) WHERE state = 'open';
CREATE INDEX batch_images_image ON batch_images (image_ref);
CREATE VIEW items_now AS
    SELECT items.item, items.run, items.image, items.after, items.image_id, items.image_ref, items.path, items.plan,
        CASE WHEN sent.item IS NULL THEN items.outcome WHEN sent.count > 0 THEN 'saved' ELSE 'cleared' END AS outcome,
        items.hash, items.count, items.listed_count, items.bytes, items.findings,
        iif(sent.item IS NULL, items.reason, '') AS reason, items.pruned
    FROM items LEFT JOIN batch_images AS sent ON sent.item = items.item AND items.outcome = 'pending' AND sent.error = ''
        AND (SELECT state FROM batches WHERE batches.id = sent.batch) = 'done';

INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (11, 1);
