package source

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// The headers of images are read here where they are as they most often are. All else,
// broken ones before all, is left to the general way, package image. It gives the same
// size many times more slowly, since it makes ready to decode the image: a palette,
// tables.

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// pngHead is how many bytes of a PNG tell its size: its magic and the chunk
	// IHDR of 13 bytes between a length, a name and a checksum of 4 bytes each.
	pngHead = len(pngMagic) + 4 + 4 + 13 + 4
)

// plainPNG reads the size of a PNG whose first chunks are as they most often are.
func plainPNG(head []byte) (width, height int, ok bool) {
	if len(head) < len(pngMagic) || string(head[:len(pngMagic)]) != pngMagic {
		return 0, 0, false
	}
	name, data, rest := pngChunk(head[len(pngMagic):])
	if string(name) != "IHDR" || len(data) != 13 {
		return 0, 0, false
	}
	const manyPixels = 1 << 28 // where the general way has its doubts, if int has 32 bits
	w, h := uint64(binary.BigEndian.Uint32(data)), uint64(binary.BigEndian.Uint32(data[4:]))
	depth, color, compression, filter, interlace := data[8], data[9], data[10], data[11], data[12]
	if w*h == 0 || w*h >= manyPixels || compression != 0 || filter != 0 || interlace > 1 {
		return 0, 0, false
	}
	const gray, trueColor, palette, grayAlpha, trueColorAlpha = 0, 2, 3, 4, 6
	switch color {
	case gray:
		ok = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
	case trueColor, grayAlpha, trueColorAlpha:
		ok = depth == 8 || depth == 16
	case palette:
		// The general way goes on to the data and wants the palette before it.
		name, data, rest = pngChunk(rest)
		colors := len(data) / 3
		ok = (depth == 1 || depth == 2 || depth == 4 || depth == 8) &&
			string(name) == "PLTE" && len(data)%3 == 0 && 0 < colors && colors <= 1<<depth &&
			len(rest) >= 8 && string(rest[4:8]) == "IDAT"
	}
	return int(w), int(h), ok
}

// pngChunk cuts off the chunk that a part of a PNG starts with. It has no name if
// it is not whole there or its checksum is wrong.
func pngChunk(png []byte) (name, data, rest []byte) {
	if len(png) < 12 {
		return nil, nil, nil
	}
	length := int64(binary.BigEndian.Uint32(png))
	if int64(len(png)) < 12+length {
		return nil, nil, nil
	}
	named, rest := png[4:8+length], png[8+length:]
	if crc32.ChecksumIEEE(named) != binary.BigEndian.Uint32(rest) {
		return nil, nil, nil
	}
	return named[:4], named[4:], rest[4:]
}

// plainJPEG reads the size of a JPEG that has its segments one behind the other up to
// the image itself in head, and no EXIF data among them.
func plainJPEG(head []byte) (width, height int, ok bool) {
	const (
		startOfImage                    = 0xd8
		baseline, extended, progressive = 0xc0, 0xc1, 0xc2 // frames
		huffmanTables                   = 0xc4
		startOfScan                     = 0xda
		quantization, restartInterval   = 0xdb, 0xdd
		app0, app1, app15               = 0xe0, 0xe1, 0xef
		comment                         = 0xfe
	)
	if len(head) < 2 || head[0] != 0xff || head[1] != startOfImage {
		return 0, 0, false
	}
	for rest := head[2:]; len(rest) >= 4 && rest[0] == 0xff; {
		marker, length := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		if marker == startOfScan {
			return width, height, width > 0 && length >= 2
		}
		if length < 2 || len(rest) < 2+length {
			break
		}
		data := rest[4 : 2+length]
		rest = rest[2+length:]
		switch {
		case marker == baseline || marker == extended || marker == progressive:
			if width > 0 || !plainFrame(data) {
				return 0, 0, false
			}
			height, width = int(binary.BigEndian.Uint16(data[1:])), int(binary.BigEndian.Uint16(data[3:]))
			if width == 0 || height == 0 {
				return 0, 0, false
			}
		case marker == app1 && bytes.HasPrefix(data, []byte("Exif")):
			return 0, 0, false
		case app0 <= marker && marker <= app15,
			marker == huffmanTables, marker == quantization, marker == restartInterval, marker == comment:
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// plainFrame reports whether a frame header is one of grey or of colours as the
// general way takes them: eight bits, a height and width of two bytes, and for each
// component its number, its sampling and the number of its table.
func plainFrame(data []byte) bool {
	if len(data) < 6 || data[0] != 8 || len(data) != 6+3*int(data[5]) {
		return false
	}
	sampling := func(component int) byte { return data[7+3*component] }
	for component := range int(data[5]) {
		if data[8+3*component] > 3 {
			return false
		}
	}
	switch data[5] {
	case 1:
		return sampling(0) == 0x11
	case 3:
		switch sampling(0) {
		case 0x11, 0x12, 0x21, 0x22, 0x41, 0x42:
			a, b, c := data[6], data[9], data[12]
			return sampling(1) == 0x11 && sampling(2) == 0x11 && a != b && a != c && b != c
		}
	}
	return false
}
