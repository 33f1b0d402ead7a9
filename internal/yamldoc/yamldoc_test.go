package yamldoc

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Whatever a file holds, to read it takes a bounded part of the memory.
func TestMemoryIsBounded(t *testing.T) {
	var names strings.Builder
	names.WriteString("names:\n")
	for i := range 100_000 {
		fmt.Fprintf(&names, "  %d: class number %d\n", i, i)
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 200_000), "braces": strings.Repeat("{a: ", 100_000), "lists": strings.Repeat("- ", 100_000), "keys": strings.Repeat("? ", 100_000),
		"100,000 names": names.String(), "aliases": bomb, "one line": "a: " + strings.Repeat("x", 4<<20), "anchors": strings.Repeat("&a ", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			docs, err := Parse([]byte(text))
			for _, doc := range docs {
				if pairs, err := Pairs(doc); err == nil {
					for _, p := range pairs {
						Text(p.Value)
						Pairs(p.Value)
					}
				}
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
				t.Errorf("%d MiB were used for %d bytes, %v", used>>20, len(text), err)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	docs, err := Parse([]byte("\ufeffa: 1.0\nb: no\nc:\nd: ~\ne: 'x'\n"))
	if err != nil || len(docs) != 1 {
		t.Fatal(docs, err)
	}
	pairs, err := Pairs(docs[0])
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, p := range pairs {
		text, err := Text(p.Value)
		got += fmt.Sprintf("%d %s=%q %v;", p.Key.Line, p.Key.Value, text, err)
	}
	if want := `1 a="1.0" <nil>;2 b="no" <nil>;3 c="" <nil>;4 d="" <nil>;5 e="x" <nil>;`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if docs, err = Parse([]byte("a: 1\nb: 2\na: 3\n")); err == nil {
		_, err = Pairs(docs[0])
	}
	if err == nil || err.Error() != `line 3: "a" stands in line 1 already` {
		t.Errorf("a key that stands twice: %v", err)
	}
}
