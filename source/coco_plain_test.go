package source

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
)

// sameAnnotation holds the plain way through an annotation against the scanner's.
func sameAnnotation(t interface{ Fatalf(string, ...any) }, raw []byte) {
	var image wholeID
	taken, end := false, 0
	err := scanBytes(raw, func(s *jsonScanner) {
		if s.token() != '{' {
			return
		}
		before := s.pos
		image, taken = s.plainAnnotation()
		end = s.pos
		s.pos = before
		if again, ok := s.plainAnnotation(); again != image || ok != taken || s.pos != end { // now as one like the one before
			t.Fatalf("%q: image %d, %v until %d; again %d, %v until %d", raw, image, taken, end, again, ok, s.pos)
		}
		if !taken {
			if end != before {
				t.Fatalf("%q: not taken, and moved from %d to %d", raw, before, end)
			}
			return
		}
		s.pos = before
		var ids []string
		s.object(func(key string) {
			if key == "segments_info" {
				t.Fatalf("%q is taken and has segments", raw)
			}
			if value := string(s.value()); key == "image_id" {
				ids = append(ids, value)
			}
		})
		if s.pos != end || len(ids) != 1 || ids[0] != string(image.cocoID()) {
			t.Fatalf("%q is taken for one of image %d up to %d, and is of %v up to %d", raw, image, end, ids, s.pos)
		}
	})
	if err != nil && taken {
		t.Fatalf("%q is taken, and is %v", raw, err)
	}
}

// sameEntry holds the plain way through an image entry against encoding/json.
func sameEntry(t interface{ Fatalf(string, ...any) }, raw []byte) {
	plain, ok := plainImageEntry(raw)
	if !ok {
		return
	}
	var entry imageEntry
	if err := json.Unmarshal(raw, &entry); err != nil {
		t.Fatalf("%q is taken, and is %v", raw, err)
	}
	if entry.FileName != nil {
		entry.COCOURL, plain.COCOURL = "", ""
	}
	if !reflect.DeepEqual(plain, entry) {
		t.Fatalf("%q is read as %+v, and is %+v", raw, plain, entry)
	}
}

var plainSeeds = []string{
	`{"segmentation": [[253.85, 187.23], [-1, 0.5, 2e3]], "area": 2188.0, "iscrowd": 0, "image_id": 532481, "bbox": [250.82, 168.26], "category_id": 1, "id": 508910}`,
	`{"image_id":1,"a":{"b":"]}","c":[{}]},"d":null,"e":"x"} `, `{"image_id":"7"}`, `{"image_id":1,"image_id":2}`, `{"image_id":007}`, `{"image_id":0,"x":[{"\"":1}]},`,
	`{"license": 1, "file_name": "000000000009.jpg", "coco_url": "http://images.invalid/9.jpg", "height": 480, "width": 640, "id": 9}`,
	`{"id":"9","file_name":"a\u0041","WIDTH":7}`, `{"id":9,"width":1.5}`, `{"id":9,"id":10}`, `{"ID":9}`, `{"id":1,"file_name":null}`, `{"id":12345678901234567890}`, `{"file_name":"x"}`, `{}`,
}

func TestPlainIsTaken(t *testing.T) {
	for _, raw := range []string{plainSeeds[0], plainSeeds[1]} {
		if err := scanBytes([]byte(raw), func(s *jsonScanner) {
			if _, ok := s.plainAnnotation(); !ok {
				t.Errorf("%s is no plain annotation", raw)
			}
		}); err != nil {
			t.Error(err)
		}
	}
	if e, ok := plainImageEntry([]byte(plainSeeds[6])); !ok || *e.FileName != "000000000009.jpg" || e.Width != 640.0 || e.Height != 480.0 || string(e.ID) != "9" {
		t.Errorf("%s is read as %+v, %t", plainSeeds[6], e, ok)
	}
}

func FuzzPlainIndex(f *testing.F) {
	for _, seed := range plainSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		sameAnnotation(t, raw)
		sameEntry(t, raw)
	})
}

func TestBracketOrQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buf := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]byte("0123456789., -e\n[]{}\"!#'Z\\\xa2\xdb\xfd")), rapid.Byte()), 0, 60).Draw(t, "bytes")
		from := rapid.IntRange(0, len(buf)).Draw(t, "from")
		want := bytes.IndexAny(buf[from:], `[]{}"`)
		if want < 0 {
			want = len(buf) - from
		}
		if got := bracketOrQuote(buf, from); got != from+want {
			t.Fatalf("%q from %d: %d, not %d", buf, from, got, from+want)
		}
	})
}

// An id has one slot however it is written, and whether it is low or not.
func TestIDSlots(t *testing.T) {
	for _, size := range []int64{0, 10 * 256, 1 << 20} {
		s := newIDSlots(size)
		for _, same := range []string{`7 7.0 "7" 7e0 70e-1`, `0 -0 "0"`, `"007"`, `"a"`, `9 9`, `10 10`, `11 11`, `123456789012345678 "123456789012345678"`, `1234567890123456789 "1234567890123456789"`, `"-1" -1`} {
			want := int32(s.count)
			for _, raw := range strings.Fields(same) {
				if got, err := s.ofRaw([]byte(raw)); err != nil || got != want {
					t.Errorf("%s of %s has slot %d, not %d, %v", raw, same, got, want, err)
				}
			}
		}
		told := make(map[int32]bool)
		check := func(id convert.COCOID, slot int32) {
			if s.of(id) != slot || told[slot] {
				t.Errorf("%q has slot %d, and %d", id, slot, s.of(id))
			}
			told[slot] = true
		}
		s.each(func(id wholeID, slot int32) { check(id.cocoID(), slot) }, check)
		if len(told) != s.count {
			t.Errorf("%d of %d ids told", len(told), s.count)
		}
	}
}
