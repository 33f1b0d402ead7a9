package coco

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
)

// crowdAttribute is where iscrowd is kept.
const crowdAttribute = "iscrowd"

// readAttributes returns the annotation's attributes with iscrowd as one more.
func readAttributes(b *convert.Builder, at convert.Location, a *rawAnnotation) map[string]any {
	attributes := attributeObject(b, at, a.attributes)
	own, there := attributes[crowdAttribute]
	contradiction := func() {
		b.Report(convert.KindCrowd, at, fmt.Sprintf("iscrowd is %s, and the attribute of that name %v", a.isCrowd, own), "left out")
	}
	said := string(a.isCrowd)
	if scan.IsString(a.isCrowd) {
		said = strings.ToLower(textIn(a.isCrowd))
	}
	switch said {
	case "", "null":
	case "0", "0.0", "false":
		if convert.SaysYes(own) {
			contradiction()
		}
	case "1", "1.0", "true":
		switch {
		case there && !convert.SaysYes(own):
			contradiction()
		case there: // in the same words as it was given
		default:
			if attributes == nil {
				attributes = make(map[string]any, 1)
			}
			attributes[crowdAttribute] = "true"
		}
	default:
		b.Report(convert.KindCrowd, at, "iscrowd is "+scan.Describe(a.isCrowd), "left out")
	}
	return attributes
}

func attributeObject(b *convert.Builder, at convert.Location, raw []byte) map[string]any {
	if scan.Absent(raw) {
		return nil
	}
	if !scan.IsObject(raw) {
		if text := string(raw); text != "[]" && text != `""` { // how some writers say that there are none
			b.Report(convert.KindAttributes, at, "the attributes are "+scan.Describe(raw)+", not an object", "left out")
		}
		return nil
	}
	if !jsontext.Value(raw).IsValid() { // valid JSON by now, so only a repeated key is wrong
		if key := differing(raw); key != "" {
			b.Report(convert.KindAttributes, at, fmt.Sprintf("the attribute %q stands twice, with different values", scan.Shorten(key)), "attributes left out")
			return nil
		}
		b.Report(convert.KindDuplicateKey, at, "a key stands twice in the attributes", "last one taken")
	}
	attributes, err := decodeAttributes(raw)
	if err != nil {
		b.Report(convert.KindAttributes, at, "attributes: "+err.Error(), "left out")
		return nil
	}
	return attributes
}

// differing is a key of an object, valid JSON, that stands twice with different values.
func differing(raw []byte) (key string) {
	seen := make(map[string][]byte)
	var decoder jsontext.Decoder
	decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	_ = scan.ReadMembers(&decoder, raw, func(name, value []byte) error {
		if before, twice := seen[string(name)]; twice && !bytes.Equal(before, value) {
			key = string(name)
		}
		seen[string(name)] = value
		return nil
	})
	return key
}

// decodeAttributes returns nil for an empty object. Numbers stay as they are
// written, since large ones would not survive as doubles.
func decodeAttributes(raw []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var attributes map[string]any
	if err := decoder.Decode(&attributes); err != nil {
		return nil, err
	}
	if len(attributes) == 0 {
		return nil, nil
	}
	if err := finiteNumbers(attributes); err != nil {
		return nil, err
	}
	return attributes, nil
}

// finiteNumbers refuses what no double holds, NaN and infinities among it.
func finiteNumbers(value any) error {
	switch v := value.(type) {
	case json.Number:
		if n := scan.ParseNumber([]byte(v)); !geometry.Finite(n) {
			return errors.New("a number is not finite")
		}
	case []any:
		for _, element := range v {
			if err := finiteNumbers(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, member := range v {
			if err := finiteNumbers(member); err != nil {
				return err
			}
		}
	}
	return nil
}
