package convert

// The kinds of findings. They are written to the state and to reports, and
// programs count by them: a kind keeps its spelling and its meaning.
const (
	// KindInvalidJSON is an annotation that is no JSON object, or not UTF-8.
	KindInvalidJSON Kind = "invalid-json"
	// KindDuplicateKey is a key that stands twice in one JSON object.
	KindDuplicateKey Kind = "duplicate-key"

	// KindCategory is a category whose id or name cannot be used.
	KindCategory Kind = "category"
	// KindDuplicateCategory is a category id that is given away twice.
	KindDuplicateCategory Kind = "duplicate-category"
	// KindSharedCategoryName is one name for several categories.
	KindSharedCategoryName Kind = "shared-category-name"
	// KindJointName is a joint of a category or pose without a usable name, or
	// with the name of another joint.
	KindJointName Kind = "joint-name"
	// KindSkeletonEdge is an edge of a skeleton that joins no two joints.
	KindSkeletonEdge Kind = "skeleton-edge"

	// KindMissingID is an annotation without an id of its own.
	KindMissingID Kind = "missing-id"
	// KindDuplicateID is an id that another annotation of the image has.
	KindDuplicateID Kind = "duplicate-id"

	// KindUnknownClass is an annotation or line of a class or category that the
	// source does not define.
	KindUnknownClass Kind = "unknown-class"
	// KindNumber is something else, or nothing finite, where a number belongs.
	KindNumber Kind = "number"
	// KindCount is a list or line with a wrong count of numbers.
	KindCount Kind = "number-count"
	// KindCoordinateRange is a normalized coordinate outside 0 to 1.
	KindCoordinateRange Kind = "coordinate-range"
	// KindNoGeometry is an annotation without any shape.
	KindNoGeometry Kind = "no-geometry"
	// KindBox is a box without extent.
	KindBox Kind = "box"
	// KindRing is a polygon ring that cannot be used as it stands.
	KindRing Kind = "ring"
	// KindMask is a run-length encoded mask that cannot be used as it stands.
	KindMask Kind = "mask"
	// KindKeypoints is a list of joints that cannot be used as it stands.
	KindKeypoints Kind = "keypoints"
	// KindVisibility is a joint's visibility other than 0, 1 and 2.
	KindVisibility Kind = "visibility"
	// KindOrientedBox is a quadrilateral that is no rectangle.
	KindOrientedBox Kind = "oriented-box"

	// KindConfidence is a score that is no number from 0 to 1.
	KindConfidence Kind = "confidence"
	// KindAttributes are attributes that are no JSON object.
	KindAttributes Kind = "attributes"
	// KindCrowd is an iscrowd other than 0 and 1.
	KindCrowd Kind = "crowd"

	// KindOutside is a box that reaches outside its image.
	KindOutside Kind = "outside-image"
	// KindUnknownSize is an image whose size is needed and not known.
	KindUnknownSize Kind = "unknown-size"

	// KindMappedAway are annotations of a class that the class map drops.
	KindMappedAway Kind = "class-dropped"
	// KindSimilarClass is a class whose name differs from another's in case or
	// blanks alone.
	KindSimilarClass Kind = "similar-class"
	// KindPrune is why images that seem to have left a source are not cleared.
	KindPrune Kind = "prune"
	// KindPolyline is a polyline, which neither COCO nor YOLO can hold.
	KindPolyline Kind = "polyline"
	// KindLostShape is a shape that the format written holds as another one.
	KindLostShape Kind = "shape"
	// KindLostDetail is what the format written has no place for.
	KindLostDetail Kind = "detail"
)
