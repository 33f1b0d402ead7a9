package worker

import (
	"runtime"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/source"
)

// Common is what every kind of run that has a source is told.
type Common struct {
	dataset.Options
	// Source is the absolute path of the source; with the dataset and the kind of run it
	// identifies the run to resume.
	Source string
	// SourceFindings hands over what the source reported about itself since the last
	// call. May be nil.
	SourceFindings func() []convert.Finding
	// OnFinding is told every finding as it is made, one at a time. May be nil. Where it is
	// not, a verification that was stopped is made anew, so that it is told all.
	OnFinding func(convert.Finding)
	// Accepted says what an image may lose and be taken all the same.
	Accepted convert.Accepted
	// Match is how the images of the source are found in the dataset.
	Match Matching
	// Into is the folder of the dataset that the source's images are in, "" for the root.
	Into string
	// Globs are what the source is narrowed down with: those that exclude are held against
	// the paths of the dataset too. May be nil.
	Globs *source.Globs
	// Convert is how many images are converted at the same time. 0 means the default.
	Convert int
	// IgnoreUnmatched takes images that the dataset lacks for no failure.
	IgnoreUnmatched bool
}

func (o Common) withDefaults() Common {
	if o.Convert <= 0 {
		o.Convert = runtime.GOMAXPROCS(0)
	}
	if o.SourceFindings == nil {
		o.SourceFindings = func() []convert.Finding { return nil }
	}
	return o
}

// Policies say what a plan does about what may or may not be wanted.
type Policies struct {
	// OnExisting is for images with annotations that we have not saved, OnDrift
	// for those that someone changed since we did, UnknownClasses for labels of
	// classes that the dataset lacks.
	OnExisting, OnDrift, UnknownClasses Policy
	// OnReviewed is for images with annotations that are in review, or complete.
	OnReviewed Policy
	// RefuseClear fails images whose labels are empty and that have annotations,
	// unless the source says outright that they are to be empty.
	RefuseClear bool
	// OnlyClasses, where there are any, are all that is brought to an image: what
	// it has of other classes stays.
	OnlyClasses []string
	// Prune clears the images that left the source.
	Prune bool
	// Narrowed is what is left of the source, as its filters say: an image that
	// other filters took leaves no source.
	Narrowed string
}

// Limits are the guards: totals of a plan past which nothing is written.
type Limits struct {
	// MaxRemoved is how many of the dataset's annotations a run may remove.
	MaxRemoved Limit
	// MaxPruned is how many of the dataset's images runs of a week may clear for having
	// left their source.
	MaxPruned Limit
	// AllowShrink takes a source that has become much smaller.
	AllowShrink bool
	// Expect is the digest of the plan that the run has to come to; "" is any.
	Expect string
}

// Options say how a plan is made, guarded and applied.
type Options struct {
	Common
	Policies
	Limits
	Uploads
	// Backup says of which images the annotations are kept before they are
	// overwritten.
	Backup BackupPolicy
	// BatchImages and BatchBytes bound a bulk save. 0 means the default.
	BatchImages, BatchBytes int
}

const (
	// maxBatchImages is the service's limit for one bulk save.
	maxBatchImages = 200
	// defaultBatchBytes stays below the 10 MB that the service takes.
	defaultBatchBytes = 8 << 20
)

func (o Options) withDefaults() Options {
	o.Common = o.Common.withDefaults()
	if o.BatchImages <= 0 || o.BatchImages > maxBatchImages {
		o.BatchImages = maxBatchImages
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = defaultBatchBytes
	}
	return o
}
