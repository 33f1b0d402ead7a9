package canonical

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Image is one line of canonical JSON Lines, the exchange format of
// convert, export and restore: one image with all of its annotations.
type Image struct {
	// Image is the image's path.
	Image string
	// Size is on the line only where it is known.
	Size        convert.Size
	Annotations []pictograph.Annotation
	// Boxes and Slots are those of Result, on the line only where there are any.
	Boxes map[int]pictograph.Box
	Slots map[int]int
}

// Parse reads one line. It is strict, since the tool writes such lines
// itself: unknown and repeated keys, keys that are missing and values of a wrong
// kind are errors. Width and height stand there both or not at all.
func Parse(line []byte) (Image, error) {
	return parseLine(line, pictograph.ParseAnnotations)
}

// parseBackup is Parse for a line of a backup, whose annotations are as the
// service sent them: their members that are unknown here are kept.
func parseBackup(line []byte) (Image, error) {
	return parseLine(line, pictograph.DecodeAnnotations)
}

func parseLine(line []byte, annotations func([]byte) ([]pictograph.Annotation, error)) (Image, error) {
	members, err := canonicalMembers(line)
	if err != nil {
		return Image{}, err
	}
	c := Image{}
	if !scan.IsString(members.image) {
		return c, fmt.Errorf("image is %s, not a path", scan.Describe(members.image))
	}
	if c.Image = string(scan.TextOf(members.image)); convert.Blank(c.Image) {
		return c, errors.New("image is blank")
	}
	if c.Size, err = canonicalSize(members.width, members.height); err != nil {
		return c, err
	}
	if !scan.IsArray(members.annotations) {
		return c, fmt.Errorf("annotations of %s: %s, not a list", c.Image, scan.Describe(members.annotations))
	}
	if c.Annotations, err = annotations(members.annotations); err != nil {
		return c, fmt.Errorf("annotations of %s: %w", c.Image, err)
	}
	if c.Boxes, err = canonicalBoxes(members.boxes, c.Annotations); err != nil {
		return c, fmt.Errorf("boxes of %s: %w", c.Image, err)
	}
	if c.Slots, err = canonicalSlots(members.slots, c.Annotations); err != nil {
		return c, fmt.Errorf("slots of %s: %w", c.Image, err)
	}
	return c, nil
}

// canonicalBoxes reads the boxes that are given beside keypoints, one an instance.
func canonicalBoxes(raw []byte, annotations []pictograph.Annotation) (map[int]pictograph.Box, error) {
	var boxes map[int]pictograph.Box
	err := perInstance(raw, annotations, []string{"x", "y", "w", "h"}, func(instance int, n []float64) error {
		box := pictograph.Box{X: n[0], Y: n[1], W: n[2], H: n[3]}
		if !geometry.Sound(box) {
			return fmt.Errorf("the box of instance %d has no extent", instance)
		}
		if boxes == nil {
			boxes = make(map[int]pictograph.Box)
		}
		boxes[instance] = box
		return nil
	})
	return boxes, err
}

// canonicalSlots reads how many keypoints instances have room for.
func canonicalSlots(raw []byte, annotations []pictograph.Annotation) (map[int]int, error) {
	var slots map[int]int
	err := perInstance(raw, annotations, []string{"joints"}, func(instance int, n []float64) error {
		if n[0] != float64(int(n[0])) || n[0] < 1 || n[0] > convert.MaxSlots {
			return fmt.Errorf("instance %d has %v keypoints", instance, n[0])
		}
		if placed := countInstance(annotations, instance); int(n[0]) < placed {
			return fmt.Errorf("instance %d has room for %v keypoints, and %d are placed", instance, n[0], placed)
		}
		if slots == nil {
			slots = make(map[int]int)
		}
		slots[instance] = int(n[0])
		return nil
	})
	return slots, err
}

// perInstance reads a list of objects that have an instance_id and numbers.
func perInstance(raw []byte, annotations []pictograph.Annotation, names []string, take func(instance int, numbers []float64) error) error {
	if raw == nil {
		return nil
	}
	if !scan.IsArray(raw) {
		return fmt.Errorf("%s, not a list", scan.Describe(raw))
	}
	seen := make(map[int]bool)
	for element := range scan.Elements(raw) {
		numbers := make([]float64, len(names)+1)
		count := 0
		decoder := jsontext.NewDecoder(bytes.NewBuffer(element)) // refuses a repeated key
		err := scan.ReadMembers(decoder, element, func(name, value []byte) error {
			place := 0
			if string(name) != "instance_id" {
				if place = slices.Index(names, string(name)) + 1; place == 0 {
					return fmt.Errorf("unknown key %q", scan.Shorten(string(name)))
				}
			}
			if !scan.IsNumber(value) || !geometry.Finite(scan.ParseNumber(value)) {
				return fmt.Errorf("%s is %s", name, scan.Describe(value))
			}
			numbers[place] = scan.ParseNumber(value)
			count++
			return nil
		})
		if err != nil {
			return err
		}
		instance := int(numbers[0])
		switch {
		case count != len(numbers):
			return fmt.Errorf("an entry has instance_id, %s", strings.Join(names, ", "))
		case float64(instance) != numbers[0] || !hasInstance(annotations, instance):
			return fmt.Errorf("no keypoint has the instance_id %v", numbers[0])
		case seen[instance]:
			return fmt.Errorf("instance %d stands there twice", instance)
		}
		seen[instance] = true
		if err := take(instance, numbers[1:]); err != nil {
			return err
		}
	}
	if len(seen) == 0 {
		return errors.New("the list is empty; it is left out then")
	}
	return nil
}

