package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A damaged state is set aside and a new one begun; what is no state is left
// where it is.
func TestDamagedStateIsSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"zeroed head":  func(b []byte) []byte { copy(b, make([]byte, 100)); return b },
		"zeroed pages": func(b []byte) []byte { copy(b[8192:], make([]byte, len(b)-8192)); return b },
		"cut off":      func(b []byte) []byte { return b[:len(b)/2] },
		"rubbish":      func(b []byte) []byte { copy(b[4096:], bytes.Repeat([]byte("rubbish "), 2000)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.PutDataset(t.Context(), "x", "id", "name"); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data = damage(data)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, aside, err := OpenSound(t.Context(), path, time.Now())
			if err != nil || aside == "" {
				t.Fatalf("aside %q, %v", aside, err)
			}
			defer s.Close()
			if kept, err := os.ReadFile(aside); err != nil || !bytes.Equal(kept, data) {
				t.Errorf("the damaged file was not kept as it was: %v", err)
			}
			if _, err := s.PutDataset(t.Context(), "x", "id", "name"); err != nil {
				t.Errorf("the new state: %v", err)
			}
		})
	}
}

func TestSoundStateStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for range 2 {
		s, aside, err := OpenSound(t.Context(), path, time.Now())
		if err != nil || aside != "" {
			t.Fatalf("aside %q, %v", aside, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(t.TempDir(), "labels.csv")
	if err := os.WriteFile(other, []byte("image,width,height\nmy,only,copy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, aside, err := OpenSound(t.Context(), other, time.Now()); err == nil || aside != "" {
		t.Errorf("took %s for a state: aside %q, %v", other, aside, err)
	}
	if data, err := os.ReadFile(other); err != nil || !bytes.HasPrefix(data, []byte("image,")) {
		t.Error("the file that is no state was touched")
	}
}
