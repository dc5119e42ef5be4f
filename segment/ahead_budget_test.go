package segment

import (
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// What is held of the budget for pages that were touched ahead is given back when they are not ahead any more, also where they were passed by bulky
// batches, which touch nothing, and while the sealed segment is open.
func TestTouchedPagesThatWerePassedAreNotHeld(t *testing.T) {
	held := func(t *testing.T, size int, passed func(*Segment)) {
		budget := NewBudget(256 << 20)
		sp, err := Prepare(t.TempDir(), Options{FS: vfs.OS, Tail: TailMapped, MaxBytes: 8 << 20, Budget: budget})
		if err != nil {
			t.Fatal(err)
		}
		s, err := sp.Take(0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		if !s.open.Load().touches || budget.memoryInUse.Load() == 0 {
			t.Skip("nothing is touched ahead on this file system")
		}
		for s.Room() > 2*size {
			mustAppend(t, s, batch(s.NextOffset(), 1, size, 1))
		}
		passed(s)
		if got := budget.memoryInUse.Load(); got != 0 {
			t.Errorf("%d bytes are held at %d of %d", got, s.Size(), s.o.MaxBytes)
		}
	}
	t.Run("bulky batches", func(t *testing.T) { held(t, 64<<10, func(*Segment) {}) })
	t.Run("sealed", func(t *testing.T) {
		held(t, 1000, func(s *Segment) {
			s.Seal()
			ready := make(chan struct{})
			s.WhenReady(func() { close(ready) })
			<-ready
		})
	})
}
