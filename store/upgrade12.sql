-- Makes of a state of version 11 one of version 12. The bytes of batches in flight lie in a file
-- beside it that is not read any more: what their images have is read instead.

ALTER TABLE items ADD COLUMN file TEXT NOT NULL DEFAULT '';
ALTER TABLE items ADD COLUMN labels INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN closeness INTEGER NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN kept INTEGER NOT NULL DEFAULT -1;
ALTER TABLE items ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE saves ADD COLUMN prints BLOB;
ALTER TABLE images ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;

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

INSERT INTO goose_db_version (version_id, is_applied) VALUES (12, 1);
