package convert

import (
	"sync"

	"pictosync/convert/geometry"
	"pictosync/pictograph"
)

// memory is what the annotations of an image are made of. Images have hundreds of
// points, and millions of images are converted: so it is a few large pieces, which
// the next image may have when this one's annotations are done with.
type memory struct {
	annotations []pictograph.Annotation
	taken       []int
	ids         idSet // of the annotations so far
	made        IDTexts
	Numbers     []float64 // of the label line at hand
	Points      geometry.Slab[pictograph.Point]
	Rings       geometry.Slab[[]pictograph.Point]
	Boxes       geometry.Slab[pictograph.Box]
	parts       []pictograph.Geometry // of the annotation at hand
	Mask        geometry.Mask         // of the annotation at hand
	tracer      geometry.Tracer
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// memoryFor is for so many annotations, most likely.
func memoryFor(annotations int) *memory {
	const ringPoints = 20 // of a ring of COCO's, on average
	m := memories.Get().(*memory)
	if m.annotations == nil || cap(m.annotations) < annotations {
		m.annotations = make([]pictograph.Annotation, 0, annotations)
	}
	if m.taken == nil {
		m.taken = make([]int, 0, annotations)
	}
	pieces := min(annotations, 256)
	m.Points.Likely, m.Rings.Likely, m.Boxes.Likely = min(pieces*ringPoints, 1024), pieces, pieces
	return m
}

// Release lets other images have the memory of the annotations, which are void
// then; all else stays. Nobody has to call it, and nobody may who has handed
// annotations on.
func (r *Result) Release() {
	const most, mostRuns = 4096, 1 << 16 // annotations, and runs or numbers; memory for more is rarely of use again
	m, all := r.memory, r.Annotations[:cap(r.Annotations)]
	taken := r.Ends
	r.memory, r.Annotations, r.Ends = nil, nil, nil
	if m == nil || len(all) > most || max(cap(m.Mask.Runs), cap(m.Numbers), cap(m.made.name)/8) > mostRuns {
		return
	}
	clear(all) // they hold attributes and geometries
	m.annotations, m.taken = all[:0], taken
	m.ids.reset()
	m.Points.Reset()
	m.Rings.Reset()
	m.Boxes.Reset()
	memories.Put(m)
}

// fewIDs are compared one by one faster than they are hashed.
const fewIDs = 24

// idSet holds ids.
type idSet struct {
	few  []string
	many map[string]struct{} // all of them, once they are not few
}

func (s *idSet) has(id string) bool {
	if s.many != nil {
		_, there := s.many[id]
		return there
	}
	for _, other := range s.few {
		if other == id {
			return true
		}
	}
	return false
}

func (s *idSet) add(id string) {
	if s.many != nil {
		s.many[id] = struct{}{}
		return
	}
	if len(s.few) < fewIDs {
		s.few = append(s.few, id)
		return
	}
	s.many = make(map[string]struct{}, 2*fewIDs)
	for _, other := range s.few {
		s.many[other] = struct{}{}
	}
	s.many[id] = struct{}{}
}

// reset leaves it empty.
func (s *idSet) reset() {
	clear(s.few)
	s.few, s.many = s.few[:0], nil
}
