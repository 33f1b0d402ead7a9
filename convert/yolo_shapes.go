package convert

import "fmt"

// YOLOShapes counts what the lines of label files look like, so that the task
// of a data set can be told from all of them together.
type YOLOShapes struct{ Boxes, BoxesWithConfidence, FourPoints, Polygons, Other int }

// Add counts the lines of one label file.
func (s *YOLOShapes) Add(label []byte) {
	var numbers []float64
	for _, line := range yoloLines(label) {
		_, rest := nextField(line)
		var err error
		numbers, err = appendFields(numbers[:0], rest)
		switch n := len(numbers); {
		case err != nil:
			s.Other++
		case n == 4:
			s.Boxes++
		case n == 5:
			s.BoxesWithConfidence++
		case n == 8:
			s.FourPoints++
		case n >= 6 && n%2 == 0:
			s.Polygons++
		default:
			s.Other++
		}
	}
}

// Task tells the task of the data set. Four-point lines alone tell nothing:
// they may be polygons as well as oriented boxes.
func (s YOLOShapes) Task() (YOLOTask, error) {
	boxes := s.Boxes + s.BoxesWithConfidence
	switch {
	case s.FourPoints > 0 && s.Polygons == 0 && boxes == 0:
		return "", fmt.Errorf("all %d label lines have four points, which may be polygons or oriented boxes: give --task segment or --task obb", s.FourPoints)
	case s.FourPoints+s.Polygons > 0:
		return YOLOSegment, nil
	}
	return YOLODetect, nil
}
