package dataset

import (
	"encoding/json"
	"time"

	"pictosync/pictograph"
)

// ImageMeta is what is kept of an image that is listed, beside its annotations: for backups, and
// for uploads, which are held against it.
type ImageMeta struct {
	ID          string    `json:"id"`
	Path        string    `json:"image"`
	Width       int       `json:"width,omitempty"`
	Height      int       `json:"height,omitempty"`
	Status      string    `json:"status,omitempty"`
	Split       string    `json:"split,omitempty"`
	FileSize    int64     `json:"file_size,omitempty"` // bytes
	ContentType string    `json:"content_type,omitempty"`
	Tags        []string  `json:"tags,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
}

// MetaOf is what is kept of an image that is listed, as JSON.
func MetaOf(i pictograph.Image) []byte {
	data, err := json.Marshal(ImageMeta{ID: i.ID, Path: i.Path(), Width: i.Width, Height: i.Height, Status: i.Status, Split: i.Split,
		FileSize: i.FileSize, ContentType: i.ContentType, Tags: i.Tags, CreatedAt: i.CreatedAt})
	if err != nil {
		panic(err) // text, numbers and a time that was parsed
	}
	return data
}
