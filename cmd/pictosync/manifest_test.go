package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"
)

// looseSchema is that of manifests without what keeps their rows apart, as other programs may
// write it.
const looseSchema = `
	CREATE TABLE meta (key TEXT, value TEXT);
	CREATE TABLE class_sets (id INTEGER, classes TEXT);
	CREATE TABLE images (id INTEGER PRIMARY KEY, image TEXT NOT NULL, aliases TEXT, format TEXT NOT NULL, label_path TEXT, label TEXT, image_id TEXT, width INTEGER, height INTEGER, class_set INTEGER);
	INSERT INTO meta VALUES ('version', '1'), ('root', '.');`

// manifestOf writes a manifest made by statements into a folder that has an image real.png of
// 100 by 50 pixels and a COCO file gt.json of it.
func manifestOf(t *testing.T, statements string) (file string) {
	t.Helper()
	dir := t.TempDir()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 100, 50))); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"real.png": picture.String(),
		"real.txt": "0 0.5 0.5 0.2 0.2\n",
		"gt.json":  `{"images":[{"id":1,"file_name":"real.png","width":100,"height":50}],"categories":[{"id":1,"name":"cow"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,5,5]}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(dir, "labels.db")
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(looseSchema + statements); err != nil {
		t.Fatal(err)
	}
	return file
}

// What a manifest says twice, or otherwise than the labels and files that it lists, is not
// guessed.
func TestManifestsThatContradictThemselves(t *testing.T) {
	const (
		cars = `INSERT INTO class_sets VALUES (1, '{"names":{"0":"car"}}');`
		cows = `INSERT INTO class_sets VALUES (1, '[{"id":1,"name":"cow"}]');`
		row  = `INSERT INTO images (image, format, label, width, height, class_set) VALUES ('a.jpg', 'yolo', '0 0.5 0.5 0.2 0.2', 100, 100, 1);`
		coco = `INSERT INTO images (image, format, class_set, width, height, image_id, label) VALUES ('a.jpg', 'coco', 1, 100, 100, '0b3f9e6a-0000-4000-8000-000000000001', '[{"id":1,"category_id":1,"bbox":[1,1,5,5],"image_id":IMAGE},{"id":2,"category_id":1,"bbox":[1,1,5,5],"image_id":OTHER}]');`
	)
	of := func(image, other string) string {
		return strings.NewReplacer("IMAGE", image, "OTHER", other).Replace(coco)
	}
	// untyped makes a table anew whose columns have no types, but for the first.
	untyped := func(table, id string) string {
		columns := map[string]string{"images": "image, aliases, format, label_path, label, image_id, width, height, class_set", "class_sets": "classes"}
		return "DROP TABLE " + table + "; CREATE TABLE " + table + " (" + id + ", " + columns[table] + ");"
	}
	both := func(one, other string) string {
		return fmt.Sprintf(`INSERT INTO images (id, image, format, label, width, height, class_set) VALUES (%s, 'a.jpg', 'yolo', '0 .5 .5 .2 .2', 10, 10, 1), (%s, 'b.jpg', 'yolo', '0 .5 .5 .2 .2', 10, 10, 1);`, one, other)
	}
	for name, test := range map[string]struct {
		statements string
		status     int
		says       string // in what goes wrong, or comes out
	}{
		"a manifest":                           {cars + row, 0, `"name":"car"`},
		"a class set twice":                    {cars + `INSERT INTO class_sets VALUES (1, '{"names":{"0":"dog"}}');` + row, 3, "class set 1 stands there twice"},
		"a class set twice, and the same":      {cars + cars + row, 0, `"name":"car"`},
		"an index twice":                       {`INSERT INTO class_sets VALUES (1, '{"names":{"0":"car","0":"dog"}}');` + row, 4, `the key 0 stands twice`},
		"an index twice, with another zero":    {`INSERT INTO class_sets VALUES (1, '{"names":{"0":"car","00":"dog"}}');` + row, 4, `the key 00 stands twice`},
		"names twice":                          {`INSERT INTO class_sets VALUES (1, '{"names":{"0":"car"},"Names":{"0":"dog"}}');` + row, 4, `the key Names stands twice`},
		"two roots":                            {cars + `INSERT INTO meta VALUES ('root', 'x');` + row, 3, "two values of root in meta"},
		"two versions":                         {cars + `INSERT INTO meta VALUES ('version', '2');` + row, 3, "two values of version in meta"},
		"annotations of one image":             {cows + of("7", "7"), 0, `"name":"cow"`},
		"annotations of two images":            {cows + of("7", "8"), 4, "its annotations are of several images, 7 and 8"},
		"annotations of another name":          {cows + of(`"b.jpg"`, `"b.jpg"`), 4, "its annotations are of the image b.jpg, and it is for a.jpg"},
		"annotations of its name":              {cows + of(`"x/a.jpg"`, `"x/a.jpg"`), 0, `"name":"cow"`},
		"annotations of another id":            {cows + of(`"0b3f9e6a-0000-4000-8000-000000000002"`, "null"), 4, "its annotations are of the image_id 0b3f9e6a-0000-4000-8000-000000000002"},
		"YOLO of another size than the image":  {cars + strings.Replace(row, "a.jpg", "real.png", 1), 4, "100×100 in its label, 100×50 in its file"},
		"the same by another path":             {cars + `INSERT INTO images (image, aliases, format, label_path, width, height, class_set) VALUES ('train/real.png', '["x.png","real.png"]', 'yolo', 'real.txt', 100, 100, 1);`, 4, "100×100 in its label, 100×50 in its file"},
		"COCO of another size than the image":  {cows + `INSERT INTO images (image, format, class_set, width, height, label) VALUES ('real.png', 'coco', 1, 100, 100, '[{"id":1,"category_id":1,"bbox":[1,1,5,5]}]');`, 4, "100×100 in its label, 100×50 in its file"},
		"lines of another size than the image": {`INSERT INTO images (image, format, width, height, label) VALUES ('real.png', 'canonical', 100, 100, '[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":3,"h":4}}]');`, 4, "100×100 in its label, 100×50 in its file"},
		"another size than the COCO file":      {`INSERT INTO images (image, format, label_path, width, height) VALUES ('real.png', 'coco', 'gt.json', 100, 100);`, 4, "100×100 in its row of the manifest, and 100×50 by gt.json"},
		"an image in two spellings":            {cars + row + strings.Replace(row, "a.jpg", "./a.jpg", 1), 4, "several rows are for this image"},
		"classes beside those of a COCO file":  {cars + `INSERT INTO images (image, format, label_path, class_set) VALUES ('real.png', 'coco', 'gt.json', 1);`, 4, "it has a class_set, and gt.json has classes of its own"},
		"rows of one id":                       {`DROP TABLE images; CREATE TABLE images (id INTEGER, image TEXT, aliases TEXT, format TEXT, label_path TEXT, label TEXT, image_id TEXT, width INTEGER, height INTEGER, class_set INTEGER);` + cars + `INSERT INTO images (id, image, format, label, width, height, class_set) VALUES (1, 'a.jpg', 'yolo', '', 10, 10, 1), (1, 'b.jpg', 'yolo', '', 10, 10, 1);`, 3, "or that of another row too"},
		"ids in a column without a type":       {untyped("images", "id") + cars + both("1", "2"), 0, `"image":"b.jpg"`},
		"ids as text":                          {untyped("images", "id") + cars + both("'7'", "'8'"), 3, "is no whole number"},
		"the ids 7 and 007":                    {untyped("images", "id") + cars + both("7", "'007'"), 3, "is no whole number"},
		"the ids 7 and 007 in a text column":   {untyped("images", "id TEXT") + cars + both("7", "'007'"), 3, "is no whole number"},
		"the ids 7 and 007 as numbers":         {untyped("images", "id INTEGER") + cars + both("7", "'007'"), 3, "or that of another row too"},
		"the ids 7 and 7.0":                    {untyped("images", "id") + cars + both("7", "7.0"), 3, "is no whole number"},
		"a class set 007":                      {untyped("class_sets", "id") + `INSERT INTO class_sets VALUES ('007', '{"names":{"0":"car"}}');` + strings.Replace(row, "100, 1)", "100, 7)", 1), 3, "the id of a class set, 007, is no whole number"},
		"class sets 7 and 007":                 {untyped("class_sets", "id TEXT") + `INSERT INTO class_sets VALUES (7, '{"names":{"0":"car"}}'), ('007', '{"names":{"0":"dog"}}');` + strings.Replace(row, "100, 1)", "100, 7)", 1), 3, "the id of a class set, 7, is no whole number"},
		"a row of a class set 007":             {untyped("images", "id INTEGER PRIMARY KEY") + cars + strings.Replace(row, "100, 1)", "100, '001')", 1), 4, "class_set is no whole number"},
		"a row without an id":                  {`DROP TABLE images; CREATE TABLE images (id INTEGER, image TEXT, aliases TEXT, format TEXT, label_path TEXT, label TEXT, image_id TEXT, width INTEGER, height INTEGER, class_set INTEGER);` + cars + `INSERT INTO images (id, image, format, label, width, height, class_set) VALUES (1, 'a.jpg', 'yolo', '', 10, 10, 1), (NULL, 'b.jpg', 'yolo', '', 10, 10, 1);`, 3, "is no whole number"},
		"an empty canonical label":             {`INSERT INTO images (image, format, label) VALUES ('a.jpg', 'canonical', '');`, 4, "a.jpg: read row 1 of the manifest: its label is empty, and a label of the format canonical is a JSON list of annotations; write [] where the image has none"},
		"a blank COCO label":                   {cows + `INSERT INTO images (image, format, label, class_set) VALUES ('a.jpg', 'coco', '  ', 1);`, 4, "read row 1 of the manifest: its label is empty, and a label of the format coco is a JSON list of annotations"},
		"a canonical label that breaks off":    {`INSERT INTO images (image, format, label) VALUES ('a.jpg', 'canonical', '[{');`, 4, "read row 1: the JSON breaks off at byte 2"},
		"a canonical label and more":           {`INSERT INTO images (image, format, label) VALUES ('a.jpg', 'canonical', '[],"boxes":{}');`, 4, "read row 1: something follows"},
		"an empty list":                        {`INSERT INTO images (image, format, label) VALUES ('a.jpg', 'canonical', '[]');`, 0, `"annotations":[]`},
		"no size but the image's":              {cars + `INSERT INTO images (image, format, label_path, class_set) VALUES ('real.png', 'yolo', 'real.txt', 1);`, 0, `"width":100,"height":50`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command("convert", manifestOf(t, test.statements), "--to", "canonical", "--out", "-")
			status, out := exitOf(t, cmd)
			if status != test.status || !strings.Contains(out, test.says) {
				t.Errorf("status %d, want %d, and %q:\n%s", status, test.status, test.says, out)
			}
			if test.status != 0 && strings.Contains(out, `"annotations":[{`) {
				t.Errorf("labels came out of it:\n%s", out)
			}
		})
	}
}

// What a manifest holds or names that has no end, or is far too large, is refused before it is in
// memory, and is one image's failure where it is one row's.
func TestManifestsThatWouldFillTheMemory(t *testing.T) {
	const (
		cars    = `INSERT INTO class_sets VALUES (1, '{"names":{"0":"car"}}');`
		columns = `(id INTEGER PRIMARY KEY, image TEXT NOT NULL, aliases TEXT, format TEXT NOT NULL, label_path TEXT, LABEL, image_id TEXT, width INTEGER, height INTEGER, class_set INTEGER)`
		good    = `INSERT INTO images (image, format, label, width, height, class_set) VALUES ('z.jpg', 'yolo', '0 0.5 0.5 0.2 0.2', 100, 100, 1);`
		endless = `WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT `
		most    = 640 // MiB; a label may have 64
	)
	for name, test := range map[string]struct {
		statements string
		status     int
		says       string
	}{
		"label files of 900 MB": {cars + `INSERT INTO images (image, format, label_path, width, height, class_set) VALUES ('a.jpg', 'yolo', 'huge', 10, 10, 1), ('b.jpg', 'coco', 'huge', 10, 10, NULL), ('c.jpg', 'canonical', 'huge', 10, 10, NULL);` + good, 4, "read huge: is longer than 67108864 bytes"},
		// Worked out by its column, so that the test writes no 900 MB.
		"a label of 900 MB": {`DROP TABLE images; CREATE TABLE images ` + strings.Replace(columns, "LABEL", "short TEXT", 1) + `;` + cars +
			`INSERT INTO images (image, format, short, width, height, class_set) VALUES ('a.jpg', 'yolo', NULL, 10, 10, 1), ('z.jpg', 'yolo', '0 0.5 0.5 0.2 0.2', 100, 100, 1);
			ALTER TABLE images ADD COLUMN label TEXT GENERATED ALWAYS AS (coalesce(short, hex(zeroblob(450000000)))) VIRTUAL;`, 4, "failed: a.jpg: read row 1 of the manifest: a value in it is longer than 67108864 bytes"},
		"a label of 70 MB":      {cars + `INSERT INTO images (image, format, label, width, height, class_set) VALUES ('a.jpg', 'yolo', CAST(zeroblob(70000000) AS TEXT), 10, 10, 1);` + good, 4, "failed: a.jpg: read row 1 of the manifest: a value in it is longer than 67108864 bytes"},
		"a class set of 900 MB": {`DROP TABLE class_sets; CREATE TABLE class_sets (id INTEGER); INSERT INTO class_sets (id) VALUES (1); ALTER TABLE class_sets ADD COLUMN classes TEXT GENERATED ALWAYS AS (hex(zeroblob(450000000))) VIRTUAL;` + good, 3, "a value in it is longer than 67108864 bytes"},
		"endless images":        {`DROP TABLE images; CREATE VIEW Images AS ` + endless + `id, 'a' || id || '.jpg' AS image, NULL AS aliases, 'yolo' AS format, NULL AS label_path, '' AS label, NULL AS image_id, 10 AS width, 10 AS height, 1 AS class_set FROM n;` + cars, 3, "its images must be a table: a view may have no end"},
		"endless meta":          {`DROP TABLE meta; CREATE VIEW meta AS ` + endless + `'version' AS key, '1' AS value FROM n;` + cars, 3, "its meta must be a table"},
		"endless class sets":    {`DROP TABLE class_sets; CREATE VIEW class_sets AS ` + endless + `id, '{}' AS classes FROM n;` + good, 3, "its class_sets must be a table"},
	} {
		t.Run(name, func(t *testing.T) {
			file := manifestOf(t, test.statements)
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "huge"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(filepath.Dir(file), "huge"), 900<<20); err != nil {
				t.Fatal(err)
			}
			cmd := command("convert", file, "--to", "canonical", "--out", "-")
			status, out := exitOf(t, cmd)
			if status != test.status || !strings.Contains(out, test.says) {
				t.Errorf("status %d, want %d, and %q:\n%s", status, test.status, test.says, out)
			}
			if status == exitFailures && !strings.Contains(out, `"image":"z.jpg"`) {
				t.Errorf("a row that cannot be used kept another from being read:\n%s", out)
			}
			if used := memoryOf(cmd); used > most {
				t.Errorf("it took %d MiB", used)
			}
			t.Logf("%d MiB", memoryOf(cmd))
		})
	}
}
