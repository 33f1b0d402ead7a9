package formats

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/manifest"
	"pictosync/convert/yolo"
)

// Labels are found wherever trainers, exports and other systems leave them.
func TestYOLOFindsLabels(t *testing.T) {
	const nfd, nfc = "cafe\u0301", "caf\u00e9"
	for _, c := range []struct {
		name     string
		files    map[string]string
		options  convert.OpenOptions
		want     string
		findings []string
	}{{
		name: "the folder's old name before the splits",
		files: map[string]string{"data.yaml": "train: Noosa_2-1/train/images\nval: Noosa_2-1/valid/images\n" + names,
			"train/images/a.png": small, "train/labels/a.txt": box, "valid/images/b.png": small, "valid/labels/b.txt": box, "test/images/c.png": small, "test/labels/c.txt": box},
		want:     "train/a.png 20x10 car\nvalid/b.png 20x10 car\ntest/c.png 20x10 car\n",
		findings: []string{"relocated-path", "relocated-path", "unnamed-split"},
	}, {
		name: "images in the path itself",
		files: map[string]string{"data.yaml": "path: images\ntrain: train\n" + names,
			"images/train/a.png": small, "labels/train/a.txt": box},
		want: "train/a.png 20x10 car\n",
	}, {
		name: "a split is not taken for another",
		files: map[string]string{"data.yaml": "train: images/train\nval: val/images\ntest: test/images\n" + names,
			"images/train/a.png": small, "labels/train/a.txt": box, "images/b.png": small, "labels/b.txt": box},
		want:     "train/a.png 20x10 car\n",
		findings: []string{"missing-split", "missing-test-split", "unnamed-split"},
	}, {
		name: "another machine's path",
		files: map[string]string{"data.yaml": "path: /Users/x/proj/data\ntrain: train/images\nval: train/images\n" + names,
			"data/train/images/i.png": small, "data/train/labels/i.txt": box},
		want:     "train/i.png 20x10 car\n",
		findings: []string{"relocated-path"},
	}, {
		name: "another machine's path, in its own notation",
		files: map[string]string{"data.yaml": "path: 'D:\\sets\\data'\ntrain: images\nval: images\n" + names,
			"data/images/i.png": small, "data/labels/i.txt": box},
		want:     "i.png 20x10 car\n",
		findings: []string{"relocated-path"},
	}, {
		name: "a renamed folder behind ..",
		files: map[string]string{"data.yaml": "train: ../old/train/images\nval: ../old/train/images\n" + names,
			"train/images/i.png": small, "train/labels/i.txt": box},
		want:     "train/i.png 20x10 car\n",
		findings: []string{"relocated-path", "relocated-path"},
	}, {
		name: "JPEGImages",
		files: map[string]string{"data.yaml": "train: VOC2007/JPEGImages\nval: VOC2007/JPEGImages\n" + names,
			"VOC2007/JPEGImages/a.png": small, "VOC2007/labels/a.txt": box},
		want: "VOC2007/a.png 20x10 car\n",
	}, {
		name: "JPEGImages in a list",
		files: map[string]string{"data.yaml": "train: train.txt\n" + names, "train.txt": "/home/x/VOC2007/JPEGImages/s/a.png\n",
			"VOC2007/JPEGImages/s/a.png": small, "VOC2007/labels/s/a.txt": box},
		want: "VOC2007/s/a.png 20x10 car\n", findings: []string{"relocated-path"},
	}, {
		name:     "labels beside images in JPEGImages",
		files:    map[string]string{"data.yaml": "train: JPEGImages\n" + names, "JPEGImages/a.png": small, "JPEGImages/a.txt": box, "labels/b.txt": truck},
		want:     "JPEGImages/a.png 20x10 car\n",
		findings: []string{"unnamed-split"},
	}, {
		name:  "two extensions",
		files: map[string]string{"classes.txt": "car", "a.png": small, "a.png.txt": box, "images/b.JPG": small, "labels/b.JPG.txt": box, "labels/c.jpg.txt": ""},
		want:  "a.png 20x10 car\nb.JPG 20x10 car\nc.jpg.*\n",
	}, {
		name:  "two labels for one image",
		files: map[string]string{"classes.txt": "car", "a.png": small, "a.png.txt": box, "a.txt": box},
		want:  "a.png ERROR a.txt is a label of the same image; leave one\na.png ERROR a.png.txt is a label of the same image; leave one\n",
	}, {
		name: "what systems leave behind",
		files: map[string]string{"classes.txt": "car", "._classes.txt": "\x00", "images/a.png": small, "images/._a.png": "\x00", "labels/a.txt": box, "labels/._a.txt": "\x00\x05",
			"__MACOSX/labels/._a.txt": "x", "__MACOSX/labels/b.txt": "x", "labels.cache": "x", ".DS_Store": "x", "images/Thumbs.db": "x", "._data.yaml": "x"},
		want: "a.png 20x10 car\n",
	}, {
		name: "labels named as in addresses",
		files: map[string]string{"classes.txt": "car", "images/d\u00e9 cran.png": small, "labels/d%C3%A9%20cran.txt": box,
			"images/x%20y.png": small, "labels/x y.txt": box, "images/50%.png": small, "labels/50%.txt": box},
		want: "50%.png 20x10 car\nd\u00e9 cran.png 20x10 car\nx%20y.png 20x10 car\n",
	}, {
		name:  "several spellings",
		files: map[string]string{"classes.txt": "car", "images/" + nfc + ".png": small, "images/" + nfc + ".jpg": small, "labels/" + nfd + ".txt": box},
		want:  nfd + ".* ERROR the label is for several images: " + nfc + ".jpg, " + nfc + ".png; give each a label of its own\n",
	}, {
		name:  "names taken apart",
		files: map[string]string{"classes.txt": "car", "images/" + nfc + "/" + nfc + ".png": small, "labels/" + nfd + "/" + nfd + ".txt": box},
		want:  nfd + "/" + nfc + ".png 20x10 car\n",
	}, {
		name: "lists that repeat images",
		files: map[string]string{"obj.data": "train = data/train.txt\nvalid = data/test.txt\nnames = obj.names\n", "obj.names": "car\n", "train.txt": "f/1.png\nf/2.png\n./f/2.png\n/x/f/2.png\n",
			"test.txt": "f/2.png\nf/1.png\n", "f/1.png": small, "f/1.txt": box, "f/2.png": small, "f/2.txt": box},
		want: "f/1.png 20x10 car\nf/2.png 20x10 car\n", findings: []string{"relocated-path"},
	}, {
		name:  "a list of a folder that is read",
		files: map[string]string{"data.yaml": "train: images\nval: val.txt\n" + names, "val.txt": "images/a.png\n", "images/a.png": small, "labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name: "images without labels, and none",
		files: map[string]string{"data.yaml": "train: train.txt\nval: val.txt\n" + names, "train.txt": "images/a.png\nimages/b.png\nimages/c.png\n", "val.txt": "images/a.png",
			"images/a.png": small, "labels/a.txt": box, "images/b.png": small},
		want:     "a.png 20x10 car\n",
		findings: []string{"image-without-label", "missing-file"},
	}, {
		name: "images without labels",
		files: map[string]string{"data.yaml": "train: images/train\nval: images/val\n" + names, "images/train/a.png": small, "labels/train/a.txt": box, "images/train/a.b.png": small,
			"images/train/z.jpg": small, "images/train/A.png": small, "images/val/b.png": small, "images/val/c.png": small},
		want:     "train/a.png 20x10 car\n",
		findings: []string{"image-without-label", "image-without-label", "image-without-label", "image-without-label"},
	}, {
		name:  "every label has an image",
		files: map[string]string{"classes.txt": "car", "a.png": small, "a.TXT": box, "a.b.png": small, "a.b.txt": box, "a-b.png": small, "a-b.txt": box, "aa.png": small, "aa.png.txt": box, "\u00e9.png": small, "e\u0301.txt": box},
		want:  "a-b.png 20x10 car\na.png 20x10 car\na.b.png 20x10 car\naa.png 20x10 car\n\u00e9.png 20x10 car\n",
	}, {
		name:    "a class list that is chosen",
		files:   map[string]string{"a/classes.txt": "bus", "b/classes.txt": "car", "b/right.txt": "van", "a/x.png": small, "a/x.txt": box},
		options: yoloWith(yolo.Flags{ClassList: "b/right.txt"}),
		want:    "a/x.png 20x10 van\n",
	}, {
		name:  "a class list far below",
		files: map[string]string{"classes.txt": "car\nbus", "x/y/z/classes.txt": "bus\ncar", "x/y/z/a.png": small, "x/y/z/a.txt": box, "x/y/b.png": small, "x/y/b.txt": box},
		want:  "x/y/b.png 20x10 car\nx/y/z/a.png ERROR x/y/z/classes.txt names other classes than classes.txt; say which is right with --class-list\n",
	}, {
		name:     "a class list beside a description",
		files:    map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": box, "labels/classes.txt": "car"},
		want:     "a.png 20x10 car\n",
		findings: []string{"class-list"},
	}, {
		name:    "a class list that is chosen before a description",
		files:   map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": box, "classes.txt": "truck\ncar"},
		options: yoloWith(yolo.Flags{ClassList: "classes.txt"}),
		want:    "a.png 20x10 truck\n",
	}, {
		name:    "a description that is chosen before a class list",
		files:   map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": box, "labels/classes.txt": "truck\ncar"},
		options: yoloWith(yolo.Flags{ClassList: "data.yaml"}),
		want:    "a.png 20x10 car\n",
	}, {
		name:  "another class list far below a description",
		files: map[string]string{"data.yaml": names, "labels/x/a.txt": box, "labels/x/classes.txt": "truck\ncar", "labels/b.txt": ""},
		want:  "b.*\nx/a.* ERROR labels/x/classes.txt names other classes than the data set's description: class 0 is car in one and truck in the other; say which is right with --class-list\n",
	}, {
		name:  "another class list beside listed labels",
		files: map[string]string{"obj.data": "train = train.txt\nnames = obj.names\n", "obj.names": "car\ntruck", "train.txt": "f/a.png\ng/b.png\n", "f/a.png": small, "f/a.txt": box, "f/classes.txt": "truck\ncar", "g/b.png": small, "g/b.txt": box},
		want:  "f/a.png ERROR f/classes.txt names other classes than the data set's description: class 0 is car in one and truck in the other; say which is right with --class-list\ng/b.png 20x10 car\n",
	}, {
		name:  "an image named like a class list",
		files: map[string]string{"data.yaml": names, "images/classes.png": small, "labels/classes.txt": box},
		want:  "classes.png 20x10 car\n",
	}, {
		name: "labels of other formats beside",
		files: map[string]string{"data.yaml": names, "labels/a.txt": "", "instances.json": `{"images":[],"annotations":[]}`, "old.json.gz": "\x1f\x8b", "lines.jsonl": "{}",
			"data2.yaml": "names: [car, truck, bus]\n", "voc.xml": "<annotation></annotation>", "package.json": `{"name":"x"}`, "hyp.yaml": "lr: 1\n", "images.zip": "PK\x03\x04", "sizes.json": `{"a.png":[20,10]}`},
		want:     "a.*\n",
		findings: slices.Repeat([]string{"skipped-file"}, 5),
	}, {
		name:     "labels of another format beside a class list",
		files:    map[string]string{"classes.txt": "car", "a.txt": "", "instances.json": `{"images":[],"annotations":[]}`},
		want:     "a.*\n",
		findings: []string{"skipped-file"},
	}, {
		name:  "Label Studio's notes that say the same",
		files: map[string]string{"classes.txt": "car\nbus", "notes.json": `{"categories":[{"id":0,"name":"car"},{"id":"1","name":"bus"}],"info":{}}`, "labels/a.txt": ""},
		want:  "a.*\n",
	}, {
		name:     "one name composed in two ways",
		files:    map[string]string{"data.yaml": "names: [\"" + nfc + "\", \"" + nfd + "\"]\n", "labels/a.txt": ""},
		want:     "a.*\n",
		findings: []string{"similar-class"},
	}, {
		name:  "class names with numbers",
		files: map[string]string{"classes.txt": "0\n1\n2\n", "labels/a.txt": ""},
		want:  "a.*\n",
	}, {
		name:  "class names that begin with numbers out of order",
		files: map[string]string{"classes.txt": "2 euro\n1 euro\n", "labels/a.txt": ""},
		want:  "a.*\n",
	}, {
		name:     "another name for a split",
		files:    map[string]string{"data.yaml": "train: train/images\nval: val/images\n" + names, "train/images/a.png": small, "train/labels/a.txt": box, "valid/images/b.png": small, "valid/labels/b.txt": box},
		want:     "train/a.png 20x10 car\nvalid/b.png 20x10 car\n",
		findings: []string{"relocated-path"},
	}, {
		name:  "capital letters",
		files: map[string]string{"data.yaml": "train: Images\n" + names, "Images/a.png": small, "Labels/a.txt": box},
		want:  "a.png 20x10 car\n",
	}, {
		name:     "letter case",
		files:    map[string]string{"classes.txt": "car", "A.PNG": small, "a.txt": box},
		want:     "a.* FAILED read a.txt: the size of its image is not known, which normalized coordinates need; give --images or --sizes; A.PNG differs from it in letter case alone\n",
		findings: []string{"image-without-label"},
	}, {
		name:  "labels that differ in the case of .txt",
		files: map[string]string{"classes.txt": "car", "a.png": small, "a.txt": box, "a.TXT": box},
		want:  "a.png ERROR a.txt is a label of the same image; leave one\na.png ERROR a.TXT is a label of the same image; leave one\n",
	}, {
		name:  "two labels for one image with two extensions",
		files: map[string]string{"classes.txt": "car", "a.png.jpg": small, "a.png.txt": box, "a.png.jpg.txt": box, "b.png.jpg": small, "b.png.txt": box, "b.png.TXT": box},
		want: "a.png.jpg ERROR a.png.txt is a label of the same image; leave one\na.png.jpg ERROR a.png.jpg.txt is a label of the same image; leave one\n" +
			"b.png.jpg ERROR b.png.txt is a label of the same image; leave one\nb.png.jpg ERROR b.png.TXT is a label of the same image; leave one\n",
	}, {
		name:  "two labels for one image that is not there",
		files: map[string]string{"classes.txt": "car", "a.jpg.txt": box, "a.txt": box, "b.jpg.txt": "", "b.png.txt": ""},
		want:  "a.jpg.* ERROR a.txt is a label of the same image; leave one\na.* ERROR a.jpg.txt is a label of the same image; leave one\nb.jpg.*\nb.png.*\n",
	}, {
		name:     "two labels for one image of a list",
		files:    map[string]string{"data.yaml": "train: train.txt\n" + names, "train.txt": "images/a.png\nimages/b.png\n", "images/a.png": small, "images/b.png": small, "labels/a.txt": box, "labels/a.png.txt": box, "labels/b.txt": box},
		want:     "a.png ERROR labels/a.png.txt is a label of the same image; leave one\nb.png 20x10 car\n",
		findings: []string{"unnamed-split"},
	}, {
		name:     "labels that no list names",
		files:    map[string]string{"data.yaml": "train: train.txt\nval: val.txt\n" + names, "train.txt": "images/a.png\n", "val.txt": "images/b.png\n", "images/a.png": small, "images/b.png": small, "labels/a.txt": box, "labels/b.txt": box, "labels/c.txt": box, "labels/d.txt": box, "labels/classes.txt": "car\ntruck\n"},
		want:     "a.png 20x10 car\nb.png 20x10 car\n",
		findings: []string{"unnamed-split"},
	}, {
		name:    "a class list for a description without",
		files:   map[string]string{"data.yaml": "train: images\n", "images/x.png": small, "labels/x.txt": box, "right.txt": "van\n"},
		options: yoloWith(yolo.Flags{ClassList: "right.txt"}),
		want:    "x.png 20x10 van\n",
	}, {
		name:  "class lists that agree",
		files: map[string]string{"classes.txt": "car\nbus\n", "a/classes.txt": "car\r\nbus", "a/b/obj.names": "car\nbus\n\n", "a/x.png": small, "a/x.txt": box},
		want:  "a/x.png 20x10 car\n",
	}, {
		name:  "tracks",
		files: map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": "0 .5 .5 .2 .2 .9 1\n0 .4 .4 .2 .2 .9 2\n"},
		want:  "a.png 20x10 car car\n",
	}, {
		name:    "columns",
		files:   map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": "0 1 .5 .5 .2 .2\n"},
		options: yoloWith(yolo.Flags{Columns: []string{"class", "confidence", "box"}}),
		want:    "a.png 20x10 car\n",
	}, {
		name:    "a stated shape",
		files:   map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": "0 .5 .5 .4 .4 .5 .5 .4 .4\n"},
		options: yoloWith(yolo.Flags{Shape: [2]int{2, 2}}),
		want:    "a.png 20x10 joint_0 joint_1\n",
	}} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, c.files)
			if own, ok := c.options.Own["yolo"].(*yolo.Flags); ok && own.ClassList != "" {
				own.ClassList = filepath.Join(root, own.ClassList)
			}
			src, findings := opened(t, root, c.options)
			if got := summary(t, src); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if got := kinds(*findings); !slices.Equal(got, c.findings) {
				t.Errorf("findings %v, want %v: %+v", got, c.findings, *findings)
			}
			t.Chdir(root)
			if here, _ := opened(t, ".", c.options); summary(t, here) != c.want {
				t.Errorf("as the folder at hand:\n%swant\n%s", summary(t, here), c.want)
			}
			all := items(t, src, "")
			for i, item := range all { // a walk can be taken up anywhere
				if rest := items(t, src, item.Cursor); len(rest) != len(all)-i-1 {
					t.Errorf("%d items behind %s, want %d", len(rest), item.Image, len(all)-i-1)
				}
			}
		})
	}
}

