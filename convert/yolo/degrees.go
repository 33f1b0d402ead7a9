package yolo

// degrees are whole numbers behind boxes, one a line and each once in its file, which may be
// ids of a tracker or angles; 0 and 1 alone are told apart elsewhere. The ids of a tracker go
// on from file to file, and no two objects of a file have one; they begin at 1, or at 0, and
// end anywhere. Angles do none of it but by chance.
type degrees struct {
	lines [fullTurn + 1]int // by their numbers
	all   int
	// within is how many pairs of lines are of one file, inFile the lines of that at hand.
	within, inFile int
	beyond         bool // some number is no angle
}

const fullTurn = 360

// file begins a file.
func (d *degrees) file() { d.inFile = 0 }

func (d *degrees) add(number float64) {
	if number > fullTurn {
		d.beyond = true
		return
	}
	d.lines[int(number)]++
	d.all++
	d.within += d.inFile
	d.inFile++
}

// areIDs reports whether the numbers can hardly be angles.
func (d *degrees) areIDs() bool {
	// A number that is there more than once is so in different files. Did chance bring it
	// there, it would have brought as large a share of the pairs to be in one file.
	const (
		enough  = 5.0
		highest = 30 // of a few ids, nearly all of which are there
	)
	different, last, same := 0, 0, 0
	for number, n := range d.lines {
		if n > 0 {
			different, last = different+1, number
		}
		same += n * (n - 1) / 2
	}
	if apart := d.all*(d.all-1)/2 - d.within; apart > 0 && float64(d.within)*float64(same)/float64(apart) >= enough {
		return true
	}
	if d.all == 0 && !d.beyond {
		return false // of no object is there an id
	}
	fromFirst := d.lines[0]+d.lines[1] > 0 && 2*different >= last
	return d.beyond || last <= 1 || d.within > 0 && fromFirst && last <= highest
}
