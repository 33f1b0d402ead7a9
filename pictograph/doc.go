// Package pictograph is a client for Pictograph, an image-annotation service:
// its annotations as Go types, and its API.
//
// An [Annotation] is a class name and a [Geometry]: a [BBox] (perhaps
// oriented), a [Polygon] with holes, a [Polyline] or a [Keypoint]. Encoding and
// decoding are as strict as the service, and byte-stable: equal annotations
// give equal JSON on every machine, so that a hash of it tells whether
// anything changed.
//
// A [Client] reads and saves annotations, lists datasets and images, edits
// class lists and uploads images. Saving replaces: whatever an image had is
// gone. To save many images use [Client.BulkSave], up to [MaxBulk] in one
// request, since the service counts requests.
//
// What the client promises:
//
//   - Requests that failed for a passing reason are tried again by the rules
//     of the service's own SDK; writes carry an idempotency key, so that a
//     repeat is answered, not executed. Callers that must survive their own
//     crash choose the key, keep the bytes, and use [Client.BulkSaveBody].
//   - Errors say what was being done, what the service said and which fields it
//     minds; match them with errors.Is against [ErrNotFound] and its siblings,
//     or take an [APIError] for the details and its Hint for what to do.
//   - The API key goes to the configured host alone: redirects to others are
//     refused, signed URLs are used without it, and nothing prints it.
//   - Both forms of the service's per-image calls are spoken; which one a
//     service wants is found out with one request.
package pictograph
