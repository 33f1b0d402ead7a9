//go:build unix

package atomicfile

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func want(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	check(t, err)
	if string(got) != content {
		t.Errorf("%s holds %q, want %q", path, got, content)
	}
}

func TestAFileAppearsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.txt")
	check(t, os.WriteFile(path, []byte("old"), 0o600))
	f, err := Create(path, Shared)
	check(t, err)
	f.WriteString("half")
	check(t, f.Flush())
	want(t, path, "old")
	f.Abort()
	want(t, path, "old")
	check(t, Write(path, []byte("new"), Shared))
	want(t, path, "new")
	if all := names(t, filepath.Dir(path)); all != "a.txt" {
		t.Errorf("beside it is something: %s", all)
	}
	if _, err := Create(filepath.Dir(path), Shared); err == nil {
		t.Error("a folder was taken for a file")
	}
}

func TestUmask(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o027))
	for mode, want := range map[fs.FileMode]fs.FileMode{Shared: 0o640, Private: 0o600} {
		path := filepath.Join(dir, mode.String())
		check(t, Write(path, nil, mode))
		info, err := os.Stat(path)
		check(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("a file of %v has %v under the umask 027, want %v", mode, info.Mode().Perm(), want)
		}
	}
}

func TestALinkStays(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	for name, target := range map[string]string{"there": filepath.Join(elsewhere, "there.txt"), "not yet": filepath.Join(elsewhere, "new.txt"), "relative": "beside.txt"} {
		link := filepath.Join(dir, name)
		check(t, os.Symlink(target, link))
		if name == "there" {
			check(t, os.WriteFile(target, []byte("old"), 0o600))
		}
		check(t, Write(link, []byte(name), Shared))
		if real, err := os.Readlink(link); err != nil || real != target {
			t.Errorf("%s: the link leads to %q, %v", name, real, err)
		}
		want(t, link, name)
	}
	check(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if err := Write(filepath.Join(dir, "loop"), nil, Shared); err == nil {
		t.Error("a link to itself was written")
	}
}

func TestAPipeIsWrittenItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	check(t, syscall.Mkfifo(path, 0o600))
	read := make(chan string)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			read <- err.Error()
			return
		}
		defer f.Close()
		data, _ := io.ReadAll(f)
		read <- string(data)
	}()
	check(t, Write(path, []byte("through"), Shared))
	if got := <-read; got != "through" {
		t.Errorf("the reader got %q", got)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe is %v now, %v", info.Mode(), err)
	}
}

func TestADeviceIsWrittenItself(t *testing.T) {
	check(t, Write("/dev/null", []byte("gone"), Shared))
	if info, err := os.Lstat("/dev/null"); err != nil || info.Mode().Type()&fs.ModeDevice == 0 {
		t.Fatalf("/dev/null is %v now, %v", info.Mode(), err)
	}
}

// Standard output is written itself by whatever name, also where it goes to a file that
// others write to.
func TestStandardOutput(t *testing.T) {
	if name := os.Getenv("ATOMICFILE_TEST_WRITE"); name != "" {
		os.Stdout.WriteString("before ")
		if err := Write(name, []byte("within "), Shared); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString("after")
		os.Exit(0)
	}
	for _, name := range []string{"-", "/dev/stdout"} {
		for _, to := range []string{"pipe", "file"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestStandardOutput$")
			cmd.Env = append(os.Environ(), "ATOMICFILE_TEST_WRITE="+name)
			var got []byte
			var err error
			if to == "pipe" {
				got, err = cmd.Output()
			} else {
				path := filepath.Join(t.TempDir(), "out.txt")
				out, openErr := os.Create(path)
				check(t, openErr)
				cmd.Stdout = out
				err = cmd.Run()
				check(t, out.Close())
				got, _ = os.ReadFile(path)
			}
			if err != nil || string(got) != "before within after" {
				t.Errorf("%s as a %s: %q, %v", name, to, got, err)
			}
		}
	}
}
