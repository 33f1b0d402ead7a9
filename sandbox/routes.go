package sandbox

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// route is what serves the requests of one method and path.
type route struct {
	method string
	// path is what stands behind /api/v1/developer/: * is any segment, {id} one that is a
	// UUID, and ** one or more of them.
	path   string
	least  Role   // that a key needs
	api    string // the one of the two to which the route belongs, "" for both
	handle func(*request) (answer, error)
}

// routes are all that is served; the first that fits serves a request.
var routes = []route{
	{"GET", "datasets", Viewer, "", listDatasets},
	{"POST", "datasets", Member, "", createDataset},
	{"GET", "datasets/*", Viewer, "", getDataset},
	{"PATCH", "datasets/*", Member, "", patchDataset},
	{"DELETE", "datasets/*", Admin, "", deleteDataset},

	{"GET", "images", Viewer, "", listImages},
	{"POST", "images/upload-url", Member, "", uploadURL},
	{"POST", "images/register", Member, "", registerImage},
	{"POST", "images/bulk-upload-url", Member, "", bulkUploadURL},
	{"POST", "images/bulk-register", Member, "", bulkRegister},
	{"GET", "images/{id}/metadata", Viewer, "", imageMetadata},
	{"POST", "images/*/**/split", Member, "path", setSplit},
	{"GET", "images/*", Viewer, "image-id", imageContent},
	{"GET", "images/*/**", Viewer, "path", imageContent},
	{"DELETE", "images/*", Member, "image-id", deleteImage},
	{"DELETE", "images/*/**", Member, "path", deleteImage},
	{"PATCH", "batch/images/update", Member, "", updateImages},

	{"GET", "exports", Viewer, "", listExports},
	{"POST", "exports", Member, "", createExport},
	{"POST", "exports/bulk-delete", Admin, "", deleteManyExports},
	{"GET", "exports/*", Viewer, "", getExport},
	{"DELETE", "exports/*", Admin, "", deleteExport},
	{"GET", "exports/*/download", Viewer, "", downloadExport},

	{"POST", "annotations/bulk", Member, "", bulkSave},
	{"GET", "annotations/*", Viewer, "image-id", readAnnotations},
	{"GET", "annotations/*/**", Viewer, "path", readAnnotations},
	{"POST", "annotations/*", Member, "image-id", saveAnnotations},
	{"POST", "annotations/*/**", Member, "path", saveAnnotations},
	{"DELETE", "annotations/*", Admin, "image-id", clearAnnotations},
	{"DELETE", "annotations/*/**", Admin, "path", clearAnnotations},
}

// handler finds what serves the request, and holds the role of its key against it.
func (q *request) handler() (func(*request) (answer, error), error) {
	there := false
	for _, r := range routes {
		if !matches(strings.Split(r.path, "/"), q.segments) || r.api != "" && q.api != "both" && q.api != r.api {
			continue
		}
		if there = true; r.method != q.method {
			continue
		}
		if !q.role.atLeast(r.least) {
			return nil, q.forbidden()
		}
		return r.handle, nil
	}
	if there {
		return nil, refuse(http.StatusMethodNotAllowed, "method_not_allowed", "no %s here", q.method)
	}
	return nil, refuse(http.StatusNotFound, "not_found", "no such route")
}

func (q *request) forbidden() error {
	return refuse(http.StatusForbidden, "forbidden", "a key of the role %s may not do this", q.role)
}

func (r Role) atLeast(least Role) bool {
	rising := []Role{Viewer, Member, Admin, Owner}
	return slices.Index(rising, r) >= slices.Index(rising, least)
}

func matches(pattern, segments []string) bool {
	for i, p := range pattern {
		switch {
		case p == "**":
			behind := pattern[i+1:]
			rest := len(segments) - len(behind)
			return rest > i && matches(behind, segments[rest:])
		case i == len(segments), p == "{id}" && !isUUID(segments[i]), p != "*" && p != "{id}" && p != segments[i]:
			return false
		}
	}
	return len(segments) == len(pattern)
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }
