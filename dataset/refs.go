package dataset

// Refs is a set of the state's numbers of images, a bit each.
type Refs []uint64

// Add adds a number.
func (r *Refs) Add(ref int64) {
	if more := int(ref/64) + 1 - len(*r); more > 0 {
		*r = append(*r, make([]uint64, more)...)
	}
	(*r)[ref/64] |= 1 << (ref % 64)
}

// Has reports whether a number is in the set.
func (r Refs) Has(ref int64) bool { return int(ref/64) < len(r) && r[ref/64]&(1<<(ref%64)) != 0 }
