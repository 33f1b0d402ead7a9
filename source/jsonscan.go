package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"pictosync/convert"
)

const (
	// maxDepth is how deep JSON may be nested, as in encoding/json.
	maxDepth = 10_000
	// maxKeep bounds what is held of one key or captured value, in bytes.
	maxKeep = 64 << 20

	scanBuffer = 1 << 20 // bytes
)

// jsonError is JSON that cannot be read on, and where.
type jsonError struct {
	offset int64 // bytes from the start of the file
	reason string
}

func (e *jsonError) Error() string { return fmt.Sprintf("%s at byte %d", e.reason, e.offset) }

// brokenOff reports whether the JSON ends before its value does.
func (e *jsonError) brokenOff() bool { return e.reason == reasonBrokenOff }

const reasonBrokenOff = "the JSON breaks off"

// jsonScanner finds where JSON values begin and end in a file of any size,
// through one buffer. It holds JSON to its rules only as far as it needs them
// to find boundaries: what a value contains is checked by who decodes it.
//
// Its methods panic with *jsonError or the reader's error, which [scanJSON]
// turns into an error: there is no way on after either.
type jsonScanner struct {
	r        io.Reader
	buf      []byte
	pos, end int   // what is left of buf
	base     int64 // offset of buf in the file
	keep     int   // first byte of buf that must stay, -1 if none
	depth    int
	layout   convert.Layout // of annotations
	allKeys  bool           // those too that nobody asks for
}

// scanFailure carries an error through the scanner's panics, so that no other
// panic is taken for one.
type scanFailure struct{ err error }

// scanJSON runs scan over r from its beginning, past a byte order mark.
func scanJSON(r io.Reader, scan func(*jsonScanner)) error {
	return (&jsonScanner{r: r, buf: make([]byte, scanBuffer), keep: -1}).run(scan)
}

// scanBytes runs scan over data, which is left as it is.
func scanBytes(data []byte, scan func(*jsonScanner)) error {
	return (&jsonScanner{r: eof{}, buf: data, end: len(data), keep: -1}).run(scan)
}

// eof is a reader that has ended.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (s *jsonScanner) run(scan func(*jsonScanner)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(scanFailure)
			if !ok {
				panic(p)
			}
			err = failure.err
		}
	}()
	s.skipMark()
	scan(s)
	return nil
}

func (s *jsonScanner) fail(reason string) {
	panic(scanFailure{&jsonError{offset: s.offset(), reason: reason}})
}

func (s *jsonScanner) offset() int64 { return s.base + int64(s.pos) }

// fill reads more; it reports false at the end of the file.
func (s *jsonScanner) fill() bool {
	if s.r == (eof{}) {
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
			s.fail(fmt.Sprintf("a value is longer than %d bytes", maxKeep))
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
			panic(scanFailure{err})
		}
	}
	panic(scanFailure{io.ErrNoProgress})
}

// more reports whether there is a byte at pos.
func (s *jsonScanner) more() bool { return s.pos < s.end || s.fill() }

// peek returns the byte at pos.
func (s *jsonScanner) peek() byte {
	if s.pos == s.end && !s.fill() {
		s.fail(reasonBrokenOff)
	}
	return s.buf[s.pos]
}

func (s *jsonScanner) skipMark() {
	for s.end < 3 && s.fill() {
	}
	if s.end >= 3 && string(s.buf[:3]) == "\ufeff" {
		s.pos = 3
	}
}

// skipSpace skips white space and reports whether anything follows.
func (s *jsonScanner) skipSpace() bool {
	for s.more() {
		switch s.buf[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return true
		}
	}
	return false
}

// token skips white space and returns the byte that follows.
func (s *jsonScanner) token() byte {
	s.skipSpace()
	return s.peek()
}

func (s *jsonScanner) expect(c byte, where string) {
	if s.token() != c {
		s.fail(fmt.Sprintf("%q instead of %q %s", s.buf[s.pos], c, where))
	}
	s.pos++
}

// atEnd fails if anything follows the value that was read.
func (s *jsonScanner) atEnd() {
	if s.skipSpace() {
		s.fail("something follows the JSON value")
	}
}

