package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePages asks the system to give the heap its memory in pages of 2 MB, where it
// gives those to who asks ("madvise", as most distributions have it): with pages of
// 4 kB a sync of 5,000 images faults 29,000 times, and giving them back at its end
// takes as long as bringing the state to the disk. What is asked for is room for the
// heap to grow into; no memory is in it yet, and beyond it the heap goes on with small
// pages. A process asks once, before it opens its first source.
var largePages = sync.OnceFunc(func() {
	const room, page = 128 << 20, 2 << 20
	percent := debug.SetGCPercent(-1) // it is not for the room to say how much garbage may gather
	advise(make([]byte, room), page)
	runtime.GC() // it is the heap's now
	debug.SetGCPercent(percent)
})

// advise is a function of its own so that nothing holds the room when it returns.
//
//go:noinline
func advise(room []byte, page uintptr) {
	begin := -uintptr(unsafe.Pointer(unsafe.SliceData(room))) & (page - 1)
	// A hint: a system without large pages says no, and all is as ever.
	_ = unix.Madvise(room[begin:uintptr(len(room))&^(page-1)], unix.MADV_HUGEPAGE)
}
