package yolo

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Writer writes images as label files of the Ultralytics layout. It may be
// used from several goroutines at once.
type Writer struct {
	catalog   *convert.Catalog
	task      Task
	chosen    bool // the task is none that was asked for
	numbers   map[string]int
	keypoints []string // of the data set's poses
	// own are those of each class with keypoints, and differ says that not all have the same.
	own    map[string][]string
	differ bool
}

// NewWriter writes images that are all in the catalog. Without a task it is the one that has
// no place for the fewest objects: pose where there are more poses than all else together,
// else segment where there are polygons, obb where there are oriented boxes, or detect. What
// it has no place for is then lost, as nobody asked for it.
func NewWriter(c *convert.Catalog, task Task) (*Writer, error) {
	w := &Writer{catalog: c, task: task, numbers: c.Numbers(0)}
	if task == "" {
		w.chosen = true
		switch {
		case c.Task.Poses > c.Task.Boxes+c.Task.Oriented+c.Task.Polygons:
			w.task = Pose
		case c.Task.Oriented > 0 && c.Task.Polygons == 0:
			w.task = OBB
		case c.Task.Polygons > 0:
			w.task = Segment
		default:
			w.task = Detect
		}
	}
	if w.task != Pose {
		return w, nil
	}
	all := c.All()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		category := all[name]
		var keypoints []string
		if category.Skeleton != nil {
			for _, node := range category.Skeleton.Nodes {
				keypoints = append(keypoints, node.Name)
			}
		}
		for len(keypoints) < category.Unnamed {
			keypoints = append(keypoints, convert.NumberedKeypoint(category.Name, len(keypoints)))
		}
		switch {
		case len(keypoints) == 0:
		case w.keypoints == nil:
			w.keypoints, w.own = keypoints, map[string][]string{name: keypoints}
		case len(keypoints) != len(w.keypoints):
			return nil, fmt.Errorf("the poses have different keypoints (class %q has %d, another %d), and a YOLO data set has one number of them for all: drop classes with --class-map, or write --to coco", name, len(keypoints), len(w.keypoints))
		default:
			w.own[name] = keypoints
			w.differ = w.differ || !slices.Equal(keypoints, w.keypoints)
		}
	}
	if w.keypoints == nil {
		return nil, errors.New("there are no poses to write with --task pose")
	}
	return w, nil
}

// Classes are the names of the classes, by their numbers.
func (w *Writer) Classes() map[int]string {
	names := make(map[int]string, len(w.numbers))
	for name, n := range w.numbers {
		names[n] = name
	}
	return names
}

// Keypoints are the names of the keypoints of poses, in order.
func (w *Writer) Keypoints() []string { return w.keypoints }

// Task is the task that the label files are for.
func (w *Writer) Task() Task { return w.task }

// labelPath is the path of an image's label file in the data set, where trainers look for it: the
// image lies in the folder images by its bare name.
func (w *Writer) labelPath(image string) string {
	image = convert.BareName(image)
	return "labels/" + strings.TrimSuffix(image, path.Ext(image)) + ".txt"
}

// description is the data.yaml of a data set with splits.
func (w *Writer) description(splits *writtenSplits) []byte {
	dst := splits.describe([]byte("path: .\n"))
	dst = fmt.Appendf(dst, "%s: %s\ntask: %s\n", sizesKey, sizesFile, w.task)
	names := slices.SortedFunc(maps.Keys(w.numbers), func(a, b string) int { return w.numbers[a] - w.numbers[b] })
	if len(names) == 0 {
		return append(dst, "nc: 0\nnames: {}\n"...)
	}
	dst = append(dst, "names:\n"...)
	for _, name := range names {
		dst = fmt.Appendf(dst, "  %d: %s\n", w.numbers[name], quoteYAML(name))
	}
	if w.keypoints == nil {
		return dst
	}
	dst = fmt.Appendf(dst, "kpt_shape: [%d, 3]\nkpt_names:", len(w.keypoints))
	if !w.differ {
		return fmt.Appendf(dst, " %s\n", listYAML(w.keypoints))
	}
	dst = append(dst, '\n')
	for _, name := range names {
		if own := w.own[name]; own != nil {
			dst = fmt.Appendf(dst, "  %d: %s\n", w.numbers[name], listYAML(own))
		}
	}
	return dst
}

