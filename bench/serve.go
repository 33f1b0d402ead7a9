package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/spf13/pflag"

	"pictosync/bench/instant"
)

// serveMain runs a service that answers at once, or after a latency, until
// it is interrupted:
//
//	go run ./bench serve --coco small.json                    # a dataset with the images of a COCO file
//	go run ./bench serve --images 1000000 --latency 50ms
//
// It says on standard output when it is ready and where it listens. GET /
// tells what was asked of it, POST / makes it what it was in the beginning. After
// POST /record it is that too, and keeps what it is asked, for GET /recorded.
func serveMain() {
	var o instant.Options
	coco := pflag.String("coco", "", "the dataset has the images of this COCO `FILE`")
	pflag.IntVar(&o.Images, "images", 0, "the dataset has this `NUMBER` of images, with names of the service's own")
	annotations := pflag.Int("annotations", 0, "`NUMBER` of annotations that each image has in the beginning")
	pflag.DurationVar(&o.Latency, "latency", 0, "how long every answer takes")
	pflag.Parse()
	o.Listed = func(int) int { return *annotations }
	if err := serve(*coco, o); err != nil {
		fmt.Fprintf(os.Stderr, "serve: %v\n", err)
		os.Exit(1)
	}
}

func serve(coco string, o instant.Options) (err error) {
	if coco != "" {
		if o.Names, o.Sizes, err = imagesOf(coco); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	return http.Serve(listener, instant.New(o))
}

func imagesOf(coco string) (names []string, sizes [][2]int, err error) {
	data, err := os.ReadFile(coco)
	if err != nil {
		return nil, nil, err
	}
	var file struct {
		Images []struct {
			FileName      string `json:"file_name"`
			Width, Height int
		} `json:"images"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", coco, err)
	}
	for _, image := range file.Images {
		names = append(names, image.FileName)
		sizes = append(sizes, [2]int{image.Width, image.Height})
	}
	return names, sizes, nil
}
