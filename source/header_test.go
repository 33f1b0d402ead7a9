//go:build unix

package source

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// inParts gives no more than size bytes at a time.
type inParts struct {
	*bytes.Reader
	size int
}

func (p inParts) readPart(dst []byte, offset int64) (int, error) {
	n, err := p.ReadAt(dst[:min(len(dst), p.size)], offset)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// A headerReader reads what a reader of the whole file reads.
func TestHeaderReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz!"), 600)[:rapid.IntRange(0, 20_000).Draw(t, "size")]
		h := &headerReader{window: make([]byte, 0, 4<<10)}
		h.reset(inParts{bytes.NewReader(content), rapid.SampledFrom([]int{1, 33, 700, 100_000}).Draw(t, "part")})
		want := bytes.NewReader(content)
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			switch n := rapid.IntRange(0, 6000).Draw(t, "n"); rapid.IntRange(0, 3).Draw(t, "call") {
			case 0:
				got, expected := make([]byte, n), make([]byte, n)
				gotN, gotErr := io.ReadFull(h, got)
				wantN, wantErr := io.ReadFull(want, expected)
				if gotN != wantN || gotErr != wantErr || !bytes.Equal(got, expected) {
					t.Fatalf("%d read, %v; want %d, %v", gotN, gotErr, wantN, wantErr)
				}
			case 1:
				n = min(n, 4<<10)
				at := len(content) - want.Len()
				got, err := h.Peek(n)
				if rest := content[at:]; !bytes.HasPrefix(rest, got) || len(got) < n && (len(got) != len(rest) || !errors.Is(err, io.EOF)) || len(got) == n && err != nil {
					t.Fatalf("peek %d at %d of %d: %d bytes, %v", n, at, len(content), len(got), err)
				}
			case 2:
				got, gotErr := h.Seek(int64(n), io.SeekStart)
				expected, wantErr := want.Seek(int64(n), io.SeekStart)
				if got != expected || gotErr != wantErr {
					t.Fatalf("seek %d: %d, %v", n, got, gotErr)
				}
			case 3:
				got, gotErr := h.Seek(int64(n)-3000, io.SeekCurrent)
				expected, wantErr := want.Seek(int64(n)-3000, io.SeekCurrent)
				if got != expected || (gotErr == nil) != (wantErr == nil) {
					t.Fatalf("seek %d on: %d, %v; want %d, %v", n-3000, got, gotErr, expected, wantErr)
				}
			}
		}
	})
}

func TestReadSmall(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 511, 512, 513, 5000} {
		path := filepath.Join(dir, "a")
		content := bytes.Repeat([]byte{'x'}, size)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readInto(make([]byte, 3, 600), fileOnDisk{name: path}, 5000); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes, %v", len(got), size, err)
		}
		if _, err := readSmall(path, 512); (err == nil) != (size <= 512) {
			t.Errorf("%d bytes where 512 are taken: %v", size, err)
		}
	}
	if got, err := readSmall("/proc/self/status", 1<<20); err == nil && len(got) == 0 {
		t.Error("a file that does not tell its size was taken for empty")
	}
	grown := filepath.Join(dir, "grown")
	if err := os.WriteFile(grown, []byte("be"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := openHandle(grown)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := os.WriteFile(grown, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(h, 0, 512)); err != nil || string(got) != "before" {
		t.Errorf("%q of a file that has grown since it was opened, %v", got, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{pipe, dir} {
		if _, err := readSmall(path, 512); err != errNotRegular {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := readSmall(filepath.Join(dir, "none"), 512); !isMissing(err) {
		t.Error(err)
	}
}
