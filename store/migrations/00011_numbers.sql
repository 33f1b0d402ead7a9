-- What is many is kept by number, and written once. A listing shows ids and names in no
-- order, and an index of them is written all over: images are found in tables that are
-- filled in order, when a listing ends. What was saved on an image stands beside it; and
-- what became of an item is said by its batch.

-- +goose Up

ALTER TABLE runs ADD COLUMN ref INTEGER;
UPDATE runs SET ref = (SELECT count(*) FROM runs AS before WHERE (before.started_at, before.id) <= (runs.started_at, runs.id));
CREATE UNIQUE INDEX runs_ref ON runs (ref);

DROP INDEX images_path;
DROP INDEX images_stem;
ALTER TABLE images RENAME TO images_before;
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
INSERT INTO images SELECT ref, dataset, image_id, path, stem, width, height, annotation_count, meta FROM images_before ORDER BY ref;
CREATE INDEX images_dataset ON images (dataset);

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
INSERT INTO saves SELECT ref, saved_hash, coalesce(saved_count, 0), coalesce(saved_at, 0), coalesce(saved_run, ''), coalesce(saved_sum, x''), source, 0
    FROM images_before WHERE saved_hash IS NOT NULL ORDER BY ref;

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
INSERT INTO image_ids SELECT dataset, image_id, ref FROM images_before ORDER BY 1, 2;
INSERT INTO image_paths SELECT dataset, path, ref FROM images_before ORDER BY 1, 2, 3;
INSERT INTO image_stems SELECT dataset, stem, ref FROM images_before ORDER BY 1, 2, 3;
ALTER TABLE datasets ADD COLUMN found_to INTEGER NOT NULL DEFAULT 0;
UPDATE datasets SET found_to = coalesce((SELECT max(ref) FROM images WHERE dataset = datasets.id), 0);

ALTER TABLE readings RENAME TO readings_before;
CREATE TABLE readings (
    image       INTEGER PRIMARY KEY REFERENCES images (ref) ON DELETE CASCADE,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    read_at     INTEGER NOT NULL
) STRICT;
INSERT INTO readings SELECT ref, count, hash, annotations, read_at FROM image_ids JOIN readings_before USING (dataset, image_id) ORDER BY ref;
DROP TABLE readings_before;
DROP TABLE images_before;

-- Images that are gone have no number any more: for what was sent of them one below 0.
CREATE TABLE gone (n INTEGER PRIMARY KEY, dataset INTEGER NOT NULL, image_id TEXT NOT NULL, UNIQUE (dataset, image_id)) STRICT;
INSERT INTO gone (dataset, image_id) SELECT DISTINCT dataset, image_id FROM batch_images JOIN batches ON batches.id = batch JOIN runs ON runs.id = batches.run
    WHERE NOT EXISTS (SELECT 1 FROM image_ids AS there WHERE there.dataset = runs.dataset AND there.image_id = batch_images.image_id);

DROP INDEX items_image;
ALTER TABLE items RENAME TO items_before;
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
INSERT INTO items SELECT (runs.ref << 32) + seq, runs.ref, image, after, image_id,
        CASE WHEN items_before.outcome IN ('saved', 'cleared') AND image_id <> '' THEN
            coalesce((SELECT image_ids.ref FROM image_ids WHERE image_ids.dataset = runs.dataset AND image_ids.image_id = items_before.image_id),
                (SELECT -n FROM gone WHERE gone.dataset = runs.dataset AND gone.image_id = items_before.image_id), image_ref)
            ELSE image_ref END,
        path, plan, items_before.outcome, hash, count, listed_count, bytes, findings, reason, pruned
    FROM items_before JOIN runs ON runs.id = run ORDER BY 1;
DROP TABLE items_before;
CREATE INDEX items_image ON items (run, image_ref) WHERE image_ref > 0;

-- What was sent is numbered behind the plan, which may not be the one that it was sent for.
ALTER TABLE batch_images RENAME TO batch_images_before;
DROP INDEX batch_images_image;
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
INSERT INTO batch_images SELECT (runs.ref << 32) + coalesce((SELECT max(item) FROM items WHERE item BETWEEN runs.ref << 32 AND (runs.ref + 1 << 32) - 1), runs.ref << 32) - (runs.ref << 32)
            + row_number() OVER (PARTITION BY runs.ref ORDER BY batch, position),
        batch, coalesce((SELECT image_ids.ref FROM image_ids WHERE image_ids.dataset = runs.dataset AND image_ids.image_id = sent.image_id),
            (SELECT -n FROM gone WHERE gone.dataset = runs.dataset AND gone.image_id = sent.image_id)),
        sent.image_id, hash, count, listed_count, previous_count, new_count, first_hand, sent.error
    FROM batch_images_before AS sent JOIN batches ON batches.id = batch JOIN runs ON runs.id = batches.run ORDER BY 1;
DROP TABLE batch_images_before;
CREATE INDEX batch_images_image ON batch_images (image_ref);
DROP TABLE gone;

DROP INDEX batches_open;
ALTER TABLE batches RENAME TO batches_before;
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
INSERT INTO batches SELECT id, run, key, body, state, first_sent_at, ended_at, body_at, body_size, body_sum,
        coalesce(first_item, 0), coalesce(last_item, 0)
    FROM batches_before LEFT JOIN (SELECT batch, min(item) AS first_item, max(item) AS last_item FROM batch_images GROUP BY batch) ON batch = id ORDER BY id;
-- A number that was used once is not used again.
DELETE FROM sqlite_sequence WHERE name = 'batches';
UPDATE sqlite_sequence SET name = 'batches' WHERE name = 'batches_before';
DROP TABLE batches_before;
CREATE INDEX batches_open ON batches (run) WHERE state = 'open';

CREATE VIEW items_now AS
    SELECT items.item, items.run, items.image, items.after, items.image_id, items.image_ref, items.path, items.plan,
        CASE WHEN sent.item IS NULL THEN items.outcome WHEN sent.count > 0 THEN 'saved' ELSE 'cleared' END AS outcome,
        items.hash, items.count, items.listed_count, items.bytes, items.findings,
        iif(sent.item IS NULL, items.reason, '') AS reason, items.pruned
    FROM items LEFT JOIN batch_images AS sent ON sent.item = items.item AND items.outcome = 'pending' AND sent.error = ''
        AND (SELECT state FROM batches WHERE batches.id = sent.batch) = 'done';

-- An undo went on behind an id.
UPDATE runs SET cursor = '' WHERE ended_at IS NULL AND kind = 'undo';
