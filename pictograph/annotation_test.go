package pictograph

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What the service rejects, and the path that names it.
func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ json, want string }{
		{`[{"id":"1","name":"a","type":"polygon","polygon":{"paths":[[{"x":1,"y":1}]]}}]`, "annotations[0].polygon.paths[0]: 1 point, a ring needs 3"},
		{`[{"id":"1","name":"a","type":"polygon","polygon":{"paths":[]}}]`, "annotations[0].polygon.paths: no ring, a polygon needs an outline"},
		{`[{"id":"1","name":"a","type":"polygon","polygon":{"paths":[[1,2,3,4,5,6]]}}]`, "annotations[0].polygon.paths[0][0]: a number where an object is expected"},
		{`[{"id":"1","name":"a","type":"polygon","polygon":[1,2,3]}]`, "annotations[0].polygon: a list where an object is expected"},
		{`[{"id":"1","name":"a","type":"polyline","polyline":{"path":[{"x":1,"y":1}]}}]`, "annotations[0].polyline.path: 1 point, a polyline needs 2"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"bounding_box":{"x":1,"y":1,"w":1,"h":1}}]`, "annotations[0].bounding_box: a keypoint has none"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"instance_id":0}]`, "annotations[0].instance_id: 0 is no instance"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"instance_id":1.5}]`, "annotations[0].instance_id: 1.5 is no instance"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":0,"h":1}}]`, "annotations[0].bounding_box.w: 0, it must be more than 0"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1}}]`, "annotations[0].bounding_box.h: missing"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1e999,"h":1}}]`, "annotations[0].bounding_box.w: 1e999 is not finite"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":"1","y":1,"w":1,"h":1}}]`, "annotations[0].bounding_box.x: a string where a number is expected"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1,"z":1}}]`, "annotations[0].bounding_box.z: unknown field"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":[1,1,1,1]}]`, "annotations[0].bounding_box: a list where an object is expected"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1},"oriented_box":{"cx":1,"cy":1,"w":1,"h":1,"angle":360}}]`, "annotations[0].oriented_box.angle: 360 is outside 0 to 360"},
		{`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1},"polygon":{"paths":[[{"x":1,"y":1},{"x":2,"y":1},{"x":1,"y":3}]]}}]`, "annotations[0].polygon: a bbox has none"},
		{`[{"id":"1","name":"a","type":"bbox"}]`, "annotations[0].bounding_box: missing; a bbox needs one"},
		{`[{"id":"1","name":"a","type":"skeleton"}]`, `annotations[0].type: is "skeleton" and must be one of: bbox, polygon, polyline, keypoint`},
		{`[{"id":"1","name":"a"}]`, "annotations[0].type: missing"},
		{`[{"id":"1","name":" \t","type":"keypoint","keypoint":{"x":1,"y":1}}]`, "annotations[0].name: blank"},
		{`[{"name":"a","type":"keypoint","keypoint":{"x":1,"y":1}}]`, "annotations[0].id: blank"},
		{`[{"id":"1","class":"a","type":"keypoint","keypoint":{"x":1,"y":1}}]`, "annotations[0].class: unknown field; the class goes into name"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"confidence":1.01}]`, "annotations[0].confidence: 1.01 is outside 0 to 1"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"confidence":"high"}]`, "annotations[0].confidence: a string where a number is expected"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1},"attributes":"red"}]`, "annotations[0].attributes: a string where an object is expected"},
		{`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1}},{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":1}}]`, `annotations[1].id: "1" is the id of [0] already`},
		{`{}`, "annotations: an object where a list is expected"},
		{`[null]`, "annotations[0]: null where an object is expected"},
		{`[{"id":null,"name":"a","type":"keypoint","keypoint":{"x":1,"y":1}}]`, "annotations[0].id: null where a string is expected"},
	} {
		_, err := ParseAnnotations([]byte(test.json))
		var fields FieldErrors
		if !errors.As(err, &fields) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s\n got %v\nwant %s", test.json, err, test.want)
		}
	}
}

