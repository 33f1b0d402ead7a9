package yolo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
	"pictosync/source"
)

// Task is what a data set is labelled for; it decides what label lines
// mean that could mean several things.
type Task string

// The tasks of Ultralytics.
const (
	Detect  Task = "detect"
	Segment Task = "segment"
	Pose    Task = "pose"
	OBB     Task = "obb"
)

// parseTask reads the name of a task; "" is none.
func parseTask(name string) (Task, error) {
	if name != "" && !slices.Contains(Tasks, Task(name)) {
		return "", fmt.Errorf("%q must be one of: detect, segment, pose, obb", name)
	}
	return Task(name), nil
}

// Tasks are all of them.
var Tasks = []Task{Detect, Segment, Pose, OBB}

// Converter converts the label files of one data set. It is not changed by its
// methods and may be used from several goroutines at once.
//
// A line is a class and numbers, normalized to the image's size:
//
//	4           a box, in every task
//	6, 8, 10…   a polygon, in the task segment
//	8           the corners of an oriented box, in the task obb
//	4 + k·dims  a box and keypoints, in the task pose
//
// What stands behind these is Trailer's, and where Columns are given they say all of
// it. A line that is none of what is expected is left out with a finding, and so is
// one with numbers that cannot be what they stand for.
type Converter struct {
	// Classes are the names by class index, which may have gaps.
	Classes map[int]string
	Task    Task
	// Columns are what a line is, Trailer what follows the task's shapes where they
	// do not say.
	Columns columns
	Trailer trailer
	// KeypointCount and KeypointDims are the kpt_shape of a pose data set; dims
	// is 2 (x, y) or 3 (x, y, visibility).
	KeypointCount, KeypointDims int
	// KeypointNames name the keypoints, and ClassKeypointNames those of a class where each
	// has its own; those without a name are joint_0, joint_1…
	KeypointNames      []string
	ClassKeypointNames map[int][]string
	// FromOne says that lines most likely count the classes from 1, and so name none of these.
	FromOne bool
	// Third is what the third number of a keypoint is, in all lines of the data set.
	Third   third
	Options convert.Options
}

// third is what the third numbers of keypoints are.
type third string

// The third numbers are COCO's visibility, 0, 1 or 2; scores; or nothing tells, since some
// lines can only have the one and some only the other.
const (
	thirdVisibility third = ""
	thirdScore      third = "score"
	thirdUnclear    third = "unclear"
)

// Image converts one label file, which findings call file. The size must be
// known unless the file has no lines.
func (y *Converter) Image(file, image string, size convert.Size, label []byte) convert.Result {
	b := convert.NewBuilder(file, image, size, y.Options, min(bytes.Count(label, []byte{'\n'}), 256))
	b.NoteOutside = true
	r := reader{Converter: y, Builder: b}
	leaveOut := func(kind convert.Kind, reason string) convert.Result {
		b.Result.Release()
		b := convert.NewBuilder(file, image, size, y.Options, 0)
		lines := countLines(label)
		for range lines {
			b.Count(false)
		}
		if lines > 0 {
			b.Result.Findings = append(b.Result.Findings, convert.Finding{Kind: kind, Count: lines, File: file, Image: image, Reason: reason, Action: "its lines were left out"})
		}
		return b.Result
	}
	switch {
	case source.IsUTF16(label):
		return leaveOut(convert.KindUnreadable, scan.ErrUTF16.Error())
	case y.FromOne:
		return leaveOut(convert.KindUnknownClass, y.fromOne())
	}
	number, rest := 1, withoutMark(label)
	if after, lines, found := angleHeader(rest); found {
		r.angles, rest, number = true, after, 1+lines
	}
	for ; len(rest) > 0; number++ {
		var line []byte
		if line, rest = cutLine(rest); len(line) > 0 {
			b.Count(r.convert(number, line))
		}
	}
	if y.Columns == nil && r.corners.likely(b.Result.Read) {
		return leaveOut(convert.KindBoxNotation, "its boxes all fit as two corners, x1 y1 x2 y2, and as centre and size some reach far out of the image; --columns takes them for centre and size")
	}
	return b.Result
}

