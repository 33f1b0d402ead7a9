package convert

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
	// are kept as attributes, where they are scalars or short lists of them; "all" is
	// every one.
	KeepMembers []string
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
