package pictograph

import (
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lister serves numbered images, and pages that are short by some.
type lister struct {
	images int
	short  map[int]int // by offset: how many images such a page has

	mu      sync.Mutex
	offsets []int
	busy    int
	most    int           // requests under way at the same time
	gate    chan struct{} // nil, or closed when pages may be answered
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var offset, limit int
	fmt.Sscan(r.URL.Query().Get("offset"), &offset)
	fmt.Sscan(r.URL.Query().Get("limit"), &limit)
	l.mu.Lock()
	l.offsets = append(l.offsets, offset)
	l.busy++
	l.most = max(l.most, l.busy)
	if l.gate != nil && l.busy == 3 {
		close(l.gate)
		l.gate = nil
	}
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	n, short := l.short[offset]
	if !short {
		n = limit
	}
	end := min(offset+n, l.images)
	dataset := "id"
	if r.URL.Query().Get("dataset") == "renamed" {
		dataset = "another"
	}
	var entries []string
	for i := offset; i < end; i++ {
		entries = append(entries, fmt.Sprintf(`{"id":"%d","dataset_id":%q}`, i, dataset))
	}
	fmt.Fprintf(w, `{"data":[%s],"pagination":{"has_more":%t}}`, strings.Join(entries, ","), end < l.images)
	l.mu.Lock()
	l.busy--
	l.mu.Unlock()
}

// countInOrder counts the images of a listing, which have to come in order and to be the
// lister's.
func countInOrder(t *testing.T, pages iter.Seq2[[]Image, error]) (n int) {
	t.Helper()
	for page, err := range pages {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			if i.ID != fmt.Sprint(n) || i.DatasetID != "id" {
				t.Fatalf("image %s of dataset %s came where %d of id is next", i.ID, i.DatasetID, n)
			}
			n++
		}
	}
	return n
}

func TestPagesAhead(t *testing.T) {
	for _, test := range []struct {
		name     string
		lister   *lister
		expected int
		requests []int // offsets, sorted; nil is any
	}{
		{"as many as expected", &lister{images: 3500}, 3500, []int{0, 1000, 2000, 3000}},
		{"a full last page", &lister{images: 3000}, 3000, []int{0, 1000, 2000}},
		{"more than expected", &lister{images: 4500}, 2000, []int{0, 1000, 2000, 3000, 4000}},
		{"none expected", &lister{images: 2500}, 0, []int{0, 1000, 2000}},
		{"fewer than expected", &lister{images: 1500}, 9000, nil},
		{"none", &lister{}, 0, []int{0}},
		{"a short page in the middle", &lister{images: 4000, short: map[int]int{1000: 7}}, 4000, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := httptest.NewServer(test.lister)
			client := clientOf(t, service)
			n := countInOrder(t, client.ImagePagesAhead(t.Context(), "set", ImageFilter{}, test.expected, 3))
			if n != test.lister.images {
				t.Errorf("%d images of %d came", n, test.lister.images)
			}
			service.Close() // requests that were given up may still be under way there
			slices.Sort(test.lister.offsets)
			if test.requests != nil && !slices.Equal(test.lister.offsets, test.requests) {
				t.Errorf("asked for pages at %v, want %v", test.lister.offsets, test.requests)
			}
		})
	}
}

// As many pages as asked for are under way at once, and no more.
func TestPagesAreAskedForTogether(t *testing.T) {
	l := &lister{images: 9000, gate: make(chan struct{})}
	service := httptest.NewServer(l)
	client := clientOf(t, service)
	for _, err := range client.ImagePagesAhead(t.Context(), "set", ImageFilter{}, 9000, 3) {
		if err != nil {
			t.Fatal(err)
		}
	}
	service.Close()
	if l.most != 3 || len(l.offsets) != 9 {
		t.Errorf("%d requests, %d at once; want 9, 3 at once", len(l.offsets), l.most)
	}
}

// While a page is dealt with, as many others are under way.
func TestPagesAreAskedForMeanwhile(t *testing.T) {
	asked := make(chan struct{})
	l := &lister{images: 4000}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("offset") == "3000" {
			close(asked)
		}
		l.ServeHTTP(w, r)
	}))
	client := clientOf(t, service)
	for page, err := range client.ImagePagesAhead(t.Context(), "set", ImageFilter{}, 4000, 3) {
		if err != nil {
			t.Fatal(err)
		}
		if page[0].ID != "0" {
			continue
		}
		select {
		case <-asked:
		case <-time.After(time.Minute):
			t.Fatal("the fourth page is not asked for before the first is dealt with")
		}
	}
}
