package coco

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

const typicalAnnotation = `{"segmentation": [[1, 2, 3, 4, 5.5, 6]], "area": 2, "iscrowd": 0, "image_id": 7, "bbox": [1, 2, 3, 4], "category_id": 1, "id": 9}`

// samePlain holds what the plain way makes of an annotation against the general
// way: it may leave an annotation alone, but not take it otherwise.
func samePlain(t interface{ Fatalf(string, ...any) }, raw []byte) {
	var r reader
	plain, ok := r.plain(raw)
	// What was read before makes no difference, the same annotation included.
	var used reader
	for _, before := range []string{typicalAnnotation, string(raw), typicalAnnotation} {
		used.plain([]byte(before))
		if again, okAgain := used.plain(raw); okAgain != ok || ok && !reflect.DeepEqual(again, plain) {
			t.Fatalf("%s\n behind %s\n is %+v, %v\nnot %+v, %v", raw, before, again, okAgain, plain, ok)
		}
	}
	if !ok {
		return
	}
	other := &reader{}
	general, err := other.split(raw)
	if !reflect.DeepEqual(r.others, other.others) {
		t.Fatalf("%s: the other members are %q, not %q", raw, r.others, other.others)
	}
	if err != nil {
		t.Fatalf("%s is taken, and is %v", raw, err)
	}
	if plain.rings {
		ends, numbers := r.ringEnds, r.coordinates
		for ring := range scan.Elements(general.segmentation) {
			if len(ends) == 0 || !scan.IsArray(ring) {
				t.Fatalf("%s: the rings of %s end at %v", raw, general.segmentation, r.ringEnds)
			}
			want, err := scan.AppendNumbers(nil, ring)
			got := numbers[:ends[0]-(len(r.coordinates)-len(numbers))]
			if err != nil || !sameBits(got, want) {
				t.Fatalf("%s: a ring is %v, not %v, %v", raw, got, want, err)
			}
			numbers, ends = numbers[len(got):], ends[1:]
		}
		if len(ends) > 0 || len(numbers) > 0 {
			t.Fatalf("%s: rings are left: %v %v", raw, ends, numbers)
		}
	}
	if plain.runs {
		got, want := new(geometry.Mask), new(geometry.Mask)
		gotErr := got.Decode(r.maskSize, func(d *geometry.CountDecoder) error { return d.Numbers(r.counts) })
		wantErr := want.Unmarshal(general.segmentation)
		if (gotErr == nil) != (wantErr == nil) || wantErr == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: the mask is %v, %v, not %v, %v", raw, got, gotErr, want, wantErr)
		}
	}
	if plain.boxed {
		want, err := scan.AppendNumbers(nil, general.bbox)
		if b := plain.box; err != nil || !sameBits([]float64{b.X, b.Y, b.W, b.H}, want) {
			t.Fatalf("%s: the box is %v, not %v, %v", raw, b, want, err)
		}
	}
	plain.rings, plain.runs, plain.boxed, plain.box = false, false, false, pictograph.Box{}
	if !reflect.DeepEqual(plain, general) {
		t.Fatalf("%s\n is %+v\nnot %+v", raw, plain, general)
	}
}

func sameBits(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

func TestPlainAnnotationsAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(cocoAnnotationText(1).Draw(t, "annotation"))
		samePlain(t, raw)
		samePlain(t, bytes.ReplaceAll(raw, []byte(" "), nil))
		samePlain(t, bytes.ReplaceAll(raw, []byte(","), []byte(" \n,\t")))
	})
	// Names that begin as those before do, or stand in another place.
	for _, raw := range []string{
		strings.Replace(typicalAnnotation, `"id"`, `"id2"`, 1), strings.Replace(typicalAnnotation, `"id"`, `"ID"`, 1), strings.Replace(typicalAnnotation, `"area"`, `"bbox"`, 1),
		strings.Replace(typicalAnnotation, `, "area"`, `,"area"`, 1), strings.Replace(typicalAnnotation, `, "area"`, `  "area"`, 1), strings.Replace(typicalAnnotation, `"area": 2, `, ``, 1),
		strings.Replace(typicalAnnotation, `{"seg`, `, "seg`, 1), typicalAnnotation[:len(typicalAnnotation)-2], typicalAnnotation[:80], strings.Replace(typicalAnnotation, `"id": 9}`, `"id": `, 1),
	} {
		samePlain(t, []byte(raw))
	}
}

// The plain way is there for nearly all annotations: it has to take these.
func TestPlainAnnotationsAreTaken(t *testing.T) {
	for _, raw := range []string{
		`{"segmentation": [[253.85, 187.23, 250.82, 193.01, 255.22, 199.6], [1, 2, 3, 4, 5, 6]], "area": 2188.0864999999994, "iscrowd": 0, "image_id": 532481, "bbox": [250.82, 168.26, 70.11, 64.88], "category_id": 1, "id": 508910}`,
		`{"id":1,"image_id":2,"category_id":3,"segmentation":[],"bbox":[1,2.5,-3,4e1],"score":0.25,"iscrowd":null,"keypoints":[1,2,2],"caption":"a cat"}`,
		"{\n  \"id\" : \"a\" ,\r\n\t\"bbox\": [ 1 , 2 , 3 , 4 ],\n \"segmentation\": [ [ ] , [ 1.2345678901234567 ] ] }",
		`{"segmentation": {"counts": [1, 2, 3], "size": [2, 3]}, "iscrowd": 1, "image_id": 7}`,
		`{"segmentation":{"size":[2,3],"counts":[]}}`,
	} {
		if _, ok := new(reader).plain([]byte(raw)); !ok {
			t.Errorf("%s is not plain", raw)
		}
		samePlain(t, []byte(raw))
	}
}

func FuzzPlainAnnotation(f *testing.F) {
	for _, seed := range []string{
		`{"segmentation": [[253.85, 187.23, 250.82], [-1, 0.5, 2e3]], "area": 2188.0864999999994, "iscrowd": 0, "image_id": 532481, "bbox": [250.82, 168.26], "category_id": 1, "id": 508910}`,
		`{"id":1,"segmentation":[],"bbox":[1,2.5,-3,4e1,-0,0.0],"score":true,"iscrowd":null,"keypoints":[],"caption":"a cat"}`,
		`{"segmentation":{"size":[2,3],"counts":[1,2,1,2]}}`, `{"segmentation":{"size":[2,3],"counts":[1,2],"counts":[6]}}`, `{"segmentation": {"counts": [1e999], "size": [0, 1.5]}}`,
		`{"id":007}`, `{"id":1.}`, `{"id":"é"}`, `{"id":"\u0041","id":1}`, `{"id":1,"segmentation":[1,[2]]}`, `{"id":1}x`, `{"a":1,}`, "{\"\":\n12345678901234567890 }",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { samePlain(t, raw) })
}
