package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema12 is what version 12 made a state with.
//
//go:embed testdata/schema12.sql
var schema12 string

// olderState is an empty state of version 12, and where it is.
func olderState(t *testing.T) (file string, db *sql.DB) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite3", dsn(file, "rwc"))
	check(t, err)
	_, err = db.Exec(schema12)
	check(t, err)
	return file, db
}

// columnsOf are the tables and indexes of a state, and the columns of each.
func columnsOf(t *testing.T, path string) (list []string) {
	s, err := Open(t.Context(), path)
	check(t, err)
	defer s.Close()
	rows, err := s.reader.Query(`SELECT schema.type || ' ' || schema.name || ' ' || iif(schema.type = 'index', coalesce(sql, ''), '') || iif(sql LIKE '%AUTOINCREMENT%', ' autoincrement', '') || iif(sql LIKE '%STRICT%', ' strict', ''),
			coalesce(column.name || ' ' || column.type || ' ' || column."notnull" || ' ' || coalesce(dflt_value, '') || ' ' || pk, '')
		FROM sqlite_schema AS schema LEFT JOIN pragma_table_xinfo(schema.name) AS column ON schema.type = 'table' UNION ALL SELECT 'version', max(version_id) FROM goose_db_version`)
	check(t, err)
	defer rows.Close()
	blanks := regexp.MustCompile(`\s+`)
	for rows.Next() {
		var thing, column string
		check(t, rows.Scan(&thing, &column))
		list = append(list, blanks.ReplaceAllString(thing+": "+column, " "))
	}
	check(t, rows.Err())
	slices.Sort(list)
	return list
}

func TestAnUpgradeMakesWhatANewStateIs(t *testing.T) {
	older, db := olderState(t)
	check(t, db.Close())
	made, upgraded := columnsOf(t, filepath.Join(t.TempDir(), "new.db")), columnsOf(t, older)
	if !slices.Equal(made, upgraded) {
		t.Errorf("a new state has\n%s\n\nan upgrade makes\n%s", strings.Join(made, "\n"), strings.Join(upgraded, "\n"))
	}
	if len(made) < 100 {
		t.Errorf("a state has %d columns and indexes only", len(made))
	}
}

// schema11 is what version 11 made a state with.
//
//go:embed testdata/schema11.sql
var schema11 string

// So does an upgrade of version 11, which keeps what was saved: an older state is no reason to
// send it again.
func TestAStateOfVersion11IsUpgraded(t *testing.T) {
	older := filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite3", dsn(older, "rwc"))
	check(t, err)
	_, err = db.Exec(schema11)
	check(t, err)
	saved := Hash{1, 2, 3}
	_, err = db.Exec(`INSERT INTO datasets (id, service, dataset_id, name) VALUES (1, 'https://x', 'd', 'shapes');
		INSERT INTO images (ref, dataset, image_id, path, stem, width, height, annotation_count) VALUES (7, 1, 'i', 'a.jpg', 'a', 10, 8, 3);
		INSERT INTO image_ids (dataset, image_id, ref) VALUES (1, 'i', 7)`)
	check(t, err)
	_, err = db.Exec(`INSERT INTO saves (image, saved_hash, saved_count, saved_at, saved_run, saved_sum, source, stands) VALUES (7, ?, 3, 1, 'r', x'00', NULL, 1)`, saved[:])
	check(t, err)
	check(t, db.Close())
	if made, upgraded := columnsOf(t, filepath.Join(t.TempDir(), "new.db")), columnsOf(t, older); !slices.Equal(made, upgraded) {
		t.Errorf("a new state has\n%s\n\nan upgrade makes\n%s", strings.Join(made, "\n"), strings.Join(upgraded, "\n"))
	}
	s, err := Open(t.Context(), older)
	check(t, err)
	defer s.Close()
	var hash []byte
	check(t, s.reader.QueryRow(`SELECT saved_hash FROM saves WHERE image = (SELECT ref FROM image_ids WHERE image_id = 'i')`).Scan(&hash))
	if string(hash) != string(saved[:]) {
		t.Errorf("%x was saved, and is kept as %x", saved, hash)
	}
}

