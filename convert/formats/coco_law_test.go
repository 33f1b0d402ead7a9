package formats

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pictosync/convert"
)

// lawful holds what a COCO source says of a file against what stands in it: every entry
// and every annotation is an item's or left out, and what an item reads is taken or left
// out with a finding.
func lawful(t *testing.T, file string, o convert.OpenOptions) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var whole struct{ Images, Annotations []json.RawMessage }
	if err := json.Unmarshal(data, &whole); err != nil {
		t.Fatal(err)
	}
	src, told := opened(t, file, o)
	left := src.(convert.Counter).LeftOut()
	images, annotations := left.Images, left.Annotations
	for _, item := range items(t, src, "") {
		images++
		annotations += item.Annotations
		if item.Err != nil {
			continue
		}
		r, err := src.Load(t.Context(), item, convert.Size{})
		if err != nil {
			continue
		}
		if r.Read != item.Annotations {
			t.Errorf("%s: %d annotations read, %d counted", item.Image, r.Read, item.Annotations)
		}
		if r.LeftOut < 0 || r.LeftOut > r.Read || r.Unwanted > r.LeftOut {
			t.Errorf("%s: %d read, %d left out, %d of them as asked", item.Image, r.Read, r.LeftOut, r.Unwanted)
		}
		if r.LeftOut > 0 && len(r.Findings) == 0 || len(r.Annotations) == 0 && r.Read > r.LeftOut {
			t.Errorf("%s: %d left out of %d, %d findings", item.Image, r.LeftOut, r.Read, len(r.Findings))
		}
	}
	if images != len(whole.Images) || annotations != len(whole.Annotations) {
		t.Errorf("%d images and %d annotations are accounted for, of %d and %d; left out %+v, told %d", images, annotations,
			len(whole.Images), len(whole.Annotations), left, len(*told))
	}
	if left.Annotations > 0 && len(*told) == 0 && len(o.Include)+len(o.Exclude) == 0 {
		t.Errorf("%d annotations are left out without a word", left.Annotations)
	}
}

func TestCOCOAccountsForAll(t *testing.T) {
	if _, err := os.Stat(shared); err != nil {
		t.Log("skipped the real labels: the folder ../shared/data is not there")
	} else {
		for _, name := range []string{"instances_sample.json", "person_keypoints_sample.json"} {
			file := filepath.Join(shared, "coco", name)
			lawful(t, file, convert.OpenOptions{})
			lawful(t, file, convert.OpenOptions{Exclude: []string{"*1.jpg"}})
			lawful(t, file, convert.OpenOptions{Include: []string{"0000000[01]*"}, Convert: convert.Options{AllGeometries: true, KeepMembers: convert.NewMembers("all")}})
		}
	}
	// Files with every kind of fault, drawn.
	entry := []string{
		`{"id": #id, "file_name": "#id.jpg", "width": 640, "height": 480}`, `{"id": "#id", "file_name": "#id.jpg"}`, `{"id": #id.0, "file_name": "/data/x/#id.jpg", "width": "a"}`,
		`{"id": 1, "file_name": "#id.jpg"}`, `{"file_name": "#id.jpg"}`, `#id`, `null`, `"x"`, `{"id": #id, "file_name": #id}`, `{"id": #id}`, `{"id": [1], "file_name": "a"}`, `{"id": #id, "file_name": "same.jpg"}`,
	}
	annotation := []string{
		`{"id": #id, "image_id": #image, "category_id": 1, "bbox": [1, 2, 30, 40]}`, `{"id": #id, "image_id": "#image", "category_id": 1, "segmentation": [[1, 2, 30, 2, 30, 40]], "extra": {"a": 1}}`,
		`{"id": #id, "item_id": #image, "category_id": 1, "bbox": [1, 2, 30, 40]}`, `{"id": #id, "image_id": [#image], "bbox": [1]}`, `7`, `null`, `{"id": #id, "image_id": 9#image, "category_id": 1}`,
		`{"id": #id, "image_id": #image, "category_id": 9, "bbox": [1, 2, 30, 40]}`, `{"id": #id, "image_id": #image, "category_id": 1, "bbox": [1, 2, 30]}`, `{"image_id": #image, "category_id": 1, "segmentation": [1, 2, 30, 2, 30, 40, 2, 40]}`,
		`{"id": 5, "image_id": #image, "category_id": 1, "keypoints": [1, 2, 2, 30, 40, 1], "bbox": [1, 2, 30, 40], "segmentation": [[1, 2, 30, 2, 30, 40]]}`,
		`{"id": #id, "image_id": #image, "category_id": 1, "bbox": [900, 2, 30, 40]}`, `{"id": #id, "image_id": #image, "category_id": 1, "segmentation": [[4810, 40, 440, 40, 440, 41]]}`,
	}
	rounds := uint64(300)
	if testing.Short() {
		rounds = 60
	}
	folder := t.TempDir()
	for seed := range rounds {
		r := rand.New(rand.NewPCG(seed, 3))
		list := func(kinds []string, n int) (out string) {
			plain := r.IntN(3) // mostly as they should be
			for i := range n {
				if i > 0 {
					out += ", "
				}
				kind := kinds[0]
				if plain > 0 && r.IntN(3) == 0 || plain == 2 {
					kind = kinds[r.IntN(len(kinds))]
				}
				out += strings.NewReplacer("#id", strconv.Itoa(i+1), "#image", strconv.Itoa(r.IntN(9))).Replace(kind)
			}
			return out
		}
		file := filepath.Join(folder, "a.json")
		images, annotations := `"images": [`+list(entry, r.IntN(9))+`]`, `"annotations": [`+list(annotation, r.IntN(20))+`]`
		if r.IntN(2) == 0 {
			images, annotations = annotations, images
		}
		text := `{"categories": [{"id": 1, "name": "car", "keypoints": ["a", "b"]}], ` + images + `, ` + annotations + `}`
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		lawful(t, file, convert.OpenOptions{})
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, text)
		}
		lawful(t, file, convert.OpenOptions{Exclude: []string{"[1-4].jpg"}})
	}
}
