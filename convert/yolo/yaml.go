package yolo

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/internal/yamldoc"
)

// description is what a data.yaml says.
type description struct {
	root   string
	splits []split
	names  map[int]string
	// unnamed says of the first class without a usable name what is wrong with it.
	unnamed   string
	noClasses bool // nc says so
	stated    int  // how many names there are, by nc, where their places in a list number them; 0 where that is not told
	task      Task // "" where it is not told
	// sizes is the file of image sizes that lies beside it, as this package writes it; "" where
	// it names none.
	sizes string

	keypoints, dims int // kpt_shape; 0 where the data set has no poses
	keypointNames   []string
	// classKeypoints are the keypoint names of each class that has its own.
	classKeypoints map[int][]string
}

// split is one part of a data set: folders or lists.
type split struct {
	name    string
	entries []string
}

func (d description) yolo() Converter {
	y := Converter{Classes: d.names, KeypointCount: d.keypoints, KeypointDims: d.dims, KeypointNames: d.keypointNames, ClassKeypointNames: d.classKeypoints}
	if y.Task = d.task; d.task == "" && d.keypoints > 0 {
		y.Task = Pose
	}
	return y
}

// sizesKey is no key of the trainers' either: it names the file of sizes that is written beside
// data.yaml.
const sizesKey = "image_sizes"

const (
	// maxClass bounds class indices.
	maxClass = 1 << 20
	// maxKeypoints bounds kpt_shape.
	maxKeypoints = 1 << 10
)

// parseDescription reads a data.yaml. What can be done without is a finding.
// Names are taken as they are written: no and 1.0 are names like others.
func parseDescription(data []byte, file string) (d description, findings []convert.Finding, err error) {
	docs, err := yamldoc.Parse(data)
	if err != nil {
		return d, nil, escapes(err)
	}
	if len(docs) > 1 {
		return d, nil, fmt.Errorf("line %d: a second document begins there, and nothing tells which is meant", docs[1].Line)
	}
	var top []yamldoc.Pair
	if len(docs) == 1 && yamldoc.IsMapping(docs[0]) {
		if top, err = yamldoc.Pairs(docs[0]); err != nil {
			return d, nil, err
		}
	}
	if top == nil {
		return d, nil, errors.New("holds no mapping of keys to values")
	}
	p := descriptionParser{d: &d, file: file}
	for _, v := range top {
		if err := p.entry(v); err != nil {
			return d, p.findings, fmt.Errorf("line %d: %s: %w", v.Key.Line, v.Key.Value, err)
		}
	}
	if err := p.check(); err != nil {
		return d, p.findings, err
	}
	return d, p.findings, nil
}

// classless reports whether the description says that there are no classes, as of a data set
// whose images are all empty.
func (d description) classless() bool { return d.noClasses && len(d.names) == 0 && d.unnamed == "" }

// noNames is the error for a description whose classes have no names.
func (d description) noNames() error {
	if d.unnamed != "" {
		return fmt.Errorf("none of its names can be used, so the classes are not known (%s)", d.unnamed)
	}
	return errors.New("has no names, so the classes are not known")
}

// escapes says of an error of YAML where it comes of a path of Windows in double quotes.
func escapes(err error) error {
	where, reason, found := strings.Cut(err.Error(), ": ")
	if !found {
		where, reason = "line 1", err.Error() // which YAML does not name
	}
	if strings.Contains(reason, "hexdecimal number") || strings.Contains(reason, "unknown escape character") {
		return fmt.Errorf(`%s: a backslash between double quotes is no part of a path, but begins an escape; write single quotes, or slashes`, where)
	}
	return err
}

type descriptionParser struct {
	d        *description
	file     string
	findings []convert.Finding

	classes *int // nc
	listed  bool // names is a list
	flips   []int
	hasFlip bool
	perName []namedKeypoints
}

// namedKeypoints are keypoint names and what stands before them: a class by its number or its
// name, "" for all. A single one is no list.
type namedKeypoints struct {
	class  string
	names  []string
	single bool
}

func (p *descriptionParser) report(kind convert.Kind, at, reason, action string) {
	p.findings = append(p.findings, convert.Finding{Kind: kind, File: p.file, At: at, Reason: reason, Action: action})
}

