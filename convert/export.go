package convert

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pictosync/pictograph"
)

// Catalog knows the classes of a set of images, so that they can be written in
// a format that numbers its classes. Every image's Result is added first, and
// then, with the catalog complete, each is written.
type Catalog struct {
	mapped     *ClassMap
	categories map[string]*exportCategory
	loose      poses // joints whose category nothing tells
	largestID  int64 // of the annotations' whole-number ids
	task       exportShapes
}

// exportCategory is a class, with its joints where it is a pose.
type exportCategory struct {
	name     string
	skeleton *pictograph.Skeleton
	unnamed  int // joints of a category that names none
}

// exportShapes counts what there is to be written.
type exportShapes struct{ boxes, oriented, polygons, poses int }

// NewCatalog begins a catalog. Classes that the map numbers are in it from the
// start; m may be nil.
func NewCatalog(m *ClassMap) *Catalog {
	return &Catalog{mapped: m, categories: make(map[string]*exportCategory), loose: poses{mapped: m}}
}

// Add takes on the classes of one image's result.
func (c *Catalog) Add(r Result) {
	for _, class := range r.Classes {
		if class.Skeleton != nil {
			c.category(class.Name).skeleton = class.Skeleton
		}
	}
	for _, a := range r.Annotations {
		base := a.ID
		if parts := partOf.FindStringSubmatch(a.ID); parts != nil {
			base = parts[1]
		}
		for _, id := range []string{a.ID, base} {
			if n, err := strconv.ParseInt(id, 10, 64); err == nil {
				c.largestID = max(c.largestID, n)
			}
		}
	}
	for _, o := range objectsOf(r, nil) {
		switch {
		case o.joints != nil:
			c.task.poses++
			if !c.named(r, o) {
				c.loose.add(o.joints)
			}
			continue
		case o.polygons != nil:
			c.task.polygons++
		case o.box.Oriented != nil:
			c.task.oriented++
		default:
			c.task.boxes++
		}
		c.category(o.name)
	}
}

func (c *Catalog) category(name string) *exportCategory {
	known := c.categories[name]
	if known == nil {
		known = &exportCategory{name: name}
		c.categories[name] = known
	}
	return known
}

// named reports whether the category of a pose is told by the image's classes
// or by the pose itself, and notes what it has.
func (c *Catalog) named(r Result, o exportObject) bool {
	if templateOf(r.Classes, o.joints) != nil {
		return true
	}
	if name, same := oneName(o.joints); same {
		known := c.category(name)
		known.unnamed = max(known.unnamed, len(o.joints))
		return true
	}
	return false
}

// oneName is the name that all joints have, as those of a category that names
// none: several of them, or a landmark that belongs to no instance.
func oneName(joints []pictograph.Annotation) (string, bool) {
	if len(joints) == 1 && joints[0].Geometry.(pictograph.Keypoint).Instance > 0 {
		return "", false
	}
	for _, j := range joints {
		if j.Name != joints[0].Name {
			return "", false
		}
	}
	return joints[0].Name, true
}

// templateOf is the class whose skeleton has all the joints; nil if none has.
func templateOf(classes []pictograph.Class, joints []pictograph.Annotation) *pictograph.Class {
	for i, class := range classes {
		if class.Skeleton == nil {
			continue
		}
		fits := true
		for _, j := range joints {
			fits = fits && slices.ContainsFunc(class.Skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == j.Name })
		}
		if fits {
			return &classes[i]
		}
	}
	return nil
}

// categoryOf is the category of a pose, from the image's classes, from the pose
// itself, or from what the joints of all images have in common.
func (c *Catalog) categoryOf(r Result, o exportObject) *exportCategory {
	if o.joints == nil {
		return c.category(o.name)
	}
	if class := templateOf(r.Classes, o.joints); class != nil {
		return c.category(class.Name)
	}
	if name, same := oneName(o.joints); same {
		return c.category(name)
	}
	return c.loose.category(o.joints[0].Name)
}

// numbers are those of all categories, from first on.
func (c *Catalog) numbers(first int) map[string]int {
	names := slices.Collect(maps.Keys(c.categories))
	for _, l := range c.loose.categories() {
		names = append(names, l.name)
	}
	return c.mapped.number(names, first)
}

