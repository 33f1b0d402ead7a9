//go:build !linux

package worker

import "os"

// steady writes a file as the system does.
type steady struct{ *os.File }
