package store

import "testing"

func TestRefs(t *testing.T) {
	var r Refs
	for _, ref := range []int64{0, 63, 64, 1000} {
		if r.Has(ref) {
			t.Errorf("it has %d", ref)
		}
		if r.Add(ref); !r.Has(ref) || r.Has(ref+1) {
			t.Errorf("%d was added", ref)
		}
	}
}
