package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"pictosync/bench/instant"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
	"pictosync/worker"
)

// nightsMain measures how what a sync costs grows with the number of images:
// the first night, which saves them all, and the nights after it, which find
// nothing to do.
//
//	go run ./bench nights --dir DIR --images 1000,10000,100000
//
// The labels are made up as they are asked for, one box an image, and the service
// is one that answers at once, in a process of its own: what is measured is the
// plan, the state and the requests. Every night is a process of its own too, so
// that its peak of memory is.
func nightsMain() {
	dir := pflag.String("dir", "", "`FOLDER` for the states; one that is there is gone on with")
	images := pflag.IntSlice("images", []int{1_000, 10_000, 100_000}, "numbers of images")
	night := pflag.Bool("night", false, "be one night, as the command runs itself")
	service := pflag.Bool("service", false, "be the service, as the command runs itself")
	annotations := pflag.Int("annotations", 0, "that the service's images have in the beginning")
	url := pflag.String("url", "", "of the service")
	pflag.Parse()
	var err error
	switch {
	case *service:
		err = serveNights((*images)[0], *annotations)
	case *night:
		err = beNight((*images)[0], *dir, *url)
	default:
		err = measure(*dir, *images)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "nights: %v\n", err)
		os.Exit(1)
	}
}

// figures are what a night cost.
type figures struct {
	Images    int     `json:"images"`
	Saved     int     `json:"saved"`
	Unchanged int     `json:"unchanged"`
	Requests  int     `json:"requests"`
	Open      float64 `json:"open_s"` // of the state, its check included
	List      float64 `json:"list_s"`
	Plan      float64 `json:"plan_s"`
	Save      float64 `json:"save_s"`
	Total     float64 `json:"total_s"`
	Runs      float64 `json:"runs_s"` // to list the runs
	MiB       float64 `json:"-"`      // peak of resident memory
	State     float64 `json:"-"`      // MiB of the state
}

func measure(dir string, sizes []int) error {
	if dir == "" {
		return errors.New("no folder: name one with --dir")
	}
	var nights [2][]figures
	for _, n := range sizes {
		state := filepath.Join(dir, strconv.Itoa(n))
		if err := os.MkdirAll(state, 0o700); err != nil {
			return err
		}
		for which := range nights {
			f, err := measureNight(n, which, state)
			if err != nil {
				return fmt.Errorf("night %d of %d images: %w", which+1, n, err)
			}
			if which == 0 && f.Saved != n {
				continue // the state was there: its first night is long ago
			}
			nights[which] = append(nights[which], f)
		}
	}
	for which, title := range []string{"The first night: everything is saved", "The nights after it: nothing is to do"} {
		printTable(title, nights[which])
	}
	return nil
}

func measureNight(n, which int, state string) (f figures, err error) {
	annotations := 0
	if _, err := os.Stat(filepath.Join(state, "saved")); err == nil || which > 0 {
		annotations = 1
	}
	service := exec.Command(program(), "nights", "--service", "--images", strconv.Itoa(n), "--annotations", strconv.Itoa(annotations))
	service.Stderr = os.Stderr
	out, err := service.StdoutPipe()
	if err != nil {
		return f, err
	}
	if err := service.Start(); err != nil {
		return f, err
	}
	defer service.Wait()
	defer service.Process.Kill()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return f, fmt.Errorf("start the service: %w", err)
	}
	night := exec.Command(program(), "nights", "--night", "--images", strconv.Itoa(n), "--dir", state, "--url", strings.TrimSpace(url))
	night.Stderr = os.Stderr
	answer, err := night.Output()
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(answer, &f); err != nil {
		return f, err
	}
	f.MiB = float64(night.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	info, err := os.Stat(filepath.Join(state, "state.db"))
	if err != nil {
		return f, err
	}
	f.State = float64(info.Size()) / (1 << 20)
	return f, os.WriteFile(filepath.Join(state, "saved"), nil, 0o600)
}

