package convert

import (
	"iter"
	"math"

	"pictosync/pictograph"
)

// Coordinates that are shares of their image, between 0 and 1, where pixels belong.

// ShareTolerance is how far what is a share of the image may be beyond 0 and 1.
const ShareTolerance = 0.01

// IsShare reports whether all values may be shares of an image.
func IsShare(values ...float64) bool {
	for _, v := range values {
		if !(v >= -ShareTolerance && v <= 1+ShareTolerance) {
			return false
		}
	}
	return true
}

// IsWhole reports whether all values are whole numbers.
func IsWhole(values ...float64) bool {
	for _, v := range values {
		if v != math.Trunc(v) {
			return false
		}
	}
	return true
}

// tooSmallForShares are sides of images in which a box of a pixel may be meant.
const tooSmallForShares = 64

// MayBeShares reports whether coordinates from 0 to 1 can hardly be pixels.
func MayBeShares(s Size, fractions bool) bool {
	if s.Known() {
		return min(s.Width, s.Height) >= tooSmallForShares
	}
	return fractions
}

// AreShares reports whether points can hardly be pixels of their image: all lie between 0 and 1,
// and not along its pixels.
func AreShares(points iter.Seq[pictograph.Point], size Size) bool {
	if !MayBeShares(size, true) {
		return false
	}
	fractions := false
	for p := range points {
		if !IsShare(p.X, p.Y) {
			return false
		}
		fractions = fractions || !IsWhole(p.X, p.Y)
	}
	return fractions
}
