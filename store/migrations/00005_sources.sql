-- Which source an image's annotations come from, so that an image that left it
-- can be told from one that never was in it.

-- +goose Up

CREATE TABLE sources (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE -- the path, with what --include and --exclude leave of it
) STRICT;
ALTER TABLE runs ADD COLUMN claims INTEGER;   -- the source of what the run saves
ALTER TABLE images ADD COLUMN source INTEGER; -- the source that last named the image, of what was saved from here
INSERT INTO sources (name) SELECT DISTINCT source FROM runs WHERE kind = 'sync';
UPDATE runs SET claims = (SELECT id FROM sources WHERE name = runs.source) WHERE kind = 'sync';
UPDATE images SET source = (SELECT claims FROM runs WHERE id = images.saved_run) WHERE saved_run IS NOT NULL;
ALTER TABLE items ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0; -- no item of the source: an image that left it
