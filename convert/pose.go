package convert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Category is a class of the source with, for a pose, its keypoints.
type Category struct {
	Name string
	// Keypoints are the names that triplets are aligned to.
	Keypoints []string
	// Skeleton is the class template; nil where the category names no keypoint.
	Skeleton *pictograph.Skeleton
	// Among says that the data set has keypoints of other categories too: each keypoint then
	// carries the name of its own ([InstanceClass]), since its class is the keypoint's.
	Among bool
}

// InstanceClass is the attribute of keypoints that names the category of their instance.
const InstanceClass = "instance_class"

// InstanceOccluded is the attribute of keypoints that holds what an attribute occluded of
// their object says, where it is not what the keypoints that are visible have: on these,
// occluded is the keypoint's own.
const InstanceOccluded = "instance_occluded"

const occludedAttribute = "occluded"

// occludedApart reports whether an object's attribute occluded cannot be that of its keypoints
// that are visible, of which there are none, or which it says are not.
func occludedApart(own any, occluded, all int) bool {
	return occluded == all && own != any("true") || occluded < all && SaysYes(own)
}

// SaysYes reports whether an attribute is how writers of labels say yes.
func SaysYes(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case string:
		text := strings.TrimSpace(v)
		return strings.EqualFold(text, "true") || text == "1"
	case json.Number:
		n, err := v.Float64()
		return err == nil && n == 1
	case float64:
		return v == 1
	}
	return false
}

// NewCategory makes a category; edges are pairs of places in keypoints, from 0.
func NewCategory(name string, keypoints []string, edges [][2]int) *Category {
	c := &Category{Name: name, Keypoints: keypoints}
	if len(keypoints) == 0 {
		return c
	}
	c.Skeleton = &pictograph.Skeleton{Nodes: make([]pictograph.SkeletonNode, len(keypoints)), Edges: edges}
	for i, keypoint := range keypoints {
		c.Skeleton.Nodes[i].Name = keypoint
	}
	if edges == nil {
		c.Skeleton.Edges = [][2]int{} // [] in JSON, not null
	}
	return c
}

// DefaultKeypointName names a keypoint that the source leaves without a name.
func DefaultKeypointName(slot int) string { return fmt.Sprintf("joint_%d", slot) }

// Keypoint is a placed keypoint of one object.
type Keypoint struct {
	Slot     int // place among the category's keypoints
	Point    pictograph.Point
	Occluded bool
	Name     string   // where the category has nothing to do with it
	Score    *float64 // its own; nil where it has none
}

// NumberedKeypoint names a keypoint by its place, where its category does not.
func NumberedKeypoint(category string, slot int) string {
	return category + "_" + strconv.Itoa(slot)
}

// ResultKeypoints reads x, y and a third number that is a score or a constant: prediction
// results know no visibility. Every keypoint is placed but those at 0, 0 with a 0.
func (b *Builder) ResultKeypoints(o *Object, triplets []float64) []Keypoint {
	var keypoints []Keypoint
	var lost Flaws
	odd := false
	for slot := range len(triplets) / 3 {
		x, y, v := triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2]
		switch {
		case !geometry.Finite(x, y):
			lost.Add(fmt.Sprintf("keypoint %d", slot+1))
			continue
		case x == 0 && y == 0 && v == 0:
			continue
		}
		j := Keypoint{Slot: slot, Point: pictograph.Point{X: x, Y: y}}
		if o.Scored && v >= 0 && v <= 1 {
			score := v
			j.Score = &score
		} else {
			odd = odd || v != 0 && v != 1 && v != 2 && !o.Constant
		}
		keypoints = append(keypoints, j)
	}
	if odd {
		b.Report(KindVisibility, o.At, "the third numbers of the keypoints are neither scores from 0 to 1 nor one constant", "left out; the keypoints were taken as visible")
	}
	b.tellNowhere(o.At, lost)
	return keypoints
}

// COCO's visibility flags.
const (
	NotLabelled = 0
	Occluded    = 1
	Visible     = 2
)

