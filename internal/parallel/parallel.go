// Package parallel maps a sequence by several workers and keeps its order. It is the one
// way of doing so here: for items that are converted, images that are read, and work of
// which one step is to be made while the step before it is used (one worker).
package parallel

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/alitto/pond/v2"
)

// ahead is how many values a worker may be on their way.
const ahead = 4

// Map applies do to the values of in, by so many workers at once, and yields the results
// in the order of in. An error, of in or of do, is yielded in its place; whether to go on
// behind it is for the loop to say.
//
// At most four times as many values as there are workers are taken from in and not yet
// yielded.
// in is walked by a goroutine of its own. When the loop is left, the context that do gets
// ends, and the loop returns when every goroutine has; values that nobody began on by then
// are dropped. A panic, of in or of do, is an error.
func Map[In, Out any](ctx context.Context, workers int, in iter.Seq2[In, error], do func(context.Context, In) (Out, error)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pool := pond.NewResultPool[Out](workers)
		room := make(chan struct{}, ahead*workers)
		tasks := make(chan pond.ResultTask[Out], ahead*workers) // never full: room is taken first
		submit := func(do func() (Out, error)) bool {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return false
			}
			tasks <- pool.SubmitErr(func() (Out, error) { return safely(do) })
			return true
		}
		var walk sync.WaitGroup
		walk.Go(func() {
			defer close(tasks)
			_, err := safely(func() (none Out, err error) {
				for value, err := range in {
					more := submit(func() (none Out, _ error) {
						if err != nil {
							return none, err
						}
						if ctx.Err() != nil {
							return none, context.Cause(ctx)
						}
						return do(ctx, value)
					})
					if !more {
						break
					}
				}
				return none, nil
			})
			if err != nil {
				submit(func() (none Out, _ error) { return none, err })
			}
		})
		defer pool.StopAndWait()
		defer walk.Wait()
		defer cancel()
		for task := range tasks {
			result, err := task.Wait()
			<-room
			if !yield(result, err) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil { // not all of in was taken
			var none Out
			yield(none, err)
		}
	}
}

// All is Map over a slice, with all results in one; the first error ends it.
func All[In, Out any](ctx context.Context, workers int, in []In, do func(context.Context, In) (Out, error)) ([]Out, error) {
	all := make([]Out, 0, len(in))
	for result, err := range Map(ctx, workers, Each(in), do) {
		if err != nil {
			return nil, err
		}
		all = append(all, result)
	}
	return all, nil
}

// safely turns a panic into an error.
func safely[Out any](do func() (Out, error)) (result Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v; please report it", p)
		}
	}()
	return do()
}

// Each is a sequence of the elements of a slice, as Map takes it.
func Each[T any](slice []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, value := range slice {
			if !yield(value, nil) {
				return
			}
		}
	}
}

// Chunks gathers the values of a sequence, so many at a time. An error ends a chunk and is
// yielded behind what came before it.
func Chunks[T any](in iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var chunk []T
		for value, err := range in {
			if err == nil {
				if chunk = append(chunk, value); len(chunk) < size {
					continue
				}
			}
			if len(chunk) > 0 && !yield(chunk, nil) {
				return
			}
			chunk = nil
			if err != nil && !yield(nil, err) {
				return
			}
		}
		if len(chunk) > 0 {
			yield(chunk, nil)
		}
	}
}