// So does an upgrade of version 13.
func TestAStateOfVersion13IsUpgraded(t *testing.T) {
	older, db := olderState(t)
	_, err := db.Exec(upgrade13SQL)
	check(t, err)
	check(t, db.Close())
	if !Outdated(t.Context(), older) {
		t.Error("it is not said to be older")
	}
	if made, upgraded := columnsOf(t, filepath.Join(t.TempDir(), "new.db")), columnsOf(t, older); !slices.Equal(made, upgraded) {
		t.Errorf("a new state has\n%s\n\nan upgrade makes\n%s", strings.Join(made, "\n"), strings.Join(upgraded, "\n"))
	}
}

// A state of version 12 keeps its images and what was saved on them and read of them, what
// its runs did, and what is in flight.
func TestAnOlderStateIsUpgraded(t *testing.T) {
	ctx := context.Background()
	file, db := olderState(t)
	hash, other := hashOf("a"), hashOf("b")
	blob := func(b []byte) string { return fmt.Sprintf("x'%x'", b) }
	const body = "the bytes"
	piece := append([]byte(body), make([]byte, 100)...)
	sum := func(s string) string { return fmt.Sprint(crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))) }
	backupHash, backup := pack([]byte("[]"))
	_, err := db.Exec(strings.NewReplacer("HASH", blob(hash[:]), "OTHER", blob(other[:]), "SUM", blob(savedSum("id-a", Saved{Hash: hash, Count: 2, Run: "r-1"})), "PIECE", blob(piece), "CRC", sum(body), "WRONG", sum("other"), "BACKED", blob(backupHash), "UP", blob(backup)).Replace(`
		INSERT INTO datasets (id, service, dataset_id, name, found_to) VALUES (3, 'sandbox', 'd-0', 'other', 4), (7, 'sandbox', 'd-1', 'shapes', 6);
		INSERT INTO images (ref, dataset, image_id, path, stem, width, height, annotation_count) VALUES
			(2, 7, 'id-b', 'b.jpg', 'b', 1, 1, 3), (4, 3, 'id-a', 'a.jpg', 'a', 1, 1, 0), (5, 7, 'id-a', 'a.jpg', 'a', 1, 1, 9), (6, 7, 'id-c', 'c.jpg', 'c', 1, 1, 0);
		INSERT INTO image_ids (dataset, image_id, ref) SELECT dataset, image_id, ref FROM images;
		INSERT INTO image_paths (dataset, path, ref) SELECT dataset, path, ref FROM images;
		INSERT INTO image_stems (dataset, stem, ref) SELECT dataset, stem, ref FROM images;
		INSERT INTO sources (id, name) VALUES (5, '/labels');
		INSERT INTO saves (image, saved_hash, saved_count, saved_at, saved_run, saved_sum, source, stands) VALUES (5, HASH, 2, 1, 'r-1', SUM, 5, 1);
		INSERT INTO readings (image, count, hash, annotations, read_at) VALUES (2, 3, x'00', x'01', 9);
		INSERT INTO runs (id, dataset, kind, source, phase, cursor, started_at, ended_at, outcome, claims, ref, turn) VALUES
			('r-1', 7, 'sync', '/labels', 'ended', '0:7', 1, 5, 'failures', 5, 1, 1), ('r-3', 7, 'sync', '/labels', 'saving', '', 20, NULL, '', 5, 2, 2);
		INSERT INTO items (item, run, image, after, image_id, image_ref, path, plan, outcome, hash, count, listed_count, bytes, findings, reason, pruned) VALUES
			((1 << 32) + 1, 1, 'a.jpg', '', 'id-a', 5, 'a.jpg', 'overwrite', 'pending', HASH, 2, 1, 9, 0, '', 0),
			((1 << 32) + 2, 1, 'gone.jpg', '', 'id-gone', 30, 'gone.jpg', 'clear', 'pending', HASH, 0, 4, 9, 0, '', 0),
			((1 << 32) + 3, 1, 'b.jpg', '', 'id-b', 2, 'b.jpg', 'new', 'failed', HASH, 1, 0, 9, 0, 'the service did not save it', 0),
			((2 << 32) + 1, 2, 'c.jpg', '', 'id-c', 6, 'c.jpg', 'new', 'pending', OTHER, 1, 0, 9, 0, '', 0),
			((2 << 32) + 2, 2, 'b.jpg', '', 'id-b', 2, 'b.jpg', 'new', 'pending', OTHER, 1, 0, 9, 0, '', 0);
		INSERT INTO batches (id, run, key, state, first_sent_at, first_item, last_item, body_size, body_sum, pieces) VALUES
			(2, 'r-1', 'r-1-2', 'done', 1, (1 << 32) + 1, (1 << 32) + 3, 3, 1, '[1]'),
			(8, 'r-3', 'r-3-8', 'open', 21, (2 << 32) + 1, (2 << 32) + 1, 9, CRC, '[1]'),
			(9, 'r-3', 'r-3-9', 'open', 21, (2 << 32) + 2, (2 << 32) + 2, 9, WRONG, '[1]');
		INSERT INTO pieces (piece, bytes) VALUES (1, PIECE);
		INSERT INTO batch_images (item, batch, image_ref, image_id, hash, count, listed_count, previous_count, new_count, error) VALUES
			((1 << 32) + 1, 2, 5, 'id-a', HASH, 2, 1, 1, 2, ''), ((1 << 32) + 2, 2, 30, 'id-gone', HASH, 0, 4, 4, 0, ''), ((1 << 32) + 3, 2, 2, 'id-b', HASH, 1, 0, NULL, NULL, 'the service did not save it'),
			((2 << 32) + 1, 8, 6, 'id-c', OTHER, 1, 0, 0, 1, ''), ((2 << 32) + 2, 9, 2, 'id-b', OTHER, 1, 0, 0, 1, '');
		INSERT INTO backups (run, image_id, path, count, hash, annotations, taken_at) VALUES ('r-1', 'id-a', 'a.jpg', 1, BACKED, UP, 1);
		INSERT INTO requests (account, second, n) VALUES ('account', ` + fmt.Sprint(noon.Unix()) + `, 5)`))
	check(t, err)
	check(t, db.Close())

	if !Outdated(ctx, file) {
		t.Error("an older state is not said to be one")
	}
	s, err := Open(ctx, file)
	check(t, err)
	defer s.Close()
	d := Dataset{Ref: 7, Service: "sandbox", ID: "d-1", Name: "shapes"}
	var records []string
	for r, err := range s.Records(ctx, "r-1", "") {
		check(t, err)
		line := fmt.Sprint(r.Image, " ", r.Outcome, " ", r.Reason)
		if r.New != nil {
			line += fmt.Sprint(*r.Previous, "→", *r.New, " ", *r.FirstHand)
		}
		records = append(records, line)
	}
	if want := []string{"a.jpg saved 1→2 true", "gone.jpg cleared 4→0 true", "b.jpg failed the service did not save it"}; !slices.Equal(records, want) {
		t.Errorf("records\n%q, want\n%q", records, want)
	}
	totals, err := s.Totals(ctx, "r-1")
	if check(t, err); totals.Previous != 1+4 || totals.New != 2 || totals.Outcome[ItemSaved] != 1 || totals.Outcome[ItemCleared] != 1 || totals.Outcome[ItemFailed] != 1 {
		t.Errorf("totals %+v", totals)
	}
	if b, err := s.Backup(ctx, "r-1", "id-a"); err != nil || string(b.Annotations) != "[]" {
		t.Errorf("the backup: %+v, %v", b, err)
	}
	var touched []Touched
	for i, err := range s.Touched(ctx, "r-1", "") {
		check(t, err)
		touched = append(touched, i)
	}
	if want := []Touched{{ImageRef: 5, ImageID: "id-a", Path: "a.jpg", Previous: 1, Saved: true}, {ImageID: "id-gone", Path: "gone.jpg", Previous: 4}}; !slices.Equal(touched, want) {
		t.Errorf("the run touched %+v, want %+v", touched, want)
	}
	images, err := s.ImagesByID(ctx, d, []string{"id-a", "id-b", "id-gone"})
	check(t, err)
	if len(images) != 2 || images[0].Ref != 5 || images[0].Saved == nil || images[0].AnnotationCount != 2 || images[0].Source != 5 || images[1].Saved != nil {
		t.Fatalf("images %+v", images)
	}
	if content, err := s.ContentOf(ctx, d, "id-b"); err != nil || content.Count != 3 {
		t.Errorf("what was read of an image: %+v, %v", content, err)
	}
	if sent, err := s.OtherRequests(ctx, "account", noon); err != nil || len(sent) != 1 || sent[0].N != 5 {
		t.Errorf("requests %+v, %v", sent, err)
	}

	open, err := s.OpenBatches(ctx, d)
	check(t, err)
	if len(open) != 2 || open[0].Key != "r-3-8" || string(open[0].Body) != body || len(open[0].Images) != 1 || open[0].Images[0].ImageRef != 6 || open[1].Body != nil {
		t.Fatalf("in flight: %+v", open)
	}
	check(t, s.EndBatch(ctx, d, open[0], []Answer{{Previous: 0, New: 1}}, nil, noon))
	if images, err = s.ImagesByPath(ctx, d, []string{"c.jpg"}); err != nil || images[0].Saved == nil || images[0].Saved.Run != "r-3" || images[0].AnnotationCount != 1 {
		t.Errorf("after the answer: %+v, %v", images, err)
	}
	b, err := s.commit(ctx, "r-3", "account", nil, []BatchImage{{Item: 1, ImageID: "id-c", Hash: other, Count: 1}}, noon)
	if check(t, err); !strings.HasPrefix(b.Key, "r-3-10-") {
		t.Errorf("the next batch is %s; a number that was used is not used again", b.Key)
	}
	listed(t, s, "b.jpg", "new.jpg") // a plan knew an image 30
	if images, err = s.ImagesByPath(ctx, d, []string{"new.jpg"}); err != nil || images[0].Ref != 32 {
		t.Errorf("the next image: %+v, %v", images, err)
	}
	var readings int
	check(t, s.reader.QueryRow(`SELECT count(*) FROM readings`).Scan(&readings))
	if readings != 0 {
		t.Error("what was read of an image that is gone is still there")
	}
	if check(t, s.Close()); Outdated(ctx, file) {
		t.Error("an upgraded state is said to be older")
	}
}

