package dataset

import (
	"encoding/binary"
	"hash/crc32"

	"pictosync/pictograph"
)

// Prints are checksums of an image's annotations, four bytes each, without their ids: what
// two lists have in common tells how much of one is kept where the other replaces it.
type Prints []byte

const printSize = 4

var printTable = crc32.MakeTable(crc32.Castagnoli)

// Encode appends an image's annotations and returns their prints with them.
func Encode(dst []byte, annotations []pictograph.Annotation) ([]byte, Prints, error) {
	p := make(Prints, 0, printSize*len(annotations))
	dst, err := pictograph.AppendEach(dst, annotations, func(encoded []byte) {
		p = binary.LittleEndian.AppendUint32(p, crc32.Checksum(encoded, printTable))
	})
	return dst, p, err
}

// InCommon counts the annotations that two lists share.
func (p Prints) InCommon(other Prints) (n int) {
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
