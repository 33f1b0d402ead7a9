package upload

import (
	"bytes"
	"testing"
)

func FuzzHEIC(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x10ftypheic\x00\x00\x00\x00\x00\x00\x00\x0cmeta\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if size, heic := readHEIC(bytes.NewReader(data)); !heic && size.Known() {
			t.Errorf("a size of %v of what is no HEIC file", size)
		}
	})
}