// PlacedKeypoints reads x, y, visibility triplets in pixels. Keypoints that are not
// labelled are left out, whatever their coordinates ([Builder.TellUnlabelled]);
// what else is left out or changed is reported.
func (b *Builder) PlacedKeypoints(at Location, triplets []float64) []Keypoint {
	count := 0
	for i := 2; i < len(triplets); i += 3 {
		if triplets[i] != NotLabelled {
			count++
		}
	}
	if count == 0 {
		return nil
	}
	keypoints := make([]Keypoint, 0, count)
	var odd, lost, shares Flaws
	for slot := range len(triplets) / 3 {
		x, y, v := triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2]
		switch {
		case v == NotLabelled:
			continue
		case v > 0 && v < 1: // a score, and whether the keypoint is placed it does not say
			shares.Add(fmt.Sprintf("keypoint %d has %v", slot+1, v))
			continue
		case v != Occluded && v != Visible:
			odd.Add(fmt.Sprintf("keypoint %d has %v", slot+1, v))
			continue
		case !geometry.Finite(x, y):
			lost.Add(fmt.Sprintf("keypoint %d", slot+1))
			continue
		}
		keypoints = append(keypoints, Keypoint{Slot: slot, Point: pictograph.Point{X: x, Y: y}, Occluded: v == Occluded})
	}
	if odd.Count > 0 {
		b.Report(KindKeypoints, at, "visibility other than 0, 1 and 2: "+odd.String(), keypointsLeftOut)
	}
	if shares.Count > 0 {
		b.Report(KindKeypoints, at, "visibility between 0 and 1, as scores are: "+shares.String(), keypointsLeftOut)
	}
	b.tellNowhere(at, lost)
	return keypoints
}

const keypointsLeftOut = "keypoints left out"

func (b *Builder) tellNowhere(at Location, lost Flaws) {
	if lost.Count > 0 {
		b.Report(KindNumber, at, "keypoints at no finite place: "+lost.String(), keypointsLeftOut)
	}
}

// ScoredKeypoints reads triplets whose third numbers are scores, 0 for keypoints that are not
// placed.
func (b *Builder) ScoredKeypoints(at Location, triplets []float64) (keypoints []Keypoint) {
	var odd, lost Flaws
	for slot := range len(triplets) / 3 {
		x, y, score := triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2]
		switch {
		case score == 0:
		case !(score > 0 && score <= 1):
			odd.Add(fmt.Sprintf("keypoint %d has %v", slot+1, score))
		case !geometry.Finite(x, y):
			lost.Add(fmt.Sprintf("keypoint %d", slot+1))
		default:
			keypoints = append(keypoints, Keypoint{Slot: slot, Point: pictograph.Point{X: x, Y: y}, Score: &score})
		}
	}
	if odd.Count > 0 {
		b.Report(KindKeypoints, at, "the third numbers are scores, and one from 0 to 1 is not: "+odd.String(), keypointsLeftOut)
	}
	b.tellNowhere(at, lost)
	return keypoints
}

// HoldCount holds placed keypoints against the number of them that their annotation gives.
// Where that is right without those at 0,0 or at negative coordinates, these are how some
// writers say that a keypoint is not placed.
func (b *Builder) HoldCount(at Location, keypoints []Keypoint, count []byte) []Keypoint {
	if !scan.IsNumber(count) {
		return keypoints
	}
	given := scan.ParseNumber(count)
	if !(given < float64(len(keypoints))) {
		return keypoints
	}
	nowhere := func(j Keypoint) bool {
		return j.Point == pictograph.Point{} || j.Point.X < 0 || j.Point.Y < 0
	}
	absent := 0
	for _, j := range keypoints {
		if nowhere(j) {
			absent++
		}
	}
	if given != float64(len(keypoints)-absent) {
		b.Report(KindKeypointCount, at, fmt.Sprintf("num_keypoints is %s, and %d are placed", count, len(keypoints)), "all that are placed were taken")
		return keypoints
	}
	b.Report(KindKeypointAbsent, at, fmt.Sprintf("num_keypoints is %s, and %d have a visibility, %d of them at 0,0 or at negative coordinates", count, len(keypoints), absent), "these were taken for not placed")
	return slices.DeleteFunc(keypoints, nowhere)
}

