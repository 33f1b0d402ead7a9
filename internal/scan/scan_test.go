package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// walk reads a value as deep as it goes, as a test would like to see it.
func walk(s *Scanner, out *[]string) {
	switch s.Token() {
	case '{':
		*out = append(*out, "{")
		for name := range s.Members() {
			*out = append(*out, string(name)+":")
			walk(s, out)
		}
		*out = append(*out, "}")
	case '[':
		*out = append(*out, "[")
		for range s.Elements() {
			walk(s, out)
		}
		*out = append(*out, "]")
	default:
		*out = append(*out, string(s.Value()))
	}
}

// tokens is what [walk] sees, by jsontext.
func tokens(data []byte) (out []string, valid bool) {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		value := ""
		kind, count := d.StackIndex(d.StackDepth())
		name := kind == '{' && count%2 == 0
		switch d.PeekKind() {
		case '{', '}', '[', ']':
			token, err := d.ReadToken()
			if err != nil {
				return out, false
			}
			value = token.String()
		default:
			raw, err := d.ReadValue()
			if err != nil {
				return out, false
			}
			if value = string(raw); name {
				var text string
				if json.Unmarshal(raw, &text) != nil {
					return out, false
				}
				value = text + ":"
			}
		}
		if out = append(out, value); d.StackDepth() == 0 {
			_, err := d.ReadToken()
			return out, err == io.EOF
		}
	}
}

// check holds the scanner against jsontext, however the stream comes.
func check(t interface{ Fatalf(string, ...any) }, data []byte) {
	want, valid := tokens(data)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(data), "bytewise": iotest.OneByteReader(bytes.NewReader(data))} {
		var got []string
		skipped := int64(0)
		err := Reader(r, func(s *Scanner) {
			walk(s, &got)
			s.End()
		})
		if skipErr := Reader(bytes.NewReader(data), func(s *Scanner) {
			s.Token()
			s.Skip()
			skipped = s.Offset()
		}); skipErr != nil && err == nil {
			t.Fatalf("%q is walked and cannot be skipped: %v", data, skipErr)
		}
		if !valid || bytes.HasPrefix(data, []byte("\ufeff")) {
			continue // the scanner takes more than JSON
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %s: %q, %v; want %q", data, name, got, err, want)
		}
		if trimmed := bytes.TrimRight(data, " \t\r\n"); skipped != int64(len(trimmed)) {
			t.Fatalf("%q ends at %d, not %d", data, skipped, len(trimmed))
		}
	}
	if valid && data[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return
		}
		i := 0
		for element := range Elements(data) {
			if string(element) != string(list[i]) {
				t.Fatalf("%q: element %d is %q, not %q", data, i, element, list[i])
			}
			i++
		}
		if i != len(list) {
			t.Fatalf("%q has %d elements, not %d", data, i, len(list))
		}
	}
	checkNumbers(t, data)
}

// checkNumbers holds numbers and lists of them against encoding/json.
func checkNumbers(t interface{ Fatalf(string, ...any) }, data []byte) {
	if value, end := Number(data, 0); end > 0 {
		want, err := strconv.ParseFloat(string(data[:end]), 64)
		if !json.Valid(data[:end]) || err != nil && !errors.Is(err, strconv.ErrRange) || math.Float64bits(value) != math.Float64bits(want) {
			t.Fatalf("%q is read as %v, is %v, %v", data[:end], value, want, err)
		}
	} else if data := bytes.TrimSpace(data); json.Valid(data) && len(data) > 0 && (data[0] == '-' || data[0]-'0' <= 9) {
		if _, end := Number(data, 0); end != len(data) {
			t.Fatalf("%q is no number", data)
		}
	}
	numbers, end := Numbers(nil, data, 0)
	var want []float64
	if end > 0 && (json.Unmarshal(data[:end], &want) != nil || !slices.Equal(numbers, want)) {
		t.Fatalf("%q is read as %v, is %v", data[:end], numbers, want)
	}
	if err := json.Unmarshal(data, &want); err == nil && end == 0 && data[0] == '[' && !bytes.Contains(data, []byte("null")) {
		t.Fatalf("%q is not read", data)
	}
}

var seeds = []string{
	`{"segmentation": [[253.85, 187.23], [-1, 0.5, 2e3]], "area": 2188.0, "iscrowd": 0, "caption": "a \"cat\"", "": {}}`,
	`[1,2.5,-0,0.0,4e1,1E-3,12345678901234567890,2188.0864999999994]`, "[ ]", "{ }", `"\u00e9\\"`, `{"im\u0061ge":[{"]":"}"},null,true,false]}`,
	"[1,\n\t2 ]\r\n", `{"a":1,}`, `[1 2]`, `{"a" 1}`, `{1:2}`, `"abc`, `[[[[`, `007`, `1.`, `NaN`, `-Infinity`, "\ufeff[1]", `{"a":"é` + "\xff" + `"}`,
}

