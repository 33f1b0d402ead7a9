package parallel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func numbers(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// Results come in order, whoever is done first, and no more are on their way than allowed.
func TestOrderAndBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers, n := rapid.IntRange(1, 8).Draw(t, "workers"), rapid.IntRange(0, 100).Draw(t, "n")
		var taken, working atomic.Int64
		next := 0
		in := func(yield func(int, error) bool) {
			for i := range n {
				taken.Add(1)
				if !yield(i, nil) {
					return
				}
			}
		}
		for got, err := range Map(context.Background(), workers, in, func(_ context.Context, i int) (int, error) {
			if now := working.Add(1); now > int64(workers) {
				return 0, fmt.Errorf("%d at work", now)
			}
			defer working.Add(-1)
			return 2 * i, nil
		}) {
			if err != nil || got != 2*next {
				t.Fatalf("result %d is %d, %v", next, got, err)
			}
			next++
			// One more may have been asked for, and waits for room.
			if n := int(taken.Load()) - next; n > ahead*workers+1 {
				t.Fatalf("%d are ahead of %d workers", n, workers)
			}
		}
		if next != n {
			t.Fatalf("%d results of %d", next, n)
		}
	})
}

// Work on values that follow each other is done at the same time.
func TestWorkersWorkTogether(t *testing.T) {
	meet := make(chan struct{})
	for _, err := range Map(t.Context(), 2, numbers(2), func(ctx context.Context, i int) (int, error) {
		if i == 0 {
			meet <- struct{}{}
		} else {
			<-meet
		}
		return i, nil
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A loop that is left waits for what is under way, whose context has ended.
func TestLeftEarly(t *testing.T) {
	var working atomic.Int64
	for i, err := range Map(t.Context(), 4, numbers(1000), func(ctx context.Context, i int) (int, error) {
		working.Add(1)
		defer working.Add(-1)
		if i > 10 {
			<-ctx.Done()
		}
		return i, nil
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if i == 10 {
			break
		}
	}
	if n := working.Load(); n != 0 {
		t.Errorf("%d are still at work", n)
	}
}

func TestErrorsAndPanicsComeInTheirPlace(t *testing.T) {
	odd := errors.New("odd")
	in := func(yield func(int, error) bool) {
		for i := range 4 {
			if !yield(i, nil) {
				return
			}
		}
		if yield(0, odd) {
			panic("in")
		}
	}
	var said []string
	for i, err := range Map(t.Context(), 3, in, func(_ context.Context, i int) (int, error) {
		switch i {
		case 1:
			return 0, odd
		case 2:
			panic("do")
		}
		return i, nil
	}) {
		said = append(said, fmt.Sprint(i, " ", err))
	}
	want := []string{"0 <nil>", "0 odd", "0 internal error: do; please report it", "3 <nil>", "0 odd", "0 internal error: in; please report it"}
	if !slices.Equal(said, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnEndedContextIsTheLastError(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var last error
	n := 0
	for _, err := range Map(ctx, 2, numbers(1000), func(context.Context, int) (int, error) { return 0, nil }) {
		last = err
		if n++; n == 3 {
			cancel(stop)
		}
	}
	if !errors.Is(last, stop) || n > 30 {
		t.Errorf("after %d results the last error is %v", n, last)
	}
}

func TestChunks(t *testing.T) {
	odd := errors.New("odd")
	in := func(yield func(int, error) bool) {
		_ = yield(1, nil) && yield(2, nil) && yield(3, nil) && yield(0, odd) && yield(4, nil)
	}
	var said []string
	for chunk, err := range Chunks(in, 2) {
		said = append(said, fmt.Sprint(chunk, err))
	}
	if want := []string{"[1 2] <nil>", "[3] <nil>", "[] odd", "[4] <nil>"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	for range Chunks(Each([]int{1, 2, 3, 4}), 2) {
		break
	}
}
