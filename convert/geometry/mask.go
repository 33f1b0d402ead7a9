package geometry

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Limits of a mask: more than any camera's image needs, few enough that a small
// file cannot ask for much memory.
const (
	maxMaskSide   = 1 << 16 // px
	maxMaskPixels = 1 << 28
	maxMaskRuns   = 1 << 22
	// MaxRegions bounds the annotations that one mask becomes.
	MaxRegions = 1 << 14
)

// Mask is a set of pixels as runs down its columns, the columns from left to
// right and the runs in each from top to bottom with a gap between them.
type Mask struct {
	Width, Height int
	Runs          []maskRun
	// columns are the places in runs where the columns begin, and the end.
	columns []int32
	// Beyond is by how many pixels the last run of an encoding, which is one outside, went
	// beyond the mask.
	Beyond int
}

// maskRun is the pixels (x, top) to (x, bottom-1).
type maskRun struct{ x, top, bottom int32 }

// NewMask is a mask without a pixel; one that is too large is an error.
func NewMask(width, height int) (*Mask, error) {
	m := new(Mask)
	return m, m.begin(width, height)
}

// begin makes it an empty mask of a size; its memory is used again.
func (m *Mask) begin(width, height int) error {
	switch {
	case width < 1 || height < 1:
		return fmt.Errorf("the mask is %d×%d pixels", width, height)
	case width > maxMaskSide || height > maxMaskSide || width*height > maxMaskPixels:
		return fmt.Errorf("the mask is %d×%d pixels, more than %d on a side or %d in all", width, height, maxMaskSide, maxMaskPixels)
	}
	m.Width, m.Height, m.Beyond = width, height, 0
	m.Runs, m.columns = m.Runs[:0], append(m.columns[:0], 0)
	return nil
}

// fill adds the n pixels from the position first on, counted down the columns.
// Fills come in order and do not overlap.
func (m *Mask) fill(first, n int) error {
	for n > 0 {
		x, top := first/m.Height, first%m.Height
		part := min(n, m.Height-top)
		if err := m.Add(x, top, top+part); err != nil {
			return err
		}
		first, n = first+part, n-part
	}
	return nil
}

// Add adds a run of pixels of a column. They come column by column, from top to bottom.
func (m *Mask) Add(x, top, bottom int) error {
	m.CloseColumns(x)
	if last := len(m.Runs) - 1; last >= int(m.columns[x]) && int(m.Runs[last].bottom) == top {
		m.Runs[last].bottom = int32(bottom)
		return nil
	}
	if len(m.Runs) == maxMaskRuns {
		return fmt.Errorf("the mask has more than %d runs", maxMaskRuns)
	}
	m.Runs = append(m.Runs, maskRun{int32(x), int32(top), int32(bottom)})
	return nil
}

// CloseColumns notes where the columns up to x begin.
func (m *Mask) CloseColumns(x int) {
	for len(m.columns) <= x {
		m.columns = append(m.columns, int32(len(m.Runs)))
	}
}

// column is a column's runs and the place of the first in m.runs.
func (m *Mask) column(x int) (runs []maskRun, first int32) {
	if x < 0 || x >= m.Width {
		return nil, 0
	}
	return m.Runs[m.columns[x]:m.columns[x+1]], m.columns[x]
}

// Unmarshal makes it the mask of a COCO run-length encoding {"size":[h,w],"counts":…}, its
// counts a list of numbers or the string that pycocotools compresses them to.
// They alternate between pixels outside and inside, from outside on, and go
// down the columns.
func (m *Mask) Unmarshal(segmentation []byte) error {
	var rle struct {
		Size   jsontext.Value `json:"size"`
		Counts jsontext.Value `json:"counts"`
	}
	if err := json.Unmarshal(segmentation, &rle, jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(false)); err != nil {
		return fmt.Errorf("the run-length encoding cannot be read: %w", err)
	}
	var size []float64
	if scan.IsArray(rle.Size) {
		var err error
		if size, err = scan.AppendNumbers(nil, rle.Size); err != nil {
			return fmt.Errorf("the size of the run-length encoding: %w", err)
		}
	}
	return m.Decode(size, func(d *CountDecoder) error {
		switch {
		case scan.IsString(rle.Counts):
			return d.compressed(scan.TextOf(rle.Counts))
		case scan.IsArray(rle.Counts):
			return d.plain(rle.Counts)
		}
		return fmt.Errorf("the counts are %s", scan.Describe(rle.Counts))
	})
}

