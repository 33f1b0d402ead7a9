package source

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
)

// The plain ways through what a COCO file has most of: annotations and image
// entries as nearly all are written, whole in the buffer. What is any different,
// or wrong, is left to the scanner, which reads it again from its beginning.

// wholeID is an id that is a whole number of up to 18 digits, written as
// numbers are.
type wholeID uint64

// wholeIDOf reads such an id.
func wholeIDOf(raw []byte) (id wholeID, ok bool) {
	const longest = 18
	if len(raw) == 0 || len(raw) > longest || raw[0] == '0' && len(raw) > 1 {
		return 0, false
	}
	for _, c := range raw {
		if c-'0' > 9 {
			return 0, false
		}
		id = id*10 + wholeID(c-'0')
	}
	return id, true
}

func (id wholeID) cocoID() convert.COCOID { return convert.COCOID(strconv.FormatUint(uint64(id), 10)) }

// plainAnnotation reads the annotation at pos and returns the id of its image;
// false leaves pos where it is.
func (s *jsonScanner) plainAnnotation() (image wholeID, ok bool) {
	buf := s.buf[:s.end]
	for i, n := s.pos, 0; ; n++ {
		name, start := s.layout.Member(buf, i, n)
		if start == 0 {
			return 0, false
		}
		if i = plainValueEnd(buf, start, s.depth+1); i == 0 {
			return 0, false
		}
		switch string(name) {
		case "image_id":
			if ok { // a second time
				return 0, false
			}
			if image, ok = wholeIDOf(buf[start:i]); !ok {
				return 0, false
			}
		case "segments_info":
			return 0, false
		}
		if end := blanksEnd(buf, i); end < len(buf) && buf[end] == '}' {
			if ok {
				s.pos = end + 1
			}
			return image, ok
		}
	}
}

// imageEntry is an entry of a COCO file's images. It has no name of its own, which
// encoding/json would put into its messages.
type imageEntry = struct {
	ID       json.RawMessage `json:"id"`
	ImageID  json.RawMessage `json:"image_id"` // SA-1B's id
	FileName *string         `json:"file_name"`
	COCOURL  string          `json:"coco_url"`
	Width    any             `json:"width"`
	Height   any             `json:"height"`
}

// plainImageEntry reads an entry of plain text and whole numbers; false leaves it
// to encoding/json.
func plainImageEntry(raw []byte) (e imageEntry, ok bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return e, false
	}
	var seen int // one bit a member
	i := 1
	for {
		if i = blanksEnd(raw, i); i == len(raw) || raw[i] != '"' {
			return e, false
		}
		start := i + 1
		if i = plainStringEnd(raw, i); i == 0 {
			return e, false
		}
		key := raw[start : i-1]
		if i = blanksEnd(raw, i); i == len(raw) || raw[i] != ':' {
			return e, false
		}
		if i = blanksEnd(raw, i+1); i == len(raw) {
			return e, false
		}
		start = i
		var number wholeID
		text := raw[i] == '"'
		if text {
			i = plainStringEnd(raw, i)
		} else if i = wordEnd(raw, i); i > start {
			var whole bool
			if number, whole = wholeIDOf(raw[start:i]); !whole {
				return e, false
			}
		}
		if i <= start {
			return e, false
		}
		member := 0
		switch string(key) {
		case "id":
			member, e.ID = 1, raw[start:i]
		case "file_name":
			if !text {
				return e, false
			}
			name := string(raw[start+1 : i-1])
			member, e.FileName = 2, &name
		case "width":
			member, e.Width = 4, float64(number)
		case "height":
			member, e.Height = 8, float64(number)
		case "coco_url":
			if !text {
				return e, false
			}
			member = 16
			if e.FileName == nil { // it is asked for only where there is no name
				e.COCOURL = string(raw[start+1 : i-1])
			}
		case "image_id":
			return e, false
		default:
			if !lowerCase(key) { // encoding/json takes ID for id too
				return e, false
			}
		}
		if seen&member != 0 || text && member&(4|8) != 0 {
			return e, false
		}
		seen |= member
		if i = blanksEnd(raw, i); i == len(raw) {
			return e, false
		}
		switch raw[i] {
		case ',':
			i++
		case '}':
			return e, seen&1 != 0 && i+1 == len(raw)
		default:
			return e, false
		}
	}
}

