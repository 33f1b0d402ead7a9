package labels

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
)

// keypointNames are those of the first class.
var keypointNames = [...]string{"nose", "eye_l", "eye_r", "ear_l", "ear_r", "shoulder_l", "shoulder_r", "elbow_l", "elbow_r", "wrist_l", "wrist_r", "hip_l", "hip_r", "knee_l", "knee_r", "ankle_l", "ankle_r"}

var keypointEdges = [...][2]int{{1, 2}, {1, 3}, {2, 4}, {3, 5}, {6, 7}, {6, 8}, {8, 10}, {7, 9}, {9, 11}, {6, 12}, {7, 13}, {12, 13}, {12, 14}, {14, 16}, {13, 15}, {15, 17}}

// WriteCOCOFile writes a COCO file to path and returns its size in bytes.
func WriteCOCOFile(path string, s Spec) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := WriteCOCO(f, s); err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Close()
}

// WriteCOCO writes a COCO file as Python's json module does, in the order in
// which COCO's own files are.
func WriteCOCO(w io.Writer, s Spec) error {
	if err := s.check(); err != nil {
		return err
	}
	first, err := s.counts()
	if err != nil {
		return err
	}
	out := &cocoWriter{Writer: bufio.NewWriterSize(w, 1<<20), spec: s}
	out.WriteString(`{"info": {"description": "made to measure with", "version": "1.0", "year": 2026}, "licenses": [{"id": 1, "name": "CC BY 4.0"}], "images": [`)
	for image := range s.Images {
		out.separate(image)
		out.image(image)
	}
	out.WriteString(`], "annotations": [`)
	for n := range int(first[s.Images]) {
		out.separate(n)
		number := n
		if s.Order == Random {
			number = s.shuffle(forOrder, n, int(first[s.Images]))
		}
		out.annotation(imageOf(first, number), number)
	}
	out.WriteString(`], "categories": [`)
	for class, name := range classNames {
		out.separate(class)
		fmt.Fprintf(out, `{"supercategory": "thing", "id": %d, "name": %q`, categoryID(class), name)
		if class == 0 && s.Keypoints > 0 {
			out.keypoints()
		}
		out.WriteByte('}')
	}
	out.WriteString("]}")
	return out.Flush()
}

// cocoWriter keeps the first error of the writer below it, which Flush returns.
type cocoWriter struct {
	*bufio.Writer
	spec   Spec
	line   []byte
	points []point
}

func (o *cocoWriter) separate(n int) {
	if n > 0 {
		o.WriteString(", ")
	}
}

func (o *cocoWriter) image(image int) {
	id := o.spec.imageID(image)
	width, height := o.spec.size(image)
	fmt.Fprintf(o, `{"license": 1, "file_name": "%012d.jpg", "coco_url": "http://images.invalid/train/%012d.jpg", "height": %d, "width": %d, "date_captured": "2026-01-%02d %02d:%02d:00", "id": %d}`,
		id, id, height, width, id%28+1, id%24, id%60, id)
}

func (o *cocoWriter) keypoints() {
	o.WriteString(`, "keypoints": [`)
	for i, name := range keypointNames {
		o.separate(i)
		fmt.Fprintf(o, "%q", name)
	}
	o.WriteString(`], "skeleton": [`)
	for i, e := range keypointEdges {
		o.separate(i)
		fmt.Fprintf(o, "[%d, %d]", e[0], e[1])
	}
	o.WriteByte(']')
}

