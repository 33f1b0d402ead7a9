package upload

import (
	"encoding/binary"
	"io"
	"slices"

	"pictosync/convert"
)

// maxMeta bounds what is read of a HEIC file: its description stands in front.
const maxMeta = 1 << 20

// readHEIC tells a HEIC file, and the size of its picture as it is shown where the file says
// that: the main item's ispe, turned by its irot (ISO/IEC 23008-12).
func readHEIC(r io.Reader) (size convert.Size, heic bool) {
	head, err := io.ReadAll(io.LimitReader(r, maxMeta))
	if err != nil {
		return size, false
	}
	for kind, body := range boxes(head) {
		switch kind {
		case "ftyp":
			heic = isHEIC(body)
		case "meta":
			if heic && len(body) > 4 {
				size = mainPicture(body[4:])
			}
			return size, heic
		}
		if !heic {
			return size, false
		}
	}
	return size, heic
}

// isHEIC tells by the brands of a file: a general one in front says nothing, AVIF has it too.
func isHEIC(brands []byte) bool {
	for ; len(brands) >= 4; brands = brands[4:] {
		if slices.Contains([]string{"heic", "heix", "heim", "heis"}, string(brands[:4])) {
			return true
		}
	}
	return false
}

// boxes goes through the boxes that lie side by side; one that is cut off ends it.
func boxes(data []byte) func(yield func(kind string, body []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for len(data) >= 8 {
			length, head := uint64(binary.BigEndian.Uint32(data)), 8
			kind := string(data[4:8])
			switch {
			case length == 1 && len(data) >= 16:
				length, head = binary.BigEndian.Uint64(data[8:]), 16
			case length == 0:
				length = uint64(len(data))
			}
			if length < uint64(head) || length > uint64(len(data)) {
				return
			}
			if !yield(kind, data[head:length]) {
				return
			}
			data = data[length:]
		}
	}
}

// mainPicture is the size of the main item of a meta box.
func mainPicture(meta []byte) (size convert.Size) {
	var main uint32
	var properties [][]byte // with their kinds in front
	belong := make(map[uint32][]int)
	for kind, body := range boxes(meta) {
		switch kind {
		case "pitm":
			main = number(body)
		case "iprp":
			properties = readProperties(body, properties, belong)
		}
	}
	turned := false
	for _, n := range belong[main] {
		if n < 1 || n > len(properties) {
			continue
		}
		switch kind, body := string(properties[n-1][:4]), properties[n-1][4:]; {
		case kind == "ispe" && len(body) >= 12:
			width, height := binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:])
			if width < 1<<24 && height < 1<<24 {
				size = convert.Size{Width: int(width), Height: int(height)}
			}
		case kind == "irot" && len(body) >= 1:
			turned = body[0]&1 == 1
		}
	}
	if turned {
		size.Width, size.Height = size.Height, size.Width
	}
	return size
}

// readProperties appends the properties of a box of them, and reads which items have which.
func readProperties(box []byte, properties [][]byte, belong map[uint32][]int) [][]byte {
	for kind, body := range boxes(box) {
		switch kind {
		case "ipco":
			for kind, body := range boxes(body) {
				properties = append(properties, append([]byte(kind), body...))
			}
		case "ipma":
			associations(body, belong)
		}
	}
	return properties
}

// number is the item that a full box names: of 16 bits in version 0.
func number(box []byte) uint32 {
	switch {
	case len(box) >= 6 && box[0] == 0:
		return uint32(binary.BigEndian.Uint16(box[4:]))
	case len(box) >= 8:
		return binary.BigEndian.Uint32(box[4:])
	}
	return 0
}

// associations reads which properties items have, by their places from 1.
func associations(box []byte, belong map[uint32][]int) {
	if len(box) < 8 {
		return
	}
	itemBytes, placeBytes, places := 4, 1, uint32(0x7f)
	if version := box[0]; version == 0 {
		itemBytes = 2
	}
	if wide := box[3]&1 == 1; wide {
		placeBytes, places = 2, 0x7fff
	}
	count, rest := binary.BigEndian.Uint32(box[4:]), box[8:]
	for range count {
		item, ok := takeNumber(&rest, itemBytes)
		if !ok {
			return
		}
		n, ok := takeNumber(&rest, 1)
		if !ok {
			return
		}
		for range n {
			place, ok := takeNumber(&rest, placeBytes)
			if !ok {
				return
			}
			belong[item] = append(belong[item], int(place&places))
		}
	}
}

// takeNumber takes a number of so many bytes from the front; ok is false where there are fewer.
func takeNumber(data *[]byte, bytes int) (n uint32, ok bool) {
	if len(*data) < bytes {
		return 0, false
	}
	for _, b := range (*data)[:bytes] {
		n = n<<8 | uint32(b)
	}
	*data = (*data)[bytes:]
	return n, true
}
