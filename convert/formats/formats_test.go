package formats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/manifest"
	"pictosync/source"
)

// tree writes files, paths to contents, into a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// picture is a PNG of a size.
func picture(width, height int) string {
	var b strings.Builder
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err)
	}
	return b.String()
}

// segments is a panoptic PNG.
func segments(rows ...[]int) string {
	picture := image.NewRGBA(image.Rect(0, 0, len(rows[0]), len(rows)))
	for y, row := range rows {
		for x, id := range row {
			picture.Set(x, y, color.RGBA{uint8(id), uint8(id >> 8), uint8(id >> 16), 255})
		}
	}
	var b strings.Builder
	if err := png.Encode(&b, picture); err != nil {
		panic(err)
	}
	return b.String()
}

// opened opens a source and gathers what it reports.
func opened(t *testing.T, path string, o convert.OpenOptions) (convert.Source, *[]convert.Finding) {
	t.Helper()
	var findings []convert.Finding
	o.Report = func(f convert.Finding) { findings = append(findings, f) }
	src, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return src, &findings
}

func items(t *testing.T, src convert.Source, after string) []convert.Item {
	t.Helper()
	var out []convert.Item
	for item, err := range src.Items(t.Context(), after) {
		if err != nil {
			t.Fatalf("items: %v", err)
		}
		out = append(out, item)
	}
	return out
}

