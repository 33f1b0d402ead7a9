package yolo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Columns of label lines, as --columns has them.
const (
	columnBox        = "box"        // centre and size, 4 numbers
	columnPolygon    = "polygon"    // points, or the corners of an oriented box
	columnPoints     = "points"     // the keypoints of a pose, behind its box
	columnAngle      = "angle"      // of the box, in degrees, clockwise
	columnConfidence = "confidence" // from 0 to 1
	columnID         = "id"         // of a tracker, a whole number
)

// columns is what stands behind the class of every line. Nil is what the task
// says, and behind that what Converter.Trailer says.
type columns []string

// parseColumns reads the names of all columns, the class first.
func parseColumns(names []string) (columns, error) {
	var c columns
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch name {
		case "class":
			if i > 0 {
				return nil, errors.New("class is the first column of every line")
			}
			continue
		case columnBox, columnPolygon, columnPoints, columnAngle, columnConfidence, columnID:
		default:
			return nil, fmt.Errorf("a column is %q and must be one of: class, box, polygon, points, angle, confidence, id", name)
		}
		if i == 0 {
			return nil, errors.New("class is the first column of every line")
		}
		if c.has(name) {
			return nil, fmt.Errorf("%s stands there twice", name)
		}
		c = append(c, name)
	}
	switch {
	case !c.has(columnBox) && !c.has(columnPolygon):
		return nil, errors.New("there is neither box nor polygon")
	case c.has(columnPoints) && (!c.has(columnBox) || c.has(columnAngle) || c.has(columnPolygon)):
		return nil, errors.New("points belong to a box without an angle or a polygon")
	case c.has(columnAngle) && (!c.has(columnBox) || c.has(columnPolygon)):
		return nil, errors.New("an angle belongs to a box without a polygon")
	}
	return c, nil
}

func (c columns) has(name string) bool { return slices.Contains(c, name) }

// Task is the one that the columns are of. A polygon may be of two.
func (c columns) Task(stated Task) (Task, error) {
	var tasks []Task
	switch {
	case c.has(columnPoints):
		tasks = []Task{Pose}
	case c.has(columnAngle):
		tasks = []Task{OBB}
	case c.has(columnPolygon):
		tasks = []Task{Segment, OBB}
	default:
		return Detect, nil // boxes are read the same way in every task
	}
	switch {
	case stated == "":
		return tasks[0], nil
	case slices.Contains(tasks, stated):
		return stated, nil
	}
	return "", fmt.Errorf("%s are no lines of the task %s", strings.Join(c, ", "), stated)
}

// String is the columns as the flag takes them.
func (c columns) String() string { return strings.Join(append([]string{"class"}, c...), ",") }

// split cuts a line's numbers up as the columns say: the shape's own, and the single
// ones. Boxes may lack the id, or score and id, at the end, as detections do that no
// tracker has taken up. ok is false where the count is another.
func (y *Converter) split(n []float64) (s splitLine, ok bool) {
	keypoints := y.KeypointCount * y.KeypointDims
	rest := len(n)
	for _, c := range y.Columns {
		switch c {
		case columnBox:
			rest -= 4
		case columnPoints:
			rest -= keypoints
		case columnPolygon:
		default:
			rest--
		}
	}
	columns := y.Columns
	polygon := columns.has(columnPolygon)
	for rest < 0 && !polygon && (columns[len(columns)-1] == columnID || columns[len(columns)-1] == columnConfidence) {
		columns = columns[:len(columns)-1]
		rest++
	}
	if rest < 0 || rest > 0 && !polygon {
		return s, false
	}
	cut := func(count int) (part []float64) {
		part, n = n[:count], n[count:]
		return part
	}
	for _, c := range columns {
		switch c {
		case columnPoints:
			s.keypoints = cut(keypoints)
		case columnBox:
			s.box = cut(4)
		case columnPolygon:
			s.shape = cut(rest)
		case columnAngle:
			s.angle = cut(1)
		case columnConfidence:
			s.confidence = cut(1)
		case columnID:
			s.id = cut(1)
		}
	}
	if !polygon {
		s.shape, s.box = s.box, nil
	}
	return s, true
}

// splitLine is a line's numbers by what they are; those that are not there are empty. The
// box is one beside the shape.
type splitLine struct{ shape, box, keypoints, angle, confidence, id []float64 }

// trailer says what stands behind the shape of a line. A line may lack the id, or
// all of it, as detections do that no tracker has taken up.
type trailer struct{ Confidence, ID bool }

// splitTask cuts a line's numbers up as the task and the trailer say.
func (y *Converter) splitTask(n []float64) (s splitLine, ok bool) {
	shape, keypoints := 0, 0
	switch y.Task {
	case Pose:
		if keypoints = y.poseNumbers() - 4; keypoints > 0 {
			shape = 4
		}
	case OBB:
		shape = 8
	}
	trailing := -1
	for _, count := range []int{shape + keypoints, 4} {
		if t := len(n) - count; count > 0 && t >= 0 && t <= 2 && y.Trailer.takes(t) {
			trailing = t
			break
		}
		keypoints = 0
	}
	if trailing < 0 && y.takesPolygons() {
		for t := range 3 {
			// An id alone is no confidence, so a polygon says which of them it has.
			full := y.Trailer.count()
			if points := len(n) - t; points >= 6 && points%2 == 0 && (t == full || t == 1 && full == 2) {
				trailing = t
			}
		}
	}
	if trailing < 0 {
		return s, false
	}
	body, rest := n[:len(n)-trailing], n[len(n)-trailing:]
	s.shape, s.keypoints = body[:len(body)-keypoints], body[len(body)-keypoints:]
	if y.Trailer.Confidence && len(rest) > 0 {
		s.confidence, rest = rest[:1], rest[1:]
	}
	s.id = rest
	return s, true
}

// takes reports whether a box may have that many numbers behind it.
func (t trailer) takes(numbers int) bool { return numbers <= t.count() }

func (t trailer) count() (n int) {
	if t.Confidence {
		n++
	}
	if t.ID {
		n++
	}
	return n
}
