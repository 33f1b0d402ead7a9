package remote

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pictosync/internal/atomicfile"
)

// lockPause is how often a lock that another process holds is tried.
const lockPause = 200 * time.Millisecond

// Bounds of an archive. Images hardly pack; labels do to a twentieth.
const (
	maxFiles = 20_000_000
	maxBytes = 4 << 40
	maxRatio = 200
	// free is what may come out of a small archive, whatever its ratio.
	free = 64 << 20
)

// errSwells is returned for an archive that unpacks to far more than labels and images do.
var errSwells = fmt.Errorf("it unpacks to more than %d times its size, as what is made to fill a disk does", maxRatio)

// bounds hold what comes out of an archive.
type bounds struct {
	packed, files, bytes int64
}

// add counts a file of a size. An archive may say what it likes of that: what is read is
// bounded by it.
func (b *bounds) add(size int64) error {
	b.files++
	b.bytes += size
	switch {
	case size < 0:
		return errors.New("it has a file of a negative size")
	case b.files > maxFiles:
		return fmt.Errorf("it has more than %d files", int64(maxFiles))
	case b.bytes > maxBytes:
		return fmt.Errorf("it unpacks to more than %d bytes", int64(maxBytes))
	case b.bytes > free && b.bytes/maxRatio > b.packed:
		return errSwells
	}
	return nil
}

// fromArchive reads an archive on this machine.
func (c *Copy) fromArchive(ctx context.Context, file string) error {
	if strings.HasSuffix(strings.ToLower(file), ".zip") {
		t, err := openZIP(file)
		if err != nil {
			return err
		}
		if err := c.update(ctx, t); err != nil {
			return err
		}
	} else if err := c.unpack(ctx, file); err != nil {
		return err
	}
	c.Path = enter(c.root)
	return nil
}

// encrypted is the flag of an entry of a ZIP file that only its password opens.
const encrypted = 0x1

// zipTree is a ZIP file, read in place.
type zipTree struct {
	file    *zip.ReadCloser
	entries map[string]*zip.File
}

