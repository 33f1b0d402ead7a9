package instant

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pictosync/pictograph"
)

// The client understands the service, and what it saves is listed.
func TestTheClientUnderstandsIt(t *testing.T) {
	server := New(Options{Images: 1500, Listed: func(i int) int { return i % 3 }})
	listener := httptest.NewServer(server)
	defer listener.Close()
	client, err := pictograph.New(pictograph.Config{BaseURL: listener.URL, APIKey: "pk_live_bench"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	d, err := client.Dataset(t.Context(), "bench")
	if err != nil || d.ImageCount != 1500 {
		t.Fatalf("Dataset = %d images, %v", d.ImageCount, err)
	}
	if d, err = client.UpdateClasses(t.Context(), d.ID, []pictograph.Class{{Name: `a "car"`, Type: "bbox"}}, d.Classes); err != nil || len(d.Classes) != 1 {
		t.Fatalf("UpdateClasses = %v, %v", d.Classes, err)
	}
	box := pictograph.Annotation{ID: `"{[`, Name: `a "car"`, Geometry: pictograph.BBox{Box: pictograph.Box{W: 1, H: 1}}}
	other := box
	other.ID = "b"
	result, err := client.BulkSave(t.Context(), []pictograph.ImageSave{{ImageID: ID(1), Annotations: []pictograph.Annotation{box, other}}, {ImageID: ID(1499)}}, pictograph.SaveOptions{})
	if err != nil || len(result.Saved) != 2 || len(result.Failed) != 0 {
		t.Fatalf("BulkSave = %+v, %v", result, err)
	}
	if got, want := result.Saved[0], (pictograph.SaveResult{ImageID: ID(1), PreviousCount: 1, NewCount: 2, Status: "annotate"}); got != want {
		t.Errorf("saved %+v, want %+v", got, want)
	}
	if got := result.Saved[1]; got.PreviousCount != 2 || got.NewCount != 0 {
		t.Errorf("cleared %+v", got)
	}
	listed := counts(t.Context(), t, client, d.ID)
	if len(listed) != 1500 || listed[Name(0)] != 0 || listed[Name(1)] != 2 || listed[Name(2)] != 2 || listed[Name(1499)] != 0 {
		t.Errorf("%d images are listed, with %d, %d, %d and %d annotations", len(listed), listed[Name(0)], listed[Name(1)], listed[Name(2)], listed[Name(1499)])
	}
	if got, want := server.Stats(), (Stats{Requests: 5, Saved: 2}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	server.Reset()
	if n := counts(t.Context(), t, client, d.ID)[Name(1)]; n != 1 {
		t.Errorf("an image has %d annotations after a reset, want 1", n)
	}
}

func counts(ctx context.Context, t *testing.T, client *pictograph.Client, dataset string) map[string]int {
	t.Helper()
	listed := make(map[string]int)
	for i, err := range client.Images(ctx, dataset, pictograph.ImageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		listed[i.Path()] = i.AnnotationCount
	}
	return listed
}

// What is asked for is recorded where that is wanted, in the order of arrival.
func TestRequestsAreRecorded(t *testing.T) {
	listener := httptest.NewServer(New(Options{Images: 3}))
	defer listener.Close()
	ask := func(method, uri, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, listener.URL+uri, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const page, bulk = API + "images/?limit=2&offset=0", API + "annotations/bulk"
	save := `{"saves":[{"image_id":"` + ID(1) + `","annotations":[]}]}`
	ask("GET", page, "") // not recorded
	ask("POST", "/record", "")
	ask("GET", page, "")
	if answer := ask("POST", bulk, save); !strings.Contains(answer, ID(1)) {
		t.Errorf("the save was answered %s", answer)
	}
	var recorded []Request
	if err := json.Unmarshal([]byte(ask("GET", "/recorded", "")), &recorded); err != nil {
		t.Fatal(err)
	}
	want := []Request{{"GET", page, nil}, {"POST", bulk, []byte(save)}}
	if fmt.Sprint(recorded) != fmt.Sprint(want) {
		t.Errorf("recorded %s, want %s", recorded, want)
	}
}
