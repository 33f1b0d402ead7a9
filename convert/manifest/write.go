package manifest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
	"pictosync/source"
)

// Write writes a manifest of a source's items to out, and returns how many images it names.
// Items that cannot be taken are left out and reported.
func Write(ctx context.Context, src convert.Source, out string, report func(convert.Finding)) (images int, err error) {
	err = atomicfile.Replace(out, atomicfile.Shared, func(temp string) error {
		images, err = write(ctx, src, out, temp, report)
		return err
	})
	return images, err
}

// write writes the manifest that will be at out to temp.
func write(ctx context.Context, src convert.Source, out, temp string, report func(convert.Finding)) (images int, err error) {
	fail := func(err error) (int, error) {
		return 0, fmt.Errorf("write %s: %w", out, source.ReasonOf(err))
	}
	abs, err := filepath.Abs(temp)
	if err != nil {
		return fail(err)
	}
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: "_journal_mode=MEMORY"}
	db, err := sql.Open("sqlite3", address.String())
	if err != nil {
		return fail(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback()
	w, err := newWriter(ctx, tx, src, out)
	if err != nil {
		return fail(err)
	}
	for item, err := range src.Items(ctx, "") {
		if err != nil {
			return 0, err
		}
		labelPath, err := "", item.Err
		if err == nil {
			labelPath, err = w.labelPath(item)
		}
		if err != nil {
			report(convert.Finding{Kind: convert.KindSkippedImage, File: item.File, Image: item.Image, Reason: err.Error(), Action: "it is not in the manifest"})
			continue
		}
		if err := w.write(ctx, src, item, labelPath); err != nil {
			return fail(err)
		}
		images++
	}
	if err := errors.Join(tx.Commit(), db.Close()); err != nil {
		return fail(err)
	}
	return images, nil
}

// writer writes the rows of one source.
type writer struct {
	source   convert.Listed
	insert   *sql.Stmt
	root     string // absolute
	classSet any    // id of the labels' class set, or nil
}

func newWriter(ctx context.Context, tx *sql.Tx, src convert.Source, out string) (*writer, error) {
	listed, ok := source.Unrenamed(src).(convert.Listed)
	if !ok {
		return nil, fmt.Errorf("a %s source cannot be listed", src.Describe().Format)
	}
	list, err := listed.List()
	if err != nil {
		return nil, err
	}
	w := &writer{source: listed}
	root, err := filepath.Abs(list.Root)
	if err != nil {
		return nil, err
	}
	w.root = root
	// Side by side they can be moved together.
	stated := root
	if folder, err := filepath.Abs(filepath.Dir(out)); err == nil {
		if rel, err := filepath.Rel(folder, root); err == nil && filepath.IsLocal(rel) {
			stated = rel
		}
	}
	if _, err := tx.ExecContext(ctx, Schema); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('version', ?), ('root', ?)`, schemaVersion, filepath.ToSlash(stated)); err != nil {
		return nil, err
	}
	if list.Classes != nil {
		if _, err := tx.ExecContext(ctx, `INSERT INTO class_sets (id, classes) VALUES (1, ?)`, string(list.Classes)); err != nil {
			return nil, err
		}
		w.classSet = 1
	}
	w.insert, err = tx.PrepareContext(ctx, `
		INSERT INTO images (image, aliases, format, label_path, image_id, width, height, class_set)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	return w, err
}

// labelPath is where an item's label lies below the root.
func (w *writer) labelPath(item convert.Item) (string, error) {
	file := w.source.LabelFile(source.UnrenamedItem(item))
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(w.root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("its label %s lies outside the data set's folder", convert.Display(file))
	}
	return filepath.ToSlash(rel), nil
}

func (w *writer) write(ctx context.Context, src convert.Source, item convert.Item, labelPath string) error {
	var aliases, id, width, height any
	if len(item.Aliases) > 0 {
		list, err := json.Marshal(slices.Compact(item.Aliases))
		if err != nil {
			return err
		}
		aliases = string(list)
	}
	if item.ImageID != "" {
		id = item.ImageID
	}
	if size := src.Size(item); size.Known() {
		width, height = size.Width, size.Height
	}
	_, err := w.insert.ExecContext(ctx, item.Image, aliases, src.Describe().Format, labelPath, id, width, height, w.classSet)
	return err
}
