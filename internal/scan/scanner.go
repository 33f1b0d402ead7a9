package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

const (
	// MaxDepth is how deep JSON may be nested, as in encoding/json.
	MaxDepth = 10_000
	// maxKeep bounds what is held of one key or value that is asked for, in bytes.
	maxKeep = 64 << 20

	bufferSize = 1 << 20 // bytes
)

// Error is JSON that cannot be read on, and where.
type Error struct {
	Offset int64 // bytes from the start
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// BrokenOff reports whether the JSON ends before its value does.
func (e *Error) BrokenOff() bool { return e.Reason == brokenOff }

// ErrUTF16 is what is wrong with a text that has two bytes a character.
var ErrUTF16 = errors.New("it is UTF-16 text; save it as UTF-8")

const brokenOff = "the JSON breaks off"

// Scanner finds where JSON values begin and end in a stream of any length.
//
// There is no way on after an error: methods panic with what [Reader] and [Bytes] turn
// into their error.
type Scanner struct {
	r        io.Reader // nil where buf is all there is
	buf      []byte
	pos, end int   // what is left of buf
	base     int64 // offset of buf in the stream
	keep     int   // first byte of buf that must stay, -1 if none
	depth    int
}

// failure carries an error through a panic, so that no other panic is taken for one.
type failure struct{ err error }

// Reader runs scan over what r reads, past a byte order mark. The error is an *[Error],
// the reader's own, or one that scan gave to [Stop].
func Reader(r io.Reader, scan func(*Scanner)) error {
	return (&Scanner{r: r, buf: make([]byte, bufferSize), keep: -1}).run(scan)
}

// Bytes is [Reader] over data.
func Bytes(data []byte, scan func(*Scanner)) error {
	return (&Scanner{buf: data, end: len(data), keep: -1}).run(scan)
}

func (s *Scanner) run(scan func(*Scanner)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failure)
			if !ok {
				panic(p)
			}
			err = f.err
		}
	}()
	for s.end < 3 && s.fill() {
	}
	if s.end >= 3 && string(s.buf[:3]) == "\ufeff" {
		s.pos = 3
	}
	if s.end >= 2 && (s.buf[0] == 0 || s.buf[1] == 0 || s.buf[0] >= 0xfe) { // no JSON begins so in UTF-8
		Stop(ErrUTF16)
	}
	scan(s)
	return nil
}

// Fail ends the scan with an [Error] at the scanner's place.
func (s *Scanner) Fail(format string, args ...any) {
	Stop(&Error{Offset: s.Offset(), Reason: fmt.Sprintf(format, args...)})
}

// Stop ends the scan that it is called in with an error.
func Stop(err error) { panic(failure{err}) }

// Offset is the scanner's place in the stream.
func (s *Scanner) Offset() int64 { return s.base + int64(s.pos) }

// fill reads more; it reports false at the end of the stream.
func (s *Scanner) fill() bool {
	if s.r == nil {
		return false
	}
	start := s.pos
	if s.keep >= 0 {
		start = s.keep
	}
	s.base += int64(start)
	s.end = copy(s.buf, s.buf[start:s.end])
	s.pos -= start
	if s.keep >= 0 {
		s.keep = 0
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxKeep {
			s.Fail("a value is longer than %d bytes", maxKeep)
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 { // a reader may return nothing a few times
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		switch {
		case n > 0:
			return true
		case errors.Is(err, io.EOF):
			return false
		case err != nil:
			Stop(err)
		}
	}
	Stop(io.ErrNoProgress)
	return false
}

// Peek is the byte that comes next.
func (s *Scanner) Peek() byte {
	if s.pos == s.end && !s.fill() {
		s.Fail(brokenOff)
	}
	return s.buf[s.pos]
}

// space skips white space and reports whether anything follows.
func (s *Scanner) space() bool {
	for s.pos < s.end || s.fill() {
		switch s.buf[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return true
		}
	}
	return false
}

// Token skips white space and is the byte that follows.
func (s *Scanner) Token() byte {
	if s.pos == s.end || s.buf[s.pos] <= ' ' {
		s.space()
	}
	return s.Peek()
}

// End fails if anything follows the value that was read.
func (s *Scanner) End() {
	if s.space() {
		s.Fail("something follows the JSON value")
	}
}

// Members goes through the object that comes next. At each of its members, whose value
// has to be read, it yields the name, valid until then: what is no string to
// encoding/json is left as it stands, since nobody asks for such a name.
func (s *Scanner) Members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s.enter()
		for more := !s.closes('}'); more; more = s.goesOn('}') {
			name, value := member(s.buf[:s.end], s.pos)
			if value > 0 {
				s.pos = value
			} else {
				name = s.name()
			}
			if !yield(name) {
				return
			}
		}
	}
}

