package source

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"pictosync/convert"
)

// description is what a data.yaml says.
type description struct {
	root   string
	splits []split
	names  map[int]string
	task   convert.YOLOTask // "" where it is not told

	joints, dims int // kpt_shape; 0 where the data set has no poses
	jointNames   []string
}

// split is one part of a data set: folders or lists.
type split struct {
	name    string
	entries []string
}

func (d description) yolo() convert.YOLO {
	y := convert.YOLO{Classes: d.names, KeypointCount: d.joints, KeypointDims: d.dims, KeypointNames: d.jointNames}
	if y.Task = d.task; d.task == "" && d.joints > 0 {
		y.Task = convert.YOLOPose
	}
	return y
}

const (
	// maxNesting is far more than a data.yaml needs; the YAML parser takes
	// quadratic time in it.
	maxNesting = 64
	// maxClass bounds class indices.
	maxClass = 1 << 20
	// maxJoints bounds kpt_shape.
	maxJoints = 1 << 10
)

// parseDescription reads a data.yaml. What can be done without is a finding.
// Names are taken as they are written: no and 1.0 are names like others.
func parseDescription(data []byte, file string) (d description, findings []finding, err error) {
	defer func() {
		if p := recover(); p != nil { // the parser, on some damaged files
			err = fmt.Errorf("is no YAML that can be read: %v", p)
		}
	}()
	if !utf8.Valid(data) {
		return d, nil, errors.New("is not UTF-8")
	}
	if err := checkNesting(data); err != nil {
		return d, nil, err
	}
	parsed, err := parser.ParseBytes([]byte(strings.TrimPrefix(string(data), "\ufeff")), 0)
	if err != nil {
		return d, nil, yamlError(err)
	}
	var top []*ast.MappingValueNode
	for _, doc := range parsed.Docs {
		if m, ok := doc.Body.(*ast.MappingNode); ok && top == nil {
			top = m.Values
		}
	}
	if top == nil {
		return d, nil, errors.New("holds no mapping of keys to values")
	}
	p := descriptionParser{d: &d, file: file}
	for _, v := range top {
		if err := p.entry(v); err != nil {
			return d, p.findings, fmt.Errorf("line %d: %s: %w", v.Key.GetToken().Position.Line, v.Key.GetToken().Value, err)
		}
	}
	p.check()
	return d, p.findings, nil
}

