package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"pictosync/bench/labels"
)

// generateMain makes labels to measure with:
//
//	go run ./bench generate --out large.json                       # as large as COCO's training set
//	go run ./bench generate --out small.json --images 5000
//	go run ./bench generate --out folder --format yolo --images 1000000 --per-folder 1000 --pictures
func generateMain() {
	s := labels.Train2017
	out := pflag.String("out", "", "`PATH` of the COCO file or YOLO folder to write")
	format := pflag.String("format", "coco", "coco or yolo")
	order := pflag.String("order", string(s.Order), "of the annotations of a COCO file: random or sorted")
	pflag.IntVar(&s.Images, "images", s.Images, "number of images")
	pflag.Float64Var(&s.PerImage, "annotations-per-image", s.PerImage, "mean number of annotations of an image")
	pflag.Uint64Var(&s.Seed, "seed", s.Seed, "the same seed makes the same bytes")
	pflag.Float64Var(&s.Masks, "masks", s.Masks, "share of annotations that are run-length encoded masks; in YOLO, polygons")
	pflag.Float64Var(&s.Keypoints, "keypoints", s.Keypoints, "share of annotations with keypoints (COCO)")
	pflag.IntVar(&s.PerFolder, "per-folder", 0, "label files in one folder (YOLO; 0: all)")
	pflag.BoolVar(&s.Pictures, "pictures", false, "write an image for each label (YOLO), instead of sizes.csv")
	pflag.IntVar(&s.Distinct, "distinct", 0, "label files that differ; those behind are hard links to them (YOLO; 0: all)")
	pflag.Parse()
	s.Order = labels.Order(*order)
	if err := write(*out, *format, s); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func write(out, format string, s labels.Spec) error {
	switch {
	case out == "":
		return fmt.Errorf("no output: name it with --out")
	case format == "yolo":
		return labels.WriteYOLO(out, s)
	case format != "coco":
		return fmt.Errorf("read --format: %q is neither coco nor yolo", format)
	}
	_, err := labels.WriteCOCOFile(out, s)
	return err
}