// angleHeader reads past the header that labelImg_OBB writes, which is no label.
func angleHeader(label []byte) (rest []byte, lines int, found bool) {
	const header = "YOLO_OBB"
	if start := bytes.IndexByte(label, header[0]); start < 0 || len(bytes.TrimSpace(label[:start])) > 0 {
		return label, 0, false
	}
	for rest = label; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		lines++
		if len(line) > 0 {
			return rest, lines, string(line) == header
		}
	}
	return label, 0, false
}

// reader converts the lines of one label file.
type reader struct {
	*Converter
	*convert.Builder
	poses   map[int]*convert.Category // by class; made when first needed
	class   int                       // of the line at hand
	angles  bool                      // the file says that its lines end with angles
	corners cornersOfFile
}

// convert reports whether the line is in the result.
func (r *reader) convert(number int, line []byte) bool {
	at := convert.Location{What: "line", Number: number}
	if !r.Size.Known() {
		return r.Drop(convert.KindUnknownSize, at, "normalized coordinates need the image's size, which is unknown")
	}
	class, rest := nextField(line)
	index, err := parseClass(class)
	if err != nil {
		return r.Drop(convert.KindNumber, at, err.Error())
	}
	if r.Numbers, err = appendFields(r.Numbers[:0], rest); err != nil {
		return r.Drop(convert.KindNumber, at, err.Error())
	}
	o := convert.Object{At: at, Position: number}
	name, known := r.Classes[index]
	if !known || convert.Blank(name) {
		return r.Drop(convert.KindUnknownClass, o.At, r.noClass(index))
	}
	o.Name, r.class = name, index
	if r.angles && !r.Columns.has(columnAngle) {
		return r.Drop(convert.KindAngle, o.At, "the file begins with YOLO_OBB, so the line ends with an angle, and tools differ in its unit and direction and the order of the sides; --columns class,box,angle reads it as degrees, clockwise")
	}
	return r.convertNumbers(o, r.Numbers)
}

func (y *Converter) noClass(class int) string {
	last := -1
	for number := range y.Classes {
		last = max(last, number)
	}
	if class >= 0 && class <= last {
		return fmt.Sprintf("class %d has no name in the class list", class)
	}
	reason := fmt.Sprintf("class %d is not in the list of %d", class, len(y.Classes))
	if class == len(y.Classes) && class == last+1 {
		reason += ", which is counted from 0"
	}
	return reason
}

// fromOne says why no class is taken where lines count them from 1.
func (y *Converter) fromOne() string {
	return fmt.Sprintf("lines have the class %d and none has 0, as where classes are counted from 1, and the list of %d is counted from 0", len(y.Classes), len(y.Classes))
}

func (r *reader) convertNumbers(o convert.Object, n []float64) bool {
	var line splitLine
	var ok bool
	switch {
	case r.Columns != nil:
		line, ok = r.split(n)
	case len(n) == 4:
		line, ok = splitLine{shape: n}, true
	default:
		line, ok = r.splitTask(n)
	}
	if !ok {
		return r.Drop(convert.KindCount, o.At, fmt.Sprintf("%d numbers after the class; %s%s", len(n), r.expected(), r.otherwise(n)))
	}
	if len(line.confidence) > 0 {
		score := line.confidence[0]
		if !(score >= 0 && score <= 1) {
			return r.Drop(convert.KindConfidence, o.At, fmt.Sprintf("the score is %v, not from 0 to 1; %s", score, noScore(score)))
		}
		o.Confidence = &score
	}
	if len(line.id) > 0 {
		id := line.id[0]
		if !wholeID64(id) && id != noID {
			return r.Drop(convert.KindNumber, o.At, fmt.Sprintf("the id is %v, no whole number from 0", id))
		}
		if id != noID {
			o.Attributes = map[string]any{"track_id": json.Number(strconv.FormatFloat(id, 'f', -1, 64))}
		}
	}
	switch shape := line.shape; {
	case len(line.box) > 0 && len(shape) >= 6 && len(shape)%2 == 0:
		return r.boxedPolygon(o, line.box, shape)
	case len(line.angle) > 0:
		return r.angledBox(o, shape, line.angle[0])
	case len(line.keypoints) > 0:
		return r.pose(o, shape, line.keypoints)
	case len(shape) == 4 && !r.Columns.has(columnPolygon):
		return r.box(o, shape)
	case r.Task == OBB && len(shape) == 8:
		return r.orientedBox(o, shape)
	case r.Task != OBB && len(shape) >= 6 && len(shape)%2 == 0:
		return r.polygon(o, shape)
	}
	return r.Drop(convert.KindCount, o.At, fmt.Sprintf("%d numbers after the class; %s", len(n), r.expected()))
}

