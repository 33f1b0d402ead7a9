package store

import (
	"context"
	"database/sql"
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
	_, err := i.whole.ExecContext(ctx, i.values...)
	i.values = i.values[:0]
	return err
}

// flush inserts what was gathered.
func (i *inserter) flush(ctx context.Context) error {
	if len(i.values) == 0 {
		return nil
	}
	_, err := i.tx.ExecContext(ctx, i.statement(len(i.values)/i.columns), i.values...)
	i.values = i.values[:0]
	return err
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
