package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pictosync/internal/progress"
	"pictosync/sandbox"
)

// keeping backs images up before they are overwritten.
func keeping(o *Options) { o.Backup = BackupAuto }

// bulkOf are the images of a bulk save.
func bulkOf(t *testing.T, r *http.Request) (ids []string) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var bulk struct {
		Saves []struct {
			ImageID string `json:"image_id"`
		} `json:"saves"`
	}
	if err := json.Unmarshal(body, &bulk); err != nil {
		t.Error(err)
	}
	for _, s := range bulk.Saves {
		ids = append(ids, s.ImageID)
	}
	return ids
}

// An answer that does not account for every image is asked for again, and what stays
// unknown is read: what was saved is known, and an undo brings back the originals.
func TestAnswersThatLackImages(t *testing.T) {
	for name, answer := range map[string]func(body []byte) []byte{
		"without some": func(body []byte) []byte {
			var a map[string][]json.RawMessage
			json.Unmarshal(body, &a)
			a["saved"] = a["saved"][:2]
			out, _ := json.Marshal(a)
			return out
		},
		"empty": func([]byte) []byte { return []byte(`{"saved":[],"failed":[]}`) },
		"null":  func([]byte) []byte { return []byte(`{"saved":null,"failed":null}`) },
		"in capitals": func(body []byte) []byte {
			return bytes.ReplaceAll(bytes.ToUpper(body), []byte("SAVED"), []byte("saved"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sandbox.Options{})
			b.images("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
			b.done(b.labels("a.jpg car", "b.jpg car", "c.jpg car", "d.jpg car", "e.jpg car"))
			before := b.content("c.jpg")
			fault := answer
			b.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/bulk") {
					return false
				}
				recorder := httptest.NewRecorder()
				b.server.ServeHTTP(recorder, r)
				w.Header().Set("Content-Type", "application/json")
				body := recorder.Body.Bytes()
				if name == "in capitals" {
					var a struct {
						Saved []map[string]any `json:"saved"`
					}
					json.Unmarshal(body, &a)
					for _, s := range a.Saved {
						s["image_id"] = strings.ToUpper(s["image_id"].(string))
					}
					body, _ = json.Marshal(a)
				} else {
					body = fault(body)
				}
				w.Write(body)
				return true
			}
			s := b.done(b.labels("a.jpg car truck", "b.jpg car truck", "c.jpg car truck", "d.jpg car truck", "e.jpg car truck"), keeping)
			if s.Images.Saved != 5 || s.Images.Failed != 0 {
				t.Errorf("%+v", s)
			}
			b.before = nil
			if undone := b.undo(s.Run); undone.Images.Saved != 5 {
				t.Errorf("undone: %+v", undone)
			}
			if now := b.content("c.jpg"); now != before {
				t.Errorf("after the undo c.jpg has %s, and had %s", now, before)
			}
		})
	}
}

// An image that the service fails on for ever is failed alone; the others are saved, and
// the next run is not held up.
func TestPoisonImage(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusConflict, http.StatusNotFound, http.StatusTeapot} {
		b := newBench(t, sandbox.Options{})
		lines := b.cars(20, "%02d.jpg")
		var mu sync.Mutex
		poison := ""
		b.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/bulk") {
				return false
			}
			ids := bulkOf(t, r)
			mu.Lock()
			defer mu.Unlock()
			if poison == "" {
				poison = ids[7]
			}
			if !slices.Contains(ids, poison) {
				return false
			}
			w.WriteHeader(status)
			io.WriteString(w, `{"error":{"code":"boom","message":"the image cannot be saved"}}`)
			return true
		}
		small := func(o *Options) { o.BatchImages, o.MaxOutage = 10, time.Nanosecond }
		s := b.done(b.labels(lines...), small)
		if s.Images.Saved != 19 || s.Images.Failed != 1 || s.Outcome != "failures" {
			t.Errorf("%d: %+v", status, s)
		}
		if records := strings.Join(b.records(s.Run), "\n"); !strings.Contains(records, "the image cannot be saved") {
			t.Errorf("%d: the service's words are not among\n%s", status, records)
		}
		again := b.done(b.labels(append(lines, "19.jpg truck")[:19]...), small)
		if again.Run == s.Run {
			t.Errorf("%d: the run goes on for ever", status)
		}
	}
}

