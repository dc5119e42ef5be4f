package floor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// toucher makes pages ready that appends will come to, and the segments after those that are being filled. It is one goroutine, and
// its CPU is the process's like all else.
type toucher struct {
	todo chan errand
	done sync.WaitGroup
}

// errand is a part of a segment to be touched, or a segment to be made.
type errand struct {
	segment  *segment // with a reference
	from, to int
	make     func()
}

func startToucher() *toucher {
	t := &toucher{todo: make(chan errand, 1024)}
	t.done.Go(func() {
		for e := range t.todo {
			if e.make != nil {
				e.make()
				continue
			}
			_ = unix.Madvise(e.segment.bytes[e.from:e.to], unix.MADV_POPULATE_WRITE) // where it cannot, the append takes the fault
			e.segment.release()
		}
	})
	return t
}

// touch asks for pages. With too much to do already it does not: the appends take the faults.
func (t *toucher) touch(s *segment, from, to int) {
	s.retain()
	select {
	case t.todo <- errand{segment: s, from: from, to: to}:
	default:
		s.release()
	}
}

// prepare asks for a segment to be made, and reports whether it will be.
func (t *toucher) prepare(f func()) bool {
	select {
	case t.todo <- errand{make: f}:
		return true
	default:
		return false
	}
}

// stop waits until all is done.
func (t *toucher) stop() {
	close(t.todo)
	t.done.Wait()
}
