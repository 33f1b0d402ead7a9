//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// stopTogether has a command that is stopped take its children with it.
func stopTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
