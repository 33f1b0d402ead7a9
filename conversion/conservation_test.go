package conversion

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/convert/yolo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const realLabels = "../../shared/data"

// accounted converts a source and returns what the summary says, and how many of the
// source's annotations are in what was written, by their ids.
func accounted(t *testing.T, path string, a convert.Accepted) (s Summary, written int, lost int) {
	t.Helper()
	told := func(f convert.Finding) {
		if f.Kind.Severity() == convert.Lost {
			lost++
		}
	}
	src, err := formats.Open(t.Context(), path, convert.OpenOptions{Report: told})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	s, err = Run(t.Context(), src, Options{Accepted: a, OnFinding: told}, func(c *Image) error {
		if c.Err != nil {
			return nil
		}
		ids := make(map[string]bool)
		for _, one := range c.Result.Annotations {
			id := one.ID
			if id == "" || strings.Count(id, "-") < 4 { // not a UUID: parts of one are ID-0, ID-1
				id, _, _ = strings.Cut(id, "-")
			}
			ids[id] = true
		}
		written += len(ids)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s, written, lost
}

// conserved holds the summary of a conversion against what is in the source and in what
// was written.
func conserved(t *testing.T, path string, annotations int) {
	t.Helper()
	for _, a := range []convert.Accepted{{}, {Lost: true}} {
		s, written, lost := accounted(t, path, a)
		if s.Read.Annotations != annotations || s.Taken.Annotations != written || s.Read.Annotations != s.Taken.Annotations+s.LeftOut.Annotations {
			t.Errorf("%s: %d annotations are there and %d in what was written; read %d, taken %d, left out %d",
				path, annotations, written, s.Read.Annotations, s.Taken.Annotations, s.LeftOut.Annotations)
		}
		if s.LeftOut.Annotations > 0 && lost == 0 && s.Images.Failed == 0 {
			t.Errorf("%s: %d annotations are left out without a word", path, s.LeftOut.Annotations)
		}
	}
}

// annotationsOf counts the annotations of a COCO file as any reader of JSON does.
func annotationsOf(t *testing.T, data []byte) int {
	t.Helper()
	var file struct{ Annotations []json.RawMessage }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return len(file.Annotations)
}

// linesOf counts the lines of a folder's label files that hold something.
func linesOf(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, "labels"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for line := range strings.Lines(string(data)) {
			if strings.TrimSpace(line) != "" {
				n++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// oddValues are what a member of an annotation may be that is not what belongs there.
var oddValues = []string{`null`, `""`, `"x"`, `{}`, `[]`, `-1`, `1e9`, `true`, `[1]`, `[1, 2, 3, 4]`, `[[1, 2, 3, 4]]`, `[0.1, 0.2, 0.3, 0.4]`,
	`[5000, 5000, 10, 10]`, `{"counts": [1, 2], "size": [3, 3]}`, `{"counts": "abc", "size": [640, 480]}`, `[[10, 10, 20, 10, 20]]`, `"7"`, `99`}

// mutate gives some annotations of a COCO file an odd member.
func mutate(t *testing.T, data []byte, r *rand.Rand) []byte {
	t.Helper()
	var file map[string]json.RawMessage
	var annotations []map[string]json.RawMessage
	for _, step := range []error{json.Unmarshal(data, &file), json.Unmarshal(file["annotations"], &annotations)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	members := []string{"bbox", "segmentation", "category_id", "image_id", "iscrowd", "score", "attributes", "keypoints", "area", "extra"}
	share := r.IntN(20) + 1
	for _, a := range annotations {
		if r.IntN(20) >= share {
			continue
		}
		member := members[r.IntN(len(members))]
		if r.IntN(4) == 0 {
			delete(a, member)
		} else {
			a[member] = json.RawMessage(oddValues[r.IntN(len(oddValues))])
		}
	}
	file["annotations"], _ = json.Marshal(annotations)
	out, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestConservation holds that what was read is what was taken and what was left out, on all
// labels at hand and on such as are not what they should be.
func TestConservation(t *testing.T) {
	files := []string{"../testdata/shapes.coco.json"}
	folders := []string{"../testdata/shapes"}
	rounds := 40
	if _, err := os.Stat(realLabels); err != nil {
		t.Log("skipped the real labels: the folder ../shared/data is not there")
	} else {
		files = append(files, realLabels+"/coco/instances_sample.json", realLabels+"/coco/person_keypoints_sample.json")
		folders = append(folders, realLabels+"/yolo-detect", realLabels+"/yolo-segment")
	}
	tmp := t.TempDir()
	for _, folder := range folders {
		conserved(t, folder, linesOf(t, folder))
	}
	for n, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := annotationsOf(t, data)
		conserved(t, file, want)
		for seed := range rounds {
			name := filepath.Join(tmp, fmt.Sprintf("%d-%d.json", n, seed))
			if err := os.WriteFile(name, mutate(t, data, rand.New(rand.NewPCG(uint64(seed), 21))), 0o600); err != nil {
				t.Fatal(err)
			}
			conserved(t, name, want)
		}
	}
	// Lines of labels, cut, doubled and spoilt.
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 22))
		folder := filepath.Join(tmp, fmt.Sprintf("yolo-%d", seed))
		if err := os.CopyFS(folder, os.DirFS("../testdata/shapes")); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(filepath.Join(folder, "labels"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var out strings.Builder
			for line := range strings.Lines(string(whole)) {
				switch odd := []string{"7 .5 .5 .1 .1\n", "0 .5 .5 .1\n", "0 640 480 20 20\n", "x\n", "\n", "0 .5 .5 .1 nan\n", "0 .5 .5 -.1 .1\n", "-1 .5 .5 .1 .1\n", line + line}; r.IntN(3) {
				case 0:
					out.WriteString(odd[r.IntN(len(odd))])
				default:
					out.WriteString(line)
				}
			}
			return os.WriteFile(path, []byte(out.String()), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		conserved(t, folder, linesOf(t, folder))
	}
}

// Lines that cannot be taken are counted with what they have.
func TestConservationOfCanonicalLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "labels.jsonl")
	one := `{"id":"1","name":"a","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1},"confidence":1}`
	text := `{"image":"a.jpg","annotations":[` + one + `,` + one + `]}` + "\n" + `{"image":"b.jpg","annotations":[` + one + `]}` + "\n" + `{"image":"../c.jpg","annotations":[` + one + `]}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, written, lost := accounted(t, path, convert.Accepted{})
	if s.Read.Annotations != 4 || s.Taken.Annotations != 1 || s.LeftOut.Annotations != 3 || written != 1 || lost != 2 {
		t.Errorf("read %+v, taken %+v, left out %+v, %d written, %d findings of what was lost", s.Read, s.Taken, s.LeftOut, written, lost)
	}
}

// TestConservationOfWhatIsWritten holds what a summary says was written against what is in the
// output: all of it has a form, and of labels whose annotations each become one, as many were
// taken.
func TestConservationOfWhatIsWritten(t *testing.T) {
	files := []string{"../testdata/shapes.coco.json"}
	if _, err := os.Stat(realLabels); err != nil {
		t.Log("skipped the real labels: the folder ../shared/data is not there")
	} else {
		files = append(files, realLabels+"/coco/instances_sample.json", realLabels+"/coco/person_keypoints_sample.json")
	}
	tmp := t.TempDir()
	for n, file := range files {
		for _, all := range []bool{false, true} {
			for _, to := range []string{"coco", "createml", "yolo-detect", "yolo-segment", "yolo-obb", "yolo-pose"} {
				name, task, _ := strings.Cut(to, "-")
				out := filepath.Join(tmp, fmt.Sprint(n, all, to))
				s, err := writtenAs(t, file, name, task, out, convert.OpenOptions{Convert: convert.Options{AllGeometries: all}})
				if err != nil && strings.Contains(err.Error(), "no poses") {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				there, sum := 0, 0
				switch name {
				case "coco":
					data, err := os.ReadFile(out)
					if err != nil {
						t.Fatal(err)
					}
					there = annotationsOf(t, data)
				case "createml":
					var entries []struct{ Annotations []json.RawMessage }
					data, err := os.ReadFile(out)
					if err = errors.Join(err, json.Unmarshal(data, &entries)); err != nil {
						t.Fatal(err)
					}
					for _, e := range entries {
						there += len(e.Annotations)
					}
				default:
					if s.Images.Converted > 0 { // else there is no folder of labels
						there = linesOf(t, out)
					}
				}
				for _, n := range s.Written.Forms {
					sum += n
				}
				for what, n := range s.Written.Without {
					if n > there {
						t.Errorf("%s to %s: %d without %s of %d", file, to, n, what, there)
					}
				}
				if s.Written.Annotations != there || sum != there || s.Taken.Annotations != there {
					t.Errorf("%s to %s (all geometries: %v): %d annotations are in it, and the summary says %+v, %d taken", file, to, all, there, s.Written, s.Taken.Annotations)
				}
			}
		}
	}
}

// writtenAs converts a file to a format, taking what is lost.
func writtenAs(t *testing.T, file, name, task, out string, open convert.OpenOptions) (Summary, error) {
	t.Helper()
	format, err := formats.Writable(name)
	if err != nil {
		t.Fatal(err)
	}
	src, err := formats.Open(t.Context(), file, open)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Accepted: convert.Accepted{Lost: true}}
	catalog, err := Catalog(t.Context(), src, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	output := convert.Output{Path: out, Mode: 0o600, Catalog: catalog}
	if task != "" {
		output.Own = &yolo.WriteFlags{Task: yolo.Task(task)}
	}
	if o.Sink, err = format.Write.Create(output); err != nil {
		return Summary{}, err
	}
	defer o.Sink.Abort()
	s, err := Run(t.Context(), src, o, func(*Image) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s, o.Sink.Close()
}
