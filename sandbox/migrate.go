package sandbox

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
)

// migrations bring a database of an earlier version to what this one needs,
// each once. A new database passes them too.
var migrations = []func(*sql.Tx, *files) error{countRequests, moveContents}

func migrate(db *sql.DB, f *files) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	var version int
	if err := tx.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version >= len(migrations) {
		return nil
	}
	for ; version < len(migrations); version++ {
		if err := migrations[version](tx, f); err != nil {
			return fmt.Errorf("bring it to this version: %w", err)
		}
	}
	if _, err := tx.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return err
	}
	return tx.Commit()
}

// countRequests begins to keep how many requests of a key count.
func countRequests(tx *sql.Tx, _ *files) error {
	_, err := tx.Exec(`INSERT OR IGNORE INTO spent (account, n) SELECT account, count(*) FROM requests GROUP BY account`)
	return err
}

// moveContents moves the bytes of images out of the database.
func moveContents(tx *sql.Tx, f *files) error {
	if _, err := tx.Exec(`
		ALTER TABLE images ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
		ALTER TABLE images ADD COLUMN previous BLOB;
		CREATE INDEX images_sha256 ON images (sha256) WHERE sha256 <> '';`); err != nil {
		return err
	}
	var old int
	if err := tx.QueryRow(`SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('contents', 'uploads')`).Scan(&old); err != nil || old == 0 {
		return err
	}
	for {
		var image, sha string
		var content []byte
		err := tx.QueryRow(`SELECT image, bytes FROM contents LIMIT 1`).Scan(&image, &content)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			sha, _, err = f.add(bytes.NewReader(content))
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE images SET sha256 = ? WHERE id = ?`, sha, image); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM contents WHERE image = ?`, image); err != nil {
			return err
		}
	}
	// Uploads that were not registered are to be begun again.
	_, err := tx.Exec(`DROP TABLE contents; DROP TABLE uploads`)
	return err
}