// all are the categories by name, those that only the class map names too.
func (c *Catalog) all() map[string]*exportCategory {
	out := maps.Clone(c.categories)
	for _, l := range c.loose.categories() {
		out[l.name] = l
	}
	if c.mapped != nil {
		for _, name := range c.mapped.order {
			if out[name] == nil {
				out[name] = &exportCategory{name: name}
			}
		}
	}
	return out
}

// poses finds out which joints belong together where no class says so: those
// that occur in one instance.
type poses struct {
	mapped *ClassMap
	group  map[string]string // union-find over joint names
	seen   []string          // in order of first appearance
	before map[[2]string]bool
	made   []*exportCategory
}

func (p *poses) add(joints []pictograph.Annotation) {
	if p.group == nil {
		p.group, p.before = make(map[string]string), make(map[[2]string]bool)
	}
	for i, j := range joints {
		if _, known := p.group[j.Name]; !known {
			p.group[j.Name] = j.Name
			p.seen = append(p.seen, j.Name)
		}
		if i > 0 {
			p.before[[2]string{joints[i-1].Name, j.Name}] = true
			a, b := p.find(joints[0].Name), p.find(j.Name)
			p.group[max(a, b)] = min(a, b)
		}
	}
	p.made = nil
}

func (p *poses) find(name string) string {
	for p.group[name] != name {
		name = p.group[name]
	}
	return name
}

// categories are the groups, each with its joints in an order that agrees with
// that of the instances, as far as they agree themselves.
func (p *poses) categories() []*exportCategory {
	if p.made != nil || len(p.seen) == 0 {
		return p.made
	}
	groups := make(map[string][]string)
	for _, name := range p.seen {
		root := p.find(name)
		groups[root] = append(groups[root], name)
	}
	several := 0
	for _, joints := range groups {
		if len(joints) > 1 {
			several++
		}
	}
	for _, root := range slices.Sorted(maps.Keys(groups)) {
		if len(groups[root]) == 1 { // never seen beside another joint
			p.made = append(p.made, &exportCategory{name: root, unnamed: 1})
			continue
		}
		name := "pose"
		if several > 1 {
			name += " " + root
		}
		if p.mapped != nil && p.mapped.names[name] != "" {
			name = p.mapped.names[name]
		}
		category := &exportCategory{name: name, skeleton: &pictograph.Skeleton{Edges: [][2]int{}}}
		for _, joint := range p.ordered(groups[root]) {
			category.skeleton.Nodes = append(category.skeleton.Nodes, pictograph.SkeletonNode{Name: joint})
		}
		p.made = append(p.made, category)
	}
	return p.made
}

// ordered takes, again and again, the first joint that none of those left comes
// before; where they go in circles, the first that is left.
func (p *poses) ordered(names []string) (out []string) {
	left := slices.Clone(names)
	for len(left) > 0 {
		next := 0
		for i, name := range left {
			free := !slices.ContainsFunc(left, func(other string) bool { return other != name && p.before[[2]string{other, name}] })
			if free {
				next = i
				break
			}
		}
		out = append(out, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return out
}

func (p *poses) category(joint string) *exportCategory {
	for _, c := range p.categories() {
		if c.skeleton == nil && c.name == joint || c.skeleton != nil && slices.ContainsFunc(c.skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == joint }) {
			return c
		}
	}
	return nil
}

// exportObject is one object of an image: a box, the polygons of one source
// annotation, or the joints of one instance.
type exportObject struct {
	id         string
	name       string // class; of a pose, see Catalog.categoryOf
	box        *pictograph.BBox
	polygons   []pictograph.Polygon
	joints     []pictograph.Annotation
	confidence *float64
	attributes map[string]any
}

// partOf takes the id of a part from that of its object.
var partOf = regexp.MustCompile(`^(.+)-(0|[1-9][0-9]*)$`)

// objectsOf joins the annotations of an image that belong to one object: parts
// with the ids ID-0, ID-1, … and joints with one instance id. What cannot be
// written at all, or is lost with the joining, is reported; report may be nil.
func objectsOf(r Result, report func(kind Kind, at, reason, action string)) []exportObject {
	if report == nil {
		report = func(Kind, string, string, string) {}
	}
	var objects []exportObject
	instances := make(map[int]int) // instance id to place in objects
	for i := 0; i < len(r.Annotations); i++ {
		a := r.Annotations[i]
		at := "annotation " + shorten(a.ID)
		if a.AttributeList != nil {
			report(KindAttributes, at, "attributes in the list form have no place in the format", "left out")
		}
		o := exportObject{id: a.ID, name: a.Name, confidence: a.Confidence, attributes: a.Attributes}
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			o.box = &g
		case pictograph.Polygon:
			parts := partsFrom(r.Annotations[i:])
			for _, part := range r.Annotations[i : i+parts] {
				o.polygons = append(o.polygons, part.Geometry.(pictograph.Polygon))
			}
			if parts > 1 {
				o.id = strings.TrimSuffix(a.ID, "-0")
			}
			i += parts - 1
		case pictograph.Keypoint:
			place, known := instances[g.Instance]
			if known && g.Instance > 0 {
				objects[place].join(a, at, report)
				continue
			}
			instances[g.Instance] = len(objects)
			o.joints = []pictograph.Annotation{a}
			o.attributes = withoutOccluded(a.Attributes)
			o.id = strings.TrimSuffix(a.ID, "-0")
		default:
			report(KindPolyline, at, "a polyline has no place in the format", "left out")
			continue
		}
		objects = append(objects, o)
	}
	return objects
}

