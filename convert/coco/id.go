package coco

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
)

// ID is a COCO id in comparable form. Integers are told by their value
// however they are written, and a string that spells an integer the short way
// is that integer: 7, 7.0 and "7" are one id, "007" is another.
type ID string

// parseID reads an id, a JSON number or string.
func parseID(raw []byte) (ID, error) {
	raw = bytes.Trim(raw, " \t\r\n")
	switch {
	case isDigits(raw):
		return ID(raw), nil
	case scan.IsString(raw) && jsontext.Value(raw).IsValid():
		id := string(scan.TextOf(raw))
		if convert.Blank(id) {
			return "", errors.New("the id is blank")
		}
		return ID(id), nil
	case scan.IsNumber(raw) && jsontext.Value(raw).IsValid():
		return numericID(string(raw))
	}
	return "", fmt.Errorf("the id is %s, neither a number nor a string", scan.Describe(raw))
}

// isDigits reports whether an id is a whole number written the short way, as
// nearly all are.
func isDigits(raw []byte) bool {
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(raw) > 0 && (raw[0] != '0' || len(raw) == 1)
}

// numericID writes a valid JSON number the way one number is always written.
// Integers keep all of their digits, beyond what a double can hold.
func numericID(number string) (ID, error) {
	if !strings.ContainsAny(number, ".eE") {
		if number == "-0" {
			number = "0"
		}
		return ID(number), nil
	}
	value := scan.ParseNumber([]byte(number))
	if !geometry.Finite(value) {
		return "", fmt.Errorf("the id %s is beyond every range", scan.Shorten(number))
	}
	return ID(strconv.FormatFloat(value+0, 'f', -1, 64)), nil
}