// noScore says what a number may be that stands where a score should.
func noScore(v float64) string {
	if wholeID64(v) {
		return "it looks like the id of a tracker (--columns class,box,id)"
	}
	return "it looks like an angle (--columns class,box,angle takes degrees, clockwise)"
}

// wholeID64 reports a number that may be an id: whole, and exact as a double.
func wholeID64(v float64) bool { return v >= 0 && v <= 1<<53 && v == math.Trunc(v) }

// noID stands where an id would, for an object that no tracker has taken up.
const noID = -1

func (y *Converter) takesPolygons() bool { return y.Task == "" || y.Task == Segment }

// poseNumbers is how many numbers a pose line has, -1 if kpt_shape is not set.
func (y *Converter) poseNumbers() int {
	if y.KeypointCount < 1 || y.KeypointDims != 2 && y.KeypointDims != 3 {
		return -1
	}
	return 4 + y.KeypointCount*y.KeypointDims
}

func (y *Converter) expected() string {
	behind := ""
	switch t := y.Trailer; {
	case y.Columns != nil:
		return "they are to be " + y.Columns.String()
	case t.Confidence && t.ID:
		behind = ", and behind them a score and an id"
	case t.Confidence:
		behind = ", and behind them a score"
	case t.ID:
		behind = ", and behind them an id"
	}
	switch {
	case y.takesPolygons():
		return "a box has 4, a polygon an even count from 6" + behind
	case y.Task == Detect:
		return "a box has 4" + behind
	case y.Task == OBB:
		return "an oriented box has 8, a box 4" + behind
	case y.poseNumbers() < 0:
		return "poses need a kpt_shape of at least one keypoint with 2 or 3 numbers"
	default:
		return fmt.Sprintf("a pose of kpt_shape [%d, %d] has %d%s", y.KeypointCount, y.KeypointDims, y.poseNumbers(), behind)
	}
}

// otherwise says what a line of a wrong count is probably.
func (r *reader) otherwise(n []float64) string {
	const fewest = 6 // of a polygon
	if len(n) >= fewest && outOfRange(n[:4]) >= 0 {
		if pixels := r.looksLikePixels(n); pixels != "" {
			return "; " + pixels
		}
	}
	return r.looksLike(n)
}

// looksLike says what a line of a wrong count is probably.
func (y *Converter) looksLike(n []float64) string {
	switch {
	case y.Columns != nil || len(n) < 5:
		return ""
	case enclosesRest(n):
		return "; it looks like a box and the points behind it (--columns class,box,polygon)"
	case len(n) <= 6 && y.Trailer.count() < len(n)-4:
		return "; more behind a box is told by --columns, as class,box,confidence,id"
	case !y.takesPolygons() && len(n)%2 == 0 && outOfRange(n) < 0:
		return "; it looks like a polygon (--task segment)"
	}
	return ""
}

func (r *reader) box(o convert.Object, n []float64) bool {
	if !r.inRange(o.At, n) {
		return false
	}
	r.corners.add(n)
	return r.AddBox(o, r.boxOf(n))
}

