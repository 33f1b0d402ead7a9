package main

import (
	"context"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/source"
)

// sourceOptions are the flags that say how labels are read, of every command
// that reads a source.
type sourceOptions struct {
	include, exclude []string
	images           string
	sizes            string
	task             string
	outside          string
	simplify         float64
	allGeometries    bool
	classMap         string
}

func (o *sourceOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.include, "include", nil, "take only images whose path, or label file, fits the `GLOB` (again for more)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out images whose path, or label file, fits the `GLOB` (again for more)")
	f.StringVar(&o.images, "images", "", "`DIR` of the image files, where they are not beside the labels: for sizes and names")
	f.StringVar(&o.sizes, "sizes", "", "`FILE` of image sizes: JSON {\"a.jpg\":[w,h]} or CSV image,width,height")
	f.StringVar(&o.task, "task", "", "what YOLO lines are: detect, segment, pose or obb (default: found from the data)")
	f.StringVar(&o.outside, "outside", string(convert.OutsideKeep), "boxes that reach outside the image: keep, clip or report (leave out)")
	f.BoolVar(&o.allGeometries, "all-geometries", false, "take joints, segmentation and box where an annotation has several, not the first of these alone")
	f.Float64Var(&o.simplify, "simplify", 0, "leave out points of mask outlines that this moves by at most `PX` pixels (0: exact)")
}

// addClassMap is for the commands that show or save what classes become.
func (o *sourceOptions) addClassMap(f *pflag.FlagSet) {
	f.StringVar(&o.classMap, "class-map", "", "`FILE` (YAML) that renames, merges, drops and numbers classes: car: vehicle, ignore: null")
}

func (o sourceOptions) open(ctx context.Context, path string, findings *collector) (source.Source, error) {
	settled, err := o.settle(findings)
	if err != nil {
		return nil, err
	}
	return settled.open(ctx, path)
}

// settledSource is how a source is opened, once the flags are known to be right.
type settledSource struct {
	options source.Options
	classes *convert.ClassMap // nil is none
	text    []byte            // of the class map
}

func (o sourceOptions) settle(findings *collector) (*settledSource, error) {
	classes, text, err := o.classes()
	if err != nil {
		return nil, err
	}
	if o.task != "" && !slices.Contains(convert.YOLOTasks, convert.YOLOTask(o.task)) {
		return nil, usagef("read --task: %q is none of detect, segment, pose and obb", o.task)
	}
	switch convert.Outside(o.outside) {
	case convert.OutsideKeep, convert.OutsideClip, convert.OutsideReport:
	default:
		return nil, usagef("read --outside: %q is none of keep, clip and report", o.outside)
	}
	if !(o.simplify >= 0) || math.IsInf(o.simplify, 0) {
		return nil, usagef("read --simplify: %v is no distance in pixels", o.simplify)
	}
	return &settledSource{classes: classes, text: text, options: source.Options{
		Include: o.include, Exclude: o.exclude, Images: o.images, Sizes: o.sizes, Task: convert.YOLOTask(o.task),
		Convert: convert.Options{Outside: convert.Outside(o.outside), Simplify: o.simplify, AllGeometries: o.allGeometries}, Report: findings.add,
	}}, nil
}

func (s *settledSource) open(ctx context.Context, path string) (source.Source, error) {
	largePages()
	src, err := source.Open(ctx, path, s.options)
	if err != nil {
		return nil, err
	}
	collectSooner()
	if s.classes == nil {
		return src, nil
	}
	return source.WithClassMap(src, s.classes, s.text), nil
}

// classes reads the class map, nil if there is none.
func (o sourceOptions) classes() (*convert.ClassMap, []byte, error) {
	if o.classMap == "" {
		return nil, nil, nil
	}
	text, err := os.ReadFile(o.classMap)
	if err != nil {
		return nil, nil, usagef("read the class map: %w", err)
	}
	classes, err := convert.ParseClassMap(text)
	if err != nil {
		return nil, nil, usagef("read the class map %s: %w", o.classMap, err)
	}
	return classes, text, nil
}

// collector gathers what a source reports about itself.
type collector struct {
	mu       sync.Mutex
	findings []convert.Finding
}

func (c *collector) add(f convert.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings = append(c.findings, f)
}

// take returns what was gathered and begins anew.
func (c *collector) take() []convert.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.findings
	c.findings = nil
	return taken
}
