package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// grace is how long the requests in flight may take after the first signal.
const grace = 15 * time.Second

// interruptible gives a command the two steps of stopping: the first SIGINT or
// SIGTERM closes stop, the second (or the end of the grace) ends ctx.
func interruptible(parent context.Context, messages io.Writer) (ctx context.Context, stop <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stopping := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		fmt.Fprintln(messages, "\nstopping: finishing the requests in flight; press Ctrl-C again to stop at once")
		close(stopping)
		select {
		case <-signals:
		case <-time.After(grace):
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, stopping, func() {
		signal.Stop(signals)
		cancel()
		<-done
	}
}