func openZIP(file string) (*zipTree, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	z, err := zip.OpenReader(file)
	if err != nil && beginsZIP(file) {
		return nil, fmt.Errorf("the archive is cut off or damaged: its list of files, which stands at its end, cannot be read (%w); bring it here again", err)
	}
	if err != nil {
		return nil, fmt.Errorf("it is no ZIP file that can be read: %w", err)
	}
	t := &zipTree{file: z, entries: make(map[string]*zip.File)}
	held := bounds{packed: info.Size()}
	for _, f := range z.File {
		// Some programs for Windows write their own separator.
		name := strings.ReplaceAll(f.Name, `\`, "/")
		folder := strings.HasSuffix(name, "/")
		if name = cleanName(name); name == "" || name == "." {
			continue
		}
		err := safe(name)
		switch {
		case err != nil:
		case folder || f.Mode().IsDir():
			continue
		case f.Flags&encrypted != 0:
			err = fmt.Errorf("%q is encrypted; unpack the archive with its password, and give the folder", f.Name)
		case f.Method != zip.Store && f.Method != zip.Deflate:
			err = fmt.Errorf("%q is packed by a method that is not read (number %d; deflate is); unpack the archive, and give the folder", f.Name, f.Method)
		case !f.Mode().IsRegular():
			err = fmt.Errorf("%q is a link or a device; nothing of it was read", f.Name)
		case t.entries[name] != nil:
			err = fmt.Errorf("%q is in it twice; nothing of it was read", f.Name)
		case f.UncompressedSize64 > maxBytes:
			err = fmt.Errorf("%q is too large", f.Name)
		default:
			err = held.add(int64(f.UncompressedSize64))
		}
		if err != nil {
			z.Close()
			return nil, err
		}
		t.entries[name] = f
	}
	return t, nil
}

// beginsZIP reports whether a file begins as a ZIP file does.
func beginsZIP(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var start [4]byte
	_, err = io.ReadFull(f, start[:])
	return err == nil && string(start[:]) == "PK\x03\x04"
}

func (t *zipTree) list(ctx context.Context) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for name, f := range t.entries {
			if err := ctx.Err(); err != nil {
				yield(object{}, context.Cause(ctx))
				return
			}
			if !yield(object{name, int64(f.UncompressedSize64), fmt.Sprintf("crc32 %08x", f.CRC32)}, nil) {
				return
			}
		}
	}
}

func (t *zipTree) open(_ context.Context, o object, _ int64) (io.ReadCloser, error) {
	f := t.entries[o.Path]
	if f == nil || int64(f.UncompressedSize64) != o.Size || fmt.Sprintf("crc32 %08x", f.CRC32) != o.Stamp {
		return nil, errOther
	}
	return f.Open() // no more than the size that it says comes out of it
}

func (t *zipTree) close() error { return t.file.Close() }

// unpack unpacks a tar file, which cannot be read in place: once for each version of it.
func (c *Copy) unpack(ctx context.Context, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	version := fmt.Sprintf("%d %d\n", info.Size(), info.ModTime().UnixNano())
	mark := filepath.Join(c.dir, "unpacked")
	if old, err := os.ReadFile(mark); err == nil && string(old) == version {
		return nil
	}
	if err := errors.Join(os.RemoveAll(mark), os.RemoveAll(c.root)); err != nil {
		return err
	}
	var from io.Reader = f
	if !strings.HasSuffix(strings.ToLower(file), ".tar") {
		packed, err := gzip.NewReader(f)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errCutOff
		}
		if err != nil {
			return fmt.Errorf("it is no tar.gz file that can be read: %w", err)
		}
		defer packed.Close()
		from = packed
	}
	ending := &ending{Reader: from}
	err = c.unpackAll(ctx, tar.NewReader(ending), &bounds{packed: info.Size()})
	if err == nil && ending.reached {
		err = errCutOff
	}
	if err == nil {
		err = readRest(from, info.Size())
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errCutOff
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, new(flate.CorruptInputError)):
		err = fmt.Errorf("the archive is damaged (%w), and so may be any file in it; bring it here again", err)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(c.root))
	}
	return atomicfile.Write(mark, []byte(version), atomicfile.Private)
}

// readRest reads what follows the end of a tar file, so that gzip's checksum is held against
// all of it: zeros, which fill up a record.
func readRest(from io.Reader, packed int64) error {
	buf := make([]byte, 64<<10)
	for left := packed*maxRatio + free; left > 0; {
		n, err := from.Read(buf)
		left -= int64(n)
		if slices.ContainsFunc(buf[:n], func(b byte) bool { return b != 0 }) {
			return errors.New("something follows its end, as where archives were put one behind the other; unpack it, or make one of them")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errSwells
}

// errCutOff is returned for an archive that ends before its end.
var errCutOff = errors.New("the archive is cut off: it ends before what closes a tar file; bring it here again")

// ending notes that a reader was read to its very end: a tar file is closed by blocks of zeros
// before that, and one without them may lack files.
type ending struct {
	io.Reader
	reached bool
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Reader.Read(b)
	e.reached = e.reached || n == 0 && errors.Is(err, io.EOF)
	return n, err
}

func (c *Copy) unpackAll(ctx context.Context, archive *tar.Reader, held *bounds) error {
	seen := 0
	var other foreign
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if seen == 0 {
				return errors.New("there are no labels and no images in it")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is no tar file that can be read: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := cleanName(h.Name)
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeDir:
			if name != "" && name != "." {
				if err := safe(name); err != nil {
					return err
				}
			}
			continue
		case tar.TypeReg, tar.TypeLink:
		default:
			return fmt.Errorf("%q is a link or a device; nothing of it was read", h.Name)
		}
		if err := safe(name); err != nil {
			return err
		}
		if err := held.add(h.Size); err != nil {
			return err
		}
		if !other.takes(name) {
			continue
		}
		seen++
		if h.Typeflag == tar.TypeLink {
			err = c.unpackLink(name, cleanName(h.Linkname))
		} else {
			err = c.unpackFile(name, archive)
		}
		if err != nil {
			return err
		}
	}
}

// cleanName is a name in an archive in its one form.
func cleanName(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
}

// unpackLink gives a file of the archive a further name, as tar keeps files that share their
// bytes, those of a folder of backups first of all.
func (c *Copy) unpackLink(name, to string) error {
	if err := safe(to); err != nil {
		return err
	}
	file := c.file(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	switch err := os.Link(c.file(to), file); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%q is another name of %q, which is not in front of it in the archive; nothing of it was read", name, to)
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%q is in it twice; nothing of it was read", name)
	case err != nil:
		return err
	}
	c.Fetched++
	return nil
}

func (c *Copy) unpackFile(name string, from io.Reader) error {
	file := c.file(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%q is in it twice; nothing of it was read", name)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	c.Fetched++
	return errors.Join(err, to.Close())
}
