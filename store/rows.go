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
	whole   *sql.Stmt // for rowsAtOnce rows; nil before there are any
}

func (i *inserter) add(ctx context.Context, row ...any) error {
	i.columns = len(row)
	i.values = append(i.values, row...)
	if len(i.values) < i.columns*rowsAtOnce {
		return nil
	}
	if i.whole == nil {
		var err error
		if i.whole, err = i.tx.PrepareContext(ctx, i.statement(rowsAtOnce)); err != nil {
			return err
		}
	}
	return i.insert(i.whole.QueryContext(ctx, i.values...))
}

// flush inserts what was gathered.
func (i *inserter) flush(ctx context.Context) error {
	if len(i.values) == 0 {
		return nil
	}
	return i.insert(i.tx.QueryContext(ctx, i.statement(len(i.values)/i.columns), i.values...))
}

// insert ends a statement that was run as a query, since the driver binds all values of
// such a one in one call and those of others in a call each.
func (i *inserter) insert(done *sql.Rows, err error) error {
	i.values = i.values[:0]
	if err != nil {
		return err
	}
	for done.Next() { // it has no rows; a driver may do the work here
	}
	return errors.Join(done.Err(), done.Close())
}

func (i *inserter) close() {
	if i.whole != nil {
		i.whole.Close()
	}
}

func (i *inserter) statement(rows int) string {
	row := "(?" + strings.Repeat(", ?", i.columns-1) + ")"
	return i.into + " VALUES " + row + strings.Repeat(", "+row, rows-1)
}
