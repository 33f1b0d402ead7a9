package sandbox

import (
	"database/sql"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Quota is how many requests a key may send; the zero value is no limit.
type Quota struct {
	Requests int
	Per      time.Duration
	Window   string // "sliding" (the default) or "fixed"
}

// quotaOf is the quota of a key: its own cap, else what holds for all.
func (s *Server) quotaOf(key string) Quota {
	quota := s.options.Quota
	if limit, ok := s.options.Caps[key]; ok {
		quota.Requests, quota.Per = limit.Requests, limit.Per
	}
	return quota
}

// spend counts the request against the key's quota and says in header what is
// left of it.
//
// Every request that counts is a row in the database with its time, and how
// many rows there are is kept beside them: a window holds to the millisecond, a
// restart forgets nothing, all servers on one file count together, and 100,000
// requests an hour are a few MB on disk, none in memory, and a search or two in
// an index for each.
func (s *Server) spend(q *request, quota Quota, header http.Header) error {
	if quota.Requests == 0 {
		return nil
	}
	now, per := q.now.UnixMilli(), quota.Per.Milliseconds()
	from := now - per // the last moment that does not count any more
	if quota.Window == "fixed" {
		from = now - now%per - 1
	}
	return s.transact(q.ctx, func(tx *sql.Tx) error {
		spent, err := forget(q, tx, from)
		if err != nil {
			return err
		}
		refused := spent >= quota.Requests
		if !refused {
			if _, err := tx.ExecContext(q.ctx, `INSERT INTO requests (account, at) VALUES (?, ?)`, q.account, now); err != nil {
				return err
			}
			spent++
		}
		if _, err := tx.ExecContext(q.ctx, `INSERT INTO spent (account, n) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET n = excluded.n`, q.account, spent); err != nil {
			return err
		}
		free := from + 1 + per // where a fixed window ends
		if quota.Window != "fixed" {
			if err := tx.QueryRowContext(q.ctx, `SELECT min(at) FROM requests WHERE account = ?`, q.account).Scan(&free); err != nil {
				return err
			}
			free += per
		}
		header.Set("X-RateLimit-Limit", strconv.Itoa(quota.Requests))
		header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, quota.Requests-spent)))
		header.Set("X-RateLimit-Reset", strconv.FormatInt((free+999)/1000, 10))
		if refused {
			return &fault{status: http.StatusTooManyRequests, code: "rate_limited",
				message: fmt.Sprintf("the limit of %d requests in %s is used up; wait as long as Retry-After says", quota.Requests, quota.Per),
				after:   time.Duration(free-now) * time.Millisecond}
		}
		return nil
	})
}

// forget deletes the requests of the account that do not count any more, and
// says how many are left.
func forget(q *request, tx *sql.Tx, from int64) (left int, err error) {
	err = tx.QueryRowContext(q.ctx, `SELECT coalesce((SELECT n FROM spent WHERE account = ?), 0)`, q.account).Scan(&left)
	if err != nil {
		return 0, err
	}
	gone, err := tx.ExecContext(q.ctx, `DELETE FROM requests WHERE account = ? AND at <= ?`, q.account, from)
	if err != nil {
		return 0, err
	}
	n, err := gone.RowsAffected()
	return left - int(n), err
}