func TestScanner(t *testing.T) {
	for _, seed := range seeds {
		check(t, []byte(seed))
	}
}

func FuzzScanner(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data) })
}

// What cannot be read on says what is wrong, and where.
func TestErrors(t *testing.T) {
	for data, want := range map[string]string{
		`{"a":1`:                        "the JSON breaks off at byte 6",
		`{"a":"b`:                       "the JSON breaks off at byte 7",
		`{"a" 1}`:                       "'1' instead of ':' after a key at byte 5",
		`{"a":1 "b":2}`:                 `'"' instead of a comma or '}' at byte 7`,
		`["1";2]`:                       "';' instead of a comma or ']' at byte 4",
		`{a:1}`:                         "'a' where a key belongs at byte 1",
		`{"a":}`:                        "'}' where a value belongs at byte 5",
		`{} x`:                          "something follows the JSON value at byte 3",
		strings.Repeat("[", MaxDepth+1): "JSON nested deeper than 10000 levels at byte 10000",
	} {
		var out []string
		err := Reader(strings.NewReader(data), func(s *Scanner) {
			walk(s, &out)
			s.End()
		})
		if broken, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(err.Error(), want) || broken.BrokenOff() != strings.Contains(want, "breaks off") {
			t.Errorf("%.40s: %v; want %s", data, err, want)
		}
	}
	wrong := errors.New("wrong")
	if err := Bytes([]byte("[1]"), func(*Scanner) { Stop(wrong) }); err != wrong {
		t.Error(err)
	}
	if err := Reader(iotest.ErrReader(wrong), func(s *Scanner) { s.Token() }); err != wrong {
		t.Error(err)
	}
}

// A value longer than the buffer is whole, and an offset counts from the beginning.
func TestLongValues(t *testing.T) {
	long := `"` + strings.Repeat("x", 3*bufferSize) + `"`
	data := "[1," + long + ",[" + long + "],2]"
	err := Reader(strings.NewReader(data), func(s *Scanner) {
		s.Token()
		n := 0
		for range s.Elements() {
			switch n++; n {
			case 2:
				if got := string(s.Value()); got != long {
					t.Errorf("a value of %d bytes", len(got))
				}
			case 4:
				if at := s.Offset(); at != int64(len(data)-2) {
					t.Errorf("at %d", at)
				}
				s.Skip()
			default:
				s.Skip()
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkNumbers(t, []byte(rapid.StringMatching(`-?[0-9]{0,20}(\.[0-9]{0,25})?([eE][+-]?[0-9]{0,3})?[x. ,]?`).Draw(t, "number")))
		checkNumbers(t, rapid.SliceOfN(rapid.SampledFrom([]byte("0123456789.,-e ]\xb9\xff")), 8, 12).Draw(t, "text"))
		checkNumbers(t, []byte(rapid.StringMatching(`[0-9]{1,4}\.[0-9]{1,3}, 1234567`).Draw(t, "coordinate")))
		checkNumbers(t, []byte(strconv.FormatFloat(rapid.Float64().Draw(t, "double"), 'f', -1, 64)))
	})
}

func TestBracketOrQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buf := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]byte("0123456789., -e\n[]{}\"!#'Z\\\xa2\xdb\xfd")), rapid.Byte()), 0, 60).Draw(t, "bytes")
		from := rapid.IntRange(0, len(buf)).Draw(t, "from")
		want := bytes.IndexAny(buf[from:], `[]{}"`)
		if want < 0 {
			want = len(buf) - from
		}
		if got := bracketOrQuote(buf, from); got != from+want {
			t.Fatalf("%q from %d: %d, not %d", buf, from, got, from+want)
		}
	})
}

func TestReplaceWords(t *testing.T) {
	got, found := ReplaceWords([]byte(`{"NaN \" NaN":NaN,"a":-Infinity,"b":"NaN"}`), "null", "NaN", "-Infinity")
	if want := `{"NaN \" NaN":null,"a":null,"b":"NaN"}`; !found || string(got) != want {
		t.Errorf("%s, %t", got, found)
	}
	if got, found := ReplaceWords([]byte(`["NaN`), "null", "NaN"); found || string(got) != `["NaN` {
		t.Errorf("%s, %t", got, found)
	}
}

func TestUTF16(t *testing.T) {
	for _, text := range []string{"\xff\xfe{\x00}\x00", "\xfe\xff\x00{\x00}", "{\x00}\x00", "\x00{\x00}"} {
		err := Bytes([]byte(text), func(s *Scanner) { t.Errorf("%q is read", text) })
		if err == nil || !strings.Contains(err.Error(), "UTF-16") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
