package source

import (
	"fmt"

	"pictosync/convert"
)

// imageSizes is what is known of the size of an image: as its label states it, as the
// header of its file does, and as the dataset lists it. Each may be unknown.
type imageSizes struct{ stated, local, listed convert.Size }

// own is the size that the source knows, the listed one where it knows none.
func (s imageSizes) own() convert.Size {
	for _, size := range []convert.Size{s.stated, s.local, s.listed} {
		if size.Known() {
			return size
		}
	}
	return convert.Size{}
}

// differ reports whether two of the sizes that are known do.
func (s imageSizes) differ() bool {
	own := s.own()
	for _, size := range []convert.Size{s.local, s.listed} {
		if size.Known() && size != own {
			return true
		}
	}
	return false
}

func (s imageSizes) String() string {
	text := ""
	for _, one := range []struct {
		size convert.Size
		what string
	}{{s.stated, "in its label"}, {s.local, "in its file"}, {s.listed, "in the dataset"}} {
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

// reconcile holds the sizes of an item's image against one another, once its labels are
// converted for the size that is own; normalized labels are so for whichever it is.
func (s setting) reconcile(item Item, sizes imageSizes, result *convert.Result) {
	result.Size = sizes.own()
	if !sizes.differ() || result.Read == 0 {
		return
	}
	target := sizes.listed
	if !target.Known() {
		target = sizes.local
	}
	report := func(kind convert.Kind, action string) {
		reason := "the image is " + sizes.String()
		if own := result.Size; own.Width == target.Height && own.Height == target.Width && own != target {
			reason += "; width and height are swapped, as where the EXIF orientation was applied on one side alone"
		}
		result.Findings = append(result.Findings, convert.Finding{Kind: kind, File: item.File, Image: item.Image, Reason: reason, Action: action})
	}
	switch {
	case s.options.OnSizeMismatch == SizeKeep:
		report(convert.KindResized, "the labels were kept as they stand, as --on-size-mismatch keep says")
	case s.options.OnSizeMismatch == SizeScale && convert.SameShape(result.Size, target):
		result.Scale(target)
		report(convert.KindResized, fmt.Sprintf("the labels were scaled to %d×%d, as --on-size-mismatch scale says", target.Width, target.Height))
	case s.options.OnSizeMismatch == SizeScale:
		report(convert.KindSizeMismatch, "it cannot be scaled, since the sides are in another ratio; --on-size-mismatch keep takes the labels as they stand")
	default:
		report(convert.KindSizeMismatch, "the image is left alone; --on-size-mismatch scale or keep takes its labels")
	}
}
