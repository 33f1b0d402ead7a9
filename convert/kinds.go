package convert

import "slices"

// Kinds of findings. They are written to the state and to reports, and programs
// count by them: a kind keeps its spelling and its meaning. Each has one severity;
// docs/formats.md lists them all.
const (
	// About annotations and label lines.

	// KindInvalidJSON is an annotation that is no JSON object, not UTF-8, or has one key
	// with two values.
	KindInvalidJSON Kind = "invalid-json"
	// KindDuplicateKey is a key that stands twice in one JSON object, with one value.
	KindDuplicateKey Kind = "duplicate-key"
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
	// KindBox is a box that cannot be used, as one without extent.
	KindBox Kind = "box"
	// KindBoxNotation is a box whose numbers are most likely corners, or shares of
	// the image, where a width and height in pixels belong.
	KindBoxNotation Kind = "box-notation"
	// KindRing is a polygon ring that cannot be used.
	KindRing Kind = "ring"
	// KindMask is a run-length encoded mask that cannot be used, or lies elsewhere than
	// its bbox.
	KindMask Kind = "mask"
	// KindMaskFilled is a mask that is not quite what was given: one whose last count was
	// cut off, or a shape written as the mask of the pixels it covers.
	KindMaskFilled Kind = "mask-filled"
	// KindMaskArea is a mask with far more or fewer pixels than the annotation's area says.
	KindMaskArea Kind = "mask-area"
	// KindKeypoints are keypoints that cannot be used, or fewer than the annotation counts.
	KindKeypoints Kind = "keypoints"
	// KindKeypointCount are more placed keypoints than the annotation counts.
	KindKeypointCount Kind = "keypoint-count"
	// KindKeypointAbsent is a keypoint whose coordinates say that it is not placed.
	KindKeypointAbsent Kind = "joint-absent"
	// KindVisibility is a visibility of keypoints that says something odd: 0 for one that has
	// coordinates, 1 for all of a source, neither scores nor one constant in results.
	KindVisibility Kind = "visibility"
	// KindAngle is a box's angle that nothing tells the unit or direction of, or that
	// is none.
	KindAngle Kind = "angle"
	// KindOrientedBox is a quadrilateral that a rectangle was fitted to.
	KindOrientedBox Kind = "oriented-box"
	// KindGeometry is a further shape of an annotation of which one was taken.
	KindGeometry Kind = "further-geometry"
	// KindConfidence is a score that is no number from 0 to 1.
	KindConfidence Kind = "confidence"
	// KindAttributes are attributes that cannot be taken.
	KindAttributes Kind = "attributes"
	// KindCrowd is an iscrowd other than 0 and 1.
	KindCrowd Kind = "crowd"
	// KindMember is a member of annotations that is not carried over.
	KindMember Kind = "unknown-member"

	// About shapes and their image.

	// KindOutside is a shape that reaches outside its image.
	KindOutside Kind = "outside-image"
	// KindOutsideLeftOut is one that was left out for it, as a flag asks.
	KindOutsideLeftOut Kind = "outside-left-out"
	// KindOffImage is a shape, or a keypoint, that lies outside its image altogether.
	KindOffImage Kind = "off-image"
	// KindUnknownSize is an image whose size is needed and not known.
	KindUnknownSize Kind = "unknown-size"
	// KindUnchecked are boxes that could not be held against an image of unknown size.
	KindUnchecked Kind = "unchecked-size"
	// KindSizeMismatch is an image whose size differs between its label, its file and
	// the dataset.
	KindSizeMismatch Kind = "size-mismatch"
	// KindResized is one whose labels were scaled, or kept, as a flag asks.
	KindResized Kind = "resized"

	// KindNotUploaded is an image file without a label that was to be uploaded and was not.
	KindNotUploaded Kind = "not-uploaded"
	// KindArchived is one without a label whose image is archived in the dataset.
	KindArchived Kind = "archived-image"
	// KindSplitNotSet is an image whose split the service did not set.
	KindSplitNotSet Kind = "split-not-set"

	// About classes and keypoints.

	// KindCategory is a category whose id or name cannot be used.
	KindCategory Kind = "category"
	// KindDuplicateCategory is a category that stands twice.
	KindDuplicateCategory Kind = "duplicate-category"
	// KindSharedCategoryName is one name for several categories.
	KindSharedCategoryName Kind = "shared-category-name"
	// KindKeypointName is a keypoint of a category or pose without a usable name.
	KindKeypointName Kind = "joint-name"
	// KindSharedKeypointName is one name for several keypoints of a category or pose.
	KindSharedKeypointName Kind = "shared-joint-name"
	// KindSkeletonEdge is an edge of a skeleton that joins no two keypoints.
	KindSkeletonEdge Kind = "skeleton-edge"
	// KindSkeletonBase is a skeleton whose keypoints are counted from 0.
	KindSkeletonBase Kind = "skeleton-base"
	// KindMappedAway are annotations of a class that the class map drops.
	KindMappedAway Kind = "class-dropped"
	// KindSimilarClass is a class whose name differs from another's in case or
	// blanks alone.
	KindSimilarClass Kind = "similar-class"
	// KindClassList is a list of classes that says something odd of itself.
	KindClassList Kind = "class-list"

	// About what a format that is written can hold.

	// KindPolyline is a polyline, which neither COCO nor YOLO can hold.
	KindPolyline Kind = "polyline"
	// KindLostShape is an annotation that the format written has no place for.
	KindLostShape Kind = "shape-left-out"
	// KindOtherShape is a shape that the format written holds as another one.
	KindOtherShape Kind = "shape"
	// KindLostDetail is what the format written has no place for beside the shape.
	KindLostDetail Kind = "detail"
	// KindNoSplit is an image that nothing puts into a split, where others are in some, and that
	// no split of the data set written would name.
	KindNoSplit Kind = "no-split"

	// About the source itself.

	// KindUnreadable is a file or folder that could not be read.
	KindUnreadable Kind = "unreadable"
	// KindRepeatedFolder is a folder that is reached a second time, through a
	// symbolic link that may be a loop.
	KindRepeatedFolder Kind = "repeated-folder"
	// KindSkippedFile is a file that looks like labels and is none, or is not read.
	KindSkippedFile Kind = "skipped-file"
	// KindSkippedImage is an image that cannot be listed in a manifest.
	KindSkippedImage Kind = "skipped-image"
	// KindMissingSplit is a train or val split that the data set's description names
	// and that is not there.
	KindMissingSplit Kind = "missing-split"
	// KindMissingTest is a test split of that kind: many exports name one they lack.
	KindMissingTest Kind = "missing-test-split"
	// KindUnnamedSplit are labels beside those of the splits that no split names.
	KindUnnamedSplit Kind = "unnamed-split"
	// KindMissingFile is a file that a list names and that is not there.
	KindMissingFile Kind = "missing-file"
	// KindRelocated is a path of a description that was found elsewhere than it
	// says, or outside the source.
	KindRelocated Kind = "relocated-path"
	// KindDescription is an entry of a data set's description that cannot be
	// used.
	KindDescription Kind = "data-set-description"
	// KindDuplicateImage is an image that the source names twice.
	KindDuplicateImage Kind = "duplicate-image"
	// KindUnknownImage are annotations of an image that the source does not have, and
	// images without any that they may be of.
	KindUnknownImage Kind = "unknown-image"
	// KindImageByName are annotations whose image_id is the name of their image and no id.
	KindImageByName Kind = "image-by-name"
	// KindImageEntry is an entry for an image that cannot be read, or says two things.
	KindImageEntry Kind = "image-entry"
	// KindImageName is an image's name or size that could not be used as it stands.
	KindImageName Kind = "image-name"
	// KindUnlabelled is an image that has no label.
	KindUnlabelled Kind = "image-without-label"
	// KindImageHeader is a local image whose size cannot be read.
	KindImageHeader Kind = "image-header"
	// KindSizesEntry is an entry of a sizes file that cannot be used.
	KindSizesEntry Kind = "sizes-entry"

	// About a run.

	// KindRename is a rule for names that fits none.
	KindRename Kind = "rename"
	// KindGlob is a glob that fits nothing.
	KindGlob Kind = "glob"
	// KindNotTaken is an image whose label could not be taken at all, or not be written.
	KindNotTaken Kind = "not-taken"
	// KindClassMap is a key of the class map that fits no class of the source.
	KindClassMap Kind = "class-map"
	// KindPrune is why images that seem to have left a source are not cleared.
	KindPrune Kind = "prune"
	// KindShortListing is a listing that shows fewer images than the dataset has.
	KindShortListing Kind = "short-listing"
	// KindEdited is an image that somebody changed between its reading and its save.
	KindEdited Kind = "edited-meanwhile"
	// KindSavedElsewhere are images that have what the labels say, and not from this state.
	KindSavedElsewhere Kind = "saved-elsewhere"
)

