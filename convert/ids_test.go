package convert

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"pictosync/pictograph"
)

// Ids are written as package uuid writes them.
func TestNameBasedIsAVersion5UUID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SliceOf(rapid.Byte()).Draw(t, "name")
		got := nameBased(append(annotationNamespace[:], name...))
		if want := uuid.NewSHA1(annotationNamespace, name).String(); string(got[:]) != want {
			t.Fatalf("%s; want %s", got, want)
		}
	})
}

// Ids stay what they are while others are made in the same piece of memory.
func TestIDsAreKept(t *testing.T) {
	var texts IDTexts
	var ids []string
	geometry := []pictograph.Geometry{pictograph.Keypoint{}}
	for n := range 200 {
		ids = append(ids, texts.AnnotationID("a.jpg", n, 0, geometry))
	}
	for n, id := range ids {
		if want := new(IDTexts).AnnotationID("a.jpg", n, 0, geometry); id != want {
			t.Errorf("%d is %s, not %s", n, id, want)
		}
	}
}
