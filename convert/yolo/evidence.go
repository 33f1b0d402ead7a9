package yolo

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/source"
)

// evidence gathers what the lines of a data set can be, so that its lines are read
// by all of them together. The order in which label files are added does not matter,
// but for the example that is named.
//
// A line fits a reading where its numbers can be what the reading says: coordinates
// lie within the image, boxes have an extent, scores are from 0 to 1, ids are whole
// and once in a file. A line that fits none, as one of pixels, says nothing.
type evidence struct {
	counts map[int]*lineCount
	lines  int // that fit something
	// long are the lines of more than a box, enclosing those of them that begin with the
	// box around the points behind it.
	long, enclosing int
	files           int // with lines that do

	// scoreFirst are lines of five numbers that may be a score and a box within its image, and
	// scoredOut is one whose first four are a box that reaches out of it.
	scoreFirst int
	scoredOut  string
	// twoScores are lines of a box within its image and two numbers that may be scores, and
	// percents those of a box and a number from 0 to 100.
	twoScores, percents int
	aboveOne            bool // some of the latter are above 1

	degrees degrees // of lines of a box and one whole number
	numbers []float64
	ids     map[float64]bool // of the file at hand
}

// lineCount is what lines of one count of numbers fit.
type lineCount struct {
	lines   int
	fits    [trailers][lineShapes]int
	turned  int                       // that fit a box and an angle alone
	flags   int                       // that end with a whole 0 or 1
	zeros   int                       // that end with 0
	apart   [trailers][lineShapes]int // of these, whose box reaches out of the image
	example string
	boxes   boxCount // of the first four numbers
}

type lineShape int

const (
	boxShape lineShape = iota
	polygonShape
	cornersShape
	pose2Shape
	pose3Shape
	angleShape      // a box and an angle
	boxedShape      // a box and its polygon
	scoreFirstShape // a score and a box
	lineShapes
)

// shapes say what is known of each of the shapes.
var shapes = [lineShapes]struct {
	name, columns string
	task          Task
	dims          int  // numbers of a keypoint, 0 where it has no keypoints
	byColumns     bool // columns alone say that lines are of it
}{
	boxShape:        {name: "boxes", columns: "class,box", task: Detect},
	polygonShape:    {name: "polygons", columns: "class,polygon", task: Segment},
	cornersShape:    {name: "oriented boxes of four points", columns: "class,polygon", task: OBB},
	pose2Shape:      {name: "poses", columns: "class,box,points", task: Pose, dims: 2},
	pose3Shape:      {name: "poses", columns: "class,box,points", task: Pose, dims: 3},
	angleShape:      {name: "boxes with an angle", columns: "class,box,angle", task: OBB, byColumns: true},
	boxedShape:      {name: "polygons behind their boxes", columns: "class,box,polygon", task: Segment, byColumns: true},
	scoreFirstShape: {name: "boxes behind a score", columns: "class,confidence,box", task: Detect, byColumns: true},
}

// trailerKind is a Trailer by number.
type trailerKind int

const (
	noTrailer trailerKind = iota
	scoreTrailer
	idTrailer
	bothTrailer
	trailers
)

func (t trailerKind) trailer() trailer {
	return trailer{Confidence: t == scoreTrailer || t == bothTrailer, ID: t == idTrailer || t == bothTrailer}
}

func (t trailerKind) count() int { return t.trailer().count() }

// addFile takes the lines of one label file.
func (e *evidence) addFile(file string, label []byte) {
	if e.counts == nil {
		e.counts, e.ids = make(map[int]*lineCount), make(map[float64]bool)
	}
	if _, _, found := angleHeader(withoutMark(label)); found || source.IsUTF16(label) {
		return
	}
	clear(e.ids)
	e.degrees.file()
	before := e.lines
	for number, line := range labelLines(label) {
		class, rest := nextField(line)
		if _, err := parseClass(class); err != nil {
			continue
		}
		var err error
		if e.numbers, err = appendFields(e.numbers[:0], rest); err != nil || len(e.numbers) < 4 {
			continue
		}
		c := e.addLine(line)
		if c == nil {
			continue
		}
		if c.example == "" {
			c.example = exampleLine(file, number, line)
		}
		for i, first := range c.boxes.add(e.numbers) {
			if first {
				c.boxes.example[i] = exampleLine(file, number, line)
			}
		}
		if e.scored() && e.scoredOut == "" {
			e.scoredOut = exampleLine(file, number, line)
		}
	}
	if e.lines > before {
		e.files++
	}
}

