package main

import (
	"strings"
	"testing"

	"pictosync/sandbox"
)

// The help of sandbox names every fault.
func TestSandboxHelpNamesEveryFault(t *testing.T) {
	help := newSandbox().Long
	for _, name := range sandbox.FaultNames() {
		if !strings.Contains(help, name) {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestSandboxKeys(t *testing.T) {
	options, err := sandboxOptions{keys: []string{"a", "b:member", "c:viewer:500/h", "d::5/s"}, rate: "unlimited", logs: logOptions{logLevel: "warn", logFormat: "text"}}.server()
	if err != nil {
		t.Fatal(err)
	}
	if options.Keys["a"] != sandbox.Owner || options.Keys["b"] != sandbox.Member || options.Keys["d"] != sandbox.Owner || options.Caps["c"].Requests != 500 || len(options.Caps) != 2 {
		t.Errorf("%v %v", options.Keys, options.Caps)
	}
	for _, bad := range []string{"a:boss", "a:owner:many", ":owner"} {
		if _, err := (sandboxOptions{keys: []string{bad}, rate: "unlimited", logs: logOptions{logLevel: "warn", logFormat: "text"}}).server(); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
