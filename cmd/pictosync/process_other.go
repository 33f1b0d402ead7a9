//go:build !unix

package main

import "os/exec"

// stopTogether does nothing: not every system groups processes.
func stopTogether(*exec.Cmd) {}
