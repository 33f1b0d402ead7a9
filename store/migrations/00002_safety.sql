-- What a plan weighs and what was there before a save.

-- +goose Up

ALTER TABLE items ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0; -- of the encoded annotations to save

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
