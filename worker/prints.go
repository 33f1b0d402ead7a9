package worker

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// prints are checksums of an image's annotations, four bytes each, without their ids: what
// two lists have in common tells how much of one is kept where the other replaces it.
type prints []byte

const printSize = 4

var printTable = crc32.MakeTable(crc32.Castagnoli)

// printsOf are those of encoded annotations.
func printsOf(encoded []byte) prints {
	rest := bytes.TrimSuffix(bytes.TrimPrefix(encoded, []byte("[")), []byte("]"))
	if len(rest) == 0 {
		return prints{}
	}
	// No text has an unescaped quotation mark, so this stands between annotations.
	between := []byte(`},{"id":`)
	p := make(prints, 0, printSize*(bytes.Count(rest, between)+1))
	for len(rest) > 0 {
		one := rest
		if i := bytes.Index(rest, between); i >= 0 {
			one, rest = rest[:i+1], rest[i+2:]
		} else {
			rest = nil
		}
		if i := bytes.Index(one, []byte(`,"name":`)); i >= 0 {
			one = one[i:]
		}
		p = binary.LittleEndian.AppendUint32(p, crc32.Checksum(one, printTable))
	}
	return p
}

// inCommon counts the annotations that two lists share.
func (p prints) inCommon(other prints) (n int) {
	counts := make(map[uint32]int, len(p)/printSize)
	for rest := p; len(rest) >= printSize; rest = rest[printSize:] {
		counts[binary.LittleEndian.Uint32(rest)]++
	}
	for rest := other; len(rest) >= printSize; rest = rest[printSize:] {
		print := binary.LittleEndian.Uint32(rest)
		if counts[print] > 0 {
			counts[print]--
			n++
		}
	}
	return n
}