// name reads what stands before a member's value, however it is written.
func (s *Scanner) name() []byte {
	if s.Token() != '"' {
		s.Fail("%q where a key belongs", s.buf[s.pos])
	}
	s.keep = s.pos
	s.skipString()
	length := s.pos - s.keep
	if c := s.Token(); c != ':' {
		s.Fail("%q instead of ':' after a key", c)
	}
	s.pos++
	s.Token()
	raw := s.buf[s.keep:][:length]
	s.keep = -1
	return Unquote(raw)
}

// Elements goes through the list that comes next, and yields at each of its elements,
// which has to be read.
func (s *Scanner) Elements() func(yield func() bool) {
	return func(yield func() bool) {
		s.enter()
		for more := !s.closes(']'); more; more = s.goesOn(']') {
			s.Token()
			if !yield() {
				return
			}
		}
	}
}

// EnterList goes to the first element of the list that comes next.
func (s *Scanner) EnterList() { s.enter() }

func (s *Scanner) enter() {
	if s.depth++; s.depth > MaxDepth {
		s.Fail("JSON nested deeper than %d levels", MaxDepth)
	}
	s.pos++
}

func (s *Scanner) leave() {
	s.depth--
	s.pos++
}

// closes leaves an object or list if it ends here.
func (s *Scanner) closes(closing byte) bool {
	if s.Token() != closing {
		return false
	}
	s.leave()
	return true
}

// goesOn reads what follows a member or element: a comma or the end.
func (s *Scanner) goesOn(closing byte) bool {
	switch c := s.Token(); c {
	case ',':
		s.pos++
		return true
	case closing:
		s.leave()
	default:
		s.Fail("%q instead of a comma or %q", c, closing)
	}
	return false
}

// Value reads the value that comes next and returns it as it stands, valid until the
// scanner reads on.
func (s *Scanner) Value() []byte {
	s.keep = s.pos
	s.Skip()
	raw := s.buf[s.keep:s.pos]
	s.keep = -1
	return raw
}

// Skip passes over the value that comes next.
func (s *Scanner) Skip() {
	switch c := s.Peek(); {
	case c == '"':
		s.skipString()
	case c == '{' || c == '[':
		s.skipNested()
	case startsWord(c):
		for (s.pos < s.end || s.fill()) && !endsWord[s.buf[s.pos]] {
			s.pos++
		}
	default:
		s.Fail("%q where a value belongs", c)
	}
}

// startsWord reports whether a number or one of JSON's words can start so; N and
// I, since Python writes NaN and Infinity.
func startsWord(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f' || c == 'n' || c == 'N' || c == 'I'
}

// endsWord are the bytes that a number or word ends before.
var endsWord = [256]bool{',': true, ']': true, '}': true, ' ': true, '\n': true, '\r': true, '\t': true, ':': true, '"': true, '[': true, '{': true}

// What a byte means inside of an object or list.
const (
	quote = 1 + iota
	opening
	closing
)

var meaning = [256]byte{'"': quote, '[': opening, '{': opening, ']': closing, '}': closing}

// skipNested counts brackets.
func (s *Scanner) skipNested() {
	outside := s.depth
	s.enter()
	for {
		s.pos = bracketOrQuote(s.buf[:s.end], s.pos)
		switch meaning[s.Peek()] {
		case quote:
			s.skipString()
		case opening:
			s.enter()
		case closing:
			if s.leave(); s.depth == outside {
				return
			}
		}
	}
}

// bracketOrQuote returns the place of the first bracket, brace or quotation mark from i
// on, len(buf) if there is none. It looks at eight bytes at once, since most of a label
// file are numbers: in ASCII, digits and what stands between them differ from brackets in
// one bit.
func bracketOrQuote(buf []byte, i int) int {
	const each = 0x0101010101010101
	for {
		for ; i+8 <= len(buf); i += 8 {
			eight := binary.LittleEndian.Uint64(buf[i:])
			quotes := eight ^ each*'"'
			if eight&(each*0x40)|(quotes-each)&^quotes&(each*0x80) != 0 {
				break
			}
		}
		for last := min(i+8, len(buf)); i < last; i++ {
			if meaning[buf[i]] != 0 {
				return i
			}
		}
		if i == len(buf) {
			return i
		}
	}
}

func (s *Scanner) skipString() {
	s.pos++
	for {
		buf, i := s.buf[:s.end], s.pos
		for i < len(buf) && buf[i] != '"' && buf[i] != '\\' {
			i++
		}
		s.pos = i
		switch s.Peek() {
		case '"':
			s.pos++
			return
		case '\\':
			s.pos++
			s.Peek()
			s.pos++
		}
	}
}
