package pictograph

import (
	"errors"
	"io"
	"sync"
)

// lent is a request's body as net/http reads it, which may go on with that after the
// answer is there: a service can answer before it has read the request. The bytes are
// taken back then, so that whoever made them may use their memory again.
type lent struct {
	size int

	mu   sync.RWMutex
	body []byte // nil when it is taken back
}

func lend(body []byte) *lent { return &lent{size: len(body), body: body} }

// takeBack returns when nobody reads the bytes, and nobody will.
func (l *lent) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.body = nil
}

// reader reads the body from its beginning.
func (l *lent) reader() (io.ReadCloser, error) { return &lentReader{lent: l}, nil }

type lentReader struct {
	lent *lent
	read int
}

var errTakenBack = errors.New("the request has its answer, and its body is not there any more")

func (r *lentReader) Read(p []byte) (int, error) {
	if r.read == r.lent.size {
		return 0, io.EOF
	}
	r.lent.mu.RLock()
	defer r.lent.mu.RUnlock()
	if r.lent.body == nil {
		return 0, errTakenBack
	}
	n := copy(p, r.lent.body[r.read:])
	r.read += n
	return n, nil
}

func (*lentReader) Close() error { return nil }
