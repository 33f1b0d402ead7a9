// Package scan finds values in JSON, and reads its numbers, where files are too large for
// a decoder: label files of gigabytes, of which an index wants the place of every
// annotation and a conversion little more than lists of coordinates.
//
// A [Scanner] goes through a stream by one buffer and finds where values begin and end.
// It holds JSON to its rules only as far as it needs them for that; what a value contains
// is checked by who decodes it. The functions on bytes ([Text], [Number], [Numbers])
// read values of the plainest form and leave all others to a decoder: they tell that
// nothing is to be said against what they read, never what is wrong. [Elements] walks
// JSON that is known to be valid.
//
// For all else there are encoding/json and jsontext.
package scan
