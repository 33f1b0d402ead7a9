package scan

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Space returns where the white space at i ends.
func Space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// Text returns what the string at i says and where it ends; an end of 0 says that there
// is none, or one with escapes or characters beyond ASCII.
func Text(data []byte, i int) (text []byte, end int) {
	if i >= len(data) || data[i] != '"' {
		return nil, 0
	}
	for end = i + 1; end < len(data); end++ {
		switch c := data[end]; {
		case c == '"':
			return data[i+1 : end], end + 1
		case c < ' ' || c > '~' || c == '\\':
			return nil, 0
		}
	}
	return nil, 0
}

// Unquote is what a string says, which may be a part of raw; what is no string to
// encoding/json is returned as it stands.
func Unquote(raw []byte) []byte {
	if text, end := Text(raw, 0); end == len(raw) && end > 0 {
		return text
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return raw
	}
	return []byte(text)
}

// Member reads the name of a member at i, and the comma before it unless it is the
// object's first. It returns where the value begins, 0 where there is no member whose
// name [Text] reads.
func Member(data []byte, i int, first bool) (name []byte, value int) {
	before := byte(',')
	if first {
		before = '{'
	}
	if i = Space(data, i); i == len(data) || data[i] != before {
		return nil, 0
	}
	return member(data, i+1)
}

// member is [Member] behind the comma.
func member(data []byte, i int) (name []byte, value int) {
	name, i = Text(data, Space(data, i))
	if i == 0 {
		return nil, 0
	}
	if i = Space(data, i); i == len(data) || data[i] != ':' {
		return nil, 0
	}
	if i = Space(data, i+1); i == len(data) {
		return nil, 0
	}
	return name, i
}

// valueEnd returns where the value at i ends, in valid JSON.
func valueEnd(data []byte, i int) int {
	s := Scanner{buf: data, pos: i, end: len(data), keep: -1}
	s.Skip()
	return s.pos
}

// Elements yields the elements of a list, which is valid JSON, as they stand.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := Space(list, 1); list[i] != ']'; {
			end := valueEnd(list, i)
			if !yield(list[i:end]) {
				return
			}
			if i = Space(list, end); list[i] == ',' {
				i = Space(list, i+1)
			}
		}
	}
}

// ReplaceWords puts text in place of words that stand outside of strings, as of the NaN
// that Python writes.
func ReplaceWords(raw []byte, text string, words ...string) (replaced []byte, found bool) {
	for i := 0; i < len(raw); {
		word := ""
		for _, w := range words {
			if bytes.HasPrefix(raw[i:], []byte(w)) {
				word = w
				break
			}
		}
		end := i + 1
		switch {
		case word != "":
			replaced, found = append(replaced, text...), true
			i += len(word)
			continue
		case raw[i] == '"':
			for end < len(raw) && raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(raw))
		}
		replaced = append(replaced, raw[i:end]...)
		i = end
	}
	return replaced, found
}