func (p *descriptionParser) entry(v yamldoc.Pair) (err error) {
	key := v.Key.Value
	switch key {
	case "path":
		p.d.root, err = yamldoc.Text(v.Value)
	case "train", "val", "valid", "validation", "test", "minival":
		var entries []string
		if entries, err = texts(v.Value); err == nil && len(entries) > 0 {
			p.d.splits = append(p.d.splits, split{key, entries})
		}
	case "names":
		p.listed = !yamldoc.IsMapping(yamldoc.Resolved(v.Value))
		p.d.names, err = p.names(v.Value)
	case "nc":
		var n int
		if n, err = integer(v.Value); err != nil {
			p.report(convert.KindClassList, "nc", err.Error(), "the names were taken")
			return nil
		}
		p.classes = &n
		p.d.noClasses = n == 0
	case "kpt_shape":
		p.d.keypoints, p.d.dims, err = shape(v.Value)
	case "task":
		var task string
		if task, err = yamldoc.Text(v.Value); err == nil {
			p.task(Task(task))
		}
	case "kpt_names":
		p.perName, err = p.keypointNames(v.Value)
		if err != nil {
			p.report(convert.KindDescription, key, err.Error(), "the keypoints are joint_0, joint_1 and so on")
			return nil
		}
	case sizesKey:
		if p.d.sizes, err = yamldoc.Text(v.Value); err == nil && p.d.sizes != filepath.Base(p.d.sizes) {
			err = fmt.Errorf("%s is no name of a file beside it", convert.Display(p.d.sizes))
		}
		if err != nil {
			p.d.sizes = ""
			p.report(convert.KindDescription, key, err.Error(), "no sizes were taken from there")
			return nil
		}
	case "<<":
		return errors.New("is a merge of another mapping, which is not read; write its keys out")
	case "flip_idx":
		p.hasFlip = true
		if p.flips, err = integers(v.Value); err != nil {
			p.flips, err = nil, nil
		}
	}
	return err
}

// task is no key of the trainers', but what tells polygons of four points from
// oriented boxes where it is there.
func (p *descriptionParser) task(task Task) {
	switch task {
	case Detect, Segment, Pose, OBB:
		p.d.task = task
	default:
		p.report(convert.KindDescription, "task", fmt.Sprintf("the task is %q and must be one of: detect, segment, pose, obb", task), "the task was found from the labels")
	}
}

func (p *descriptionParser) names(node *yamldoc.Node) (map[int]string, error) {
	node = yamldoc.Resolved(node)
	names := make(map[int]string)
	add := func(number int, node *yamldoc.Node) {
		name, err := yamldoc.Text(node)
		if err != nil || convert.Blank(name) {
			reason := "it has no name"
			switch {
			case yamldoc.IsMapping(node):
				reason = fmt.Sprintf("its name in line %d is a mapping, not a text", node.Line)
			case err != nil:
				reason = fmt.Sprintf("its name in line %d %v", node.Line, err)
			}
			p.report(convert.KindClassList, fmt.Sprintf("class %d", number), reason, "its annotations cannot be taken")
			p.d.unnamed = cmp.Or(p.d.unnamed, fmt.Sprintf("class %d: %s", number, reason))
			return
		}
		names[number] = name
	}
	if list, ok := yamldoc.List(node); ok {
		for i, v := range list {
			add(i, v)
		}
	} else if pairs, err := yamldoc.Pairs(node); err == nil {
		for _, v := range pairs {
			number, err := strconv.Atoi(v.Key.Value)
			if err != nil || number < 0 || number > maxClass || strconv.Itoa(number) != v.Key.Value { // 010 is 8 to some
				return nil, fmt.Errorf("%q is no class number", v.Key.Value)
			}
			add(number, v.Value)
		}
	} else if yamldoc.IsMapping(node) {
		return nil, err
	} else {
		return nil, errors.New("is neither a list nor a mapping of numbers to names")
	}
	reportSharedNames(names, p.file, func(f convert.Finding) { p.findings = append(p.findings, f) })
	return names, nil
}

// keypointNames are the names of kpt_names: a list, or a list for each class.
func (p *descriptionParser) keypointNames(node *yamldoc.Node) ([]namedKeypoints, error) {
	if !yamldoc.IsMapping(node) {
		names, err := texts(node)
		return []namedKeypoints{{names: names}}, err
	}
	pairs, err := yamldoc.Pairs(node)
	if err != nil {
		return nil, err
	}
	var all []namedKeypoints
	for _, v := range pairs {
		names, err := texts(v.Value)
		if err != nil {
			return nil, err
		}
		_, list := yamldoc.List(v.Value)
		all = append(all, namedKeypoints{v.Key.Value, names, !list})
	}
	return all, nil
}

// byNumber are the names of keypoints that stand behind the numbers of these, as
// {0: nose, 1: tail}, rather than behind those of classes.
func (p *descriptionParser) byNumber() (names []string, ok bool) {
	if p.d.keypoints < 2 || len(p.perName) != p.d.keypoints {
		return nil, false
	}
	names = make([]string, p.d.keypoints)
	for _, l := range p.perName {
		number, err := strconv.Atoi(l.class)
		if err != nil || !l.single || len(l.names) != 1 || number < 0 || number >= len(names) || names[number] != "" {
			return nil, false
		}
		names[number] = l.names[0]
	}
	return names, true
}

