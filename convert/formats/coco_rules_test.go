package formats

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/coco"
	"pictosync/convert/manifest"
)

const twoImages = `{"images":[{"id":1,"file_name":"000002.jpg","width":640,"height":480},{"id":2,"file_name":"x/dog.jpg","width":640,"height":480}],"categories":[{"id":1,"name":"car"}],"annotations":[]}`

// Names of another machine keep what of them is a path; what harms one member of an entry
// harms no other.
func TestImageEntries(t *testing.T) {
	for entry, want := range map[string]string{
		`"file_name": "/data/set/train/a.jpg"`: "data/set/train/a.jpg", `"file_name": "C:\\set\\train\\a.jpg"`: "set/train/a.jpg", `"file_name": "\\\\server\\share\\a.jpg"`: "server/share/a.jpg",
		`"file_name": "file:///data/a%20b.jpg"`: "data/a b.jpg", `"file_name": "https://h.example/set/tr%C3%A4in/a.jpg?x=1"`: "set/träin/a.jpg", `"file_name": "s3://bucket/set/a.jpg"`: "set/a.jpg",
		`"file_name": "../images/a.jpg"`: "images/a.jpg", `"file_name": "./a.jpg"`: "a.jpg", `"file_name": "a.jpg", "date_captured": NaN, "x": [-Infinity, {"y": NaN}]`: "a.jpg",
		`"file_name": "NaN.jpg", "width": NaN, "height": 480`: "NaN.jpg", `"file_name": "a.jpg", "coco_url": 5`: "a.jpg", `"file_name": "a.jpg", "width": "640", "height": "480"`: "a.jpg",
		`"coco_url": "http://h.example/val2017/a.jpg"`: "val2017/a.jpg", `"file_name": 7`: "image 1 !", `"file_name": "/"`: "image 1 !", `"file_name": null`: "image 1 !", `"x": 1`: "image 1 !",
	} {
		root := tree(t, map[string]string{"a.json": `{"images":[{"id":1, ` + entry + `}],"categories":[],"annotations":[]}`})
		src, _ := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
		got := ""
		for _, item := range items(t, src, "") {
			if got += item.Image; item.Err != nil {
				got += " !"
			}
		}
		if got != want {
			t.Errorf("%s is %q, want %q", entry, got, want)
		}
	}
	root := tree(t, map[string]string{"a.json": `{"images":[{"id":1,"file_name":"a.jpg"}, 7, {"id": }, {"id":4,"file_name":"d.jpg"}],"categories":[],"annotations":[{"image_id":3},{"image_id":3}]}`})
	src, found := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
	if got := items(t, src, ""); len(got) != 2 || src.(convert.Counter).LeftOut() != (convert.Count{Images: 2, Annotations: 2}) {
		t.Errorf("%v, left out %+v", got, src.(convert.Counter).LeftOut())
	}
	var at []string
	for _, f := range *found {
		at = append(at, fmt.Sprint(f.Kind, " ", f.At, " ", f.Image, f.Count))
	}
	if want := []string{"image-entry image entry 2 0", "image-entry image entry 3 0", "unknown-image image_id 3 2"}; !slices.Equal(at, want) {
		t.Errorf("findings %q, want %q", at, want)
	}
}

// Results name their images by id, by name, by stem, or by the number that the stem is;
// where that may be two images, nothing is taken.
func TestResultsByName(t *testing.T) {
	for ids, want := range map[string]string{
		`1 2`: "000002.jpg x/dog.jpg", `"dog" "000002"`: "000002.jpg x/dog.jpg", `"x/dog.jpg"`: "x/dog.jpg", `"dog.jpg" 1`: "000002.jpg x/dog.jpg",
		`"cat" 1`: "000002.jpg", `1`: "000002.jpg", `2`: "! may be the id of x/dog.jpg and the name of 000002.jpg", `2 "000002"`: "! may be the id",
	} {
		var results []string
		for _, id := range strings.Fields(ids) {
			results = append(results, `{"image_id":`+id+`,"category_id":1,"bbox":[10,20,30,40],"score":0.5}`)
		}
		root := tree(t, map[string]string{"gt.json": twoImages, "r.json": "[" + strings.Join(results, ",") + "]"})
		src, err := Open(t.Context(), filepath.Join(root, "r.json"), convert.OpenOptions{})
		if reason, refused := strings.CutPrefix(want, "! "); refused {
			if e := new(convert.Error); !errors.As(err, &e) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v", ids, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, item := range items(t, src, "") {
			got = append(got, item.Image)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", ids, got, want)
		}
	}
}

