// Package remote makes a source that lies elsewhere look like a folder of this machine: one in
// a bucket (s3://, gs://, azblob://), behind a URL (https://) or in an archive (.zip, .tar,
// .tar.gz, .tgz).
//
// [Open] brings a copy of it up to date in a folder of the user's cache: labels and
// descriptions whole, and of images only their first bytes, enough for type and size. Every
// reader of labels works on the copy; files that are uploaded are streamed from where they
// are ([Copy] is an upload.Files). An object that is as it was, by its size and what the
// storage says of its version, is not fetched again, also when an earlier process was killed
// in the middle.
//
// Credentials are found as each cloud's own tools find them, by the Go CDK: it was taken since
// nothing smaller knows all of their ways (profiles, roles of machines, single sign-on). It is
// most of the command's size; building with -tags nocloud leaves it out, and with it buckets.
//
// What an archive holds is bounded, in files, bytes and ratio, and one that has a name which
// leads out of it, a link or a device is refused as a whole.
package remote
