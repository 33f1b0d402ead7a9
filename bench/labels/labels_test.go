package labels_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"pictosync/bench/labels"
	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/formats"
)

// converted holds that all labels are taken as they are.
func converted(t *testing.T, path string, o convert.OpenOptions) conversion.Summary {
	t.Helper()
	o.Report = func(f convert.Finding) { t.Errorf("finding about the source: %+v", f) }
	src, err := formats.Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := conversion.Run(context.Background(), src, conversion.Options{OnFinding: func(f convert.Finding) {
		if f.Kind != convert.KindGeometry { // the files have boxes and outlines beside what is taken, as people's have
			t.Errorf("finding: %+v", f)
		}
	}},
		func(c *conversion.Image) error {
			if c.Err != nil {
				t.Errorf("%s: %v", c.Item.Image, c.Err)
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func TestCOCOConvertsWithoutFindings(t *testing.T) {
	spec := labels.Spec{Images: 300, PerImage: 6, Seed: 7, Masks: 0.1, Keypoints: 0.2}
	annotations := make(map[labels.Order]int)
	for _, order := range []labels.Order{labels.Sorted, labels.Random} {
		spec.Order = order
		var file, again bytes.Buffer
		if err := labels.WriteCOCO(&file, spec); err != nil {
			t.Fatal(err)
		}
		if err := labels.WriteCOCO(&again, spec); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
			t.Fatalf("the same seed made other bytes, %v", err)
		}
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		summary := converted(t, path, convert.OpenOptions{})
		if summary.Images.Converted != spec.Images || summary.Annotations < 4*spec.Images {
			t.Errorf("%s: %+v", order, summary)
		}
		annotations[order] = summary.Annotations
	}
	if annotations[labels.Sorted] != annotations[labels.Random] {
		t.Errorf("%v annotations; the order must change nothing but the order", annotations)
	}
}

func TestYOLOConvertsWithoutFindings(t *testing.T) {
	spec := labels.Spec{Images: 100, PerImage: 4, Seed: 7, Masks: 0.3, Order: labels.Sorted}
	for name, o := range map[string]struct {
		perFolder int
		pictures  bool
		distinct  int
	}{"one folder": {0, false, 0}, "several folders": {30, false, 0}, "pictures": {30, true, 0}, "links": {30, true, 7}, "links without pictures": {0, false, 7}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			spec.PerFolder, spec.Pictures, spec.Distinct = o.perFolder, o.pictures, o.distinct
			if err := labels.WriteYOLO(dir, spec); err != nil {
				t.Fatal(err)
			}
			var options convert.OpenOptions
			if !o.pictures {
				options.Sizes = filepath.Join(dir, "sizes.csv")
			}
			if summary := converted(t, dir, options); summary.Images.Converted != spec.Images || summary.Annotations < 2*spec.Images {
				t.Errorf("%+v", summary)
			}
		})
	}
}