// summary is one line for each item: its image, then what loading it gives.
func summary(t *testing.T, src convert.Source) string {
	t.Helper()
	var b strings.Builder
	for _, item := range items(t, src, "") {
		fmt.Fprint(&b, item.Image)
		if item.Stem {
			fmt.Fprint(&b, ".*")
		}
		if item.Err != nil {
			fmt.Fprintf(&b, " ERROR %v\n", item.Err)
			continue
		}
		result, err := src.Load(t.Context(), item, convert.Size{})
		if err != nil {
			fmt.Fprintf(&b, " FAILED %v\n", err)
			continue
		}
		if result.Size.Known() {
			fmt.Fprintf(&b, " %dx%d", result.Size.Width, result.Size.Height)
		}
		for _, a := range result.Annotations {
			fmt.Fprintf(&b, " %s", a.Name)
		}
		for _, f := range result.Findings {
			fmt.Fprintf(&b, " (%s)", f.Kind)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func kinds(findings []convert.Finding) (out []string) {
	for _, f := range findings {
		out = append(out, string(f.Kind))
	}
	slices.Sort(out)
	return out
}

const (
	box   = "0 0.5 0.5 0.5 0.5\n"
	truck = "1 0.5 0.5 0.25 0.25\n"
	names = "names: [car, truck]\n"
)

var small = picture(20, 10)

func TestLayouts(t *testing.T) {
	coco := `{"images":[{"id":1,"file_name":"a.jpg","width":20,"height":10},{"id":2,"file_name":"b.jpg","width":20,"height":10}],
		"categories":[{"id":1,"name":"car"}],"annotations":[{"id":7,"image_id":1,"category_id":1,"bbox":[1,2,3,4]}]}`
	for _, c := range []struct {
		name     string
		files    map[string]string
		source   string // below the folder
		format   string
		options  convert.OpenOptions
		want     string
		findings []string
	}{{
		name: "Ultralytics with folders", format: "yolo",
		files: map[string]string{"data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: car\n  1: truck\n",
			"images/train/a.png": small, "labels/train/a.txt": box, "images/val/b.png": small, "labels/val/b.txt": box + truck, "images/val/unlabelled.png": small},
		want:     "train/a.png 20x10 car\nval/b.png 20x10 car truck\n",
		findings: []string{"image-without-label"},
	}, {
		name: "Ultralytics, train and val the same", format: "yolo",
		files: map[string]string{"data.yaml": "train: images\nval: images\n" + names, "images/a.png": small, "labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name: "Ultralytics with a list of folders", format: "yolo",
		files: map[string]string{"data.yaml": "train: [images/x, images/y]\n" + names, "images/x/a.png": small, "labels/x/a.txt": box, "images/y/a.png": small, "labels/y/a.txt": truck},
		want:  "x/a.png 20x10 car\ny/a.png 20x10 truck\n",
	}, {
		name: "Ultralytics with a list file", format: "yolo",
		files: map[string]string{"data.yaml": "train: train.txt\n" + names, "train.txt": "./images/b.png\nimages/a.png\nimages/none.png\n/other/machine/images/c.png\r\n\n",
			"images/a.png": small, "labels/a.txt": box, "images/b.png": small, "labels/b.txt": truck, "images/c.png": small, "labels/c.txt": box, "labels/unlisted.txt": box},
		want:     "b.png 20x10 truck\na.png 20x10 car\nc.png 20x10 car\n",
		findings: []string{"missing-file", "relocated-path", "unnamed-split"},
	}, {
		name: "path of another machine, and a missing split", format: "yolo",
		files:    map[string]string{"data.yaml": "path: /content/set\ntrain: images/train\nval: images/val\n" + names, "images/train/a.png": small, "labels/train/a.txt": box},
		want:     "train/a.png 20x10 car\n",
		findings: []string{"missing-split", "relocated-path"},
	}, {
		name: "absolute splits of another machine", format: "yolo",
		files:    map[string]string{"data.yaml": "train: /content/set/images/train\nval: C:\\set\\images\\val\n" + names, "labels/train/a.txt": "", "labels/val/b.txt": ""},
		want:     "train/a.*\nval/b.*\n",
		findings: []string{"relocated-path", "relocated-path"},
	}, {
		name: "Roboflow", format: "yolo",
		files: map[string]string{"data.yaml": "train: ../train/images\nval: ../valid/images\n" + names, "train/images/a.png": small, "train/labels/a.txt": box,
			"valid/images/a.png": small, "valid/labels/a.txt": truck, "README.roboflow.txt": "hello"},
		want: "train/a.png 20x10 car\nvalid/a.png 20x10 truck\n",
	}, {
		name: "data.yaml itself", format: "yolo", source: "data.yaml",
		files: map[string]string{"data.yaml": "train: images\n" + names, "images/a.png": small, "labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name: "no splits", format: "yolo",
		files: map[string]string{"coco.yaml": names, "images/a.png": small, "labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name: "flat with classes.txt", format: "yolo",
		files: map[string]string{"classes.txt": "car\r\ntruck\r\n", "a.png": small, "a.txt": box, "B.TXT": truck, "B.png": small, "c.d.e.txt": box, "c.d.e.png": small},
		want:  "B.png 20x10 truck\na.png 20x10 car\nc.d.e.png 20x10 car\n",
	}, {
		name: "classes beside the labels", format: "yolo",
		files: map[string]string{"labels/classes.txt": "car", "images/a.png": small, "labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name: "an image named like a list", format: "yolo",
		files:    map[string]string{"classes.txt": "car", "test.png": small, "test.txt": box, "train.txt": "test.png\n"},
		want:     "test.png 20x10 car\n",
		findings: []string{"skipped-file"},
	}, {
		name: "Darknet", format: "yolo",
		files: map[string]string{"obj.data": "classes = 2\ntrain = data/train.txt\nvalid=data/gone.txt\nnames = data/obj.names\nbackup = backup/\n",
			"obj.names": "car\ntruck\n", "train.txt": "data/obj/a.png\ndata/obj/b.png\n", "obj/a.png": small, "obj/a.txt": box, "obj/b.png": small, "obj/b.txt": truck},
		want:     "obj/a.png 20x10 car\nobj/b.png 20x10 truck\n",
		findings: []string{"missing-split"},
	}, {
		name: "poses", format: "yolo",
		files: map[string]string{"data.yaml": "kpt_shape: [2, 3]\nflip_idx: [0, 2]\nkpt_names:\n  0: [head, tail]\n" + names, "images/a.png": small,
			"labels/a.txt": "0 0.5 0.5 0.5 0.5 0.5 0.5 2 0.25 0.25 1\n"},
		want:     "a.png 20x10 head tail\n",
		findings: []string{"data-set-description", "data-set-description"}, // flip_idx, and the second class's keypoints
	}, {
		name: "two images for one label", format: "yolo",
		files: map[string]string{"data.yaml": names, "images/a.png": small, "images/a.jpg": small, "labels/a.txt": box},
		want:  "a.* ERROR the label is for several images: a.jpg, a.png; give each a label of its own\n",
	}, {
		name: "sizes of images in their own folder, and of another", format: "yolo", options: convert.OpenOptions{Sizes: "sizes.json"},
		files: map[string]string{"data.yaml": names, "labels/a.txt": box, "labels/b.txt": "", "sizes.json": `{"x/a.jpg":[100,50], "b.jpg":{"width":4,"height":4}, "bad.jpg":[0,1]}`},
		want:  "a.* FAILED read labels/a.txt: the size of its image is not known, which normalized coordinates need; give --images or --sizes\nb.jpg 4x4\n", findings: []string{"sizes-entry"},
	}, {
		name: "sizes as CSV", format: "yolo", options: convert.OpenOptions{Sizes: "sizes.csv"},
		files: map[string]string{"data.yaml": names, "labels/a.txt": box, "sizes.csv": "height,image,width\n50,a.jpg,100\nx,b.jpg,1\n"},
		want:  "a.jpg 100x50 car\n", findings: []string{"sizes-entry"},
	}, {
		name: "sizes that differ", format: "yolo", options: convert.OpenOptions{Sizes: "sizes.csv"},
		files: map[string]string{"data.yaml": names, "labels/a.txt": box, "sizes.csv": "image,width,height\na.jpg,100,50\na.jpg,50,100\na.jpg,100,50\n"},
		want:  "a.jpg FAILED read labels/a.txt: the size of its image is not known, which normalized coordinates need; give --images or --sizes\n", findings: []string{"sizes-entry", "sizes-entry"},
	}, {
		name: "images elsewhere", format: "yolo", options: convert.OpenOptions{Images: "pictures"},
		files: map[string]string{"set/data.yaml": names, "set/labels/train/a.txt": box, "pictures/train/a.png": small}, source: "set",
		want: "train/a.png 20x10 car\n",
	}, {
		name: "no size", format: "yolo",
		files: map[string]string{"data.yaml": names, "labels/a.txt": box, "labels/b.txt": "\n"},
		want:  "a.* FAILED read labels/a.txt: the size of its image is not known, which normalized coordinates need; give --images or --sizes\nb.*\n",
	}, {
		name: "include and exclude", format: "yolo", options: convert.OpenOptions{Include: []string{"train/**"}, Exclude: []string{"**/b.*"}},
		files: map[string]string{"data.yaml": names, "labels/train/a.txt": "", "labels/train/b.txt": "", "labels/val/a.txt": ""},
		want:  "train/a.*\n",
	}, {
		name: "COCO", format: "coco", source: "labels.json", files: map[string]string{"labels.json": coco},
		want: "a.jpg 20x10 car\nb.jpg 20x10\n",
	}, {
		name: "a folder of COCO files", format: "coco",
		files:    map[string]string{"train/_annotations.coco.json": coco, "valid/_annotations.coco.json": coco, "other.json": `{"version":1}`},
		want:     "train/a.jpg 20x10 car\ntrain/b.jpg 20x10\nvalid/a.jpg 20x10 car\nvalid/b.jpg 20x10\n",
		findings: []string{"skipped-file"},
	}, {
		name: "two files for one image", format: "coco",
		files:   map[string]string{"annotations/x.json": coco, "annotations/y.json": strings.Replace(coco, "b.jpg", "c.jpg", 1)},
		options: merging,
		want:    "a.jpg 20x10 car\nb.jpg 20x10\nc.jpg 20x10\n",
	}, {
		name: "prediction results", format: "coco", source: "results.json",
		files: map[string]string{"results.json": `[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5},{"image_id":9,"category_id":1,"bbox":[1,2,3,4],"score":0.5}]`, "images.json": coco, "notes.json": "{}"},
		want:  "a.jpg 20x10 car\n", findings: []string{"unknown-image"},
	}, {
		name: "results beside labels", format: "coco",
		files: map[string]string{"results.json": `[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5}]`, "labels.json": coco},
		want:  "a.jpg 20x10 car\nb.jpg 20x10\n", findings: []string{"skipped-file"},
	}, {
		name: "SA-1B, a file for each image", format: "coco",
		files: map[string]string{
			"sa_1.json": `{"annotations":[{"id":5,"segmentation":{"size":[2,3],"counts":[1,2,3]},"bbox":[0,0,1,1]}],"image":{"image_id":1,"file_name":"sa_1.jpg","width":3,"height":2}}`,
			"sa_2.json": `{"image":{"image_id":2,"file_name":"sa_2.jpg","width":3,"height":2},"annotations":[]}`},
		want: "sa_1.jpg 3x2 object object\nsa_2.jpg 3x2\n",
	}, {
		name: "panoptic segments", format: "coco", source: "panoptic.json",
		files: map[string]string{
			"panoptic.json": `{"images":[{"id":1,"file_name":"a.jpg","width":4,"height":2},{"id":2,"file_name":"b.jpg","width":4,"height":2}],"categories":[{"id":1,"name":"car"},{"id":2,"name":"sky"}],
				"annotations":[{"image_id":1,"file_name":"a.png","segments_info":[{"id":1,"category_id":1,"iscrowd":0},{"id":66051,"category_id":2,"iscrowd":0}]},
					{"image_id":2,"file_name":"b.png","segments_info":[{"id":1,"category_id":1}]}]}`,
			"panoptic/a.png": segments([]int{1, 1, 0, 66051}, []int{1, 66051, 66051, 66051})},
		want: "a.jpg 4x2 car sky\nb.jpg FAILED the PNG of the image's segments (b.png) is neither in the folder PATH/panoptic nor beside panoptic.json\n",
	}, {
		name: "panoptic segments elsewhere than their boxes", format: "coco", source: "panoptic.json",
		files: map[string]string{
			"panoptic.json": `{"images":[{"id":1,"file_name":"a.jpg","width":4,"height":20}],"categories":[{"id":1,"name":"car"},{"id":2,"name":"sky"}],
				"annotations":[{"image_id":1,"file_name":"a.png","segments_info":[{"id":1,"category_id":1,"bbox":[0,0,2,1]},{"id":2,"category_id":2,"bbox":[0,16,4,4]}]}]}`,
			"panoptic/a.png": segments(append([][]int{{1, 1, 0, 2}, {1, 2, 2, 2}}, make([][]int, 18)...)...)},
		want: "a.jpg 4x20 car (mask)\n",
	}, {
		name: "LVIS", format: "coco", source: "lvis.json",
		files: map[string]string{"lvis.json": `{"images":[{"id":1,"coco_url":"http://x.example/train2017/1.jpg","width":20,"height":10,"not_exhaustive_category_ids":[1],"neg_category_ids":[]}],
			"categories":[{"id":1,"name":"car","synset":"car.n.01","frequency":"f"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"area":6,"segmentation":[[1,1,4,1,4,3]],"bbox":[1,1,3,2]}]}`},
		want: "train2017/1.jpg 20x10 car\n",
	}, {
		name: "class names that differ in case", format: "yolo",
		files: map[string]string{"classes.txt": "car\nCar\n car  \n", "a.txt": ""},
		want:  "a.*\n", findings: []string{"class-list", "shared-category-name", "similar-class"},
	}, {
		name: "canonical", format: "canonical", source: "a.jsonl",
		files: map[string]string{"a.jsonl": "\ufeff" + `{"image":"x/a.jpg","width":4,"height":5,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}` + "\r\n\n" +
			`{"annotations":[],"image":"b.jpg"}` + "\n" + `{"image":"../c.jpg","annotations":[]}` + "\nx\n" + `{"image":"b.jpg","annotations":[]}`},
		want: "x/a.jpg 4x5 car\nb.jpg ERROR lines 3 and 6 both are for it; leave one\n../c.jpg ERROR read line 4: the image's name leads out of its folder\n" +
			"line 5 ERROR read line 5: a line is a JSON object at byte 0\nb.jpg ERROR lines 3 and 6 both are for it; leave one\n",
	}} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, c.files)
			if c.options.Sizes != "" {
				c.options.Sizes = filepath.Join(root, c.options.Sizes)
			}
			if c.options.Images != "" {
				c.options.Images = filepath.Join(root, c.options.Images)
			}
			src, findings := opened(t, filepath.Join(root, c.source), c.options)
			if d := src.Describe(); d.Format != c.format || d.Reason == "" {
				t.Errorf("described as %+v, want the format %q", d, c.format)
			}
			if got := strings.ReplaceAll(summary(t, src), root, "PATH"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if got := kinds(*findings); !slices.Equal(got, c.findings) {
				t.Errorf("findings %v, want %v: %+v", got, c.findings, *findings)
			}
		})
	}
}

// What makes a source useless is one error that says what to do.
func TestUselessSources(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		source string
		want   string
	}{
		{"nothing there", nil, "gone", "no such file"},
		{"an empty folder", map[string]string{"sub/": ""}, "", "holds no labels"},
		{"an empty file", map[string]string{"a.json": " \n"}, "a.json", "is empty"},
		{"no class names", map[string]string{"labels/a.txt": box}, "", "no class names"},
		{"no labels", map[string]string{"classes.txt": "car\n"}, "", "no labels"},
		{"blank class list", map[string]string{"classes.txt": "\n \n", "a.txt": box}, "", "names no classes"},
		{"four points alone", map[string]string{"classes.txt": "car", "a.txt": "0 0 0 1 0 1 1 0 1\n"}, "", "four points"},
		{"JSON cut off", map[string]string{"a.json": `{"images":[{"id":1,"file_na`}, "a.json", "breaks off at byte 27"},
		{"JSON cut off in a folder", map[string]string{"b/a.json": `{"images":[{"id":1,"file_na`}, "", "breaks off at byte 27"},
		{"JSON with something behind", map[string]string{"a.json": `{"images":[],"annotations":[]}}`}, "a.json", "something follows"},
		{"results alone", map[string]string{"a.json": `[{"image_id":1}]`}, "a.json", "put the COCO file with their images"},
		{"another JSON", map[string]string{"a.json": `{"a":1}`}, "a.json", `no list "images"`},
		{"images twice", map[string]string{"a.json": `{"images":[],"images":[]}`}, "a.json", "a second time"},
		{"no categories", map[string]string{"a.json": `{"images":[{"id":1,"file_name":"a"}],"annotations":[{"image_id":1}]}`}, "a.json", "no classes"},
		{"no annotations list", map[string]string{"a.json": `{"images":[{"id":1,"file_name":"a"}],"categories":[]}`}, "a.json", `no list "annotations"`},
		{"deep JSON", map[string]string{"a.json": `{"a":` + strings.Repeat("[", 100_000)}, "a.json", "nested deeper"},
		{"bad YAML", map[string]string{"data.yaml": "names: [a\n"}, "", "line 1"},
		{"deep YAML", map[string]string{"data.yaml": "names: " + strings.Repeat("[", 100_000)}, "", "nested deeper"},
		{"deep YAML lists", map[string]string{"data.yaml": strings.Repeat("- ", 100_000) + "a"}, "", "nested deeper"},
		{"no names", map[string]string{"data.yaml": "train: x\n"}, "", "has no names"},
		{"no split is there", map[string]string{"data.yaml": "train: x\n" + names}, "", "none of the splits"},
		{"a list in UTF-16", map[string]string{"obj.data": "names = obj.names\ntrain = train.txt\n", "obj.names": "car\n", "train.txt": "\xff\xfea\x00.\x00p\x00n\x00g\x00", "a.png": small, "a.txt": box}, "", "train.txt: it is UTF-16 text"},
		{"bad kpt_shape", map[string]string{"data.yaml": "kpt_shape: [17, 4]\n" + names}, "", "kpt_shape: is not [number of keypoints, 2 or 3]"},
		{"an image", map[string]string{"a.png": small}, "a.png", "not a known label format"},
		{"a label file", map[string]string{"a.txt": box}, "a.txt", "one file of a YOLO folder"},
		{"another database", map[string]string{"a.db": "SQLite format 3\x00rubbish"}, "a.db", "read"},
		{"two class lists", map[string]string{"x/classes.txt": "car", "y/classes.txt": "bus"}, "", "differ"},
		{"blank lines", map[string]string{"a.jsonl": "\n\n"}, "a.jsonl", "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), filepath.Join(tree(t, c.files), c.source), convert.OpenOptions{})
			var e *convert.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, c.want)
			}
		})
	}
}

