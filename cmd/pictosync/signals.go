package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"pictosync/dataset"
)

// grace is how long the requests in flight may take after the first signal.
const grace = 15 * time.Second

// errTimeLimit ends a run that --max-duration stopped.
var errTimeLimit = errors.New("stopped at the time limit (--max-duration); the same command resumes the run")

// stopper is what asks a run to stop.
type stopper struct {
	asked   chan struct{} // closed when the run is to finish what is in flight
	limited atomic.Bool   // by the time limit
}

// explain tells a run that the time limit stopped from one that a user stopped.
func (s *stopper) explain(err error) error {
	if errors.Is(err, dataset.ErrInterrupted) && s.limited.Load() {
		return errTimeLimit
	}
	return err
}

// end is a context that ends when the run is asked to stop: for work that has
// nothing in flight that had to be finished.
func (s *stopper) end(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.asked:
			cancel(s.explain(dataset.ErrInterrupted))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// interruptible gives a command the two steps of stopping: the first SIGINT or
// SIGTERM, or the end of the time limit where there is one, asks it to stop, the
// next signal (or the end of the grace) ends ctx.
func interruptible(parent context.Context, messages io.Writer, limit time.Duration) (ctx context.Context, stop *stopper, release func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop = &stopper{asked: make(chan struct{})}
	done := make(chan struct{})
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	go func() {
		defer close(done)
		message := "stopping: finishing the requests in flight; press Ctrl-C again to stop at once"
		select {
		case <-signals:
		case <-over:
			stop.limited.Store(true)
			message = "the time limit is reached: finishing the requests in flight"
		case <-ctx.Done():
			return
		}
		close(stop.asked) // who reads the message may take it for done
		fmt.Fprintln(messages, "\n"+message)
		select {
		case <-signals:
		case <-time.After(grace):
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, stop, func() {
		signal.Stop(signals)
		cancel()
		<-done
	}
}
