package view

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Local serves pages to this machine alone: it listens on a loopback address, its address
// holds a token that nobody else knows, it answers to its own name only, so that no page
// of elsewhere reaches it by a name that was bent to this machine, and it only reads.
type Local struct {
	listener net.Listener
	token    string
	hosts    []string // what a browser may call it
}

// Listen opens a port for pages: addr is HOST:PORT, port 0 for a free one.
func Listen(addr string) (*Local, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: give it as HOST:PORT, such as 127.0.0.1:8080", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen on %q: pages are served to this machine alone; give 127.0.0.1 or [::1], and reach it from elsewhere through ssh -L", addr)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; another --listen, or 127.0.0.1:0, takes a free port", addr, err)
	}
	at := listener.Addr().String()
	_, port, _ = net.SplitHostPort(at)
	return &Local{listener: listener, token: rand.Text(), hosts: []string{at, net.JoinHostPort("localhost", port)}}, nil
}

// URL is where the first page is.
func (l *Local) URL() string { return "http://" + l.hosts[0] + "/" + l.token + "/" }

// Serve serves pages until the context ends.
func (l *Local) Serve(ctx context.Context, pages http.Handler) error {
	server := &http.Server{
		Handler: l.guard(pages), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve pages: %w", err)
	case <-ctx.Done():
	}
	err := server.Close() // it only reads: nothing is lost
	if served := <-ended; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// guard answers what may be asked, and nothing else.
func (l *Local) guard(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy(false))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		known := false
		for _, host := range l.hosts {
			known = known || r.Host == host
		}
		token, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case !known:
			http.Error(w, "this address is not served", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "these pages only show", http.StatusMethodNotAllowed)
		case subtle.ConstantTimeCompare([]byte(token), []byte(l.token)) != 1:
			http.Error(w, "the address lacks its token: open the one that pictosync printed when it began", http.StatusForbidden)
		case !found:
			http.Redirect(w, r, r.URL.Path+"/", http.StatusFound)
		default:
			defer func() {
				if p := recover(); p != nil {
					if p == http.ErrAbortHandler {
						panic(p)
					}
					Fail(w, r, http.StatusInternalServerError, fmt.Errorf("make the page: %v", p))
				}
			}()
			r = under(r, "/"+l.token+"/", "/"+rest)
			if name, ok := strings.CutPrefix(r.URL.Path, "/assets/"); ok {
				serveAsset(w, r, name)
				return
			}
			pages.ServeHTTP(w, r)
		}
	})
}

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	below, err := fs.Sub(assets, "assets")
	if err != nil || (name != "view.css" && name != "view.js" && name != "icon.svg") {
		http.NotFound(w, r)
		return
	}
	http.ServeFileFS(w, r, below, name)
}

type baseKey struct{}

// bases are what addresses begin with.
type bases struct{ assets, pages string }

// under has the path of a request begin at path, below base.
func under(r *http.Request, base, path string) *http.Request {
	b, _ := r.Context().Value(baseKey{}).(bases)
	if b.assets == "" {
		b.assets = base
	}
	b.pages = base
	r = r.WithContext(context.WithValue(r.Context(), baseKey{}, b))
	url := *r.URL
	url.Path, url.RawPath = path, ""
	r.URL = &url
	return r
}

// Base is what the addresses of the pages of a handler begin with.
func Base(r *http.Request) string {
	b, _ := r.Context().Value(baseKey{}).(bases)
	if b.pages == "" {
		return "/"
	}
	return b.pages
}

// Mount serves pages below a folder of others.
func Mount(w http.ResponseWriter, r *http.Request, folder string, pages http.Handler) {
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/"), folder)
	pages.ServeHTTP(w, under(r, Base(r)+folder, "/"+strings.TrimPrefix(rest, "/")))
}

// Show writes a page as the answer of a request.
func Show(w http.ResponseWriter, r *http.Request, p Page) {
	show(w, r, http.StatusOK, p)
}

func show(w http.ResponseWriter, r *http.Request, status int, p Page) {
	b, _ := r.Context().Value(baseKey{}).(bases)
	p.Base = b.assets
	if p.Base == "" {
		p.Base = "/"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	_ = p.Write(w) // who does not read on has left
}

// Fail says on a page why there is no other.
func Fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	title := "This page cannot be shown"
	if status == http.StatusNotFound {
		title = "There is no such page"
	}
	show(w, r, status, Page{Title: title, Crumbs: []Link{{Text: "start", Href: Base(r)}}, Message: text(err.Error())})
}
