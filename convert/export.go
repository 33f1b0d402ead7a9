package convert

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Catalog knows the classes of a set of images, so that they can be written in
// a format that numbers its classes. Every image's Result is added first, and
// then, with the catalog complete, each is written.
type Catalog struct {
	mapped     *ClassMap
	categories map[string]*ExportCategory
	loose      poses // keypoints whose category nothing tells
	LargestID  int64 // of the annotations' whole-number ids
	Task       exportShapes
}

// ExportCategory is a class, with its keypoints where it is a pose.
type ExportCategory struct {
	Name     string
	Skeleton *pictograph.Skeleton
	// Unnamed is how many keypoints there is room for, where the category does not name
	// them or not all.
	Unnamed int
}

// exportShapes counts what there is to be written.
type exportShapes struct{ Boxes, Oriented, Polygons, Poses int }

// NewCatalog begins a catalog. Classes that the map numbers are in it from the
// start; m may be nil.
func NewCatalog(m *ClassMap) *Catalog {
	return &Catalog{mapped: m, categories: make(map[string]*ExportCategory), loose: poses{mapped: m}}
}

// Add takes on the classes of one image's result.
func (c *Catalog) Add(r Result) {
	for _, class := range r.Classes {
		if class.Skeleton != nil {
			c.category(class.Name).Skeleton = class.Skeleton
		}
	}
	for _, a := range r.Annotations {
		base := a.ID
		if parts := partOf.FindStringSubmatch(a.ID); parts != nil {
			base = parts[1]
		}
		for _, id := range []string{a.ID, base} {
			if n, err := strconv.ParseInt(id, 10, 64); err == nil {
				c.LargestID = max(c.LargestID, n)
			}
		}
	}
	for _, o := range ObjectsOf(r, nil, nil) {
		switch {
		case o.Keypoints != nil:
			c.Task.Poses++
			if !c.named(r, o) {
				c.loose.add(bodyKeypoints(o.Keypoints), o.name)
			}
			continue
		case o.Polygons != nil:
			c.Task.Polygons++
		case o.Box.Oriented != nil:
			c.Task.Oriented++
		default:
			c.Task.Boxes++
		}
		c.category(o.name)
	}
}

func (c *Catalog) category(name string) *ExportCategory {
	known := c.categories[name]
	if known == nil {
		known = &ExportCategory{Name: name}
		c.categories[name] = known
	}
	return known
}

// named reports whether the category of a pose is told by the image's classes
// or by the pose itself, and notes what it has.
func (c *Catalog) named(r Result, o ExportObject) bool {
	if class := templateOf(r.Classes, o.Keypoints); class != nil {
		known := c.category(class.Name)
		known.Unnamed = max(known.Unnamed, roomFor(class.Name, o))
		return true
	}
	if name, numbered := numberedName(o.Keypoints); numbered {
		known := c.category(name)
		known.Unnamed = max(known.Unnamed, roomFor(name, o))
		return true
	}
	if name, same := oneName(o.Keypoints); same {
		known := c.category(name)
		known.Unnamed = max(known.Unnamed, len(o.Keypoints))
		return true
	}
	return false
}

// keypointNumber is the number of a keypoint that is named after its category; false for all
// others.
func keypointNumber(category, keypoint string) (int, bool) {
	digits, ok := strings.CutPrefix(keypoint, category+"_")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && n < MaxSlots && strconv.Itoa(n) == digits
}

// MaxSlots bounds the keypoints of an object.
const MaxSlots = 1 << 14

// roomFor is how many keypoints an object has room for by the numbers of its keypoints.
func roomFor(category string, o ExportObject) int {
	room := min(o.slots, MaxSlots)
	for _, j := range o.Keypoints {
		if n, numbered := keypointNumber(category, j.Name); numbered {
			room = max(room, n+1)
		}
	}
	return room
}

