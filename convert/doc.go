// Package convert says what labels are: a [Format] opens a [Source], which yields an [Item] for
// each image and loads it as a [Result], canonical Pictograph annotations with the findings about
// them; and it creates a [Sink], which writes results. What conversions have in common is here:
// the [Builder] of results, class maps, ids, poses, and what may be lost ([Accepted]). Each format
// has a package of its own below, and what they share about files is in package source.
//
// # What is promised
//
//   - Nothing disappears silently. What is dropped, left out or changed is a
//     [Finding], and every source annotation that is dropped counts in
//     [Result.LeftOut].
//   - What comes out is what the service accepts: coordinates are finite, boxes
//     have an extent, ids are unique in their image.
//   - The same labels give the same annotations, ids included, in every run and
//     on every machine, so that images can be told to be unchanged by a hash.
//   - Bad input is reported and never panics; time and memory are linear in it.
//
// # The service's own converters
//
// Whatever the official SDK converts too comes out equal, to the last bit. It
// differs on purpose in these:
//
//   - Run-length encoded masks become polygons with holes that fill to the same
//     pixels, not their bounding box.
//   - Made-up ids are name-based (version 5 UUIDs), not random, and an id that
//     is taken in its image is replaced by one. An id 7.0 is 7, and null, true
//     and blank text are no ids.
//   - A ring of fewer than three different points is a finding: it encloses
//     nothing. Beside others it is left out; alone, so is its annotation.
//   - iscrowd is kept, as an attribute.
//   - Where keypoints are there but none can be placed, the segmentation comes
//     before the box, as for annotations without keypoints.
//   - A YOLO line may have a confidence, a class such as 3.0, and a byte order
//     mark before it; poses and oriented boxes are read where the task says so.
//   - One annotation that cannot be read does not stop the others.
package convert