// Annotations that name no image, or one by its name, may be of any that is empty.
func TestUnlinkedAnnotations(t *testing.T) {
	for link, want := range map[string]string{
		`"item_id":1`:                           "2 annotations name no image: they have no image_id; it may be what they call item_id",
		`"imageId":1`:                           "it may be what they call imageId",
		`"image_id":null,"file_name":"a"`:       "it may be what they call file_name",
		`"image":{"id":1}`:                      "it may be what they call image",
		`"x":1`:                                 "2 annotations name no image: they have no image_id",
		`"image_id":[1]`:                        "its image cannot be told",
		`"image_id":"dog.jpg"`:                  "is no id of the file and may mean the name of this image",
		`"image_id":"x/dog.jpg"`:                "is no id of the file and may mean the name of this image",
		`"image_id":9`:                          "the image has no annotations, and nothing tells whether it should: a.json has annotations of the image_id 9",
		`"image_id":1.5`:                        "annotations of the image_id 1.5",
		`"image_id":77777777777777777777777`:    "the image has no annotations",
		`"image_id":1,"image_id":2`:             "has several image_ids",
		`"image_id":2,"image_id":2`:             "",
		`"\u0069mage_id":2,"image":"something"`: "",
	} {
		one := `{"id":1,` + link + `,"category_id":1,"bbox":[10,20,30,40]}`
		root := tree(t, map[string]string{"a.json": strings.Replace(twoImages, `"annotations":[]`, `"annotations":[`+one+`,`+one+`]`, 1)})
		src, found := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
		got, read := "", 0
		for _, item := range items(t, src, "") {
			r, err := src.Load(t.Context(), item, convert.Size{})
			if err != nil {
				t.Fatal(err)
			}
			read += r.Read
			for _, f := range r.Findings {
				if f.Kind == convert.KindUnknownImage {
					got = f.Reason
				}
			}
		}
		if want == "" != (got == "") || !strings.Contains(got, want) || read == 0 && len(*found) == 0 {
			t.Errorf("%s: %q, want %q; %+v", link, got, want, *found)
		}
	}
}

// Beside annotations without an image, images with annotations are taken, and those
// without fail: in a file with all of its annotations, they are empty.
func TestOwnerlessAnnotations(t *testing.T) {
	one := func(image int) string {
		return fmt.Sprintf(`{"id":1,"image_id":%d,"category_id":1,"bbox":[10,20,30,40]}`, image)
	}
	for annotations, want := range map[string]string{one(1): "", one(1) + "," + one(22): "x/dog.jpg"} {
		root := tree(t, map[string]string{"a.json": strings.Replace(twoImages, `"annotations":[]`, `"annotations":[`+annotations+`]`, 1)})
		src, _ := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
		if got := strings.Join(unknownImages(t, src), " "); got != want {
			t.Errorf("%s: %q fail, want %q", annotations, got, want)
		}
	}
	root := tree(t, map[string]string{"gt.json": twoImages, "r.json": `[` + one(1) + `]`})
	src, found := opened(t, root, convert.OpenOptions{})
	if got := unknownImages(t, src); len(got) != 2 || !slices.ContainsFunc(*found, func(f convert.Finding) bool {
		return f.Kind == convert.KindUnknownImage && f.File == "r.json" && f.Count == 1
	}) {
		t.Errorf("results beside no annotations: %q fail; %+v", got, *found)
	}
}

// unknownImages are the images that annotations may be missing from.
func unknownImages(t *testing.T, src convert.Source) (images []string) {
	for _, item := range items(t, src, "") {
		r, err := src.Load(t.Context(), item, convert.Size{})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(r.Findings, func(f convert.Finding) bool { return f.Kind == convert.KindUnknownImage }) {
			images = append(images, item.Image)
		}
	}
	return images
}

