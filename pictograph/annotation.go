package pictograph

import "encoding/json"

// Type names the geometry of an annotation on the wire.
type Type string

// The four annotation types of the service. An oriented (rotated) box is a
// bbox that also carries an oriented_box; a pose is several keypoints that
// share an instance_id.
const (
	TypeBBox     Type = "bbox"
	TypePolygon  Type = "polygon"
	TypePolyline Type = "polyline"
	TypeKeypoint Type = "keypoint"
)

// Annotation is one labelled object, or one keypoint of an object, on an image.
//
// Coordinates are absolute pixels, x to the right and y down, (0,0) the top
// left corner of the image's top left pixel.
type Annotation struct {
	// ID is unique among the annotations of one image and not blank.
	ID string
	// Name is the class, as the dataset spells it: case-sensitive, not blank.
	Name string
	// Geometry is one of BBox, Polygon, Polyline and Keypoint; its dynamic type
	// decides the "type" on the wire.
	Geometry Geometry
	// Confidence is 0 to 1; nil means the service's default, 1.
	Confidence *float64
	// CreatedBy is omitted on the wire when empty.
	CreatedBy string
	// Attributes are the class's ontology attributes, name to value.
	Attributes map[string]any
	// AttributeList is the legacy form of attributes. At most one of the two
	// is set.
	AttributeList []any
	// Unknown are the members that this package does not know, as they came from the
	// service: [DecodeAnnotations] keeps them, and they are written back. Nil where there
	// are none, as in what is made by a caller.
	Unknown map[string]json.RawMessage
}

// Geometry is the closed union of what an annotation can be: [BBox],
// [Polygon], [Polyline] or [Keypoint], always by value.
type Geometry interface {
	// Type is the annotation's "type" on the wire.
	Type() Type
	geometry()
}

// Point is a position in pixels.
type Point struct{ X, Y float64 }

// Box is an axis-aligned rectangle in pixels: top left corner and size.
// W and H are positive; X and Y may be negative.
type Box struct{ X, Y, W, H float64 }

// OrientedBox is a rotated rectangle: centre, extents along the box's own
// axes, and an angle in degrees, clockwise (y points down), 0 <= Angle < 360.
type OrientedBox struct{ CX, CY, W, H, Angle float64 }

// BBox is an axis-aligned box. When Oriented is set, Box is the axis-aligned
// enclosure of the rotated rectangle.
type BBox struct {
	Box      Box
	Oriented *OrientedBox
}

// Polygon is one connected region. The first ring is the outline, further
// rings are holes (even-odd rule); a ring has at least three points and is
// closed implicitly. Two separate regions are two annotations.
type Polygon struct {
	Rings [][]Point
	// Box is the enclosing rectangle; the service computes it when nil.
	Box *Box
}

// Polyline is an open path of at least two points.
type Polyline struct {
	Path []Point
	// Box is the enclosing rectangle; the service computes it when nil.
	Box *Box
}

// Keypoint is a single point, named for its keypoint's class. Keypoints of one
// object share Instance.
type Keypoint struct {
	Point Point
	// Instance is the object the point belongs to, counted from 1 per image;
	// 0 means the point stands alone and has no instance_id on the wire.
	Instance int
}

// Type returns [TypeBBox].
func (BBox) Type() Type { return TypeBBox }

// Type returns [TypePolygon].
func (Polygon) Type() Type { return TypePolygon }

// Type returns [TypePolyline].
func (Polyline) Type() Type { return TypePolyline }

// Type returns [TypeKeypoint].
func (Keypoint) Type() Type { return TypeKeypoint }

func (BBox) geometry()     {}
func (Polygon) geometry()  {}
func (Polyline) geometry() {}
func (Keypoint) geometry() {}
