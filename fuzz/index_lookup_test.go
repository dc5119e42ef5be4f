package fuzz

import (
	"math"
	"testing"

	"github.com/millrace/millrace/index"
)

// FuzzIndexLookup: whatever an index file holds, a look-up stays inside it, and on an index that passes Check it finds what a walk over
// all entries finds.
func FuzzIndexLookup(f *testing.F) {
	f.Add([]byte{}, int64(0), int64(0), int64(100))
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 100, 0, 0, 0, 9, 0, 0, 1, 0}, int64(10), int64(12), int64(5000))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3}, int64(0), int64(6), int64(4096))
	f.Fuzz(func(t *testing.T, b []byte, base, target, size int64) {
		if base < 0 || base > math.MaxInt64-math.MaxInt32-2 {
			return
		}
		x := index.Offsets{Base: base, Entries: b[:len(b)/index.OffsetEntrySize*index.OffsetEntrySize]}
		slot, position := x.Slot(target, 0), int64(0)
		if slot < -1 || slot >= x.Len() {
			t.Fatalf("slot %d of %d", slot, x.Len())
		}
		if slot >= 0 {
			_, position = x.At(slot)
		}
		if x.Check(math.MaxInt64, size) == nil {
			wantSlot, wantPosition := -1, int64(0)
			for i := range x.Len() {
				if at, p := x.At(i); at <= target {
					wantSlot, wantPosition = i, p
				}
			}
			if slot != wantSlot || position != wantPosition {
				t.Fatalf("slot %d position %d, want %d and %d", slot, position, wantSlot, wantPosition)
			}
			if wantPosition >= size && x.Len() > 0 {
				t.Fatalf("position %d of %d passed the check", wantPosition, size)
			}
		}
		y := index.Times{Base: base, Entries: b[:len(b)/index.TimeEntrySize*index.TimeEntrySize]}
		slot = y.Slot(target)
		if slot < -1 || slot >= y.Len() {
			t.Fatalf("time slot %d of %d", slot, y.Len())
		}
		if y.Check(math.MaxInt64) == nil {
			want := -1
			for i := range y.Len() {
				if at, _ := y.At(i); at < target {
					want = i
				}
			}
			if slot != want {
				t.Fatalf("time slot %d, want %d", slot, want)
			}
		}
	})
}