// Annotations come in any order, with keys that nobody knows, and ids of any
// spelling; what belongs to nothing is told.
func TestCOCOOddities(t *testing.T) {
	root := tree(t, map[string]string{"a.json": "\ufeff" + `{
		"info": {"images": [1, {"a": "]}\"\\"}]},
		"annotations": [
			{"image_id": 2.0, "id": 1, "x": {"image_id": 9}, "category_id": 5, "bbox": [1, 2, 3, 4]},
			{"category_id": 5, "bbox": [1, 2, 3, 4], "id": "two", "\u0069mage_id": "2"},
			{"id": 3, "image_id": 77, "category_id": 5, "bbox": [1, 2, 3, 4]},
			{"id": 4, "category_id": 5, "bbox": [1, 2, 3, 4]},
			{"id": 5, "image_id": 1, "category_id": 5, "bbox": [NaN, 2, 3, 4]},
			null
		],
		"categories": [{"id": 5, "name": "car"}],
		"images": [
			{"id": 1, "file_name": "C:\\data\\a.jpg"},
			{"id": 2, "file_name": "./x//b.jpg", "width": 10, "height": 20.0, "license": null},
			{"id": 3, "coco_url": "http://images.example/train2017/c.jpg"},
			{"id": 4},
			{"id": {}, "file_name": "e.jpg"},
			{"id": 6, "file_name": "same.jpg"}, {"id": 6, "file_name": "same.jpg"},
			{"id": 7, "file_name": "f.jpg"}, {"id": 7, "file_name": "g.jpg"},
			3
		]
	}`})
	src, findings := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
	var got []string
	for line := range strings.Lines(summary(t, src)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), ":")
		got = append(got, line)
	}
	want := []string{"data/a.jpg (number) (unknown-image)", "x/b.jpg 10x20 car car (unknown-member) (unknown-image)", "train2017/c.jpg (unknown-image)", "image 4 ERROR read image 4 of a.json",
		"e.jpg ERROR read image entry 5 of a.json", "same.jpg (unknown-image)", "f.jpg ERROR read image 7 of a.json", "g.jpg ERROR read image 7 of a.json"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := kinds(*findings), []string{"duplicate-image", "duplicate-image", "image-entry", "image-name", "unknown-image", "unknown-image", "unknown-image"}; !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v\n%+v", got, want, *findings)
	}
}

