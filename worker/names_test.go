package worker

import (
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestAgreement(t *testing.T) {
	for _, c := range []struct {
		source, dataset string
		want            int
	}{
		{"a.jpg", "a.jpg", 1},
		{"batch1/a.jpg", "batch1/a.jpg", 2},
		{"a.jpg", "batch1/a.jpg", 1},
		{"batch1/a.jpg", "a.jpg", 1},
		{"batch2/a.png", "batch1/a.png", 0},
		{"y/1.png", "x/1.png", 0},
		{"x/1.png", "x/1.jpg", 0},
		{"ax/a.png", "x/a.png", 0}, // whole components
		{"obj_train_data/cam1/f.png", "cam1/f.png", 2},
		{"images/train/a.jpg", "train/images/a.jpg", 1},
		{"images/cam1/a.jpg", "cam1/images/a.jpg", 2},
		{"train/a.jpg", "images/a.jpg", 1},
		{"train/a.jpg", "val/a.jpg", 0}, // two splits contradict each other
		{"val2017/a.jpg", "valid/a.jpg", 1},
		{"train2017/a.jpg", "val2017/a.jpg", 0},
		{"train2017/a.jpg", "images/train/a.jpg", 1}, // no number stands for any year
		{"train2014/a.jpg", "train2017/a.jpg", 0},
		{"test1/a.jpg", "test2/a.jpg", 0},
		{"test/a.jpg", "test2/a.jpg", 0},
		{"cam/train/a.jpg", "cam/train01/a.jpg", 0},
		{"train_2017/a.jpg", "train2014/a.jpg", 0},
		{"train_2017/a.jpg", "train/a.jpg", 1},
		{"test-2/a.jpg", "test/a.jpg", 0},
		{"test-dev/a.jpg", "test/a.jpg", 0},
		{"trainval/a.jpg", "train/a.jpg", 0},
		{"train_images/a.jpg", "train/a.jpg", 1},
		{"dev/a.jpg", "val/a.jpg", 0},
		{"dev/a.jpg", "a.jpg", 1},
		{"JPEGImages/a.jpg", "photos/a.jpg", 1},
		{"deep/b/c/a.jpg", "c/a.jpg", 2},
		{"deep/b/c/a.jpg", "b/a.jpg", 0},
		{"images", "x/images", 1}, // the last component is a name, whatever it is
	} {
		if got := agreement(c.source, c.dataset); got != c.want {
			t.Errorf("agreement(%q, %q) = %d, want %d", c.source, c.dataset, got, c.want)
		}
		if got := agreement(c.dataset, c.source); got != c.want {
			t.Errorf("agreement(%q, %q) = %d, want %d", c.dataset, c.source, got, c.want)
		}
	}
}

func TestNearness(t *testing.T) {
	for _, c := range []struct {
		source, dataset string
		stem            bool
		want            string
	}{
		{source: "café.jpg", dataset: "Café.jpg", want: "only the case differs"},
		{source: norm.NFD.String("é/a.jpg"), dataset: "é/A.jpg", want: "only the case differs"},
		{source: "a.PNG", dataset: "a.png", want: "only the case differs"},
		{source: "a%20b.jpg", dataset: "a b.jpg", want: "only the percent-encoding differs"},
		{source: "a.png", dataset: "a.jpg", want: "only the extension differs"},
		{source: "a_jpg.rf.0123456789abcdef0123456789abcdef.jpg", dataset: "a.jpg", want: "only a hash as exporters add differs"},
		{source: "0a1b2c3d-a.jpg", dataset: "a.jpg", want: "only a hash as exporters add differs"},
		{source: "0a1b2c3d-a", dataset: "a.jpg", stem: true, want: "only a hash as exporters add differs"},
		{source: "a.jpg ", dataset: "a.jpg", want: "only a blank differs"},
		{source: "a .jpg", dataset: "a.jpg", want: "only a blank differs"},
		{source: "a b", dataset: "ab.jpg", stem: true, want: "only a blank differs"},
		{source: "batch2/a.png", dataset: "batch1/a.png", want: "only the folder differs"},
		{source: "Batch1/a.png", dataset: "batch1/a.png", want: "only the case differs"},
		{source: "x/A.png", dataset: "y/a.jpg", want: "the extension, the case and the folder differ"},
	} {
		if loose(nameOf(c.source, c.stem)) != loose(nameOf(c.dataset, false)) {
			t.Errorf("%q is no near miss of %q", c.source, c.dataset)
		}
		if got, _ := nearness(c.source, c.dataset, c.stem); got != c.want {
			t.Errorf("nearness(%q, %q) = %q, want %q", c.source, c.dataset, got, c.want)
		}
	}
	if loose("a.jpg") == loose("b.jpg") {
		t.Error("two names are near whatever they are")
	}
}