// countInstance counts the keypoints of an instance, but for those that COCO-WholeBody has in
// lists of their own.
func countInstance(annotations []pictograph.Annotation, instance int) (n int) {
	for _, a := range annotations {
		_, _, part := convert.BodyPart(a.Name)
		if k, keypoint := a.Geometry.(pictograph.Keypoint); keypoint && k.Instance == instance && !part {
			n++
		}
	}
	return n
}

func hasInstance(annotations []pictograph.Annotation, instance int) bool {
	return instance > 0 && slices.ContainsFunc(annotations, func(a pictograph.Annotation) bool {
		k, keypoint := a.Geometry.(pictograph.Keypoint)
		return keypoint && k.Instance == instance
	})
}

// canonicalLine is the raw JSON of a line's members.
type canonicalLine struct{ image, width, height, annotations, boxes, slots []byte }

func canonicalMembers(line []byte) (canonicalLine, error) {
	var members canonicalLine
	decoder := jsontext.NewDecoder(bytes.NewBuffer(line)) // refuses a repeated key
	err := scan.ReadMembers(decoder, line, func(name, value []byte) error {
		switch string(name) {
		case "image":
			members.image = value
		case "width":
			members.width = value
		case "height":
			members.height = value
		case "annotations":
			members.annotations = value
		case "boxes":
			members.boxes = value
		case "slots":
			members.slots = value
		default:
			return fmt.Errorf("unknown key %q; a line has image, width, height, annotations, boxes and slots", scan.Shorten(string(name)))
		}
		return nil
	})
	return members, err
}

func canonicalSize(width, height []byte) (convert.Size, error) {
	if width == nil && height == nil {
		return convert.Size{}, nil
	}
	w, widthErr := strconv.Atoi(string(width))
	h, heightErr := strconv.Atoi(string(height))
	if widthErr != nil || heightErr != nil || w < 1 || h < 1 {
		return convert.Size{}, fmt.Errorf("width is %s and height %s; both are whole numbers of pixels from 1, or left out", scan.Describe(width), scan.Describe(height))
	}
	return convert.Size{Width: w, Height: h}, nil
}

// Append appends the line without a newline. An image without annotations has
// an empty list; an unknown size is left out.
func (c Image) Append(dst []byte) ([]byte, error) {
	line, err := appendCanonicalHead(dst, c.Image, c.Size)
	if err != nil {
		return dst, err
	}
	if line, err = pictograph.AppendAnnotations(line, c.Annotations); err != nil {
		return dst, fmt.Errorf("write the annotations of %s: %w", c.Image, err)
	}
	line = appendPerInstance(line, "boxes", c.Annotations, c.Boxes, func(dst []byte, b pictograph.Box) []byte {
		for i, v := range []float64{b.X, b.Y, b.W, b.H} {
			dst = strconv.AppendFloat(append(dst, [...]string{`,"x":`, `,"y":`, `,"w":`, `,"h":`}[i]...), v, 'f', -1, 64)
		}
		return dst
	})
	line = appendPerInstance(line, "slots", c.Annotations, c.Slots, func(dst []byte, keypoints int) []byte {
		return strconv.AppendInt(append(dst, `,"joints":`...), int64(keypoints), 10)
	})
	return append(line, '}'), nil
}

// appendPerInstance appends what there is for instances that have keypoints, in their order.
func appendPerInstance[T any](dst []byte, name string, annotations []pictograph.Annotation, of map[int]T, member func([]byte, T) []byte) []byte {
	first := true
	for _, instance := range slices.Sorted(maps.Keys(of)) {
		if !hasInstance(annotations, instance) {
			continue
		}
		if first {
			dst = append(append(append(dst, `,"`...), name...), `":[`...)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = strconv.AppendInt(append(dst, `{"instance_id":`...), int64(instance), 10)
		dst = append(member(dst, of[instance]), '}')
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

// AppendLine appends the line of an image whose annotations are encoded
// already.
func AppendLine(dst []byte, image string, size convert.Size, annotations []byte) ([]byte, error) {
	line, err := appendCanonicalHead(dst, image, size)
	if err != nil {
		return dst, err
	}
	return append(append(line, annotations...), '}'), nil
}

func appendCanonicalHead(dst []byte, image string, size convert.Size) ([]byte, error) {
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

// ResultOf is the Result of a parsed line: its annotations as they are
// and the classes they need.
func ResultOf(c Image) convert.Result {
	r := convert.ResultOf(c.Image, c.Size, c.Annotations)
	r.Boxes, r.Slots = c.Boxes, c.Slots
	return r
}