// A walk can be taken up behind any of its items.
func TestCursors(t *testing.T) {
	root := tree(t, map[string]string{
		"data.yaml": "train: [images/b, list.txt]\n" + names, "list.txt": "images/z/1.jpg\nimages/z/2.jpg",
		"labels/b/1.txt": "", "labels/b/a/2.txt": "", "labels/b/a-/3.txt": "", "labels/b/a.txt": "", "labels/b/z/4.txt": "",
		"labels/z/1.txt": "", "labels/z/2.txt": "",
		"set.jsonl": `{"image":"a.jpg","annotations":[]}` + "\n" + `{"image":"b.jpg","annotations":[]}` + "\n",
		"coco.json": `{"images":[{"id":1,"file_name":"a.jpg"},{"id":2,"file_name":"b.jpg"},{"id":3,"file_name":"c.jpg"}],"annotations":[]}`,
	})
	list := filepath.Join(root, "list.db")
	src, _ := opened(t, root, convert.OpenOptions{})
	if _, err := manifest.Write(t.Context(), src, list, tellNobody); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "set.jsonl", "coco.json", "list.db"} {
		src, _ := opened(t, filepath.Join(root, name), convert.OpenOptions{})
		all := items(t, src, "")
		if len(all) < 2 {
			t.Fatalf("%s: %d items", name, len(all))
		}
		for i, item := range all {
			var want, got []string
			for _, rest := range all[i+1:] {
				want = append(want, rest.Image)
			}
			for _, rest := range items(t, src, item.Cursor) {
				got = append(got, rest.Image)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: behind %s (%s) come %v, want %v", name, item.Image, item.Cursor, got, want)
			}
		}
		for _, err := range src.Items(t.Context(), "nonsense") {
			if err == nil {
				t.Errorf("%s: took a cursor that is none", name)
			}
			break
		}
	}
}

