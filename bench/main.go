// Command bench makes labels to measure with, and measures:
//
//	go run ./bench generate --out large.json     # labels as large as COCO's training set
//	go run ./bench read FILE…                    # how long it takes to read files, and nothing else
//	go run ./bench serve --coco FILE             # a service that answers at once
//	go run ./bench replay URL FILE               # the requests of a sync, sent again by a client that does nothing else
//	go run ./bench nights --dir FOLDER           # how nights grow with the number of images
package main

import (
	"fmt"
	"os"
)

var commands = map[string]func(){"generate": generateMain, "read": readMain, "serve": serveMain, "replay": replayMain, "nights": nightsMain}

func main() {
	if len(os.Args) > 1 {
		if run := commands[os.Args[1]]; run != nil {
			os.Args = append([]string{os.Args[0] + " " + os.Args[1]}, os.Args[2:]...)
			run()
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: bench generate|read|serve|replay|nights ...")
	os.Exit(2)
}

// program is this program, for those that run it again.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return "bench"
	}
	return path
}
