package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// collectLess lets up to 48 MB of garbage gather before it is collected, however
// little is in use: a conversion makes much that lives for moments, and keeps only
// its index. Measured: a tenth of a conversion's time. GOGC in the environment is
// left alone.
func collectLess() {
	const (
		garbage = 48 << 20 // bytes
		most    = 1000     // percent
	)
	if os.Getenv("GOGC") != "" {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(int(min(most, max(100, garbage*100/max(m.HeapAlloc, 1)))))
}