// Entries that say two things, or hold what belongs elsewhere, are left out.
func TestContradictoryImageEntries(t *testing.T) {
	for entry, want := range map[string]string{
		`"id":1,"file_name":"a.jpg","file_name":"b.jpg"`:                  `image-entry the entry cannot be read: it has the key "file_name" twice`,
		`"id":1,"file_name":"a.jpg","width":640,"height":480,"width":480`: `the key "width" twice, with 640 and 480`,
		`"id":1,"file_name":"a.jpg","ID":2`:                               `the key "id" twice`,
		`"id":1,"file_name":"a.jpg","id":1`:                               `duplicate-key the key "id" stands twice`,
		"\"id\":1,\"file_name\":\"d\xe9cran.jpg\"":                        "image-entry the entry cannot be read: its file_name is no valid UTF-8",
		`"id":1,"file_name":"a\ud800.jpg"`:                                "no valid UTF-8",
		`"id":1,"file_name":"a.jpg","annotations":[{"bbox":[1,2,3,4]}]`:   "image-entry the entry cannot be read: it has annotations of its own",
		`"id":1,"file_name":"a.jpg","annotations":[],"x":[1]`:             "",
	} {
		root := tree(t, map[string]string{"a.json": `{"images":[{` + entry + `}],"categories":[],"annotations":[]}`})
		src, found := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
		got := ""
		for _, f := range *found {
			got += fmt.Sprint(f.Kind, " ", f.Reason)
		}
		left := len(items(t, src, ""))
		if !strings.Contains(got, want) || want == "" && got != "" || strings.Contains(got, "image-entry") != (left == 0) {
			t.Errorf("%s: %q and %d images, want %q", entry, got, left, want)
		}
	}
}

