package convert

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/pictograph"
)

// Limits of a mask: more than any camera's image needs, few enough that a small
// file cannot ask for much memory.
const (
	maxMaskSide   = 1 << 16 // px
	maxMaskPixels = 1 << 28
	maxMaskRuns   = 1 << 22
	// maxRegions bounds the annotations that one mask becomes.
	maxRegions = 1 << 14
)

// mask is a set of pixels as runs down its columns, the columns from left to
// right and the runs in each from top to bottom with a gap between them.
type mask struct {
	width, height int
	runs          []maskRun
	// columns are the places in runs where the columns begin, and the end.
	columns []int32
	// beyond is by how many pixels the last run of an encoding, which is one outside, went
	// beyond the mask.
	beyond int
}

// maskRun is the pixels (x, top) to (x, bottom-1).
type maskRun struct{ x, top, bottom int32 }

func newMask(width, height int) (*mask, error) {
	m := new(mask)
	return m, m.begin(width, height)
}

// begin makes it an empty mask of a size; its memory is used again.
func (m *mask) begin(width, height int) error {
	switch {
	case width < 1 || height < 1:
		return fmt.Errorf("the mask is %d×%d pixels", width, height)
	case width > maxMaskSide || height > maxMaskSide || width*height > maxMaskPixels:
		return fmt.Errorf("the mask is %d×%d pixels, more than %d on a side or %d in all", width, height, maxMaskSide, maxMaskPixels)
	}
	m.width, m.height, m.beyond = width, height, 0
	m.runs, m.columns = m.runs[:0], append(m.columns[:0], 0)
	return nil
}

// fill adds the n pixels from the position first on, counted down the columns.
// Fills come in order and do not overlap.
func (m *mask) fill(first, n int) error {
	for n > 0 {
		x, top := first/m.height, first%m.height
		part := min(n, m.height-top)
		if err := m.add(x, top, top+part); err != nil {
			return err
		}
		first, n = first+part, n-part
	}
	return nil
}

func (m *mask) add(x, top, bottom int) error {
	m.closeColumns(x)
	if last := len(m.runs) - 1; last >= int(m.columns[x]) && int(m.runs[last].bottom) == top {
		m.runs[last].bottom = int32(bottom)
		return nil
	}
	if len(m.runs) == maxMaskRuns {
		return fmt.Errorf("the mask has more than %d runs", maxMaskRuns)
	}
	m.runs = append(m.runs, maskRun{int32(x), int32(top), int32(bottom)})
	return nil
}

// closeColumns notes where the columns up to x begin.
func (m *mask) closeColumns(x int) {
	for len(m.columns) <= x {
		m.columns = append(m.columns, int32(len(m.runs)))
	}
}

// column is a column's runs and the place of the first in m.runs.
func (m *mask) column(x int) (runs []maskRun, first int32) {
	if x < 0 || x >= m.width {
		return nil, 0
	}
	return m.runs[m.columns[x]:m.columns[x+1]], m.columns[x]
}

// decodeMask reads a COCO run-length encoding {"size":[h,w],"counts":…}, its
// counts a list of numbers or the string that pycocotools compresses them to.
// They alternate between pixels outside and inside, from outside on, and go
// down the columns.
func decodeMask(segmentation []byte) (*mask, error) {
	m := new(mask)
	return m, m.unmarshal(segmentation)
}

func (m *mask) unmarshal(segmentation []byte) error {
	var rle struct {
		Size   []float64      `json:"size"`
		Counts jsontext.Value `json:"counts"`
	}
	if err := json.Unmarshal(segmentation, &rle, jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(false)); err != nil {
		return fmt.Errorf("the run-length encoding cannot be read: %w", err)
	}
	return m.decode(rle.Size, func(d *countDecoder) error {
		switch {
		case isString(rle.Counts):
			return d.compressed(unquote(rle.Counts))
		case isArray(rle.Counts):
			return d.plain(rle.Counts)
		}
		return fmt.Errorf("the counts are %s", describe(rle.Counts))
	})
}

// decode makes it the mask of a size as in COCO's encoding and of the counts that
// are given to a decoder.
func (m *mask) decode(size []float64, counts func(*countDecoder) error) error {
	if len(size) != 2 || size[0] != float64(int32(size[0])) || size[1] != float64(int32(size[1])) {
		return errors.New("the run-length encoding has no size [height, width]")
	}
	if err := m.begin(int(size[1]), int(size[0])); err != nil {
		return err
	}
	d := countDecoder{mask: m}
	if err := counts(&d); err != nil {
		return err
	}
	return d.end()
}

// countDecoder fills a mask from counts.
type countDecoder struct {
	mask   *mask
	inside bool
	filled int // pixels so far
}

func (d *countDecoder) count(n int) error {
	if n < 0 {
		return fmt.Errorf("a count is negative (%d)", n)
	}
	if left := d.mask.width*d.mask.height - d.filled; n > left {
		if d.inside || d.mask.beyond > 0 {
			return fmt.Errorf("the counts go beyond the %d×%d pixels of the mask", d.mask.width, d.mask.height)
		}
		d.mask.beyond, n = n-left, left // which is the last, or wrong
	} else if d.mask.beyond > 0 && n > 0 {
		return fmt.Errorf("the counts go beyond the %d×%d pixels of the mask", d.mask.width, d.mask.height)
	}
	if d.inside {
		if err := d.mask.fill(d.filled, n); err != nil {
			return err
		}
	}
	d.filled += n
	d.inside = !d.inside
	return nil
}