// yamlError is a parser's error on one line: where and what.
func yamlError(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		if t := e.GetToken(); t != nil {
			return fmt.Errorf("line %d, column %d: %s", t.Position.Line, t.Position.Column, e.GetMessage())
		}
		return errors.New(e.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}

// checkNesting refuses what would keep the parser busy for minutes.
func checkNesting(data []byte) error {
	brackets := 0
	for line := range strings.Lines(string(data)) {
		lead := strings.TrimLeft(line, " \t-?!&*:")
		if marks := strings.Count(line[:len(line)-len(lead)], "- ") + strings.Count(line[:len(line)-len(lead)], "? "); marks > maxNesting {
			return fmt.Errorf("is nested deeper than %d levels", maxNesting)
		}
		for _, c := range []byte(line) {
			switch c {
			case '[', '{':
				brackets++
			case ']', '}':
				brackets = max(0, brackets-1)
			}
		}
		if brackets > maxNesting {
			return fmt.Errorf("is nested deeper than %d levels", maxNesting)
		}
	}
	return nil
}

type descriptionParser struct {
	d        *description
	file     string
	findings []finding

	classes *int // nc
	flips   []int
	hasFlip bool
	perName [][]string
}

func (p *descriptionParser) report(kind findingKind, at, reason, action string) {
	p.findings = append(p.findings, finding{Kind: kind, File: p.file, At: at, Reason: reason, Action: action})
}

func (p *descriptionParser) entry(v *ast.MappingValueNode) (err error) {
	key := v.Key.GetToken().Value
	switch key {
	case "path":
		p.d.root, err = text(v.Value)
	case "train", "val", "valid", "validation", "test", "minival":
		var entries []string
		if entries, err = texts(v.Value); err == nil && len(entries) > 0 {
			p.d.splits = append(p.d.splits, split{key, entries})
		}
	case "names":
		p.d.names, err = p.names(v.Value)
	case "nc":
		var n int
		if n, err = integer(v.Value); err != nil {
			p.report(convert.KindClassList, "nc", err.Error(), "the names were taken")
			return nil
		}
		p.classes = &n
	case "kpt_shape":
		p.d.joints, p.d.dims, err = shape(v.Value)
	case "task":
		var task string
		if task, err = text(v.Value); err == nil {
			err = p.task(convert.YOLOTask(task))
		}
	case "kpt_names":
		p.perName, err = p.jointNames(v.Value)
		if err != nil {
			p.report(convert.KindDescription, key, err.Error(), "the joints are joint_0, joint_1 and so on")
			return nil
		}
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
func (p *descriptionParser) task(task convert.YOLOTask) error {
	switch task {
	case convert.YOLODetect, convert.YOLOSegment, convert.YOLOPose, convert.YOLOOBB:
		p.d.task = task
	default:
		p.report(convert.KindDescription, "task", fmt.Sprintf("the task is %q and must be one of: detect, segment, pose, obb", task), "the task was found from the labels")
	}
	return nil
}

func (p *descriptionParser) names(node ast.Node) (map[int]string, error) {
	names := make(map[int]string)
	var twice error
	add := func(number int, node ast.Node) {
		name, err := text(node)
		if name = strings.TrimSpace(name); err != nil || name == "" {
			p.report(convert.KindClassList, fmt.Sprintf("class %d", number), "it has no name", "its annotations cannot be taken")
			return
		}
		if old, there := names[number]; there && old != name {
			twice = fmt.Errorf("class %d is named twice: %s and %s", number, display(old), display(name))
		}
		names[number] = name
	}
	switch n := unwrap(node).(type) {
	case *ast.SequenceNode:
		for i, v := range n.Values {
			add(i, v)
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			number, err := strconv.Atoi(v.Key.GetToken().Value)
			if err != nil || number < 0 || number > maxClass {
				return nil, fmt.Errorf("%q is no class number", v.Key.GetToken().Value)
			}
			add(number, v.Value)
		}
	default:
		return nil, errors.New("is neither a list nor a mapping of numbers to names")
	}
	if twice != nil {
		return nil, twice
	}
	reportSharedNames(names, p.file, func(f finding) { p.findings = append(p.findings, f) })
	return names, nil
}

// jointNames are the names of kpt_names: a list, or a list for each class.
func (p *descriptionParser) jointNames(node ast.Node) ([][]string, error) {
	if m, ok := unwrap(node).(*ast.MappingNode); ok {
		var all [][]string
		for _, v := range m.Values {
			names, err := texts(v.Value)
			if err != nil {
				return nil, err
			}
			all = append(all, names)
		}
		return all, nil
	}
	names, err := texts(node)
	return [][]string{names}, err
}

// check compares the entries with one another.
func (p *descriptionParser) check() {
	d := p.d
	if p.classes != nil && *p.classes != len(d.names) && len(d.names) > 0 {
		p.report(convert.KindClassList, "nc", fmt.Sprintf("it says %d classes, names has %d", *p.classes, len(d.names)), "the names were taken")
	}
	if len(p.perName) > 0 {
		d.jointNames = p.perName[0]
		for _, other := range p.perName[1:] {
			if !slices.Equal(other, d.jointNames) {
				p.report(convert.KindDescription, "kpt_names", "the classes have different joints", "those of the first class were taken for all")
				break
			}
		}
		if d.joints > 0 && len(d.jointNames) != d.joints {
			p.report(convert.KindDescription, "kpt_names", fmt.Sprintf("it names %d joints, kpt_shape says %d", len(d.jointNames), d.joints), "joints without a name are joint_0, joint_1 and so on by their number")
			d.jointNames = d.jointNames[:min(len(d.jointNames), d.joints)]
		}
	}
	if p.hasFlip && d.joints > 0 && !isPermutation(p.flips, d.joints) {
		p.report(convert.KindDescription, "flip_idx", fmt.Sprintf("it does not list each of the %d joints once", d.joints), "it was ignored, as labels do not depend on it")
	}
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

func shape(node ast.Node) (joints, dims int, err error) {
	numbers, err := integers(node)
	if err != nil || len(numbers) != 2 || numbers[0] < 1 || numbers[0] > maxJoints || numbers[1] != 2 && numbers[1] != 3 {
		return 0, 0, errors.New("is not [number of joints, 2 or 3]")
	}
	return numbers[0], numbers[1], nil
}

// unwrap is the node without anchor and tag.
func unwrap(node ast.Node) ast.Node {
	for range maxNesting {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		default:
			return node
		}
	}
	return node
}

// text is a scalar as it is written.
func text(node ast.Node) (string, error) {
	switch n := unwrap(node).(type) {
	case *ast.NullNode, nil:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("is no text")
}

// texts are the scalars of a list, or the one there is.
func texts(node ast.Node) ([]string, error) {
	list, ok := unwrap(node).(*ast.SequenceNode)
	if !ok {
		one, err := text(node)
		if one == "" || err != nil {
			return nil, err
		}
		return []string{one}, nil
	}
	var all []string
	for _, v := range list.Values {
		one, err := text(v)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func integer(node ast.Node) (int, error) {
	t, err := text(node)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(t, 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, fmt.Errorf("%q is no whole number", t)
	}
	return int(n), nil
}

func integers(node ast.Node) ([]int, error) {
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

func sortedKeys(m map[int]string) []int { return slices.Sorted(maps.Keys(m)) }
