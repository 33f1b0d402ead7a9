package convert

import (
	"pictosync/pictograph"
	"testing"
)

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"image":"dir/a.jpg","width":640,"height":480,"annotations":[{"id":"1","name":"cat","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`))
	f.Add([]byte(`{"image":"a","annotations":[]}`))
	f.Add([]byte(`{"image":"a","annotations":[{"id":"1","name":"nose","type":"keypoint","keypoint":{"x":1,"y":2},"instance_id":1}],"boxes":[{"instance_id":1,"x":1,"y":2,"w":3,"h":4}],"slots":[{"instance_id":1,"joints":9}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCanonical(line)
		if err != nil {
			return
		}
		written, err := c.Append(nil)
		if err != nil {
			t.Fatalf("%s is read and cannot be written: %v", line, err)
		}
		if _, err := ParseCanonical(written); err != nil {
			t.Fatalf("%s is written as %s: %v", line, written, err)
		}
		if err := pictograph.ValidateAnnotations(c.Annotations); err != nil {
			t.Fatalf("%s holds %v", line, err)
		}
	})
}
