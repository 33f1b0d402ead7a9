// Package orientation reads the EXIF orientation of pictures: which way up, and how mirrored,
// a decoder's pixels are to be shown.
package orientation

import (
	"fmt"
	"io"
	"strconv"

	"github.com/bep/imagemeta"
)

// Of is the EXIF orientation of a picture, 1 to 8. What cannot be read of it is
// 1, as for the decoders of trainers.
func Of(f io.ReadSeeker, format string) int {
	formats := map[string]imagemeta.ImageFormat{"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "tiff": imagemeta.TIFF, "webp": imagemeta.WebP}
	kind, ok := formats[format]
	if !ok {
		return 1
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 1
	}
	orientation := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: f, ImageFormat: kind, Sources: imagemeta.EXIF, Warnf: func(string, ...any) {},
		ShouldHandleTag: func(tag imagemeta.TagInfo) bool { return tag.Tag == "Orientation" },
		HandleTag: func(tag imagemeta.TagInfo) error {
			if n, err := strconv.Atoi(fmt.Sprint(tag.Value)); err == nil && tag.Namespace == "IFD0" && n >= 1 && n <= 8 {
				orientation = n
			}
			return nil
		},
	})
	if err != nil {
		return 1
	}
	return orientation
}

// Swaps reports whether an orientation swaps width and height.
func Swaps(orientation int) bool { return orientation >= 5 }
