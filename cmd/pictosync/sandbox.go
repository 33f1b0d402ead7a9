package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pictosync/quota"
	"pictosync/sandbox"
)

type sandboxOptions struct {
	listen  string
	storage string
	db      string
	keys    []string
	rate    string
	window  string
	maxBody int64
	api     string
	faults  string
	logs    logOptions
}

func newSandbox() *cobra.Command {
	var o sandboxOptions
	cmd := &cobra.Command{
		Use:   "sandbox --listen ADDR --db FILE",
		Short: "Run a Pictograph-compatible service on this machine, to try things on",
		Long: `Run a Pictograph-compatible service on this machine, to try things on. It says on
standard output when it is ready and where it listens, and stops at SIGINT or
SIGTERM. What it executed can be read at /_sandbox/audit, what it answered at
/_sandbox/stats.

It speaks what this tool calls: datasets, images with single and bulk uploads, their
splits and their archive, annotations, and exports in the formats pictograph, coco,
yolo, yolo_obb and yolo_pose. As with the service, signed URLs lead to another host,
here another port, where an API key is refused and counted (keys_leaked in
/_sandbox/stats). With --rate-limit every answer says what is left, in
X-RateLimit-Limit, -Remaining and -Reset; all clients of a key count together.

--faults takes seed=N, storm-length=N, the durations stall, build-delay (how long
every export takes) and url-lifetime, and rates from 0 to 1: which ones are hit
follows from the seed and their numbers, so that a failure repeats.
  of requests       5xx, html, reset-before, reset-after, stall-before, stall-after,
                    truncate, lost-answer, storm, no-limit-headers;
                    export-404, export-402, export-403 of those about exports
  of exports        export-failed, export-truncated, export-corrupt, export-bomb,
                    export-many, export-names
  of their images   export-missing, export-stale, export-count
  at the storage    put-expired, put-failed, put-lost, download-expired,
                    download-failed, download-cut
  of registrations  register-taken, register-failed

A new one has no dataset. One that a run with --sandbox made is in sandbox.db beside
that run's state, and can be served with --db; others are made as in the service, by
POST /api/v1/developer/datasets/.

It is for one machine: it speaks plain HTTP and refuses to listen elsewhere than
on a loopback address.`,
		Example: `  pictosync sandbox --listen 127.0.0.1:8080 --db sandbox.db
  pictosync sandbox --listen 127.0.0.1:0 --db sandbox.db --api-key pk_live_a:owner --rate-limit 2000/h
  pictosync sandbox --listen 127.0.0.1:8080 --db sandbox.db --faults seed=7,5xx=0.1,reset-after=0.05`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSandbox(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `ADDR` to listen on; port 0 takes a free one")
	f.StringVar(&o.storage, "storage-listen", "127.0.0.1:0", "loopback `ADDR` that signed URLs lead to; port 0 takes a free one, and URLs end with the process")
	f.StringVar(&o.db, "db", "", "database `FILE`, made where it is missing; images and exports lie beside it in FILE.files")
	f.StringArrayVar(&o.keys, "api-key", nil, "accept this `KEY[:ROLE[:LIMIT]]`, roles owner (default), admin, member, viewer, with a limit of its own as 500/h (again for more; without it any key is an owner's)")
	f.StringVar(&o.rate, "rate-limit", "unlimited", "requests a key may send, as 2000/h; more are answered 429")
	f.StringVar(&o.window, "rate-window", "sliding", "how --rate-limit counts: sliding or fixed")
	f.Int64Var(&o.maxBody, "max-body", 10<<20, "largest request body in `BYTES`; larger ones are answered 413")
	f.StringVar(&o.api, "api", "both", "which per-image calls are served: both, path or image-id")
	f.StringVar(&o.faults, "faults", "", "misbehave by `SPEC`, as seed=7,5xx=0.1,reset-before=0.02,lost-answer=0.05")
	o.logs.addFlags(f)
	return cmd
}

func runSandbox(parent context.Context, o sandboxOptions) error {
	if o.db == "" {
		return usagef("no database: name a file with --db")
	}
	if err := loopbackOnly("--listen", o.listen); err != nil {
		return err
	}
	if err := loopbackOnly("--storage-listen", o.storage); err != nil {
		return err
	}
	options, err := o.server()
	if err != nil {
		return err
	}
	if options.Storage, err = net.Listen("tcp", o.storage); err != nil {
		return fmt.Errorf("listen on %s: %w; name another address with --storage-listen", o.storage, err)
	}
	server, err := sandbox.Open(o.db, options)
	if err != nil {
		options.Storage.Close()
		return err
	}
	defer server.Close()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; name another address with --listen", o.listen, err)
	}
	ctx, stop, release := interruptible(parent, os.Stderr, 0)
	defer release()
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop.asked:
			cancel()
		case <-serving.Done():
		}
	}()
	fmt.Printf("sandbox listening on http://%s\n", listener.Addr())
	return server.Serve(serving, listener)
}

func (o sandboxOptions) server() (sandbox.Options, error) {
	log, err := outputOptions{logOptions: o.logs}.logger()
	if err != nil {
		return sandbox.Options{}, err
	}
	allowed, err := quota.Parse(o.rate)
	if err != nil {
		return sandbox.Options{}, usagef("read --rate-limit: %w", err)
	}
	faults, err := sandbox.ParseFaults(o.faults)
	if err != nil {
		return sandbox.Options{}, usagef("read --faults: %w", err)
	}
	keys, caps := make(map[string]sandbox.Role), make(map[string]sandbox.Quota)
	for _, k := range o.keys {
		key, role, _ := strings.Cut(k, ":")
		role, limit, capped := strings.Cut(role, ":")
		if role == "" {
			role = string(sandbox.Owner)
		}
		if capped {
			own, err := quota.Parse(limit)
			if err != nil {
				return sandbox.Options{}, usagef("read --api-key: %w", err)
			}
			caps[key] = sandbox.Quota{Requests: own.Requests, Per: own.Per}
		}
		switch sandbox.Role(role) {
		case sandbox.Owner, sandbox.Admin, sandbox.Member, sandbox.Viewer:
		default:
			return sandbox.Options{}, usagef("read --api-key: %q is no role; give owner, admin, member or viewer", role)
		}
		if key == "" {
			return sandbox.Options{}, usagef("read --api-key: the key is empty")
		}
		keys[key] = sandbox.Role(role)
	}
	return sandbox.Options{Keys: keys, Quota: sandbox.Quota{Requests: allowed.Requests, Per: allowed.Per, Window: o.window},
		Caps: caps, Formats: sandboxFormats(), MaxBody: o.maxBody, API: o.api, Faults: faults, Log: log}, nil
}

func loopbackOnly(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("read %s: %w", flag, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("read %s: %s is no loopback address; the sandbox speaks plain HTTP and is for this machine alone, as 127.0.0.1:8080", flag, addr)
}
