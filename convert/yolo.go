package convert

import (
	"bytes"
	"fmt"

	"pictosync/pictograph"
)

// YOLOTask is what a data set is labelled for; it decides what label lines
// mean that could mean several things.
type YOLOTask string

const (
	YOLODetect  YOLOTask = "detect"
	YOLOSegment YOLOTask = "segment"
	YOLOPose    YOLOTask = "pose"
	YOLOOBB     YOLOTask = "obb"
)

// YOLOTasks are all of them.
var YOLOTasks = []YOLOTask{YOLODetect, YOLOSegment, YOLOPose, YOLOOBB}

// YOLO converts the label files of one data set. It is not changed by its
// methods and may be used from several goroutines at once.
//
// A line is a class and numbers, normalized to the image's size:
//
//	4           a box, in every task
//	5           a box and its confidence, in every task
//	6, 8, 10…   a polygon, in the tasks detect and segment
//	8           the corners of an oriented box, in the task obb
//	4 + k·dims  a box and joints, in the task pose
type YOLO struct {
	// Classes are the names by class index, which may have gaps.
	Classes map[int]string
	Task    YOLOTask
	// KeypointCount and KeypointDims are the kpt_shape of a pose data set; dims
	// is 2 (x, y) or 3 (x, y, visibility).
	KeypointCount, KeypointDims int
	// KeypointNames name the joints; those without a name are joint_0, joint_1…
	KeypointNames []string
	Options       Options
}

// Image converts one label file, which findings call file. The size must be
// known unless the file has no lines.
func (y *YOLO) Image(file, image string, size Size, label []byte) Result {
	b := newImageBuilder(file, image, size, y.Options, min(bytes.Count(label, []byte{'\n'}), 256))
	r := yoloReader{YOLO: y, imageBuilder: b}
	for number, rest := 1, withoutMark(label); len(rest) > 0; number++ {
		var taken bool
		if class, numbers, length := plainLine(r.numbers[:0], rest); length > 0 && size.Known() {
			r.numbers, rest = numbers, rest[length:]
			taken = r.convertRead(number, class)
		} else {
			var line []byte
			if line, rest = cutLine(rest); len(line) == 0 {
				continue
			}
			taken = r.convert(number, line)
		}
		b.count(taken)
	}
	return b.result
}

// yoloReader converts the lines of one label file.
type yoloReader struct {
	*YOLO
	*imageBuilder
	joints []string // made when first needed
}

// convert reports whether the line is in the result.
func (r *yoloReader) convert(number int, line []byte) bool {
	at := place{what: "line", number: number}
	if !r.size.Known() {
		return r.drop(KindUnknownSize, at, "normalized coordinates need the image's size, which is unknown")
	}
	class, rest := nextField(line)
	index, err := parseClass(class)
	if err != nil {
		return r.drop(KindNumber, at, err.Error())
	}
	if r.numbers, err = appendFields(r.numbers[:0], rest); err != nil {
		return r.drop(KindNumber, at, err.Error())
	}
	return r.convertRead(number, index)
}

// convertRead converts a line whose numbers are read.
func (r *yoloReader) convertRead(number, class int) bool {
	o := object{at: place{what: "line", number: number}, position: number}
	name, known := r.Classes[class]
	if !known || blank(name) {
		return r.drop(KindUnknownClass, o.at, fmt.Sprintf("class %d has no name in the class list", class))
	}
	o.name = name
	return r.convertNumbers(o, r.numbers)
}

func (r *yoloReader) convertNumbers(o object, n []float64) bool {
	switch {
	case len(n) == 4:
		return r.box(o, n)
	case len(n) == 5:
		o.confidence = r.confidence(o.at, n[4])
		return r.box(o, n[:4])
	case r.Task == YOLOPose && len(n) == r.poseNumbers():
		return r.pose(o, n)
	case r.Task == YOLOOBB && len(n) == 8:
		return r.orientedBox(o, n)
	case r.takesPolygons() && len(n) >= 6 && len(n)%2 == 0:
		return r.polygon(o, n)
	}
	return r.drop(KindCount, o.at, fmt.Sprintf("%d numbers after the class; %s", len(n), r.expected()))
}

func (y *YOLO) takesPolygons() bool { return y.Task != YOLOPose && y.Task != YOLOOBB }

// poseNumbers is how many numbers a pose line has, -1 if kpt_shape is not set.
func (y *YOLO) poseNumbers() int {
	if y.KeypointCount < 1 || y.KeypointDims != 2 && y.KeypointDims != 3 {
		return -1
	}
	return 4 + y.KeypointCount*y.KeypointDims
}

