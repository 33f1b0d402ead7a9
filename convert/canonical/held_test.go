package canonical

import (
	"testing"

	"pictosync/convert"
	"pictosync/pictograph"
)

func TestContradictions(t *testing.T) {
	for text, want := range map[string]convert.Kind{
		`"type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}`:                                                                                "",
		`"type":"bbox","bounding_box":{"x":-5,"y":2,"w":8,"h":4}`:                                                                               "",
		`"type":"bbox","bounding_box":{"x":500,"y":2,"w":3,"h":4}`:                                                                              convert.KindOffImage,
		`"type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4},"oriented_box":{"cx":80,"cy":80,"w":5,"h":5,"angle":10}`:                        convert.KindBox,
		`"type":"bbox","bounding_box":{"x":20,"y":49,"w":60,"h":2},"oriented_box":{"cx":50,"cy":50,"w":60,"h":1,"angle":1}`:                     "",
		`"type":"polygon","bounding_box":{"x":50,"y":50,"w":4,"h":4},"polygon":{"paths":[[{"x":1,"y":1},{"x":5,"y":1},{"x":5,"y":5}]]}`:         convert.KindRing,
		`"type":"polygon","bounding_box":{"x":1,"y":1,"w":5,"h":5},"polygon":{"paths":[[{"x":1.4,"y":0.6},{"x":5.5,"y":1},{"x":5,"y":5}]]}`:     "",
		`"type":"polygon","bounding_box":{"x":1,"y":1,"w":1,"h":1},"polygon":{"paths":[[{"x":1,"y":1.2},{"x":1.4,"y":1.2},{"x":1.2,"y":1.3}]]}`: "",
		`"type":"polygon","polygon":{"paths":[[{"x":101,"y":1},{"x":105,"y":1},{"x":105,"y":5}]]}`:                                              convert.KindOffImage,
		`"type":"polyline","bounding_box":{"x":50,"y":50,"w":9,"h":9},"polyline":{"path":[{"x":1,"y":1},{"x":9,"y":9}]}`:                        convert.KindBox,
		`"type":"keypoint","keypoint":{"x":101,"y":5}`:                                                                                          "",
		`"type":"keypoint","keypoint":{"x":150,"y":5}`:                                                                                          convert.KindOffImage,
	} {
		annotations, err := pictograph.ParseAnnotations([]byte(`[{"id":"1","name":"car","confidence":1,` + text + `}]`))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if kind, reason := contradiction(annotations[0], convert.Size{Width: 100, Height: 100}); kind != want {
			t.Errorf("%s: %q %s, want %q", text, kind, reason, want)
		}
		if kind, _ := contradiction(annotations[0], convert.Size{}); kind == convert.KindOffImage {
			t.Errorf("%s: held against an unknown size", text)
		}
	}
}
