package geometry

// Slab hands out pieces of larger ones. The zero value is ready. What it hands out
// may hold anything, and lives as long as its neighbours.
type Slab[T any] struct {
	all, rest []T // the piece that is handed out
	// Likely is how many are taken together at least, most likely.
	Likely int
}

// Take lends n values, which are zero.
func (s *Slab[T]) Take(n int) []T {
	if n > len(s.rest) {
		const most = 1 << 14
		s.all = make([]T, max(n, s.Likely, min(2*len(s.all), most)))
		s.rest = s.all
	}
	piece := s.rest[:n:n]
	s.rest = s.rest[n:]
	return piece
}

// Reset takes back the last of the larger pieces, with all that was handed out.
func (s *Slab[T]) Reset() {
	const most = 1 << 16
	if len(s.all) > most {
		s.all = nil
	}
	s.rest = s.all
}
