package yolo

// boxNotation is another way than centre and size to give a box, which is not read.
type boxNotation struct {
	name, plural string
	fits         func(n []float64) bool
	// doubt reports a box that is hardly one of centre and size.
	doubt func(n []float64) bool
	// least are how many boxes are to fit so and doubts how many of them to be in doubt, and one
	// of few at least, where few is not 0.
	least, doubts, few int
}

// boxNotations are those that boxes are held against. Boxes about their centres fit corners
// only by chance, and the others often enough: there one in ten must lie far outside, or of
// many, of which none touches the right or the bottom of its image if it is a top left, a few.
var boxNotations = [...]boxNotation{
	{"two corners, x1 y1 x2 y2", "corners", areCorners, func(n []float64) bool { return leavesImage(n, 0.01) }, someBoxes, 1, 0},
	{"top left and size", "top left and size", isTopLeft, func(n []float64) bool { return leavesByFar(n, 0.01) }, someBoxes, 1, 10},
	{"top left and size", "top left and size", isTopLeft, func(n []float64) bool { return leavesImage(n, 0.005) }, manyBoxes, 3, 20},
	{"the sides x1 x2 y1 y2", "sides", areSides, func(n []float64) bool { return leavesByFar(n, 0.01) }, someBoxes, 1, 10},
}

func areCorners(n []float64) bool { return outOfRange(n[:4]) < 0 && n[2] > n[0] && n[3] > n[1] }

func isTopLeft(n []float64) bool {
	const rounding = 0.002
	return fitsBox(n[:4]) && n[0]+n[2] <= 1+rounding && n[1]+n[3] <= 1+rounding
}

func areSides(n []float64) bool { return outOfRange(n[:4]) < 0 && n[1] > n[0] && n[3] > n[2] }

// leavesByFar reports whether a box about its centre reaches out of its image by more than least
// and a fifth of itself.
func leavesByFar(n []float64, least float64) bool {
	const share = 0.2
	x, y := max(n[2]/2-n[0], n[0]+n[2]/2-1), max(n[3]/2-n[1], n[1]+n[3]/2-1)
	return x > max(least, share*n[2]) || y > max(least, share*n[3])
}

// boxCount is what boxes fit.
type boxCount struct {
	all      int
	fits     [len(boxNotations)]int
	doubtful [len(boxNotations)]int
	example  [len(boxNotations)]string
}

// add takes on a box, and reports the notations of which it is the first to be in doubt.
func (c *boxCount) add(n []float64) (first [len(boxNotations)]bool) {
	c.all++
	for i, notation := range boxNotations {
		if !notation.fits(n) {
			continue
		}
		c.fits[i]++
		if notation.doubt(n) {
			first[i] = c.doubtful[i] == 0
			c.doubtful[i]++
		}
	}
	return first
}

// otherNotation is one in which the boxes of a reading may all be as well: all of them fit, and
// some are hardly boxes about their centres, as example shows.
func (e *evidence) otherNotation(r reading) (notation *boxNotation, example string) {
	if r.shape != boxShape && shapes[r.shape].dims == 0 {
		return nil, ""
	}
	for i := range boxNotations {
		all, fits, doubtful := 0, 0, 0
		example := ""
		for _, n := range sortedKeys(e.counts) {
			const longest = 6 // of a box, with score and id
			if c := &e.counts[n].boxes; n <= longest || r.shape != boxShape {
				all, fits, doubtful = all+c.all, fits+c.fits[i], doubtful+c.doubtful[i]
				if example == "" {
					example = c.example[i]
				}
			}
		}
		notation := &boxNotations[i]
		if all >= notation.least && fits == all && doubtful >= notation.doubts && (notation.few == 0 || doubtful*notation.few >= all) {
			return notation, example
		}
	}
	return nil, ""
}

// cornersOfFile are the boxes of one file, which may be corners though others are not.
type cornersOfFile struct{ boxes, cornered, far int }

func (c *cornersOfFile) add(n []float64) {
	const careless = 0.05
	c.boxes++
	if areCorners(n) {
		c.cornered++
	}
	if leavesByFar(n, careless) {
		c.far++
	}
}

// likely reports whether the boxes of all lines can be corners, and one is hardly a box about
// its centre.
func (c *cornersOfFile) likely(lines int) bool {
	return lines >= someBoxes && c.far > 0 && c.cornered == lines && c.boxes == lines
}

// someBoxes are enough to tell by: a single one may look so by itself. Of manyBoxes some would
// not fit by chance.
const someBoxes, manyBoxes = 2, 20
