package source

import "pictosync/convert"

type (
	finding     = convert.Finding
	findingKind = convert.Kind
)
