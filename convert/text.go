package convert

import (
	"strings"
	"unicode"
)

// Blank reports whether the service takes a name for blank: it strips what
// Python calls whitespace, which includes the four separators U+001C to U+001F.
func Blank(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return !IsSpace(r) }) < 0 }

// IsSpace reports whether Python takes a character for white space.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
