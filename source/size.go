package source

import (
	"cmp"
	"fmt"

	"pictosync/convert"
)

// ImageSizes is what is known of the size of an image: as its label states it, as the
// header of its file does, and as the dataset lists it. Each may be unknown. StatedIn is where
// the first stands, for messages; "" is its label.
type ImageSizes struct {
	Stated, Local, Listed convert.Size
	StatedIn              string
}

// Own is the size that the source knows, the listed one where it knows none.
func (s ImageSizes) Own() convert.Size {
	for _, size := range []convert.Size{s.Stated, s.Local, s.Listed} {
		if size.Known() {
			return size
		}
	}
	return convert.Size{}
}

// Differ reports whether two of the sizes that are known do.
func (s ImageSizes) Differ() bool {
	own := s.Own()
	for _, size := range []convert.Size{s.Local, s.Listed} {
		if size.Known() && size != own {
			return true
		}
	}
	return false
}

// String names all that are known.
func (s ImageSizes) String() string {
	text := ""
	for _, one := range []struct {
		size convert.Size
		what string
	}{{s.Stated, "in " + cmp.Or(s.StatedIn, "its label")}, {s.Local, "in its file"}, {s.Listed, "in the dataset"}} {
		if !one.size.Known() {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d×%d %s", one.size.Width, one.size.Height, one.what)
	}
	return text
}

// Reconcile holds the sizes of an item's image against one another, once its labels are
// converted for the size that is own; normalized labels are so for whichever it is.
func (s Files) Reconcile(item convert.Item, sizes ImageSizes, result *convert.Result) {
	result.Size = sizes.Own()
	if !sizes.Differ() || result.Read == 0 {
		return
	}
	target := sizes.Listed
	if !target.Known() {
		target = sizes.Local
	}
	report := func(kind convert.Kind, action string) {
		reason := "the image is " + sizes.String()
		if own := result.Size; own.Width == target.Height && own.Height == target.Width && own != target {
			reason += "; width and height are swapped, as where the EXIF orientation was applied on one side alone"
		}
		result.Findings = append(result.Findings, convert.Finding{Kind: kind, File: item.File, Image: item.Image, Reason: reason, Action: action})
	}
	switch {
	case s.Options.OnSizeMismatch == convert.SizeKeep:
		report(convert.KindResized, "the labels were kept as they stand, as --on-size-mismatch keep says")
	case s.Options.OnSizeMismatch == convert.SizeScale && convert.SameShape(result.Size, target):
		result.Scale(target)
		report(convert.KindResized, fmt.Sprintf("the labels were scaled to %d×%d, as --on-size-mismatch scale says", target.Width, target.Height))
	case s.Options.OnSizeMismatch == convert.SizeScale:
		report(convert.KindSizeMismatch, "it cannot be scaled, since the sides are in another ratio; --on-size-mismatch keep takes the labels as they stand")
	case !convert.SameShape(result.Size, target):
		report(convert.KindSizeMismatch, "the image is left alone; --on-size-mismatch keep takes its labels as they stand")
	default:
		report(convert.KindSizeMismatch, "the image is left alone; --on-size-mismatch scale or keep takes its labels")
	}
}
