-- Findings are kept in groups with a few examples each, whatever their number. Of an item
-- the plan keeps its label file, how many labels it has and how many of them were left
-- out, how closely its name fits its image, and how many of the image's annotations stay.

-- +goose Up

ALTER TABLE items ADD COLUMN file TEXT NOT NULL DEFAULT '';
ALTER TABLE items ADD COLUMN labels INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN closeness INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN kept INTEGER NOT NULL DEFAULT -1;
ALTER TABLE items ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE saves ADD COLUMN prints BLOB;
ALTER TABLE images ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;
DROP VIEW items_now;
CREATE VIEW items_now AS
    SELECT items.item, items.run, items.image, items.after, items.image_id, items.image_ref, items.path, items.plan,
        CASE WHEN sent.item IS NULL THEN items.outcome WHEN sent.count > 0 THEN 'saved' ELSE 'cleared' END AS outcome,
        items.hash, items.count, items.listed_count, items.bytes, items.findings,
        iif(sent.item IS NULL, items.reason, '') AS reason, items.pruned, items.file, items.labels, items.left_out, items.kept, items.reviewed
    FROM items LEFT JOIN batch_images AS sent ON sent.item = items.item AND items.outcome = 'pending' AND sent.error = ''
        AND (SELECT state FROM batches WHERE batches.id = sent.batch) = 'done';

ALTER TABLE runs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET turn = ref;
ALTER TABLE runs ADD COLUMN left_images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN left_annotations INTEGER NOT NULL DEFAULT 0;

CREATE TABLE finding_groups (
    run      TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind     TEXT    NOT NULL,
    cause    TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    unplaced INTEGER NOT NULL,
    examples INTEGER NOT NULL,
    PRIMARY KEY (run, kind, cause)
) STRICT, WITHOUT ROWID;
INSERT INTO finding_groups SELECT run, kind, '', count(*), count(*), count(*) FILTER (WHERE image = ''), count(*) FROM findings GROUP BY run, kind;
ALTER TABLE findings ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
ALTER TABLE findings ADD COLUMN path TEXT NOT NULL DEFAULT '';

ALTER TABLE batches ADD COLUMN pieces TEXT;
CREATE TABLE pieces (
    piece INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
