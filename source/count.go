package source

// Count is how many images, and annotations of images, something is about.
type Count struct{ Images, Annotations int }
