package canonical

import (
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/labeltest"
	"pictosync/pictograph"
	"pictosync/source"
)

func TestCanonicalLine(t *testing.T) {
	tests := []struct {
		name  string
		image Image
		want  string
	}{
		{"no annotations", Image{Image: "dir/a.jpg", Size: convert.Size{Width: 640, Height: 480}}, `{"image":"dir/a.jpg","width":640,"height":480,"annotations":[]}`},
		{"unknown size", Image{Image: `a "b" ü.jpg`}, `{"image":"a \"b\" ü.jpg","annotations":[]}`},
		{
			"a box",
			Image{Image: "a.jpg", Annotations: []pictograph.Annotation{{ID: "1", Name: "cat", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1.5, Y: -2, W: 3, H: 4}}}}},
			`{"image":"a.jpg","annotations":[{"id":"1","name":"cat","type":"bbox","bounding_box":{"x":1.5,"y":-2,"w":3,"h":4},"confidence":1}]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line, err := test.image.Append([]byte("before"))
			if err != nil || string(line) != "before"+test.want {
				t.Fatalf("got %s, %v", line, err)
			}
			back, err := Parse([]byte(test.want))
			if err != nil {
				t.Fatal(err)
			}
			labeltest.Compare(t, "annotations", labeltest.Lines(back.Annotations), labeltest.Lines(test.image.Annotations))
			if back.Image != test.image.Image || back.Size != test.image.Size {
				t.Errorf("back is %+v", back)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	tests := []struct{ line, says string }{
		{``, "breaks off"},
		{`[]`, "not a JSON object"},
		{`{"image":"a.jpg"`, "breaks off"},
		{`{"image":"a.jpg","annotations":[]} {}`, "follows"},
		{`{"annotations":[]}`, "image is nothing"},
		{`{"image":" ","annotations":[]}`, "blank"},
		{`{"image":7,"annotations":[]}`, "the number 7"},
		{`{"image":"a.jpg"}`, "annotations of a.jpg"},
		{`{"image":"a.jpg","annotations":null}`, "annotations of a.jpg"},
		{`{"image":"a.jpg","annotations":{}}`, "annotations of a.jpg"},
		{`{"image":"a.jpg","width":640,"annotations":[]}`, "height"},
		{`{"image":"a.jpg","width":0,"height":480,"annotations":[]}`, "width is the number 0"},
		{`{"image":"a.jpg","width":64.5,"height":480,"annotations":[]}`, "64.5"},
		{`{"image":"a.jpg","width":null,"height":480,"annotations":[]}`, "null"},
		{`{"image":"a.jpg","image":"b.jpg","annotations":[]}`, "duplicate"},
		{`{"image":"a.jpg","anotations":[]}`, `unknown key "anotations"`},
		{`{"image":"a.jpg","annotations":[{"id":"1","name":"cat","type":"bbox"}]}`, "bounding_box"},
		{`{"image":"a.jpg","annotations":[{"id":"1","name":"cat","type":"keypoint","keypoint":{"x":1,"y":2},"extra":1}]}`, "extra"},
		{"{\"image\":\"\xff\",\"annotations\":[]}", "UTF-8"},
	}
	for _, test := range tests {
		if c, err := Parse([]byte(test.line)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %+v, error %v; want one that says %q", test.line, c, err, test.says)
		}
	}
	if line, err := (Image{Image: "\xff.jpg"}).Append([]byte("before")); err == nil || string(line) != "before" {
		t.Errorf("a path that is not UTF-8 gives %q, %v", line, err)
	}
	broken := Image{Image: "a.jpg", Annotations: []pictograph.Annotation{{ID: "1", Name: "cat", Geometry: pictograph.BBox{}}}}
	if line, err := broken.Append([]byte("before")); err == nil || string(line) != "before" || !strings.Contains(err.Error(), "a.jpg") {
		t.Errorf("an invalid annotation gives %q, %v", line, err)
	}
}

func TestCanonicalResult(t *testing.T) {
	c, err := Parse([]byte(`{"image":"a.jpg","width":2,"height":3,"annotations":[` +
		`{"id":"1","name":"cat","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}},` +
		`{"id":"2","name":"nose","type":"keypoint","keypoint":{"x":1,"y":2},"instance_id":1},` +
		`{"id":"3","name":"cat","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}},` +
		`{"id":"4","name":"road","type":"polyline","polyline":{"path":[{"x":1,"y":2},{"x":3,"y":4}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r := ResultOf(c)
	var classes []string
	for _, class := range r.Classes {
		classes = append(classes, class.Name+" "+string(class.Type))
	}
	labeltest.Compare(t, "classes", classes, []string{"cat bbox", "nose keypoint", "road polyline"})
	if len(r.Annotations) != 4 || r.LeftOut != 0 || len(r.Findings) > 0 || r.Size != (convert.Size{Width: 2, Height: 3}) {
		t.Errorf("result %+v", r)
	}
}

// Unknown members are an error on a line that a user gives, and kept on one of a backup.
func TestUnknownMembersOfALine(t *testing.T) {
	line := []byte(`{"image":"a.jpg","annotations":[{"id":"1","name":"cat","type":"keypoint","keypoint":{"x":1,"y":2},"confidence":1,"track":7}]}`)
	if _, err := Parse(line); err == nil || !strings.Contains(err.Error(), "annotations[0].track: unknown field") {
		t.Errorf("a user's line: %v", err)
	}
	c, err := parseBackup(line)
	if err != nil {
		t.Fatal(err)
	}
	if written, err := c.Append(nil); err != nil || string(written) != string(line) {
		t.Errorf("a line of a backup is written as %s, %v", written, err)
	}
}

// No line is written that is too long to be read again.
func TestLineIsNotLongerThanIsRead(t *testing.T) {
	c := convert.Converted{Item: convert.Item{Image: "a.jpg"}, Result: convert.Result{Annotations: []pictograph.Annotation{{ID: "1", Name: strings.Repeat("x", source.MaxLabels), Geometry: pictograph.BBox{Box: pictograph.Box{W: 1, H: 1}}}}}}
	if line := new(sink).Encode(nil, &c); len(line) > 0 || c.Err == nil {
		t.Errorf("a line of %d bytes, %v", len(line), c.Err)
	}
}
