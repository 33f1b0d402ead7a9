package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// rowsAtOnce is how many rows one statement inserts: with one a row, the calls take
// as long as the rows.
const rowsAtOnce = 50

// inserter gathers rows for a table.
type inserter struct {
	tx      *sql.Tx
	into    string // the statement up to VALUES
	columns int
	values  []any
}

func (i *inserter) add(ctx context.Context, row ...any) error {
	i.columns = len(row)
	i.values = append(i.values, row...)
	if len(i.values) < i.columns*rowsAtOnce {
		return nil
	}
	return i.flush(ctx)
}

// flush inserts what was gathered. The statement is run as a query, since the driver
// binds all values of such a one in one call and those of others in a call each.
func (i *inserter) flush(ctx context.Context) error {
	if len(i.values) == 0 {
		return nil
	}
	row := "(?" + strings.Repeat(", ?", i.columns-1) + ")"
	done, err := i.tx.QueryContext(ctx, i.into+" VALUES "+row+strings.Repeat(", "+row, len(i.values)/i.columns-1), i.values...)
	i.values = i.values[:0]
	if err != nil {
		return err
	}
	for done.Next() { // it has no rows; a driver may do the work here
	}
	return errors.Join(done.Err(), done.Close())
}

// highestNumber is the highest number that a row of a table ever had: none is used again.
func highestNumber(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, table string) (number int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?`, table).Scan(&number)
	return number, err
}