// partsFrom counts the polygons at the beginning that are parts of one object.
func partsFrom(annotations []pictograph.Annotation) int {
	first := annotations[0]
	base, ok := strings.CutSuffix(first.ID, "-0")
	if !ok || base == "" {
		return 1
	}
	n := 1
	for n < len(annotations) {
		a := annotations[n]
		if _, polygon := a.Geometry.(pictograph.Polygon); !polygon || a.ID != partID(base, n) || a.Name != first.Name ||
			!sameConfidence(a.Confidence, first.Confidence) || !sameAttributes(a.Attributes, first.Attributes) {
			break
		}
		n++
	}
	return n
}

func (o *exportObject) join(a pictograph.Annotation, at string, report func(Kind, string, string, string)) {
	if !sameConfidence(a.Confidence, o.confidence) {
		report(KindConfidence, at, "the joints of an instance have different confidences", "that of the first was taken")
	}
	if !sameAttributes(withoutOccluded(a.Attributes), o.attributes) {
		report(KindAttributes, at, "the joints of an instance have different attributes", "those of the first were taken")
	}
	o.joints = append(o.joints, a)
}

func sameConfidence(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }

func sameAttributes(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// withoutOccluded are a joint's attributes but for what its visibility says.
func withoutOccluded(attributes map[string]any) map[string]any {
	if !isOccluded(attributes) {
		return attributes
	}
	rest := maps.Clone(attributes)
	delete(rest, "occluded")
	return rest
}

func isOccluded(attributes map[string]any) bool { return attributes["occluded"] == "true" }

// slots puts the joints of a pose in the order of their category; a joint that
// is not there is nil. Joints that find no place are returned too.
func (c *exportCategory) slots(joints []pictograph.Annotation) (slots []*pictograph.Annotation, extra []pictograph.Annotation) {
	if c.skeleton == nil {
		for i := range joints {
			slots = append(slots, &joints[i])
		}
		return slots, nil
	}
	slots = make([]*pictograph.Annotation, len(c.skeleton.Nodes))
joints:
	for i, j := range joints {
		for s, node := range c.skeleton.Nodes {
			if node.Name == j.Name && slots[s] == nil {
				slots[s] = &joints[i]
				continue joints
			}
		}
		extra = append(extra, j)
	}
	return slots, extra
}

func reporter(findings *[]Finding, image string) func(kind Kind, at, reason, action string) {
	return func(kind Kind, at, reason, action string) {
		*findings = append(*findings, Finding{Kind: kind, Image: image, At: at, Reason: reason, Action: action})
	}
}

func reportExtra(report func(Kind, string, string, string), o exportObject, category string, extra []pictograph.Annotation) {
	if len(extra) > 0 {
		report(KindKeypoints, "annotation "+shorten(extra[0].ID), fmt.Sprintf("%d joints have no place of their own in category %q", len(extra), category), "left out")
	}
}
