package convert

import (
	"fmt"
	"slices"
	"strings"

	"pictosync/pictograph"
)

// ownID is an id of a source annotation that may be read as that of a part of another object, and
// the annotations that were made with it.
type ownID struct {
	at         Location
	id         string
	position   int
	first, end int
}

// likePart reports whether an id may be that of a part, or of a further shape, of another object.
func likePart(id string) bool {
	dash := strings.LastIndexByte(id, '-')
	if dash < 1 {
		return false
	}
	end := id[dash:]
	return end == furtherPolygons || end == furtherBox || strings.Trim(end[1:], "0123456789") == ""
}

// KeepApart gives new ids to annotations that their own would make parts of another of the
// source's objects: behind the result, in a dataset and in canonical lines, ids alone tell what is
// one object. It is called when all annotations are counted.
func (b *Builder) KeepApart() {
	if len(b.likeParts) == 0 {
		return
	}
	alone := b.Result
	alone.Ends = nil // as it is where ids alone tell
	for _, o := range ObjectsOf(alone, nil, nil) {
		whole := b.sourceOf(o.Members[0])
		for _, m := range o.Members[1:] {
			own := slices.IndexFunc(b.likeParts, func(own ownID) bool { return own.first <= m && m < own.end })
			if own < 0 || b.sourceOf(m) == whole {
				continue
			}
			b.rename(b.likeParts[own], o.ID)
			b.likeParts = slices.Delete(b.likeParts, own, own+1)
		}
	}
}

// sourceOf is which of the source's annotations an annotation was made of.
func (b *Builder) sourceOf(annotation int) int {
	place, _ := slices.BinarySearch(b.Result.Ends, annotation+1)
	return place
}

// rename gives the annotations of an id one that is made from their position and geometry.
func (b *Builder) rename(own ownID, object string) {
	annotations := b.Result.Annotations[own.first:own.end]
	var geometries []pictograph.Geometry
	for _, a := range annotations {
		geometries = append(geometries, a.Geometry)
	}
	b.Report(KindDuplicateID, own.at, fmt.Sprintf("its id is that of a part of the object %s, and the source has them as two", Display(object)), keptUnderMadeID)
	made := b.madeID(own.position, PartIDs(len(annotations)), geometries)
	for i := range annotations {
		was := annotations[i].ID
		annotations[i].ID = made + strings.TrimPrefix(was, own.id)
		b.ids.add(annotations[i].ID)
		for n := range b.Result.Findings {
			if f := &b.Result.Findings[n]; f.Annotation == was {
				f.Annotation = annotations[i].ID
			}
		}
	}
	b.placeFindings(own.at, annotations[0].ID)
}
