package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// readMembers calls member with the name and the raw value of every member of
// the JSON object raw, which the decoder has been reset to. The values are
// parts of raw.
func readMembers(decoder *jsontext.Decoder, raw []byte, member func(name, value []byte) error) error {
	opening, err := decoder.ReadToken()
	if err != nil {
		return plainJSONError(err)
	}
	if opening.Kind() != '{' {
		return fmt.Errorf("not a JSON object but %s", describe(raw))
	}
	// The decoder's own slices are void with its next read, those of raw are not.
	next := func() ([]byte, error) {
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, plainJSONError(err)
		}
		end := decoder.InputOffset()
		return raw[end-int64(len(value)) : end], nil
	}
	for decoder.PeekKind() == '"' {
		name, err := next()
		if err != nil {
			return err
		}
		value, err := next()
		if err != nil {
			return err
		}
		if err := member(unquote(name), value); err != nil {
			return err
		}
	}
	if _, err := decoder.ReadToken(); err != nil { // the closing brace, or what stands in its place
		return plainJSONError(err)
	}
	if _, err := decoder.ReadToken(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// plainJSONError says what is wrong without the path to it, whose names may be
// as long as the file.
func plainJSONError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the JSON breaks off")
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

// overflowNonFinite replaces NaN, Infinity and -Infinity outside strings by a
// number too large for a double.
func overflowNonFinite(raw []byte) (repaired []byte, found bool) {
	for i := 0; i < len(raw); {
		switch rest := raw[i:]; {
		case rest[0] == '"':
			end := stringEnd(raw, i)
			repaired = append(repaired, raw[i:end]...)
			i = end
		case bytes.HasPrefix(rest, []byte("NaN")):
			repaired, found = append(repaired, "1e999"...), true
			i += len("NaN")
		case bytes.HasPrefix(rest, []byte("Infinity")):
			repaired, found = append(repaired, "1e999"...), true
			i += len("Infinity")
		default:
			repaired = append(repaired, rest[0])
			i++
		}
	}
	return repaired, found
}

// absent reports whether a member is missing or null.
func absent(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

func isArray(raw []byte) bool  { return len(raw) > 0 && raw[0] == '[' }
func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }
func isString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }
func isNumber(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// describe says what kind of JSON value it is, for people.
func describe(raw []byte) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(raw) == 0:
		return "nothing"
	case isObject(raw):
		return "an object"
	case isArray(raw):
		return "an array"
	case isNumber(raw):
		return "the number " + shorten(string(raw))
	default:
		return shorten(string(raw))
	}
}

// shorten keeps what a source says readable in a finding.
func shorten(s string) string {
	const limit = 60 // bytes
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// unquote returns the text of a valid JSON string, which it may share.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw)
	return text
}

// The functions below walk JSON that is known to be valid.

// elements yields the elements of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := separatorsEnd(array, 1); array[i] != ']'; {
			end := valueEnd(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = separatorsEnd(array, end)
		}
	}
}

// appendNumbers appends the elements of an array of numbers. Numbers beyond a
// double's range become infinite.
func appendNumbers(dst []float64, array []byte) ([]float64, error) {
	first := len(dst)
	for i := separatorsEnd(array, 1); array[i] != ']'; {
		if value, length := plainDecimal(array[i:]); length > 0 {
			dst = append(dst, value)
			i = separatorsEnd(array, i+length)
			continue
		}
		end := valueEnd(array, i)
		if !isNumber(array[i:end]) {
			return dst, fmt.Errorf("number %d is %s", len(dst)-first+1, describe(array[i:end]))
		}
		dst = append(dst, parseNumber(array[i:end]))
		i = separatorsEnd(array, end)
	}
	return dst, nil
}

func separatorsEnd(json []byte, i int) int {
	for json[i] == ',' || json[i] == ' ' || json[i] == '\n' || json[i] == '\t' || json[i] == '\r' {
		i++
	}
	return i
}

// valueEnd returns where the value that starts at i ends.
func valueEnd(json []byte, i int) int {
	switch json[i] {
	case '"':
		return stringEnd(json, i)
	case '[', '{':
		return containerEnd(json, i)
	}
	for i < len(json) {
		switch json[i] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

// plainListEnd returns where a list of numbers, as rings are, ends: quickly,
// and 0 if it is no such list.
func plainListEnd(json []byte, i int) int {
	if json[i] != '[' {
		return 0
	}
	length := bytes.IndexByte(json[i:], ']')
	for _, c := range []byte(`[{"`) {
		if bytes.IndexByte(json[i+1:i+length], c) >= 0 {
			return 0
		}
	}
	return i + length + 1
}

func containerEnd(json []byte, i int) int {
	if end := plainListEnd(json, i); end > 0 {
		return end
	}
	for depth := 0; i < len(json); {
		switch json[i] {
		case '"':
			i = stringEnd(json, i)
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
	return i
}

// stringEnd also takes a string that breaks off.
func stringEnd(json []byte, i int) int {
	for i++; i < len(json); i++ {
		switch json[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(json)
}
