package coco

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What harms one member of an image entry harms no other, and what encoding/json would
// take without a word is found.
func TestReadImageEntry(t *testing.T) {
	for raw, want := range map[string]string{
		`{"license": 1, "file_name": "000000000009.jpg", "height": 480, "width": 640, "id": 9}`: `9 000000000009.jpg 640×480`,
		`{"ID":9,"File_Name":"a\u0041","WIDTH":7,"height":NaN}`:                                 `9 aA 7×0`,
		`{"id":"x","file_name":5,"width":"wide","height":1e999}`:                                `"x"  0×0`,
		`{"id":9,"id":9}`:                       `9  0×0, id twice`,
		`{"id":9,"Id":10}`:                      `it has the key "id" twice`,
		`null`:                                  `it is null`,
		`[1]`:                                   `it is no JSON object but [1]`,
		`{"id":9,`:                              `the JSON breaks off`,
		`{"id":9,"x":tru}`:                      `not valid JSON at byte 15: invalid character '}' in literal true`,
		`{"id":9,"file_name":"` + "\xff" + `"}`: `its file_name is no valid UTF-8`,
		`{"id":9,"annotations":[{}]}`:           `it has annotations of its own`,
		`{"id":9,"annotations":[]}`:             `9  0×0`,
	} {
		e, repeated, err := readImageEntry(new(jsontext.Decoder), []byte(raw))
		name, _ := textOf(e.fileName)
		width, _, _ := sideOf(e.width)
		height, _, _ := sideOf(e.height)
		got := string(e.id) + " " + name + " " + fmt.Sprintf("%v×%v", width, height)
		if repeated != "" {
			got += ", " + repeated + " twice"
		}
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s is %s, not %s", raw, got, want)
		}
	}
}