// listYAML is texts as a YAML list.
func listYAML(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = quoteYAML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quoteYAML is text as a YAML scalar; JSON strings are those.
func quoteYAML(s string) string {
	quoted, _ := json.Marshal(s)
	return string(quoted)
}

// Image returns the lines of an image's label file, with what these are, what YOLO cannot hold
// of it, and how many of the source's annotations found no place. The error says why the image
// cannot be written at all.
func (w *Writer) Image(image string, r convert.Result) (label []byte, written convert.Written, leftOut int, findings []convert.Finding, err error) {
	if len(r.Annotations) == 0 {
		return nil, written, 0, nil, nil
	}
	if !r.Size.Known() {
		return nil, written, 0, nil, fmt.Errorf("write the label of %s: the image's size is not known, which YOLO's coordinates need; give --images or --sizes", image)
	}
	report := convert.ReportInto(&findings, image)
	l := lineWriter{Writer: w, size: r.Size, report: report, lost: make(convert.LostAnnotations)}
	lost, keypoints, further := 0, 0, 0
	for _, o := range convert.ObjectsOf(r, l.lost, report) {
		if hasDetails(o) {
			lost++
		}
		before := len(l.dst)
		l.object(r, w.catalog.CategoryOf(r, o), o)
		if len(l.dst) > before {
			w.count(&written, o)
		}
		switch {
		case len(l.dst) == before: // left out, and told
			for _, m := range o.Members {
				l.lost[m] = true
			}
		case o.Shapes() > 1:
			further++
		case o.Keypoints != nil && w.task != Pose && o.Given != nil:
			keypoints++
		}
	}
	if lost > 0 {
		report(convert.KindLostDetail, "", fmt.Sprintf("confidence or attributes of %s have no place in a label file", count(lost, "annotation")), "left out")
	}
	if keypoints > 0 {
		report(convert.KindLostDetail, "", fmt.Sprintf("the keypoints of %s have no place in a %s dataset", count(keypoints, "annotation"), w.task), "their given boxes were written")
	}
	if further > 0 {
		report(convert.KindGeometry, "", fmt.Sprintf("%s with several shapes, and a line of a %s dataset has one", count(further, "annotation"), w.task), "the others were left out")
	}
	leftOut = r.Lost(l.lost)
	if len(l.dst) == 0 {
		// An empty label file would say that the image is empty.
		return nil, written, leftOut, findings, fmt.Errorf("write the label of %s: none of its %d annotations has a place in a %s dataset; --yolo-task names another", image, len(r.Annotations), w.task)
	}
	return l.dst, written, leftOut, findings, nil
}

// forms are what the lines of a task are.
var forms = map[Task]convert.Form{Detect: convert.FormBox, OBB: convert.FormOriented, Segment: convert.FormPolygon, Pose: convert.FormPose}

// count counts the line of an object.
func (w *Writer) count(written *convert.Written, o convert.WholeObject) {
	written.Count(forms[w.task], 1)
	if o.Keypoints != nil && w.task != Pose {
		written.Lack(convert.WithoutKeypoints, 1)
	}
	if o.Polygons != nil && (w.task == Pose || w.task != Segment && o.Box != nil) {
		written.Lack(convert.WithoutPolygons, 1)
	}
	if o.Box != nil && o.Polygons != nil && w.task == Segment {
		written.Lack(convert.WithoutBox, 1)
	}
	if hasDetails(o) {
		written.Lack(convert.WithoutDetails, 1)
	}
}

// hasDetails reports whether an object has what a line has no place for beside its shape.
func hasDetails(o convert.WholeObject) bool {
	return o.Confidence != nil || o.Scored || len(o.Attributes) > 0
}

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// lineWriter writes the lines of one label file.
type lineWriter struct {
	*Writer
	size   convert.Size
	report func(kind convert.Kind, at, reason, action string)
	lost   convert.LostAnnotations
	dst    []byte
}

// object writes the shape of an object that the task is for, or else the nearest.
func (l *lineWriter) object(r convert.Result, c *convert.CatalogEntry, o convert.WholeObject) {
	at := "annotation " + scan.Shorten(o.ID)
	switch {
	case l.task == Pose && o.Keypoints != nil:
		o.Lose(l.lost, l.pose(c, o), r)
	case l.task == Pose:
		l.report(convert.KindLostShape, at, "a "+shapeName(o)+" has no place in a data set of poses", "left out")
	case l.task == Segment && o.Polygons != nil:
		l.polygons(c, o, at)
	case o.Box != nil:
		l.box(c, o, at)
	case o.Polygons != nil:
		l.polygons(c, o, at)
	case l.task == Detect && l.chosen:
		l.report(convert.KindLostShape, at, "keypoints have no place in a detect dataset, which fits most of the objects; --yolo-task detect takes their boxes, --yolo-task pose the keypoints", "left out")
	case l.task == Detect && o.Given != nil:
		l.boxLine(c, *o.Given, at)
	case l.task == Detect:
		var points []pictograph.Point
		for _, j := range o.Keypoints {
			points = append(points, j.Geometry.(pictograph.Keypoint).Point)
		}
		box := geometry.Enclosure(points)
		if box == nil {
			l.report(convert.KindLostShape, at, "keypoints without a given box, and with no extent of their own, have no place in a detect dataset", "left out")
			return
		}
		l.report(convert.KindOtherShape, at, "keypoints without a given box in a detect dataset", "their enclosing box was written")
		l.boxLine(c, *box, at)
	default:
		l.report(convert.KindLostShape, at, "keypoints have no place in a dataset of task "+string(l.task), "left out")
	}
}

func shapeName(o convert.WholeObject) string {
	if o.Polygons != nil {
		return "polygon"
	}
	return "box"
}

func (l *lineWriter) box(c *convert.CatalogEntry, o convert.WholeObject, at string) {
	b := o.Box.Box
	switch l.task {
	case Detect:
		if o.Box.Oriented != nil {
			l.report(convert.KindOtherShape, at, "an oriented box in a detect dataset", "its enclosing box was written")
		}
		l.boxLine(c, b, at)
	case Segment:
		l.report(convert.KindOtherShape, at, "a box in a segment dataset", "written as the polygon of its corners")
		fallthrough
	default:
		if o.Box.Oriented != nil {
			q := geometry.Corners(*o.Box.Oriented)
			l.corners(c, q[:], at)
			return
		}
		l.corners(c, rectangle(b), at)
	}
}

// rectangle is a box's corners from the top left, clockwise.
func rectangle(b pictograph.Box) []pictograph.Point {
	return []pictograph.Point{{X: b.X, Y: b.Y}, {X: b.X + b.W, Y: b.Y}, {X: b.X + b.W, Y: b.Y + b.H}, {X: b.X, Y: b.Y + b.H}}
}

func (l *lineWriter) boxLine(c *convert.CatalogEntry, b pictograph.Box, at string) {
	if geometry.ReachesOutside(b, l.size.Width, l.size.Height) {
		b = geometry.Clip(b, l.size.Width, l.size.Height)
		if b.W <= 0 || b.H <= 0 {
			l.report(convert.KindOffImage, at, "the box lies outside the image", "left out")
			return
		}
		l.report(convert.KindOtherShape, at, "the box reaches outside the image, which trainers refuse", "cut off at the edge")
	}
	w, h := float64(l.size.Width), float64(l.size.Height)
	l.numbersLine(c, (b.X+b.W/2)/w, (b.Y+b.H/2)/h, b.W/w, b.H/h)
}

func (l *lineWriter) polygons(c *convert.CatalogEntry, o convert.WholeObject, at string) {
	switch l.task {
	case Detect:
		l.report(convert.KindOtherShape, at, "a polygon in a detect dataset", "its enclosing box was written")
		var all []pictograph.Point
		for _, p := range o.Polygons {
			all = append(all, p.Rings[0]...)
		}
		if box := geometry.Enclosure(all); box != nil {
			l.boxLine(c, *box, at)
		} else {
			l.report(convert.KindLostShape, at, "the polygon has no extent", "left out")
		}
		return
	case OBB:
		l.report(convert.KindLostShape, at, "a polygon has no place in a data set of oriented boxes", "left out")
		return
	}
	holes := 0
	rings := make([][]pictograph.Point, len(o.Polygons))
	for i, p := range o.Polygons {
		holes += len(p.Rings) - 1
		rings[i] = p.Rings[0]
	}
	if holes > 0 {
		l.report(convert.KindOtherShape, at, fmt.Sprintf("the polygon has %d holes, and YOLO's have none", holes), "its outer ring was written")
	}
	if len(rings) > 1 {
		l.report(convert.KindOtherShape, at, fmt.Sprintf("it has %d parts, and a line has one outline", len(rings)), "they were joined at their nearest points")
	}
	l.corners(c, joinRings(rings), at)
}

// joinRings makes one outline of several: from each to the next where they are nearest
// to each other, and back the same way, as Ultralytics joins the rings of COCO.
func joinRings(rings [][]pictograph.Point) []pictograph.Point {
	if len(rings) == 1 {
		return rings[0]
	}
	enter, leave := make([]int, len(rings)), make([]int, len(rings))
	for i := 1; i < len(rings); i++ {
		leave[i-1], enter[i] = nearestPoints(rings[i-1], rings[i])
	}
	last := len(rings) - 1
	enter[0], leave[last] = leave[0], enter[last]
	// walk are the points of a ring from one to another, both included.
	walk := func(ring []pictograph.Point, from, steps int) (out []pictograph.Point) {
		for i := range steps + 1 {
			out = append(out, ring[(from+i)%len(ring)])
		}
		return out
	}
	var out []pictograph.Point
	for i, ring := range rings {
		steps := len(ring) // once round
		if i > 0 && i < last {
			steps = (leave[i] - enter[i] + len(ring)) % len(ring)
		}
		out = append(out, walk(ring, enter[i], steps)...)
	}
	for i := last - 1; i > 0; i-- {
		ring := rings[i]
		there := (leave[i] - enter[i] + len(ring)) % len(ring)
		out = append(out, walk(ring, leave[i], len(ring)-there)...)
	}
	return out
}

// nearestPoints are the places of the two points that are nearest to each other.
func nearestPoints(a, b []pictograph.Point) (i, j int) {
	least := math.Inf(1)
	for m, p := range a {
		for n, q := range b {
			dx, dy := p.X-q.X, p.Y-q.Y
			if d := float64(dx*dx) + float64(dy*dy); d < least {
				least, i, j = d, m, n
			}
		}
	}
	return i, j
}

// corners writes points that have to lie in the image.
func (l *lineWriter) corners(c *convert.CatalogEntry, points []pictograph.Point, at string) {
	inside := make([]pictograph.Point, len(points))
	w, h := float64(l.size.Width), float64(l.size.Height)
	for i, p := range points {
		inside[i] = pictograph.Point{X: max(0, min(p.X, w)), Y: max(0, min(p.Y, h))}
	}
	if box := geometry.Enclosure(points); box != nil && geometry.ReachesOutside(*box, l.size.Width, l.size.Height) {
		if geometry.Enclosure(inside) == nil {
			l.report(convert.KindOffImage, at, "the shape lies outside the image", "left out")
			return
		}
		l.report(convert.KindOtherShape, at, "points lie outside the image, which trainers refuse", "moved to the edge")
	}
	numbers := make([]float64, 0, 2*len(inside))
	for _, p := range inside {
		numbers = append(numbers, p.X/w, p.Y/h)
	}
	l.numbersLine(c, numbers...)
}

// pose writes the keypoints of an object and returns those that have no place.
func (l *lineWriter) pose(c *convert.CatalogEntry, o convert.WholeObject) (lost []*pictograph.Annotation) {
	slots, extra := c.Slots(o.Keypoints)
	convert.ReportExtra(l.report, c.Name, extra)
	w, h := float64(l.size.Width), float64(l.size.Height)
	var placed []pictograph.Point
	var triplets []float64
	for i := range l.keypoints {
		if i >= len(slots) || slots[i] == nil {
			triplets = append(triplets, 0, 0, convert.NotLabelled)
			continue
		}
		p := slots[i].Geometry.(pictograph.Keypoint).Point
		v := float64(convert.Visible)
		if convert.IsOccluded(slots[i].Attributes) {
			v = convert.Occluded
		}
		triplets = append(triplets, p.X/w, p.Y/h, v)
		placed = append(placed, p)
	}
	var box pictograph.Box
	switch {
	case o.Box != nil:
		box = l.inside(o.Box.Box, o.ID)
	case o.Given != nil:
		box = l.inside(*o.Given, o.ID)
	default:
		var flat bool
		if box, flat = poseBox(placed, l.size); flat {
			l.report(convert.KindOtherShape, "annotation "+scan.Shorten(o.ID), "it has no box, and its keypoints have no extent", "a box of one pixel was written")
		}
	}
	numbers := []float64{(box.X + box.W/2) / w, (box.Y + box.H/2) / h, box.W / w, box.H / h}
	l.numbersLine(c, append(numbers, triplets...)...)
	return extra
}

// inside is a pose's given box as trainers take it.
func (l *lineWriter) inside(b pictograph.Box, id string) pictograph.Box {
	if cut := geometry.Clip(b, l.size.Width, l.size.Height); geometry.ReachesOutside(b, l.size.Width, l.size.Height) && cut.W > 0 && cut.H > 0 {
		l.report(convert.KindOtherShape, "annotation "+scan.Shorten(id), "the box reaches outside the image, which trainers refuse", "cut off at the edge")
		return cut
	}
	return b
}

// poseBox is the box of a pose's line: around its keypoints, and at least a pixel
// each way, since trainers refuse boxes without extent; flat says that they span less.
func poseBox(placed []pictograph.Point, size convert.Size) (b pictograph.Box, flat bool) {
	for i, p := range placed {
		if i == 0 {
			b = pictograph.Box{X: p.X, Y: p.Y}
			continue
		}
		x1, y1 := max(b.X+b.W, p.X), max(b.Y+b.H, p.Y)
		b.X, b.Y = min(b.X, p.X), min(b.Y, p.Y)
		b.W, b.H = x1-b.X, y1-b.Y
	}
	flat = b.W < 1 || b.H < 1
	if b.W < 1 {
		b.X, b.W = b.X-(1-b.W)/2, 1
	}
	if b.H < 1 {
		b.Y, b.H = b.Y-(1-b.H)/2, 1
	}
	return geometry.Clip(b, size.Width, size.Height), flat
}

func (l *lineWriter) numbersLine(c *convert.CatalogEntry, numbers ...float64) {
	l.dst = strconv.AppendInt(l.dst, int64(l.Writer.numbers[c.Name]), 10)
	for _, n := range numbers {
		l.dst = append(l.dst, ' ')
		l.dst = strconv.AppendFloat(l.dst, n, 'f', -1, 64)
	}
	l.dst = append(l.dst, '\n')
}
