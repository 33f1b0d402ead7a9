package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"pictosync/bench/instant"
)

// replayMain sends the requests again that bench/serve has recorded, as a
// client would that has nothing to compute in between: what a sync takes beside
// its requests is what it takes longer than this.
//
//	go run ./bench replay --concurrency 4 URL FILE
//
// The dataset is asked for, then the pages of its images side by side, then its classes
// are added, then its images saved, side by side. With --together the first page is asked
// for together with the dataset, as a sync does. It prints the seconds from the first
// request to the last answer.
func replayMain() {
	concurrency := pflag.Int("concurrency", 4, "`NUMBER` of requests that are under way at once")
	together := pflag.Bool("together", false, "ask for the first page together with the dataset")
	pflag.Parse()
	if pflag.NArg() != 2 || *concurrency < 1 {
		fmt.Fprintln(os.Stderr, "usage: replay [--concurrency N] URL FILE")
		os.Exit(2)
	}
	seconds, err := replay(pflag.Arg(0), pflag.Arg(1), *concurrency, *together)
	if err != nil {
		fmt.Fprintf(os.Stderr, "replay: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("own %.6f\n", seconds)
}

func replay(url, file string, concurrency int, together bool) (seconds float64, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var recorded []instant.Request
	if err := json.Unmarshal(data, &recorded); err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}}
	all, err := stages(recorded, together)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for _, stage := range all {
		if err := send(client, url, stage, concurrency); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds(), nil
}

// stages are the requests that need the answers to those of the stage before.
func stages(recorded []instant.Request, together bool) ([][]instant.Request, error) {
	all := make([][]instant.Request, 4)
	for _, r := range recorded {
		path, query, _ := strings.Cut(r.URI, "?")
		stage := slices.IndexFunc([]string{"GET datasets/", "GET images/", "PATCH datasets/", "POST annotations/bulk"}, func(kind string) bool {
			return strings.HasPrefix(r.Method+" "+strings.TrimPrefix(path, instant.API), kind)
		})
		if stage < 0 {
			return nil, fmt.Errorf("%s %s is no request of a sync", r.Method, r.URI)
		}
		if together && stage == 1 && strings.Contains(query, "offset=0") {
			stage = 0
		}
		all[stage] = append(all[stage], r)
	}
	return all, nil
}

func send(client *http.Client, url string, stage []instant.Request, concurrency int) error {
	next := make(chan instant.Request, len(stage))
	for _, r := range stage {
		next <- r
	}
	close(next)
	var group sync.WaitGroup
	failures := make(chan error, len(stage))
	for range concurrency {
		group.Go(func() {
			for r := range next {
				if err := ask(client, url, r); err != nil {
					failures <- err
				}
			}
		})
	}
	group.Wait()
	close(failures)
	return <-failures
}

func ask(client *http.Client, url string, r instant.Request) error {
	request, err := http.NewRequest(r.Method, url+r.URI, bytes.NewReader(r.Body))
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", r.Method, r.URI, answer.Status)
	}
	return nil
}