// A cursor is of no use once what it counts has changed.
func TestFingerprint(t *testing.T) {
	root := tree(t, map[string]string{"coco.json": `{"images":[],"annotations":[]}`})
	file := filepath.Join(root, "coco.json")
	print := func(o convert.OpenOptions) string {
		src, _ := opened(t, file, o)
		return src.Describe().Fingerprint
	}
	first := print(convert.OpenOptions{})
	if again := print(convert.OpenOptions{}); again != first {
		t.Error("the same source has another fingerprint")
	}
	if other := print(convert.OpenOptions{Exclude: []string{"x"}}); other == first {
		t.Error("other options have the same fingerprint")
	}
	if err := os.WriteFile(file, []byte(`{"images":[],"annotations":[] }`), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := print(convert.OpenOptions{}); changed == first {
		t.Error("a changed file has the same fingerprint")
	}
}

// A COCO file that is written over while it is in use is noticed: its index
// would lead into the wrong annotations.
func TestChangedFile(t *testing.T) {
	root := tree(t, map[string]string{"a.json": `{"images":[{"id":1,"file_name":"a.jpg"}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,1,1]}]}`})
	file := filepath.Join(root, "a.json")
	src, _ := opened(t, file, convert.OpenOptions{})
	all := items(t, src, "")
	if err := os.WriteFile(file, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Load(t.Context(), all[0], convert.Size{}); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("got %v", err)
	}
}

// Loops, dangling links, folders that may not be read, pipes and odd names are
// survived and told.
func TestHostileTree(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: links need rights on Windows")
	}
	root := tree(t, map[string]string{"classes.txt": "car", "labels/a.txt": "", "labels/sub/b.txt": "", "labels/with space #1/c.txt": "", "shut/d.txt": ""})
	outside := tree(t, map[string]string{"e.txt": "", "deep/f.txt": ""})
	for link, to := range map[string]string{"labels/sub/loop": root, "labels/self": "self", "labels/gone.txt": "nowhere", "labels/outside": outside, "labels/outside2": outside, "linked.txt": filepath.Join(outside, "e.txt")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "labels", "bad\xff.txt"), nil, 0o644); err != nil {
		t.Logf("no names that are not UTF-8 here: %v", err)
	}
	if err := os.Mkdir(filepath.Join(root, "labels", "folder.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "shut"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(root, "shut"), 0o755) })
	src, findings := opened(t, root, convert.OpenOptions{})
	var got []string
	for _, item := range items(t, src, "") {
		line := item.Image
		if item.Err != nil {
			line += " ERROR"
		}
		got = append(got, line)
	}
	want := []string{"a", "bad\ufffd ERROR", "outside/deep/f", "outside/e", "sub/b", "with space #1/c", "linked"}
	if os.Getuid() == 0 {
		want = append(want, "shut/d") // root may read everything
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for _, kind := range []string{"repeated-folder", "unreadable"} {
		if !slices.Contains(kinds(*findings), kind) {
			t.Errorf("no finding %s: %+v", kind, *findings)
		}
	}
}

// The size of a photograph that is turned by its EXIF orientation is that of
// the turned picture.
func TestOrientation(t *testing.T) {
	var b strings.Builder
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 10)), nil); err != nil {
		t.Fatal(err)
	}
	plain := b.String()
	exif := func(orientation byte) string {
		// APP1: Exif, TIFF big-endian, one entry: 0x0112 SHORT.
		body := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation)) + "\x00\x00\x00\x00\x00\x00"
		return plain[:2] + "\xff\xe1" + string([]byte{0, byte(len(body) + 2)}) + body + plain[2:]
	}
	root := tree(t, map[string]string{"plain.jpg": plain, "1.jpg": exif(1), "3.jpg": exif(3), "6.jpg": exif(6), "8.jpg": exif(8), "bad.jpg": plain[:20], "none.jpg": "no image"})
	for name, want := range map[string]convert.Size{"plain.jpg": {Width: 30, Height: 10}, "1.jpg": {Width: 30, Height: 10}, "3.jpg": {Width: 30, Height: 10},
		"6.jpg": {Width: 10, Height: 30}, "8.jpg": {Width: 10, Height: 30}} {
		if got, err := source.ImageSize(filepath.Join(root, name)); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"bad.jpg", "none.jpg", "gone.jpg"} {
		if got, err := source.ImageSize(filepath.Join(root, name)); err == nil {
			t.Errorf("%s: %v and no error", name, got)
		}
	}
}

