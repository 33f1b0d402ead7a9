-- A dataset of millions of images. What a listing shows unchanged is compared in
-- the order of the listing and not written; a plan's images are found by number,
-- since ids are random and an index of them is written all over; and of a run that
-- has ended its totals are kept, so that the images that nothing was done about
-- can be let go.

-- +goose Up

DROP INDEX images_path;
DROP INDEX images_stem;
ALTER TABLE readings RENAME TO readings_before;
ALTER TABLE images RENAME TO images_before;

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
INSERT INTO images (dataset, image_id, path, stem, width, height, annotation_count, saved_hash, saved_count, saved_at, saved_run, saved_sum, meta, source)
    SELECT dataset, image_id, path, stem, width, height, annotation_count, saved_hash, saved_count, saved_at, saved_run, saved_sum, meta, source
    FROM images_before ORDER BY dataset, path, image_id;
CREATE INDEX images_path ON images (dataset, path);
CREATE INDEX images_stem ON images (dataset, stem);

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
INSERT INTO readings SELECT * FROM readings_before;
DROP TABLE readings_before;
DROP TABLE images_before;

-- The image's number, 0 where the item has none. Plans of before have no numbers:
-- a half made one is made anew.
ALTER TABLE items ADD COLUMN image_ref INTEGER NOT NULL DEFAULT 0;
DROP INDEX items_image;
CREATE INDEX items_image ON items (run, image_ref) WHERE image_ref > 0;
UPDATE runs SET cursor = '' WHERE ended_at IS NULL;

ALTER TABLE batch_images ADD COLUMN item INTEGER NOT NULL DEFAULT 0; -- number of the item in its run's plan, 0 = not on record

ALTER TABLE runs ADD COLUMN totals TEXT NOT NULL DEFAULT ''; -- JSON, of a run that has ended
ALTER TABLE runs ADD COLUMN thinned INTEGER NOT NULL DEFAULT 0; -- its unchanged items were let go
ALTER TABLE datasets DROP COLUMN listing;
