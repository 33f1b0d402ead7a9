-- A reading goes with its image.

-- +goose Up

ALTER TABLE readings RENAME TO readings_before;
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
INSERT INTO readings SELECT * FROM readings_before
    WHERE EXISTS (SELECT 1 FROM images WHERE images.dataset = readings_before.dataset AND images.image_id = readings_before.image_id);
DROP TABLE readings_before;
