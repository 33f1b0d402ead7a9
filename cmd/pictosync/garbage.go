package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// collectsAsAsked tells whether the environment says when garbage is collected: that is
// left alone.
func collectsAsAsked() bool { return os.Getenv("GOGC") != "" }

// boundGarbage has garbage collected when so many bytes of it have gathered, or sooner
// where little is in use: at most percent of that.
func boundGarbage(bytes, most uint64) {
	if collectsAsAsked() {
		return
	}
	const least = 10 // percent
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc*most > bytes*100 { // of which some may be garbage
		runtime.GC()
		runtime.ReadMemStats(&m)
	}
	debug.SetGCPercent(int(min(most, max(least, bytes*100/max(m.HeapAlloc, 1)))))
}

// collectSooner is for a source whose index takes much memory: Go would let as much
// garbage gather.
func collectSooner() { boundGarbage(64<<20, 100) }

// collectLess is for a conversion, which makes much that lives for moments and keeps
// only its index. Measured: a tenth of its time.
func collectLess() { boundGarbage(48<<20, 1000) }

// collectLater is for a run, whose heap grows from little to what is kept of the plan: to
// collect each time it has doubled is done nine times in a sync of 5,000 images, and takes
// a tenth of the processor's time until they are planned. The memory that it gives, once,
// counts as in use and nothing is ever in it: most of these collections are not due then,
// and later as much more garbage may gather. It comes before [largePages], whose room would
// be taken for it, and then the system had given it.
var collectLater = sync.OnceValue(func() []byte {
	if collectsAsAsked() {
		return nil
	}
	return make([]byte, 32<<20)
})
