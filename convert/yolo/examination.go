package yolo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// examination finds out from the labels of a source together what their lines mean, as far as
// nothing states it.
type examination struct {
	source.Files
	convert.SeveralLabels
	convert *Converter
	none    func(context.Context) error // says that there are none
}

// run sets what it finds out in the converter. Its error refuses the source.
func (x examination) run(ctx context.Context) error {
	if x.convert.Columns == nil {
		if err := x.findReading(ctx); err != nil {
			return err
		}
	}
	if err := x.findFirstClass(ctx); err != nil {
		return err
	}
	return x.findThird(ctx)
}

// enoughFiles is how many label files decide how lines are read, the first in the
// order of the walk, where that leaves one reading: to read all of a large data set
// twice would cost too much. A line that is met later and does not fit is left out
// with a finding, never read another way.
const enoughFiles = 1000

// findReading tells from the label lines how all of them are read.
func (x examination) findReading(ctx context.Context) error {
	stated := statement{Task: x.convert.Task, Trailer: x.convert.Trailer, KeypointCount: x.convert.KeypointCount, KeypointDims: x.convert.KeypointDims}
	var lines evidence
	var readings []reading
	found, next := false, enoughFiles
	foreign := ""
	for l, err := range x.Taken(ctx) {
		if err != nil {
			return err
		}
		if found = true; l.Data == nil {
			continue
		}
		lines.addFile(l.File, l.Data)
		if foreign == "" && lines.files == 0 {
			if name := source.FormatName(l.File, l.Data); name != "" {
				foreign = fmt.Sprintf("holds %s (%s)", name, convert.Display(l.File))
			}
		}
		if lines.files < next {
			continue
		}
		if readings = lines.allReadings(stated); len(readings) == 1 {
			break
		}
		next *= 2
	}
	if !found && stated.Task == "" {
		return x.none(ctx)
	}
	readings = lines.allReadings(stated)
	switch {
	case foreign != "" && lines.files == 0:
		return source.NotRead(x.Input(x.Path, ""), foreign)
	case lines.files == 0 || len(readings) == 0 && stated.Task != "" && (stated.Task != Pose || stated.KeypointCount > 0):
		if err := x.askNotation(&lines, poseReading(stated)); err != nil {
			return err
		}
		x.tellBoxes(&lines)
		return x.chooseTask()
	case len(readings) != 1 || readings[0].asks(stated):
		return &convert.Error{Op: "read", Path: x.Path, Err: unclear(&lines, readings), Advice: adviceOf(&lines, readings)}
	}
	r := readings[0]
	if err := x.askNotation(&lines, r); err != nil {
		return err
	}
	x.tellBoxes(&lines)
	x.convert.Trailer = r.Trailer
	if x.convert.Task == "" {
		x.convert.Task = r.Task
	}
	return x.chooseTask()
}

// askNotation refuses boxes that may be given otherwise than by centre and size.
func (x examination) askNotation(e *evidence, r reading) error {
	other, example := e.otherNotation(r)
	if other == nil {
		return nil
	}
	return &convert.Error{Op: "read", Path: x.Path, Err: fmt.Errorf("the boxes may be centre and size or %s: as %s all of them fit, and as centre and size some reach out of their image (%s)", other.name, other.plural, example),
		Advice: "--columns " + r.columns() + " takes them for centre and size; " + other.plural + " are not read"}
}

// poseReading is that of the poses that are stated; where none are, of no lines.
func poseReading(stated statement) reading {
	r := reading{Task: stated.Task, KeypointCount: stated.KeypointCount, KeypointDims: stated.KeypointDims, shape: polygonShape}
	switch r.KeypointDims {
	case 2:
		r.shape = pose2Shape
	case 3:
		r.shape = pose3Shape
	}
	return r
}

// tellBoxes tells of lines of boxes alone where the data set is one of poses.
func (x examination) tellBoxes(e *evidence) {
	c := e.counts[4]
	if x.convert.Task != Pose || c == nil || x.convert.KeypointCount == 0 {
		return
	}
	x.Reporter.Report(convert.Finding{Kind: convert.KindDescription, Count: c.lines, At: "kpt_shape", Reason: fmt.Sprintf("lines have a box and no keypoints, which poses have: %d of %d looked at (%s)", c.lines, e.lines, c.example), Action: "they were taken as boxes"})
}

// chooseTask is for what no line says.
func (x examination) chooseTask() error {
	if x.convert.Task == "" {
		x.convert.Task = Detect
	}
	if x.convert.Task == Pose && x.convert.KeypointCount == 0 {
		return &convert.Error{Op: "read", Path: x.Path, Err: errors.New("nothing says how many keypoints a pose has"),
			Advice: "give --kpt-shape JOINTS,NUMBERS, or write kpt_shape: [keypoints, 2 or 3] into data.yaml"}
	}
	return nil
}

