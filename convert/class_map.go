package convert

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pictosync/internal/yamldoc"
	"pictosync/pictograph"
)

// ClassMap renames, merges and drops classes, and says which number each has
// in formats that number them. A nil map changes nothing.
type ClassMap struct {
	names   map[string]string // source name to name; "" drops
	order   []string          // names in the order of the file
	numbers map[string]int
}

// ParseClassMap reads a class map, YAML:
//
//	car: vehicle            # rename; several may have one name, and are merged
//	ignore: null            # drop
//	person: person          # keep, in this place of the order
//	bus: {name: vehicle}    # as bus: vehicle
//	sign: {id: 7}           # keep, with the number 7 in COCO and YOLO
//
// Classes that it does not name stay what they are.
func ParseClassMap(data []byte) (*ClassMap, error) {
	docs, err := yamldoc.Parse(data)
	if err != nil {
		return nil, err
	}
	if len(docs) > 1 {
		return nil, errors.New("holds several documents")
	}
	var entries []yamldoc.Pair
	if len(docs) == 1 {
		if entries, err = yamldoc.Pairs(docs[0]); err != nil {
			return nil, err
		}
	}
	m := &ClassMap{names: make(map[string]string), numbers: make(map[string]int)}
	for _, e := range entries {
		if err := m.entry(e.Key.Value, e.Value); err != nil {
			return nil, fmt.Errorf("class %q: %w", e.Key.Value, err)
		}
	}
	taken := make(map[int]string)
	for _, name := range m.order {
		n, ok := m.numbers[name]
		if !ok {
			continue
		}
		if other, twice := taken[n]; twice {
			return nil, fmt.Errorf("%q and %q both have the id %d", other, name, n)
		}
		taken[n] = name
	}
	return m, nil
}

func (m *ClassMap) entry(from string, value *yamldoc.Node) error {
	name, number := from, -1
	if yamldoc.Null(value) {
		m.names[from] = ""
		return nil
	}
	if !yamldoc.IsMapping(value) {
		text, err := yamldoc.Text(value)
		if err != nil {
			return errors.New("is neither a name, nor null, nor {name: …, id: …}")
		}
		name = text
	} else {
		pairs, err := yamldoc.Pairs(value)
		if err != nil {
			return err
		}
		for _, e := range pairs {
			text, err := yamldoc.Text(e.Value)
			if err != nil {
				return fmt.Errorf("%s %w", e.Key.Value, err)
			}
			switch e.Key.Value {
			case "name":
				name = text
			case "id":
				if number, err = strconv.Atoi(text); err != nil || number < 0 || number > 1<<31-1 {
					return fmt.Errorf("the id %s is no whole number from 0 on", text)
				}
			default:
				return fmt.Errorf("unknown key %q; there are name and id", e.Key.Value)
			}
		}
	}
	if Blank(name) {
		return errors.New("its new name is blank; null drops a class")
	}
	m.names[from] = name
	if !slices.Contains(m.order, name) {
		m.order = append(m.order, name)
	}
	if number < 0 {
		return nil
	}
	if old, twice := m.numbers[name]; twice && old != number {
		return fmt.Errorf("%q has the ids %d and %d", name, old, number)
	}
	m.numbers[name] = number
	return nil
}

// Keys are the classes that the map names, as the source has them.
func (m *ClassMap) Keys() []string { return slices.Sorted(maps.Keys(m.names)) }

// Key is the key of the map that a class of the source has; fits is false where none is.
func (m *ClassMap) Key(class string) (key string, fits bool) {
	if _, fits = m.names[class]; fits {
		return class, true
	}
	if parts := numberedKeypoints.FindStringSubmatch(class); parts != nil {
		_, fits = m.names[parts[1]]
		return parts[1], fits
	}
	return "", false
}

