package segment

import (
	"fmt"
	"runtime/debug"
)

// errFault is what became of a SIGBUS: the kernel could not bring a page of a mapping, because the disk failed or somebody cut the file.
type errFault struct{ addr uintptr }

func (e errFault) Error() string { return fmt.Sprintf("memory fault in a mapped file at %#x", e.addr) }

// catchFault is deferred by functions that touch a mapping after debug.SetPanicOnFault(true); old is what that returned.
func catchFault(old bool, err *error) {
	r := recover()
	debug.SetPanicOnFault(old)
	if r == nil {
		return
	}
	if f, ok := r.(interface{ Addr() uintptr }); ok {
		*err = errFault{f.Addr()}
		return
	}
	panic(r)
}
