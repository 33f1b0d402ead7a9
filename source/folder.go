package source

import (
	"errors"
	"path/filepath"
	"sync"
)

// folder is a folder on disk of which files are read, by several goroutines.
// While a walk is in it, it may be open: files are then opened by their names in
// it, and the system need not follow the whole path for each.
type folder struct {
	path string

	mu     sync.RWMutex
	handle folderHandle
	opened bool
}

// worthOpening is how many entries a folder has at least for which opening it is
// less work than following their paths.
const worthOpening = 16

// enter opens the folder where that is worth while and possible; leave closes it.
func (f *folder) enter(entries int) {
	if entries < worthOpening {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened {
		return
	}
	if handle, err := openFolderHandle(f.path); err == nil {
		f.handle, f.opened = handle, true
	}
}

func (f *folder) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened {
		f.handle.Close()
		f.opened = false
	}
}

// fileOnDisk is a file in a folder, or one whose name is its path.
type fileOnDisk struct {
	folder *folder // may be nil
	name   string  // "" where there is no file
	// listed says that the folder's listing calls it a regular file.
	listed bool
}

func (f fileOnDisk) path() string {
	if f.folder == nil || f.name == "" {
		return f.name
	}
	return filepath.Join(f.folder.path, f.name)
}

// open is openHandle.
func (f fileOnDisk) open() (handle, error) { return f.openAs(folderHandle.open) }

// openImage is open where it is enough that a listing called the file a regular
// one: of an image no more than the header is read.
func (f fileOnDisk) openImage() (handle, error) {
	if f.listed {
		return f.openAs(folderHandle.openListed)
	}
	return f.open()
}

func (f fileOnDisk) openAs(open func(folderHandle, string) (handle, error)) (handle, error) {
	if f.folder != nil {
		if h, err := f.folder.file(f.name, open); err == nil {
			return h, nil
		}
	}
	return openHandle(f.path()) // which says what is wrong
}

var errNotOpen = errors.New("is not open")

func (f *folder) file(name string, open func(folderHandle, string) (handle, error)) (handle, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.opened {
		return handle{}, errNotOpen
	}
	return open(f.handle, name)
}
