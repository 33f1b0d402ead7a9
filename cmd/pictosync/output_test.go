package main

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
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
