-- Makes of a state of version 12 one of version 13. It runs in one transaction, without
-- foreign keys: a table that is made anew is dropped and takes nothing with it. The bytes of
-- batches in flight are put together before.

ALTER TABLE runs DROP COLUMN cursor;
ALTER TABLE datasets ADD COLUMN answers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE saves ADD COLUMN answer INTEGER NOT NULL DEFAULT 0;

-- An item says itself what became of it, and a batch that was not answered has no counts.
DROP VIEW items_now;
UPDATE items SET outcome = iif(sent.count > 0, 'saved', 'cleared'), reason = ''
    FROM batch_images AS sent JOIN batches ON batches.id = sent.batch
    WHERE sent.item = items.item AND items.outcome = 'pending' AND sent.error = '' AND batches.state = 'done';
UPDATE batch_images SET previous_count = NULL, new_count = NULL WHERE (SELECT state FROM batches WHERE id = batch_images.batch) <> 'done';

ALTER TABLE batches DROP COLUMN body_at;
ALTER TABLE batches DROP COLUMN body_size;
ALTER TABLE batches DROP COLUMN body_sum;
ALTER TABLE batches DROP COLUMN pieces;
DROP TABLE pieces;

-- Numbers of images are not used again, also not those that only a plan remembers.
CREATE TABLE images_new (
    ref              INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset          INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
    image_id         TEXT    NOT NULL,
    path             TEXT    NOT NULL,
    stem             TEXT    NOT NULL,
    width            INTEGER NOT NULL,
    height           INTEGER NOT NULL,
    annotation_count INTEGER NOT NULL,
    meta             TEXT    NOT NULL DEFAULT '',
    reviewed         INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO images_new SELECT ref, dataset, image_id, path, stem, width, height, annotation_count, meta, reviewed FROM images ORDER BY ref;
DROP TABLE images;
ALTER TABLE images_new RENAME TO images;
CREATE INDEX images_dataset ON images (dataset);
INSERT INTO sqlite_sequence (name, seq) SELECT 'images', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'images');
UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max(image_ref), 0) FROM items), (SELECT coalesce(max(image_ref), 0) FROM batch_images)) WHERE name = 'images';

CREATE TABLE requests_new (
    account TEXT    NOT NULL,
    second  INTEGER NOT NULL,
    process INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (account, second, process)
) STRICT, WITHOUT ROWID;
INSERT INTO requests_new SELECT account, second, 0, n FROM requests;
DROP TABLE requests;
ALTER TABLE requests_new RENAME TO requests;

INSERT INTO goose_db_version (version_id, is_applied) VALUES (13, 1);
