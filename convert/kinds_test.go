package convert

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// The documentation lists every kind with its severity.
func TestKindsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[Kind]Severity)
	_, text, _ = bytes.Cut(text, []byte("| kind | severity |"))
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (lost|changed|noted) \\|").FindAllSubmatch(text, -1) {
		listed[Kind(row[1])] = Severity(row[2])
	}
	for kind, severity := range severities {
		if listed[kind] != severity {
			t.Errorf("docs/formats.md says of %s %q, and it is %s", kind, listed[kind], severity)
		}
	}
	for kind := range listed {
		if _, known := severities[kind]; !known {
			t.Errorf("docs/formats.md lists %s, which is no kind", kind)
		}
	}
}

func TestParseAccepted(t *testing.T) {
	a, err := ParseAccepted([]string{"ring", "unknown-class"})
	if err != nil || a.Refuses(KindRing) || !a.Refuses(KindMask) || a.Refuses(KindMissingID) {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = ParseAccepted([]string{"lost"}); err != nil || a.Refuses(KindMask) {
		t.Errorf("lost: %+v, %v", a, err)
	}
	if _, err = ParseAccepted([]string{"rings"}); err == nil || err.Error() != `"rings" is no kind of finding; did you mean ring? (docs/formats.md lists them; lost is all that are)` {
		t.Errorf("a kind that is none: %v", err)
	}
}