// Decode makes it the mask of a size as in COCO's encoding and of the counts that
// are given to a decoder.
func (m *Mask) Decode(size []float64, counts func(*CountDecoder) error) error {
	if len(size) != 2 || size[0] != float64(int32(size[0])) || size[1] != float64(int32(size[1])) {
		return errors.New("the run-length encoding has no size [height, width]")
	}
	if err := m.begin(int(size[1]), int(size[0])); err != nil {
		return err
	}
	d := CountDecoder{mask: m}
	if err := counts(&d); err != nil {
		return err
	}
	return d.end()
}

// CountDecoder fills a mask from counts.
type CountDecoder struct {
	mask   *Mask
	inside bool
	filled int // pixels so far
}

func (d *CountDecoder) count(n int) error {
	if n < 0 {
		return fmt.Errorf("a count is negative (%d)", n)
	}
	if left := d.mask.Width*d.mask.Height - d.filled; n > left {
		if d.inside || d.mask.Beyond > 0 {
			return fmt.Errorf("the counts go beyond the %d×%d pixels of the mask", d.mask.Width, d.mask.Height)
		}
		d.mask.Beyond, n = n-left, left // which is the last, or wrong
	} else if d.mask.Beyond > 0 && n > 0 {
		return fmt.Errorf("the counts go beyond the %d×%d pixels of the mask", d.mask.Width, d.mask.Height)
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

func (d *CountDecoder) end() error {
	if all := d.mask.Width * d.mask.Height; d.filled != all {
		return fmt.Errorf("the counts fill %d of the %d pixels of the mask", d.filled, all)
	}
	d.mask.CloseColumns(d.mask.Width)
	return nil
}

func (d *CountDecoder) plain(counts []byte) error {
	numbers, err := scan.AppendNumbers(nil, counts)
	if err != nil {
		return fmt.Errorf("the counts: %w", err)
	}
	return d.Numbers(numbers)
}

// Numbers takes counts.
func (d *CountDecoder) Numbers(counts []float64) error {
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
func (d *CountDecoder) compressed(text []byte) error {
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

// RLE is the mask in COCO's uncompressed form.
func (m *Mask) RLE(dst []byte) []byte {
	dst = fmt.Appendf(dst, `{"size":[%d,%d],"counts":[`, m.Height, m.Width)
	end := 0 // of the last run, in pixels
	count := func(n int) {
		dst = fmt.Appendf(dst, "%d,", n)
	}
	open := -1 // first pixel of a run that may go on in the next column
	for _, r := range m.Runs {
		first := int(r.x)*m.Height + int(r.top)
		last := int(r.x)*m.Height + int(r.bottom)
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
	if rest := m.Width*m.Height - end; rest > 0 {
		count(rest)
	}
	return append(bytes.TrimSuffix(dst, []byte(",")), "]}"...)
}

// Pixels is how many pixels the mask has inside.
func (m *Mask) Pixels() (n int) {
	for _, r := range m.Runs {
		n += int(r.bottom - r.top)
	}
	return n
}

// Bounds is the box around the pixels inside; false where there are none.
func (m *Mask) Bounds() (pictograph.Box, bool) {
	if len(m.Runs) == 0 {
		return pictograph.Box{}, false
	}
	e := extent{left: m.Runs[0].x, top: m.Runs[0].top, right: m.Runs[len(m.Runs)-1].x + 1}
	for _, r := range m.Runs {
		e.top, e.bottom = min(e.top, r.top), max(e.bottom, r.bottom)
	}
	return e.box(), true
}

// RowBounds is the box around the pixels inside if the counts had gone along the rows.
func (m *Mask) RowBounds() (pictograph.Box, bool) {
	e := extent{left: math.MaxInt32, top: math.MaxInt32}
	for _, r := range m.Runs {
		first, last := int(r.x)*m.Height+int(r.top), int(r.x)*m.Height+int(r.bottom)-1
		from, to := first%m.Width, last%m.Width
		if first/m.Width != last/m.Width {
			from, to = 0, m.Width-1
		}
		e.add(from, first/m.Width, to+1, last/m.Width+1)
	}
	return e.box(), len(m.Runs) > 0
}

// OutsideBounds is the box around the pixels outside.
func (m *Mask) OutsideBounds() (pictograph.Box, bool) {
	e := extent{left: math.MaxInt32, top: math.MaxInt32}
	for x := range m.Width {
		runs, _ := m.column(x)
		top := 0
		for _, r := range runs {
			if int(r.top) > top {
				e.add(x, top, x+1, int(r.top))
			}
			top = int(r.bottom)
		}
		if top < m.Height {
			e.add(x, top, x+1, m.Height)
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