// Flaws counts faults of one kind in one annotation and remembers the first.
type Flaws struct {
	Count int
	first string
}

// Add notes one.
func (f *Flaws) Add(fault string) {
	if f.Count == 0 {
		f.first = fault
	}
	f.Count++
}

// String is the first few, and how many more there are.
func (f Flaws) String() string {
	if f.Count == 1 {
		return f.first
	}
	return fmt.Sprintf("%s and %d more", f.first, f.Count-1)
}

// TellUnlabelled tells of keypoints that say that they are not labelled and where they are.
// Where the annotation counts more keypoints than were placed, one of the two is wrong, unless
// it counts all that there is room for, as some writers do whatever their visibilities.
func (b *Builder) TellUnlabelled(at Location, triplets []float64, placed int, count []byte) {
	somewhere := 0
	for i := 2; i < len(triplets); i += 3 {
		if x, y := triplets[i-2], triplets[i-1]; triplets[i] == NotLabelled && geometry.Finite(x, y) && (x != 0 || y != 0) {
			somewhere++
		}
	}
	more := scan.IsNumber(count) && scan.ParseNumber(count) > float64(placed)
	if somewhere == 0 && !more {
		return // as nearly always, and words take time
	}
	all := more && placed > 0 && scan.ParseNumber(count) == float64(len(triplets)/3)
	reason := fmt.Sprintf("keypoints of visibility 0, which are not labelled, that have coordinates: %d", somewhere)
	switch {
	case all && somewhere == 0:
		b.Report(KindKeypointAbsent, at, fmt.Sprintf("num_keypoints is %s, which counts all keypoints of the class, and %d are labelled and placed", count, placed), "those placed were taken")
	case more && !all && somewhere > 0:
		b.Report(KindKeypoints, at, fmt.Sprintf("%s; num_keypoints is %s, and %d are of another visibility", reason, count, placed), "keypoints left out")
	case more && !all:
		b.Report(KindKeypoints, at, fmt.Sprintf("num_keypoints is %s, and %d are labelled and placed", count, placed), "those placed were taken")
	default:
		b.Report(KindVisibility, at, reason, "keypoints left out")
	}
}

// InImage leaves out keypoints that lie outside the image by more than a pixel and a
// hundredth of its side.
func (b *Builder) InImage(at Location, keypoints []Keypoint) []Keypoint {
	const pixels, share = 1, 0.01
	if !b.Size.Known() {
		return keypoints
	}
	w, h := float64(b.Size.Width), float64(b.Size.Height)
	dx, dy := max(pixels, share*w), max(pixels, share*h)
	var off Flaws
	inside := keypoints[:0]
	for _, j := range keypoints {
		if p := j.Point; p.X < -dx || p.Y < -dy || p.X > w+dx || p.Y > h+dy {
			off.Add(fmt.Sprintf("keypoint %d at %v,%v", j.Slot+1, p.X, p.Y))
			continue
		}
		inside = append(inside, j)
	}
	if off.Count > 0 {
		b.Report(KindOffImage, at, fmt.Sprintf("outside the image of %d×%d: %s", b.Size.Width, b.Size.Height, off), "keypoints left out")
	}
	return inside
}

// WholeBody are the keypoints that COCO-WholeBody gives beside those of the body, each
// named after its part and its place there.
var WholeBody = [...]struct {
	Member, Name string
	Keypoints    int
}{{"foot_kpts", "foot", 6}, {"face_kpts", "face", 68}, {"lefthand_kpts", "lefthand", 21}, {"righthand_kpts", "righthand", 21}}

// PointsOf are where keypoints lie.
func PointsOf(keypoints []Keypoint) []pictograph.Point {
	points := make([]pictograph.Point, len(keypoints))
	for i, j := range keypoints {
		points[i] = j.Point
	}
	return points
}

// aroundKeypoints is the box around keypoints, as the writers make it.
func aroundKeypoints(keypoints []Keypoint) pictograph.Box {
	box, _ := geometry.Bounds(PointsOf(keypoints))
	return box
}
