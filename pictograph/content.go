package pictograph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ImageContent downloads the bytes of an image: take is given them as they come, and is
// called again, from the beginning, where an attempt fails for a reason that passes. size is
// how many there are, -1 where the service does not say. An error of take's own is returned as
// it is. An attempt may take as long as it needs, but no longer than a request may without a
// byte being sent.
func (c *Client) ImageContent(ctx context.Context, image ImageRef, take func(content io.Reader, size int64) error) error {
	op := "download " + image.String()
	for attempt := 1; ; attempt++ {
		err := c.content(ctx, op, image, take)
		wait, again := c.retry(err, attempt)
		if err == nil || !again || ctx.Err() != nil {
			return err
		}
		c.config.OnRetry(Retry{Op: op, Attempt: attempt, Wait: wait, Err: err})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", op, context.Cause(ctx))
		}
	}
}

func (c *Client) content(caller context.Context, op string, image ImageRef, take func(io.Reader, int64) error) error {
	if err := c.config.Pacer.Wait(caller); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	ctx, end := c.pacedAgain(caller)
	defer end(nil)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.config.Timeout, func() { cancel(errNoAnswer) })
	defer stalled.Stop()
	request, err := c.request(ctx, call{op: op, method: http.MethodGet, path: imagesPath + segment(image.Dataset) + "/" + segments(image.Path)})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	request.Header.Set("Accept", "*/*")
	answer, err := c.http.Do(request)
	if err != nil {
		return c.networkError(ctx, op, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorAnswer)) // what there is of it
		answer.Header.Set("X-Request-Id", c.withoutKey(answer.Header.Get("X-Request-Id")))
		return c.read(op, answer, []byte(c.withoutKey(string(body))), nil)
	}
	c.config.Pacer.Succeeded()
	body := &moving{from: answer.Body, moved: func() { stalled.Reset(c.config.Timeout) }}
	counted := &counter{from: body}
	err = take(counted, answer.ContentLength)
	switch {
	case body.failed() != nil:
		return c.networkError(ctx, op, fmt.Errorf("the answer was cut short: %w", body.failed()))
	case err != nil:
		return err
	case answer.ContentLength >= 0 && counted.n != answer.ContentLength:
		return &NetworkError{Op: op, Err: errors.New("the answer was cut short")}
	}
	return nil
}

type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += int64(n)
	return n, err
}