func printTable(title string, rows []figures) {
	fmt.Printf("\n%s\n\n", title)
	fmt.Println("| images | requests | open | list | plan | save | in all | `runs` | peak memory | state |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, f := range rows {
		fmt.Printf("| %d | %d | %.2f s | %.1f s | %.1f s | %.1f s | %.1f s | %.3f s | %.0f MiB | %.0f MiB |\n", f.Images, f.Requests, f.Open, f.List, f.Plan, f.Save, f.Total, f.Runs, f.MiB, f.State)
	}
	if len(rows) < 2 {
		return
	}
	last, before := rows[len(rows)-1], rows[len(rows)-2]
	exponent := func(of func(figures) float64) float64 {
		return math.Log(of(last)/of(before)) / math.Log(float64(last.Images)/float64(before.Images))
	}
	fmt.Printf("\nExponents from %d to %d images: time %.2f, requests %.2f, memory %.2f.\n", before.Images, last.Images,
		exponent(func(f figures) float64 { return f.Total }), exponent(func(f figures) float64 { return float64(f.Requests) }), exponent(func(f figures) float64 { return f.MiB }))
}

func serveNights(images, annotations int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, instant.New(instant.Options{Images: images, Listed: func(int) int { return annotations }}))
}

func beNight(images int, dir, url string) error {
	ctx := context.Background()
	f := figures{Images: images}
	start := time.Now()
	st, _, err := store.OpenSound(ctx, filepath.Join(dir, "state.db"), start)
	if err != nil {
		return err
	}
	defer st.Close()
	f.Open = time.Since(start).Seconds()
	pacer, err := quota.NewPacer(ctx, quota.Quota{}, "bench", st, time.Now)
	if err != nil {
		return err
	}
	client, err := pictograph.New(pictograph.Config{BaseURL: url, APIKey: "pk_live_bench", Pacer: pacer})
	if err != nil {
		return err
	}
	phase, since := "", time.Now()
	parts := make(map[string]float64)
	note := func(p progress.Progress) {
		if p.Phase != phase {
			now := time.Now()
			parts[phase] += now.Sub(since).Seconds()
			phase, since = p.Phase, now
		}
	}
	summary, err := worker.Sync(ctx, nil, worker.Connection{Client: client, Store: st, Pacer: pacer}, worker.Opened(madeUp{images}), worker.Options{Backup: worker.BackupAuto,
		Common: worker.Common{Source: "/made up", Options: dataset.Options{Dataset: "bench", Service: "bench", Progress: note, Log: zerolog.Nop()}}})
	if err != nil {
		return err
	}
	note(progress.Progress{Phase: "ended"})
	f.Total, f.List, f.Plan, f.Save = time.Since(start).Seconds(), parts["listing"], parts["planning"], parts["saving"]
	f.Saved, f.Unchanged, f.Requests = summary.Images.Saved, summary.Images.Unchanged, summary.Requests
	if f.Saved+f.Unchanged != images {
		return fmt.Errorf("%d of %d images were saved and %d unchanged", f.Saved, images, f.Unchanged)
	}
	start = time.Now()
	runs, err := st.Runs(ctx, 20)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if _, err := st.Totals(ctx, r.ID); err != nil {
			return err
		}
	}
	f.Runs = time.Since(start).Seconds()
	return json.NewEncoder(os.Stdout).Encode(f)
}

// madeUp are labels that are made up as they are asked for, a box an image.
type madeUp struct{ images int }

func (m madeUp) Describe() convert.Description {
	return convert.Description{Path: "/made up", Format: "canonical", Reason: "it is made up", Fingerprint: strconv.Itoa(m.images)}
}

func (m madeUp) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		next := 0
		if after != "" {
			last, err := strconv.Atoi(after)
			if err != nil {
				yield(convert.Item{}, err)
				return
			}
			next = last + 1
		}
		for ; next < m.images && ctx.Err() == nil; next++ {
			if !yield(convert.Item{Cursor: strconv.Itoa(next), Image: instant.Name(next), File: "made up"}, nil) {
				return
			}
		}
	}
}

func (m madeUp) Load(_ context.Context, item convert.Item, _ convert.Size) (convert.Result, error) {
	box := pictograph.Annotation{ID: "1", Name: "thing", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 2, W: 30, H: 40}}}
	return convert.Result{Size: m.Size(item), Annotations: []pictograph.Annotation{box}, Classes: []pictograph.Class{{Name: "thing", Type: pictograph.TypeBBox}}}, nil
}

func (m madeUp) Size(convert.Item) convert.Size { return convert.Size{Width: 640, Height: 480} }