// Apply renames and drops in a result; file and image are for its findings.
func (m *ClassMap) Apply(r *Result, file, image string) {
	if m == nil {
		return
	}
	dropped := make(map[string]int)
	category := make(map[string]string) // of keypoints, where they do not say it themselves
	for _, c := range r.Classes {
		if c.Skeleton != nil {
			for _, keypoint := range c.Skeleton.Nodes {
				category[keypoint.Name] = c.Name
			}
		}
	}
	kept, taken := r.Annotations[:0], r.Ends[:0]
	for annotations := range r.sources() {
		before := len(kept)
		for _, a := range annotations {
			own := a.Name
			name, listed := m.of(own)
			switch {
			case !listed:
			case name == "":
				dropped[a.Name]++
				continue
			default:
				a.Name = name
			}
			if _, keypoint := a.Geometry.(pictograph.Keypoint); keypoint {
				rest, class := withoutClass(a.Attributes)
				of := cmp.Or(class, category[own])
				switch name, listed := m.of(of); {
				case of == "" || !listed:
				case name == "":
					dropped[of]++
					continue
				case class == "":
				default:
					rest[InstanceClass] = name
					a.Attributes = rest
				}
			}
			kept = append(kept, a)
		}
		if len(kept) == before {
			r.LeftOut++
			r.Unwanted++
		} else if r.Ends != nil { // else each is one
			taken = append(taken, len(kept))
		}
	}
	r.Annotations, r.Ends = kept, taken
	r.Classes = m.classes(r.Classes)
	for _, name := range slices.Sorted(maps.Keys(dropped)) {
		r.Findings = append(r.Findings, Finding{Kind: KindMappedAway, Cause: name, Count: dropped[name], File: file, Image: image,
			Reason: fmt.Sprintf("%d annotations of class %q, which the class map drops", dropped[name], name), Action: "left out"})
	}
}

// of is what becomes of a class. Keypoints that are named after a class by their number
// follow it.
func (m *ClassMap) of(class string) (name string, listed bool) {
	key, listed := m.Key(class)
	if !listed {
		return "", false
	}
	if name = m.names[key]; name != "" {
		name += class[len(key):]
	}
	return name, true
}

func (m *ClassMap) classes(classes []pictograph.Class) []pictograph.Class {
	var out []pictograph.Class
	for _, c := range classes {
		name, listed := m.of(c.Name)
		if listed && name == "" {
			continue
		}
		if listed {
			c.Name = name
		}
		c.Skeleton = m.skeleton(c.Skeleton)
		same := func(o pictograph.Class) bool { return o.Name == c.Name && o.Type == c.Type }
		if i := slices.IndexFunc(out, same); i < 0 {
			out = append(out, c)
		} else if out[i].Skeleton == nil {
			out[i].Skeleton = c.Skeleton
		}
	}
	return out
}

// skeleton renames keypoints. One whose class is dropped keeps its place: edges
// and triplets count keypoints.
func (m *ClassMap) skeleton(s *pictograph.Skeleton) *pictograph.Skeleton {
	if s == nil {
		return nil
	}
	renamed := &pictograph.Skeleton{Nodes: slices.Clone(s.Nodes), Edges: s.Edges}
	for i := range renamed.Nodes {
		if name := m.names[renamed.Nodes[i].Name]; name != "" {
			renamed.Nodes[i].Name = name
		}
	}
	return renamed
}

// number gives every class a number from first on: those that the map numbers
// theirs, the others the smallest that are free, in the order of the map and
// then of their names. Classes of the map count where no annotation has them,
// so that numbers stay the same from one day to the next.
func (m *ClassMap) number(classes []string, first int) map[string]int {
	order := slices.Sorted(slices.Values(classes))
	numbers := make(map[string]int)
	taken := make(map[int]bool)
	if m != nil {
		order = append(slices.Clone(m.order), order...)
		for name, n := range m.numbers {
			numbers[name], taken[n] = n, true
		}
	}
	next := first
	for _, name := range order {
		if _, done := numbers[name]; done {
			continue
		}
		for taken[next] {
			next++
		}
		numbers[name], taken[next] = next, true
	}
	return numbers
}

// Fold is a class name without what people overlook: two names that fold to
// the same are most likely meant to be one class.
func Fold(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
