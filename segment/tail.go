package segment

import (
	"fmt"
	"runtime/debug"

	"github.com/millrace/millrace/internal/vfs"
)

// tail is the way appended bytes take into the file. Both ways end in the same page cache, from which sendfile reads.
type tail interface {
	write(p []byte, position int64) error // may fault
}

// mappedTail copies into the mapping: no system call.
type mappedTail []byte

func (t mappedTail) write(p []byte, position int64) error {
	copy(t[position:position+int64(len(p))], p)
	return nil
}

// pwriteTail is for files that are synced after almost every append, for file systems without fallocate (where a store into a hole of a
// full disk is a SIGBUS), and for vfs.Mem.
type pwriteTail struct{ vfs.File }

func (t pwriteTail) write(p []byte, position int64) error {
	_, err := t.WriteAt(p, position)
	return err
}

// errFault is what became of a SIGBUS: the kernel could not bring a page of the mapping, because the disk failed or somebody cut the file.
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
