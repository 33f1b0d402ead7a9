package coco

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// otherMember is a member that says nothing that an annotation has a place for.
type otherMember struct {
	name  string
	value []byte
}

// memberCount counts the annotations of an image that have such a member.
type memberCount struct {
	name   string
	first  convert.Location
	count  int
	reason string
}

// memberNames are the names of a file's members that findings tell apart. Files may
// have an unbounded number, as where ids are keys.
type memberNames struct {
	mu    sync.Mutex
	known map[string]bool
}

// otherNames stands for the names beyond the bound.
const otherNames = "…"

// of is the name as findings say it.
func (n *memberNames) of(name string) string {
	const most = 100
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[name] {
		return name
	}
	if len(n.known) >= most {
		return otherNames
	}
	if n.known == nil {
		n.known = make(map[string]bool)
	}
	n.known[name] = true
	return name
}

// keeps reports whether the options ask for a member.
func (c *Converter) keeps(member string) bool {
	return c.options.KeepMembers.Has(member)
}

// carryMembers keeps the members that the options ask for as attributes and counts the
// others.
func (c *Converter) carryMembers(r *reader, o *convert.Object) {
	for _, m := range r.others {
		name := m.name
		if !c.keeps(name) {
			r.countMember(c.names.of(scan.Shorten(name)), o.At, "")
			continue
		}
		value, ok := keptValue(m.value)
		_, taken := o.Attributes[name]
		angle, _ := angleOf(value)
		switch {
		case name == rotationAttribute && angle != 0:
			r.countMember(c.names.of(scan.Shorten(name)), o.At, "would turn the box as an attribute of that name does, and nothing says that it means that")
		case !ok:
			r.countMember(c.names.of(scan.Shorten(name)), o.At, "is neither a scalar nor a list of at most 16")
		case taken:
			r.countMember(c.names.of(scan.Shorten(name)), o.At, "has the name of an attribute that is there")
		default:
			if o.Attributes == nil {
				o.Attributes = make(map[string]any, 1)
			}
			o.Attributes[name] = value
		}
	}
}

// countMember counts a member that is not carried over; why says what kept it from that
// where the options ask for it.
func (r *reader) countMember(name string, at convert.Location, why string) {
	for i := range r.members {
		if m := &r.members[i]; m.name == name && m.reason == why {
			m.count++
			return
		}
	}
	r.members = append(r.members, memberCount{name: name, first: at, count: 1, reason: why})
}

// reportMembers tells of each member of the image once.
func (r *reader) reportMembers(b *convert.Builder) {
	for _, m := range r.members {
		f := convert.Finding{Kind: convert.KindMember, Cause: m.name, Count: m.count, File: b.File, Image: b.Image, At: m.first.String()}
		switch {
		case m.name == otherNames:
			f.Reason = "further members have no place in an annotation"
			f.Action = "left out; --keep-members all keeps what attributes can hold"
		case m.reason != "":
			f.Reason, f.Action = fmt.Sprintf("the member %q %s", m.name, m.reason), "left out"
		default:
			f.Reason = fmt.Sprintf("the member %q has no place in an annotation", m.name)
			f.Action = "left out; --keep-members keeps it as an attribute"
		}
		b.Result.Findings = append(b.Result.Findings, f)
	}
	r.members = r.members[:0]
}