// Severity says what a finding means for the image it is about.
type Severity string

const (
	// Lost says that something of the source did not make it.
	Lost Severity = "lost"
	// Changed says that it made it in another shape, place or class.
	Changed Severity = "changed"
	// Noted is worth knowing, and nothing is missing.
	Noted Severity = "noted"
)

// severities of all kinds.
var severities = map[Kind]Severity{
	KindInvalidJSON: Lost, KindDuplicateKey: Changed, KindMissingID: Noted, KindDuplicateID: Noted, KindUnknownClass: Lost,
	KindNumber: Lost, KindCount: Lost, KindCoordinateRange: Lost, KindNoGeometry: Lost, KindBox: Lost, KindBoxNotation: Lost,
	KindRing: Lost, KindMask: Lost, KindMaskFilled: Changed, KindMaskArea: Changed, KindAngle: Lost, KindKeypoints: Lost, KindKeypointCount: Changed, KindKeypointAbsent: Noted, KindVisibility: Changed,
	KindOrientedBox: Changed, KindGeometry: Changed, KindConfidence: Lost, KindAttributes: Lost, KindCrowd: Lost, KindMember: Noted,

	KindOutside: Noted, KindOutsideLeftOut: Noted, KindOffImage: Lost, KindUnknownSize: Lost, KindUnchecked: Noted,
	KindSizeMismatch: Lost, KindResized: Changed, KindNotUploaded: Lost, KindArchived: Noted, KindSplitNotSet: Noted,

	KindCategory: Noted, KindDuplicateCategory: Noted, KindSharedCategoryName: Changed, KindKeypointName: Noted, KindSharedKeypointName: Changed,
	KindSkeletonEdge: Changed, KindSkeletonBase: Changed, KindMappedAway: Noted, KindSimilarClass: Noted, KindClassList: Noted,

	KindPolyline: Lost, KindLostShape: Lost, KindOtherShape: Changed, KindLostDetail: Changed, KindNoSplit: Lost,

	KindUnreadable: Lost, KindRepeatedFolder: Noted, KindSkippedFile: Noted, KindSkippedImage: Lost, KindMissingSplit: Lost,
	KindMissingTest: Noted, KindUnnamedSplit: Noted, KindMissingFile: Lost, KindRelocated: Noted, KindDescription: Noted, KindDuplicateImage: Noted,
	KindUnknownImage: Lost, KindImageByName: Noted, KindImageEntry: Lost, KindImageName: Noted, KindUnlabelled: Noted, KindImageHeader: Noted,
	KindSizesEntry: Noted,

	KindRename: Noted, KindGlob: Noted, KindNotTaken: Lost, KindClassMap: Lost, KindPrune: Noted, KindShortListing: Lost, KindEdited: Lost, KindSavedElsewhere: Noted,
}

// Severity of the kind. One that is not known, as from a later version, is Lost.
func (k Kind) Severity() Severity {
	if s, known := severities[k]; known {
		return s
	}
	return Lost
}

// KindsOf are the kinds of a severity.
func KindsOf(s Severity) (kinds []string) {
	for kind, of := range severities {
		if of == s {
			kinds = append(kinds, string(kind))
		}
	}
	slices.Sort(kinds)
	return kinds
}
