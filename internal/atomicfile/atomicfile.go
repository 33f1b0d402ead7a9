// Package atomicfile writes files whole: what stands under a name is what stood there
// before, or all that was written, also over a power cut. It is the one way of writing a
// file here.
//
// A name that is a pipe, a device or the like cannot be replaced, and is written itself; so
// is what a symbolic link leads to, and the link stays.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Who may read what is written.
const (
	// Private is for the user alone: states and backups.
	Private fs.FileMode = 0o600
	// Shared is for whom the user's umask lets read it: what was asked for by name.
	Shared fs.FileMode = 0o666
)

// File is a file that appears under its name when it is closed. Abort leaves nothing
// behind; after Close it does nothing.
type File struct {
	*bufio.Writer
	path string   // as it was named
	real string   // what is replaced; "" where it is written itself
	file *os.File // nil when it is closed
	keep bool     // who made the file closes it
}

const bufferSize = 256 << 10

// Create begins a file; the path "-" is standard output.
func Create(path string, mode fs.FileMode) (*File, error) {
	f, err := create(path, mode)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no folder %s; make it first", filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, reasonOf(err))
	}
	f.Writer = bufio.NewWriterSize(f.file, bufferSize)
	return f, nil
}

// Check is why a file could not be written, before there is anything to write. What is no
// plain file is opened when it is written: a pipe has its reader then.
func Check(path string) error {
	info, err := os.Stat(path)
	if path == "-" || err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil
	}
	f, err := Create(path, Shared)
	if err == nil {
		f.Abort()
	}
	return err
}

func create(path string, mode fs.FileMode) (*File, error) {
	info, err := os.Stat(path)
	switch {
	case path == "-" || err == nil && isStdout(info):
		return &File{path: path, file: os.Stdout, keep: true}, nil
	case err == nil && info.IsDir():
		return nil, syscall.EISDIR
	case err == nil && !info.Mode().IsRegular():
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &File{path: path, file: file}, err
	}
	real, err := follow(path)
	if err != nil {
		return nil, err
	}
	temp, err := createBeside(real, mode)
	return &File{path: path, real: real, file: temp}, err
}

// isStdout reports whether a file is the one that standard output goes to, as /dev/stdout
// is: replaced, what others write there would be lost.
func isStdout(info fs.FileInfo) bool {
	stdout, err := os.Stdout.Stat()
	return err == nil && os.SameFile(stdout, info)
}

// follow is where a path leads by symbolic links, also where nothing is there yet.
func follow(path string) (string, error) {
	for range 40 { // as many as the system follows
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", syscall.ELOOP
}

// createBeside creates a file for which the umask counts, as os.CreateTemp's do not.
func createBeside(path string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:10]), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}

// Close completes the file: it is on the disk under its name when Close returns.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.complete()
	f.Abort() // nothing where it is complete
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, reasonOf(err))
	}
	return nil
}

// reasonOf is an error without the name of the file that stands in for the one that is written.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

func (f *File) complete() error {
	if err := f.Flush(); err != nil || f.keep {
		return err
	}
	file := f.file
	if f.real == "" {
		f.file = nil
		return file.Close()
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), f.real); err != nil {
		return err
	}
	f.file = nil
	return SyncFolder(filepath.Dir(f.real))
}

// Abort takes back what was written, as far as that can be.
func (f *File) Abort() {
	if f.file == nil || f.keep {
		return
	}
	f.file.Close()
	if f.real != "" {
		os.Remove(f.file.Name())
	}
	f.file = nil
}

// Write writes a file of which all is at hand.
func Write(path string, data []byte, mode fs.FileMode) error {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Writer.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

// Replace has write write the file named temp, which is there and empty, and puts it at path: for
// what others write by its name, as SQLite does.
func Replace(path string, mode fs.FileMode, write func(temp string) error) error {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	defer f.Abort()
	if f.real == "" {
		return fmt.Errorf("write %s: it is no file that can be replaced", path)
	}
	if err := write(f.file.Name()); err != nil {
		return err
	}
	return f.Close()
}

// MakeFolderBeside makes an empty folder in which one is made ready that will be renamed to
// path.
func MakeFolderBeside(path string, mode fs.FileMode) (string, error) {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:10])
	return temp, os.Mkdir(temp, mode)
}

// SyncFile brings a file that is complete to the disk.
func SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // some systems bring no file to the disk that is open for reading
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SyncFolder brings the names of a folder's files to the disk, where the system can.
func SyncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncNames(f)
}
