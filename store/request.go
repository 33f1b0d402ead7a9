package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Sent is how many requests an account sent in a second.
type Sent struct {
	At time.Time
	N  int
}

// remembered is how long a request is: the longest time of a quota, and what
// a pacer adds to it for requests that are slow to arrive.
const remembered = 70 * time.Minute

// AddRequest remembers a request before it is sent, and forgets those that
// no quota asks for any more. With onDisk it returns when it is on the disk, with
// everything that was committed before.
func (s *Store) AddRequest(ctx context.Context, account string, now time.Time, onDisk bool) error {
	update := s.update
	if onDisk {
		update = s.updateOnDisk
	}
	return update(ctx, "remember a request", func(ctx context.Context, tx *sql.Tx) error {
		return addRequest(ctx, tx, account, s.process, now)
	})
}

// TakeRequest takes back a request that was remembered and not sent.
func (s *Store) TakeRequest(ctx context.Context, account string, at time.Time) error {
	return s.update(ctx, "take back a request", func(ctx context.Context, tx *sql.Tx) error {
		return takeRequest(ctx, tx, account, s.process, at)
	})
}

func addRequest(ctx context.Context, tx *sql.Tx, account string, process int64, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO requests (account, second, process, n) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, account, at.Unix(), process); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM requests WHERE account = ? AND second < ?`, account, at.Add(-remembered).Unix())
	return err
}

// takeRequest takes back one that was not sent, or not then: what a process before this one
// remembered is its own.
func takeRequest(ctx context.Context, tx *sql.Tx, account string, process int64, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE requests SET n = n - 1 WHERE (account, second, process) = (SELECT account, second, process FROM requests
		WHERE account = ?1 AND second = ?2 AND n > 0 ORDER BY process = ?3 DESC LIMIT 1)`, account, at.Unix(), process)
	return err
}

// OtherRequests are the requests that other processes have remembered since a time, by
// the second.
func (s *Store) OtherRequests(ctx context.Context, account string, since time.Time) (sent []Sent, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT second, sum(n) FROM requests WHERE account = ? AND second >= ? AND process <> ? GROUP BY second ORDER BY second`, account, since.Unix(), s.process)
	if err != nil {
		return nil, describe("read the requests of others", err)
	}
	defer rows.Close()
	for rows.Next() {
		var second int64
		var one Sent
		if err := rows.Scan(&second, &one.N); err != nil {
			return nil, describe("read the requests of others", err)
		}
		one.At = time.Unix(second, 0)
		sent = append(sent, one)
	}
	return sent, describe("read the requests of others", rows.Err())
}

// Requests lists the requests that a quota may ask for, the oldest first. Batches that
// a killed process left in flight were sent at any time since they were committed:
// they count as sent just now.
func (s *Store) Requests(ctx context.Context, account string, now time.Time) ([]Sent, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT second, sum(n) FROM requests WHERE account = ? AND second >= ? GROUP BY second ORDER BY second`, account, now.Add(-remembered).Unix())
	if err != nil {
		return nil, fmt.Errorf("read the last requests: %w", explain(err))
	}
	defer rows.Close()
	var sent []Sent
	for rows.Next() {
		var second int64
		var n int
		if err := rows.Scan(&second, &n); err != nil {
			return nil, fmt.Errorf("read the last requests: %w", err)
		}
		sent = append(sent, Sent{At: time.Unix(second, 0), N: n})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the last requests: %w", explain(err))
	}
	open := Sent{At: now}
	if err := s.reader.QueryRowContext(ctx, `SELECT count(*) FROM batches WHERE state = 'open'`).Scan(&open.N); err != nil {
		return nil, fmt.Errorf("read the last requests: %w", explain(err))
	}
	if open.N > 0 {
		sent = append(sent, open)
	}
	return sent, nil
}
