package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ReadMembers calls member with the name and the raw value of every member of
// the JSON object raw, which the decoder has been reset to. The values are
// parts of raw.
func ReadMembers(decoder *jsontext.Decoder, raw []byte, member func(name, value []byte) error) error {
	opening, err := decoder.ReadToken()
	if err != nil {
		return PlainError(err)
	}
	if opening.Kind() != '{' {
		return fmt.Errorf("not a JSON object but %s", Describe(raw))
	}
	// The decoder's own slices are void with its next read, those of raw are not.
	next := func() ([]byte, error) {
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, PlainError(err)
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
		if err := member(TextOf(name), value); err != nil {
			return err
		}
	}
	if _, err := decoder.ReadToken(); err != nil { // the closing brace, or what stands in its place
		return PlainError(err)
	}
	if _, err := decoder.ReadToken(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// PlainError says what is wrong without the path to it, whose names may be
// as long as the file.
func PlainError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the JSON breaks off")
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

// OverflowNonFinite replaces NaN, Infinity and -Infinity outside strings by a
// number too large for a double.
func OverflowNonFinite(raw []byte) (repaired []byte, found bool) {
	return ReplaceWords(raw, "1e999", "NaN", "Infinity")
}

// Absent reports whether a member is missing or null.
func Absent(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// IsArray reports whether a JSON value is a list.
func IsArray(raw []byte) bool { return len(raw) > 0 && raw[0] == '[' }

// IsObject reports whether a JSON value is an object.
func IsObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// IsString reports whether a JSON value is a string.
func IsString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }

// IsNumber reports whether a JSON value is a number.
func IsNumber(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// Describe says what kind of JSON value it is, for people.
func Describe(raw []byte) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(raw) == 0:
		return "nothing"
	case IsObject(raw):
		return "an object"
	case IsArray(raw):
		return "an array"
	case IsNumber(raw):
		return "the number " + Shorten(string(raw))
	default:
		return Shorten(string(raw))
	}
}

// Shorten keeps what a source says readable in a finding.
func Shorten(s string) string {
	const limit = 60 // bytes
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// TextOf returns the text of a valid JSON string, which it may share.
func TextOf(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw)
	return text
}

// ParseNumber returns the double nearest to a valid JSON number, infinite
// where none is.
func ParseNumber(raw []byte) float64 {
	value, _ := Number(raw, 0)
	return value
}

// AppendNumbers appends the elements of an array of numbers, which is valid JSON. Numbers
// beyond a double's range become infinite.
func AppendNumbers(dst []float64, array []byte) ([]float64, error) {
	first := len(dst)
	if numbers, end := Numbers(dst, array, 0); end > 0 {
		return numbers, nil
	}
	for element := range Elements(array) {
		if !IsNumber(element) {
			return dst, fmt.Errorf("number %d is %s", len(dst)-first+1, Describe(element))
		}
		dst = append(dst, ParseNumber(element))
	}
	return dst, nil
}