func (d *countDecoder) end() error {
	if all := d.mask.width * d.mask.height; d.filled != all {
		return fmt.Errorf("the counts fill %d of the %d pixels of the mask", d.filled, all)
	}
	d.mask.closeColumns(d.mask.width)
	return nil
}

func (d *countDecoder) plain(counts []byte) error {
	numbers, err := appendNumbers(nil, counts)
	if err != nil {
		return fmt.Errorf("the counts: %w", err)
	}
	return d.numbers(numbers)
}

func (d *countDecoder) numbers(counts []float64) error {
	for _, n := range counts {
		if n != float64(int(n)) {
			return fmt.Errorf("the count %v is no whole number", n)
		}
		if err := d.count(int(n)); err != nil {
			return err
		}
	}
	return nil
}

// compressed reads COCO's counts string: each number in groups of five bits,
// the lowest first, as characters from '0' on, of which bit 5 says that more
// follow and bit 4 of the last one is the sign; from the fourth on they are
// differences to the count before the last.
func (d *countDecoder) compressed(text []byte) error {
	var before [2]int
	for number := 0; len(text) > 0; number++ {
		n, shift := 0, 0
		for {
			if len(text) == 0 {
				return errors.New("the compressed counts break off")
			}
			c := int(text[0]) - '0'
			text = text[1:]
			if c < 0 || c > 0x3f || shift > 35 {
				return errors.New("the compressed counts are damaged")
			}
			n |= (c & 0x1f) << shift
			shift += 5
			if c&0x20 == 0 {
				if c&0x10 != 0 {
					n |= -1 << shift
				}
				break
			}
		}
		if number > 2 {
			n += before[number%2]
		}
		before[number%2] = n
		if err := d.count(n); err != nil {
			return err
		}
	}
	return nil
}

// rle is the mask in COCO's uncompressed form.
func (m *mask) rle(dst []byte) []byte {
	dst = fmt.Appendf(dst, `{"size":[%d,%d],"counts":[`, m.height, m.width)
	end := 0 // of the last run, in pixels
	count := func(n int) {
		dst = fmt.Appendf(dst, "%d,", n)
	}
	open := -1 // first pixel of a run that may go on in the next column
	for _, r := range m.runs {
		first := int(r.x)*m.height + int(r.top)
		last := int(r.x)*m.height + int(r.bottom)
		switch {
		case open >= 0 && first == end:
		case open >= 0:
			count(end - open)
			count(first - end)
			open = first
		default:
			count(first)
			open = first
		}
		end = last
	}
	if open >= 0 {
		count(end - open)
	}
	if rest := m.width*m.height - end; rest > 0 {
		count(rest)
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), "]}"...)
}

// pixels is how many pixels the mask has inside.
func (m *mask) pixels() (n int) {
	for _, r := range m.runs {
		n += int(r.bottom - r.top)
	}
	return n
}

// bounds is the box around the pixels inside; false where there are none.
func (m *mask) bounds() (pictograph.Box, bool) {
	if len(m.runs) == 0 {
		return pictograph.Box{}, false
	}
	e := extent{left: m.runs[0].x, top: m.runs[0].top, right: m.runs[len(m.runs)-1].x + 1}
	for _, r := range m.runs {
		e.top, e.bottom = min(e.top, r.top), max(e.bottom, r.bottom)
	}
	return e.box(), true
}

// rowBounds is the box around the pixels inside if the counts had gone along the rows.
func (m *mask) rowBounds() (pictograph.Box, bool) {
	e := extent{left: math.MaxInt32, top: math.MaxInt32}
	for _, r := range m.runs {
		first, last := int(r.x)*m.height+int(r.top), int(r.x)*m.height+int(r.bottom)-1
		from, to := first%m.width, last%m.width
		if first/m.width != last/m.width {
			from, to = 0, m.width-1
		}
		e.add(from, first/m.width, to+1, last/m.width+1)
	}
	return e.box(), len(m.runs) > 0
}

// outsideBounds is the box around the pixels outside.
func (m *mask) outsideBounds() (pictograph.Box, bool) {
	e := extent{left: math.MaxInt32, top: math.MaxInt32}
	for x := range m.width {
		runs, _ := m.column(x)
		top := 0
		for _, r := range runs {
			if int(r.top) > top {
				e.add(x, top, x+1, int(r.top))
			}
			top = int(r.bottom)
		}
		if top < m.height {
			e.add(x, top, x+1, m.height)
		}
	}
	return e.box(), e.right > 0
}

// extent is the pixels from left and top to before right and bottom.
type extent struct{ left, top, right, bottom int32 }

func (e *extent) add(left, top, right, bottom int) {
	e.left, e.top = min(e.left, int32(left)), min(e.top, int32(top))
	e.right, e.bottom = max(e.right, int32(right)), max(e.bottom, int32(bottom))
}

func (e extent) box() pictograph.Box {
	return pictograph.Box{X: float64(e.left), Y: float64(e.top), W: float64(e.right - e.left), H: float64(e.bottom - e.top)}
}
