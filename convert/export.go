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
	// unnamed is how many joints there is room for, where the category does not name
	// them or not all.
	unnamed int
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
	for _, o := range objectsOf(r, nil, nil) {
		switch {
		case o.joints != nil:
			c.task.poses++
			if !c.named(r, o) {
				c.loose.add(bodyJoints(o.joints), o.name)
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
	if class := templateOf(r.Classes, o.joints); class != nil {
		known := c.category(class.Name)
		known.unnamed = max(known.unnamed, roomFor(class.Name, o))
		return true
	}
	if name, numbered := numberedName(o.joints); numbered {
		known := c.category(name)
		known.unnamed = max(known.unnamed, roomFor(name, o))
		return true
	}
	if name, same := oneName(o.joints); same {
		known := c.category(name)
		known.unnamed = max(known.unnamed, len(o.joints))
		return true
	}
	return false
}

// jointNumber is the number of a joint that is named after its category; false for all
// others.
func jointNumber(category, joint string) (int, bool) {
	digits, ok := strings.CutPrefix(joint, category+"_")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && n < maxSlots && strconv.Itoa(n) == digits
}

// maxSlots bounds the joints of an object.
const maxSlots = 1 << 14

// roomFor is how many joints an object has room for by the numbers of its joints.
func roomFor(category string, o exportObject) int {
	room := min(o.slots, maxSlots)
	for _, j := range o.joints {
		if n, numbered := jointNumber(category, j.Name); numbered {
			room = max(room, n+1)
		}
	}
	return room
}

var numberedJoints = regexp.MustCompile(`^(.+)_(0|[1-9][0-9]{0,3})$`)

// numberedName is the category that all joints of the body are named after, by their
// numbers. The joints of poses that name nothing at all, joint_0 and so on, have none.
func numberedName(joints []pictograph.Annotation) (string, bool) {
	name := ""
	used := make(map[int]bool)
	for _, j := range bodyJoints(joints) {
		parts := numberedJoints.FindStringSubmatch(j.Name)
		if parts == nil || name != "" && parts[1] != name || parts[1]+"_0" == defaultJointName(0) || j.Geometry.(pictograph.Keypoint).Instance == 0 {
			return "", false
		}
		name = parts[1]
		n, _ := jointNumber(name, j.Name)
		if used[n] {
			return "", false
		}
		used[n] = true
	}
	return name, name != ""
}

// bodyPart tells the joints that COCO-WholeBody has beside those of the body.
func bodyPart(joint string) (part, slot int, ok bool) {
	for i, p := range wholeBody {
		if n, numbered := jointNumber(p.name, joint); numbered && n < p.joints {
			return i, n, true
		}
	}
	return 0, 0, false
}

// bodyJoints are the joints of the body, or all where there are no others.
func bodyJoints(joints []pictograph.Annotation) (body []pictograph.Annotation) {
	for i, j := range joints {
		if _, _, part := bodyPart(j.Name); part {
			body = slices.Clone(joints[:i])
			for _, j := range joints[i:] {
				if _, _, part := bodyPart(j.Name); !part {
					body = append(body, j)
				}
			}
			if len(body) == 0 {
				return joints
			}
			return body
		}
	}
	return joints
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

// templateOf is the class whose skeleton has all the joints; nil if none has. Joints that
// are named after the class by their number, or after a part of the body, may be beside.
func templateOf(classes []pictograph.Class, joints []pictograph.Annotation) *pictograph.Class {
	for i, class := range classes {
		if class.Skeleton == nil {
			continue
		}
		fits, any := true, false
		for _, j := range joints {
			if slices.ContainsFunc(class.Skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == j.Name }) {
				any = true
				continue
			}
			n, numbered := jointNumber(class.Name, j.Name)
			_, _, part := bodyPart(j.Name)
			fits = fits && (part || numbered && n >= len(class.Skeleton.Nodes))
			any = any || numbered
		}
		if fits && any {
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
	if name, numbered := numberedName(o.joints); numbered {
		return c.category(name)
	}
	if name, same := oneName(o.joints); same {
		return c.category(name)
	}
	return c.loose.category(bodyJoints(o.joints)[0].Name)
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
	called map[string]string // the class of an object that has a joint, "" where several have
	made   []*exportCategory
}

// add takes on the joints of an object; its class is known where it has other shapes.
func (p *poses) add(joints []pictograph.Annotation, class string) {
	if p.group == nil {
		p.group, p.before, p.called = make(map[string]string), make(map[[2]string]bool), make(map[string]string)
	}
	if class != "" {
		for _, j := range joints {
			if other, known := p.called[j.Name]; known && other != class {
				p.called[j.Name] = ""
			} else {
				p.called[j.Name] = class
			}
		}
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
		if class := p.called[root]; class != "" && !slices.ContainsFunc(p.made, func(c *exportCategory) bool { return c.name == class }) {
			name = class
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
// annotation, or the joints of one instance; or several of these, where all were taken
// from one.
type exportObject struct {
	id         string
	name       string // class; of a pose, see Catalog.categoryOf
	box        *pictograph.BBox
	polygons   []pictograph.Polygon
	joints     []pictograph.Annotation
	given      *pictograph.Box // beside the joints
	slots      int             // joints there is room for; 0 where that is not told
	scored     bool            // its joints have confidences of their own
	confidence *float64
	attributes map[string]any
	members    []int // its annotations, by their places
}

// shapes is how many kinds of shapes the object has.
func (o exportObject) shapes() (n int) {
	for _, has := range []bool{o.box != nil, o.polygons != nil, o.joints != nil} {
		if has {
			n++
		}
	}
	return n
}

// lostAnnotations are places of annotations that the format written does not hold.
type lostAnnotations map[int]bool

// lost counts the source's annotations of which nothing is left without some of the
// annotations that they became.
func (r *Result) lost(some lostAnnotations) (n int) {
	if len(some) == 0 {
		return 0
	}
	at := 0
	for annotations := range r.sources() {
		left := false
		for range annotations {
			left = left || !some[at]
			at++
		}
		if !left && len(annotations) > 0 {
			n++
		}
	}
	return n
}

// partOf takes the id of a part from that of its object.
var partOf = regexp.MustCompile(`^(.+)-(0|[1-9][0-9]*)$`)

// objectsOf joins the annotations of an image that belong to one object: parts
// with the ids ID-0, ID-1, …, joints with one instance id, and what --all-geometries took
// beside the first shape. What cannot be written at all, or is lost with the joining, is
// reported and noted as lost; report may be nil.
func objectsOf(r Result, lost lostAnnotations, report func(kind Kind, at, reason, action string)) []exportObject {
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
		o := exportObject{id: a.ID, name: a.Name, confidence: a.Confidence, attributes: a.Attributes, members: []int{i}}
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			o.box = &g
		case pictograph.Polygon:
			parts := partsFrom(r.Annotations[i:])
			for n, part := range r.Annotations[i : i+parts] {
				o.polygons = append(o.polygons, part.Geometry.(pictograph.Polygon))
				if n > 0 {
					o.members = append(o.members, i+n)
				}
			}
			if parts > 1 {
				o.id = strings.TrimSuffix(a.ID, "-0")
			}
			i += parts - 1
		case pictograph.Keypoint:
			place, known := instances[g.Instance]
			if known && g.Instance > 0 {
				objects[place].join(a, at, report)
				objects[place].members = append(objects[place].members, i)
				continue
			}
			instances[g.Instance] = len(objects)
			o.joints = []pictograph.Annotation{a}
			o.name = "" // a joint's
			o.attributes = withoutOccluded(a.Attributes)
			o.id = strings.TrimSuffix(a.ID, "-0")
			if box, given := r.Boxes[g.Instance]; given && g.Instance > 0 {
				o.given = &box
			}
			if g.Instance > 0 {
				o.slots = r.Slots[g.Instance]
			}
		default:
			report(KindPolyline, at, "a polyline has no place in the format", "left out")
			if lost != nil {
				lost[i] = true
			}
			continue
		}
		objects = append(objects, o)
	}
	return joinShapes(objects)
}

// joinShapes joins the objects ID-segmentation and ID-box to the object ID, from which
// they were taken with it.
func joinShapes(objects []exportObject) []exportObject {
	further := func(o exportObject) (base string, ok bool) {
		switch {
		case o.polygons != nil && o.joints == nil && o.box == nil:
			return strings.CutSuffix(o.id, "-segmentation")
		case o.box != nil && o.joints == nil && o.polygons == nil:
			return strings.CutSuffix(o.id, "-box")
		}
		return "", false
	}
	if !slices.ContainsFunc(objects, func(o exportObject) bool { _, ok := further(o); return ok }) {
		return objects
	}
	places := make(map[string]int)
	var out []exportObject
	for _, o := range objects {
		base, ok := further(o)
		place, there := places[base]
		if !ok || !there || !out[place].takes(o) {
			if _, taken := places[o.id]; !taken {
				places[o.id] = len(out)
			}
			out = append(out, o)
			continue
		}
		first := &out[place]
		if o.polygons != nil {
			first.polygons = o.polygons
		} else {
			first.box = o.box
		}
		first.name = o.name
		first.members = append(first.members, o.members...)
	}
	return out
}

// takes reports whether a shape may be of the same object.
func (o exportObject) takes(further exportObject) bool {
	switch {
	case further.polygons != nil && (o.polygons != nil || o.box != nil), further.box != nil && o.box != nil:
		return false
	case o.name != "" && o.name != further.name, !sameAttributes(o.attributes, further.attributes):
		return false
	}
	return o.scored || sameConfidence(o.confidence, further.confidence)
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
	o.scored = o.scored || !sameConfidence(a.Confidence, o.confidence)
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
func (c *exportCategory) slots(joints []pictograph.Annotation) (slots []*pictograph.Annotation, extra []*pictograph.Annotation) {
	named := 0
	if c.skeleton != nil {
		named = len(c.skeleton.Nodes)
	}
	_, numbered := numberedName(joints)
	if c.skeleton == nil && !numbered {
		for i := range joints {
			slots = append(slots, &joints[i])
		}
		for len(slots) < c.unnamed {
			slots = append(slots, nil)
		}
		return slots, nil
	}
	slots = make([]*pictograph.Annotation, max(named, c.unnamed))
joints:
	for i, j := range joints {
		for s := range named {
			if c.skeleton.Nodes[s].Name == j.Name && slots[s] == nil {
				slots[s] = &joints[i]
				continue joints
			}
		}
		if n, ok := jointNumber(c.name, j.Name); ok && n >= named && n < len(slots) && slots[n] == nil {
			slots[n] = &joints[i]
			continue
		}
		extra = append(extra, &joints[i])
	}
	return slots, extra
}

// lose notes that joints of the object have no place.
func (o exportObject) lose(lost lostAnnotations, joints []*pictograph.Annotation, r Result) {
	for _, m := range o.members {
		if slices.ContainsFunc(joints, func(j *pictograph.Annotation) bool { return j.ID == r.Annotations[m].ID }) {
			lost[m] = true
		}
	}
}

func reporter(findings *[]Finding, image string) func(kind Kind, at, reason, action string) {
	return func(kind Kind, at, reason, action string) {
		*findings = append(*findings, Finding{Kind: kind, Image: image, At: at, Reason: reason, Action: action})
	}
}

func reportExtra(report func(Kind, string, string, string), category string, extra []*pictograph.Annotation) {
	if len(extra) > 0 {
		report(KindKeypoints, "annotation "+shorten(extra[0].ID), fmt.Sprintf("%d joints have no place of their own in category %q", len(extra), category), "left out")
	}
}
