package convert

import (
	"fmt"
	"math"
	"strconv"

	"pictosync/pictograph"
)

// category is a class of the source with, for a pose, its joints.
type category struct {
	name string
	// joints are the names that triplets are aligned to.
	joints []string
	// skeleton is the class template; nil unless there are two joints or more,
	// since a single point is named for its category and needs none.
	skeleton *pictograph.Skeleton
}

// newCategory makes a category; edges are pairs of places in joints, from 0.
func newCategory(name string, joints []string, edges [][2]int) *category {
	c := &category{name: name, joints: joints}
	if len(joints) < 2 {
		return c
	}
	c.skeleton = &pictograph.Skeleton{Nodes: make([]pictograph.SkeletonNode, len(joints)), Edges: edges}
	for i, joint := range joints {
		c.skeleton.Nodes[i].Name = joint
	}
	if edges == nil {
		c.skeleton.Edges = [][2]int{} // [] in JSON, not null
	}
	return c
}

// defaultJointName names a joint that the source leaves without a name.
func defaultJointName(slot int) string { return fmt.Sprintf("joint_%d", slot) }

// joint is a placed joint of one object.
type joint struct {
	slot     int // place among the category's joints
	point    pictograph.Point
	occluded bool
	name     string   // where the category has nothing to do with it
	score    *float64 // its own; nil where it has none
}

// numberedJoint names a joint by its place, where its category does not.
func numberedJoint(category string, slot int) string {
	return category + "_" + strconv.Itoa(slot)
}

// resultJoints reads x, y and a third number that is a score or a constant: prediction
// results know no visibility. Every joint is placed but those at 0, 0 with a 0.
func (b *imageBuilder) resultJoints(o *object, triplets []float64) []joint {
	var joints []joint
	var lost flaws
	odd := false
	for slot := range len(triplets) / 3 {
		x, y, v := triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2]
		switch {
		case !finite(x, y):
			lost.add(fmt.Sprintf("joint %d", slot+1))
			continue
		case x == 0 && y == 0 && v == 0:
			continue
		}
		j := joint{slot: slot, point: pictograph.Point{X: x, Y: y}}
		if o.scored {
			score := v
			j.score = &score
		} else {
			odd = odd || v != 0 && v != 1 && v != 2 && !o.constant
		}
		joints = append(joints, j)
	}
	if odd {
		b.report(KindVisibility, o.at, "the third numbers of the joints are neither scores from 0 to 1 nor one constant", "left out; the joints were taken as visible")
	}
	if lost.count > 0 {
		b.report(KindNumber, o.at, "joints at no finite place: "+lost.String(), "joints left out")
	}
	return joints
}

// COCO's visibility flags.
const (
	notLabelled = 0
	occluded    = 1
	visible     = 2
)

// placedJoints reads x, y, visibility triplets in pixels. Joints that are not
// labelled are left out, whatever their coordinates ([imageBuilder.tellUnlabelled]);
// what else is left out or changed is reported.
func (b *imageBuilder) placedJoints(at place, triplets []float64) []joint {
	count := 0
	for i := 2; i < len(triplets); i += 3 {
		if triplets[i] != notLabelled {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	joints := make([]joint, 0, count)
	var oddFlags, lost, shares flaws
	for slot := range len(triplets) / 3 {
		x, y, v := triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2]
		flag := clampVisibility(v)
		if v > 0 && v < 1 { // a score, and whether the joint is placed it does not say
			shares.add(fmt.Sprintf("joint %d has %v", slot+1, v))
			continue
		}
		if float64(flag) != v {
			oddFlags.add(fmt.Sprintf("joint %d has %v", slot+1, v))
		}
		if flag == notLabelled {
			continue
		}
		if !finite(x, y) {
			lost.add(fmt.Sprintf("joint %d", slot+1))
			continue
		}
		joints = append(joints, joint{slot: slot, point: pictograph.Point{X: x, Y: y}, occluded: flag == occluded})
	}
	if oddFlags.count > 0 {
		b.report(KindVisibility, at, "visibility other than 0, 1 and 2: "+oddFlags.String(),
			"cut down to a whole number from 0 to 2; joints at 0 left out")
	}
	if shares.count > 0 {
		b.report(KindKeypoints, at, "visibility between 0 and 1, as scores are: "+shares.String(), "joints left out")
	}
	if lost.count > 0 {
		b.report(KindNumber, at, "joints at no finite place: "+lost.String(), "joints left out")
	}
	return joints
}

func clampVisibility(v float64) int {
	if !finite(v) {
		return notLabelled
	}
	return int(min(max(math.Trunc(v), notLabelled), visible))
}

// flaws counts faults of one kind in one annotation and remembers the first.
type flaws struct {
	count int
	first string
}

func (f *flaws) add(fault string) {
	if f.count == 0 {
		f.first = fault
	}
	f.count++
}

func (f flaws) String() string {
	if f.count == 1 {
		return f.first
	}
	return fmt.Sprintf("%s and %d more", f.first, f.count-1)
}

// tellUnlabelled tells of joints that say that they are not labelled and where they are.
// Where the annotation counts more joints than were placed, one of the two is wrong.
func (b *imageBuilder) tellUnlabelled(at place, triplets []float64, placed int, count []byte) {
	somewhere := 0
	for i := 2; i < len(triplets); i += 3 {
		if x, y := triplets[i-2], triplets[i-1]; triplets[i] == notLabelled && finite(x, y) && (x != 0 || y != 0) {
			somewhere++
		}
	}
	if somewhere == 0 {
		return
	}
	reason := fmt.Sprintf("joints of visibility 0, which are not labelled, that have coordinates: %d", somewhere)
	if isNumber(count) && parseNumber(count) > float64(placed) {
		b.report(KindKeypoints, at, fmt.Sprintf("%s; num_keypoints is %s, and %d are of another visibility", reason, count, placed), "joints left out")
		return
	}
	b.report(KindVisibility, at, reason, "joints left out")
}

// inImage leaves out joints that lie outside the image by more than a pixel and a
// hundredth of its side.
func (b *imageBuilder) inImage(at place, joints []joint) []joint {
	const pixels, share = 1, 0.01
	if !b.size.Known() {
		return joints
	}
	w, h := float64(b.size.Width), float64(b.size.Height)
	dx, dy := max(pixels, share*w), max(pixels, share*h)
	var off flaws
	inside := joints[:0]
	for _, j := range joints {
		if p := j.point; p.X < -dx || p.Y < -dy || p.X > w+dx || p.Y > h+dy {
			off.add(fmt.Sprintf("joint %d at %v,%v", j.slot+1, p.X, p.Y))
			continue
		}
		inside = append(inside, j)
	}
	if off.count > 0 {
		b.report(KindOffImage, at, fmt.Sprintf("outside the image of %d×%d: %s", b.size.Width, b.size.Height, off), "joints left out")
	}
	return inside
}

// wholeBody are the joints that COCO-WholeBody gives beside those of the body, each
// named after its part and its place there.
var wholeBody = [...]struct {
	member, name string
	joints       int
}{{"foot_kpts", "foot", 6}, {"face_kpts", "face", 68}, {"lefthand_kpts", "lefthand", 21}, {"righthand_kpts", "righthand", 21}}

// aroundJoints is the box around joints, as the writers make it.
func aroundJoints(joints []joint) pictograph.Box {
	points := make([]pictograph.Point, len(joints))
	for i, j := range joints {
		points[i] = j.point
	}
	box, _ := bounds(points)
	return box
}
