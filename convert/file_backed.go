package convert

// FileBacked is a Source whose labels lie in files that were read when it was opened,
// and nowhere else.
type FileBacked interface {
	Source
	// Unchanged reports whether the files are still what they were: then every
	// Load comes to the same as before. The listed size matters to it only where
	// the result's would not be known without.
	Unchanged() bool
}