var numberedKeypoints = regexp.MustCompile(`^(.+)_(0|[1-9][0-9]{0,3})$`)

// numberedName is the category that all keypoints of the body are named after, by their
// numbers. The keypoints of poses that name nothing at all, joint_0 and so on, have none.
func numberedName(keypoints []pictograph.Annotation) (string, bool) {
	name := ""
	used := make(map[int]bool)
	for _, j := range bodyKeypoints(keypoints) {
		parts := numberedKeypoints.FindStringSubmatch(j.Name)
		if parts == nil || name != "" && parts[1] != name || parts[1]+"_0" == DefaultKeypointName(0) || j.Geometry.(pictograph.Keypoint).Instance == 0 {
			return "", false
		}
		name = parts[1]
		n, _ := keypointNumber(name, j.Name)
		if used[n] {
			return "", false
		}
		used[n] = true
	}
	return name, name != ""
}

// BodyPart tells the keypoints that COCO-WholeBody has beside those of the body.
func BodyPart(keypoint string) (part, slot int, ok bool) {
	for i, p := range WholeBody {
		if n, numbered := keypointNumber(p.Name, keypoint); numbered && n < p.Keypoints {
			return i, n, true
		}
	}
	return 0, 0, false
}

// bodyKeypoints are the keypoints of the body, or all where there are no others.
func bodyKeypoints(keypoints []pictograph.Annotation) (body []pictograph.Annotation) {
	for i, j := range keypoints {
		if _, _, part := BodyPart(j.Name); part {
			body = slices.Clone(keypoints[:i])
			for _, j := range keypoints[i:] {
				if _, _, part := BodyPart(j.Name); !part {
					body = append(body, j)
				}
			}
			if len(body) == 0 {
				return keypoints
			}
			return body
		}
	}
	return keypoints
}

// oneName is the name that all keypoints have, as those of a category that names
// none: several of them, or a landmark that belongs to no instance.
func oneName(keypoints []pictograph.Annotation) (string, bool) {
	if len(keypoints) == 1 && keypoints[0].Geometry.(pictograph.Keypoint).Instance > 0 {
		return "", false
	}
	for _, j := range keypoints {
		if j.Name != keypoints[0].Name {
			return "", false
		}
	}
	return keypoints[0].Name, true
}

// templateOf is the class whose skeleton has all the keypoints; nil if none has. Keypoints that
// are named after the class by their number, or after a part of the body, may be beside.
func templateOf(classes []pictograph.Class, keypoints []pictograph.Annotation) *pictograph.Class {
	for i, class := range classes {
		if class.Skeleton == nil {
			continue
		}
		fits, any := true, false
		for _, j := range keypoints {
			if slices.ContainsFunc(class.Skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == j.Name }) {
				any = true
				continue
			}
			n, numbered := keypointNumber(class.Name, j.Name)
			_, _, part := BodyPart(j.Name)
			fits = fits && (part || numbered && n >= len(class.Skeleton.Nodes))
			any = any || numbered
		}
		if fits && any {
			return &classes[i]
		}
	}
	return nil
}

// CategoryOf is the category of a pose, from the image's classes, from the pose
// itself, or from what the keypoints of all images have in common.
func (c *Catalog) CategoryOf(r Result, o ExportObject) *ExportCategory {
	if o.Keypoints == nil {
		return c.category(o.name)
	}
	if class := templateOf(r.Classes, o.Keypoints); class != nil {
		return c.category(class.Name)
	}
	if name, numbered := numberedName(o.Keypoints); numbered {
		return c.category(name)
	}
	if name, same := oneName(o.Keypoints); same {
		return c.category(name)
	}
	return c.loose.category(bodyKeypoints(o.Keypoints)[0].Name)
}

// Numbers are those of all categories, from first on.
func (c *Catalog) Numbers(first int) map[string]int {
	names := slices.Collect(maps.Keys(c.categories))
	for _, l := range c.loose.categories() {
		names = append(names, l.Name)
	}
	return c.mapped.number(names, first)
}

