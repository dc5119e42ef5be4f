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

// pwriteTail is for files that are synced after one or a few appends, for file systems without fallocate (where a store into a hole of a
// full disk is a SIGBUS) and for vfs.Mem.
//
// A sync writes whole folios: with large ones it wrote 2,048 bytes for each one appended through a mapping. MADV_RANDOM helps, but then
// stores fault for each 4 KiB page, and again after each sync. Measured with a sync every 16 appends (ext4 on Linux 6.18, other work on
// the machine, median of 3 runs; CPU per append with its share of the sync, bytes dirtied per byte appended):
//
//	                 200 B         1 KiB          4 KiB         16 KiB          32 KiB
//	mapped, RANDOM   5.0 us 3.2    6.3 us 1.84    16 us 1.16    57 us 1.02     103 us 1.01
//	pwrite          12.7 us 2.3    5.7 us 1.25     9 us 1.06    19 us 1.02      30 us 1.01
//
// A tail that copied batches below 1 KiB and wrote the others was no better than pwrite alone at 200 B (8.8 us against 6.6 us in the same
// three runs), so there is none.
//
// A mapped file that turns out to be synced after less than trickle bytes is written by pwrite from then on, until more comes between
// two syncs: at 4 KiB a sync a touched mapping wrote 14 to 58 bytes to the disk for each one appended, at 16 KiB 5 to 14, at 128 KiB 4;
// pwrite 3.5, 1.7 and 1.1.
//
// And a batch of bulk bytes or more is always written by pwrite. The pages of a mapping are zeroed before they are stored to, and made
// writable one by one: with 64 KiB batches that was half of the broker's CPU, and for whole pages a write does neither. The pages ahead of
// such batches are not touched. The price: the folios are as small as the writes, of which sendfile takes a quarter more CPU (1.24 times, 0.96
// to 1.39, 0.08 s/GB of 1 MiB slices) than of those that were touched; the append saves 0.3 s/GB.
type pwriteTail struct{ vfs.File }

const (
	trickle = 1 << 20  // bytes between two syncs
	bulk    = 12 << 10 // bytes of a batch
)

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