// boxOf is a box in pixels.
func (r *reader) boxOf(n []float64) pictograph.Box {
	w, h := float64(r.Size.Width), float64(r.Size.Height)
	bw, bh := n[2]*w, n[3]*h
	return pictograph.Box{X: float64(n[0]*w) - float64(bw/2), Y: float64(n[1]*h) - float64(bh/2), W: bw, H: bh}
}

// angledBox is a box turned about its centre, by degrees, clockwise.
func (r *reader) angledBox(o convert.Object, n []float64, angle float64) bool {
	if !r.inRange(o.At, n) {
		return false
	}
	if !(math.Abs(angle) <= 360) {
		return r.Drop(convert.KindAngle, o.At, fmt.Sprintf("the angle is %v, no degrees from -360 to 360", angle))
	}
	w, h := float64(r.Size.Width), float64(r.Size.Height)
	if n[2] <= 0 || n[3] <= 0 {
		return r.Drop(convert.KindBox, o.At, fmt.Sprintf("the box is %v wide and %v high", n[2]*w, n[3]*h))
	}
	turned := pictograph.OrientedBox{CX: n[0] * w, CY: n[1] * h, W: n[2] * w, H: n[3] * h, Angle: angle}
	if turned.Angle = math.Mod(angle, 360); turned.Angle < 0 {
		turned.Angle += 360
	}
	return r.AddOriented(o, turned, geometry.Corners(turned))
}

func (r *reader) polygon(o convert.Object, n []float64) bool {
	if !r.inRange(o.At, n) {
		return false
	}
	if r.Columns == nil && enclosesRest(n) {
		return r.Drop(convert.KindBoxNotation, o.At, "its first four numbers are the box around the points behind them; --columns class,box,polygon reads a box and a polygon, class,polygon takes all for points")
	}
	ring := r.pixels(n)
	if !geometry.Enclosing(ring) {
		return r.Drop(convert.KindRing, o.At, "the polygon has fewer than three different points")
	}
	return r.AddPolygons(o, convert.WholeID, []pictograph.Polygon{{Rings: [][]pictograph.Point{ring}}})
}

// boxedPolygon is a polygon behind its box, which is held against it.
func (r *reader) boxedPolygon(o convert.Object, box, n []float64) bool {
	take := r.polygon
	if r.Task == OBB {
		if len(n) != 8 {
			return r.Drop(convert.KindCount, o.At, fmt.Sprintf("%d numbers of corners behind the box; an oriented box has 8", len(n)))
		}
		take = r.orientedBox
	}
	if !r.inRange(o.At, box) || !take(o, n) {
		return false
	}
	if !encloses(box, n) {
		r.Report(convert.KindGeometry, o.At, fmt.Sprintf("the box %v is not the one around the points behind it", box), "the points were taken")
	}
	return true
}

func (r *reader) orientedBox(o convert.Object, n []float64) bool {
	if !r.inRange(o.At, n) {
		return false
	}
	return r.AddOrientedBox(o, geometry.Quadrilateral(r.pixels(n)))
}

// pixels reads normalized points.
func (r *reader) pixels(n []float64) []pictograph.Point {
	w, h := float64(r.Size.Width), float64(r.Size.Height)
	scaled := r.Pairs(n)
	for i := range scaled {
		scaled[i].X *= w
		scaled[i].Y *= h
	}
	return scaled
}