func lowerCase(key []byte) bool {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// blanksEnd returns where the white space at i ends.
func blanksEnd(buf []byte, i int) int {
	for i < len(buf) && (buf[i] == ' ' || buf[i] == '\n' || buf[i] == '\t' || buf[i] == '\r') {
		i++
	}
	return i
}

// plainStringEnd returns where the string at i ends, 0 if it goes beyond buf or
// holds anything but printable ASCII without escapes.
func plainStringEnd(buf []byte, i int) int {
	for i++; i < len(buf); i++ {
		switch c := buf[i]; {
		case c == '"':
			return i + 1
		case c < ' ' || c > '~' || c == '\\':
			return 0
		}
	}
	return 0
}

// wordEnd returns where the number or word at i ends, len(buf) where it may go on
// beyond.
func wordEnd(buf []byte, i int) int {
	for i < len(buf) && !endsWord[buf[i]] {
		i++
	}
	return i
}

// plainValueEnd returns where the value at i ends; 0 if it goes beyond buf or is
// no value. Depth is that of the value itself.
func plainValueEnd(buf []byte, i, depth int) int {
	switch c := buf[i]; {
	case c == '"':
		return plainStringEnd(buf, i)
	case startsWord(c):
		if end := wordEnd(buf, i); end < len(buf) {
			return end
		}
		return 0
	case c != '[' && c != '{':
		return 0
	}
	outside := depth
	for {
		i = bracketOrQuote(buf, i)
		if i == len(buf) {
			return 0
		}
		switch meaning[buf[i]] {
		case quote:
			if i = plainStringEnd(buf, i); i == 0 {
				return 0
			}
			continue
		case opening:
			if depth++; depth > maxDepth {
				return 0
			}
		case closing:
			depth--
		}
		i++
		if depth == outside {
			return i
		}
	}
}

// bracketOrQuote returns the place of the first bracket, brace or quotation mark
// from i on, len(buf) if there is none. It is where most of the time of an index
// goes, so it looks at eight bytes at once: in ASCII, digits and what stands
// between them differ from brackets in one bit.
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
		last := min(i+8, len(buf))
		for ; i < last; i++ {
			if meaning[buf[i]] != plain {
				return i
			}
		}
		if i == len(buf) {
			return i
		}
	}
}

// unmarshalImageEntry reads an entry of images. What harms one member harms no other: the
// words that Python writes for what is no number are null, and a name or address that is
// no text is none.
// Repeated is a key that stands twice, with one value.
func unmarshalImageEntry(raw []byte) (e imageEntry, repeated string, err error) {
	if e, ok := plainImageEntry(raw); ok {
		return e, "", nil
	}
	if e, err = decodeImageEntry(raw); err != nil {
		if repaired, found := nullNonFinite(raw); found {
			raw = repaired
			e, err = decodeImageEntry(raw)
		}
	}
	if err == nil {
		repeated, err = checkImageEntry(raw)
	}
	return e, repeated, err
}

// checkImageEntry finds in an entry, valid JSON, what encoding/json takes without a word:
// keys that stand twice, in whatever case, names that are no text, and annotations within
// the entry.
func checkImageEntry(raw []byte) (repeated string, err error) {
	values := make(map[string][]byte)
	scanErr := scanBytes(raw, func(s *jsonScanner) {
		s.token()
		s.allKeys = true
		s.object(func(key string) {
			value := s.value()
			switch key = strings.ToLower(key); key {
			case "annotations", "annotation", "objects", "instances", "bboxes", "boxes", "regions", "shapes":
				if (value[0] == '[' || value[0] == '{') && !saysNothing(value) {
					err = fmt.Errorf("it has %s of its own, which belong into the list of annotations", display(key))
				}
				return
			case "file_name", "coco_url":
				if value[0] == '"' && !jsontext.Value(value).IsValid() {
					err = fmt.Errorf("its %s is no valid UTF-8", key)
				}
			case "id", "image_id", "width", "height":
			default:
				return
			}
			before, twice := values[key]
			switch {
			case !twice:
				values[key] = bytes.Clone(value)
			case bytes.Equal(before, value):
				repeated = key
			default:
				err = fmt.Errorf("it has the key %q twice, with %s and %s", key, display(string(before)), display(string(value)))
			}
		})
	})
	return repeated, errors.Join(err, scanErr)
}

func decodeImageEntry(raw []byte) (e imageEntry, err error) {
	err = json.Unmarshal(raw, &e)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		err = nil // the other members are read
	}
	if err == nil && bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		err = errors.New("it is null")
	}
	return e, err
}

// nullNonFinite replaces NaN, Infinity and -Infinity outside of strings by null.
func nullNonFinite(raw []byte) (repaired []byte, found bool) {
	for i := 0; i < len(raw); {
		rest := raw[i:]
		word := ""
		for _, w := range []string{"NaN", "-Infinity", "Infinity", "nan", "-inf", "inf"} {
			if bytes.HasPrefix(rest, []byte(w)) {
				word = w
				break
			}
		}
		switch {
		case rest[0] == '"':
			end := i + 1
			for end < len(raw) && raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(raw))
			repaired = append(repaired, raw[i:end]...)
			i = end
		case word != "":
			repaired, found = append(repaired, "null"...), true
			i += len(word)
		default:
			repaired = append(repaired, rest[0])
			i++
		}
	}
	return repaired, found
}