// An upgrade that fails leaves the state as it was.
func TestAnUpgradeIsWholeOrNot(t *testing.T) {
	file, db := olderState(t)
	_, err := db.Exec(`CREATE TABLE images_new (other INTEGER)`) // in its way
	check(t, err)
	check(t, db.Close())
	if _, err := Open(t.Context(), file); err == nil {
		t.Fatal("it was upgraded")
	}
	db, err = sql.Open("sqlite3", dsn(file, "rwc"))
	check(t, err)
	defer db.Close()
	var cursors, images int
	check(t, db.QueryRow(`SELECT (SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'cursor'), (SELECT count(*) FROM pragma_table_info('images'))`).Scan(&cursors, &images))
	if cursors != 1 || images != 10 {
		t.Errorf("the state is half upgraded: %d, %d", cursors, images)
	}
}

// A state that is too old says so, and stays as it is.
func TestAStateThatIsTooOld(t *testing.T) {
	file, db := olderState(t)
	_, err := db.Exec(`DELETE FROM goose_db_version WHERE version_id > 10`)
	check(t, err)
	check(t, db.Close())
	if _, err := Open(t.Context(), file); !errors.Is(err, ErrOlder) {
		t.Errorf("opened: %v", err)
	}
	if _, err := Examine(t.Context(), file); !errors.Is(err, ErrOlder) {
		t.Errorf("examined: %v", err)
	}
}

// The number of an image that is gone is never another's: plans and what was sent name it.
func TestImageNumbersAreNotUsedAgain(t *testing.T) {
	s := open(t)
	d := listed(t, s, "a.jpg", "b.jpg")
	listed(t, s, "a.jpg")
	listed(t, s, "a.jpg", "c.jpg")
	images, err := s.ImagesByPath(t.Context(), d, []string{"c.jpg"})
	if check(t, err); len(images) != 1 || images[0].Ref != 3 {
		t.Errorf("%+v, want the number 3", images)
	}
}