// All are the categories by name, those that only the class map names too.
func (c *Catalog) All() map[string]*ExportCategory {
	out := maps.Clone(c.categories)
	for _, l := range c.loose.categories() {
		out[l.Name] = l
	}
	if c.mapped != nil {
		for _, name := range c.mapped.order {
			if out[name] == nil {
				out[name] = &ExportCategory{Name: name}
			}
		}
	}
	return out
}

// Poses finds out which keypoints belong together where no class says so: those
// that occur in one instance.
type poses struct {
	mapped *ClassMap
	group  map[string]string // union-find over keypoint names
	seen   []string          // in order of first appearance
	before map[[2]string]bool
	called map[string]string // the class of an object that has a keypoint, "" where several have
	made   []*ExportCategory
}

// Add takes on the keypoints of an object; its class is known where it has other shapes.
func (p *poses) add(keypoints []pictograph.Annotation, class string) {
	if p.group == nil {
		p.group, p.before, p.called = make(map[string]string), make(map[[2]string]bool), make(map[string]string)
	}
	if class != "" {
		for _, j := range keypoints {
			if other, known := p.called[j.Name]; known && other != class {
				p.called[j.Name] = ""
			} else {
				p.called[j.Name] = class
			}
		}
	}
	for i, j := range keypoints {
		if _, known := p.group[j.Name]; !known {
			p.group[j.Name] = j.Name
			p.seen = append(p.seen, j.Name)
		}
		if i > 0 {
			p.before[[2]string{keypoints[i-1].Name, j.Name}] = true
			a, b := p.find(keypoints[0].Name), p.find(j.Name)
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

// Categories are the groups, each with its keypoints in an order that agrees with
// that of the instances, as far as they agree themselves.
func (p *poses) categories() []*ExportCategory {
	if p.made != nil || len(p.seen) == 0 {
		return p.made
	}
	groups := make(map[string][]string)
	for _, name := range p.seen {
		root := p.find(name)
		groups[root] = append(groups[root], name)
	}
	several := 0
	for _, keypoints := range groups {
		if len(keypoints) > 1 {
			several++
		}
	}
	for _, root := range slices.Sorted(maps.Keys(groups)) {
		if len(groups[root]) == 1 { // never seen beside another keypoint
			p.made = append(p.made, &ExportCategory{Name: root, Unnamed: 1})
			continue
		}
		name := "pose"
		if several > 1 {
			name += " " + root
		}
		if p.mapped != nil && p.mapped.names[name] != "" {
			name = p.mapped.names[name]
		}
		if class := p.called[root]; class != "" && !slices.ContainsFunc(p.made, func(c *ExportCategory) bool { return c.Name == class }) {
			name = class
		}
		category := &ExportCategory{Name: name, Skeleton: &pictograph.Skeleton{Edges: [][2]int{}}}
		for _, keypoint := range p.ordered(groups[root]) {
			category.Skeleton.Nodes = append(category.Skeleton.Nodes, pictograph.SkeletonNode{Name: keypoint})
		}
		p.made = append(p.made, category)
	}
	return p.made
}

// ordered takes, again and again, the first keypoint that none of those left comes
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

func (p *poses) category(keypoint string) *ExportCategory {
	for _, c := range p.categories() {
		if c.Skeleton == nil && c.Name == keypoint || c.Skeleton != nil && slices.ContainsFunc(c.Skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == keypoint }) {
			return c
		}
	}
	return nil
}

// ExportObject is one object of an image: a box, the polygons of one source
// annotation, or the keypoints of one instance; or several of these, where all were taken
// from one.
type ExportObject struct {
	ID         string
	name       string // class; of a pose, see Catalog.CategoryOf
	Box        *pictograph.BBox
	Polygons   []pictograph.Polygon
	Keypoints  []pictograph.Annotation
	Given      *pictograph.Box // beside the keypoints
	slots      int             // keypoints there is room for; 0 where that is not told
	Scored     bool            // its keypoints have confidences of their own
	Confidence *float64
	Attributes map[string]any
	Members    []int // its annotations, by their places
}

// Shapes is how many kinds of shapes the object has.
func (o ExportObject) Shapes() (n int) {
	for _, has := range []bool{o.Box != nil, o.Polygons != nil, o.Keypoints != nil} {
		if has {
			n++
		}
	}
	return n
}

// LostAnnotations are places of annotations that the format written does not hold.
type LostAnnotations map[int]bool

// Lost counts the source's annotations of which nothing is left without some of the
// annotations that they became.
func (r *Result) Lost(some LostAnnotations) (n int) {
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

// ObjectsOf joins the annotations of an image that belong to one object: parts
// with the ids ID-0, ID-1, …, keypoints with one instance id, and what --all-geometries took
// beside the first shape. What cannot be written at all, or is lost with the joining, is
// reported and noted as lost; report may be nil.
func ObjectsOf(r Result, lost LostAnnotations, report func(kind Kind, at, reason, action string)) []ExportObject {
	if report == nil {
		report = func(Kind, string, string, string) {}
	}
	var objects []ExportObject
	instances := make(map[int]int) // instance id to place in objects
	for i := 0; i < len(r.Annotations); i++ {
		a := r.Annotations[i]
		at := "annotation " + scan.Shorten(a.ID)
		if a.AttributeList != nil {
			report(KindAttributes, at, "attributes in the list form have no place in the format", "left out")
		}
		o := ExportObject{ID: a.ID, name: a.Name, Confidence: a.Confidence, Attributes: a.Attributes, Members: []int{i}}
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			o.Box = &g
		case pictograph.Polygon:
			parts := partsFrom(r.Annotations[i:])
			for n, part := range r.Annotations[i : i+parts] {
				o.Polygons = append(o.Polygons, part.Geometry.(pictograph.Polygon))
				if n > 0 {
					o.Members = append(o.Members, i+n)
				}
			}
			if parts > 1 {
				o.ID = strings.TrimSuffix(a.ID, "-0")
			}
			i += parts - 1
		case pictograph.Keypoint:
			place, known := instances[g.Instance]
			if known && g.Instance > 0 {
				objects[place].join(a, at, report)
				objects[place].Members = append(objects[place].Members, i)
				continue
			}
			instances[g.Instance] = len(objects)
			o.Keypoints = []pictograph.Annotation{a}
			o.name = "" // a keypoint's
			o.Attributes = withoutOccluded(a.Attributes)
			o.ID = strings.TrimSuffix(a.ID, "-0")
			if box, given := r.Boxes[g.Instance]; given && g.Instance > 0 {
				o.Given = &box
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
func joinShapes(objects []ExportObject) []ExportObject {
	further := func(o ExportObject) (base string, ok bool) {
		switch {
		case o.Polygons != nil && o.Keypoints == nil && o.Box == nil:
			return strings.CutSuffix(o.ID, "-segmentation")
		case o.Box != nil && o.Keypoints == nil && o.Polygons == nil:
			return strings.CutSuffix(o.ID, "-box")
		}
		return "", false
	}
	if !slices.ContainsFunc(objects, func(o ExportObject) bool { _, ok := further(o); return ok }) {
		return objects
	}
	places := make(map[string]int)
	var out []ExportObject
	for _, o := range objects {
		base, ok := further(o)
		place, there := places[base]
		if !ok || !there || !out[place].takes(o) {
			if _, taken := places[o.ID]; !taken {
				places[o.ID] = len(out)
			}
			out = append(out, o)
			continue
		}
		first := &out[place]
		if o.Polygons != nil {
			first.Polygons = o.Polygons
		} else {
			first.Box = o.Box
		}
		first.name = o.name
		first.Members = append(first.Members, o.Members...)
	}
	return out
}

// takes reports whether a shape may be of the same object.
func (o ExportObject) takes(further ExportObject) bool {
	switch {
	case further.Polygons != nil && (o.Polygons != nil || o.Box != nil), further.Box != nil && o.Box != nil:
		return false
	case o.name != "" && o.name != further.name, !sameAttributes(o.Attributes, further.Attributes):
		return false
	}
	return o.Scored || sameConfidence(o.Confidence, further.Confidence)
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
		if _, polygon := a.Geometry.(pictograph.Polygon); !polygon || a.ID != PartID(base, n) || a.Name != first.Name ||
			!sameConfidence(a.Confidence, first.Confidence) || !sameAttributes(a.Attributes, first.Attributes) {
			break
		}
		n++
	}
	return n
}

func (o *ExportObject) join(a pictograph.Annotation, at string, report func(Kind, string, string, string)) {
	o.Scored = o.Scored || !sameConfidence(a.Confidence, o.Confidence)
	if !sameAttributes(withoutOccluded(a.Attributes), o.Attributes) {
		report(KindAttributes, at, "the keypoints of an instance have different attributes", "those of the first were taken")
	}
	o.Keypoints = append(o.Keypoints, a)
}

func sameConfidence(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }

func sameAttributes(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// withoutOccluded are a keypoint's attributes but for what its visibility says.
func withoutOccluded(attributes map[string]any) map[string]any {
	if !IsOccluded(attributes) {
		return attributes
	}
	rest := maps.Clone(attributes)
	delete(rest, "occluded")
	return rest
}

func IsOccluded(attributes map[string]any) bool { return attributes["occluded"] == "true" }

// Slots puts the keypoints of a pose in the order of their category; a keypoint that
// is not there is nil. Keypoints that find no place are returned too.
func (c *ExportCategory) Slots(keypoints []pictograph.Annotation) (slots []*pictograph.Annotation, extra []*pictograph.Annotation) {
	named := 0
	if c.Skeleton != nil {
		named = len(c.Skeleton.Nodes)
	}
	_, numbered := numberedName(keypoints)
	if c.Skeleton == nil && !numbered {
		for i := range keypoints {
			slots = append(slots, &keypoints[i])
		}
		for len(slots) < c.Unnamed {
			slots = append(slots, nil)
		}
		return slots, nil
	}
	slots = make([]*pictograph.Annotation, max(named, c.Unnamed))
keypoints:
	for i, j := range keypoints {
		for s := range named {
			if c.Skeleton.Nodes[s].Name == j.Name && slots[s] == nil {
				slots[s] = &keypoints[i]
				continue keypoints
			}
		}
		if n, ok := keypointNumber(c.Name, j.Name); ok && n >= named && n < len(slots) && slots[n] == nil {
			slots[n] = &keypoints[i]
			continue
		}
		extra = append(extra, &keypoints[i])
	}
	return slots, extra
}

// Lose notes that keypoints of the object have no place.
func (o ExportObject) Lose(lost LostAnnotations, keypoints []*pictograph.Annotation, r Result) {
	for _, m := range o.Members {
		if slices.ContainsFunc(keypoints, func(j *pictograph.Annotation) bool { return j.ID == r.Annotations[m].ID }) {
			lost[m] = true
		}
	}
}

func ReportInto(findings *[]Finding, image string) func(kind Kind, at, reason, action string) {
	return func(kind Kind, at, reason, action string) {
		*findings = append(*findings, Finding{Kind: kind, Image: image, At: at, Reason: reason, Action: action})
	}
}

func ReportExtra(report func(Kind, string, string, string), category string, extra []*pictograph.Annotation) {
	if len(extra) > 0 {
		report(KindKeypoints, "annotation "+scan.Shorten(extra[0].ID), fmt.Sprintf("%d keypoints have no place of their own in category %q", len(extra), category), "left out")
	}
}