func exampleLine(file string, number int, line []byte) string {
	return fmt.Sprintf("%s line %d: %s", file, number, scan.Shorten(string(line)))
}

// scored counts a line that may have scores, and reports one that can be a score and a box
// and hardly a box and a score.
func (e *evidence) scored() bool {
	const beyondRounding = 0.002
	n := e.numbers
	within := func(n []float64) bool { return fitsBox(n[:4]) && !leavesImage(n, beyondRounding) }
	switch {
	case len(n) == 6 && within(n) && isShare(n[4]) && isShare(n[5]):
		e.twoScores++
	case len(n) == 5:
		if fitsBox(n[:4]) && n[4] >= 0 && n[4] <= 100 {
			e.percents++
			e.aboveOne = e.aboveOne || n[4] > 1
		}
		if isShare(n[0]) && within(n[1:]) {
			e.scoreFirst++
			return fitsBox(n[:4]) && leavesImage(n, beyondRounding)
		}
	}
	return false
}

// enclosesRest reports whether a line begins with the box around the points behind it.
func enclosesRest(n []float64) bool {
	const fewest = 4 + 6
	return len(n) >= fewest && encloses(n[:4], n[4:])
}

// encloses reports whether a box, but for rounding, is the one around points.
func encloses(box, points []float64) bool {
	const rounding = 0.002
	x0, y0, x1, y1 := points[0], points[1], points[0], points[1]
	for ; len(points) > 1; points = points[2:] {
		x0, x1 = min(x0, points[0]), max(x1, points[0])
		y0, y1 = min(y0, points[1]), max(y1, points[1])
	}
	for i, v := range []float64{(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0} {
		if math.Abs(v-box[i]) > rounding {
			return false
		}
	}
	return true
}

// addLine counts one line, whose numbers are read; nil is one that fits nothing.
func (e *evidence) addLine(line []byte) *lineCount {
	n := e.numbers
	if len(n) == 4 { // nearly all lines of most data sets
		if !fitsBox(n) {
			return nil
		}
		c := e.count(4)
		c.lines++
		c.fits[noTrailer][boxShape]++
		e.lines++
		return c
	}
	var fits, apart [trailers][lineShapes]bool
	some := false
	end := e.lineEnd(line)
	for t := range trailers {
		if m := len(n) - t.count(); m >= 4 && end.canBe(t, n) {
			fits[t], apart[t] = fittingShapes(n[:m])
			some = some || slices.Contains(fits[t][:], true)
		}
	}
	turned := len(n) == 5 && fitsBox(n[:4]) && end.last >= -fullTurn && end.last <= fullTurn
	if !some && !turned {
		return nil
	}
	c := e.count(len(n))
	if fits[noTrailer][angleShape] = turned; turned && !some {
		c.turned++
	}
	if len(n) == 5 && fits[idTrailer][boxShape] && end.last != noID {
		e.degrees.add(end.last)
	}
	c.lines++
	e.lines++
	if end.last == 0 {
		c.zeros++
	}
	if end.whole && (end.last == 0 || end.last == 1) {
		c.flags++
	}
	if e.long++; enclosesRest(n) {
		e.enclosing++
	}
	c.take(&fits, &apart)
	return c
}

// take counts what a line fits.
func (c *lineCount) take(fits, apart *[trailers][lineShapes]bool) {
	for t := range trailers {
		for s := range lineShapes {
			if fits[t][s] {
				c.fits[t][s]++
			}
			if apart[t][s] {
				c.apart[t][s]++
			}
		}
	}
}

// lineEnd is the last number of a line.
type lineEnd struct {
	last  float64
	whole bool // it is written as a whole number
	id    bool // it can be an id
}

// lineEnd looks at the last number of a line, whose numbers are read.
func (e *evidence) lineEnd(line []byte) lineEnd {
	n := e.numbers
	last := n[len(n)-1]
	field := line[bytes.LastIndexFunc(line, convert.IsSpace)+1:]
	// Angles are written with a point where ids are not, and may be there twice.
	whole := !bytes.ContainsAny(field, ".eE")
	id := wholeID64(last) && !e.ids[last] && (len(n) > 5 || whole)
	if id {
		e.ids[last] = true
	}
	return lineEnd{last: last, whole: whole, id: id || last == noID && whole}
}

// canBe reports whether numbers with that end can have a trailer.
func (l lineEnd) canBe(t trailerKind, n []float64) bool {
	switch t {
	case scoreTrailer:
		return isShare(l.last)
	case idTrailer:
		return l.id
	case bothTrailer:
		score := n[len(n)-2]
		return l.id && (l.last >= 1 || l.last == noID) && score > 0 && isShare(score)
	}
	return true
}

func isShare(v float64) bool { return v >= 0 && v <= 1 }

// ofCount are the lines of a count of numbers, of which there may be none.
func (e *evidence) ofCount(numbers int) *lineCount {
	if c := e.counts[numbers]; c != nil {
		return c
	}
	return &lineCount{}
}

func (e *evidence) count(numbers int) *lineCount {
	c := e.counts[numbers]
	if c == nil {
		c = &lineCount{}
		e.counts[numbers] = c
	}
	return c
}

// carelessness is how far boxes that are drawn by hand may reach out of their image.
const carelessness = 0.05

// leavesImage reports whether a box reaches out of its image by more than that.
func leavesImage(n []float64, far float64) bool {
	return n[0]-n[2]/2 < -far || n[1]-n[3]/2 < -far || n[0]+n[2]/2 > 1+far || n[1]+n[3]/2 > 1+far
}

func fitsBox(n []float64) bool { return outOfRange(n) < 0 && n[2] > 0 && n[3] > 0 }

// fittingShapes are those that numbers can be.
func fittingShapes(n []float64) (fits, apart [lineShapes]bool) {
	if len(n) == 4 {
		fits[boxShape], apart[boxShape] = fitsBox(n), leavesImage(n, carelessness)
		return fits, apart
	}
	if len(n) >= 6 && len(n)%2 == 0 && outOfRange(n) < 0 {
		fits[polygonShape], fits[cornersShape] = true, len(n) == 8
	}
	if fitsBox(n[:4]) {
		fits[pose2Shape], fits[pose3Shape] = fitsKeypoints(n, 2), fitsKeypoints(n, 3)
		apart[pose2Shape] = fits[pose2Shape] && leavesImage(n, carelessness)
		apart[pose3Shape] = fits[pose3Shape] && leavesImage(n, carelessness)
	}
	return fits, apart
}

// fitsKeypoints reports whether keypoints can follow a box.
func fitsKeypoints(n []float64, dims int) bool {
	keypoints := n[4:]
	if len(keypoints) == 0 || len(keypoints)%dims > 0 || len(keypoints)/dims > maxYOLOKeypoints {
		return false
	}
	for ; len(keypoints) > 0; keypoints = keypoints[dims:] {
		x, y := keypoints[0], keypoints[1]
		if dims == 3 {
			switch v := keypoints[2]; {
			case v == convert.NotLabelled || v < 0 && (x < 0 || y < 0):
				continue
			case v != convert.Visible && !(v > 0 && v <= 1):
				return false
			}
		} else if x < -geometry.EdgeTolerance || y < -geometry.EdgeTolerance || x == 0 && y == 0 {
			continue
		}
		if beyondRange(x) || beyondRange(y) {
			return false
		}
	}
	return true
}

// maxYOLOKeypoints bounds the keypoints of a pose that nothing states.
const maxYOLOKeypoints = 1 << 10

// reading is one way to read all lines of a data set.
type reading struct {
	Task          Task
	Trailer       trailer
	KeypointCount int
	KeypointDims  int
	// misfits are lines that fit otherwise alone.
	misfits int
	shape   lineShape
}

// statement is what is known of a data set before its lines are looked at.
type statement struct {
	Task                        Task
	Trailer                     trailer // the zero value states none
	KeypointCount, KeypointDims int
}

// allReadings are the ways that the lines gathered so far can be read: those that fit all
// lines, else those that fit nine of ten. None is where nothing does.
func (e *evidence) allReadings(stated statement) []reading {
	var all []reading
	for t := range trailers {
		for _, shape := range []lineShape{boxShape, polygonShape, cornersShape, pose2Shape, pose3Shape} {
			for _, count := range e.keypointCounts(shape, t, stated) {
				if r, ok := e.reading(shape, t, count); ok && stated.allows(r) {
					all = append(all, r)
				}
			}
		}
	}
	boxes := slices.IndexFunc(all, func(r reading) bool { return r.shape == boxShape && r.Trailer == trailer{} })
	var few []reading
	if boxes >= 0 && e.few(all[boxes].misfits) {
		few = []reading{all[boxes]}
	}
	if stated.Trailer != (trailer{}) {
		return preferred(e.fitting(all, stated), func(r reading) bool { return r.Trailer == stated.Trailer })
	}
	fitting := e.fitting(all, stated)
	if len(fitting) > 1 && few != nil && stated.Task == "" {
		return few // the odd lines among boxes are left out, rather than asked about
	}
	return append(fitting, e.alternatives(fitting, stated)...)
}

// alternatives are what lines may be besides the readings that fit them by their numbers:
// these fit too, and what they say is another.
func (e *evidence) alternatives(fitting readings, stated statement) (more []reading) {
	for _, rule := range []func(readings, statement) []reading{e.angles, e.scoredAngles, e.scoresBefore, e.behindBoxes, e.idsForFlags} {
		more = append(more, rule(fitting, stated)...)
	}
	return more
}

// readings are those that fit.
type readings []reading

func (r readings) has(shape lineShape, t trailer) bool {
	return slices.ContainsFunc(r, func(r reading) bool { return r.shape == shape && r.Trailer == t })
}

// oriented reports whether boxes are stated to be oriented, where some number behind them may be
// an angle as well as a score or an id.
func (r readings) oriented(stated statement) bool {
	return stated.Task == OBB && slices.ContainsFunc(r, func(r reading) bool { return r.Trailer != trailer{} })
}

// angles are numbers that can be nothing else, those behind oriented boxes, and whole ones, which
// may be of degrees as well as ids.
func (e *evidence) angles(fitting readings, stated statement) []reading {
	c := e.ofCount(5)
	angles := c.fits[noTrailer][angleShape]
	turned := c.turned > 0 && (stated.Task == "" || stated.Task == Detect || stated.Task == OBB)
	oriented := angles > 0 && fitting.oriented(stated)
	degrees := angles > 0 && angles == c.lines && stated.Task != Segment && stated.Task != Pose &&
		fitting.has(boxShape, trailer{ID: true}) && !e.degrees.areIDs()
	if turned || oriented || degrees {
		return []reading{{Task: OBB, shape: angleShape}}
	}
	return nil
}

// scoredAngles are those of oriented boxes with a score, rather than scores with an id.
func (e *evidence) scoredAngles(fitting readings, stated statement) []reading {
	if c := e.ofCount(6); c.fits[bothTrailer][boxShape] > 0 && fitting.oriented(stated) {
		return []reading{{Task: OBB, shape: angleShape, Trailer: trailer{Confidence: true}}}
	}
	return nil
}

// scoresBefore are scores that stand before their boxes, where some box reaches out of its image
// when the score is behind it.
func (e *evidence) scoresBefore(fitting readings, stated statement) (more []reading) {
	c := e.ofCount(5)
	if c.lines == 0 || e.scoredOut == "" || e.scoreFirst != c.lines || stated.Task != "" && stated.Task != Detect {
		return nil
	}
	if behind := (trailer{Confidence: true}); !fitting.has(boxShape, behind) {
		more = append(more, reading{Task: Detect, Trailer: behind})
	}
	c.example = e.scoredOut
	return append(more, reading{Task: Detect, shape: scoreFirstShape})
}

// behindBoxes are polygons that begin behind the boxes around them.
func (e *evidence) behindBoxes(fitting readings, _ statement) []reading {
	if e.boxedPolygons() && slices.ContainsFunc(fitting, func(r reading) bool { return r.shape == polygonShape }) {
		return []reading{{Task: Segment, shape: boxedShape}}
	}
	return nil
}

// idsForFlags are ids where all scores are 0 or 1.
func (e *evidence) idsForFlags(fitting readings, _ statement) (more []reading) {
	if !e.onlyFlags() {
		return nil
	}
	for _, r := range fitting {
		byID := r
		byID.Trailer = trailer{ID: true}
		if (r.Trailer == trailer{Confidence: true}) && shapes[r.shape].dims == 0 && !fitting.has(r.shape, byID.Trailer) {
			more = append(more, byID)
		}
	}
	return more
}

// boxedPolygons reports whether lines, but for a few, begin with the box around their points.
func (e *evidence) boxedPolygons() bool { return e.enclosing > 0 && e.enclosing*10 >= e.long*9 }

// onlyFlags reports whether the one number behind all shapes is 0 throughout, or a whole 0
// or 1, which says more of a mark or an id than of a score.
func (e *evidence) onlyFlags() bool {
	lines, flags, zeros := 0, 0, 0
	for n, c := range e.counts {
		if n%2 == 1 {
			lines, flags, zeros = lines+c.lines, flags+c.flags, zeros+c.zeros
		}
	}
	return lines > 0 && (flags == lines || zeros == lines)
}

// few reports that hardly any lines are of that kind.
func (e *evidence) few(lines int) bool {
	const someLines = 5
	return lines*10 <= e.lines || lines == 1 && e.lines >= someLines
}

// fitting are the readings that fit all lines, or nine of ten where none does. Then
// one that fits ten times as many of the lines that differ is taken over another.
func (e *evidence) fitting(all []reading, stated statement) []reading {
	least := e.lines
	for _, r := range all {
		least = min(least, r.misfits)
	}
	all = slices.DeleteFunc(all, func(r reading) bool {
		return r.misfits > least && r.misfits >= 10*least || r.misfits*10 > e.lines
	})
	if stated.Task == "" {
		return all
	}
	// Who states another task does not mean boxes, unless nothing else is there, and
	// means the task's shapes alone where all lines are these.
	all = preferred(all, func(r reading) bool { return r.shape != boxShape })
	return preferred(all, func(r reading) bool { return r.misfits == 0 && r.Trailer == trailer{} })
}

// preferred are those that are so, if any is.
func preferred(all []reading, so func(reading) bool) []reading {
	if !slices.ContainsFunc(all, so) {
		return all
	}
	return slices.DeleteFunc(all, func(r reading) bool { return !so(r) })
}

func (s statement) allows(r reading) bool {
	switch {
	case s.Task == "" || r.shape == boxShape:
	case r.Task != s.Task:
		return false
	}
	return s.Task != Pose || s.KeypointCount == 0 || r.shape == boxShape || r.KeypointCount == s.KeypointCount && r.KeypointDims == s.KeypointDims
}

// keypointCounts are the counts of keypoints that a pose may have, one of 0 for what has
// none.
func (e *evidence) keypointCounts(shape lineShape, t trailerKind, stated statement) []int {
	dims := shapes[shape].dims
	if dims == 0 {
		return []int{0}
	}
	if stated.KeypointCount > 0 {
		return []int{stated.KeypointCount}
	}
	var counts []int
	boxes := e.ofCount(4).lines
	for n, c := range e.counts {
		if c.lines*4 < e.lines-boxes {
			continue // the lines of a pose are of one count, but for the trailer
		}
		if rest := n - 4 - t.count(); rest > 0 && rest%dims == 0 {
			counts = append(counts, rest/dims)
		}
	}
	slices.Sort(counts)
	return counts
}

// reading holds the lines against one way to read them; ok is false where no line is
// what it is about.
func (e *evidence) reading(shape lineShape, t trailerKind, keypoints int) (r reading, ok bool) {
	r = reading{Task: shapes[shape].task, Trailer: t.trailer(), KeypointCount: keypoints, KeypointDims: shapes[shape].dims, shape: shape}
	fitting, apart := 0, 0
	for n, c := range e.counts {
		best := 0
		for _, with := range t.variants() {
			as := shape
			switch m := n - with.count(); {
			case m == 4:
				as = boxShape
			case shape == boxShape, keypoints > 0 && m != 4+keypoints*r.KeypointDims,
				shape == polygonShape && with != t && !(t == bothTrailer && with == scoreTrailer):
				continue
			}
			best = max(best, c.fits[with][as])
			ok = ok || as == shape && with == t && c.fits[with][as] > 0
			apart += c.apart[with][as]
			fitting += c.fits[with][as]
		}
		r.misfits += c.lines - best
	}
	// Points of a polygon, taken for a box, mostly lie outside.
	return r, ok && apart*2 <= fitting
}

// variants are the trailers that lines may have where the data set has one.
func (t trailerKind) variants() []trailerKind {
	switch t {
	case bothTrailer:
		return []trailerKind{noTrailer, scoreTrailer, bothTrailer}
	case noTrailer:
		return []trailerKind{noTrailer}
	}
	return []trailerKind{noTrailer, t}
}

// asks reports whether the reading is not taken without being told: how many keypoints
// a pose has, and what an angle means, no line says.
func (r reading) asks(stated statement) bool {
	return r.shape == angleShape || r.Task == Pose && stated.KeypointCount == 0
}

// String says what a line is by the reading.
func (r reading) String() string {
	text := shapes[r.shape].name
	if r.KeypointDims > 0 {
		text = fmt.Sprintf("poses of %d keypoints (%d numbers each)", r.KeypointCount, r.KeypointDims)
		if r.KeypointCount == 1 {
			text = fmt.Sprintf("poses of one keypoint (%d numbers)", r.KeypointDims)
		}
	}
	switch t := r.Trailer; {
	case t.Confidence && t.ID:
		text += " with score and id"
	case t.Confidence:
		text += " with a score"
	case t.ID:
		text += " with an id"
	}
	return text
}

// flags are those that ask for the reading.
func (r reading) flags() string {
	flags := ""
	switch {
	case r.KeypointDims > 0:
		flags = fmt.Sprintf("--kpt-shape %d,%d", r.KeypointCount, r.KeypointDims)
	case shapes[r.shape].byColumns:
	case r.Trailer == trailer{} || r.shape == cornersShape:
		flags = "--task " + string(r.Task)
	}
	if (r.Trailer != trailer{}) || shapes[r.shape].byColumns {
		flags = strings.TrimSpace(flags + " --columns " + r.columns())
	}
	return flags
}

// flagsAmong are those that tell the reading from others: a task tells nothing between
// two readings of it.
func (r reading) flagsAmong(others []reading) string {
	if r.shape == polygonShape && slices.ContainsFunc(others, func(o reading) bool { return o.shape == boxedShape }) {
		return "--columns " + r.columns()
	}
	return r.flags()
}

// columns are those of the reading's lines.
func (r reading) columns() string {
	columns := shapes[r.shape].columns
	if r.Trailer.Confidence {
		columns += ",confidence"
	}
	if r.Trailer.ID {
		columns += ",id"
	}
	return columns
}

// notRead says what lines may be too that no flag reads; "" where that is nothing.
func (e *evidence) notRead() string {
	if c := e.ofCount(6); c.lines > 0 && e.twoScores == c.lines {
		return "boxes with two scores are not read: leave one of them"
	}
	if c := e.ofCount(5); c.lines > 0 && e.percents == c.lines && e.aboveOne {
		return "scores from 0 to 100 are not read: divide them by 100"
	}
	return ""
}

// example is a line of the longest that are there, with its place.
func (e *evidence) example() string {
	if len(e.counts) == 0 {
		return ""
	}
	return e.counts[slices.Max(slices.Collect(maps.Keys(e.counts)))].example
}

// different names lines of the counts that are there, the most frequent first.
func (e *evidence) different() string {
	const some = 3
	numbers := slices.SortedFunc(maps.Keys(e.counts), func(a, b int) int {
		if d := e.counts[b].lines - e.counts[a].lines; d != 0 {
			return d
		}
		return a - b
	})
	var texts []string
	for _, n := range numbers[:min(len(numbers), some)] {
		texts = append(texts, fmt.Sprintf("%d of %d numbers (%s)", e.counts[n].lines, n, e.counts[n].example))
	}
	return strings.Join(texts, ", ")
}