// A manifest gives what its source gives.
func TestManifest(t *testing.T) {
	coco := `{"images":[{"id":1,"file_name":"a.jpg","width":20,"height":10}],"categories":[{"id":1,"name":"car"}],"annotations":[{"id":7,"image_id":1,"category_id":1,"bbox":[1,2,3,4]}]}`
	for name, files := range map[string]map[string]string{
		"yolo": {"data.yaml": "train: images\n" + names, "images/t/a.png": small, "labels/t/a.txt": box, "labels/b.txt": ""},
		"pose": {"data.yaml": "kpt_shape: [2, 2]\nkpt_names: [head, tail]\n" + names, "images/a.png": small, "labels/a.txt": "0 .5 .5 .5 .5 .1 .1 .2 .2"},
		"coco": {"train/_annotations.coco.json": coco, "other/b.json": coco},
		"canonical": {"a.jsonl": `{"image":"x/a.jpg","width":4,"height":5,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}` + "\n" +
			`{"image":"b.jpg","annotations":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, files)
			source := root
			if name == "canonical" {
				source = filepath.Join(root, "a.jsonl")
			}
			src, _ := opened(t, source, convert.OpenOptions{})
			for _, out := range []string{filepath.Join(root, "list.db"), filepath.Join(t.TempDir(), "elsewhere.db")} {
				n, err := manifest.Write(t.Context(), src, out, tellNobody)
				if err != nil || n != len(items(t, src, "")) {
					t.Fatalf("write: %d %v", n, err)
				}
				list, findings := opened(t, out, convert.OpenOptions{})
				if got, want := results(t, list), results(t, src); got != want {
					t.Errorf("got\n%swant\n%s%v", got, want, *findings)
				}
			}
		})
	}
	root := tree(t, map[string]string{"classes.txt": "car", "a.txt": box})
	src, _ := opened(t, root, convert.OpenOptions{})
	if _, err := manifest.Write(t.Context(), src, filepath.Join(root, "no", "folder.db"), tellNobody); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	if left, _ := filepath.Glob(filepath.Join(root, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// results are the items with their annotations, as JSON.
func results(t *testing.T, src convert.Source) string {
	t.Helper()
	var b strings.Builder
	for _, item := range items(t, src, "") {
		result, err := src.Load(t.Context(), item, convert.Size{})
		data, marshalErr := json.Marshal(result.Annotations)
		fmt.Fprintln(&b, item.Image, item.Aliases, item.Stem, item.Err, result.Size, string(data), err, marshalErr)
	}
	return b.String()
}

// Rows of a manifest made by hand: inline labels, and what is wrong with a row
// is that row's failure.
func TestManifestRows(t *testing.T) {
	root := tree(t, map[string]string{"l/a.txt": box})
	file := filepath.Join(root, "m.db")
	db := newManifest(t, file)
	db(`INSERT INTO class_sets VALUES (1, '{"names":{"0":"car","1":"truck"}}'), (2, '[{"id":5,"name":"bus"}]'), (3, 'x')`)
	db(`INSERT INTO images (image, format, label_path, label, image_id, width, height, class_set) VALUES
		('a.jpg', 'yolo', 'l/a.txt', NULL, NULL, 10, 20, 1),
		('b', 'yolo', NULL, '1 .5 .5 .5 .5', NULL, 10, 20, 1),
		('c.jpg', 'yolo', NULL, '', NULL, NULL, NULL, 1),
		('d.jpg', 'coco', NULL, '[{"id":1,"category_id":5,"bbox":[1,2,3,4]}]', '6e6f0a0e-7d4f-4b6b-8a39-0d6e6e2f6f10', NULL, NULL, 2),
		('e.jpg', 'canonical', NULL, '[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]', NULL, NULL, NULL, NULL),
		('f.jpg', 'yolo', NULL, '0 .5 .5 .5 .5', NULL, 1, 1, 9),
		('g.jpg', 'yolo', NULL, '0 .5 .5 .5 .5', NULL, 1, 1, 3),
		('h.jpg', 'coco', NULL, '{}', NULL, NULL, NULL, 2),
		('i.jpg', 'canonical', NULL, '[{"id":1}]', NULL, NULL, NULL, NULL),
		('../j.jpg', 'canonical', NULL, '[]', NULL, NULL, NULL, NULL),
		('k.jpg', 'canonical', NULL, '[]', NULL, -1, 5, NULL),
		('l.jpg', 'yolo', 'gone.txt', NULL, NULL, 1, 1, 1),
		('o.jpg', 'yolo', '../l/a.txt', NULL, NULL, 1, 1, 1),
		('p.jpg', 'yolo', '/etc/hostname', NULL, NULL, 1, 1, 1),
		('m.jpg', 'coco', 'gone.json', NULL, NULL, 1, 1, NULL),
		('n.jpg', 'canonical', NULL, '[]', NULL, NULL, NULL, NULL),
		('n.jpg', 'canonical', NULL, '[]', NULL, NULL, NULL, NULL)`)
	src, _ := opened(t, file, convert.OpenOptions{})
	var got []string
	for line := range strings.Lines(summary(t, src)) {
		line, _, _ = strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), root, ""), ":")
		got = append(got, line)
	}
	want := []string{"a.jpg 10x20 car", "b.* 10x20 truck", "c.jpg", "d.jpg bus", "e.jpg car",
		"f.jpg FAILED the manifest has no class set 9, so the classes are not known", "g.jpg FAILED read class set 3 of the manifest",
		"h.jpg FAILED read row 8", "i.jpg FAILED read row 9", "../j.jpg ERROR read row 10 of the manifest", "k.jpg ERROR read row 11 of the manifest",
		"l.jpg FAILED read gone.txt", "o.jpg ERROR read row 13 of the manifest", "p.jpg ERROR read row 14 of the manifest",
		"m.jpg FAILED read /gone.json", "n.jpg ERROR read row 16 of the manifest", "n.jpg ERROR read row 17 of the manifest"}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("row %d: got %q, want %q", i+1, at(got, i), want[i])
		}
	}
	if id := items(t, src, "")[3].ImageID; id != "6e6f0a0e-7d4f-4b6b-8a39-0d6e6e2f6f10" {
		t.Errorf("image id %q", id)
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// The listing's size is used last, and a difference is told.
func TestListedSize(t *testing.T) {
	root := tree(t, map[string]string{"classes.txt": "car", "a.png": small, "a.txt": box, "b.txt": box})
	src, _ := opened(t, root, convert.OpenOptions{})
	all := items(t, src, "")
	listed := convert.Size{Width: 40, Height: 40}
	a, err := src.Load(t.Context(), all[0], listed)
	if err != nil || a.Size != (convert.Size{Width: 20, Height: 10}) || len(a.Findings) != 1 || a.Findings[0].Kind != convert.KindSizeMismatch {
		t.Errorf("%+v %v", a, err)
	}
	b, err := src.Load(t.Context(), all[1], listed)
	if err != nil || b.Size != listed || len(b.Findings) != 0 || len(b.Annotations) != 1 {
		t.Errorf("%+v %v", b, err)
	}
}

// A walk ends where its context does.
func TestCancel(t *testing.T) {
	root := tree(t, map[string]string{"classes.txt": "car", "a.txt": "", "b.txt": ""})
	src, _ := opened(t, root, convert.OpenOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range src.Items(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Open(ctx, root, convert.OpenOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
}

const shared = "../../../shared/data"

// The real labels, where they are at hand.
func TestRealLabels(t *testing.T) {
	if _, err := os.Stat(shared); err != nil {
		t.Skip("skipped: the folder ../shared/data is not there")
	}
	for _, c := range []struct {
		path                     string
		options                  convert.OpenOptions
		images, annotations, bad int
	}{
		// As the SDK's converters count them, and pycocotools and scipy the regions
		// of the 11 and 5 masks (81 and 48).
		{"coco/instances_sample.json", convert.OpenOptions{}, 80, 969, 0},
		{"coco/person_keypoints_sample.json", convert.OpenOptions{}, 80, 940, 0},
		{"coco", convert.OpenOptions{Include: []string{"instances*"}}, 80, 969, 0},
		{"yolo-detect", convert.OpenOptions{}, 128, 929, 2},
		{"yolo-segment", convert.OpenOptions{Images: filepath.Join(shared, "yolo-detect/images")}, 100, 746, 0},
	} {
		src, _ := opened(t, filepath.Join(shared, c.path), c.options)
		images, annotations, bad := 0, 0, 0
		for _, item := range items(t, src, "") {
			images++
			result, err := src.Load(t.Context(), item, convert.Size{})
			if annotations += len(result.Annotations); item.Err != nil || err != nil || len(result.Annotations) == 0 && result.LeftOut > 0 {
				bad++
			}
		}
		if images != c.images || annotations != c.annotations || bad != c.bad {
			t.Errorf("%s: %d images, %d annotations, %d failed; want %d, %d, %d", c.path, images, annotations, bad, c.images, c.annotations, c.bad)
		}
	}
}

func tellNobody(convert.Finding) {}
