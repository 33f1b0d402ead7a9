package convert

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// Options are shared by all formats.
type Options struct {
	// Outside says what becomes of boxes that reach outside their image. A
	// polygon's box is its enclosing rectangle; its points stay what they are.
	Outside Outside
	// Simplify is how far, in pixels, the outline of a mask may be moved to be
	// rid of points; 0 keeps it exactly. Every point of the mask's outline is at
	// most that far from the simplified one.
	Simplify float64
	// AllGeometries takes all that an annotation has, keypoints, segmentation and
	// box, instead of the first of these: the further ones have the ids
	// ID-segmentation and ID-box.
	AllGeometries bool
	// KeepMembers are members of annotations that nothing else carries over and that
	// are kept as attributes, where they are scalars or short lists of them.
	KeepMembers *Members
}

// Members are the names of members, and remember which of them there were. A nil *Members
// has none.
type Members struct {
	met map[string]*atomic.Bool
}

// NewMembers makes the members of those names; "all" is every one.
func NewMembers(names ...string) *Members {
	m := &Members{make(map[string]*atomic.Bool, len(names))}
	for _, name := range names {
		m.met[name] = new(atomic.Bool)
	}
	return m
}

// Has reports whether a member, which there is, is one of them.
func (m *Members) Has(name string) bool {
	if m == nil {
		return false
	}
	met := m.met[name]
	if met != nil && !met.Load() {
		met.Store(true)
	}
	return met != nil || m.met["all"] != nil
}

// Unmet are those that were not met, to be asked for at the end.
func (m *Members) Unmet() (found []Finding) {
	if m == nil || m.met["all"] != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(m.met)) {
		if !m.met[name].Load() {
			found = append(found, Finding{Kind: KindMember, Cause: name, Reason: fmt.Sprintf("--keep-members names %q, and no annotation has a member of that name that would be left out", name), Action: "nothing was kept by it"})
		}
	}
	return found
}

// Outside is what becomes of a box that reaches outside its image.
type Outside string

const (
	// OutsideKeep, which the zero value means too, takes boxes as they are, since the
	// service accepts them and trainers clip them. What lies outside altogether is left
	// out of COCO's annotations all the same, and what reaches far outside is told.
	OutsideKeep Outside = "keep"
	// OutsideClip cuts boxes off at the edge of the image and drops what lies
	// wholly outside, with a finding. An oriented box stays whole, since what is
	// left of it would be no rectangle.
	OutsideClip Outside = "clip"
	// OutsideReport drops the annotation, with a finding.
	OutsideReport Outside = "report"
)
