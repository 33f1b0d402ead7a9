package pictograph

import "time"

// Class is one entry of a dataset's class list.
type Class struct {
	Name string `json:"name"`
	// Type is the annotation type the class is meant for ("bbox", "polygon",
	// "polyline", "keypoint"; the service also stores the alias "box").
	Type Type `json:"type,omitempty"`
	// Color is "#rrggbb"; the service assigns one when it is left out.
	Color      string           `json:"color,omitempty"`
	Attributes []ClassAttribute `json:"attributes,omitempty"`
	// Skeleton is the keypoint template of a keypoint class.
	Skeleton *Skeleton `json:"skeleton,omitempty"`
}

// ClassAttribute declares an attribute that annotations of a class may carry.
type ClassAttribute struct {
	Name   string   `json:"name"`
	Type   string   `json:"type,omitempty"` // text, number, select or checkbox
	Values []string `json:"values,omitempty"`
}

// Skeleton is the keypoint template of a keypoint class: the keypoints in order and
// the edges between them as 0-indexed pairs.
type Skeleton struct {
	Nodes []SkeletonNode `json:"nodes"`
	Edges [][2]int       `json:"edges"`
}

// SkeletonNode is one keypoint: the keypoint's own class name and, where known, a
// suggested position on the unit square.
type SkeletonNode struct {
	Name string   `json:"name"`
	X    *float64 `json:"x,omitempty"`
	Y    *float64 `json:"y,omitempty"`
}

// Dataset is a group of images that share a class list.
type Dataset struct {
	ID                  string     `json:"id"`
	OrganizationID      string     `json:"organization_id,omitempty"`
	Name                string     `json:"name"`
	Description         string     `json:"description,omitempty"`
	AnnotationTypes     []string   `json:"annotation_types,omitempty"`
	Classes             []Class    `json:"classes"`
	ImageCount          int        `json:"image_count"`
	CompletedImageCount int        `json:"completed_image_count"`
	ArchivedImageCount  int        `json:"archived_image_count"`
	TotalSize           int64      `json:"total_size"` // bytes
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           *time.Time `json:"updated_at,omitempty"`
}

// Image is one image of a dataset as the listing shows it.
type Image struct {
	ID        string `json:"id"`
	DatasetID string `json:"dataset_id"`
	Filename  string `json:"filename"`
	// DirectoryPath is "/" for the dataset's root, else "/a/b".
	DirectoryPath   string    `json:"directory_path"`
	Width           int       `json:"width"`  // pixels; 0 when the service does not know
	Height          int       `json:"height"` // pixels; 0 when the service does not know
	Status          string    `json:"status"`
	Split           string    `json:"split,omitempty"`
	AnnotationCount int       `json:"annotation_count"`
	FileSize        int64     `json:"file_size"` // bytes
	ContentType     string    `json:"content_type,omitempty"`
	Tags            []string  `json:"tags,omitempty"`
	IsArchived      bool      `json:"is_archived"`
	ImageURL        string    `json:"image_url,omitempty"`
	AnnotationURL   string    `json:"annotation_url,omitempty"`
	CreatedAt       time.Time `json:"created_at"`
}