// A listing that is short forgets no image, and stops a run before anything is written,
// an export and its pruning too.
func TestShortListing(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(30, "%02d.jpg")
	b.done(b.labels(lines...))
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/images/") {
			return false
		}
		recorder := httptest.NewRecorder()
		b.server.ServeHTTP(recorder, r)
		var page struct {
			Data       []json.RawMessage `json:"data"`
			Pagination map[string]any    `json:"pagination"`
		}
		if err := json.Unmarshal(recorder.Body.Bytes(), &page); err != nil {
			t.Error(err)
		}
		page.Data = page.Data[:20]
		page.Pagination["has_more"] = false
		json.NewEncoder(w).Encode(page)
		return true
	}
	_, err := b.sync(b.labels("00.jpg car car", "29.jpg car car"))
	if !errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), "lists 20 images, and says that the dataset has 30") {
		t.Errorf("got %v", err)
	}
	b.before = nil
	if s := b.done(b.labels(lines...)); s.Images.Unchanged != 30 {
		t.Errorf("after it: %+v", s)
	}
}

// A listing that never ends is stopped soon after the images that there are.
func TestEndlessListing(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.cars(3, "%02d.jpg")
	var pages atomic.Int64 // asked for side by side, some of them still when the run has ended
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/images/") {
			return false
		}
		page := int(pages.Add(1))
		var data []map[string]any
		for n := range 1000 {
			data = append(data, map[string]any{"id": strings.Repeat("0", page) + string(rune('a'+n%26)), "filename": "x.jpg", "directory_path": "/"})
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data, "pagination": map[string]any{"has_more": true}})
		return true
	}
	_, err := b.sync(b.labels("00.jpg car"))
	if err == nil || !strings.Contains(err.Error(), "the listing does not end") || pages.Load() > 30 {
		t.Errorf("after %d pages: %v", pages.Load(), err)
	}
}

// Labels that are cut down between plan and save are held against the same limit.
func TestGuardWhileSaving(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.cars(20, "%02d.jpg")
	folder := t.TempDir()
	write := func(lines int) {
		for n := range 20 {
			label := strings.Repeat("0 0.5 0.5 0.1 0.1\n", lines)
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%02d.txt", n)), []byte(label), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "classes.txt"), []byte("car\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(5)
	b.done(folder)
	limit, err := ParseLimit("10")
	if err != nil {
		t.Fatal(err)
	}
	write(6)
	changed := sync.OnceFunc(func() { write(1) })
	s, err := b.sync(folder, func(o *Options) {
		o.MaxRemoved, o.BatchImages, o.Concurrency = limit, 2, 1
		o.Progress = func(p progress.Progress) {
			if p.Phase == "saving" { // the plan is made
				changed()
			}
		}
	})
	lost := 0
	for _, save := range b.saves() {
		if strings.HasSuffix(save, " 5→1") {
			lost += 4
		}
	}
	if err == nil || lost > 10 {
		t.Errorf("%d annotations were removed under a limit of 10: %+v, %v", lost, s, err)
	}
}

// An image that the service cannot say of what it has fails alone, also in a backup.
func TestUnreadableImage(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.cars(4, "%d.jpg")
	b.done(b.labels("0.jpg car", "1.jpg car", "2.jpg car", "3.jpg car"))
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/annotations/") || !strings.HasSuffix(r.URL.Path, "1.jpg") {
			return false
		}
		http.Error(w, "it is broken", http.StatusInternalServerError)
		return true
	}
	s, err := b.sync(b.labels("0.jpg car car", "1.jpg car car", "2.jpg car car", "3.jpg car car"), backUp)
	if err != nil || s.Images.Saved != 3 || s.Images.Failed != 1 {
		t.Errorf("%+v, %v: %q", s, err, b.records(s.Run))
	}
}