// pose converts a box with keypoints. Where no keypoint is placed, the box is what
// is known of the object.
func (r *reader) pose(o convert.Object, box, numbers []float64) bool {
	if !r.inRange(o.At, box) {
		return false
	}
	r.corners.add(box)
	keypoints, scores, ok := r.placed(o.At, numbers)
	if !ok {
		return false
	}
	if len(keypoints) == 0 {
		return r.AddBox(o, r.boxOf(box))
	}
	first, instances := len(r.Result.Annotations), r.Instances
	if !r.AddPose(o, r.category(o.Name), keypoints) {
		return false
	}
	for i := range scores {
		r.Result.Annotations[first+i].Confidence = &scores[i]
	}
	switch given := r.boxOf(box); {
	case r.AllGeometries:
		r.AddBox(o, r.boxOf(box))
	case r.Instances == instances:
		r.Report(convert.KindGeometry, o.At, "there is a box beside a lone point", "left out; --all-geometries takes it too")
	case given.W > 0 && given.H > 0:
		r.CarryBox(given, keypoints)
	}
	return true
}

// placed are the keypoints that are placed, and where their third numbers are scores
// these. A keypoint of two numbers is not placed where both are 0 or one is negative:
// that is how Ultralytics trains on them. What a third number is the data set says.
func (r *reader) placed(at convert.Location, numbers []float64) (keypoints []convert.Keypoint, scores []float64, ok bool) {
	w, h := float64(r.Size.Width), float64(r.Size.Height)
	dims := r.KeypointDims
	scored := dims == 3 && r.Third == thirdScore
	keypoints = make([]convert.Keypoint, 0, len(numbers)/dims)
	var absent, unlabelled, odd convert.Flaws
	for slot := range len(numbers) / dims {
		n := numbers[slot*dims : (slot+1)*dims]
		x, y, flag := n[0], n[1], float64(convert.Visible)
		negative := x < -geometry.EdgeTolerance || y < -geometry.EdgeTolerance
		if dims == 3 {
			flag = n[2]
		} else if x == 0 && y == 0 {
			flag = convert.NotLabelled
		}
		switch {
		case flag == convert.NotLabelled:
			if x != 0 || y != 0 {
				unlabelled.Add(fmt.Sprintf("keypoint %d at %v, %v", slot+1, x, y))
			}
			continue
		case negative && (dims == 2 || flag < 0):
			absent.Add(fmt.Sprintf("keypoint %d at %v, %v", slot+1, x, y))
			continue
		case scored && !(flag > 0 && flag <= 1), !scored && flag != convert.Occluded && flag != convert.Visible, dims == 3 && r.Third == thirdUnclear:
			odd.Add(fmt.Sprintf("keypoint %d has %v", slot+1, flag))
			continue
		}
		if i := outOfRange(n[:2]); i >= 0 {
			return nil, nil, r.outside(at, fmt.Sprintf("keypoint %d is at %v, %v, outside 0 to 1", slot+1, x, y), []float64{x, y})
		}
		keypoints = append(keypoints, convert.Keypoint{Slot: slot, Point: pictograph.Point{X: x * w, Y: y * h}, Occluded: !scored && flag == convert.Occluded})
		if scored {
			scores = append(scores, flag)
		}
	}
	if odd.Count > 0 {
		return nil, nil, r.Drop(convert.KindKeypoints, at, r.Third.isNot()+": "+odd.String())
	}
	if absent.Count > 0 {
		r.Report(convert.KindKeypointAbsent, at, "negative coordinate: "+absent.String(), "keypoint taken for not placed")
	}
	if unlabelled.Count > 0 {
		r.Report(convert.KindVisibility, at, "visibility 0, which is not labelled, with coordinates: "+unlabelled.String(), "keypoint left out")
		r.Result.Findings[len(r.Result.Findings)-1].Count = unlabelled.Count
	}
	return keypoints, scores, true
}

// thirds counts the lines of a label file whose keypoints can only have scores, and those that
// can only have visibilities, as their third numbers; ones are those with 1 alone.
func (y *Converter) thirds(label []byte) (scores, visibilities, ones int) {
	var numbers []float64
	for _, line := range labelLines(label) {
		_, rest := nextField(line)
		var err error
		if numbers, err = appendFields(numbers[:0], rest); err != nil {
			continue
		}
		cut := y.splitTask
		if y.Columns != nil {
			cut = y.split
		}
		s, ok := cut(numbers)
		score, visibility, one := false, false, false
		for i := 2; ok && i < len(s.keypoints); i += 3 {
			v := s.keypoints[i]
			score, visibility = score || v > 0 && v < 1, visibility || v == convert.Visible
			one = one || v == convert.Occluded
		}
		switch {
		case score && !visibility:
			scores++
		case visibility && !score:
			visibilities++
		case one && !score:
			ones++
		}
	}
	return scores, visibilities, ones
}