// What cannot be read without a guess, or not at all, is said by name, with what to do.
func TestYOLORefuses(t *testing.T) {
	const xml = `<?xml version="1.0"?>` + "\n"
	for _, c := range []struct {
		name    string
		files   map[string]string
		source  string
		options convert.OpenOptions
		want    []string
	}{
		{name: "landmarks", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .5 .5 .4 .4 .42 .45 .58 .45 .5 .5 .44 .6 .56 .6\n"}, want: []string{"polygons", "5 keypoints (2 numbers each)", "labels/a.txt line 1", "--kpt-shape 5,2", "--task segment"}},
		{name: "scores or ids", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .5 .5 .4 .4 1\n"}, want: []string{"--columns class,box,confidence or --columns class,box,id"}},
		{name: "angles", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .5 .5 .4 .4 -30\n0 .5 .5 .4 .4 12.5\n"}, want: []string{"angle", "--columns class,box,angle"}},
		{name: "corners", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .1 .1 .9 .9\n0 .3 .3 .6 .6\n0 .2 .1 .6 .8\n"}, want: []string{"two corners", "--columns class,box"}},
		{name: "corners of two boxes", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .3 .3 .31 .31\n0 .1 .1 .25 .25\n"}, want: []string{"labels/a.txt line 2: 0 .1 .1", "--columns class,box"}},
		{name: "scores or angles", files: map[string]string{"data.yaml": "task: obb\n" + names, "labels/a.txt": "0 .5 .5 .4 .4 .3\n"}, want: []string{"boxes with a score or boxes with an angle", "--columns class,box,confidence or --columns class,box,angle"}},
		{name: "polygons behind boxes", files: map[string]string{"data.yaml": "task: segment\n" + names, "labels/a.txt": "0 .2 .2 .2 .2 .1 .1 .3 .1 .3 .3\n"}, want: []string{"polygons or polygons behind their boxes", "--columns class,polygon or --columns class,box,polygon"}},
		{name: "zeros", files: map[string]string{"data.yaml": names, "labels/a.txt": "0 .5 .5 .4 .4 0\n0 .5 .5 .2 .2 0\n"}, want: []string{"--columns class,box,confidence or --columns class,box,id"}},
		{name: "poses without a shape", files: map[string]string{"data.yaml": names, "labels/a.txt": box}, options: yoloWith(yolo.Flags{Task: yolo.Pose}), want: []string{"how many keypoints", "--kpt-shape"}},
		{name: "columns", files: map[string]string{"data.yaml": names, "labels/a.txt": box}, options: yoloWith(yolo.Flags{Columns: []string{"class", "boxes"}}), want: []string{"--columns", `"boxes" and must be one of`}},
		{name: "columns of another task", files: map[string]string{"data.yaml": names, "labels/a.txt": box}, options: yoloWith(yolo.Flags{Columns: []string{"class", "polygon"}, Task: yolo.Pose}), want: []string{"no lines of the task pose"}},
		{name: "points of no shape", files: map[string]string{"data.yaml": names, "labels/a.txt": box}, options: yoloWith(yolo.Flags{Columns: []string{"class", "box", "points"}}), want: []string{"--kpt-shape"}},
		{name: "class lists that differ", files: map[string]string{"classes.txt": "car\nbus", "a/classes.txt": "car\nbus", "b/classes.txt": "bus\ncar", "b/a.txt": box}, want: []string{"classes.txt and b/classes.txt", "--class-list", "one at a time"}},
		{name: "Label Studio's notes against the class list", files: map[string]string{"classes.txt": "car\nbus", "notes.json": `{"categories":[{"id":"1","name":"car"},{"id":"0","name":"bus"}],"info":{}}`, "labels/a.txt": box}, want: []string{"classes.txt and notes.json: class 0 is car in one and bus in the other", "--class-list"}},
		{name: "labelImg's classes against its list", files: map[string]string{"labels/classes.txt": "pills", "predefined_classes.txt": "injectable\npills\nsmoking", "labels/a.txt": box}, want: []string{"classes.txt and predefined_classes.txt: class 0 is pills in one and injectable in the other", "--class-list"}},
		{name: "a count that no list of names has", files: map[string]string{"data.yaml": "nc: 3\nnames: [car, bus]\n", "labels/a.txt": box}, want: []string{"nc says that there are 3 classes, and there are 2 names", "--class-list"}},
		{name: "a class list against a description", files: map[string]string{"data.yaml": names, "classes.txt": "truck\ncar", "labels/a.txt": box}, want: []string{"data.yaml and classes.txt: class 0 is car in one and truck in the other", "--class-list"}},
		{name: "names against a description", files: map[string]string{"data.yaml": names, "obj.names": "truck\ncar", "labels/a.txt": box}, want: []string{"data.yaml and obj.names"}},
		{name: "a class list among labels against a description", files: map[string]string{"data.yaml": "train: images/x\n" + names, "images/x/a.png": small, "labels/x/a.txt": box, "labels/x/classes.txt": "truck"}, want: []string{"data.yaml and labels/x/classes.txt"}},
		{name: "a class list against Darknet's", files: map[string]string{"obj.data": "names = obj.names\n", "obj.names": "car", "labels/a.txt": box, "labels/classes.txt": "bus"}, want: []string{"obj.data and labels/classes.txt"}},
		{name: "two descriptions", files: map[string]string{"data.yaml": names, "data2.yaml": "names: [truck, car]\n", "labels/a.txt": box}, want: []string{"data.yaml and data2.yaml: class 0", "give one of them as the source"}},
		{name: "a comment among classes", files: map[string]string{"classes.txt": "# classes\na\nb\n", "a.txt": box}, want: []string{"line 1, # classes, looks like a comment"}},
		{name: "numbered classes", files: map[string]string{"classes.txt": "0 a\n1 b\n", "a.txt": box}, want: []string{"look numbered, as 0 a"}},
		{name: "classes numbered from 1", files: map[string]string{"classes.txt": "1: a\r\n2: b\r\n", "a.txt": box}, want: []string{"look numbered, as 1: a"}},
		{name: "class lists that differ, below", files: map[string]string{"x/a/classes.txt": "car", "x/b/classes.txt": "bus", "x/b/a.txt": box}, want: []string{"x/a/classes.txt and x/b/classes.txt"}},
		{name: "a class named twice", files: map[string]string{"data.yaml": "names:\n  0: car\n  1: bus\n  0: van\n", "labels/a.txt": box}, want: []string{`"0" stands in line 2 already`}},
		{name: "names twice", files: map[string]string{"data.yaml": "names: [a]\nnames: [b]\n", "labels/a.txt": box}, want: []string{`"names" stands in line 1 already`}},
		{name: "a class numbered as no writer does", files: map[string]string{"data.yaml": "names: {0: car, 00: van}\n", "labels/a.txt": box}, want: []string{`"00" is no class number`}},
		{name: "a description below", files: map[string]string{"set/data.yaml": names, "set/labels/a.txt": box}, want: []string{"set/data.yaml"}},
		{name: "a data set below a folder", files: map[string]string{"s/data.yaml": names, "s/classes.txt": "bus", "s/a.txt": box}, want: []string{"s/data.yaml below describes a data set"}},
		{name: "a class list three below", files: map[string]string{"x/y/z/a.txt": box, "x/y/labels.txt": "car"}, want: []string{"x/y/labels.txt", "--class-list"}},
		{name: "a description without labels below", files: map[string]string{"x/y/data.yaml": names, "x/y/images/a.png": small}, want: []string{"x/y/data.yaml"}},
		{name: "VOC", files: map[string]string{"Annotations/a.xml": xml + "<annotation><folder>x</folder></annotation>"}, want: []string{"Pascal VOC XML"}},
		{name: "VOC beside a class list", files: map[string]string{"classes.txt": "car", "Annotations/a.xml": xml + "<annotation><folder>x</folder></annotation>"}, want: []string{"Pascal VOC XML"}},
		{name: "CVAT", files: map[string]string{"a.xml": xml + "<annotations><version>1.1</version></annotations>"}, source: "a.xml", want: []string{"CVAT XML"}},
		{name: "DOTA", files: map[string]string{"labelTxt/P1.txt": "imagesource:GoogleEarth\ngsd:0.1\n1 2 3 4 5 6 7 8 plane 0\n"}, want: []string{"DOTA"}},
		{name: "DOTA with classes", files: map[string]string{"classes.txt": "plane", "P1.txt": "1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 plane 0\n"}, want: []string{"DOTA"}},
		{name: "KITTI", files: map[string]string{"label_2/000000.txt": "Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n"}, want: []string{"KITTI"}},
		{name: "VisDrone", files: map[string]string{"classes.txt": "car", "annotations/1.txt": "684,8,273,116,0,0,0,0\n"}, want: []string{"VisDrone"}},
		{name: "MOTChallenge", files: map[string]string{"classes.txt": "car", "gt.txt": "1,1,912,484,97,109,0,7,1\n"}, want: []string{"MOTChallenge"}},
		{name: "OIDv4", files: map[string]string{"classes.txt": "Car", "train/Car/Label/1.txt": "Car 1.0 2.0 30.0 40.0\n"}, want: []string{"OIDv4"}},
		{name: "a table without names", files: map[string]string{"annotations.csv": "a.jpg,1,2,30,40,object,640,480\n"}, want: []string{"table (CSV) of boxes"}},
		{name: "Open Images", files: map[string]string{"train-annotations-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n0001,xclick,/m/01,1,0.1,0.5,0.2,0.6\n"}, want: []string{"Open Images", "train-annotations-bbox.csv"}},
		{name: "a table of boxes", files: map[string]string{"a.jpg": "", "_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,car,1,2,3,4\n"}, want: []string{"table (CSV) of boxes"}},
		{name: "a table of something else", files: map[string]string{"results.csv": "epoch,loss\n1,2\n"}, want: []string{"holds no labels"}},
		{name: "an archive", files: map[string]string{"a.zip": "PK\x03\x04rest"}, source: "a.zip", want: []string{"packed archive"}},
		{name: "an archive in a folder", files: map[string]string{"a.tar.gz": "\x1f\x8brest"}, want: []string{"packed archive", "a.tar.gz"}},
		{name: "TFRecord", files: map[string]string{"train.tfrecord": "x"}, want: []string{"TFRecord"}},
		{name: "no split", files: map[string]string{"data.yaml": "path: /gone\ntrain: x\n" + names, "y/a.txt": box}, want: []string{"none of the splits", "/gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), filepath.Join(tree(t, c.files), c.source), c.options)
			var e *convert.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			text := e.Error() + "; " + e.Advice
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
		})
	}
}

// Sizes that differ between the file, what is stated and the dataset are held against
// one another.
func TestYOLOSizes(t *testing.T) {
	root := tree(t, map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": box, "sizes.json": `{"a.png":[40,20]}`})
	for _, c := range []struct {
		options convert.OpenOptions
		listed  convert.Size
		want    []string
		box     float64 // its width
	}{
		{convert.OpenOptions{}, convert.Size{Width: 20, Height: 10}, nil, 10},
		{convert.OpenOptions{}, convert.Size{Width: 40, Height: 20}, []string{"size-mismatch"}, 10},
		{convert.OpenOptions{OnSizeMismatch: convert.SizeScale}, convert.Size{Width: 40, Height: 20}, []string{"resized"}, 20},
		{convert.OpenOptions{OnSizeMismatch: convert.SizeScale}, convert.Size{Width: 10, Height: 20}, []string{"size-mismatch"}, 10},
		{convert.OpenOptions{OnSizeMismatch: convert.SizeKeep}, convert.Size{Width: 40, Height: 20}, []string{"resized"}, 10},
		{convert.OpenOptions{Sizes: filepath.Join(root, "sizes.json")}, convert.Size{}, []string{"size-mismatch"}, 20},
	} {
		src, _ := opened(t, root, c.options)
		result, err := src.Load(t.Context(), items(t, src, "")[0], c.listed)
		if err != nil {
			t.Fatal(err)
		}
		if got := kinds(result.Findings); !slices.Equal(got, c.want) {
			t.Errorf("%+v, listed %v: findings %v, want %v", c.options, c.listed, got, c.want)
		}
	}
}

// Labels of an image of unknown size are lost, and said to be.
func TestYOLOOfUnknownSize(t *testing.T) {
	src, _ := opened(t, tree(t, map[string]string{"data.yaml": names, "images/a.png": "none", "labels/a.txt": box + truck}), convert.OpenOptions{})
	result, err := src.Load(t.Context(), items(t, src, "")[0], convert.Size{})
	if err == nil || result.LeftOut != 2 || len(result.Findings) != 1 || result.Findings[0].Kind != convert.KindUnknownSize || result.Findings[0].Count != 2 {
		t.Errorf("%+v, %v", result, err)
	}
}

// Of many files that are passed over some are named, and the others counted.
func TestYOLOTellsOfSomePassedOver(t *testing.T) {
	const most = 20
	files := map[string]string{"data.yaml": names, "labels/a.txt": ""}
	for i := range most + 3 {
		files[fmt.Sprintf("%d.jsonl", i)] = "{}"
	}
	_, findings := opened(t, tree(t, files), convert.OpenOptions{})
	if last := (*findings)[len(*findings)-1]; len(*findings) != most+1 || last.Count != 3 {
		t.Errorf("%d findings, the last %+v", len(*findings), last)
	}
}

// What --include and --exclude take out is counted once, however often it is met.
func TestYOLOCountsWhatIsLeftOut(t *testing.T) {
	root := tree(t, map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": box, "labels/b.txt": "", "labels/c.txt": ""})
	src, _ := opened(t, root, convert.OpenOptions{Include: []string{"**/a.*", "a.*"}})
	items(t, src, "")
	if got := src.(interface{ LeftOut() convert.Count }).LeftOut(); got != (convert.Count{Images: 2}) {
		t.Errorf("%+v", got)
	}
}

// How lines are read is kept in a manifest.
func TestManifestKeepsHowLinesAreRead(t *testing.T) {
	root := tree(t, map[string]string{"data.yaml": names, "images/a.png": small, "labels/a.txt": "0 .5 .5 .2 .2 .9 1\n0 .4 .4 .2 .2 .9 2\n"})
	src, _ := opened(t, root, convert.OpenOptions{})
	out := filepath.Join(t.TempDir(), "m.db")
	if _, err := manifest.Write(t.Context(), src, out, tellNobody); err != nil {
		t.Fatal(err)
	}
	again, _ := opened(t, out, convert.OpenOptions{})
	for _, image := range items(t, again, "") {
		result, err := again.Load(t.Context(), image, convert.Size{})
		if err != nil || len(result.Annotations) != 2 || len(result.Findings) > 0 || result.Annotations[1].Attributes["track_id"] == nil {
			t.Errorf("%+v, %v", result, err)
		}
	}
	stated, _ := opened(t, out, yoloWith(yolo.Flags{Columns: []string{"class", "box", "confidence"}}))
	if result, err := stated.Load(t.Context(), items(t, stated, "")[0], convert.Size{}); err != nil || result.LeftOut != 2 {
		t.Errorf("%+v, %v", result, err)
	}
}

// yoloWith are options with flags of YOLO's.
func yoloWith(f yolo.Flags) convert.OpenOptions {
	return convert.OpenOptions{Own: map[string]convert.Flags{"yolo": &f}}
}
