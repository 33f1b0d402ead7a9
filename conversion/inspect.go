package conversion

import (
	"context"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/pictograph"
)

// Inspection is what a source holds.
type Inspection struct {
	convert.Description
	Images struct {
		Found    int `json:"found"`
		Labelled int `json:"labelled"` // with annotations
		Empty    int `json:"empty"`    // that the labels say have none
		Failed   int `json:"failed"`
	} `json:"images"`
	Annotations int `json:"annotations"`
	Accounts
	Classes []ClassCounts `json:"classes"`
	Sizes   SizeCounts    `json:"sizes"`
}

// ClassCounts count a class's annotations by type, and the images with any.
type ClassCounts struct {
	Name     string `json:"name"`
	Images   int    `json:"images"`
	BBox     int    `json:"bbox,omitempty"` // axis-parallel
	Oriented int    `json:"oriented_box,omitempty"`
	Polygon  int    `json:"polygon,omitempty"`
	Polyline int    `json:"polyline,omitempty"`
	Keypoint int    `json:"keypoint,omitempty"`
}

// SizeCounts are about the images whose size is known.
type SizeCounts struct {
	Known    int       `json:"known"`
	Distinct int       `json:"distinct"`
	Smallest ImageSize `json:"smallest"` // by pixels
	Largest  ImageSize `json:"largest"`
}

// ImageSize is in pixels.
type ImageSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Inspect goes through a source and counts what it holds.
func Inspect(ctx context.Context, src convert.Source, o Options) (Inspection, error) {
	i := Inspection{Description: src.Describe(), Classes: []ClassCounts{}}
	classes := make(map[string]*ClassCounts)
	sizes := make(map[convert.Size]struct{})
	o.Doing = "reading"
	summary, err := Run(ctx, src, o, func(c *Image) error {
		if c.Err != nil {
			return nil
		}
		i.addSize(c.Result.Size, sizes)
		if len(c.Result.Annotations) == 0 {
			i.Images.Empty++
			return nil
		}
		i.Images.Labelled++
		i.addAnnotations(c.Result.Annotations, classes)
		return nil
	})
	i.Images.Found, i.Images.Failed, i.Annotations, i.Accounts = summary.Images.Found, summary.Images.Failed, summary.Annotations, summary.Accounts
	i.Sizes.Distinct = len(sizes)
	for _, c := range classes {
		i.Classes = append(i.Classes, *c)
		if c.Polygon > 0 {
			i.Task = i.OutlineTask
		}
	}
	slices.SortFunc(i.Classes, func(a, b ClassCounts) int { return strings.Compare(a.Name, b.Name) })
	return i, err
}

func (i *Inspection) addSize(s convert.Size, seen map[convert.Size]struct{}) {
	if !s.Known() {
		return
	}
	seen[s] = struct{}{}
	size, pixels := ImageSize{s.Width, s.Height}, s.Width*s.Height
	if i.Sizes.Known == 0 || pixels < i.Sizes.Smallest.Width*i.Sizes.Smallest.Height {
		i.Sizes.Smallest = size
	}
	if i.Sizes.Known == 0 || pixels > i.Sizes.Largest.Width*i.Sizes.Largest.Height {
		i.Sizes.Largest = size
	}
	i.Sizes.Known++
}

func (i *Inspection) addAnnotations(annotations []pictograph.Annotation, classes map[string]*ClassCounts) {
	here := make(map[string]bool)
	for _, a := range annotations {
		c := classes[a.Name]
		if c == nil {
			c = &ClassCounts{Name: a.Name}
			classes[a.Name] = c
		}
		if !here[a.Name] {
			here[a.Name] = true
			c.Images++
		}
		switch convert.FormOf(a) {
		case convert.FormBox:
			c.BBox++
		case convert.FormOriented:
			c.Oriented++
		case convert.FormPolygon:
			c.Polygon++
		case convert.FormPolyline:
			c.Polyline++
		case convert.FormKeypoint:
			c.Keypoint++
		}
	}
}
