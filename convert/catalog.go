package convert

import (
	"hash/maphash"
	"iter"
	"maps"
	"path"
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
	categories map[string]*CatalogEntry
	loose      poses             // keypoints whose category nothing tells
	told       map[string]*poses // of categories that the keypoints name, where nothing has their template
	stems      map[uint64]bool   // of the images' bare names, by their hashes; true where several have one
	places     map[Place]bool
	LargestID  int64 // of the annotations' whole-number ids
	Task       shapeCounts
}

// Place is the folder of an image, without those that BareName leaves out, and the splits that
// the source says it is in, a line each.
type Place struct{ Folder, Splits string }

// PlaceOf is that of an image by its bare name.
func PlaceOf(bare string, splits []string) Place {
	folder, _ := path.Split(bare)
	return Place{strings.TrimSuffix(folder, "/"), strings.Join(splits, "\n")}
}

// CatalogEntry is a class, with its keypoints where it is a pose.
type CatalogEntry struct {
	Name     string
	Skeleton *pictograph.Skeleton
	// Unnamed is how many keypoints there is room for, where the category does not name
	// them or not all.
	Unnamed int
}

// shapeCounts counts what there is to be written.
type shapeCounts struct{ Boxes, Oriented, Polygons, Poses int }

// NewCatalog begins a catalog. Classes that the map numbers are in it from the
// start; m may be nil.
func NewCatalog(m *ClassMap) *Catalog {
	return &Catalog{mapped: m, categories: make(map[string]*CatalogEntry), told: make(map[string]*poses), stems: make(map[uint64]bool), places: make(map[Place]bool), loose: poses{mapped: m}}
}

var stemSeed = maphash.MakeSeed()

// BareName is an image's path without the folders "images", which a format with a folder
// "labels" beside it has for the images themselves.
func BareName(image string) string {
	if !strings.Contains(image, "images/") {
		return image
	}
	parts := strings.Split(image, "/")
	folders := slices.DeleteFunc(parts[:len(parts)-1], func(folder string) bool { return folder == "images" })
	return strings.Join(append(slices.Clip(folders), path.Base(image)), "/")
}

func stemHash(image string) uint64 {
	return maphash.String(stemSeed, strings.TrimSuffix(image, path.Ext(image)))
}

// AddName takes on an image's name, and the splits that the source says it is in.
func (c *Catalog) AddName(image string, splits []string) {
	bare := BareName(image)
	hash := stemHash(bare)
	_, several := c.stems[hash]
	c.stems[hash] = several
	c.places[PlaceOf(bare, splits)] = true
}

// SharesStem reports whether another image has the same bare name but for its extension.
func (c *Catalog) SharesStem(image string) bool { return c.stems[stemHash(BareName(image))] }

// Places are those of all images, in no order.
func (c *Catalog) Places() iter.Seq[Place] { return maps.Keys(c.places) }

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

func (c *Catalog) category(name string) *CatalogEntry {
	known := c.categories[name]
	if known == nil {
		known = &CatalogEntry{Name: name}
		c.categories[name] = known
	}
	return known
}

// named reports whether the category of a pose is told by the image's classes
// or by the pose itself, and notes what it has.
func (c *Catalog) named(r Result, o WholeObject) bool {
	if o.told != "" {
		c.tell(o)
		return true
	}
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

// tell notes the keypoints of a pose whose category they name.
func (c *Catalog) tell(o WholeObject) {
	known := c.category(o.told)
	known.Unnamed = max(known.Unnamed, roomFor(o.told, o))
	var keypoints []pictograph.Annotation
	for _, j := range bodyKeypoints(o.Keypoints) {
		if _, numbered := keypointNumber(o.told, j.Name); !numbered {
			keypoints = append(keypoints, j)
		}
	}
	if c.told[o.told] == nil {
		c.told[o.told] = new(poses)
	}
	c.told[o.told].add(keypoints, "")
}

// complete gives the categories that keypoints name their templates where nothing else does.
func (c *Catalog) complete() {
	for name, told := range c.told {
		if known := c.category(name); known.Skeleton == nil && len(told.seen) > 0 {
			known.Skeleton = told.template(told.seen)
		}
	}
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
func roomFor(category string, o WholeObject) int {
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
func (c *Catalog) CategoryOf(r Result, o WholeObject) *CatalogEntry {
	if o.Keypoints == nil {
		return c.category(o.name)
	}
	if o.told != "" {
		return c.category(o.told)
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
	c.complete()
	names := slices.Collect(maps.Keys(c.categories))
	for _, l := range c.loose.categories() {
		names = append(names, l.Name)
	}
	return c.mapped.number(names, first)
}

// All are the categories by name, those that only the class map names too.
func (c *Catalog) All() map[string]*CatalogEntry {
	c.complete()
	out := maps.Clone(c.categories)
	for _, l := range c.loose.categories() {
		out[l.Name] = l
	}
	if c.mapped != nil {
		for _, name := range c.mapped.order {
			if out[name] == nil {
				out[name] = &CatalogEntry{Name: name}
			}
		}
	}
	return out
}

// poses finds out which keypoints belong together where no class says so: those
// that occur in one instance.
type poses struct {
	mapped *ClassMap
	group  map[string]string // union-find over keypoint names
	seen   []string          // in order of first appearance
	before map[[2]string]bool
	called map[string]string // the class of an object that has a keypoint, "" where several have
	made   []*CatalogEntry
}

// add takes on the keypoints of an object; its class is known where it has other shapes.
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

// categories are the groups, each with its keypoints in an order that agrees with
// that of the instances, as far as they agree themselves.
func (p *poses) categories() []*CatalogEntry {
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
		name := "pose"
		if several > 1 {
			name += " " + root
		}
		if p.mapped != nil && p.mapped.names[name] != "" {
			name = p.mapped.names[name]
		}
		if len(groups[root]) == 1 { // never seen beside another keypoint
			name = root
		}
		if class := p.called[root]; class != "" && !slices.ContainsFunc(p.made, func(c *CatalogEntry) bool { return c.Name == class }) {
			name = class
		}
		p.made = append(p.made, &CatalogEntry{Name: name, Skeleton: p.template(groups[root])})
	}
	return p.made
}

// template is a skeleton of keypoints in their order, without edges.
func (p *poses) template(keypoints []string) *pictograph.Skeleton {
	s := &pictograph.Skeleton{Edges: [][2]int{}}
	for _, keypoint := range p.ordered(keypoints) {
		s.Nodes = append(s.Nodes, pictograph.SkeletonNode{Name: keypoint})
	}
	return s
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

func (p *poses) category(keypoint string) *CatalogEntry {
	for _, c := range p.categories() {
		if slices.ContainsFunc(c.Skeleton.Nodes, func(n pictograph.SkeletonNode) bool { return n.Name == keypoint }) {
			return c
		}
	}
	return nil
}
