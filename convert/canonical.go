package convert

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/pictograph"
)

// CanonicalImage is one line of canonical JSON Lines, the exchange format of
// convert, export and restore: one image with all of its annotations.
type CanonicalImage struct {
	// Image is the image's path.
	Image string
	// Size is on the line only where it is known.
	Size        Size
	Annotations []pictograph.Annotation
}

// ParseCanonical reads one line. It is strict, since the tool writes such lines
// itself: unknown and repeated keys, keys that are missing and values of a wrong
// kind are errors. Width and height stand there both or not at all.
func ParseCanonical(line []byte) (CanonicalImage, error) {
	if c, ok := plainCanonical(line); ok {
		return c, nil
	}
	return anyCanonical(line)
}

// anyCanonical reads a line however it is written, and says what is wrong with it.
func anyCanonical(line []byte) (CanonicalImage, error) {
	members, err := canonicalMembers(line)
	if err != nil {
		return CanonicalImage{}, err
	}
	c := CanonicalImage{}
	if !isString(members.image) {
		return c, fmt.Errorf("image is %s, not a path", describe(members.image))
	}
	if c.Image = string(unquote(members.image)); blank(c.Image) {
		return c, errors.New("image is blank")
	}
	if c.Size, err = canonicalSize(members.width, members.height); err != nil {
		return c, err
	}
	if !isArray(members.annotations) {
		return c, fmt.Errorf("annotations of %s: %s, not a list", c.Image, describe(members.annotations))
	}
	if c.Annotations, err = pictograph.DecodeAnnotations(members.annotations); err != nil {
		return c, fmt.Errorf("annotations of %s: %w", c.Image, err)
	}
	return c, nil
}

// plainCanonical reads a line as Append writes it, with nothing to be said of it; ok is
// false for all others.
func plainCanonical(line []byte) (c CanonicalImage, ok bool) {
	const opening, width, height, annotations = `{"image":`, `,"width":`, `,"height":`, `,"annotations":`
	if !bytes.HasPrefix(line, []byte(opening)) || !bytes.HasSuffix(line, []byte("}")) {
		return c, false
	}
	image, end := plainString(line, len(opening))
	if end == 0 || blank(string(image)) {
		return c, false
	}
	rest := line[end : len(line)-1]
	if after, sized := bytes.CutPrefix(rest, []byte(width)); sized {
		w, after, ok := bytes.Cut(after, []byte(height))
		if !ok {
			return c, false
		}
		comma := bytes.IndexByte(after, ',')
		if comma < 1 || len(w) == 0 || w[0]-'1' > 8 || after[0]-'1' > 8 { // as Atoi takes numbers that JSON does not
			return c, false
		}
		var err error
		if c.Size, err = canonicalSize(w, after[:comma]); err != nil {
			return c, false
		}
		rest = after[comma:]
	}
	list, ok := bytes.CutPrefix(rest, []byte(annotations))
	if !ok {
		return c, false
	}
	var err error
	if c.Annotations, err = pictograph.DecodeAnnotations(list); err != nil {
		return c, false
	}
	c.Image = string(image)
	return c, true
}

// canonicalLine is the raw JSON of a line's members.
type canonicalLine struct{ image, width, height, annotations []byte }

func canonicalMembers(line []byte) (canonicalLine, error) {
	var members canonicalLine
	decoder := jsontext.NewDecoder(bytes.NewBuffer(line)) // refuses a repeated key
	err := readMembers(decoder, line, func(name, value []byte) error {
		switch string(name) {
		case "image":
			members.image = value
		case "width":
			members.width = value
		case "height":
			members.height = value
		case "annotations":
			members.annotations = value
		default:
			return fmt.Errorf("unknown key %q; a line has image, width, height and annotations", shorten(string(name)))
		}
		return nil
	})
	return members, err
}

func canonicalSize(width, height []byte) (Size, error) {
	if width == nil && height == nil {
		return Size{}, nil
	}
	w, widthErr := strconv.Atoi(string(width))
	h, heightErr := strconv.Atoi(string(height))
	if widthErr != nil || heightErr != nil || w < 1 || h < 1 {
		return Size{}, fmt.Errorf("width is %s and height %s; both are whole numbers of pixels from 1, or left out", describe(width), describe(height))
	}
	return Size{Width: w, Height: h}, nil
}

// Append appends the line without a newline. An image without annotations has
// an empty list; an unknown size is left out.
func (c CanonicalImage) Append(dst []byte) ([]byte, error) {
	line, err := appendCanonicalHead(dst, c.Image, c.Size)
	if err != nil {
		return dst, err
	}
	if line, err = pictograph.AppendAnnotations(line, c.Annotations); err != nil {
		return dst, fmt.Errorf("write the annotations of %s: %w", c.Image, err)
	}
	return append(line, '}'), nil
}

// AppendCanonical appends the line of an image whose annotations are encoded
// already.
func AppendCanonical(dst []byte, image string, size Size, annotations []byte) ([]byte, error) {
	line, err := appendCanonicalHead(dst, image, size)
	if err != nil {
		return dst, err
	}
	return append(append(line, annotations...), '}'), nil
}

func appendCanonicalHead(dst []byte, image string, size Size) ([]byte, error) {
	line, err := jsontext.AppendQuote(append(dst, `{"image":`...), image)
	if err != nil {
		return dst, fmt.Errorf("write the path of image %q: %w", image, err)
	}
	if size.Known() {
		line = strconv.AppendInt(append(line, `,"width":`...), int64(size.Width), 10)
		line = strconv.AppendInt(append(line, `,"height":`...), int64(size.Height), 10)
	}
	return append(line, `,"annotations":`...), nil
}

// CanonicalResult is the Result of a parsed line: its annotations as they are
// and the classes they need.
func CanonicalResult(c CanonicalImage) Result {
	b := newImageBuilder("", c.Image, c.Size, Options{}, 0)
	for _, a := range c.Annotations {
		b.require(a.Name, a.Geometry.Type(), nil)
	}
	b.result.Annotations, b.result.Read, b.result.taken = c.Annotations, len(c.Annotations), nil
	b.result.Size = c.Size
	return b.result
}
