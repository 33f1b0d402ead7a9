//go:build !linux

package store

import "os"

// syncData brings a file to the disk.
func syncData(f *os.File) error { return f.Sync() }

// syncFolder does nothing: not every system can bring a folder to the disk.
func syncFolder(string) error { return nil }