// Corners are a property of the file: where those of one image can be nothing else, boxes
// of another that may be corners are not taken. A file of boxes that cannot be is none.
func TestCornersOfAFile(t *testing.T) {
	type boxes = map[string]string // by image
	const corners = "[400,300,600,470]"
	many := boxes{"bad.jpg": corners, "fits.jpg": "[10,20,60,70]"}
	for i := range 11 {
		many[fmt.Sprintf("%d.jpg", i)] = "[300,200,60,70]"
	}
	for _, c := range []struct {
		boxes boxes
		lost  string
	}{
		{boxes{"a.jpg": corners, "b.jpg": "[10,20,60,70]", "c.jpg": "[300,200,60,70]", "d.jpg": "[10,20,60,70],[10,20,700,70]"}, "a.jpg b.jpg"},
		{boxes{"a.jpg": "[10,20,60,70]", "b.jpg": "[300,200,60,70]"}, ""},
		{many, "bad.jpg"},
	} {
		var images, annotations []string
		for i, name := range slices.Sorted(maps.Keys(c.boxes)) {
			images = append(images, fmt.Sprintf(`{"id":%d,"file_name":%q,"width":640,"height":480}`, i+1, name))
			for _, box := range strings.SplitAfter(c.boxes[name], "],") {
				annotations = append(annotations, fmt.Sprintf(`{"id":%d,"image_id":%d,"category_id":1,"bbox":%s}`, len(annotations)+1, i+1, strings.TrimSuffix(box, ",")))
			}
		}
		root := tree(t, map[string]string{"a.json": `{"images":[` + strings.Join(images, ",") + `],"categories":[{"id":1,"name":"car"}],"annotations":[` + strings.Join(annotations, ",") + `]}`})
		src, _ := opened(t, filepath.Join(root, "a.json"), convert.OpenOptions{})
		var lost []string
		for _, item := range items(t, src, "") {
			r, err := src.Load(t.Context(), item, convert.Size{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if f.Kind == convert.KindBoxNotation {
					lost = append(lost, item.Image)
				}
			}
		}
		if got := strings.Join(lost, " "); got != c.lost {
			t.Errorf("%v: %q fail, want %q", c.boxes, got, c.lost)
		}
	}
}

// JSON of other formats is named as what it is, in a folder too.
func TestForeignLabels(t *testing.T) {
	for text, want := range map[string]string{
		`[{"id":1,"data":{"image":"a.jpg"},"annotations":[{"result":[]}]}]`: "Label Studio",
		`[{"image":"a.jpg","id":1,"label":[{"x":1}]}]`:                      "Label Studio",
		`{"version":"5","shapes":[],"imagePath":"a.jpg"}`:                   "LabelMe",
		`{"a.jpg123":{"filename":"a.jpg","size":123,"regions":[]}}`:         "VIA",
		`{"_via_settings":{},"_via_img_metadata":{}}`:                       "VIA",
		`[{"name":"a.jpg","labels":[{"category":"car","box2d":{}}]}]`:       "BDD100K",
		`[{"data_row":{"id":"x"},"projects":{}}]`:                           "Labelbox",
		`{"metadata":{"name":"a.jpg"},"instances":[]}`:                      "SuperAnnotate",
		`[{"id":1,"category_id":1,"bbox":[1,2,3,4],"item_id":7}]`:           "name no image",
		`[{"file":"a.jpg","objects":[]}]`:                                   "no format that is read",
	} {
		root := tree(t, map[string]string{"labels.json": text, "gt.json": twoImages})
		for _, source := range []string{"labels.json", "."} {
			_, err := Open(t.Context(), filepath.Join(root, source), convert.OpenOptions{})
			if e := new(convert.Error); !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
		if _, err := Open(t.Context(), root, convert.OpenOptions{Exclude: []string{"labels.json"}}); err != nil {
			t.Errorf("without it: %v", err)
		}
	}
	src, findings := opened(t, tree(t, map[string]string{"package.json": `{"name":"x","version":1}`, "list.json": `[{"a":1}]`, "gt.json": twoImages}), convert.OpenOptions{})
	if len(items(t, src, "")) != 2 || len(*findings) != 2 {
		t.Errorf("other JSON: %+v", *findings)
	}
}

// Several files of the same images are refused, chosen from, or merged.
func TestFilesOfTheSameImages(t *testing.T) {
	file := func(annotations, categories string) string {
		return `{"images":[{"id":1,"file_name":"a.jpg","width":640,"height":480},{"id":2,"file_name":"b.jpg","width":640,"height":480}],"annotations":[` + annotations + `],"categories":[` + categories + `]}`
	}
	instances := file(`{"id":1,"image_id":1,"category_id":1,"segmentation":[[10,10,60,10,60,50]],"bbox":[10,10,50,40]},{"id":2,"image_id":2,"category_id":2,"bbox":[1,2,30,40]}`, `{"id":1,"name":"person"},{"id":2,"name":"bus"}`)
	keypoints := file(`{"id":1,"image_id":1,"category_id":1,"segmentation":[[10,10,60,10,60,50.001]],"bbox":[10,10,50,40],"keypoints":[20,20,2,30,20,1],"num_keypoints":2},{"id":3,"image_id":1,"category_id":1,"bbox":[5,5,20,20]}`,
		`{"id":1,"name":"person","keypoints":["nose","eye"],"skeleton":[[1,2]]}`)
	files := map[string]string{"instances.json": instances, "person_keypoints.json": keypoints,
		"captions.json":   `{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"id":1,"image_id":1,"caption":"a bus"}]}`,
		"image_info.json": `{"images":[{"id":9,"file_name":"z.jpg"}],"categories":[]}`}
	root := tree(t, files)
	if _, err := Open(t.Context(), root, convert.OpenOptions{}); err == nil || !strings.Contains(err.Error(), "instances.json and person_keypoints.json describe the same images") {
		t.Errorf("got %v", err)
	}
	for _, o := range []convert.OpenOptions{{Include: []string{"instances*"}}, {Exclude: []string{"person_*"}}} {
		src, findings := opened(t, root, o)
		if got := summary(t, src); got != "a.jpg 640x480 person\nb.jpg 640x480 bus\n" {
			t.Errorf("%+v: %s", o, got)
		}
		if !slices.Contains(kinds(*findings), "skipped-file") {
			t.Errorf("findings %+v", *findings)
		}
	}
	src, _ := opened(t, root, merging)
	if got := summary(t, src); got != "a.jpg 640x480 nose eye person (further-geometry)\nb.jpg 640x480 bus\n" {
		t.Errorf("merged: %s", got)
	}
	counted := src.(convert.Counter).LeftOut().Annotations
	for _, item := range items(t, src, "") {
		counted += item.Annotations
		r, err := src.Load(t.Context(), item, convert.Size{})
		if err != nil || r.Read != item.Annotations {
			t.Errorf("%s: %d read, %d counted, %v", item.Image, r.Read, item.Annotations, err)
		}
	}
	if counted != 4 {
		t.Errorf("%d of 4 annotations are accounted for", counted)
	}
	if _, err := manifest.Write(t.Context(), src, filepath.Join(t.TempDir(), "m.db"), tellNobody); err == nil {
		t.Error("merged files were listed")
	}
	for name, change := range map[string]func(string) string{
		"another bbox":  func(s string) string { return strings.Replace(s, `[10,10,50,40]`, `[11,10,50,40]`, 1) },
		"another class": func(s string) string { return strings.Replace(s, `"category_id":1,"segm`, `"category_id":2,"segm`, 1) },
		"another image id": func(s string) string {
			return strings.NewReplacer(`"image_id":1`, `"image_id":7`, `{"id":1,"file`, `{"id":7,"file`).Replace(s)
		},
		"another size": func(s string) string { return strings.Replace(s, `"width":640`, `"width":641`, 1) },
	} {
		src, _ := opened(t, tree(t, map[string]string{"a.json": instances, "b.json": change(keypoints)}), merging)
		first := items(t, src, "")[0]
		if _, err := src.Load(t.Context(), first, convert.Size{}); err == nil && first.Err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Open(t.Context(), tree(t, map[string]string{"a.json": instances, "b.json": strings.Replace(keypoints, `"name":"person"`, `"name":"horse"`, 1)}), merging); err == nil || !strings.Contains(err.Error(), "horse") {
		t.Errorf("other names: %v", err)
	}
}

// Sizes that differ between label, local file and listing fail the image, unless the
// labels are to be scaled or kept.
func TestCOCOSizes(t *testing.T) {
	root := tree(t, map[string]string{"a.json": `{"images":[{"id":1,"file_name":"a.png","width":200,"height":100},{"id":2,"file_name":"b.png"}],"categories":[{"id":1,"name":"car"}],
		"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[20,20,100,50]},{"id":2,"image_id":2,"category_id":1,"bbox":[1,2,3,4]}]}`, "b.png": picture(20, 10), "elsewhere/a.png": picture(100, 50)})
	for _, c := range []struct {
		options convert.OpenOptions
		listed  convert.Size
		want    string
	}{
		{convert.OpenOptions{}, convert.Size{}, "{200 100} [] {20 10} []"},
		{convert.OpenOptions{}, convert.Size{Width: 100, Height: 50}, "{200 100} [size-mismatch] {20 10} [size-mismatch]"},
		{convert.OpenOptions{Images: filepath.Join(root, "elsewhere")}, convert.Size{}, "{200 100} [size-mismatch] {20 10} []"},
		{convert.OpenOptions{OnSizeMismatch: convert.SizeScale}, convert.Size{Width: 100, Height: 50}, "{100 50} [resized] {100 50} [resized]"},
		{convert.OpenOptions{OnSizeMismatch: convert.SizeKeep}, convert.Size{Width: 50, Height: 100}, "{200 100} [resized] {20 10} [resized]"},
	} {
		src, _ := opened(t, filepath.Join(root, "a.json"), c.options)
		var got []string
		for _, item := range items(t, src, "") {
			r, err := src.Load(t.Context(), item, c.listed)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(r.Size, " ", kinds(r.Findings)))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v %v: %v, want %s", c.options, c.listed, got, c.want)
		}
	}
}

var merging = convert.OpenOptions{Own: map[string]convert.Flags{"coco": &coco.Flags{MergeFiles: true}}}