// unclear says how lines may be read, with one of them.
func unclear(e *evidence, readings []reading) error {
	switch len(readings) {
	case 0:
		return fmt.Errorf("the label lines fit nothing that all could be: %s", e.different())
	case 1:
		return fmt.Errorf("the label lines look like %s, and nothing says so (%s)", readings[0], e.example())
	}
	const some = 4
	var names []string
	for _, r := range readings[:min(len(readings), some)] {
		names = append(names, r.String())
	}
	if more := len(readings) - some; more > 0 {
		names = append(names, fmt.Sprintf("%d other things", more))
	}
	last := len(names) - 1
	return fmt.Errorf("the label lines may be %s or %s (%s)", strings.Join(names[:last], ", "), names[last], e.example())
}

// adviceOf says how to tell which of the readings is meant.
func adviceOf(e *evidence, readings []reading) string {
	advice := flagsOfReadings(readings)
	if other := e.notRead(); other != "" {
		advice += "; " + other
	}
	return advice
}

func flagsOfReadings(readings []reading) string {
	const some = 4
	var flags []string
	for _, r := range readings[:min(len(readings), some)] {
		flags = append(flags, r.flagsAmong(readings))
	}
	switch {
	case len(readings) == 0:
		flags = []string{"--task", "--kpt-shape", "--columns"}
	case len(readings) == 1 && readings[0].KeypointDims > 0:
		flags = append(flags, "(kpt_shape of data.yaml)", "--task segment")
		if r := readings[0]; r.KeypointCount*r.KeypointDims == 4 { // four points, of which some lie outside
			flags = append(flags, "--task obb")
		}
	}
	return "say which they are with " + strings.Join(flags, " or ")
}

// findFirstClass tells from the lines whether they count classes from 1 where the list counts them
// from 0: none has the first, some have the one behind the last, and most of the others are there
// too, so that it is not one line that is wrong. It looks no further than the first. Labels that
// --include and --exclude leave out count with the others: what classes a line has does not depend
// on which are taken.
func (x examination) findFirstClass(ctx context.Context) error {
	behind := len(x.convert.Classes)
	for class := range behind {
		if _, named := x.convert.Classes[class]; !named {
			return nil // they are numbered
		}
	}
	used := usedClasses{behind: behind, between: make(map[int]bool)}
	if err := used.look(x.Taken(ctx)); err != nil || used.first {
		return err
	}
	if x.convert.FromOne = used.fromOne(); !x.convert.FromOne {
		if err := used.look(x.LeftOut(ctx)); err != nil {
			return err
		}
		x.convert.FromOne = used.fromOne()
	}
	if x.convert.FromOne {
		x.Reporter.Report(convert.Finding{Kind: convert.KindClassList, Reason: x.convert.fromOne(),
			Action: fmt.Sprintf("no label was taken: number the names, as names: {1: %s}, in data.yaml or a --class-list FILE, or add the name that the list lacks", x.convert.Classes[0])})
	}
	return nil
}

// usedClasses are the classes of lines: the first, 0, the one behind the last, and those between.
type usedClasses struct {
	behind      int
	first, some bool
	between     map[int]bool
}

// look takes on the classes of labels, up to the first.
func (u *usedClasses) look(labels iter.Seq2[convert.OneLabel, error]) error {
	for l, err := range labels {
		if err != nil {
			return err
		}
		for _, line := range labelLines(l.Data) {
			field, _ := nextField(line)
			class, err := parseClass(field)
			switch {
			case err != nil:
			case class == 0:
				u.first = true
				return nil
			case class == u.behind:
				u.some = true
			case class < u.behind:
				u.between[class] = true
			}
		}
	}
	return nil
}

// fromOne reports whether the classes are most likely counted from 1.
func (u *usedClasses) fromOne() bool { return !u.first && u.some && 2*len(u.between) >= u.behind-1 }

// findThird tells from the lines that findReading looks at what the third numbers of
// keypoints are: scores where some are fractions, visibilities where some are 2. Of lines that
// contradict nine others of ten each is left out when it is met.
func (x examination) findThird(ctx context.Context) error {
	if x.convert.Task != Pose || x.convert.KeypointDims != 3 {
		return nil
	}
	scores, visibilities, ones, files := 0, 0, 0, 0
	for l, err := range x.Taken(ctx) {
		if err != nil {
			return err
		}
		s, v, o := x.convert.thirds(l.Data)
		if scores, visibilities, ones = scores+s, visibilities+v, ones+o; s+v+o > 0 {
			files++
		}
		if files >= enoughFiles {
			break
		}
	}
	const few, some = 10, 5 // of ten, and lines
	if scores+visibilities == 0 && ones >= some {
		x.Reporter.Report(convert.Finding{Kind: convert.KindVisibility, Count: ones, Reason: fmt.Sprintf("the keypoints of %s have visibilities of 1 and none of 2, as where 1 is to say visible", count(ones, "line")), Action: "1 was taken for occluded, as COCO has it"})
	}
	switch {
	case visibilities*few <= scores && scores > 0:
		x.convert.Third = thirdScore
	case scores*few > visibilities:
		x.convert.Third = thirdUnclear
	}
	return nil
}
