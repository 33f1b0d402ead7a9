package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pictosync/internal/progress"
	"pictosync/quota"
)

// What a name may hide is shown.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a b.jpg":           "a b.jpg",
		"só 사진.jpg":         "só 사진.jpg",
		"\x1b[31mred":       `\u001b[31mred`,
		"a\nb":              `a\u000ab`,
		"gpj.\u202eexe.jpg": `gpj.\u202eexe.jpg`,
		"\u0085x\u200b":     `\u0085x\u200b`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

// A message is cut to what an environment holds, and what a command started is stopped
// with it.
func TestNotifyCommandIsBounded(t *testing.T) {
	if text := environmentText("a\x00b" + strings.Repeat("x", 1<<20)); strings.ContainsRune(text, 0) || len(text) > 17<<10 {
		t.Errorf("a text of %d bytes", len(text))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh", "-c", "sleep 1000 & echo started; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.WaitDelay = time.Second
	stopTogether(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	io.Copy(io.Discard, out) // ends when the child, which has it open too, does
	cmd.Wait()
}

// What is said of a run is how far it is, how long the rest takes, and what it waits for.
func TestProgressInWords(t *testing.T) {
	for want, now := range map[string]progress.Progress{
		"listing 34,000 images": {Phase: "listing", Done: 34000},
		"planning":              {Phase: "planning"},
		"listing 20,000 of 60,000 images, at least 1 m 12 s left":         {Phase: "listing", Done: 20000, Total: 60000, Left: 72 * time.Second, AtLeast: true},
		"listing 60,200 images":                                           {Phase: "listing", Done: 60200, Total: 60000},
		"saving 1,200 of 60,000 images, 2 h 10 m left":                    {Phase: "saving", Done: 1200, Total: 60000, Left: 2*time.Hour + 10*time.Minute},
		"reading 5 of 9 images, the service packs the dataset (1 failed)": {Phase: "reading", Done: 5, Total: 9, Note: "the service packs the dataset", Failed: 1},
		"saving 1 of 2 images; waiting for the quota (2,000/h), 3 m 10 s": {Phase: "saving", Done: 1, Total: 2,
			Hold: progress.Hold{Kind: progress.Quota, Why: "waiting for the quota (" + quota.Quota{Requests: 2000, Per: time.Hour}.Said() + ")", Until: time.Now().Add(190*time.Second + 300*time.Millisecond)}},
		"saving 1 of 2 images; service down for 20 s, next try in 10 s": {Phase: "saving", Done: 1, Total: 2,
			Hold: progress.Hold{Kind: progress.Outage, Why: "service down for 20 s", Until: time.Now().Add(10*time.Second + 300*time.Millisecond)}},
	} {
		if got := describe(now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Where there is no terminal, what is waited for is said once in its place, not each time.
func TestWaitsAreSaidOnce(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = file
	d := &display{mode: lines}
	paced := progress.Progress{Phase: "reading", Total: 11, Left: 58 * time.Second, Hold: progress.Hold{Kind: progress.Pace, Why: "the quota (20/m) sets the pace", Until: time.Now().Add(3 * time.Second)}}
	d.show(paced)
	d.show(paced)
	until := time.Now().Add(190*time.Second + 300*time.Millisecond)
	for n := range 50 {
		now := progress.Progress{Phase: "saving", Total: 60000, Done: n}
		if n%2 == 1 { // it goes on in between
			now.Hold = progress.Hold{Kind: progress.Quota, Why: "waiting for the quota (2,000/h)", Until: until}
		}
		if n > 40 {
			now.Hold = progress.Hold{Kind: progress.Outage, Why: fmt.Sprintf("service down for %d s", n), Until: time.Now().Add(10*time.Second + 300*time.Millisecond)}
		}
		d.show(now)
	}
	os.Stderr = stderr
	said, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := "reading 11 images\nthe quota (20/m) sets the pace, 58 s left\nsaving 60000 images\nwaiting for the quota (2,000/h), 3 m 10 s\nservice down for 41 s, next try in 10 s\n"; string(said) != want {
		t.Errorf("said\n%s\nwant\n%s", said, want)
	}
}

// What is not known is no count beside the bar.
func TestTheBarCountsWhatIsKnown(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = file
	d := &display{mode: bar}
	d.show(progress.Progress{Phase: "planning"})
	d.show(progress.Progress{Phase: "saving", Total: 400, Requests: 1, AllRequests: 3})
	d.end()
	os.Stderr = stderr
	said, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(said); strings.Contains(text, "/-") || !strings.Contains(text, "planning") || !strings.Contains(text, "(0/3)") {
		t.Errorf("said %q", text)
	}
}
