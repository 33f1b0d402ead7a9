package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// Backups are backups in a bucket, and the folder of this machine that they are written in
// first.
type Backups struct {
	Address string // as people see it
	Dir     string
	address string
}

// BackupsIn are backups at an address, written in a folder below dir.
func BackupsIn(dir, address string) (*Backups, error) {
	_, shown, err := parse(address)
	if err != nil {
		return nil, err
	}
	shown = strings.TrimSuffix(shown, "/")
	sum := sha256.Sum256([]byte(shown))
	b := &Backups{Address: shown, Dir: filepath.Join(dir, hex.EncodeToString(sum[:8])), address: address}
	return b, os.MkdirAll(b.Dir, 0o700)
}
