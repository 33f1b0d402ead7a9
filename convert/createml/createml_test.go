package createml

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/labeltest"
)

// read opens a file or folder and is what its images come to: a line each, with the kinds of
// findings.
func read(t testing.TB, path string) (lines []string) {
	t.Helper()
	src, err := open(t.Context(), convert.Input{Path: path})
	if err != nil {
		return []string{err.Error()}
	}
	for item, err := range src.Items(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if item.Err != nil {
			lines = append(lines, fmt.Sprintf("%s: %v", item.Image, item.Err))
			continue
		}
		r, err := src.Load(t.Context(), item, convert.Size{Width: 100, Height: 100})
		if err != nil {
			lines = append(lines, fmt.Sprintf("%s: %v", item.Image, err))
			continue
		}
		labeltest.Accepted(t, r, r.Read)
		line := item.Image + ":"
		for _, a := range labeltest.Lines(r.Annotations) {
			_, rest, _ := strings.Cut(a, " ") // ids are made up
			line += " [" + rest + "]"
		}
		for _, kind := range labeltest.Kinds(r.Findings) {
			line += " " + string(kind)
		}
		lines = append(lines, line)
	}
	return lines
}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "labels.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"boxes by their centres", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: [car bbox {40 30 40 20}]"}},
		{"an older file", `[{"imagefilename":"a.jpg","annotation":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20},"confidence":0.5}]}]`, []string{"a.jpg: [car bbox {40 30 40 20} confidence 0.5]"}},
		{"nothing on it", `[{"image":"a.jpg","annotations":[]}]`, []string{"a.jpg:"}},
		{"no annotations", `[{"image":"a.jpg"}]`, []string{"a.jpg: read entry 1: it has no annotations, not even an empty list"}},
		{"no label", `[{"image":"a.jpg","annotations":[{"label":" ","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: unknown-class"}},
		{"no coordinates", `[{"image":"a.jpg","annotations":[{"label":"car"},{"label":"car","coordinates":{"x":1}}]}]`, []string{"a.jpg: no-geometry no-geometry"}},
		{"no extent", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":0,"height":20}}]}]`, []string{"a.jpg: box"}},
		{"text for a number", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":"60","y":40,"width":4,"height":20}}]}]`, []string{"a.jpg: number"}},
		{"no number", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":NaN,"y":40,"width":4,"height":20}}]}]`, []string{"a.jpg: number"}},
		{"two lists", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}],"annotations":[]}]`, []string{`a.jpg: read entry 1: the key "annotations" stands twice`}},
		{"a list of each name", `[{"image":"a.jpg","annotation":[],"annotations":[]}]`, []string{`a.jpg: read entry 1: it has two lists of annotations`}},
		{"two images", `[{"image":"a.jpg","image":"b.jpg","annotations":[]}]`, []string{`entry 1: read entry 1: the key "image" stands twice`}},
		{"an image of each name", `[{"image":"a.jpg","imagefilename":"b.jpg","annotations":[]}]`, []string{`entry 1: read entry 1: it names two images, "a.jpg" and "b.jpg"`}},
		{"one image by both names", `[{"image":"a.jpg","imagefilename":"a.jpg","annotations":[]}]`, []string{"a.jpg:"}},
		{"two labels", `[{"image":"a.jpg","annotations":[{"label":"car","label":"bus","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: invalid-json"}},
		{"two labels in other letters", `[{"image":"a.jpg","annotations":[{"label":"car","Label":"bus","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: invalid-json"}},
		{"two numbers", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"x":40,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: invalid-json"}},
		{"a key in other letters", `[{"image":"a.jpg","annotations":[{"Label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}},{"label":"car","coordinates":{"X":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: unknown-class no-geometry unknown-member unknown-member"}},
		{"an angle", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20,"angle":30}}]}]`, []string{"a.jpg: angle"}},
		{"an angle of 0", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20,"angle":0}}]}]`, []string{"a.jpg: [car bbox {40 30 40 20}]"}},
		{"another size", `[{"image":"a.jpg","width":200,"height":200,"annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: [car bbox {40 30 40 20}] size-mismatch"}},
		{"a size that is none", `[{"image":"a.jpg","width":"w","height":200,"annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: [car bbox {40 30 40 20}] image-name"}},
		{"an angle of the object", `[{"image":"a.jpg","annotations":[{"label":"car","rotation":"x","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`, []string{"a.jpg: angle"}},
		{"shares of the size", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":0.5,"y":0.5,"width":0.1,"height":0.2}}]}]`, []string{"a.jpg: box-notation"}},
		{"a member without a place", `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20},"id":7}]}]`, []string{"a.jpg: [car bbox {40 30 40 20}] unknown-member"}},
		{"an image twice", `[{"image":"a.jpg","annotations":[]},{"image":"a.jpg","annotations":[]}]`, []string{"a.jpg: entries 1 and 2 both are for it; leave one", "a.jpg: entries 1 and 2 both are for it; leave one"}},
		{"a name that leads away", `[{"image":"../a.jpg","annotations":[]}]`, []string{"../a.jpg: read entry 1: the image's name leads out of its folder"}},
		{"no image", `[7,{"annotations":[]}]`, []string{"entry 1: read entry 1: it is no JSON object", `entry 2: read entry 2: "image" is missing`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, file(t, c.text))
			if !slices.EqualFunc(got, c.want, func(got, want string) bool {
				return got == want || strings.Contains(want, "leads") && strings.HasPrefix(got, "../a.jpg: read entry 1: the image's name ")
			}) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	for text, want := range map[string]int{
		`[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":6`:         convert.Likely,
		`[{"image":"a.jpg","annotations":[]},{"image":"b.jpg","annotations":[]}]`:      convert.Likely,
		`[{"annotations":[{"coordinates":{},"label":"x"}],"imagefilename":"a.jpg"}]`:   convert.Likely,
		`[{"image_id":1,"category_id":2,"bbox":[1,2,3,4],"score":0.5}]`:                convert.No,
		`[{"id":1,"data":{"image":"a.jpg"},"annotations":[{"result":[]}]}]`:            convert.No,
		`[{"image":"a.jpg","id":1,"label":[{"x":1}],"annotator":1,"annotation_id":2}]`: convert.No,
		`{"images":[],"annotations":[],"categories":[]}`:                               convert.No,
		`[]`: convert.No,
		`[`:  convert.No,
	} {
		m, err := detect(t.Context(), &convert.Candidate{Head: []byte(text), Ext: ".json"})
		if err != nil || m.Score != want {
			t.Errorf("%s: %+v %v, want %d", text, m, err, want)
		}
	}
}

// Images of a file in a folder below lie where the file does, as Roboflow writes them.
func TestFolder(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"train/_annotations.createml.json": `[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`,
		"valid/_annotations.createml.json": `[{"image":"a.jpg","annotations":[]}]`,
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"train/a.jpg: [car bbox {40 30 40 20}]", "valid/a.jpg:"}
	if got := read(t, root); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// COCO files beside are not passed over unless a flag says so.
func TestTwoFormats(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"_annotations.createml.json": `[{"image":"a.jpg","annotations":[]}]`,
		"_annotations.coco.json":     `{"images":[{"id":1,"file_name":"b.jpg"}],"annotations":[],"categories":[]}`,
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	survey := func() (convert.Survey, error) {
		return convert.Survey{JSON: []string{"_annotations.coco.json", "_annotations.createml.json"}}, nil
	}
	_, err := detect(t.Context(), &convert.Candidate{Input: convert.Input{Path: root}, Dir: true, Survey: survey})
	if err == nil || !strings.Contains(err.Error(), "two formats") {
		t.Errorf("got %v", err)
	}
	if got, want := read(t, root), []string{"a.jpg:"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`[{"image":"a.jpg","annotations":[{"label":"car","coordinates":{"x":60,"y":40,"width":40,"height":20}}]}]`)
	f.Add(`[{"imagefilename":"\u0061","annotation":[{"label":1}]},7`)
	f.Fuzz(func(t *testing.T, text string) { read(t, file(t, text)) })
}
