package coco

import (
	"fmt"
	"strings"
	"testing"

	"pictosync/internal/scan"
)

// What harms one member of an image entry harms no other, and what encoding/json would
// take without a word is found.
func TestReadImageEntry(t *testing.T) {
	for raw, want := range map[string]string{
		`{"license": 1, "file_name": "000000000009.jpg", "height": 480, "width": 640, "id": 9}`: `9 000000000009.jpg 640×480`,
		`{"ID":9,"File_Name":"a\u0041","WIDTH":7,"height":NaN}`:                                 `9 aA 7×0`,
		`{"id":"x","file_name":5,"width":"7","height":1e999}`:                                   `"x"  0×0`,
		`{"id":9,"id":9}`:                       `9  0×0, id twice`,
		`{"id":9,"Id":10}`:                      `it has the key "id" twice`,
		`null`:                                  `it is null`,
		`[1]`:                                   `it is no JSON object but [1]`,
		`{"id":9,`:                              `unexpected end of JSON input`,
		`{"id":9,"x":tru}`:                      `invalid character '}' in literal true`,
		`{"id":9,"file_name":"` + "\xff" + `"}`: `its file_name is no valid UTF-8`,
		`{"id":9,"annotations":[{}]}`:           `it has annotations of its own`,
		`{"id":9,"annotations":[]}`:             `9  0×0`,
	} {
		e, repeated, err := readImageEntry([]byte(raw))
		name, _ := textOf(e.fileName)
		width, _, _ := sideOf(e.width)
		height, _, _ := sideOf(e.height)
		got := string(e.id) + " " + name + " " + fmt.Sprintf("%v×%v", width, height)
		if repeated != "" {
			got += ", " + repeated + " twice"
		}
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s is %s, not %s", raw, got, want)
		}
	}
}

// samePlainEntry holds the plain way through an annotation against the scanner's.
func samePlainEntry(t interface{ Fatalf(string, ...any) }, raw []byte) (plain bool) {
	image, named, length := plainAnnotation(raw)
	if length == 0 {
		return false
	}
	var ids []string
	said := ""
	end := int64(0)
	err := scan.Bytes(raw, func(s *scan.Scanner) {
		s.Token()
		for name := range s.Members() {
			if string(name) == "segments_info" {
				t.Fatalf("%q is taken and has segments", raw)
			}
			switch value := string(s.Value()); {
			case namesImage(string(name)):
				said += value
			case string(name) == "image_id":
				ids = append(ids, value)
			}
		}
		end = s.Offset()
	})
	if err != nil || end != int64(length) || len(ids) != 1 || ids[0] != string(image.cocoID()) || said != string(named) {
		t.Fatalf("%q is taken for one of image %d, %s, up to %d, and is of %v, %s, up to %d, %v", raw, image, named, length, ids, said, end, err)
	}
	return true
}

var annotationSeeds = []string{
	`{"segmentation": [[253.85, 187.23], [-1, 0.5, 2e3]], "area": 2188.0, "iscrowd": 0, "image_id": 532481, "bbox": [250.82, 168.26], "category_id": 1, "id": 508910}`,
	`{"image_id":1,"a":{"b":"]}","c":[{}]},"d":null,"file_name":"x.jpg"} `, `{"image_id":1,"image":"a.jpg","file_name":"b.jpg"}`, `{"image_id":"7"}`, `{"image_id":1,"image_id":2}`, `{"image_id":007}`, `{"image_id":0,"x":[{"\"":1}]},`, `{"id":1,"segments_info":[],"image_id":1}`, `{}`,
}

func TestPlainAnnotation(t *testing.T) {
	for i, seed := range annotationSeeds {
		if plain := samePlainEntry(t, []byte(seed)); plain != (i < 2) {
			t.Errorf("%s: %t", seed, plain)
		}
	}
}

func FuzzPlainEntry(f *testing.F) {
	for _, seed := range annotationSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { samePlainEntry(t, raw) })
}
