package worker

import (
	"fmt"
	"slices"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/store"
)

// declared are the classes that the source brings whatever its labels use.
func (p *planner) declared() []pictograph.Class {
	classes := p.src.Describe().Classes
	if len(p.OnlyClasses) == 0 {
		return classes
	}
	return slices.DeleteFunc(slices.Clone(classes), func(c pictograph.Class) bool { return !slices.Contains(p.OnlyClasses, c.Name) })
}

// onlyClasses narrows what an image is to have down to [Policies.OnlyClasses]:
// what it has of other classes stays as it is, where it is. It reads the image,
// whose backup that reading is too. Where an annotation of another class has an id of those
// brought back, nothing tells whether it is the same one, and the image is left alone.
func (p *planner) onlyClasses(result *convert.Result, image store.Image) (existing *dataset.Content, err error) {
	wanted := func(class string) bool { return slices.Contains(p.OnlyClasses, class) }
	result.Annotations = slices.DeleteFunc(slices.Clone(result.Annotations), func(a pictograph.Annotation) bool { return !wanted(a.Name) })
	result.Classes = slices.DeleteFunc(slices.Clone(result.Classes), func(c pictograph.Class) bool { return !wanted(c.Name) })
	if image.ID == "" || image.AnnotationCount == 0 {
		return nil, nil
	}
	content, err := p.ReadOrKnown(image.Ref, image.ID, image.Path, image.AnnotationCount, confirms(image), comparedWith(store.Hash{}, image)...)
	if err != nil {
		return nil, err
	}
	has, err := pictograph.DecodeAnnotations(content.Annotations)
	if err != nil {
		return nil, dataset.UnreadableError{Reason: err.Error()}
	}
	back := make(map[string]pictograph.Annotation, len(result.Annotations))
	for _, a := range result.Annotations {
		back[a.ID] = a
	}
	var merged []pictograph.Annotation
	for _, a := range has {
		b, ok := back[a.ID]
		if ok && !wanted(a.Name) {
			return nil, dataset.UnreadableError{Reason: fmt.Sprintf("annotation %q is of class %q now, and the backup has one of this id of class %q; restore the image with all of its classes, by --image", a.ID, a.Name, b.Name)}
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
	return &content, nil
}
