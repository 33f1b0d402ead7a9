-- What exports read.

-- +goose Up

ALTER TABLE images ADD COLUMN meta TEXT NOT NULL DEFAULT ''; -- the listing's entry as an export keeps it, JSON

-- What an image had when an export last read it, as canonical JSON compressed
-- with zstd. One an image: the latest.
CREATE TABLE readings (
    dataset     INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id    TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- of the canonical JSON
    annotations BLOB    NOT NULL,
    read_at     INTEGER NOT NULL,
    PRIMARY KEY (dataset, image_id)
) STRICT;
