package convert

// slab hands out pieces of larger ones. The zero value is ready; what it hands out
// is zero, is not taken back, and lives as long as its neighbours.
type slab[T any] struct {
	rest []T
	// likely is how many are taken together at least, most likely.
	likely int
}

func (s *slab[T]) take(n int) []T {
	if n > len(s.rest) {
		s.rest = make([]T, max(n, s.likely))
	}
	piece := s.rest[:n:n]
	s.rest = s.rest[n:]
	return piece
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
