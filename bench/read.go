package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// readMain reads every file below folders and does nothing with them: what a
// file system takes at least to give them up.
//
//	go run ./bench read FOLDER…
func readMain() {
	files := make(chan string, 1000)
	var group sync.WaitGroup
	var bytes, failed atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			buffer := make([]byte, 256<<10)
			for file := range files {
				n, err := read(file, buffer)
				if err != nil {
					failed.Add(1)
				}
				bytes.Add(n)
			}
		})
	}
	for _, folder := range os.Args[1:] {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				files <- path
			}
			return err
		})
		if err != nil {
			failed.Add(1)
		}
	}
	close(files)
	group.Wait()
	fmt.Printf("%d bytes, %d failed\n", bytes.Load(), failed.Load())
	if failed.Load() > 0 {
		os.Exit(1)
	}
}

func read(file string, buffer []byte) (bytes int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		n, err := f.Read(buffer)
		bytes += int64(n)
		if err == io.EOF {
			return bytes, nil
		}
		if err != nil {
			return bytes, err
		}
	}
}