func TestDecodeRefusesWhatIsNoJSON(t *testing.T) {
	for _, text := range []string{``, `[`, `[{"id":"1"`, `[{"id":"1","id":"2","name":"a","type":"keypoint","keypoint":{"x":1,"y":1}}]`, `[] []`, `[],`, `[]]`, `[] x`, `[],"annotations":[]`, `[{"id":}]`, strings.Repeat("[", 20000)} {
		_, err := DecodeAnnotations([]byte(text))
		var fields FieldErrors
		if err == nil || errors.As(err, &fields) && text != strings.Repeat("[", 20000) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// Nulls are the same as nothing, and what is optional may be left out.
func TestDecodeTakes(t *testing.T) {
	got, err := DecodeAnnotations([]byte(`[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":-1,"y":1,"w":1,"h":1},"oriented_box":null,"polygon":null,"confidence":1,"created_by":null,"attributes":[],"instance_id":null},
		{"id":"2","name":"b","type":"polygon","polygon":{"paths":[[{"x":1,"y":1},{"x":2,"y":1},{"x":1,"y":3}]]},"attributes":{"z":1.50,"a":"x"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Annotation{
		{ID: "1", Name: "a", Geometry: BBox{Box: Box{X: -1, Y: 1, W: 1, H: 1}}},
		{ID: "2", Name: "b", Geometry: Polygon{Rings: [][]Point{{{1, 1}, {2, 1}, {1, 3}}}}, Attributes: map[string]any{"z": json.Number("1.50"), "a": "x"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The order of keys and the form of numbers are those of the official SDK's
// model_dump(mode="json", exclude_none=True), but for 1.0 written as 1.
func TestEncode(t *testing.T) {
	half := 0.5
	annotations := []Annotation{
		{ID: "1", Name: "café \"q\"", Geometry: BBox{Box: Box{X: math.Copysign(0, -1), Y: 1.5, W: 1e-7, H: 1e21}, Oriented: &OrientedBox{CX: 1, CY: 2, W: 3, H: 4, Angle: 45}}, CreatedBy: "me", Confidence: &half, Attributes: map[string]any{"b": "2", "a": json.Number("1.50")}},
		{ID: "2", Name: "b", Geometry: Polygon{Rings: [][]Point{{{0.1, 0}, {2, 0}, {2, 2}}}, Box: &Box{X: 0.1, W: 1.9, H: 2}}},
		{ID: "3", Name: "c", Geometry: Polyline{Path: []Point{{1, 2}, {3, 4}}}},
		{ID: "4", Name: "d", Geometry: Keypoint{Point: Point{1, 2}, Instance: 3}, AttributeList: []any{"x"}},
	}
	got, err := AppendAnnotations(nil, annotations)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":"1","name":"café \"q\"","type":"bbox","bounding_box":{"x":0,"y":1.5,"w":1e-07,"h":1e+21},"oriented_box":{"cx":1,"cy":2,"w":3,"h":4,"angle":45},"confidence":0.5,"created_by":"me","attributes":{"a":1.50,"b":"2"}},` +
		`{"id":"2","name":"b","type":"polygon","bounding_box":{"x":0.1,"y":0,"w":1.9,"h":2},"polygon":{"paths":[[{"x":0.1,"y":0},{"x":2,"y":0},{"x":2,"y":2}]]},"confidence":1},` +
		`{"id":"3","name":"c","type":"polyline","polyline":{"path":[{"x":1,"y":2},{"x":3,"y":4}]},"confidence":1},` +
		`{"id":"4","name":"d","type":"keypoint","keypoint":{"x":1,"y":2},"confidence":1,"attributes":["x"],"instance_id":3}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEncodeRefusesWhatTheServiceWould(t *testing.T) {
	nan := math.NaN()
	for _, a := range []Annotation{
		{},
		{ID: "1", Name: "a"},
		{ID: "1", Name: "a", Geometry: Polygon{Rings: [][]Point{{{1, 2}}}}},
		{ID: "1", Name: "a", Geometry: Keypoint{Point: Point{math.Inf(1), 0}}},
		{ID: "1", Name: "a", Geometry: Keypoint{}, Confidence: &nan},
		{ID: "1", Name: "a", Geometry: Keypoint{}, Attributes: map[string]any{"f": func() {}}},
		{ID: "1", Name: "a", Geometry: &BBox{}},
	} {
		if data, err := AppendAnnotations(nil, []Annotation{a}); err == nil {
			t.Errorf("%+v was encoded as %s", a, data)
		}
	}
}

func finiteFloat() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64Range(-1e4, 1e4), rapid.Float64()).Filter(func(v float64) bool { return finite(v) && v != 0 })
}

func drawPoints(t *rapid.T, least int) []Point {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point { return Point{finiteFloat().Draw(t, "x"), finiteFloat().Draw(t, "y")} }), least, 6).Draw(t, "points")
}

func drawBox(t *rapid.T) Box {
	side := rapid.Float64Range(1e-9, 1e5)
	return Box{finiteFloat().Draw(t, "x"), finiteFloat().Draw(t, "y"), side.Draw(t, "w"), side.Draw(t, "h")}
}

func drawAnnotation(t *rapid.T) Annotation {
	text := rapid.StringN(1, 20, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
	a := Annotation{Name: text.Draw(t, "name"), CreatedBy: rapid.SampledFrom([]string{"", "someone"}).Draw(t, "by")}
	if rapid.Bool().Draw(t, "has confidence") {
		c := rapid.Float64Range(0, 0.999).Draw(t, "confidence")
		a.Confidence = &c
	}
	if rapid.Bool().Draw(t, "has attributes") {
		a.Attributes = map[string]any{text.Draw(t, "key"): text.Draw(t, "value"), "n": json.Number("1.250")}
	}
	var box *Box
	if rapid.Bool().Draw(t, "has box") {
		b := drawBox(t)
		box = &b
	}
	switch rapid.IntRange(0, 3).Draw(t, "type") {
	case 0:
		g := BBox{Box: drawBox(t)}
		if rapid.Bool().Draw(t, "oriented") {
			b := drawBox(t)
			g.Oriented = &OrientedBox{b.X, b.Y, b.W, b.H, rapid.Float64Range(0, 359.99).Draw(t, "angle")}
		}
		a.Geometry = g
	case 1:
		g := Polygon{Box: box}
		for range rapid.IntRange(1, 3).Draw(t, "rings") {
			g.Rings = append(g.Rings, drawPoints(t, 3))
		}
		a.Geometry = g
	case 2:
		a.Geometry = Polyline{Path: drawPoints(t, 2), Box: box}
	case 3:
		a.Geometry = Keypoint{Point: drawPoints(t, 1)[0], Instance: rapid.IntRange(0, 9).Draw(t, "instance")}
	}
	return a
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := []Annotation{}
		for i := range rapid.IntRange(0, 5).Draw(t, "n") {
			a := drawAnnotation(t)
			a.ID = string(rune('a' + i))
			want = append(want, a)
		}
		data, err := AppendAnnotations(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(data) {
			t.Fatalf("no JSON: %s", data)
		}
		got, err := DecodeAnnotations(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v\nas %s", got, want, data)
		}
	})
}

// What is accepted is valid, and encodes to what decodes to the same.
func FuzzDecodeAnnotations(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1},"attributes":{"a":[1,{"b":null}]}}]`,
		`[{"id":"1","name":"a","type":"polygon","polygon":{"paths":[[{"x":1,"y":1},{"x":2,"y":1},{"x":1,"y":3}]]}}]`,
		`[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":math.Copysign(0, -1),"y":1e-300},"instance_id":3,"attributes":["x"]}]`, `[{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":2},"new":{"b": 1},"\u0061":[]}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := DecodeAnnotations(data)
		strict, strictErr := ParseAnnotations(data)
		if strictErr == nil && (err != nil || !reflect.DeepEqual(strict, first)) {
			t.Fatalf("strictly %+v, else %+v, %v", strict, first, err)
		}
		if err != nil {
			return
		}
		encoded, err := AppendAnnotations(nil, first)
		if err != nil {
			t.Fatalf("accepted and not encodable: %v", err)
		}
		second, err := DecodeAnnotations(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		again, err := AppendAnnotations(nil, second)
		if err != nil || string(again) != string(encoded) {
			t.Fatalf("%s then %s, %v", encoded, again, err)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	var annotations []Annotation
	for i := range 10 {
		ring := make([]Point, 25)
		for n := range ring {
			ring[n] = Point{float64(n) * 1.37, float64(n*n) / 7}
		}
		annotations = append(annotations, Annotation{ID: string(rune('a' + i)), Name: "car", Geometry: Polygon{Rings: [][]Point{ring}, Box: &Box{1, 2, 3, 4}}})
	}
	data, err := AppendAnnotations(nil, annotations)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		var buffer []byte
		for b.Loop() {
			buffer, _ = AppendAnnotations(buffer[:0], annotations)
		}
	})
	b.Run("encode hundredths", func(b *testing.B) { // as COCO's rings are
		points := make([]Point, 1000)
		for n := range points {
			points[n] = Point{math.Round(rand.Float64()*64_000) / 100, math.Round(rand.Float64()*64_000) / 100}
		}
		var buffer []byte
		for b.Loop() {
			buffer = appendPoints(buffer[:0], points)
		}
		b.SetBytes(int64(len(buffer)))
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeAnnotations(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
