package worker

import (
	"fmt"
	"slices"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// declared are the classes that the source brings whatever its labels use.
func (r *run) declared() []pictograph.Class {
	classes := r.src.Describe().Classes
	if len(r.OnlyClasses) == 0 {
		return classes
	}
	return slices.DeleteFunc(slices.Clone(classes), func(c pictograph.Class) bool { return !slices.Contains(r.OnlyClasses, c.Name) })
}

// onlyClasses narrows what an image is to have down to [Options.OnlyClasses]:
// what it has of other classes stays as it is, where it is. It reads the image,
// whose backup that reading is too. Where an annotation of another class has an id of those
// brought back, nothing tells whether it is the same one, and the image is left alone.
func (r *run) onlyClasses(result *convert.Result, image store.Image) (there *kept, err error) {
	wanted := func(class string) bool { return slices.Contains(r.OnlyClasses, class) }
	result.Annotations = slices.DeleteFunc(slices.Clone(result.Annotations), func(a pictograph.Annotation) bool { return !wanted(a.Name) })
	result.Classes = slices.DeleteFunc(slices.Clone(result.Classes), func(c pictograph.Class) bool { return !wanted(c.Name) })
	if image.ID == "" || image.AnnotationCount == 0 {
		return nil, nil
	}
	k := r.read(ready{row: store.Item{ImageID: image.ID, Path: image.Path}, image: image})
	if k.fatal != nil || k.reason != "" {
		return &k, nil
	}
	has, err := pictograph.DecodeAnnotations(k.backup.Annotations)
	if err != nil {
		return nil, err
	}
	back := make(map[string]pictograph.Annotation, len(result.Annotations))
	for _, a := range result.Annotations {
		back[a.ID] = a
	}
	var merged []pictograph.Annotation
	for _, a := range has {
		b, ok := back[a.ID]
		if ok && !wanted(a.Name) {
			return &kept{reason: fmt.Sprintf("annotation %q is of class %q now, and the backup has one of this id of class %q; restore the image with all of its classes, by --image", a.ID, a.Name, b.Name)}, nil
		}
		if ok {
			merged = append(merged, b)
			delete(back, a.ID)
		} else if !wanted(a.Name) {
			merged = append(merged, a)
		}
	}
	for _, a := range result.Annotations {
		if _, left := back[a.ID]; left {
			merged = append(merged, a)
		}
	}
	result.Annotations = merged
	return &k, nil
}
