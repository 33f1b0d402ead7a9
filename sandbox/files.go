package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// files are the bytes that lie in a folder beside the database: those of images
// in images/, each content once under its sha-256, and finished exports in
// exports/.
type files struct {
	// root is the folder, made at the first call.
	root func() (string, error)
	// lasting says that the folder stays when the sandbox is closed.
	lasting bool
	made    string // the folder of one that does not stay
	// unused is held for writing while contents that nothing refers to are removed,
	// and for reading while one is added and not yet referred to.
	unused sync.RWMutex
}

// newFiles are those beside the database at path.
func newFiles(path string) *files {
	f := &files{lasting: path != ":memory:"}
	f.root = sync.OnceValues(func() (string, error) {
		if !f.lasting {
			var err error
			f.made, err = os.MkdirTemp("", "pictosync-sandbox-")
			return f.made, err
		}
		return path + ".files", os.MkdirAll(path+".files", 0o700)
	})
	return f
}

// close removes the folder of a sandbox that keeps nothing.
func (f *files) close() error {
	if f.made == "" {
		return nil
	}
	return os.RemoveAll(f.made)
}

// path is where the content of an image lies.
func (f *files) path(sha string) (string, error) {
	root, err := f.root()
	return filepath.Join(root, "images", sha[:2], sha), err
}

// add stores what r has, as a whole or not at all.
func (f *files) add(r io.Reader) (sha string, size int64, err error) {
	temp, sha, size, err := f.receive(r)
	if err != nil {
		return "", 0, err
	}
	return sha, size, f.adopt(temp, sha)
}

// receive writes what r has to a file that is to be adopted or removed.
func (f *files) receive(r io.Reader) (temp, sha string, size int64, err error) {
	root, err := f.root()
	if err != nil {
		return "", "", 0, err
	}
	if err := os.MkdirAll(filepath.Join(root, "images"), 0o700); err != nil {
		return "", "", 0, err
	}
	out, err := os.CreateTemp(filepath.Join(root, "images"), "partial-*")
	if err != nil {
		return "", "", 0, err
	}
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(out, hash), r)
	if err := errors.Join(err, out.Close()); err != nil {
		return "", "", 0, errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), hex.EncodeToString(hash.Sum(nil)), size, nil
}

// adopt gives a received file its place.
func (f *files) adopt(temp, sha string) error {
	target, err := f.path(sha)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(target), 0o700)
	}
	if err == nil {
		err = os.Rename(temp, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// open opens the content of an image.
func (f *files) open(sha string) (*os.File, error) {
	path, err := f.path(sha)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// exports is the folder of exports.
func (f *files) exports() (string, error) {
	root, err := f.root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "exports")
	return dir, os.MkdirAll(dir, 0o700)
}

// removeExport removes the file of an export, and what is left of one that was
// being made.
func (f *files) removeExport(id string) error {
	dir, err := f.exports()
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, id+"*"))
	for _, path := range found {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// removeUnused removes contents that no image and no upload refers to.
func (s *Server) removeUnused(contents []string) {
	s.files.unused.Lock()
	defer s.files.unused.Unlock()
	for _, sha := range contents {
		var used bool
		err := s.db.QueryRow(`SELECT EXISTS (SELECT 1 FROM images WHERE sha256 = ?1) OR EXISTS (SELECT 1 FROM upload_urls WHERE sha256 = ?1)`, sha).Scan(&used)
		if err == nil && !used {
			var path string
			if path, err = s.files.path(sha); err == nil {
				err = os.Remove(path)
			}
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.options.Log.Warn().Err(fmt.Errorf("remove the content %s: %w", sha, err)).Msg("a file stays that nothing refers to")
		}
	}
}