// object calls member for every member of the object at pos, with its key and
// pos at the value, which member has to read.
func (s *jsonScanner) object(member func(key string)) {
	s.enter()
	if s.token() == '}' {
		s.leave()
		return
	}
	for {
		if s.token() != '"' {
			s.fail(fmt.Sprintf("%q where a key belongs", s.buf[s.pos]))
		}
		key := s.key()
		s.expect(':', "after a key")
		s.token()
		member(key)
		if s.endOf('}') {
			return
		}
	}
}

// array calls element for every element of the array at pos, with pos at the
// element, which element has to read.
func (s *jsonScanner) array(element func()) {
	s.enter()
	if s.token() == ']' {
		s.leave()
		return
	}
	for {
		s.token()
		element()
		if s.endOf(']') {
			return
		}
	}
}

func (s *jsonScanner) enter() {
	if s.depth++; s.depth > maxDepth {
		s.fail(fmt.Sprintf("JSON nested deeper than %d levels", maxDepth))
	}
	s.pos++
}

func (s *jsonScanner) leave() {
	s.depth--
	s.pos++
}

// endOf reads what follows a member or element: a comma or the end.
func (s *jsonScanner) endOf(closing byte) bool {
	switch c := s.token(); c {
	case ',':
		s.pos++
	case closing:
		s.leave()
		return true
	default:
		s.fail(fmt.Sprintf("%q instead of a comma or %q", c, closing))
	}
	return false
}

// key reads an object's key. The keys that a scan asks for are short, and a
// comparison with a converted slice does not allocate, so that known keys cost
// nothing.
func (s *jsonScanner) key() string {
	raw := s.capture(s.skipString)
	switch string(raw) {
	case `"image_id"`:
		return "image_id"
	case `"id"`:
		return "id"
	}
	if s.allKeys {
		return unquoted(raw)
	}
	switch string(raw) {
	case `"segmentation"`, `"bbox"`, `"area"`, `"iscrowd"`, `"category_id"`, `"keypoints"`, `"num_keypoints"`:
		return "" // frequent, and asked for by nobody
	}
	return unquoted(raw)
}

// unquoted is the text of a JSON string. What is no string to encoding/json is
// returned as it stands: such a key is one that nobody asks for.
func unquoted(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// capture returns the bytes that read passes over. They are valid until the
// scanner reads on.
func (s *jsonScanner) capture(read func()) []byte {
	s.keep = s.pos
	read()
	raw := s.buf[s.keep:s.pos]
	s.keep = -1
	return raw
}

// value returns the value at pos as it stands; see capture.
func (s *jsonScanner) value() []byte { return s.capture(s.skip) }

// What a byte means inside of a value.
const (
	plain = iota
	quote
	opening
	closing
)

var meaning = [256]byte{'"': quote, '[': opening, '{': opening, ']': closing, '}': closing}

// skip passes over the value at pos.
func (s *jsonScanner) skip() {
	switch c := s.peek(); {
	case c == '"':
		s.skipString()
	case c == '{' || c == '[':
		s.skipContainer()
	case startsWord(c):
		s.skipWord()
	default:
		s.fail(fmt.Sprintf("%q where a value belongs", c))
	}
}

// startsWord reports whether a number or one of JSON's words can start so; N and
// I, since Python writes NaN and Infinity.
func startsWord(c byte) bool {
	return c == '-' || '0' <= c && c <= '9' || c == 't' || c == 'f' || c == 'n' || c == 'N' || c == 'I'
}

// endsWord are the bytes that a number or word ends before.
var endsWord = [256]bool{',': true, ']': true, '}': true, ' ': true, '\n': true, '\r': true, '\t': true, ':': true, '"': true, '[': true, '{': true}

// skipContainer counts brackets, in what is most of a label file.
func (s *jsonScanner) skipContainer() {
	outside := s.depth
	s.enter()
	for {
		s.pos = bracketOrQuote(s.buf[:s.end], s.pos)
		if s.pos == s.end {
			s.peek()
			continue
		}
		switch meaning[s.buf[s.pos]] {
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

func (s *jsonScanner) skipString() {
	s.pos++
	for {
		buf := s.buf[:s.end]
		i := s.pos
		for i < len(buf) && buf[i] != '"' && buf[i] != '\\' {
			i++
		}
		s.pos = i
		if i == len(buf) {
			s.peek()
			continue
		}
		s.pos++
		if buf[i] == '"' {
			return
		}
		s.peek()
		s.pos++
	}
}

func (s *jsonScanner) skipWord() {
	for s.more() {
		if endsWord[s.buf[s.pos]] {
			return
		}
		s.pos++
	}
}