// isNot says why a third number is not taken.
func (t third) isNot() string {
	switch t {
	case thirdScore:
		return "the third numbers of the data set's keypoints are scores, and here is none from 0 to 1"
	case thirdUnclear:
		return "some lines of the data set have keypoints with a visibility of 2, others with fractions as scores are, so nothing tells which a third number is"
	}
	return "the third numbers of the data set's keypoints are visibilities, and here is none of 0, 1 and 2"
}

// category is the class of the line at hand with its keypoints.
func (r *reader) category(name string) *convert.Category {
	if c := r.poses[r.class]; c != nil {
		return c
	}
	names := r.KeypointNames
	if own, there := r.ClassKeypointNames[r.class]; there {
		names = own
	}
	keypoints := make([]string, r.KeypointCount)
	copy(keypoints, names)
	for i, name := range keypoints {
		if convert.Blank(name) {
			keypoints[i] = convert.DefaultKeypointName(i)
		}
	}
	if r.poses == nil {
		r.poses = make(map[int]*convert.Category)
	}
	if len(keypoints) == 1 && (len(names) == 0 || convert.Blank(names[0])) {
		keypoints = nil // it is the class's own
	}
	c := convert.NewCategory(name, keypoints, nil)
	c.Among = r.severalClasses()
	r.poses[r.class] = c
	return c
}

// severalClasses reports whether there are classes of different names.
func (y *Converter) severalClasses() bool {
	first := ""
	for _, name := range y.Classes {
		if first != "" && !convert.Blank(name) && name != first {
			return true
		}
		if !convert.Blank(name) {
			first = name
		}
	}
	return false
}

// inRange drops the line of a coordinate outside the image.
func (r *reader) inRange(at convert.Location, n []float64) bool {
	i := outOfRange(n)
	if i < 0 {
		return true
	}
	return r.outside(at, fmt.Sprintf("coordinate %d is %v, outside 0 to 1", i+1, n[i]), n)
}

// outside drops a line with numbers outside 0 to 1.
func (r *reader) outside(at convert.Location, reason string, n []float64) bool {
	if pixels := r.looksLikePixels(n); pixels != "" {
		reason += ": " + pixels
	}
	return r.Drop(convert.KindCoordinateRange, at, reason)
}

// looksLikePixels says what coordinates seem to be that are no shares of the image, "" where
// that is not plain.
func (r *reader) looksLikePixels(n []float64) string {
	const some = 4
	largest := 0.0
	for _, v := range n {
		if v < 0 {
			return ""
		}
		largest = max(largest, v)
	}
	switch sides := float64(max(r.Size.Width, r.Size.Height)); {
	case largest < 2:
		return ""
	case largest > 2*sides:
		return fmt.Sprintf("no share of the image, and no pixels of one of %d×%d", r.Size.Width, r.Size.Height)
	}
	var text strings.Builder
	for _, v := range n[:min(len(n), some)] {
		fmt.Fprintf(&text, " %v", v)
	}
	if len(n) > some {
		text.WriteString(" …")
	}
	return fmt.Sprintf("looks like pixels:%s in an image of %d×%d", text.String(), r.Size.Width, r.Size.Height)
}

// outOfRange is the place of the first coordinate outside the image, -1 if none is.
func outOfRange(n []float64) int {
	for i, v := range n {
		if beyondRange(v) {
			return i
		}
	}
	return -1
}

func beyondRange(v float64) bool {
	return !(v >= -geometry.EdgeTolerance && v <= 1+geometry.EdgeTolerance)
}