// keptValue is a member's value as an attribute: a scalar, or a short list of them.
func keptValue(raw []byte) (any, bool) {
	const most = 16
	if scan.IsObject(raw) {
		return nil, false
	}
	if scan.IsArray(raw) {
		n := 0
		for element := range scan.Elements(raw) {
			if n++; n > most || scan.IsArray(element) || scan.IsObject(element) || scan.Absent(element) {
				return nil, false
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil || finiteNumbers(value) != nil {
		return nil, false
	}
	return value, true
}

// namesImage reports whether a member is one that gives the name of an image.
func namesImage(member string) bool {
	switch member {
	case "file_name", "filename", "image_name", "image":
		return true
	}
	return false
}

// saidImage is the name of an image that such a member gives; "" where it gives none.
func saidImage(raw []byte) string {
	text := textIn(raw)
	if !source.IsImageName(text) {
		return ""
	}
	return path.Clean(strings.ReplaceAll(text, `\`, "/"))
}

// fits reports whether a name that is given beside an image's id may be of that image: its
// folders are compared where with them it is another one of the file.
func fits(said, image string, others map[string]bool) bool {
	return path.Base(said) == path.Base(image) && (strings.HasSuffix("/"+image, "/"+said) || !others[said])
}

// textIn is what a text says, without blanks around it, "" for all else.
func textIn(raw []byte) string {
	if !scan.IsString(raw) {
		return ""
	}
	return strings.TrimSpace(string(scan.TextOf(raw)))
}

// contradiction says of the members that have no place in an annotation whether one of them
// says something else of it than those that have: another image, another class, or that its
// bbox is in another notation. kind is "" where none does.
func (c *Converter) contradiction(others []otherMember, image, class string, boxed bool) (kind convert.Kind, reason string) {
	for _, m := range others {
		if namesImage(m.name) {
			if said := saidImage(m.value); said != "" && !fits(said, image, c.said) && (c.said == nil || c.said[said] || c.said[path.Base(said)]) {
				return convert.KindUnknownImage, fmt.Sprintf("its %s is %s, and its image_id that of %s: nothing tells which of the two it is of", m.name, convert.Display(textIn(m.value)), convert.Display(image))
			}
			continue
		}
		text := textIn(m.value)
		switch key := plainName(m.name); {
		case (m.name == "category_name" || m.name == "class_name") && text != "":
			_, listed := c.folded[strings.ToLower(text)]
			if relation := c.relation(text, class); relation != sameClass && (listed || relation != nearClass) {
				return convert.KindUnknownClass, otherClass(m.name, text, class)
			}
		case namesClass(key):
			if said := c.otherClassIn(m.value, class); said != "" {
				return convert.KindUnknownClass, otherClass(m.name, said, class)
			}
		}
		if boxed && otherNotation(m.name, m.value) {
			return convert.KindBoxNotation, saysNotation("its "+m.name, m.value)
		}
	}
	return "", ""
}

// plainName is a member's name without capitals and the signs between its words.
func plainName(member string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(member))
}

// namesClass reports whether a member of that plain name may name a class.
func namesClass(key string) bool {
	switch key {
	case "label", "labels", "class", "classes", "category", "categories", "cat", "cls", "name", "object", "title", "labelname", "categorylabel", "classlabel", "objectname", "objectclass", "categoryname", "classname":
		return true
	}
	return false
}

// classRelation is what a text says of a class.
type classRelation int

const (
	noClass    classRelation = iota // nothing
	sameClass                       // it is its name
	nearClass                       // it is that of a class above or below it
	otherOfAll                      // it is that of another one of the file
)

// relation compares a text with the name of a class; the case of letters does not matter, unless
// it tells categories apart.
func (c *Converter) relation(text, class string) classRelation {
	above := c.named[class]
	name, other := text, false
	if _, other = c.named[text]; !other {
		name, other = c.folded[strings.ToLower(text)]
	}
	switch {
	case text == class, strings.EqualFold(text, strings.TrimSpace(class)) && name != text, above != "" && strings.EqualFold(text, above+"/"+class):
		return sameClass
	case above != "" && strings.EqualFold(text, above), other && strings.EqualFold(c.named[name], class):
		return nearClass
	case other && name != class:
		return otherOfAll
	}
	if strings.EqualFold(text, strings.TrimSpace(class)) {
		return sameClass
	}
	return noClass
}

// otherClassIn is the name of another class of the file that a value gives, alone, in a list or as
// the name of an object; "" where it gives none, or the class itself too.
func (c *Converter) otherClassIn(raw []byte, class string) (other string) {
	switch {
	case scan.IsString(raw):
		if text := textIn(raw); c.relation(text, class) == otherOfAll {
			other = text
		}
	case scan.IsArray(raw):
		for element := range scan.Elements(raw) {
			if scan.IsString(element) && c.relation(textIn(element), class) == sameClass {
				return ""
			}
			if said := c.otherClassIn(element, class); said != "" {
				other = said
			}
		}
	case scan.IsObject(raw):
		eachMember(raw, func(name string, value []byte) {
			if name == "name" && scan.IsString(value) {
				other = c.otherClassIn(value, class)
			}
		})
	}
	return other
}

// eachMember calls a function with each member of an object, valid JSON.
func eachMember(object []byte, f func(name string, value []byte)) {
	var decoder jsontext.Decoder
	decoder.Reset(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true))
	_ = scan.ReadMembers(&decoder, object, func(name, value []byte) error { // no more is to be known of what cannot be read
		f(string(name), value)
		return nil
	})
}

func otherClass(member, text, class string) string {
	return fmt.Sprintf("its %s is %s, and its category_id that of %s: nothing tells which of the two it is", member, convert.Display(text), convert.Display(class))
}

// saysNotation says that a member is of another notation of boxes.
func saysNotation(what string, raw []byte) string {
	return fmt.Sprintf("%s is %s, and the bbox of a COCO file is x, y, width and height in pixels", what, scan.Shorten(string(raw)))
}

// notationIn is a member of the attributes of an annotation that says that its bbox is something
// else than COCO's are, "" where none does.
func notationIn(attributes []byte) (member string, value []byte) {
	if !scan.IsObject(attributes) || !slices.ContainsFunc([]string{`mode"`, `format"`, `bbox_type"`}, func(end string) bool { return bytes.Contains(attributes, []byte(end)) }) {
		return "", nil
	}
	eachMember(attributes, func(name string, raw []byte) {
		if otherNotation(name, raw) {
			member, value = name, raw
		}
	})
	return member, value
}

// notations are words for boxes that are not COCO's.
var notations = []string{"xyxy", "ltrb", "tlbr", "cxcywh", "xywhn", "yxyx"}

// otherNotation reports whether a member, of an annotation, its attributes, an image or the file,
// tells that a bbox is something else than COCO's are. Those who write of their format or of the
// box's type mean the notation where they name one.
func otherNotation(member string, raw []byte) bool {
	if scan.Absent(raw) {
		return false
	}
	text := strings.ToLower(textIn(raw))
	if scan.IsString(raw) && text == "" {
		return false
	}
	switch member {
	case "bbox_type":
		if slices.Contains([]string{"amodal", "visible", "modal", "bbox", "hbb", "box"}, text) {
			return false
		}
		fallthrough
	case "bbox_mode", "bbox_format", "box_mode", "box_format":
		return !saysXYWH(raw, text)
	case "format":
		return slices.ContainsFunc(notations, func(notation string) bool { return strings.Contains(text, notation) })
	}
	return false
}

// statesXYWH reports whether a member says of boxes that they are as COCO's are.
func statesXYWH(member string, raw []byte) bool {
	switch member {
	case "bbox_mode", "bbox_format", "bbox_type", "box_mode", "box_format":
		return saysXYWH(raw, strings.ToLower(textIn(raw)))
	}
	return false
}

// saysXYWH reports whether a member says that a bbox is as COCO's are: in words, or as the
// number that Detectron2 has for it.
func saysXYWH(raw []byte, text string) bool {
	letters := strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, text)
	switch strings.TrimPrefix(letters, "boxmode") {
	case "xywh", "xywhabs", "xywhabsolute", "xywhpixels", "coco", "cocoxywh", "ltwh", "tlwh", "xywidthheight", "xminyminwidthheight", "xminyminwh", "lefttopwidthheight", "topleftwidthheight":
		return true
	}
	return scan.IsNumber(raw) && scan.ParseNumber(raw) == 1
}