func (o *cocoWriter) annotation(image, number int) {
	r := o.spec.numbers(forAnnotation, number)
	width, height := o.spec.size(image)
	e := place(r, width, height)
	kind, category, crowd := r.Float64(), class(r), 0
	line := append(o.line[:0], `{"segmentation": `...)
	var covered float64
	if kind < o.spec.Masks {
		crowd = 1
		line, covered, e = appendMask(line, r, e, width, height)
	} else {
		line, covered, e = o.appendRings(line, r, e)
	}
	if crowd == 0 && kind < o.spec.Masks+o.spec.Keypoints {
		category = 0
		line = appendKeypoints(line, r, e)
	}
	line = appendNumber(append(line, `, "area": `...), covered)
	line = strconv.AppendInt(append(line, `, "iscrowd": `...), int64(crowd), 10)
	line = strconv.AppendInt(append(line, `, "image_id": `...), int64(o.spec.imageID(image)), 10)
	line = append(line, `, "bbox": [`...)
	for i, v := range [...]float64{e.x, e.y, e.w, e.h} {
		if i > 0 {
			line = append(line, ", "...)
		}
		line = appendNumber(line, v)
	}
	line = strconv.AppendInt(append(line, `], "category_id": `...), int64(categoryID(category)), 10)
	line = strconv.AppendInt(append(line, `, "id": `...), int64(number)+1, 10)
	o.line = append(line, '}')
	o.Write(o.line)
}

// appendNumber appends a number as Python does, floats always with a point.
func appendNumber(dst []byte, v float64) []byte {
	first := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	for _, c := range dst[first:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendRings appends one ring, or a few where something stands before the
// object, and returns their area and enclosure.
func (o *cocoWriter) appendRings(line []byte, r *rand.Rand, e extent) ([]byte, float64, extent) {
	rings := 1
	if r.IntN(12) == 0 {
		rings += 1 + r.IntN(3)
	}
	o.points = o.points[:0]
	covered := 0.0
	line = append(line, '[')
	for i := range rings {
		part := e
		part.w /= float64(rings)
		part.x += part.w * float64(i)
		first := len(o.points)
		o.points = ring(o.points, r, part)
		covered += area(o.points[first:])
		if i > 0 {
			line = append(line, ", "...)
		}
		line = append(line, '[')
		for j, p := range o.points[first:] {
			if j > 0 {
				line = append(line, ", "...)
			}
			line = appendNumber(append(appendNumber(line, p.x), ", "...), p.y)
		}
		line = append(line, ']')
	}
	return append(line, ']'), covered, enclosure(o.points)
}

// appendMask appends the uncompressed run lengths of a ragged blob, down the
// columns, and returns how many pixels it has and its box.
func appendMask(line []byte, r *rand.Rand, e extent, width, height int) ([]byte, float64, extent) {
	left, right := int(e.x), min(width, int(e.x+e.w)+1)
	top, bottom := int(e.y), min(height, int(e.y+e.h)+1)
	line = append(line, `{"counts": [`...)
	end, pixels := 0, 0 // of the last run, and in all
	for x := left; x < right; x++ {
		from := top + r.IntN(1+(bottom-top-1)/4)
		to := bottom - r.IntN(1+(bottom-top-1)/4)
		// A column that is covered to the top goes on from the last, with no gap.
		line = strconv.AppendInt(line, int64(x*height+from-end), 10)
		line = strconv.AppendInt(append(line, ", "...), int64(to-from), 10)
		line = append(line, ", "...)
		pixels += to - from
		end = x*height + to
	}
	line = strconv.AppendInt(line, int64(width*height-end), 10)
	line = strconv.AppendInt(append(line, `], "size": [`...), int64(height), 10)
	line = strconv.AppendInt(append(line, ", "...), int64(width), 10)
	return append(line, "]}"...), float64(pixels), extent{float64(left), float64(top), float64(right - left), float64(bottom - top)}
}

// appendKeypoints appends keypoints in e, of which a third is not placed or hidden.
func appendKeypoints(line []byte, r *rand.Rand, e extent) []byte {
	placed := 0
	line = append(line, `, "keypoints": [`...)
	for i := range keypointNames {
		if i > 0 {
			line = append(line, ", "...)
		}
		v := [...]int{2, 2, 2, 2, 1, 0}[r.IntN(6)]
		if i == 0 {
			v = 2
		}
		if v == 0 {
			line = append(line, "0, 0, 0"...)
			continue
		}
		placed++
		line = fmt.Appendf(line, "%d, %d, %d", int(e.x+r.Float64()*e.w), int(e.y+r.Float64()*e.h), v)
	}
	return fmt.Appendf(line, `], "num_keypoints": %d`, placed)
}
