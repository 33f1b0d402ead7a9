package store

import "math/bits"

// Refs is a set of the state's numbers of images, a bit each.
type Refs struct {
	bits []uint64
	n    int
}

// Add adds a number.
func (s *Refs) Add(ref int64) {
	word := int(ref / 64)
	if word >= len(s.bits) {
		s.bits = append(s.bits, make([]uint64, word+1+word/4-len(s.bits))...)
	}
	if bit := uint64(1) << (ref % 64); s.bits[word]&bit == 0 {
		s.bits[word] |= bit
		s.n++
	}
}

// Has reports whether a number is in the set.
func (s *Refs) Has(ref int64) bool {
	word := int(ref / 64)
	return word < len(s.bits) && s.bits[word]&(1<<(ref%64)) != 0
}

// Len is how many numbers are in the set.
func (s *Refs) Len() int { return s.n }

func (s *Refs) remove(ref int64) {
	if s.Has(ref) {
		s.bits[ref/64] &^= 1 << (ref % 64)
		s.n--
	}
}

// last is the highest of the set, 0 for none.
func (s *Refs) last() int64 {
	for word := len(s.bits) - 1; word >= 0; word-- {
		if s.bits[word] != 0 {
			return int64(word)*64 + int64(bits.Len64(s.bits[word])) - 1
		}
	}
	return 0
}
