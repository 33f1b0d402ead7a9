package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// bucketSchemes are those of the storages that have buckets.
var bucketSchemes = map[string]bool{"s3": true, "gs": true, "azblob": true}

// archives are the ends of names of archives, lower case.
var archives = []string{".zip", ".tar", ".tar.gz", ".tgz"}

// Is reports whether a source lies elsewhere, or in an archive.
func Is(address string) bool {
	if scheme, _, found := strings.Cut(address, "://"); found {
		scheme = strings.ToLower(scheme)
		return bucketSchemes[scheme] || scheme == "https" || scheme == "http"
	}
	info, err := os.Stat(address)
	return isArchive(address) && (err != nil || !info.IsDir())
}

// packed are the ends of names of what is packed in ways that are not read.
var packed = []string{".7z", ".rar", ".xz", ".bz2", ".zst", ".gz", ".lz4", ".tbz", ".txz"}

// Refuse says why a source that Is reports nothing of cannot be read, where its name tells:
// nil where it does not.
func Refuse(address string) error {
	info, err := os.Stat(address)
	if scheme, _, found := strings.Cut(address, "://"); found && err != nil {
		return &Error{Op: "read", Address: Shown(address), Err: fmt.Errorf("%s:// is not read", scheme), Advice: "give https://, s3://, gs:// or azblob://, or a path of this machine"}
	}
	end := strings.ToLower(path.Ext(address))
	if err != nil || info.IsDir() || !slices.Contains(packed, end) {
		return nil
	}
	what := "archives of this kind are not read"
	if end == ".gz" {
		what = "files that end in .gz are not read, but for .tar.gz"
	}
	return &Error{Op: "read", Address: address, Err: errors.New(what), Advice: "give a .zip, .tar, .tar.gz or .tgz, or unpack it"}
}

func isArchive(name string) bool {
	name = strings.ToLower(name)
	for _, end := range archives {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// Error is why a source elsewhere cannot be had.
type Error struct {
	Op, Address string // the address as it is shown
	Err         error
	Advice      string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s", e.Op, e.Address, readable(e.Err.Error()))
	if e.Advice != "" {
		text += "; " + e.Advice
	}
	return text
}

// Bare is what went wrong, without secrets.
func (e *Error) Bare() error { return errors.New(readable(e.Err.Error())) }

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// secret is what signs a request, as URLs in the errors of storages may have it.
var secret = regexp.MustCompile(`(?i)\b(sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+|[a-z_-]*token|[a-z_-]*secret[a-z_-]*|accountkey|access_?key[a-z_-]*)=[^&\s"']+`)

func withoutSecrets(s string) string { return secret.ReplaceAllString(s, "$1=[hidden]") }

// rules are the lines that Azure's errors are ruled with.
var rules = regexp.MustCompile(`\s*-{20,}\s*`)

func readable(s string) string { return withoutSecrets(rules.ReplaceAllString(s, "; ")) }

// parse reads the address of a bucket or a URL. shown is what people see of it, and what names
// it: without what only says how it is reached.
func parse(address string) (u *url.URL, shown string, err error) {
	u, err = url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, "", &Error{Op: "read", Address: hideQuery(address), Err: fmt.Errorf("it is no address as s3://bucket/folder or https://host/file.zip")}
	}
	if u.User != nil {
		return nil, "", &Error{Op: "read", Address: u.Scheme + "://" + u.Host + u.Path, Err: fmt.Errorf("it holds a user or password"), Advice: "set credentials as the cloud's own tools take them"}
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, "", &Error{Op: "read", Address: hideQuery(address), Err: fmt.Errorf("plain http is for this machine alone"), Advice: "use https"}
	}
	for key := range u.Query() {
		if secret.MatchString(key+"=x") && bucketSchemes[u.Scheme] {
			return nil, "", &Error{Op: "read", Address: hideQuery(address), Err: fmt.Errorf("it holds a credential, %s", key), Advice: "set credentials as the cloud's own tools take them"}
		}
	}
	return u, u.Scheme + "://" + u.Host + u.Path + queryMark(u.Scheme, u.RawQuery), nil
}

// reaching are the parts of a bucket's query that say how it is reached, and not what is read.
var reaching = map[string]bool{"region": true, "profile": true, "role": true, "role_session_name": true, "role_external_id": true, "role_duration": true,
	"web_identity_token_file": true, "awssdk": true, "anonymous": true, "use_path_style": true, "s3ForcePathStyle": true, "hostname_immutable": true, "disable_https": true}

// signing begins what signs a URL of a bucket, which is another each time.
var signing = regexp.MustCompile(`(?i)^x-(amz|goog)-`)

// queryMark stands for the query of an address in what names it: another query may lead to
// another source. It is a hash, since a query may hold what is secret.
func queryMark(scheme, query string) string {
	var counts []string
	for part := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(part, "=")
		web := scheme == "https" || scheme == "http"
		if part != "" && !(web && signing.MatchString(key) || !web && reaching[key]) {
			counts = append(counts, part)
		}
	}
	if len(counts) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(counts, "&")))
	return "?#" + hex.EncodeToString(sum[:4])
}

func hideQuery(address string) string {
	before, _, _ := strings.Cut(address, "?")
	return before
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Shown is an address as people see it, and as the state names it: with a hash in the place
// of its query, which may hold what signs it.
func Shown(address string) string {
	scheme, _, elsewhere := strings.Cut(address, "://")
	if !elsewhere {
		return address
	}
	before, query, _ := strings.Cut(address, "?")
	query, _, _ = strings.Cut(query, "#")
	return before + queryMark(strings.ToLower(scheme), query)
}

// Below is the address of what lies below another that is shown, by its slash-separated path.
func Below(shown, path string) string {
	before, mark, marked := strings.Cut(shown, "?")
	before = strings.TrimSuffix(before, "/") + "/" + path
	if marked {
		return before + "?" + mark
	}
	return before
}

func baseName(shown string) string {
	name := path.Base(strings.ReplaceAll(shown, "\\", "/"))
	if name == "." || name == "/" || name == "" {
		return "source"
	}
	return name
}