// checkKeypoints gives the classes their keypoint names: all one list, or each its own.
func (p *descriptionParser) checkKeypoints() error {
	d := p.d
	if names, ok := p.byNumber(); ok {
		p.perName = []namedKeypoints{{names: names}}
	}
	const numbered = "keypoints without a name are joint_0, joint_1 and so on by their number"
	for i, l := range p.perName {
		if d.keypoints > 0 && len(l.names) != d.keypoints {
			p.report(convert.KindDescription, "kpt_names", fmt.Sprintf("it names %d keypoints, kpt_shape says %d", len(l.names), d.keypoints), numbered)
			p.perName[i].names = l.names[:min(len(l.names), d.keypoints)]
		}
	}
	if first := p.perName[0]; len(p.perName) == 1 && (first.class == "" || len(d.names) < 2) {
		d.keypointNames = first.names
		return nil
	}
	d.classKeypoints = make(map[int][]string)
	for _, l := range p.perName {
		classes := p.classesCalled(l.class)
		switch {
		case len(classes) == 0:
			p.report(convert.KindDescription, "kpt_names", fmt.Sprintf("there is no class %s", convert.Display(l.class)), "its keypoints were ignored")
			continue
		case len(classes) > 1:
			return fmt.Errorf("%s is the number of class %s and the name of another", l.class, convert.Display(d.names[classes[0]]))
		}
		number := classes[0]
		if other, twice := d.classKeypoints[number]; twice && !slices.Equal(other, l.names) {
			return fmt.Errorf("class %d is there by its number and by its name, %s, with other names", number, convert.Display(d.names[number]))
		}
		d.classKeypoints[number] = l.names
	}
	var lists [][]string
	var without convert.Flaws
	for _, number := range sortedKeys(d.names) {
		names, there := d.classKeypoints[number]
		if lists = append(lists, names); !there {
			without.Add("class " + convert.Display(d.names[number]))
		}
	}
	if without.Count > 0 {
		p.report(convert.KindDescription, "kpt_names", "it names no keypoints of "+without.String(), numbered)
	}
	if len(slices.CompactFunc(lists, slices.Equal)) == 1 { // all have the same
		d.keypointNames, d.classKeypoints = lists[0], nil
	}
	return nil
}

// classesCalled are the numbers of the classes that have a text as their number or name, the
// one of that number first.
func (p *descriptionParser) classesCalled(text string) (numbers []int) {
	if number, err := strconv.Atoi(text); err == nil {
		if _, there := p.d.names[number]; there {
			numbers = append(numbers, number)
		}
	}
	for _, number := range sortedKeys(p.d.names) {
		if p.d.names[number] == text && !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// check compares the entries with one another.
func (p *descriptionParser) check() error {
	d := p.d
	switch {
	case p.classes == nil || *p.classes == len(d.names) || len(d.names) == 0:
	case p.listed:
		d.stated = *p.classes
	default: // each name has its number beside it
		p.report(convert.KindClassList, "nc", fmt.Sprintf("it says %d classes, names has %d", *p.classes, len(d.names)), "the names were taken")
	}
	if len(p.perName) > 0 {
		if err := p.checkKeypoints(); err != nil {
			return fmt.Errorf("kpt_names: %w", err)
		}
	}
	if p.hasFlip && d.keypoints > 0 && !isPermutation(p.flips, d.keypoints) {
		p.report(convert.KindDescription, "flip_idx", fmt.Sprintf("it does not list each of the %d keypoints once", d.keypoints), "it was ignored, as labels do not depend on it")
	}
	return nil
}

func isPermutation(numbers []int, n int) bool {
	sorted := slices.Sorted(slices.Values(numbers))
	for i, v := range sorted {
		if v != i {
			return false
		}
	}
	return len(sorted) == n
}

func shape(node *yamldoc.Node) (keypoints, dims int, err error) {
	numbers, err := integers(node)
	if err != nil || len(numbers) != 2 || numbers[0] < 1 || numbers[0] > maxKeypoints || numbers[1] != 2 && numbers[1] != 3 {
		return 0, 0, errors.New("is not [number of keypoints, 2 or 3]")
	}
	return numbers[0], numbers[1], nil
}

// texts are the scalars of a list, or the one there is.
func texts(node *yamldoc.Node) ([]string, error) {
	list, ok := yamldoc.List(node)
	if !ok {
		one, err := yamldoc.Text(node)
		if one == "" || err != nil {
			return nil, err
		}
		return []string{one}, nil
	}
	var all []string
	for _, v := range list {
		one, err := yamldoc.Text(v)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func integer(node *yamldoc.Node) (int, error) {
	t, err := yamldoc.Text(node)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(t, 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, fmt.Errorf("%q is no whole number", t)
	}
	return int(n), nil
}

func integers(node *yamldoc.Node) ([]int, error) {
	all, err := texts(node)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, len(all))
	for i, t := range all {
		if numbers[i], err = strconv.Atoi(t); err != nil {
			return nil, fmt.Errorf("%q is no whole number", t)
		}
	}
	return numbers, nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func isYAML(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}
