// Package labels makes label files of any size to measure with: COCO files and
// YOLO folders whose shapes are like those of COCO 2017, told by a seed, so that
// everyone measures with the same bytes. Nothing is held of what is written but
// four bytes an image.
package labels

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// Spec says what is made. The zero value is nothing.
type Spec struct {
	Images int
	// PerImage is the mean number of annotations of an image; one image in a
	// hundred has none.
	PerImage float64
	Seed     uint64
	// Masks is the share of annotations that are run-length encoded masks in
	// COCO, and polygons instead of boxes in YOLO.
	Masks float64
	// Keypoints is the share of annotations with keypoints, COCO only.
	Keypoints float64
	Order     Order
	// PerFolder is how many label files lie in one folder, YOLO only; 0 is all.
	PerFolder int
	// Pictures writes an image beside the labels of each, YOLO only. Without them
	// the sizes are in sizes.csv.
	Pictures bool
	// Distinct is how many labels and pictures differ, YOLO only; those behind are
	// hard links to them, names and nothing else on the disk. 0 is all.
	Distinct int
}

// Order is that of the annotations of a COCO file.
type Order string

const (
	Sorted Order = "sorted" // those of one image side by side
	Random Order = "random" // as in COCO's own files
)

// Train2017 is as large as COCO's training set: 118,000 images with 1.1 million
// annotations in random order, some 610 MB.
var Train2017 = Spec{Images: 118_000, PerImage: 9.32, Seed: 1, Masks: 0.01, Order: Random}

func (s Spec) check() error {
	switch {
	case s.Images < 0 || s.Images > 1<<30:
		return fmt.Errorf("%d images cannot be made", s.Images)
	case !(s.PerImage >= 0 && s.PerImage <= 1000):
		return fmt.Errorf("%v annotations an image are not from 0 to 1000", s.PerImage)
	case !(s.Masks >= 0 && s.Keypoints >= 0 && s.Masks+s.Keypoints <= 1):
		return errors.New("the shares of masks and keypoints are not from 0 to 1 together")
	case s.Order != Sorted && s.Order != Random:
		return fmt.Errorf("%q is no order; there are %s and %s", s.Order, Sorted, Random)
	}
	return nil
}

// Purposes of random numbers, so that no two draws share theirs.
const (
	forSize = iota
	forCount
	forAnnotation
	forID
	forOrder
)

// numbers are the random numbers of the n-th thing of a purpose: each thing has
// its own, so that it is the same wherever it is written.
func (s Spec) numbers(purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(mix(s.Seed<<8|uint64(purpose)), mix(uint64(n))))
}

// mix spreads a number over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// size is the size of an image in pixels: most are 640 on the longer side.
func (s Spec) size(image int) (width, height int) {
	r := s.numbers(forSize, image)
	long, short := 640, [...]int{480, 427, 426, 425, 360, 512}[r.IntN(6)]
	if r.IntN(4) == 0 {
		return short, long
	}
	return long, short
}

// counts are the numbers of the first annotation of every image, and the end.
func (s Spec) counts() ([]uint32, error) {
	first := make([]uint32, s.Images+1)
	total := 0
	for i := range s.Images {
		first[i] = uint32(total)
		if total += s.count(i); total > math.MaxUint32 {
			return nil, errors.New("more annotations than can be counted")
		}
	}
	first[s.Images] = uint32(total)
	return first, nil
}

// count is how many annotations an image has: one and an exponentially
// distributed number more, as in COCO.
func (s Spec) count(image int) int {
	const empty = 0.01
	r := s.numbers(forCount, image)
	mean := s.PerImage / (1 - empty)
	switch {
	case r.Float64() < empty:
		return 0
	case mean <= 1:
		if r.Float64() < mean {
			return 1
		}
		return 0
	}
	return 1 + int(r.ExpFloat64()/math.Log1p(1/(mean-1)))
}

// imageOf is the image of an annotation.
func imageOf(first []uint32, annotation int) int {
	return sort.Search(len(first)-1, func(i int) bool { return int(first[i+1]) > annotation })
}

// shuffle is the place of i in a random order of 0 to n-1 that needs no memory: a
// Feistel network over the next power of four, walked until it is below n.
func (s Spec) shuffle(purpose, i, n int) int {
	half := 1
	for 1<<(2*half) < n {
		half++
	}
	mask := uint64(1)<<half - 1
	for {
		left, right := uint64(i)>>half, uint64(i)&mask
		for round := range uint64(4) {
			left, right = right, left^mix(s.Seed<<8|uint64(purpose)|round<<60^right)&mask
		}
		if i = int(left<<half | right); i < n {
			return i
		}
	}
}

// spread is over how many numbers the ids of images are spread: as in COCO, an id
// is not a count.
const spread = 5

func (s Spec) imageID(image int) int {
	return s.shuffle(forID, image, s.Images*spread) + 1
}

var classNames = [...]string{
	"person", "bicycle", "car", "van", "bus", "train", "truck", "boat", "signal", "hydrant", "sign", "bench", "bird", "cat", "dog", "horse",
	"sheep", "cow", "backpack", "umbrella", "bag", "tie", "suitcase", "ball", "kite", "bottle", "glass", "cup", "fork", "knife", "spoon", "bowl",
	"apple", "orange", "bread", "cake", "chair", "sofa", "plant", "bed", "table", "screen", "laptop", "phone", "oven", "sink", "book", "clock",
}

// categoryID has gaps, as COCO's have.
func categoryID(class int) int { return class + 1 + class/11 }

// class is mostly the first of the list, as in every data set.
func class(r *rand.Rand) int {
	if r.IntN(10) < 3 {
		return 0
	}
	return r.IntN(len(classNames))
}

// point is in pixels, as COCO's to the hundredth.
type point struct{ x, y float64 }

// extent is a box in pixels.
type extent struct{ x, y, w, h float64 }

// place draws where in its image an object lies.
func place(r *rand.Rand, width, height int) extent {
	w := max(4, float64(width)*math.Pow(r.Float64(), 2)*0.8)
	h := max(4, float64(height)*math.Pow(r.Float64(), 2)*0.8)
	return extent{r.Float64() * (float64(width) - w), r.Float64() * (float64(height) - h), w, h}
}

// ring is a ragged outline in e, of about 17 points and at times ten times more.
func ring(dst []point, r *rand.Rand, e extent) []point {
	n := max(4, min(300, int(math.Exp(2.85+0.7*r.NormFloat64()))))
	turn := r.Float64() * 2 * math.Pi
	for i := range n {
		sin, cos := math.Sincos(turn + 2*math.Pi*float64(i)/float64(n))
		reach := 0.6 + 0.4*r.Float64()
		dst = append(dst, point{hundredth(e.x + e.w/2*(1+reach*cos)), hundredth(e.y + e.h/2*(1+reach*sin))})
	}
	return dst
}

func hundredth(v float64) float64 { return math.Round(v*100) / 100 }

// enclosure is the box around points.
func enclosure(points []point) extent {
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range points {
		x0, y0, x1, y1 = min(x0, p.x), min(y0, p.y), max(x1, p.x), max(y1, p.y)
	}
	return extent{x0, y0, hundredth(x1 - x0), hundredth(y1 - y0)}
}

// area is that of a ring, with the digits that such sums leave.
func area(points []point) float64 {
	sum := 0.0
	last := points[len(points)-1]
	for _, p := range points {
		sum += last.x*p.y - p.x*last.y
		last = p
	}
	return math.Abs(sum) / 2
}