func (y *YOLO) expected() string {
	switch {
	case y.takesPolygons():
		return "a box has 4, or 5 with its confidence, a polygon an even count from 6"
	case y.Task == YOLOOBB:
		return "an oriented box has 8, a box 4, or 5 with its confidence"
	case y.poseNumbers() < 0:
		return "poses need a kpt_shape of at least one joint with 2 or 3 numbers"
	default:
		return fmt.Sprintf("a pose of kpt_shape [%d, %d] has %d", y.KeypointCount, y.KeypointDims, y.poseNumbers())
	}
}

func (r *yoloReader) box(o object, n []float64) bool {
	r.checkRange(o.at, n)
	w, h := float64(r.size.Width), float64(r.size.Height)
	bw, bh := n[2]*w, n[3]*h
	return r.addBox(o, pictograph.Box{X: float64(n[0]*w) - float64(bw/2), Y: float64(n[1]*h) - float64(bh/2), W: bw, H: bh})
}

func (r *yoloReader) polygon(o object, n []float64) bool {
	ring, ok := r.pixels(o.at, n)
	if !ok {
		return false
	}
	if !enclosing(ring) {
		return r.drop(KindRing, o.at, "the polygon has fewer than three different points")
	}
	return r.addPolygons(o, wholeID, []pictograph.Polygon{{Rings: [][]pictograph.Point{ring}}})
}

func (r *yoloReader) orientedBox(o object, n []float64) bool {
	corners, ok := r.pixels(o.at, n)
	if !ok {
		return false
	}
	return r.addOrientedBox(o, quadrilateral(corners))
}

// pixels reads normalized points; it drops the line where they overflow.
func (r *yoloReader) pixels(at place, n []float64) ([]pictograph.Point, bool) {
	r.checkRange(at, n)
	w, h := float64(r.size.Width), float64(r.size.Height)
	scaled := r.pairs(n)
	for i := range scaled {
		p := &scaled[i]
		p.X *= w
		p.Y *= h
		if !finite(p.X, p.Y) {
			return nil, r.drop(KindNumber, at, "a coordinate is not finite in pixels")
		}
	}
	return scaled, true
}

// pose converts a box with joints. Where no joint is placed, the box is what
// is known of the object.
func (r *yoloReader) pose(o object, n []float64) bool {
	joints := r.placedJoints(o.at, r.triplets(o.at, n[4:]))
	if len(joints) == 0 {
		return r.box(o, n[:4])
	}
	r.addPose(o, newCategory(o.name, r.jointNames(), nil), joints)
	if r.allGeometries {
		r.box(o, n[:4])
	}
	return true
}

// triplets returns x, y in pixels and COCO's visibility for every joint. Of two
// numbers, 0 0 says that the joint is not placed, and so does a negative one:
// that is how Ultralytics trains on them.
func (r *yoloReader) triplets(at place, n []float64) []float64 {
	w, h := float64(r.size.Width), float64(r.size.Height)
	triplets := make([]float64, 0, 3*r.KeypointCount)
	var outside, negative flaws
	for slot := range r.KeypointCount {
		joint := n[slot*r.KeypointDims : (slot+1)*r.KeypointDims]
		x, y, flag := joint[0], joint[1], float64(visible)
		switch {
		case r.KeypointDims == 3:
			flag = joint[2]
		case x == 0 && y == 0:
			flag = notLabelled
		case x < 0 || y < 0:
			flag = notLabelled
			negative.add(fmt.Sprintf("joint %d at %v, %v", slot+1, x, y))
		}
		if flag != notLabelled && (beyondRange(x) || beyondRange(y)) {
			outside.add(fmt.Sprintf("joint %d at %v, %v", slot+1, x, y))
		}
		triplets = append(triplets, x*w, y*h, flag)
	}
	if negative.count > 0 {
		r.report(KindCoordinateRange, at, "negative coordinate: "+negative.String(), "joint taken for not placed")
	}
	if outside.count > 0 {
		r.report(KindCoordinateRange, at, "coordinate outside 0 to 1: "+outside.String(), "kept")
	}
	return triplets
}

func (r *yoloReader) jointNames() []string {
	if r.joints == nil {
		r.joints = make([]string, r.KeypointCount)
		copy(r.joints, r.KeypointNames)
		for i, name := range r.joints {
			if blank(name) {
				r.joints[i] = defaultJointName(i)
			}
		}
	}
	return r.joints
}

// checkRange reports the first coordinate outside the image.
func (r *yoloReader) checkRange(at place, n []float64) {
	for i, v := range n {
		if beyondRange(v) {
			r.report(KindCoordinateRange, at, fmt.Sprintf("coordinate %d is %v, outside 0 to 1", i+1, v), "kept")
			return
		}
	}
}

func beyondRange(v float64) bool { return v < -edgeTolerance || v > 1+edgeTolerance }
